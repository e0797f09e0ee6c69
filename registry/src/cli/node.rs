//! `wharfinger node …`: the processes that drive tasks.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::client::{Client, ClientError, Connection, segment};
use super::gate::Why;
use super::page::Page;
use super::view::{Column, View, age, id, text, time};
use crate::config::Environment;

/// A verb on nodes, and the server to ask.
#[derive(Args, Debug)]
pub(crate) struct Command {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the nodes that drive tasks
    List(Page),
    /// Show a node
    Show(Node),
    /// Let a node begin nothing until it is released; what runs comes to its end
    Hold {
        #[command(flatten)]
        node: Node,
        #[command(flatten)]
        why: Why,
    },
    /// Let a held node go on
    Release {
        #[command(flatten)]
        node: Node,
        #[command(flatten)]
        why: Why,
    },
}

#[derive(Args, Debug)]
struct Node {
    /// The node's id
    #[arg(value_name = "NODE")]
    id: String,
}

pub(super) const COLUMNS: &[Column] = &[
    id("NODE", "id"),
    text("NAME", "name").spare(),
    id("STATE", "state"),
    age("BEAT", "beat_at").spare(),
    text("TASKS", "plans").spare(),
    text("HELD BY", "held.by"),
    text("REASON", "held.reason").spare(),
    text("VERSION", "version").spare(),
    time("STARTED", "started_at").spare(),
];

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
                view.list(&page.get(client, "/nodes").await?, COLUMNS, "no node");
            }
            Self::Show(node) => view.object(&client.get(&node.path(), &[]).await?, COLUMNS),
            Self::Hold { node, why } => {
                let path = format!("{}/hold", node.path());
                view.object(&client.post(&path, &why.body()).await?, COLUMNS);
            }
            Self::Release { node, why } => {
                let path = format!("{}/release", node.path());
                view.object(&client.post(&path, &why.body()).await?, COLUMNS);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Node {
    fn path(&self) -> String {
        format!("/nodes/{}", segment(&self.id))
    }
}
