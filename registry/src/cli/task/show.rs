//! `wharfinger task show`.

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
        print(&task);
    } else {
        show::json(&task);
    }
    Ok(ExitCode::SUCCESS)
}

/// The task's own fields, then a line for each step.
pub(super) fn print(task: &Value) {
    let mut table = terminal::table(&[]);
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
        table.add_row([name.to_owned(), show::field(task, name)]);
    }
    for name in ["repository", "tag", "digest"] {
        if !task[name].is_null() {
            table.add_row([name.to_owned(), show::field(task, name)]);
        }
    }
    for name in ["created_at", "started_at", "ended_at", "paused_since"] {
        if !task[name].is_null() {
            table.add_row([name.to_owned(), show::time(&task[name])]);
        }
    }
    for waiting in show::list(task, "waiting_for") {
        table.add_row(["waits for".to_owned(), show::field(waiting, "text")]);
    }
    for lock in show::list(task, "locks") {
        table.add_row([
            "lock".to_owned(),
            format!(
                "{} ({})",
                show::field(lock, "resource"),
                show::field(lock, "state")
            ),
        ]);
    }
    terminal::print_table(table, "nothing");
    terminal::print("");
    let mut steps = terminal::table(&["STEP", "STATE", "ATTEMPTS", "TOOK", "ERROR"]);
    for step in show::list(task, "steps") {
        steps.add_row([
            show::field(step, "name"),
            show::field(step, "state"),
            show::field(step, "attempts"),
            show::took(step),
            show::field(&step["error"], "message"),
        ]);
    }
    terminal::print_table(steps, "no steps");
}
