//! `wharfinger token …`: one's own personal tokens.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::client::{Client, ClientError, Connection};
use super::page::Page;
use super::role::permissions;
use super::view::{Column, View, age, id, text, time};
use crate::config::Environment;

/// A verb on personal tokens, and the server to ask.
#[derive(Args, Debug)]
pub(crate) struct Command {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List your tokens, without their secrets
    List(Page),
    /// Show a token, without its secret
    Show(Token),
    /// Make a token, which is a password too; it is shown once, and never again
    Create(New),
    /// Revoke a token at once
    Delete(Token),
}

#[derive(Args, Debug)]
struct Token {
    /// The token's id
    #[arg(value_name = "ID")]
    id: i64,
}

#[derive(Args, Debug, Serialize)]
struct New {
    /// What you call it
    name: String,
    /// Until when it counts, for example: 2030-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// All that can be done with it, separated by commas; without it: whatever you may
    #[arg(long, value_name = "PERMISSION", value_delimiter = ',', value_parser = permissions())]
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Vec<String>>,
}

pub(super) const COLUMNS: &[Column] = &[
    id("ID", "id"),
    text("NAME", "name"),
    text("SCOPE", "scope").spare(),
    age("USED", "last_used_at").spare(),
    time("EXPIRES", "expires_at"),
];

/// A token just made, with what is never shown again.
const MADE: &[Column] = &[
    id("ID", "id"),
    text("NAME", "name"),
    text("SCOPE", "scope"),
    time("EXPIRES", "expires_at"),
    id("TOKEN", "token"),
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
                view.list(&page.get(client, "/tokens").await?, COLUMNS, "no token");
            }
            Self::Show(token) => view.object(&client.get(&token.path(), &[]).await?, COLUMNS),
            Self::Create(new) => view.object(&client.post("/tokens", &json!(new)).await?, MADE),
            Self::Delete(token) => {
                client.delete(&token.path()).await?;
                view.done(format!("token {} is revoked", token.id));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Token {
    fn path(&self) -> String {
        format!("/tokens/{}", self.id)
    }
}
