//! `wharfinger robot …`: logins of programs, each of one organization.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::client::{Client, ClientError, Connection};
use super::page::Page;
use super::view::{Column, View, age, id, text, time};
use crate::config::Environment;

/// A verb on robots, and the server to ask.
#[derive(Args, Debug)]
pub(crate) struct Command {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the robots of organizations whose access you manage
    List(Page),
    /// Show a robot
    Show(Robot),
    /// Make a robot; its token is shown once, and never again
    Create(New),
    /// Change a robot
    Update {
        #[command(flatten)]
        robot: Robot,
        #[command(flatten)]
        changes: Changes,
    },
    /// Delete a robot; its token counts no more
    Delete(Robot),
}

#[derive(Args, Debug)]
struct Robot {
    /// The robot's id
    #[arg(value_name = "ROBOT")]
    id: i64,
}

#[derive(Args, Debug, Serialize)]
struct New {
    /// What it is called in its organization
    name: String,
    /// The label of its organization
    #[arg(long, value_name = "LABEL")]
    organization: String,
}

#[derive(Args, Debug, Serialize)]
#[group(required = true, multiple = true)]
struct Changes {
    /// Whether the robot may log in
    #[arg(long, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    /// Give it a new token, which is shown once; the one before counts no more
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    renew_token: bool,
}

pub(super) const COLUMNS: &[Column] = &[
    id("ID", "id"),
    text("LOGIN", "login"),
    text("ORGANIZATION", "organization").spare(),
    text("ENABLED", "enabled"),
    age("USED", "last_used_at").spare(),
    time("CREATED", "created_at").spare(),
];

/// A robot with the token that it was just given, which is never shown again.
const WITH_TOKEN: &[Column] = &[
    id("ID", "id"),
    text("LOGIN", "login"),
    text("ORGANIZATION", "organization"),
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
                let body = page.get(client, "/robots").await?;
                view.list(&body, COLUMNS, "no robot that you may see");
            }
            Self::Show(robot) => view.object(&client.get(&robot.path(), &[]).await?, COLUMNS),
            Self::Create(new) => {
                view.object(&client.post("/robots", &json!(new)).await?, WITH_TOKEN);
            }
            Self::Update { robot, changes } => {
                let body = client.patch(&robot.path(), &json!(changes)).await?;
                view.object(
                    &body,
                    if changes.renew_token {
                        WITH_TOKEN
                    } else {
                        COLUMNS
                    },
                );
            }
            Self::Delete(robot) => {
                client.delete(&robot.path()).await?;
                view.done(format!("robot {} is deleted", robot.id));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Robot {
    fn path(&self) -> String {
        format!("/robots/{}", self.id)
    }
}
