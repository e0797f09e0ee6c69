//! `wharfinger task resume|cancel|abort|revert|hold|release`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::step::json_of;
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
    /// What is different in the task's input, merged into it: {"field": value}, null takes a field away
    #[arg(long, value_name = "JSON", value_parser = json_of)]
    input: Option<Value>,
    /// Also when whoever started the task may not do it any more; needs a reason
    #[arg(long = "override", requires = "reason")]
    overrule: bool,
}

/// `task send-event`.
#[derive(Args, Debug)]
pub(super) struct SendEvent {
    #[command(flatten)]
    task: TaskId,
    /// The event's name, as the task waits for it
    name: String,
    /// What is known of it
    #[arg(long, value_name = "JSON", value_parser = json_of)]
    payload: Option<Value>,
    #[command(flatten)]
    why: Why,
}

/// `task cancel` and `task abort`.
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

/// `task revert`.
#[derive(Args, Debug)]
pub(super) struct Revert {
    #[command(flatten)]
    task: TaskId,
    /// Kept in the task's history
    #[arg(long)]
    reason: Option<String>,
    /// Wait until the task has ended or is paused; 1 if it is not reverted then
    #[arg(long)]
    wait: bool,
    /// Only say what would be undone
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Bring a deleted repository back under this name in its product
    #[arg(long = "as", value_name = "NAME")]
    under: Option<String>,
}

/// `task hold`.
#[derive(Args, Debug)]
pub(super) struct Hold {
    #[command(flatten)]
    task: TaskId,
    /// Kept in the task's history
    #[arg(long)]
    reason: Option<String>,
}

/// `task release`.
#[derive(Args, Debug)]
pub(super) struct Release {
    #[command(flatten)]
    task: TaskId,
    #[command(flatten)]
    why: Why,
    /// Also when whoever started the task may not do it any more; needs a reason
    #[arg(long = "override", requires = "reason")]
    overrule: bool,
}

/// What can be said with every action that lets a task go on.
#[derive(Args, Debug)]
pub(super) struct Why {
    /// Kept in the task's history
    #[arg(long)]
    pub(super) reason: Option<String>,
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
        if let Some(input) = &self.input {
            body["input"] = input.clone();
        }
        let answer = client
            .post(&format!("{}/resume", self.task.path()), &body)
            .await?;
        if self.dry_run && view.is_for_people() {
            for line in preview_of_resume(&answer) {
                terminal::print(line);
            }
            for change in show::list(&answer, "input_changes") {
                terminal::print(format!("would change the input: {}", show::change(change)));
            }
            return Ok(ExitCode::SUCCESS);
        }
        self.why.after(client, view, &self.task, answer).await
    }
}

impl SendEvent {
    pub(super) async fn run(&self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        let mut body = with_reason(self.why.reason.as_deref());
        if let Some(payload) = &self.payload {
            body["payload"] = payload.clone();
        }
        let name = segment(&self.name);
        let path = format!("{}/events/{name}", self.task.path());
        let answer = client.post(&path, &body).await?;
        self.why.after(client, view, &self.task, answer).await
    }
}

impl Cancel {
    pub(super) async fn run(&self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        self.end(client, view, "cancel").await
    }

    pub(super) async fn abort(&self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        self.end(client, view, "abort").await
    }

    async fn end(&self, client: &Client, view: View, verb: &str) -> Result<ExitCode, ClientError> {
        let body = with_reason(self.reason.as_deref());
        let path = format!("{}/{verb}", self.task.path());
        let answer = client.post(&path, &body).await?;
        if !self.wait {
            print(&answer, view);
            return Ok(ExitCode::SUCCESS);
        }
        until_it_is(client, view, &self.task, answer, "cancelled").await
    }
}

impl Revert {
    pub(super) async fn run(&self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        let mut body = with_reason(self.reason.as_deref());
        if self.dry_run {
            body["dry_run"] = json!(true);
        }
        if let Some(name) = &self.under {
            body["as"] = json!(name);
        }
        let path = format!("{}/revert", self.task.path());
        let answer = client.post(&path, &body).await?;
        if self.dry_run && view.is_for_people() {
            for line in preview_of_revert(&answer) {
                terminal::print(line);
            }
            return Ok(ExitCode::SUCCESS);
        }
        if !self.wait {
            print(&answer, view);
            return Ok(ExitCode::SUCCESS);
        }
        until_it_is(client, view, &self.task, answer, "reverted").await
    }
}

/// What would run; of a revert what would be undone after it.
fn preview_of_resume(preview: &Value) -> Vec<String> {
    let undone = !show::list(preview, "would_undo").is_empty();
    let run = !undone || !show::list(preview, "would_run").is_empty();
    [
        (run, "would run", "would_run"),
        (undone, "would undo", "would_undo"),
    ]
    .into_iter()
    .filter(|(told, ..)| *told)
    .map(|(_, title, field)| format!("{title}: {}", show::field(preview, field)))
    .collect()
}

/// What would be undone, in this order; the rest only where there is any.
fn preview_of_revert(preview: &Value) -> Vec<String> {
    let undone = match show::list(preview, "would_undo") {
        [] => "nothing".to_owned(),
        _ => show::field(preview, "would_undo"),
    };
    let more = [
        ("would stay", "would_stay"),
        ("waits for", "waits_for"),
        ("nobody knows whether this happened", "unknown"),
        ("asks again for the locks", "asks_for_locks"),
    ];
    let more = more
        .into_iter()
        .filter(|(_, field)| !show::list(preview, field).is_empty())
        .map(|(title, field)| format!("{title}: {}", show::field(preview, field)));
    std::iter::once(format!("would undo: {undone}"))
        .chain(more)
        .collect()
}

impl Hold {
    pub(super) async fn run(&self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        let body = with_reason(self.reason.as_deref());
        let path = format!("{}/hold", self.task.path());
        print(&client.post(&path, &body).await?, view);
        Ok(ExitCode::SUCCESS)
    }
}

impl Release {
    pub(super) async fn run(&self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        let mut body = with_reason(self.why.reason.as_deref());
        if self.overrule {
            body["override"] = json!(true);
        }
        let path = format!("{}/release", self.task.path());
        let answer = client.post(&path, &body).await?;
        self.why.after(client, view, &self.task, answer).await
    }
}

impl Why {
    /// Shows the task as it is now, or waits for its end.
    pub(super) async fn after(
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

/// Follows the task to its end, and ends with 0 if it is this then.
async fn until_it_is(
    client: &Client,
    view: View,
    task: &TaskId,
    answer: Answer,
    result: &str,
) -> Result<ExitCode, ClientError> {
    let ended = watch::follow(client, view, task, answer).await?;
    if ended["result"] == result {
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::from(exit::FAILED))
    }
}

pub(in crate::cli) fn with_reason(reason: Option<&str>) -> Value {
    reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }))
}

pub(in crate::cli) fn print(task: &Answer, view: View) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_of_a_revert_names_what_there_is() {
        let preview = |undo: &[&str], stay: &[&str]| {
            let body = json!({
                "would_undo": undo, "would_stay": stay, "waits_for": [], "asks_for_locks": [],
            });
            preview_of_revert(&body)
        };

        assert_eq!(preview(&[], &[]), ["would undo: nothing"]);
        assert_eq!(
            preview(&["distribute", "reindex"], &["authorize"]),
            ["would undo: distribute, reindex", "would stay: authorize"]
        );
    }
}
