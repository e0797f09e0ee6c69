//! `wharfinger user …`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::client::{Client, ClientError, Connection, segment};
use super::page::Page;
use super::secret::NewPassword;
use super::view::{Column, View, id, text, time};
use crate::config::Environment;

/// A verb on users, and the server to ask.
#[derive(Args, Debug)]
pub(crate) struct Command {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List users: all of them if you manage access, else yourself
    List(Page),
    /// Show a user; `me` is yourself
    Show(User),
    /// Make a user, who may do nothing until somebody grants a role
    Create(New),
    /// Change a user
    Update(Update),
    /// Delete a user; tasks and pushes keep the name
    Delete(User),
}

#[derive(Args, Debug)]
struct User {
    /// What the user logs in as
    login: String,
}

#[derive(Args, Debug)]
struct New {
    #[command(flatten)]
    user: User,
    #[command(flatten)]
    password: NewPassword,
    #[command(flatten)]
    about: About,
}

#[derive(Args, Debug)]
struct Update {
    #[command(flatten)]
    user: User,
    #[command(flatten)]
    password: NewPassword,
    #[command(flatten)]
    about: About,
}

#[derive(Args, Debug, Serialize)]
struct About {
    /// What people call the user
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The address to write to; given empty: none
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// Whether the user may log in
    #[arg(long, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
}

pub(super) const COLUMNS: &[Column] = &[
    id("ID", "id"),
    text("LOGIN", "login"),
    text("NAME", "name").spare(),
    text("EMAIL", "email").spare(),
    text("ENABLED", "enabled"),
    time("CREATED", "created_at").spare(),
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
                view.list(&page.get(client, "/users").await?, COLUMNS, "no user");
            }
            Self::Show(user) => view.object(&client.get(&user.path(), &[]).await?, COLUMNS),
            Self::Create(new) => {
                let mut body = json!(new.about);
                body["password"] = json!(new.password.given_or_typed(&new.user.login)?);
                body["login"] = json!(new.user.login);
                view.object(&client.post("/users", &body).await?, COLUMNS);
            }
            Self::Update(update) => {
                let mut body = json!(update.about);
                if let Some(password) = update.password.given()? {
                    body["password"] = json!(password);
                }
                let path = update.user.path();
                view.object(&client.patch(&path, &body).await?, COLUMNS);
            }
            Self::Delete(user) => {
                client.delete(&user.path()).await?;
                view.done(format!("user {} is deleted", user.login));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl User {
    fn path(&self) -> String {
        format!("/users/{}", segment(&self.login))
    }
}
