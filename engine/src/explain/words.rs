//! A task in sentences: the same in REST, in the CLI and in what a client is answered.

use super::next::what_now;
use super::waiting::{Waiting, WaitingKind, step_at_work};
use crate::clock::Timestamp;
use crate::edit;
use crate::journal::{PlanResult, Reason};
use crate::plan::{Edit, Plan, StepStatus};
use crate::state::{PlanState, StepState};
use serde::Serialize;

/// Three short paragraphs for whoever looks at a task.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Explanation {
    /// What happened.
    pub happened: String,
    /// What is safe.
    pub safe: String,
    /// What now.
    pub next: String,
}

pub(super) fn headline(plan: &Plan, waiting_for: &[Waiting]) -> String {
    let action = plan
        .submitted
        .as_ref()
        .map_or("Task", |it| it.action.as_str());
    if let Some(why) = &plan.unreadable {
        return format!("{action} cannot be read: {why}");
    }
    match plan.state {
        PlanState::Paused => {
            let since = plan
                .times
                .paused
                .map(|at| format!(" since {at}"))
                .unwrap_or_default();
            format!("{action} is paused{since}: {}", why_paused(plan))
        }
        PlanState::Stopped => match plan.result {
            PlanResult::Success => format!("{action} is done"),
            PlanResult::Warning => {
                let skipped = named(plan, |step| step.state == StepState::Skipped);
                let without = if skipped.is_empty() {
                    String::new()
                } else {
                    format!(" without {}", skipped.join(", "))
                };
                let warnings = warnings(plan);
                format!("{action} is done{without}, with a warning: {warnings}")
            }
            PlanResult::Error => {
                format!(
                    "{action} failed: {}",
                    why_failed(plan).unwrap_or_else(|| "no step says why".into())
                )
            }
            PlanResult::Cancelled => match (plan.reason, plan.superseded_by) {
                (Some(Reason::Superseded), Some(by)) => {
                    format!("{action} was superseded by task {by}")
                }
                _ => match &*named(plan, |step| step.state == StepState::Interrupted) {
                    [] => format!("{action} was cancelled"),
                    unknown => format!(
                        "{action} was cancelled; nobody knows whether step {} happened",
                        unknown.join(", ")
                    ),
                },
            },
            PlanResult::Reverted => match left_as_it_is(plan) {
                None => format!("{action} was reverted: what it did is undone"),
                Some(left) => format!("{action} was reverted, but {left}"),
            },
            PlanResult::Pending => format!("{action} has stopped"),
        },
        PlanState::Pending | PlanState::Running if plan.cancelling => {
            format!("{action} is being cancelled")
        }
        PlanState::Pending | PlanState::Running if plan.reverting => match waiting_for.first() {
            Some(waiting) => format!("{action} is being reverted and waits for {}", waiting.text),
            None => format!("{action} is being reverted"),
        },
        PlanState::Pending | PlanState::Running => {
            let is = match (waiting_for.first(), step_at_work(plan)) {
                (Some(waiting), _) if waiting.kind == WaitingKind::Retry => {
                    format!("{action} is retrying: {}", waiting.text)
                }
                (Some(waiting), _) => format!("{action} waits for {}", waiting.text),
                (None, Some(step)) => format!("{action} is running: step {step}"),
                (None, None) => format!("{action} is {}", plan.state),
            };
            match why_failed(plan) {
                Some(failed) => format!("{is}; {failed}"),
                None => is,
            }
        }
    }
}

pub(super) fn explanation(plan: &Plan, waiting_for: &[Waiting], now: Timestamp) -> Explanation {
    let done: Vec<&str> = named(plan, |step| step.state == StepState::Success);
    let happened = match plan.state {
        PlanState::Paused => {
            let ago = plan.times.paused.map_or(0, |at| now.since(at).as_secs());
            format!("It has been paused for {ago} s: {}.", why_paused(plan))
        }
        PlanState::Stopped | PlanState::Pending | PlanState::Running => {
            format!("{}.", headline(plan, waiting_for))
        }
    };
    let happened = match plan.edits.last() {
        None => happened,
        Some(edit) => format!(
            "{happened} Its input was changed by {}: {}.",
            edit.by,
            places(edit)
        ),
    };
    let safe = match (done.is_empty(), plan.result) {
        (_, PlanResult::Reverted) => match left_as_it_is(plan) {
            None => "What it did is undone; what it had recorded is kept.".to_owned(),
            Some(left) => format!("What it did is undone, but {left}."),
        },
        (_, PlanResult::Success | PlanResult::Warning) => {
            match &*named(plan, |step| step.state == StepState::Skipped) {
                [] => "All steps are done and recorded.".to_owned(),
                skipped => format!(
                    "Done and recorded: {}. Skipped, and not done: {}.",
                    done.join(", "),
                    skipped.join(", ")
                ),
            }
        }
        (_, PlanResult::Pending | PlanResult::Error) if plan.reverting => {
            "What it did is being undone; what it had recorded is kept.".to_owned()
        }
        (true, _) if plan.steps.iter().all(|step| step.tries.is_empty()) => {
            "Nothing was changed yet.".to_owned()
        }
        (true, _) => "No step is done.".to_owned(),
        (false, _) => format!(
            "Done and recorded: {}. They will not run again.",
            done.join(", ")
        ),
    };
    let next = what_now(plan, waiting_for);
    Explanation {
        happened,
        safe,
        next,
    }
}

