//! `wharfinger webhook …`: who is told of pushes, deletes and paused tasks.

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};
use storage::catalog::webhooks::EventKind;
use strum::VariantNames as _;

use super::client::{Client, ClientError, Connection};
use super::page::Page;
use super::view::{Column, View, age, id, read, text, time};
use crate::config::Environment;

/// A verb on webhooks, and the server to ask.
#[derive(Args, Debug)]
pub(crate) struct Command {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List webhooks
    List(Page),
    /// Show a webhook
    Show(Webhook),
    /// Make a webhook; a secret that is made for it is shown once, and never again
    Create(New),
    /// Change a webhook
    Update {
        #[command(flatten)]
        webhook: Webhook,
        #[command(flatten)]
        changes: Changes,
    },
    /// Delete a webhook; it is told nothing any more
    Delete(Webhook),
    /// Send a webhook an event of no meaning, to see whether it arrives
    Test(Webhook),
    /// List what a webhook was told lately, the newest first
    Deliveries {
        #[command(flatten)]
        webhook: Webhook,
        #[command(flatten)]
        page: Page,
    },
}

#[derive(Args, Debug)]
struct Webhook {
    /// The webhook's id
    #[arg(value_name = "WEBHOOK")]
    id: i64,
}

#[derive(Args, Debug, Serialize)]
struct New {
    /// What it is called
    name: String,
    /// Where it is told
    #[arg(long)]
    url: String,
    /// The label of the organization that it hears of; without it: of all
    #[arg(long, value_name = "LABEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    organization: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    both: Both,
}

/// The members of a flattened struct belong to no group: each of these is named in its own.
#[derive(Args, Debug, Serialize)]
#[group(id = "changes", required = true, multiple = true, args = ["url", "events", "enabled", "renew_secret"])]
struct Changes {
    /// Where it is told
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Give it a new secret, which is shown once; the one before counts no more
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    renew_secret: bool,
    #[command(flatten)]
    #[serde(flatten)]
    both: Both,
}

#[derive(Args, Debug, Serialize)]
struct Both {
    /// What it is told of, with commas between; of a new one without it: all
    #[arg(long, value_name = "EVENTS", value_delimiter = ',', value_parser = PossibleValuesParser::new(EventKind::VARIANTS))]
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<String>>,
    /// Whether it is told
    #[arg(long, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
}

pub(super) const COLUMNS: &[Column] = &[
    id("ID", "id"),
    text("NAME", "name"),
    text("URL", "url"),
    text("ORGANIZATION", "organization").spare(),
    read("EVENTS", "events", events).spare(),
    text("ENABLED", "enabled"),
    text("BECAUSE", "disabled_because").spare(),
    time("CREATED", "created_at").spare(),
];

/// A webhook with the secret that it was just given, which is never shown again.
const WITH_SECRET: &[Column] = &[
    id("ID", "id"),
    text("NAME", "name"),
    text("URL", "url"),
    id("SECRET", "secret"),
];

pub(super) const DELIVERIES: &[Column] = &[
    id("TASK", "task_id"),
    text("EVENT", "event"),
    age("AGE", "at"),
    text("STATE", "state").spare(),
    text("RESULT", "result").spare(),
    text("ANSWER", "answer").spare(),
];

const TASK: &[Column] = &[id("TASK", "task_id")];

fn events(all: &Value) -> String {
    let words = all
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    words.collect::<Vec<_>>().join(" ")
}

/// Runs the verb.
pub(crate) async fn command(command: Command, environment: &Environment) -> ExitCode {
    let verb = command.verb;
    let run = async move |client: &Client, view: View| verb.run(client, view).await;
    command.connection.run(environment, run).await
}

impl Verb {
    async fn run(self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        match self {
            Self::List(page) => {
                let body = page.get(client, "/webhooks").await?;
                view.list(&body, COLUMNS, "no webhook that you may see");
            }
            Self::Show(webhook) => view.object(&client.get(&webhook.path(), &[]).await?, COLUMNS),
            Self::Create(new) => {
                view.object(&client.post("/webhooks", &json!(new)).await?, WITH_SECRET);
            }
            Self::Update { webhook, changes } => {
                let body = client.patch(&webhook.path(), &json!(changes)).await?;
                view.object(
                    &body,
                    if changes.renew_secret {
                        WITH_SECRET
                    } else {
                        COLUMNS
                    },
                );
            }
            Self::Delete(webhook) => {
                client.delete(&webhook.path()).await?;
                view.done(format!("webhook {} is deleted", webhook.id));
            }
            Self::Test(webhook) => {
                let path = format!("{}/test", webhook.path());
                view.object(&client.post(&path, &json!({})).await?, TASK);
            }
            Self::Deliveries { webhook, page } => {
                let path = format!("{}/deliveries", webhook.path());
                let body = page.get(client, &path).await?;
                view.list(&body, DELIVERIES, "it was told nothing yet");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Webhook {
    fn path(&self) -> String {
        format!("/webhooks/{}", self.id)
    }
}
