//! `wharfinger task show`.

use std::process::ExitCode;

use serde_json::Value;

use super::TaskId;
use crate::cli::client::{Client, ClientError};
use crate::cli::view::{self, Column, View, id, read, text};
use crate::cli::{show, terminal};

const STEPS: &[Column] = &[
    id("STEP", "name"),
    text("STATE", "state"),
    text("ATTEMPTS", "attempts").spare(),
    read("TOOK", "", show::took).spare(),
    read("ERROR", "", why),
];

/// Why the step, or what was to undo it, failed last.
fn why(step: &Value) -> String {
    let undo = &step["compensation"]["error"]["message"];
    show::text(if undo.is_null() {
        &step["error"]["message"]
    } else {
        undo
    })
}

pub(super) async fn run(
    client: &Client,
    view: View,
    task: &TaskId,
) -> Result<ExitCode, ClientError> {
    let task = client.get(&task.path(), &[]).await?;
    if view.is_for_people() {
        print(&task);
    } else {
        show::json(&task);
    }
    Ok(ExitCode::SUCCESS)
}

/// The task's own fields, then a line for each step.
pub(super) fn print(task: &Value) {
    let mut fields = Vec::new();
    for name in [
        "id",
        "label",
        "action",
        "state",
        "result",
        "reason",
        "headline",
        "user",
        "organization",
    ] {
        fields.push((name.to_owned(), show::field(task, name)));
    }
    for name in ["repository", "tag", "digest"] {
        if !task[name].is_null() {
            fields.push((name.to_owned(), show::field(task, name)));
        }
    }
    for name in ["created_at", "started_at", "ended_at", "paused_since"] {
        if !task[name].is_null() {
            fields.push((name.to_owned(), show::time(&task[name])));
        }
    }
    if show::field(task, "priority") != "normal" {
        fields.push(("priority".to_owned(), show::field(task, "priority")));
    }
    for edit in show::list(task, "input_changes") {
        for change in show::list(edit, "changes") {
            let by = show::field(edit, "by");
            let change = format!("{} (by {by})", show::change(change));
            fields.push(("input changed".to_owned(), change));
        }
    }
    if let Some(cause) = show::cause(task) {
        fields.push(("started by".to_owned(), cause));
    }
    if let Some(answered) = show::answered(task) {
        fields.push(("client was told".to_owned(), answered));
    }
    for waiting in show::list(task, "waiting_for") {
        fields.push(("waits for".to_owned(), show::field(waiting, "text")));
    }
    for lock in show::list(task, "locks") {
        let state = show::field(lock, "state");
        let lock = format!("{} ({state})", show::field(lock, "resource"));
        fields.push(("lock".to_owned(), lock));
    }
    terminal::print_fields(fields);
    terminal::print("");
    match show::list(task, "steps") {
        [] => terminal::print("no steps"),
        steps => terminal::print(view::listed(steps, STEPS, terminal::width())),
    }
}
