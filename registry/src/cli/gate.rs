//! `wharfinger gate …`: what steps go through on their way to a backend.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, ClientError, Connection, segment};
use super::page::Page;
use super::view::{Column, View, age, id, read, text, time};
use crate::config::Environment;

/// A verb on gates, and the server to ask.
#[derive(Args, Debug)]
pub(crate) struct Command {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the gates before backends
    List(Page),
    /// Show a gate
    Show(Gate),
    /// Let no step pass a gate until it is opened; what runs comes to its end
    Close {
        #[command(flatten)]
        gate: Gate,
        #[command(flatten)]
        why: Why,
    },
    /// Open a gate at once, whoever or whatever closed it
    Open {
        #[command(flatten)]
        gate: Gate,
        #[command(flatten)]
        why: Why,
    },
}

#[derive(Args, Debug)]
struct Gate {
    /// The gate's name
    #[arg(value_name = "GATE")]
    name: String,
}

/// What is said with what is done to gates, workflows and nodes.
#[derive(Args, Debug)]
pub(super) struct Why {
    /// Shown to whoever wonders why tasks wait, and kept in the audit
    #[arg(long)]
    reason: Option<String>,
}

impl Why {
    pub(super) fn body(&self) -> Value {
        match &self.reason {
            Some(reason) => json!({ "reason": reason }),
            None => json!({}),
        }
    }
}

pub(super) const COLUMNS: &[Column] = &[
    id("GATE", "name"),
    id("STATE", "state"),
    age("SINCE", "since"),
    text("WAITING", "waiting").spare(),
    read("BUDGET", "budget_used", budget).spare(),
    time("LOOKS AT", "next_probe_at").spare(),
    text("BY", "by").spare(),
    text("REASON", "reason"),
];

/// How much of the retry budget is used up.
fn budget(used: &Value) -> String {
    format!("{:.0} %", used.as_f64().unwrap_or_default() * 100.0)
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
                view.list(&page.get(client, "/gates").await?, COLUMNS, "no gate");
            }
            Self::Show(gate) => view.object(&client.get(&gate.path(), &[]).await?, COLUMNS),
            Self::Close { gate, why } => {
                let path = format!("{}/close", gate.path());
                view.object(&client.post(&path, &why.body()).await?, COLUMNS);
            }
            Self::Open { gate, why } => {
                let path = format!("{}/open", gate.path());
                view.object(&client.post(&path, &why.body()).await?, COLUMNS);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Gate {
    fn path(&self) -> String {
        format!("/gates/{}", segment(&self.name))
    }
}
