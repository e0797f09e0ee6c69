//! Sub-tasks: who wants them, and what he hears of them.

use super::{Json, PlanId, PlanResult};
use serde::{Deserialize, Serialize};

/// The plan whose sub-task another one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The plan.
    pub plan: PlanId,
    /// What its step waits for.
    pub until: Until,
}

/// How long a step waits for its sub-tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// Each has ended; who is paused is waited for.
    Ended,
    /// Each has ended or is stuck: it waits for something, or is paused. Then they go on alone. Whose work goes on elsewhere is
    /// at work.
    EndedOrStuck,
}

/// Where a sub-task is, as its parent is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildState {
    /// Not submitted yet: so many others are open as may be at once.
    Wanted,
    /// Under way.
    Open,
    /// It needs a person, or waits and its parent does not wait for that.
    Stuck,
    /// It has ended like this.
    Ended(PlanResult),
}

/// A sub-task that could not be submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedChild {
    /// Its key.
    pub key: String,
    /// Why not.
    pub why: String,
}

/// A sub-task that a step wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WantedChild {
    /// Names it within its step: of one key there is one sub-task, however often the step runs.
    pub key: String,
    /// The workflow's name.
    pub workflow: String,
    /// Its input.
    pub input: Json,
}
