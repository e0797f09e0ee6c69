//! The steps of a task, as people see them.

use super::rfc3339;
use super::rfc3339_or_null;
use crate::clock::Timestamp;
use crate::gate::{Gate, GateId};
use crate::journal::{Failure, Json, NodeId, StepIndex};
use crate::plan::{Plan, Try};
use crate::state::StepState;
use serde::Serialize;
use std::collections::BTreeMap;

/// A step as people see it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Step"))]
pub struct StepSeen {
    /// Its name.
    pub name: String,
    /// Its state, or `retrying`, `waiting` or `held` for what is between attempts, behind a lock or at a gate.
    pub state: String,
    /// Attempts begun.
    pub attempts: u32,
    /// Each attempt.
    pub tries: Vec<TrySeen>,
    /// The start of the first attempt.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub started_at: Option<Timestamp>,
    /// Its end, once it has ended.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub ended_at: Option<Timestamp>,
    /// The outputs of the steps it depends on.
    pub input: BTreeMap<String, Json>,
    /// Its recorded output.
    pub output: Option<Json>,
    /// Why its last attempt failed.
    pub error: Option<Failure>,
    /// What a person should know although it succeeded.
    pub warning: Option<String>,
    /// The steps that must have succeeded before it.
    pub depends_on: Vec<String>,
    /// When its next attempt or poll begins.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub wake_at: Option<Timestamp>,
    /// The node of its last attempt.
    pub node: Option<NodeId>,
    /// A revert undoes it.
    pub undoable: bool,
    /// How it is or was undone, once that has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compensation: Option<Compensation>,
}

/// How a step is undone, as people see it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Compensation {
    /// Attempts begun.
    pub attempts: u32,
    /// Each attempt.
    pub tries: Vec<TrySeen>,
    /// Why the last one failed.
    pub error: Option<Failure>,
    /// An operator leaves the step as it is, not undone.
    pub accepted: bool,
}

/// An attempt as people see it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Attempt"))]
pub struct TrySeen {
    /// Its number, from 1.
    pub n: usize,
    /// Its start.
    #[serde(serialize_with = "rfc3339")]
    pub started_at: Timestamp,
    /// Its end.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub ended_at: Option<Timestamp>,
    /// Who ran it.
    pub node: NodeId,
    /// Why it failed.
    pub error: Option<Failure>,
    /// When the next one was due.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub wait_until: Option<Timestamp>,
}

pub(super) fn step_seen(plan: &Plan, index: usize, gates: &[(StepIndex, Gate)]) -> StepSeen {
    let (known, step) = (&plan.graph()[index], &plan.steps[index]);
    let retrying = step.is_retrying() || step.is_retrying_undo();
    let begins_by_itself = plan.state.is_driven() && plan.held.is_none();
    let would_begin = step.state == StepState::Pending
        && plan.state.is_driven()
        && (step.is_retrying() || plan.is_ready(index));
    let state = if plan.held.is_some() && would_begin {
        "held".to_owned()
    } else if let Some(at) = &step.at_gate {
        let now = gates.iter().find(|(step, _)| *step == index);
        let by_hand = match now {
            Some((_, gate)) => gate.is_closed_by_hand(),
            None => !matches!(at.gate, GateId::Backend(_)),
        };
        if by_hand { "held" } else { "waiting" }.to_owned()
    } else if plan.waits_for_place() && (would_begin || step.is_retrying_undo()) {
        "waiting".to_owned()
    } else if retrying && begins_by_itself {
        "retrying".to_owned()
    } else if step.state == StepState::Pending && plan.waits_for_locks() && plan.is_ready(index) {
        "waiting".to_owned()
    } else {
        step.state.to_string()
    };
    let before = known
        .after
        .iter()
        .map(|before| (plan.graph()[*before].name.clone(), &plan.steps[*before]));
    StepSeen {
        name: known.name.clone(),
        state,
        attempts: step.attempts(),
        started_at: step.tries.first().map(|first| first.started_at),
        ended_at: if step.state.is_under_way() || step.state == StepState::Pending {
            None
        } else {
            step.tries.last().and_then(|last| last.ended_at)
        },
        tries: tries_seen(&step.tries),
        input: before
            .clone()
            .filter_map(|(name, it)| Some((name, it.output.clone()?)))
            .collect(),
        output: step.output.clone(),
        error: step.error.clone(),
        warning: step.warning.clone(),
        depends_on: before.map(|(name, _)| name).collect(),
        wake_at: step.wake_at,
        node: step.tries.last().map(|last| last.node),
        undoable: known.undoable,
        compensation: step.undo.as_ref().map(|undo| Compensation {
            attempts: step.undo_attempts(),
            tries: tries_seen(&undo.tries),
            error: undo.error.clone(),
            accepted: undo.accepted,
        }),
    }
}

fn tries_seen(tries: &[Try]) -> Vec<TrySeen> {
    let tries = tries.iter().enumerate();
    tries
        .map(|(n, it)| TrySeen {
            n: n + 1,
            started_at: it.started_at,
            ended_at: it.ended_at,
            node: it.node,
            error: it.error.clone(),
            wait_until: it.wake_at,
        })
        .collect()
}
