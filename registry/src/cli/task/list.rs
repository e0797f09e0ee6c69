//! `wharfinger task list`, and `summary`.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::cli::client::{Client, ClientError};
use crate::cli::page::{Page, Search};
use crate::cli::view::{Column, View, age, id, read};
use crate::cli::{show, terminal};

/// Which tasks.
#[derive(Args, Debug)]
pub(super) struct List {
    #[command(flatten)]
    search: Search,
    #[command(flatten)]
    page: Page,
}

pub(in crate::cli) const COLUMNS: &[Column] = &[
    id("ID", "id"),
    read("STATE", "", state),
    read("WHAT", "action", show::text),
    age("AGE", "created_at").spare(),
    read("TOOK", "", took).spare(),
];

/// How it ended, or where it is.
fn state(task: &Value) -> String {
    match task["state"].as_str() {
        Some("stopped") => show::field(task, "result"),
        // Whoever forgot a hold finds it here.
        Some("pending" | "running") if !task["held"].is_null() => "held".to_owned(),
        _ => show::field(task, "state"),
    }
}

fn took(task: &Value) -> String {
    show::between(&task["started_at"], &task["ended_at"])
}

impl List {
    pub(super) async fn run(&self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        let body = self.page.find(client, "/tasks", &self.search).await?;
        view.list(&body, COLUMNS, "no task matches");
        Ok(ExitCode::SUCCESS)
    }
}

/// How many tasks there are of each state, result and reason.
pub(super) async fn summary(client: &Client, view: View) -> Result<ExitCode, ClientError> {
    let body = client.get("/tasks/summary", &[]).await?;
    if !view.is_for_people() {
        show::json(&body);
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = terminal::table(&[]);
    table.add_row([
        "tasks".to_owned(),
        String::new(),
        show::field(&body, "total"),
    ]);
    for kind in ["state", "result", "reason"] {
        for (word, count) in body[kind].as_object().into_iter().flatten() {
            table.add_row([kind.to_owned(), word.clone(), show::text(count)]);
        }
    }
    terminal::print_table(table, "no task");
    Ok(ExitCode::SUCCESS)
}
