//! `wharfinger environment …`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::client::{Client, ClientError, Connection, segment};
use super::page::Page;
use super::view::{Column, View, id, text, time};
use crate::config::Environment as Variables;

/// A verb on environments, and the server to ask.
#[derive(Args, Debug)]
pub(crate) struct Command {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List an organization's environments, Library first
    List {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        page: Page,
    },
    /// Show an environment
    Show(Environment),
    /// Make an environment that follows another one
    Create {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        new: New,
    },
    /// Change an environment; its label and what it follows never change
    Update {
        #[command(flatten)]
        environment: Environment,
        #[command(flatten)]
        changes: Changes,
    },
    /// Delete an environment that publishes nothing and that no other one follows
    Delete(Environment),
}

/// Whose environment.
#[derive(Args, Debug)]
struct Of {
    /// The label of the environment's organization
    #[arg(long, value_name = "LABEL")]
    organization: String,
}

#[derive(Args, Debug)]
struct Environment {
    /// The environment's label
    #[arg(value_name = "ENVIRONMENT")]
    label: String,
    #[command(flatten)]
    of: Of,
}

#[derive(Args, Debug, Serialize)]
struct New {
    /// The label, which stands in the names of images and never changes
    label: String,
    /// What people call it
    #[arg(long)]
    name: String,
    /// The label of the environment that it follows, for example Library
    #[arg(long, value_name = "LABEL")]
    prior: String,
    /// How it names what it publishes, for example `<%= repository.label %>`; left out: by labels
    #[arg(long, value_name = "PATTERN")]
    #[serde(skip_serializing_if = "Option::is_none")]
    registry_name_pattern: Option<String>,
    /// Whether anybody may pull what it publishes without a login
    #[arg(long, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymous_pull: Option<bool>,
}

#[derive(Args, Debug, Serialize)]
#[group(required = true, multiple = true)]
struct Changes {
    /// What people call it
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// How it names what it publishes; given empty: without a pattern
    #[arg(long, value_name = "PATTERN")]
    #[serde(skip_serializing_if = "Option::is_none")]
    registry_name_pattern: Option<String>,
    /// Whether anybody may pull what it publishes without a login
    #[arg(long, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymous_pull: Option<bool>,
}

pub(super) const COLUMNS: &[Column] = &[
    id("ID", "id"),
    text("LABEL", "label"),
    text("NAME", "name").spare(),
    text("ORGANIZATION", "organization").spare(),
    text("PRIOR", "prior"),
    text("NAME PATTERN", "registry_name_pattern").spare(),
    text("ANONYMOUS PULL", "anonymous_pull").spare(),
    time("CREATED", "created_at").spare(),
];

/// Runs the verb.
pub(crate) async fn command(command: Command, variables: &Variables) -> ExitCode {
    let verb = command.verb;
    let run = async move |client: &Client, view: View| verb.run(client, view).await;
    command.connection.run(variables, run).await
}

impl Verb {
    async fn run(self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        match self {
            Self::List { of, page } => {
                let body = page.get(client, &of.environments()).await?;
                view.list(&body, COLUMNS, "no environment");
            }
            Self::Show(environment) => {
                view.object(&client.get(&environment.path(), &[]).await?, COLUMNS);
            }
            Self::Create { of, new } => {
                let body = client.post(&of.environments(), &json!(new)).await?;
                view.object(&body, COLUMNS);
            }
            Self::Update {
                environment,
                changes,
            } => {
                let body = client.patch(&environment.path(), &json!(changes)).await?;
                view.object(&body, COLUMNS);
            }
            Self::Delete(environment) => {
                client.delete(&environment.path()).await?;
                view.done(format!("environment {} is deleted", environment.label));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Of {
    fn environments(&self) -> String {
        format!(
            "/organizations/{}/environments",
            segment(&self.organization)
        )
    }
}

impl Environment {
    fn path(&self) -> String {
        format!("{}/{}", self.of.environments(), segment(&self.label))
    }
}
