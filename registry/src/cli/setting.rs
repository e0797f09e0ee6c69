//! `wharfinger setting …`: what administrators change while the registry runs.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, ClientError, Connection, segment};
use super::view::{Column, View, text};
use crate::config::Environment;

/// A verb on settings, and the server to ask.
#[derive(Args, Debug)]
pub(crate) struct Command {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List all settings with their values
    List,
    /// Show a setting
    Show(Setting),
    /// Change a setting, from now on
    Update {
        #[command(flatten)]
        setting: Setting,
        /// Its value: true, a number, or a text
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
}

#[derive(Args, Debug)]
struct Setting {
    /// The setting's name
    #[arg(value_name = "SETTING")]
    name: String,
}

pub(super) const COLUMNS: &[Column] = &[
    text("SETTING", "name"),
    text("TYPE", "type").spare(),
    text("VALUE", "value"),
    text("DEFAULT", "default").spare(),
    text("DESCRIPTION", "description").spare(),
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
            Self::List => {
                view.list(&client.get("/settings", &[]).await?, COLUMNS, "no setting");
            }
            Self::Show(setting) => view.object(&client.get(&setting.path(), &[]).await?, COLUMNS),
            Self::Update { setting, value } => {
                let body = json!({ "value": typed(&value) });
                view.object(&client.patch(&setting.path(), &body).await?, COLUMNS);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Setting {
    fn path(&self) -> String {
        format!("/settings/{}", segment(&self.name))
    }
}

/// What reads as JSON is meant so; all else is a text.
fn typed(value: &str) -> Value {
    serde_json::from_str(value).unwrap_or_else(|_| json!(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_truth_a_number_or_a_text() {
        assert_eq!(typed("true"), json!(true));
        assert_eq!(typed("-3"), json!(-3));
        assert_eq!(typed("7d"), json!("7d"));
        assert_eq!(typed("\"true\""), json!("true"));
    }
}
