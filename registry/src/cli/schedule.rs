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
    RunNow {
        #[command(flatten)]
        schedule: Schedule,
        /// Why, for the audit
        #[arg(long, value_name = "WORDS")]
        reason: Option<String>,
    },
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

/// The members of a flattened struct belong to no group: each of these is named in its own.
#[derive(Args, Debug, Serialize)]
#[group(id = "changes", required = true, multiple = true, args = [
    "name", "cron", "input", "time_zone", "missed", "end_at", "max_runs", "enabled",
])]
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
    /// Why, for the audit
    #[arg(long, value_name = "WORDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
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
            Self::RunNow { schedule, reason } => {
                let path = format!("{}/run_now", schedule.path());
                let body = reason.map_or(json!({}), |why| json!({"reason": why}));
                view.object(&client.post(&path, &body).await?, TASK);
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
    use clap::Parser as _;
    use engine::schedule::Missed;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        changes: Changes,
    }

    #[test]
    fn each_change_of_a_schedule_can_be_asked_for_alone() {
        for change in [
            "--name=x",
            "--cron=@daily",
            "--input={}",
            "--time-zone=Europe/Berlin",
            "--missed=skip",
            "--end-at=2030-01-31T12:00:00Z",
            "--max-runs=3",
            "--enabled=false",
        ] {
            let line = Line::try_parse_from(["update", change, "--reason=why"]);

            let body = json!(
                line.map(|line| line.changes)
                    .map_err(|it| it.to_string())
                    .unwrap()
            );
            assert_eq!(body.as_object().unwrap().len(), 2, "{change}: {body}");
        }
        assert!(Line::try_parse_from(["update", "--reason=why"]).is_err());
    }

    #[test]
    fn what_the_command_line_offers_the_server_takes() {
        assert!(POLICIES.iter().all(|word| word.parse::<Missed>().is_ok()));
    }
}
