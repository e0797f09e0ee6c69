//! `wharfinger audit …`: who changed what, and who was refused.

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use super::client::{Client, ClientError, Connection};
use super::page::Page;
use super::view::{Column, View, text, time};
use crate::config::Environment;

/// A verb on the audit, and the server to ask.
#[derive(Args, Debug)]
pub(crate) struct Command {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List changes and refusals, the newest first
    List {
        #[command(flatten)]
        about: About,
        #[command(flatten)]
        page: Page,
    },
}

#[derive(Args, Debug)]
struct About {
    /// Only what this login did or was refused
    #[arg(long, value_name = "LOGIN")]
    actor: Option<String>,
    /// Only this action, for example: change
    #[arg(long)]
    action: Option<String>,
    /// Only what was done to this, for example: repository acme/tools/app
    #[arg(long)]
    subject: Option<String>,
    /// Only with this result
    #[arg(long, value_parser = PossibleValuesParser::new(["done", "refused"]))]
    result: Option<String>,
}

pub(super) const COLUMNS: &[Column] = &[
    time("AT", "at"),
    text("ACTOR", "actor"),
    text("ACTION", "action"),
    text("SUBJECT", "subject"),
    text("FROM", "from"),
    text("RESULT", "result"),
    text("REASON", "reason"),
];

/// Runs the verb.
pub(crate) async fn command(command: Command, environment: &Environment) -> ExitCode {
    let verb = command.verb;
    let run = async move |client: &Client, view: View| verb.run(client, view).await;
    command.connection.run(environment, run).await
}

impl Verb {
    async fn run(self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        let Self::List { about, page } = self;
        let about = [
            ("actor", &about.actor),
            ("action", &about.action),
            ("subject", &about.subject),
            ("result", &about.result),
        ];
        let body = page.narrowed(client, "/audit", &about).await?;
        view.list(&body, COLUMNS, "nothing in the audit fits");
        Ok(ExitCode::SUCCESS)
    }
}
