//! What is wrong with a schedule, field by field.

use chrono::DateTime;
use engine::clock::Timestamp;
use engine::journal::Json;
use engine::node::NodeError;
use engine::schedule::{CronLine, Zone};
use engine::workflow::InputError;
use serde_json::Value;

use crate::api::problem::{Problem, WrongField};
use crate::schedules::{FOR_DRILLS, SCHEDULABLE};

/// What the body gives; what it does not give is not checked.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) workflow: Option<&'a str>,
    pub(super) input: Option<&'a Value>,
    pub(super) cron: Option<&'a str>,
    pub(super) time_zone: Option<&'a str>,
    pub(super) end_at: Option<&'a str>,
    pub(super) max_runs: Option<u32>,
}

/// What was read of it.
pub(super) struct Checked {
    pub(super) input: Json,
    pub(super) end_at: Option<Timestamp>,
}

/// All that is wrong is told at once.
pub(super) fn check(
    node: &workflows::Node,
    given: Given<'_>,
    now: Timestamp,
) -> Result<Checked, Problem> {
    let mut wrong = Vec::new();
    let mut say = |field: &str, message: String| {
        wrong.push(WrongField {
            field: field.to_owned(),
            message,
        });
    };
    if let Some(workflow) = given.workflow {
        schedulable(node, workflow).unwrap_or_else(|message| say("workflow", message));
    }
    let input = match Json::of(&given.input) {
        Ok(input) => input,
        Err(error) => return Err(Problem::internal(&error)),
    };
    if let (Some(workflow), Some(_)) = (given.workflow, given.input)
        && let Err(NodeError::Input(InputError::DoesNotFit { why, .. })) =
            node.offer_json(workflow, &input, None)
    {
        say("input", format!("does not fit workflow {workflow}: {why}"));
    }
    if let Some(cron) = given.cron
        && let Err(error) = cron.parse::<CronLine>()
    {
        say("cron", error.to_string());
    }
    if let Some(zone) = given.time_zone
        && let Err(error) = zone.parse::<Zone>()
    {
        say("time_zone", error.to_string());
    }
    let end_at = match given.end_at.map(DateTime::parse_from_rfc3339) {
        None => None,
        Some(Ok(end)) => Some(Timestamp(end.timestamp_millis())),
        Some(Err(error)) => {
            say(
                "end_at",
                format!("is not a time: {error}; write for example \"2030-01-31T12:00:00Z\""),
            );
            None
        }
    };
    if end_at.is_some_and(|end| end <= now) {
        say("end_at", "must be a time to come".to_owned());
    }
    if given.max_runs == Some(0) {
        let text = "must be at least 1; leave it out for no end, or disable the schedule";
        say("max_runs", text.to_owned());
    }
    if wrong.is_empty() {
        Ok(Checked { input, end_at })
    } else {
        Err(Problem::invalid(&wrong))
    }
}

/// This node can run it, and it is one that may be scheduled.
fn schedulable(node: &workflows::Node, workflow: &str) -> Result<(), String> {
    if FOR_DRILLS.contains(&workflow) && !node.allows_drills() {
        return Err(format!(
            "cannot be scheduled: {workflow} is for drills, and this server allows none; start it with --allow-drills"
        ));
    }
    if SCHEDULABLE.contains(&workflow) && node.steps_of(workflow).is_some() {
        return Ok(());
    }
    let can = match SCHEDULABLE {
        [] => "no workflow of this version can".to_owned(),
        some => format!("these can: {}", some.join(", ")),
    };
    if node.steps_of(workflow).is_some() {
        Err(format!(
            "cannot be scheduled: {workflow} runs when a client asks for it; {can}"
        ))
    } else {
        Err(format!(
            "is unknown: {workflow:?} cannot be scheduled; {can}"
        ))
    }
}
