//! `wharfinger task resume|cancel|retry-now`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{TaskId, watch};
use crate::cli::answer::Answer;
use crate::cli::client::{Client, ClientError, segment};
use crate::cli::view::View;
use crate::cli::{exit, show, terminal};

/// `task resume`.
#[derive(Args, Debug)]
pub(super) struct Resume {
    #[command(flatten)]
    task: TaskId,
    #[command(flatten)]
    why: Why,
    /// Only say what would run
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Also when whoever started the task may not do it any more; needs a reason
    #[arg(long = "override", requires = "reason")]
    overrule: bool,
}

/// `task cancel`.
#[derive(Args, Debug)]
pub(super) struct Cancel {
    #[command(flatten)]
    task: TaskId,
    /// Kept in the task's history
    #[arg(long)]
    reason: Option<String>,
    /// Wait until the task has ended; 1 if it did so otherwise than cancelled
    #[arg(long)]
    wait: bool,
}

/// `task retry-now`.
#[derive(Args, Debug)]
pub(super) struct RetryNow {
    #[command(flatten)]
    task: TaskId,
    /// The step that waits for its next attempt
    step: String,
    #[command(flatten)]
    why: Why,
}

/// What can be said with every action that lets a task go on.
#[derive(Args, Debug)]
struct Why {
    /// Kept in the task's history
    #[arg(long)]
    reason: Option<String>,
    /// Follow the task until it has ended or is paused; then end as `task watch` does
    #[arg(long)]
    wait: bool,
}

impl Resume {
    pub(super) async fn run(&self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        let mut body = with_reason(self.why.reason.as_deref());
        for (name, given) in [("dry_run", self.dry_run), ("override", self.overrule)] {
            if given {
                body[name] = json!(true);
            }
        }
        let answer = client
            .post(&format!("{}/resume", self.task.path()), &body)
            .await?;
        if self.dry_run && view.is_for_people() {
            terminal::print(format!("would run: {}", show::field(&answer, "would_run")));
            return Ok(ExitCode::SUCCESS);
        }
        self.why.after(client, view, &self.task, answer).await
    }
}

impl Cancel {
    pub(super) async fn run(&self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        let body = with_reason(self.reason.as_deref());
        let path = format!("{}/cancel", self.task.path());
        let answer = client.post(&path, &body).await?;
        if !self.wait {
            print(&answer, view);
            return Ok(ExitCode::SUCCESS);
        }
        let ended = watch::follow(client, view, &self.task, answer).await?;
        if ended["result"] == "cancelled" {
            Ok(ExitCode::SUCCESS)
        } else {
            Ok(ExitCode::from(exit::FAILED))
        }
    }
}

impl RetryNow {
    pub(super) async fn run(&self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        let body = with_reason(self.why.reason.as_deref());
        let path = format!(
            "{}/steps/{}/retry_now",
            self.task.path(),
            segment(&self.step)
        );
        let answer = client.post(&path, &body).await?;
        self.why.after(client, view, &self.task, answer).await
    }
}

impl Why {
    /// Shows the task as it is now, or waits for its end.
    async fn after(
        &self,
        client: &Client,
        view: View,
        task: &TaskId,
        answer: Answer,
    ) -> Result<ExitCode, ClientError> {
        if self.wait {
            return watch::to_its_end(client, view, task, answer).await;
        }
        print(&answer, view);
        Ok(ExitCode::SUCCESS)
    }
}

fn with_reason(reason: Option<&str>) -> Value {
    reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }))
}

fn print(task: &Answer, view: View) {
    if !view.is_for_people() {
        return show::json(task);
    }
    terminal::print(format!(
        "task {} is {}: {}",
        show::field(task, "id"),
        show::field(task, "state"),
        show::field(task, "headline")
    ));
}
