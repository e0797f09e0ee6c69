//! `wharfinger task history` and `graph`: all that was recorded, and how the steps hang together.

use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::Value;

use super::TaskId;
use crate::cli::client::{Client, ClientError};
use crate::cli::page::Page;
use crate::cli::view::{Column, View, id, read, text, time};
use crate::cli::{show, terminal};

/// In which language a graph is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Language {
    /// For Mermaid, as many wikis draw it
    Mermaid,
    /// For Graphviz
    Dot,
}

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

pub(super) async fn graph(
    client: &Client,
    task: &TaskId,
    language: Language,
) -> Result<ExitCode, ClientError> {
    let ending = match language {
        Language::Mermaid => "mmd",
        Language::Dot => "dot",
    };
    let drawn = client
        .text(&format!("{}/graph.{ending}", task.path()))
        .await?;
    terminal::print(drawn.trim_end());
    Ok(ExitCode::SUCCESS)
}
