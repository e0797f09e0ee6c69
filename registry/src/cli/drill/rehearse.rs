//! `wharfinger drill rehearse` and `drill marks`: a task to practise on.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::cli::client::{Client, ClientError};
use crate::cli::task;
use crate::cli::view::{Column, View, text, time};
use crate::cli::{show, terminal};

/// What the rehearsal is like; the server knows what is usual.
#[derive(Args, Debug, Serialize)]
pub(super) struct Rehearse {
    /// How many sub-tasks it has
    #[arg(long, value_name = "NUMBER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<u32>,
    /// How long each sub-task works, and the step that must not run twice
    #[arg(long, value_name = "MILLISECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    work_ms: Option<u64>,
    /// How long the work elsewhere takes
    #[arg(long, value_name = "MILLISECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    elsewhere_ms: Option<u64>,
    /// How long it waits for the event "go"
    #[arg(long, value_name = "MILLISECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    event_ms: Option<u64>,
    /// Fail without the event; otherwise it goes on when the time is over
    #[arg(long)]
    event_needed: bool,
    /// How long it waits after the event
    #[arg(long, value_name = "MILLISECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_ms: Option<u64>,
    /// Come after other rehearsals on this stage
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<String>,
    /// A step whose first attempts fail for good, for example: finish or finish=2
    #[arg(long, value_name = "STEP[=TIMES]", value_parser = failing)]
    #[serde(skip)]
    fail: Vec<Failing>,
    /// A step whose first attempts fail in a way that can pass
    #[arg(long, value_name = "STEP[=TIMES]", value_parser = failing)]
    #[serde(skip)]
    fail_transient: Vec<Failing>,
    /// A step that cannot be undone at first
    #[arg(long, value_name = "STEP[=TIMES]", value_parser = failing)]
    #[serde(skip)]
    fail_undo: Vec<Failing>,
}

/// A step, and how many of its attempts fail.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failing {
    step: String,
    attempts: u32,
}

/// Reads `finish` and `finish=2`.
fn failing(text: &str) -> Result<Failing, String> {
    let (step, times) = text.split_once('=').unwrap_or((text, "1"));
    let attempts = times
        .parse()
        .map_err(|_| format!("{times:?} is no number of times; write for example \"finish=2\""))?;
    Ok(Failing {
        step: step.to_owned(),
        attempts,
    })
}

impl Rehearse {
    fn body(&self) -> serde_json::Value {
        let mut body = json!(self);
        let fault = |fault: &Failing, transient: bool, undo: bool| json!({"step": fault.step, "attempts": fault.attempts, "transient": transient, "undo": undo});
        let faults = self.fail.iter().map(|it| fault(it, false, false));
        let faults = faults.chain(self.fail_transient.iter().map(|it| fault(it, true, false)));
        let faults = faults.chain(self.fail_undo.iter().map(|it| fault(it, false, true)));
        body["faults"] = faults.collect();
        body
    }

    pub(super) async fn run(&self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        let begun = client.post("/drills/rehearsals", &self.body()).await?;
        task::print(&begun, view);
        Ok(ExitCode::SUCCESS)
    }
}

pub(in crate::cli) const COLUMNS: &[Column] = &[
    text("STEP", "step"),
    text("RUNS", "runs"),
    time("LEFT", "left_at"),
];

/// Shows the marks that a rehearsal has left.
pub(super) async fn marks(client: &Client, view: View, task: Uuid) -> Result<(), ClientError> {
    let answer = client
        .get(&format!("/drills/rehearsals/{task}"), &[])
        .await?;
    if !view.is_for_people() {
        show::json(&answer);
        return Ok(());
    }
    match show::list(&answer, "marks") {
        [] => terminal::print("nothing is left of it"),
        marks => terminal::print(crate::cli::view::listed(marks, COLUMNS, terminal::width())),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_fails_once_unless_it_is_said_how_often() {
        let fails = |step: &str, attempts| {
            Ok(Failing {
                step: step.to_owned(),
                attempts,
            })
        };

        assert_eq!(failing("finish"), fails("finish", 1));
        assert_eq!(failing("play=3"), fails("play", 3));
        assert_eq!(
            failing("play=often"),
            Err("\"often\" is no number of times; write for example \"finish=2\"".to_owned())
        );
    }
}
