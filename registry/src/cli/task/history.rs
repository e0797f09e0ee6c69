//! `wharfinger task history`: all that was recorded.

use std::process::ExitCode;

use serde_json::Value;

use super::TaskId;
use crate::cli::client::{Client, ClientError};
use crate::cli::page::Page;
use crate::cli::show;
use crate::cli::view::{Column, View, id, read, text, time};

pub(in crate::cli) const COLUMNS: &[Column] = &[
    id("N", "n").spare(),
    time("AT", "at"),
    text("EVENT", "event"),
    text("STEP", "step"),
    text("ACTOR", "actor").spare(),
    read("REASON", "detail", reason),
];

/// Why somebody did it, or why it failed.
fn reason(detail: &Value) -> String {
    let said = [
        &detail["refused"],
        &detail["message"]["reason"],
        &detail["error"]["message"],
        &detail["reason"],
        &detail["because"],
    ];
    said.into_iter()
        .find(|said| said.is_string())
        .map_or_else(|| "-".to_owned(), show::text)
}

pub(super) async fn run(
    client: &Client,
    view: View,
    task: &TaskId,
    page: &Page,
) -> Result<ExitCode, ClientError> {
    let path = format!("{}/history", task.path());
    view.list(&page.get(client, &path).await?, COLUMNS, "nothing");
    Ok(ExitCode::SUCCESS)
}
