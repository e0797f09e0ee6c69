//! `wharfinger role …`.

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::client::{Client, ClientError, Connection, segment};
use super::page::Page;
use super::view::{Column, View, text};
use crate::config::Environment;

/// A verb on roles, and the server to ask.
#[derive(Args, Debug)]
pub(crate) struct Command {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List all roles with what they give
    List(Page),
    /// Show a role with what it gives
    Show(Role),
    /// Make a role of your own
    Create(New),
    /// Change what a role of your own gives; built-in roles never change
    Update(New),
    /// Delete a role of your own that nobody has
    Delete(Role),
}

#[derive(Args, Debug)]
struct Role {
    /// The role's name
    #[arg(value_name = "ROLE")]
    name: String,
}

#[derive(Args, Debug, Serialize)]
struct New {
    /// The role's name
    #[arg(value_name = "ROLE")]
    name: String,
    /// What it gives, separated by commas
    #[arg(long, value_name = "PERMISSION", value_delimiter = ',', required = true, value_parser = permissions())]
    permissions: Vec<String>,
}

#[rustfmt::skip]
const PERMISSIONS: [&str; 13] = [
    "pull", "push", "create_repositories", "create_products", "delete", "promote", "view_tasks", "operate_tasks",
    "manage_products", "manage_proxies", "manage_schedules", "manage_access", "admin",
];

/// Reads the name of a permission.
pub(super) fn permissions() -> PossibleValuesParser {
    PossibleValuesParser::new(PERMISSIONS)
}

pub(super) const COLUMNS: &[Column] = &[
    text("ROLE", "name"),
    text("PERMISSIONS", "permissions"),
    text("BUILT IN", "built_in").spare(),
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
                view.list(&page.get(client, "/roles").await?, COLUMNS, "no role");
            }
            Self::Show(role) => {
                view.object(&client.get(&path(&role.name), &[]).await?, COLUMNS);
            }
            Self::Create(new) => {
                view.object(&client.post("/roles", &json!(new)).await?, COLUMNS);
            }
            Self::Update(new) => {
                let body = json!({ "permissions": new.permissions });
                view.object(&client.patch(&path(&new.name), &body).await?, COLUMNS);
            }
            Self::Delete(role) => {
                client.delete(&path(&role.name)).await?;
                view.done(format!("role {} is deleted", role.name));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn path(name: &str) -> String {
    format!("/roles/{}", segment(name))
}

#[cfg(test)]
mod tests {
    use storage::catalog::roles::Permission;
    use strum::IntoEnumIterator as _;

    use super::*;

    #[test]
    fn the_command_line_offers_every_permission() {
        let all: Vec<String> = Permission::iter().map(|it| it.to_string()).collect();

        assert_eq!(PERMISSIONS.to_vec(), all);
    }
}
