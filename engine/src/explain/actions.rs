//! What an operator may do with a task, and what that will do with this very task.

use crate::clock::Timestamp;
use crate::decide;
use crate::edit::Change;
use crate::journal::{Action, StepIndex};
use crate::lock::LockState;
use crate::plan::{Plan, PlanLock};
use crate::state::StepState;
use serde::Serialize;

/// An action of an operator.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "PossibleAction"))]
pub struct Possible {
    /// Its name.
    pub name: &'static str,
    /// It fits the task as it is.
    pub allowed: bool,
    /// What it will do with this task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub will: Option<String>,
    /// Why it does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// What a resume would do.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Preview {
    /// The steps that would run, in graph order. Of a revert: those that must come to an end before they can be undone.
    pub would_run: Vec<String>,
    /// Of a revert: the steps that would be undone then, in the order in which that begins.
    pub would_undo: Vec<String>,
    /// The locks that it would have to ask for again.
    pub asks_for_locks: Vec<String>,
    /// What would be different in its input.
    pub input_changes: Vec<Change>,
}

impl Preview {
    pub(crate) fn of(plan: &Plan, asks_for_locks: Vec<String>, input_changes: Vec<Change>) -> Self {
        let (would_run, would_undo) = if plan.reverting {
            (to_finish(plan), names(plan, decide::would_undo(plan)))
        } else {
            (names(plan, decide::would_run(plan)), Vec::new())
        };
        Self {
            would_run,
            would_undo,
            asks_for_locks,
            input_changes,
        }
    }
}

/// Steps that a revert runs once more, because only what has come to an end can be undone.
fn to_finish(plan: &Plan) -> Vec<String> {
    let finishes = |step: &StepIndex| plan.is_to_finish(*step) || plan.is_unfinished(*step);
    names(plan, (0..plan.steps.len()).filter(finishes).collect())
}

/// What a revert would do.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RevertPreview {
    /// The steps that would be undone, in the order in which that begins.
    pub would_undo: Vec<String>,
    /// Steps that are done and stay so, because they leave nothing behind.
    pub would_stay: Vec<String>,
    /// Steps that are under way and are let come to an end first.
    pub waits_for: Vec<String>,
    /// Steps of which nobody knows whether they happened: the revert pauses until a person says so.
    pub unknown: Vec<String>,
    /// The locks that it would have to ask for again.
    pub asks_for_locks: Vec<String>,
}

impl RevertPreview {
    /// What reverting this plan would do.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let under_way = |step: &StepIndex| {
            let step = &plan.steps[*step];
            // Sub-tasks that are not submitted never will be, and one that is stuck and goes on alone is not waited for.
            let is_left = step.waits_for_children() && !step.waits_for_open_children();
            step.state.is_under_way() && !is_left
        };
        let unknown = |step: &StepIndex| plan.steps[*step].state == StepState::Interrupted;
        let locks = plan.locks.iter();
        let is_over = |lock: &PlanLock| matches!(lock.state, LockState::GivenUp | LockState::Ended);
        Self {
            would_undo: names(plan, decide::would_undo(plan)),
            would_stay: names(plan, decide::would_stay(plan)),
            waits_for: names(plan, (0..plan.steps.len()).filter(under_way).collect()),
            unknown: names(plan, (0..plan.steps.len()).filter(unknown).collect()),
            // For one again is for all again.
            asks_for_locks: locks
                .filter(|_| plan.locks.iter().any(is_over))
                .map(|lock| lock.request.resource.clone())
                .collect(),
        }
    }
}

fn names(plan: &Plan, steps: Vec<StepIndex>) -> Vec<String> {
    let graph = plan.graph();
    steps
        .into_iter()
        .map(|step| graph[step].name.clone())
        .collect()
}

pub(super) fn actions(plan: &Plan, now: Timestamp) -> Vec<Possible> {
    let mut actions = vec![
        possible(plan, "resume", &Action::Resume, now, will_resume(plan)),
        possible(
            plan,
            "cancel",
            &Action::Cancel,
            now,
            "ends the task; what is done stays done, what has not run will not run".to_owned(),
        ),
    ];
    // The rest is told only where it fits: what an operator may do stays short enough to be read.
    for (name, step) in decide::possible(plan, now) {
        let will = match (name, step) {
            ("resume" | "cancel", _) => continue,
            ("abort", _) if plan.unreadable.is_some() => {
                "ends the task, which cannot be read: others get its locks, and nothing of it is undone".into()
            }
            ("abort", _) if plan.reverting => {
                "drops what of the revert is under way; what then is not known to be undone waits for a person".into()
            }
            ("abort", _) => {
                "ends the task now: a step that does not end by itself at once is dropped".into()
            }
            ("revert", _) => will_revert(plan),
            ("hold", _) => "begins no further step until it is released".into(),
            ("release", _) => "goes on from where it was held".into(),
            (_, Some(step)) => will_to_step(plan, name, step),
            _ => continue,
        };
        actions.push(Possible {
            name,
            allowed: true,
            will: Some(will),
            because: None,
        });
    }
    actions
}

fn will_resume(plan: &Plan) -> String {
    if plan.reverting {
        let steps = names(plan, decide::would_undo(plan)).join(", ");
        return match &*to_finish(plan) {
            [] => format!("goes on undoing {steps}"),
            first => format!(
                "runs {} once more to a known end, then goes on undoing {steps}",
                first.join(", ")
            ),
        };
    }
    let steps = names(plan, decide::would_run(plan)).join(", ");
    format!("runs {steps}; what is done stays done")
}

fn will_revert(plan: &Plan) -> String {
    let preview = RevertPreview::of(plan);
    let mut will = if preview.would_undo.is_empty() {
        "ends the task; no step of it has left anything to undo".to_owned()
    } else {
        format!("undoes {}", preview.would_undo.join(", "))
    };
    if !preview.waits_for.is_empty() {
        let under_way = preview.waits_for.join(", ");
        will = format!("{will}, once {under_way} has come to an end");
    }
    if !preview.unknown.is_empty() {
        let unknown = preview.unknown.join(", ");
        will = format!("{will}, once a person has said whether {unknown} happened");
    }
    will
}

fn will_to_step(plan: &Plan, action: &str, step: StepIndex) -> String {
    let name = &plan.graph()[step].name;
    match action {
        "skip" if plan.reverting => {
            format!("leaves step {name} as it is, not undone, and goes on with the revert")
        }
        "skip" => {
            let graph = plan.graph().iter();
            let lose = graph.filter(|other| other.needed().contains(&step));
            let lose: Vec<&str> = lose.map(|other| other.name.as_str()).collect();
            if lose.is_empty() {
                format!("goes on without step {name}")
            } else {
                format!(
                    "goes on without step {name}, and, unless an output is given for it, without {}, which needs that",
                    lose.join(", ")
                )
            }
        }
        "resolve" => format!("says whether step {name} happened, and what came of it"),
        _ => format!("begins the next attempt of step {name} without waiting"),
    }
}

fn possible(
    plan: &Plan,
    name: &'static str,
    action: &Action,
    now: Timestamp,
    will: String,
) -> Possible {
    match decide::fits(plan, action, now) {
        Ok(()) => Possible {
            name,
            allowed: true,
            will: Some(will),
            because: None,
        },
        Err(refused) => Possible {
            name,
            allowed: false,
            will: None,
            because: Some(refused.to_string()),
        },
    }
}
