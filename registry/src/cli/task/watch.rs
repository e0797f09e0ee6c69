//! `wharfinger task watch`: prints each step as it changes, then how the task ended.

use std::collections::HashMap;
use std::fmt::Write;
use std::process::ExitCode;

use serde_json::Value;

use super::TaskId;
use super::patience::insist;
use crate::cli::answer::Answer;
use crate::cli::client::{Client, ClientError};
use crate::cli::view::View;
use crate::cli::{exit, show, terminal};

/// How long the server holds one answer back, in seconds: a step that changes is shown at most this late.
const LOOK_EVERY_SECONDS: &str = "0.25";

pub(super) async fn run(
    client: &Client,
    view: View,
    task: &TaskId,
) -> Result<ExitCode, ClientError> {
    let now = client.get(&task.path(), &[]).await?;
    to_its_end(client, view, task, now).await
}

/// Follows the task from how it is now, and ends with 0 if it did what was wanted.
pub(super) async fn to_its_end(
    client: &Client,
    view: View,
    task: &TaskId,
    now: Answer,
) -> Result<ExitCode, ClientError> {
    let ended = follow(client, view, task, now).await?;
    Ok(exit_code(&ended))
}

/// Shows what happens to the task, from how it is now until it has ended or is paused, and answers with it as it is then.
pub(super) async fn follow(
    client: &Client,
    view: View,
    task: &TaskId,
    now: Answer,
) -> Result<Answer, ClientError> {
    let path = format!("{}/wait", task.path());
    let timeout = [("timeout", LOOK_EVERY_SECONDS)];
    let mut shown = HashMap::new();
    let mut body = now;
    loop {
        if view.is_for_people() {
            changes(&body, &mut shown).iter().for_each(terminal::print);
        }
        if has_come_to_rest(&body) {
            break;
        }
        body = insist(
            async || client.get(&path, &timeout).await,
            |said| terminal::complain(said),
        )
        .await?;
    }
    if view.is_for_people() {
        terminal::print(outcome(&body));
    } else {
        show::json(&body);
    }
    Ok(body)
}

/// How the task ended, or that it is paused; without a word until then.
pub(super) async fn end_of(client: &Client, id: &str) -> Result<String, ClientError> {
    let path = format!("/tasks/{id}/wait");
    loop {
        let task = insist(
            async || client.get(&path, &[("timeout", "20")]).await,
            |said| terminal::complain(said),
        )
        .await?;
        if has_come_to_rest(&task) {
            return Ok(end(&task));
        }
    }
}

/// A line for each step whose state is not the one shown last.
fn changes(task: &Value, shown: &mut HashMap<String, String>) -> Vec<String> {
    let mut lines = Vec::new();
    for step in show::list(task, "steps") {
        let (name, state) = (show::field(step, "name"), show::field(step, "state"));
        let said = shown.insert(name.clone(), state.clone());
        if said.as_ref() == Some(&state) || (said.is_none() && state == "pending") {
            continue;
        }
        let mut line = format!("{name:<24} {state:<10}");
        if !step["ended_at"].is_null() {
            let _ = write!(line, " {}", show::took(step));
        }
        // While it runs again, the error of the attempt before is no news.
        if !step["error"].is_null() && state != "running" {
            let _ = write!(line, " {}", show::field(&step["error"], "message"));
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

fn has_come_to_rest(task: &Value) -> bool {
    matches!(task["state"].as_str(), Some("stopped" | "paused"))
}

fn end(task: &Value) -> String {
    match task["state"].as_str() {
        Some("paused") => "paused".to_owned(),
        _ => show::field(task, "result"),
    }
}

fn outcome(task: &Value) -> String {
    let ended = end(task);
    format!(
        "task {} {ended}: {}",
        show::field(task, "id"),
        show::field(task, "headline")
    )
}

/// 0 only for what was wanted: a task that was cancelled has not done it either.
fn exit_code(task: &Value) -> ExitCode {
    if did_what_was_wanted(task) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::FAILED)
    }
}

fn did_what_was_wanted(task: &Value) -> bool {
    task["state"] == "stopped" && matches!(task["result"].as_str(), Some("success" | "warning"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_changed_steps_are_printed() {
        let mut shown = HashMap::new();
        let step = |state: &str| json!({"steps": [{"name": "copy", "state": state}, {"name": "reindex", "state": "pending"}]});

        assert_eq!(
            changes(&step("running"), &mut shown),
            ["copy                     running"]
        );
        assert!(changes(&step("running"), &mut shown).is_empty());
        assert_eq!(
            changes(&step("success"), &mut shown),
            ["copy                     success"]
        );
    }

    #[test]
    fn a_step_that_runs_again_does_not_show_its_last_error() {
        let step = |state: &str| json!({"steps": [{"name": "copy", "state": state, "error": {"message": "disk full"}}]});
        let line = |state: &str| changes(&step(state), &mut HashMap::new()).remove(0);

        assert!(line("error").ends_with("disk full"));
        assert!(line("running").ends_with("running"));
    }

    #[test]
    fn a_task_that_is_paused_or_ends_otherwise_than_well_is_a_failure() {
        let task = |state: &str, result: &str| json!({"state": state, "result": result});

        assert!(did_what_was_wanted(&task("stopped", "success")));
        assert!(did_what_was_wanted(&task("stopped", "warning")));
        assert!(!did_what_was_wanted(&task("stopped", "error")));
        assert!(!did_what_was_wanted(&task("stopped", "cancelled")));
        assert!(!did_what_was_wanted(&task("paused", "error")));
    }
}
