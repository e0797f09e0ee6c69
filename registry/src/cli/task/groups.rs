//! `wharfinger task groups` and `resume-group`: tasks that were stopped by the same thing.

use std::process::ExitCode;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use super::bulk::How;
use crate::cli::client::{Client, ClientError, segment};
use crate::cli::view::{Column, View, age, id, read, text};
use crate::cli::{show, terminal};

const STATES: [&str; 2] = ["paused", "stopped"];

/// `task groups`.
#[derive(Args, Debug)]
pub(super) struct Groups {
    /// Which tasks: those that are paused, or those that have stopped with an error
    #[arg(long, default_value = "paused", value_parser = PossibleValuesParser::new(STATES))]
    state: String,
}

/// `task resume-group`.
#[derive(Args, Debug)]
pub(super) struct ResumeGroup {
    /// The group's key, as `task groups` shows it
    #[arg(value_name = "GROUP")]
    key: String,
    #[command(flatten)]
    how: How,
}

pub(in crate::cli) const COLUMNS: &[Column] = &[
    id("GROUP", "key"),
    read("TASKS", "count", show::text),
    text("STEP", "step"),
    text("MESSAGE", "message"),
    text("CLASS", "class").spare(),
    age("SINCE", "since").spare(),
];

impl Groups {
    pub(super) async fn run(&self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        let query = [("state", self.state.as_str())];
        let body = client.get("/tasks/groups", &query).await?;
        view.list(&body, COLUMNS, &format!("no task is {}", self.in_words()));
        if view.is_for_people()
            && let Some(said) = cut(&body)
        {
            terminal::print(said);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn in_words(&self) -> &'static str {
        if self.state == "stopped" {
            "stopped with an error"
        } else {
            "paused"
        }
    }
}

/// That there are more tasks than were looked at, if there are.
fn cut(body: &Value) -> Option<String> {
    let (looked_at, tasks) = (body["looked_at"].as_u64()?, body["tasks"].as_u64()?);
    (looked_at < tasks).then(|| format!("of {tasks} tasks, the {looked_at} newest were looked at"))
}

impl ResumeGroup {
    pub(super) async fn run(&self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        let path = format!("/tasks/groups/{}/resume", segment(&self.key));
        self.how.post(client, view, &path, json!({})).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_was_cut_says_so() {
        let said = |looked_at: u64| cut(&json!({"looked_at": looked_at, "tasks": 12_000}));

        assert_eq!(said(12_000), None);
        assert_eq!(
            said(10_000).unwrap(),
            "of 12000 tasks, the 10000 newest were looked at"
        );
    }
}
