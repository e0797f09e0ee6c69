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

/// What the steps tell besides tasks: of each a word for what went, its figure, and the bytes that it freed, where it tells some.
const FIGURES: &[(&str, &str, &str)] = &[
    (
        "expire_uploads",
        "sessions",
        "uploads that nobody goes on with",
    ),
    (
        "sweep_destinations",
        "destinations",
        "names that were never pushed to",
    ),
    (
        "collect_deleted",
        "repositories",
        "repositories that can no longer be brought back",
    ),
    ("prune_versions", "manifests", "manifests in no version"),
    ("prune_versions", "versions", "old versions"),
    ("collect_garbage", "blobs", "blobs in no repository"),
    (
        "collect_garbage",
        "objects_without_row",
        "objects that nothing names",
    ),
];

/// A line for each thing that went, with the bytes that this has freed; the tasks last, by label and result.
fn lines(task: &Value) -> Vec<String> {
    let verb = if task["input"]["dry_run"] == true {
        "would be deleted"
    } else {
        "deleted"
    };
    let mut lines = Vec::new();
    let mut bytes_told = None;
    for (step, figure, what) in FIGURES {
        let told = output_of(task, step);
        let Some(n) = told[figure].as_u64() else {
            continue;
        };
        let bytes = told["bytes"].as_u64().filter(|_| bytes_told != Some(step));
        bytes_told = Some(step);
        let bytes = bytes.map(|bytes| format!(" ({bytes} bytes)"));
        lines.push(format!("{what} {verb}: {n}{}", bytes.unwrap_or_default()));
    }
    let left = output_of(task, "collect_deleted")["left_in_pulp"].as_u64();
    if let Some(left @ 1..) = left {
        lines.push(format!(
            "deleted repositories whose content stays in Pulp: {left}"
        ));
    }
    let deleted = output_of(task, "delete_tasks");
    if deleted.is_null() {
        return lines;
    }
    lines.push(format!("tasks {verb}: {}", show::field(deleted, "tasks")));
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

/// What this step has told. The output of the task has only that of the last steps.
fn output_of<'a>(task: &'a Value, step: &str) -> &'a Value {
    let mut steps = task["steps"].as_array().into_iter().flatten();
    let step = steps.find(|it| it["name"] == step);
    step.map_or(&Value::Null, |step| &step["output"])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task whose steps have told this.
    fn task(dry_run: bool, told: &Value) -> Value {
        let told = told.as_object().into_iter().flatten();
        let steps: Vec<Value> = told
            .map(|(step, output)| json!({"name": step, "output": output}))
            .collect();
        json!({"input": {"dry_run": dry_run}, "steps": steps})
    }

    #[test]
    fn what_was_deleted_is_told_by_label_and_result() {
        let by_label = json!({"push": {"success": 3, "error": 1}});
        let output = json!({"delete_tasks": {"tasks": 4, "by_label": by_label, "complete": true}});

        let deleted = lines(&task(false, &output));
        let would = lines(&task(true, &output));

        assert_eq!(
            deleted,
            ["tasks deleted: 4", "  push error: 1", "  push success: 3"]
        );
        assert_eq!(would[0], "tasks would be deleted: 4");
        assert!(lines(&json!({"result": "error"})).is_empty());
    }

    #[test]
    fn what_else_was_deleted_is_told_with_the_bytes_that_this_has_freed() {
        let output = json!({
            "expire_uploads": {"sessions": 2, "bytes": 4096, "complete": true},
            "sweep_destinations": {"destinations": 1, "complete": true},
            "collect_deleted": {"repositories": 0, "versions": 0, "bytes": 0, "left_in_pulp": 3, "complete": true},
            "prune_versions": {"versions": 7, "manifests": 5, "bytes": 2500, "complete": true},
            "collect_garbage": {"blobs": 9, "bytes": 123_456, "objects_without_row": 1, "complete": true},
            "delete_tasks": {"tasks": 0, "by_label": {}, "complete": true},
        });

        let would = lines(&task(true, &output));

        assert_eq!(
            would,
            [
                "uploads that nobody goes on with would be deleted: 2 (4096 bytes)",
                "names that were never pushed to would be deleted: 1",
                "repositories that can no longer be brought back would be deleted: 0 (0 bytes)",
                "manifests in no version would be deleted: 5 (2500 bytes)",
                "old versions would be deleted: 7",
                "blobs in no repository would be deleted: 9 (123456 bytes)",
                "objects that nothing names would be deleted: 1",
                "deleted repositories whose content stays in Pulp: 3",
                "tasks would be deleted: 0",
            ]
        );
    }
}
