//! What a step and a plan may do next: two tables. What is not in them does not happen.

use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// Where a step is. Shown besides, but not stored: `retrying` (pending until its back-off is over) and `waiting`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumIter, Serialize, Deserialize,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not begun, or between two attempts.
    Pending,
    /// An attempt is under way on the node that owns the plan.
    Running,
    /// Its work goes on elsewhere; the ticket to ask for it is recorded.
    Suspended,
    /// Done; its output is recorded and never changes.
    Success,
    /// Out of attempts, or failed for good.
    Error,
    /// Nobody knows whether its work happened: a `once` step whose owner is gone, or whose body was dropped.
    Interrupted,
    /// Did not run and will not: an operator or its rescue strategy wanted the plan to go on without it.
    Skipped,
    /// Will not run, because the plan was cancelled or failed before.
    Cancelled,
    /// Its work is being undone, or the next attempt of that is due.
    Compensating,
    /// Its work is undone; what it had recorded is kept.
    Compensated,
    /// Its work could not be undone.
    CompensationError,
}

/// What happens to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum StepEvent {
    /// An attempt begins.
    Start,
    /// The output is recorded.
    Succeed,
    /// An attempt failed and another one follows.
    Retry,
    /// The last attempt failed.
    Fail,
    /// A ticket is recorded.
    Suspend,
    /// The owner is gone; what it did is idempotent and runs again.
    Interrupt,
    /// The owner is gone or the body was dropped, and it must not run twice.
    Lose,
    /// An operator knows that it did happen after all, and what came of it.
    Resolve,
    /// An operator wants it to run again.
    Resume,
    /// The plan goes on without it.
    Skip,
    /// Nobody wants it any more.
    Cancel,
    /// An attempt to undo it begins.
    Compensate,
    /// It is undone.
    Undo,
    /// An operator leaves it as it is, not undone.
    Accept,
}

/// Every move a step can make.
#[rustfmt::skip]
pub const STEP_TRANSITIONS: &[(StepState, StepEvent, StepState)] = {
    use StepState::{
        Cancelled, Compensated, Compensating, CompensationError, Error, Interrupted, Pending, Running, Skipped, Success,
        Suspended,
    };
    &[
        (Pending,           StepEvent::Start,      Running),
        (Pending,           StepEvent::Skip,       Skipped),     // it needs what a skipped step did not leave
        (Pending,           StepEvent::Cancel,     Cancelled),
        (Running,           StepEvent::Succeed,    Success),     // the output is in the same append
        (Running,           StepEvent::Retry,      Pending),     // again at `wake_at`
        (Running,           StepEvent::Fail,       Error),
        (Running,           StepEvent::Suspend,    Suspended),
        (Running,           StepEvent::Interrupt,  Pending),
        (Running,           StepEvent::Lose,       Interrupted),
        (Running,           StepEvent::Cancel,     Cancelled),   // its body ended or was dropped after the grace
        (Suspended,         StepEvent::Succeed,    Success),     // polls are not recorded, their end is
        (Suspended,         StepEvent::Retry,      Pending),
        (Suspended,         StepEvent::Fail,       Error),
        (Suspended,         StepEvent::Lose,       Interrupted), // its last answer told nothing
        (Suspended,         StepEvent::Cancel,     Cancelled),
        (Error,             StepEvent::Resume,     Pending),
        (Error,             StepEvent::Skip,       Skipped),
        (Interrupted,       StepEvent::Resolve,    Success),
        (Interrupted,       StepEvent::Resume,     Pending),     // an operator knows that it did not happen
        (Interrupted,       StepEvent::Skip,       Skipped),
        (Cancelled,         StepEvent::Resume,     Pending),     // of a failed plan that is resumed, or driven to a known end
        (Success,           StepEvent::Compensate, Compensating),
        (Compensating,      StepEvent::Compensate, Compensating), // the next attempt
        (Compensating,      StepEvent::Retry,      Compensating), // again at `wake_at`
        (Compensating,      StepEvent::Interrupt,  Compensating),
        (Compensating,      StepEvent::Undo,       Compensated),
        (Compensating,      StepEvent::Fail,       CompensationError),
        (CompensationError, StepEvent::Resume,     Compensating),
        (CompensationError, StepEvent::Accept,     CompensationError), // it stays what it is, and nobody waits for it
    ]
};

