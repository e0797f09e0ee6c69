//! `wharfinger task cleanup`: deletes what was kept long enough, or says what that would be.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::act::{print, with_reason};
use super::{TaskId, watch};
use crate::cli::client::{Client, ClientError};
use crate::cli::view::View;
use crate::cli::{exit, show, terminal};

/// `task cleanup`.
#[derive(Args, Debug)]
pub(super) struct Cleanup {
    /// Only count what would be deleted
    #[arg(long)]
    dry_run: bool,
    /// Kept in the audit
    #[arg(long)]
    reason: Option<String>,
    /// Wait until it has ended, and say what was deleted
    #[arg(long)]
    wait: bool,
}

impl Cleanup {
    pub(super) async fn run(&self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        let mut body = with_reason(self.reason.as_deref());
        body["dry_run"] = json!(self.dry_run);
        let answer = client.post("/tasks/cleanup", &body).await?;
        let id = answer["id"].as_str().and_then(|id| id.parse().ok());
        let Some(id) = id.filter(|_| self.wait) else {
            print(&answer, view);
            return Ok(ExitCode::SUCCESS);
        };
        let ended = watch::follow(client, view, &TaskId { id }, answer).await?;
        if view.is_for_people() {
            lines(&ended).iter().for_each(terminal::print);
        }
        Ok(if ended["result"] == "success" {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(exit::FAILED)
        })
    }
}

/// A line with the number of tasks, and one for each label and result.
fn lines(task: &Value) -> Vec<String> {
    let deleted = &task["output"]["delete_tasks"];
    if deleted.is_null() {
        return Vec::new();
    }
    let verb = if task["input"]["dry_run"] == true {
        "would be deleted"
    } else {
        "deleted"
    };
    let mut lines = vec![format!("tasks {verb}: {}", show::field(deleted, "tasks"))];
    for (label, results) in deleted["by_label"].as_object().into_iter().flatten() {
        for (result, n) in results.as_object().into_iter().flatten() {
            lines.push(format!("  {label} {result}: {n}"));
        }
    }
    if let Some(file) = deleted["exported_to"].as_str() {
        lines.push(format!("exported to {file}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_deleted_is_told_by_label_and_result() {
        let by_label = json!({"push": {"success": 3, "error": 1}});
        let output = json!({"delete_tasks": {"tasks": 4, "by_label": by_label, "complete": true}});

        let deleted = lines(&json!({"input": {"dry_run": false}, "output": output}));
        let would = lines(&json!({"input": {"dry_run": true}, "output": output}));

        assert_eq!(
            deleted,
            ["tasks deleted: 4", "  push error: 1", "  push success: 3"]
        );
        assert_eq!(would[0], "tasks would be deleted: 4");
        assert!(lines(&json!({"result": "error"})).is_empty());
    }
}
