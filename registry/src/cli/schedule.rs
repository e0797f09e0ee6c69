//! `wharfinger schedule …`: what runs again and again.

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};

use super::client::{Client, ClientError, Connection};
use super::page::Page;
use super::view::{Column, View, id, read, text, time};
use super::{show, terminal};
use crate::config::Environment;

const POLICIES: [&str; 3] = ["skip", "once", "all"];

/// A verb on schedules, and the server to ask.
#[derive(Args, Debug)]
pub(crate) struct Command {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List schedules
    List(Page),
    /// Show a schedule
    Show(Schedule),
    /// Make a schedule
    Create(New),
    /// Change a schedule
    Update {
        #[command(flatten)]
        schedule: Schedule,
        #[command(flatten)]
        changes: Changes,
    },
    /// Delete a schedule; its tasks stay
    Delete(Schedule),
    /// Run a schedule once, besides its times
    RunNow(Schedule),
    /// Tell when a schedule runs next
    NextRuns {
        #[command(flatten)]
        schedule: Schedule,
        /// How many runs are shown
        #[arg(long, value_name = "NUMBER", default_value_t = 5)]
        count: u32,
    },
}

#[derive(Args, Debug)]
struct Schedule {
    /// The schedule's id
    #[arg(value_name = "SCHEDULE")]
    id: i64,
}

#[derive(Args, Debug, Serialize)]
struct New {
    /// What it is called
    name: String,
    /// The workflow that it runs
    #[arg(long)]
    workflow: String,
    /// When it runs, for example: "30 2 * * *" or @daily
    #[arg(long, value_name = "LINE")]
    cron: String,
    /// The input of each run, as JSON
    #[arg(long, value_name = "JSON", value_parser = as_json)]
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Value>,
    /// Where the line is meant, for example: Europe/Berlin; without it: UTC
    #[arg(long, value_name = "ZONE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    both: Both,
}

#[derive(Args, Debug, Serialize)]
#[group(required = true, multiple = true)]
struct Changes {
    /// What it is called
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// When it runs, for example: "30 2 * * *" or @daily
    #[arg(long, value_name = "LINE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cron: Option<String>,
    /// The input of each run, as JSON
    #[arg(long, value_name = "JSON", value_parser = as_json)]
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Value>,
    /// Where the line is meant, for example: Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    both: Both,
}

#[derive(Args, Debug, Serialize)]
struct Both {
    /// What becomes of runs whose time came while the server was off
    #[arg(long, value_parser = PossibleValuesParser::new(POLICIES))]
    #[serde(skip_serializing_if = "Option::is_none")]
    missed: Option<String>,
    /// When it ends, for example: 2030-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    end_at: Option<String>,
    /// After how many runs it ends
    #[arg(long, value_name = "NUMBER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_runs: Option<u32>,
    /// Whether it runs
    #[arg(long, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
}

fn as_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

pub(super) const COLUMNS: &[Column] = &[
    id("ID", "id"),
    text("NAME", "name"),
    text("WORKFLOW", "workflow").spare(),
    id("CRON", "cron"),
    text("ZONE", "time_zone").spare(),
    read("NEXT", "next_run_at", next),
    time("LAST", "last_run_at").spare(),
    text("RUNS", "runs").spare(),
    text("ENABLED", "enabled").spare(),
];

const TASK: &[Column] = &[id("TASK", "task_id")];

fn next(at: &Value) -> String {
    if at.is_null() {
        "not any more".to_owned()
    } else {
        show::time(at)
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
                let body = page.get(client, "/schedules").await?;
                view.list(&body, COLUMNS, "no schedule");
            }
            Self::Show(schedule) => {
                view.object(&client.get(&schedule.path(), &[]).await?, COLUMNS);
            }
            Self::Create(new) => {
                view.object(&client.post("/schedules", &json!(new)).await?, COLUMNS);
            }
            Self::Update { schedule, changes } => {
                let body = client.patch(&schedule.path(), &json!(changes)).await?;
                view.object(&body, COLUMNS);
            }
            Self::Delete(schedule) => {
                client.delete(&schedule.path()).await?;
                view.done(format!("schedule {} is deleted", schedule.id));
            }
            Self::RunNow(schedule) => {
                let path = format!("{}/run_now", schedule.path());
                view.object(&client.post(&path, &json!({})).await?, TASK);
            }
            Self::NextRuns { schedule, count } => {
                let path = format!("{}/next_runs", schedule.path());
                let body = client.get(&path, &[("n", &count.to_string())]).await?;
                if view.is_for_people() {
                    match show::list(&body, "next_runs") {
                        [] => terminal::print("it does not run any more"),
                        times => times.iter().for_each(|at| terminal::print(show::time(at))),
                    }
                } else {
                    view.object(&body, COLUMNS);
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Schedule {
    fn path(&self) -> String {
        format!("/schedules/{}", self.id)
    }
}

#[cfg(test)]
mod tests {
    use engine::schedule::Missed;

    use super::*;

    #[test]
    fn what_the_command_line_offers_the_server_takes() {
        assert!(POLICIES.iter().all(|word| word.parse::<Missed>().is_ok()));
    }
}