/// Where a plan is.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
    Serialize,
    Deserialize,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "TaskState"))]
pub enum PlanState {
    /// Submitted; no step of it was begun by a node yet.
    Pending,
    /// Begun; also while it waits for a lock after a resume.
    Running,
    /// Needs a person.
    Paused,
    /// Ended, with a result.
    Stopped,
}

/// What happens to a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum PlanEvent {
    /// Its first step begins.
    Start,
    /// Another owner goes on with it.
    TakeOver,
    /// It cannot go on without a person.
    Pause,
    /// A person wants it to go on.
    Resume,
    /// Nobody wants it any more.
    Cancel,
    /// What it did shall be undone.
    Revert,
    /// It has ended.
    Stop,
}

/// Every move a plan can make.
#[rustfmt::skip]
pub const PLAN_TRANSITIONS: &[(PlanState, PlanEvent, PlanState)] = {
    use PlanState::{Paused, Pending, Running, Stopped};
    &[
        (Pending, PlanEvent::Start,    Running),
        (Pending, PlanEvent::TakeOver, Pending),
        (Pending, PlanEvent::Cancel,   Pending),
        (Pending, PlanEvent::Revert,   Pending),    // nothing of it is done
        (Pending, PlanEvent::Stop,     Stopped),
        (Running, PlanEvent::TakeOver, Running),
        (Running, PlanEvent::Pause,    Paused),
        (Running, PlanEvent::Cancel,   Running),
        (Running, PlanEvent::Revert,   Running),
        (Running, PlanEvent::Stop,     Stopped),
        (Paused,  PlanEvent::Resume,   Running),
        (Paused,  PlanEvent::Cancel,   Running),    // to its end, in the same append
        (Paused,  PlanEvent::Revert,   Running),
        (Stopped, PlanEvent::Resume,   Running),    // a failure, once it is mended
        (Stopped, PlanEvent::Revert,   Running),
    ]
};

/// Why something did not happen, in words made from the table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {what} that is `{state}` cannot {event}; it can: {}", self.listed())]
pub struct Refused {
    /// "step" or "plan".
    pub what: &'static str,
    /// The state it is in.
    pub state: String,
    /// What was asked of it.
    pub event: String,
    /// What it can do instead; empty: nothing.
    pub can: Vec<String>,
}

impl Refused {
    fn listed(&self) -> String {
        if self.can.is_empty() {
            "nothing".to_owned()
        } else {
            self.can.join(", ")
        }
    }
}

fn look_up<S, E>(what: &'static str, table: &[(S, E, S)], state: S, event: E) -> Result<S, Refused>
where
    S: Copy + Eq + Display,
    E: Copy + Eq + Display,
{
    if let Some((_, _, to)) = table
        .iter()
        .find(|(from, on, _)| *from == state && *on == event)
    {
        return Ok(*to);
    }
    let can = table
        .iter()
        .filter(|row| row.0 == state)
        .map(|row| row.1.to_string())
        .collect();
    Err(Refused {
        what,
        state: state.to_string(),
        event: event.to_string(),
        can,
    })
}

impl StepState {
    /// The only way to a new state.
    pub fn on(self, event: StepEvent) -> Result<Self, Refused> {
        look_up("step", STEP_TRANSITIONS, self, event)
    }

    /// Something of it is under way: an attempt, or work elsewhere.
    #[must_use]
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::Running | Self::Suspended)
    }

    /// It lets the steps after it begin.
    #[must_use]
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Success | Self::Skipped)
    }
}

impl PlanState {
    /// The only way to a new state.
    pub fn on(self, event: PlanEvent) -> Result<Self, Refused> {
        look_up("plan", PLAN_TRANSITIONS, self, event)
    }

    /// A node owns it and drives it.
    #[must_use]
    pub const fn is_driven(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_state_and_what_it_can_do() {
        let refused = StepState::Success.on(StepEvent::Cancel).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "a step that is `success` cannot cancel; it can: compensate"
        );
        let refused = PlanState::Paused.on(PlanEvent::Start).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "a plan that is `paused` cannot start; it can: resume, cancel, revert"
        );
    }
}
