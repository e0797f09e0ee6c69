//! `wharfinger audit …`: who changed what, and who was refused.

use std::process::ExitCode;

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
        /// Only those that this search finds, for example: actor = ana and result = refused
        #[arg(long, value_name = "QUERY")]
        search: Option<String>,
        #[command(flatten)]
        page: Page,
    },
}

pub(super) const COLUMNS: &[Column] = &[
    time("AT", "at"),
    text("ACTOR", "actor"),
    text("ACTION", "action"),
    text("SUBJECT", "subject"),
    text("FROM", "from").spare(),
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
        let Self::List { search, page } = self;
        let search = [("search", &search)];
        let body = page.narrowed(client, "/audit", &search).await?;
        view.list(&body, COLUMNS, "nothing in the audit matches");
        Ok(ExitCode::SUCCESS)
    }
}
