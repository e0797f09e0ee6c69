//! `wharfinger workflow …`: what tasks are made of.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::{Client, ClientError, Connection, segment};
use super::gate::Why;
use super::graph::Drawn;
use super::page::Page;
use super::view::{Column, View, id, read, text};
use super::{show, terminal};
use crate::config::Environment;

/// A verb on workflows, and the server to ask.
#[derive(Args, Debug)]
pub(crate) struct Command {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List what tasks are made of
    List(Page),
    /// Show a workflow with its steps
    Show(Workflow),
    /// Draw a workflow's steps
    Graph {
        #[command(flatten)]
        workflow: Workflow,
        #[command(flatten)]
        drawn: Drawn,
    },
    /// Let no task of a workflow begin anything until it is released; what runs comes to its end
    Hold {
        #[command(flatten)]
        workflow: Workflow,
        #[command(flatten)]
        why: Why,
    },
    /// Let the tasks of a held workflow go on
    Release {
        #[command(flatten)]
        workflow: Workflow,
        #[command(flatten)]
        why: Why,
    },
}

#[derive(Args, Debug)]
struct Workflow {
    /// The workflow's name
    #[arg(value_name = "WORKFLOW")]
    name: String,
}

pub(super) const COLUMNS: &[Column] = &[
    id("WORKFLOW", "name"),
    text("VERSION", "version").spare(),
    read("STEPS", "", steps),
    text("HELD BY", "held.by"),
    text("REASON", "held.reason").spare(),
];

const STEPS: &[Column] = &[
    id("STEP", "name"),
    text("AFTER", "depends_on"),
    text("ATTEMPTS", "attempts").spare(),
    text("THEN", "rescue").spare(),
    text("GATE", "gate").spare(),
];

/// How many it has.
fn steps(workflow: &Value) -> String {
    show::list(workflow, "steps").len().to_string()
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
                let workflows = page.get(client, "/workflows").await?;
                view.list(&workflows, COLUMNS, "no workflow");
            }
            Self::Show(workflow) => {
                let workflow = client.get(&workflow.path(), &[]).await?;
                view.object(&workflow, COLUMNS);
                if view.is_for_people() {
                    terminal::print("");
                    let steps = show::list(&workflow, "steps");
                    terminal::print(super::view::listed(steps, STEPS, terminal::width()));
                }
            }
            Self::Hold { workflow, why } => {
                let path = format!("{}/hold", workflow.path());
                view.object(&client.post(&path, &why.body()).await?, COLUMNS);
            }
            Self::Release { workflow, why } => {
                let path = format!("{}/release", workflow.path());
                view.object(&client.post(&path, &why.body()).await?, COLUMNS);
            }
            Self::Graph { workflow, drawn } => return drawn.print(client, &workflow.path()).await,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Workflow {
    fn path(&self) -> String {
        format!("/workflows/{}", segment(&self.name))
    }
}
