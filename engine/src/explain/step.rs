//! The steps of a task, as people see them.

use super::rfc3339;
use super::rfc3339_or_null;
use crate::clock::Timestamp;
use crate::journal::{Failure, Json, NodeId};
use crate::plan::Plan;
use crate::state::{PlanState, StepState};
use serde::Serialize;
use std::collections::BTreeMap;

/// A step as people see it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Step"))]
pub struct StepSeen {
    /// Its name.
    pub name: String,
    /// Its state, or `retrying` or `waiting` for what is between attempts or behind a lock.
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

pub(super) fn step_seen(plan: &Plan, index: usize) -> StepSeen {
    let (known, step) = (&plan.graph()[index], &plan.steps[index]);
    let state = if step.is_retrying() && plan.state != PlanState::Paused {
        "retrying".to_owned()
    } else if step.state == StepState::Pending && plan.waits_for_locks() && plan.is_ready(index) {
        "waiting".to_owned()
    } else {
        step.state.to_string()
    };
    let tries = step.tries.iter().enumerate().map(|(n, it)| TrySeen {
        n: n + 1,
        started_at: it.started_at,
        ended_at: it.ended_at,
        node: it.node,
        error: it.error.clone(),
        wait_until: it.wake_at,
    });
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
        tries: tries.collect(),
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
    }
}
