//! Locks: all of a plan at once, first come first served, each until a named step or the plan's end.

use crate::clock::Timestamp;
use crate::journal::{PlanId, StepIndex};
use crate::step::Declared;
use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// How a lock tolerates others.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, Serialize, Deserialize,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum LockMode {
    /// Alone.
    Exclusive,
    /// Beside other shared ones.
    Shared,
}

/// What becomes of a lock while its plan is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnPause {
    /// It is given up, and asked for again on resume: a broken plan does not block the next one. Kept while sub-tasks are at
    /// work that rely on it.
    Release,
    /// It is kept: nobody may see the half-done work.
    Hold,
}

/// A lock as a workflow declares it.
#[derive(Clone, Debug)]
pub struct Lock {
    pub(crate) resource: String,
    pub(crate) mode: LockMode,
    pub(crate) until: Option<&'static str>,
    pub(crate) on_pause: OnPause,
}

impl Lock {
    /// Nobody else may have `resource` meanwhile. Held until the plan ends, and also while it is paused.
    #[must_use]
    pub fn exclusive(resource: impl Display) -> Self {
        Self {
            resource: resource.to_string(),
            mode: LockMode::Exclusive,
            until: None,
            on_pause: OnPause::Hold,
        }
    }

    /// Others may share `resource`, but nobody may have it alone meanwhile.
    #[must_use]
    pub fn shared(resource: impl Display) -> Self {
        Self {
            mode: LockMode::Shared,
            ..Self::exclusive(resource)
        }
    }

    /// The lock ends with the success of step `S`.
    #[must_use]
    pub fn until<S: Declared>(self) -> Self {
        Self {
            until: Some(S::NAME),
            ..self
        }
    }

    /// What becomes of it while the plan is paused.
    #[must_use]
    pub fn on_pause(self, on_pause: OnPause) -> Self {
        Self { on_pause, ..self }
    }
}

/// A lock as it is recorded with its plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockRequest {
    /// What is locked.
    pub resource: String,
    /// Alone or shared.
    pub mode: LockMode,
    /// Ends with the success of this step; with the plan when none.
    pub until: Option<StepIndex>,
    /// While the plan is paused.
    pub on_pause: OnPause,
}

/// Where a plan stands with one of its locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockState {
    /// Asked for; others are before it, or nobody has told yet that they are gone.
    Queued,
    /// Held.
    Held,
    /// Given up while the plan is paused.
    GivenUp,
    /// Over: its step succeeded, or the plan ended.
    Ended,
}

/// A plan's place in the queue of a resource, as the store's rows show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// What is locked.
    pub resource: String,
    /// Alone or shared.
    pub mode: LockMode,
    /// Since when it is asked for or held.
    pub since: Timestamp,
    /// 0: held; 1: the first that waits.
    pub position: u32,
    /// The first plan that stands in its way, if one does.
    pub behind: Option<PlanId>,
}
