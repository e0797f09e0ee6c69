//! `wharfinger drill …`: trouble on purpose, so that recovery can be practised.

mod rehearse;

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};

use super::client::{Client, ClientError, Connection};
use super::page::Page;
use super::view::{Column, View, id, read, text};
use crate::config::Environment;

const EFFECTS: [&str; 4] = ["fail", "fail_transient", "crash", "stall"];
const SIDES: [&str; 2] = ["before", "after"];

/// A verb on drills, and the server to ask.
#[derive(Args, Debug)]
pub(crate) struct Command {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the drills that are on
    List(Page),
    /// Begin a drill; only on a server that was started with --allow-drills
    Create(New),
    /// End a drill
    Delete {
        /// The drill's id
        #[arg(value_name = "DRILL")]
        id: i64,
    },
    /// Begin a rehearsal: a task to practise on, with every kind of step
    Rehearse(rehearse::Rehearse),
    /// Show what a rehearsal, or one of its sub-tasks, has left behind
    Marks {
        /// The task's id
        #[arg(value_name = "TASK")]
        id: uuid::Uuid,
    },
}

#[derive(Args, Debug, Serialize)]
struct New {
    /// The step that is disturbed, for example: copy
    step: String,
    /// What becomes of it
    #[arg(value_parser = PossibleValuesParser::new(EFFECTS))]
    effect: String,
    /// Disturb what undoes the step, not the step: so a revert fails
    #[arg(long)]
    undo: bool,
    /// The workflow of the step
    #[arg(long, default_value = "push")]
    workflow: String,
    /// Only in tasks of the repository that is pushed by this name
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<String>,
    /// Only in tasks of this tag
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    /// Whether the process crashes before or after the step's record
    #[arg(long, value_parser = PossibleValuesParser::new(SIDES))]
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<String>,
    /// How many runs of the step are disturbed; without it: until the drill is deleted
    #[arg(long, value_name = "NUMBER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    /// How long a stalled step hangs
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    stall_seconds: Option<u64>,
}

pub(super) const COLUMNS: &[Column] = &[
    id("ID", "id"),
    text("WORKFLOW", "workflow").spare(),
    text("STEP", "step"),
    text("EFFECT", "effect"),
    text("REPOSITORY", "repository"),
    text("TAG", "tag"),
    read("TIMES LEFT", "times_left", times_left),
    read("BEFALLS", "undo", befalls),
];

fn befalls(undo: &Value) -> String {
    let befalls = if undo == true { "undoing" } else { "the step" };
    befalls.to_owned()
}

fn times_left(times: &Value) -> String {
    match times.as_u64() {
        None => "all".to_owned(),
        Some(0) => "used up".to_owned(),
        Some(times) => times.to_string(),
    }
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
                view.list(
                    &page.get(client, "/drills").await?,
                    COLUMNS,
                    "no drill is on",
                );
            }
            Self::Create(new) => {
                view.object(&client.post("/drills", &json!(new)).await?, COLUMNS);
            }
            Self::Delete { id } => {
                client.delete(&format!("/drills/{id}")).await?;
                view.done(format!("drill {id} has ended"));
            }
            Self::Rehearse(wanted) => return wanted.run(client, view).await,
            Self::Marks { id } => rehearse::marks(client, view, id).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use storage::catalog::drills::{CrashWhen, Effect};

    use super::*;

    #[test]
    fn a_drill_that_disturbs_nothing_any_more_says_so() {
        let shown = [json!(null), json!(2), json!(0)].map(|times| times_left(&times));

        assert_eq!(shown, ["all", "2", "used up"]);
    }

    #[test]
    fn what_the_command_line_offers_the_server_takes() {
        assert!(
            EFFECTS
                .iter()
                .all(|effect| effect.parse::<Effect>().is_ok())
        );
        assert!(SIDES.iter().all(|side| side.parse::<CrashWhen>().is_ok()));
    }
}
