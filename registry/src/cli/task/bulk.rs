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
    /// Wait until each of them has ended or is paused again; 1 if one of them did not end as wanted
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
        let mut did = ended["result"] == "success" && show::list(outcome, "failed").is_empty();
        for (list, wanted) in [("resumed", RESUMED), ("cancelled", CANCELLED)] {
            let ended = ends_of(client, show::list(outcome, list)).await?;
            if view.is_for_people() {
                summary(&ended).iter().for_each(terminal::print);
            }
            did &= ended.iter().all(|end| wanted.contains(&end.as_str()));
        }
        Ok(if did {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(exit::FAILED)
        })
    }
}

/// What a task that was resumed should end with, and one that was cancelled: that may be done before.
const RESUMED: &[&str] = &["success", "warning"];
const CANCELLED: &[&str] = &["cancelled", "success", "warning", "error", "reverted"];

/// How each of these tasks ended, or that it is paused: waited for one after the other.
async fn ends_of(client: &Client, tasks: &[Value]) -> Result<Vec<String>, ClientError> {
    let mut ends = Vec::with_capacity(tasks.len());
    for id in tasks.iter().filter_map(Value::as_str) {
        ends.push(watch::end_of(client, id).await?);
    }
    Ok(ends)
}

/// A line for each way in which tasks ended: `paused again: 2`.
fn summary(ends: &[String]) -> Vec<String> {
    let mut ways: Vec<&str> = ends.iter().map(String::as_str).collect();
    ways.sort_unstable();
    ways.dedup();
    let count = |way: &str| ends.iter().filter(|end| *end == way).count();
    let line = |way: &&str| match *way {
        "paused" => format!("paused again: {}", count(way)),
        way => format!("ended with {way}: {}", count(way)),
    };
    ways.iter().map(line).collect()
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
    fn how_they_ended_is_counted() {
        let ends = ["success", "paused", "success"].map(str::to_owned);

        assert_eq!(summary(&ends), ["paused again: 1", "ended with success: 2"]);
        assert!(summary(&[]).is_empty());
    }

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