pub(super) fn why_paused(plan: &Plan) -> String {
    match plan.reason {
        Some(Reason::Poison) => format!(
            "it was taken over {} times without any progress; perhaps step {} kills its node",
            plan.recoveries,
            plan.graph()
                .iter()
                .zip(&plan.steps)
                .zip(0..)
                .find(|(_, index)| plan.is_suspect(*index))
                .map_or("?", |((it, _), _)| &it.name)
        ),
        Some(Reason::Interrupted) => {
            let step = named(plan, |step| step.state == StepState::Interrupted).join(", ");
            format!("nobody knows whether step {step} happened, and it must not run twice")
        }
        Some(Reason::CompensationError) => {
            let unfinished = || why_failed_of(plan, |step| plan.is_unfinished(step));
            let why = why_not_undone(plan).or_else(unfinished);
            why.unwrap_or_else(|| "a step could not be undone".into())
        }
        Some(Reason::Error | Reason::Operator | Reason::Superseded) | None => {
            why_failed(plan).unwrap_or_else(|| "it cannot go on".into())
        }
    }
}

pub(super) fn why_failed(plan: &Plan) -> Option<String> {
    why_failed_of(plan, |step| plan.steps[step].state == StepState::Error)
}

/// Why the first of these steps failed.
fn why_failed_of(plan: &Plan, which: impl Fn(usize) -> bool) -> Option<String> {
    let index = (0..plan.steps.len()).find(|step| which(*step))?;
    let (name, step) = (&plan.graph().get(index)?.name, &plan.steps[index]);
    let why = step
        .error
        .as_ref()
        .map_or("without a message", |error| error.message.as_str());
    Some(format!(
        "step {name} failed {}: {why}",
        times(step.failures.max(1))
    ))
}

fn why_not_undone(plan: &Plan) -> Option<String> {
    let mut steps = plan.graph().iter().zip(&plan.steps);
    let (known, undo) = steps.find_map(|(known, step)| {
        let undo = step.undo.as_ref().filter(|undo| !undo.accepted)?;
        (step.state == StepState::CompensationError).then_some((known, undo))
    })?;
    let error = undo.error.as_ref();
    let why = error.map_or("without a message", |error| error.message.as_str());
    let times = times(undo.failures.max(1));
    Some(format!("undoing step {} failed {times}: {why}", known.name))
}

/// What a revert has left undone because an operator wanted it so.
fn left_as_it_is(plan: &Plan) -> Option<String> {
    let left = named(plan, |step| {
        step.is_accepted() || (step.state == StepState::Skipped && step.unfinished)
    });
    (!left.is_empty()).then(|| {
        format!(
            "step {} could not be undone and was left as it is",
            left.join(", ")
        )
    })
}

fn times(count: u32) -> String {
    if count == 1 {
        "once".into()
    } else {
        format!("{count} times")
    }
}

fn warnings(plan: &Plan) -> String {
    let warnings: Vec<&str> = plan
        .steps
        .iter()
        .filter_map(|step| step.warning.as_deref())
        .collect();
    warnings.join("; ")
}

/// The places of the input that were changed, as JSON pointers.
fn places(edit: &Edit) -> String {
    let changes = edit::changes(&edit.change);
    let places: Vec<&str> = changes.iter().map(|change| change.at.as_str()).collect();
    places.join(", ")
}

pub(super) fn named(plan: &Plan, which: impl Fn(&StepStatus) -> bool) -> Vec<&str> {
    let steps = plan.graph().iter().zip(&plan.steps);
    steps
        .filter(|(_, status)| which(status))
        .map(|(step, _)| step.name.as_str())
        .collect()
}
