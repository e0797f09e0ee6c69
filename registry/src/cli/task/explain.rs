//! `wharfinger task explain`: what happened, what is safe, what to do now, and who it waits for.

use std::process::ExitCode;

use serde_json::Value;

use super::TaskId;
use crate::cli::client::{Client, ClientError};
use crate::cli::view::View;
use crate::cli::{show, terminal};

pub(super) async fn run(
    client: &Client,
    view: View,
    task: &TaskId,
) -> Result<ExitCode, ClientError> {
    let task = client.get(&task.path(), &[]).await?;
    if view.is_for_people() {
        terminal::print(explanation(&task));
    } else {
        show::json(&task.member("explanation"));
    }
    Ok(ExitCode::SUCCESS)
}

fn explanation(task: &Value) -> String {
    let mut lines = vec![show::field(task, "headline"), String::new()];
    for (title, name) in [
        ("What happened", "happened"),
        ("What is safe", "safe"),
        ("What now", "next"),
    ] {
        let said = &task["explanation"][name];
        if !said.is_null() {
            lines.push(format!("{title}: {}", show::text(said)));
        }
    }
    if let Some(cause) = show::cause(task) {
        lines.push(format!("Started by: {cause}"));
    }
    if let Some(answered) = show::answered(task) {
        lines.push(format!("The client was told: {answered}"));
    }
    for waiting in show::list(task, "waiting_for") {
        let holder = waiting["task"]
            .as_str()
            .map_or_else(String::new, |task| format!(" (task {task})"));
        lines.push(format!(
            "Waits for: {}{holder}",
            show::field(waiting, "text")
        ));
    }
    for lock in show::list(task, "locks") {
        lines.push(format!(
            "Lock: {} on {}",
            show::field(lock, "state"),
            show::field(lock, "resource")
        ));
    }
    let possible = show::list(task, "actions")
        .iter()
        .filter(|action| action["allowed"] == true);
    for action in possible {
        lines.push(format!(
            "You can {}: {}",
            show::field(action, "name"),
            show::field(action, "will")
        ));
        if action["name"] == "resume" {
            let id = show::field(task, "id");
            lines.push(format!("  wharfinger task resume {id} --wait"));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_explanation_says_all_that_a_person_needs_to_go_on() {
        let task = json!({
            "id": "019a7d20-5f8e-7d31-9c7e-0d7c3f1b2a11",
            "headline": "push of acme/busybox:latest paused at step copy: disk full",
            "explanation": {"happened": "copy failed", "safe": "the image is stored", "next": "free space, then resume"},
            "cause": "client",
            "answered": {"status": 424, "at": "2026-01-31T14:30:00.000Z", "warning": "copy failed"},
            "waiting_for": [{"kind": "operator", "text": "somebody to resume it", "task": null}],
            "locks": [{"resource": "destination/7", "state": "queued"}],
            "actions": [
                {"name": "resume", "allowed": true, "will": "run copy again"},
                {"name": "cancel", "allowed": false, "will": "end it"}
            ]
        });

        assert_eq!(
            explanation(&task),
            "push of acme/busybox:latest paused at step copy: disk full\n\n\
             What happened: copy failed\n\
             What is safe: the image is stored\n\
             What now: free space, then resume\n\
             Started by: a client\n\
             The client was told: 424 at 2026-01-31 14:30:00, with the warning: copy failed\n\
             Waits for: somebody to resume it\n\
             Lock: queued on destination/7\n\
             You can resume: run copy again\n  \
             wharfinger task resume 019a7d20-5f8e-7d31-9c7e-0d7c3f1b2a11 --wait"
        );
    }
}
