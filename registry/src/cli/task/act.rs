//! `wharfinger task resume|cancel|retry-now`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::TaskId;
use crate::cli::client::{Client, ClientError, Output};
use crate::cli::{show, terminal};

/// `task resume`.
#[derive(Args, Debug)]
pub(super) struct Resume {
    #[command(flatten)]
    task: TaskId,
    /// Kept in the task's history
    #[arg(long)]
    reason: Option<String>,
    /// Only say what would run
    #[arg(long)]
    dry_run: bool,
}

/// `task cancel`.
#[derive(Args, Debug)]
pub(super) struct Cancel {
    #[command(flatten)]
    task: TaskId,
    /// Kept in the task's history
    #[arg(long)]
    reason: Option<String>,
}

/// `task retry-now`.
#[derive(Args, Debug)]
pub(super) struct RetryNow {
    #[command(flatten)]
    task: TaskId,
    /// The step that waits for its next attempt
    step: String,
    /// Kept in the task's history
    #[arg(long)]
    reason: Option<String>,
}

impl Resume {
    pub(super) async fn run(
        &self,
        client: &Client,
        output: Output,
    ) -> Result<ExitCode, ClientError> {
        let mut body = with_reason(self.reason.as_deref());
        if self.dry_run {
            body["dry_run"] = json!(true);
        }
        let answer = client
            .post(&format!("{}/resume", self.task.path()), &body)
            .await?;
        if self.dry_run && output == Output::Table {
            terminal::print(format!("would run: {}", show::field(&answer, "would_run")));
            return Ok(ExitCode::SUCCESS);
        }
        print(&answer, output);
        Ok(ExitCode::SUCCESS)
    }
}

impl Cancel {
    pub(super) async fn run(
        &self,
        client: &Client,
        output: Output,
    ) -> Result<ExitCode, ClientError> {
        let body = with_reason(self.reason.as_deref());
        print(
            &client
                .post(&format!("{}/cancel", self.task.path()), &body)
                .await?,
            output,
        );
        Ok(ExitCode::SUCCESS)
    }
}

impl RetryNow {
    pub(super) async fn run(
        &self,
        client: &Client,
        output: Output,
    ) -> Result<ExitCode, ClientError> {
        let body = with_reason(self.reason.as_deref());
        let path = format!("{}/steps/{}/retry_now", self.task.path(), self.step);
        print(&client.post(&path, &body).await?, output);
        Ok(ExitCode::SUCCESS)
    }
}

fn with_reason(reason: Option<&str>) -> Value {
    reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }))
}

fn print(task: &Value, output: Output) {
    match output {
        Output::Json => show::json(task),
        Output::Table => terminal::print(format!(
            "task {} is {}: {}",
            show::field(task, "id"),
            show::field(task, "state"),
            show::field(task, "headline")
        )),
    }
}
