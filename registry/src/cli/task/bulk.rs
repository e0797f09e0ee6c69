//! `wharfinger task bulk-resume|bulk-cancel`: one action for all tasks that a search finds.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::act::{print, with_reason};
use super::{TaskId, watch};
use crate::cli::answer::Answer;
use crate::cli::client::{Client, ClientError};
use crate::cli::view::View;
use crate::cli::{exit, show, terminal};

/// `task bulk-resume` and `task bulk-cancel`.
#[derive(Args, Debug)]
pub(super) struct Bulk {
    /// Which tasks, for example: state = paused and repository = acme/app
    #[arg(long, value_name = "QUERY")]
    search: String,
    #[command(flatten)]
    how: How,
}

/// How many tasks at once are treated.
#[derive(Args, Debug)]
pub(super) struct How {
    /// Kept in the tasks' histories
    #[arg(long)]
    reason: Option<String>,
    /// Only say to which tasks it would be done
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Wait until each of them was asked; 1 if one did not do it
    #[arg(long)]
    wait: bool,
}

impl Bulk {
    pub(super) async fn run(
        &self,
        client: &Client,
        view: View,
        verb: &str,
    ) -> Result<ExitCode, ClientError> {
        let more = json!({ "search": self.search });
        let path = format!("/tasks/{verb}");
        self.how.post(client, view, &path, more).await
    }
}

impl How {
    /// Posts it with these fields more, and shows what comes of it.
    pub(super) async fn post(
        &self,
        client: &Client,
        view: View,
        path: &str,
        more: Value,
    ) -> Result<ExitCode, ClientError> {
        let mut body = with_reason(self.reason.as_deref());
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        if self.dry_run {
            body["dry_run"] = json!(true);
        }
        let answer = client.post(path, &body).await?;
        if self.dry_run {
            preview(&answer, view);
            return Ok(ExitCode::SUCCESS);
        }
        let id = answer["id"].as_str().and_then(|id| id.parse().ok());
        let Some(id) = id.filter(|_| self.wait) else {
            print(&answer, view);
            return Ok(ExitCode::SUCCESS);
        };
        let ended = watch::follow(client, view, &TaskId { id }, answer).await?;
        let outcome = outcome(&ended);
        if view.is_for_people() {
            lines(outcome, &["resumed", "cancelled", "skipped", "failed"])
                .iter()
                .for_each(terminal::print);
        }
        let did = ended["result"] == "success" && show::list(outcome, "failed").is_empty();
        Ok(if did {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(exit::FAILED)
        })
    }
}

fn preview(answer: &Answer, view: View) {
    if !view.is_for_people() {
        return show::json(answer);
    }
    for line in lines(answer, &["would_resume", "would_cancel", "skipped"]) {
        terminal::print(line);
    }
}

/// What came of each: the output of the only step.
fn outcome(task: &Value) -> &Value {
    let outputs = task["output"].as_object();
    outputs
        .and_then(|outputs| outputs.values().next())
        .unwrap_or(&Value::Null)
}

/// A line with the number of each of these lists that is there, and one for each task that is not just done.
fn lines(outcome: &Value, lists: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    for name in lists.iter().filter(|name| outcome[**name].is_array()) {
        let tasks = show::list(outcome, name);
        lines.push(format!("{}: {}", name.replace('_', " "), tasks.len()));
        for task in tasks {
            lines.push(if task.is_string() {
                format!("  {}", show::text(task))
            } else {
                let (id, why) = (show::field(task, "id"), show::field(task, "why"));
                format!("  {id} {why}")
            });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_each_task_is_told() {
        let task = json!({"output": {"resume": {
            "resumed": ["7", "8"], "skipped": [{"id": "9", "why": "is done"}], "failed": [],
        }}});

        let told = lines(
            outcome(&task),
            &["resumed", "cancelled", "skipped", "failed"],
        );

        assert_eq!(
            told,
            [
                "resumed: 2",
                "  7",
                "  8",
                "skipped: 1",
                "  9 is done",
                "failed: 0"
            ]
        );
    }
}
