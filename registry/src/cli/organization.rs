//! `wharfinger organization …`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::answer::Answer;
use super::client::{Client, ClientError, Connection, segment};
use super::delete::{Delete, names, tags};
use super::page::Page;
use super::view::{Column, View, id, read, text, time};
use crate::config::Environment;

/// A verb on organizations, and the server to ask.
#[derive(Args, Debug)]
pub(crate) struct Command {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the organizations in which you have a role
    List(Page),
    /// Show an organization
    Show(Organization),
    /// Make an organization
    Create(New),
    /// Change an organization's name; its label never changes
    Update {
        #[command(flatten)]
        organization: Organization,
        /// What people call it
        #[arg(long)]
        name: String,
    },
    /// Delete an organization with everything in it; `task revert` takes that back
    Delete {
        #[command(flatten)]
        organization: Organization,
        #[command(flatten)]
        delete: Delete,
    },
}

#[derive(Args, Debug)]
struct Organization {
    /// The organization's label
    #[arg(value_name = "ORGANIZATION")]
    label: String,
}

#[derive(Args, Debug, Serialize)]
struct New {
    /// The label, which stands in the names of images and never changes
    label: String,
    /// What people call it
    #[arg(long)]
    name: String,
}

pub(super) const COLUMNS: &[Column] = &[
    id("ID", "id"),
    text("LABEL", "label"),
    text("NAME", "name").spare(),
    time("CREATED", "created_at").spare(),
];

const WOULD_DELETE: &[Column] = &[
    text("WOULD DELETE", "organization"),
    text("PRODUCTS", "products"),
    text("ENVIRONMENTS", "environments"),
    text("ROBOTS", "robots"),
    read("REPOSITORIES", "repositories", names),
    read("TAGS", "repositories", tags),
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
                let body = page.get(client, "/organizations").await?;
                view.list(&body, COLUMNS, "no organization that you may see");
            }
            Self::Show(organization) => {
                view.object(&client.get(&organization.path(), &[]).await?, COLUMNS);
            }
            Self::Create(new) => {
                view.object(&client.post("/organizations", &json!(new)).await?, COLUMNS);
            }
            Self::Update { organization, name } => {
                let body = json!({ "name": name });
                view.object(&client.patch(&organization.path(), &body).await?, COLUMNS);
            }
            Self::Delete {
                organization,
                delete,
            } => {
                let show = |view: View, would: &Answer| view.object(would, WOULD_DELETE);
                let path = organization.path();
                return delete.run(client, view, &path, show).await;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Organization {
    fn path(&self) -> String {
        format!("/organizations/{}", segment(&self.label))
    }
}
