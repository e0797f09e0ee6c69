//! What can become true of a plan.

use super::graph::{first_form, is_false, is_first_form};
use super::{
    Action, Failure, Json, Message, PlanId, PlanResult, Reason, RefusedChild, StepIndex, Submitted,
    Until, WantedChild,
};
use crate::clock::Timestamp;
use crate::gate::GateId;
use serde::{Deserialize, Serialize};

/// One thing that became true. Externally tagged on purpose: JSON text cannot be read out of an internally tagged enum.
#[derive(Clone, Debug, PartialEq, strum::VariantNames, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Entry {
    /// The plan exists.
    Submitted(Box<Submitted>),
    /// The row's node owns the plan from here on.
    Claimed,
    /// The same, and the owner before had let it go: it had signed off, so nothing of the plan has ended it.
    HandedOver,
    /// All locks are held.
    LocksGranted,
    /// The plan has begun.
    Started,
    /// An attempt of the step begins.
    StepStarted {
        /// Which one.
        step: StepIndex,
    },
    /// The step is done.
    StepSucceeded {
        /// Which one.
        step: StepIndex,
        /// What later steps read.
        output: Json,
        /// What a person should know although it succeeded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        warning: Option<String>,
        /// The form of the output.
        #[serde(default = "first_form", skip_serializing_if = "is_first_form")]
        form: u32,
    },
    /// An attempt failed; another one follows.
    AttemptFailed {
        /// Which step.
        step: StepIndex,
        /// Why.
        error: Failure,
        /// When the next attempt begins.
        wake_at: Timestamp,
    },
    /// The step, or undoing it, could begin, and a gate through which it goes is not open.
    AtGate {
        /// Which step.
        step: StepIndex,
        /// The first of its gates that is not open.
        gate: GateId,
    },
    /// An attempt, or one to undo the step, failed at a gate that is not open: it does not count, and the step waits there.
    TurnedBack {
        /// Which step.
        step: StepIndex,
        /// Which gate.
        gate: GateId,
        /// Why it failed.
        error: Failure,
    },
    /// The last attempt failed.
    StepFailed {
        /// Which step.
        step: StepIndex,
        /// Why.
        error: Failure,
    },
    /// The step's work goes on elsewhere.
    Suspended {
        /// Which step.
        step: StepIndex,
        /// What to ask with.
        ticket: Json,
        /// When to ask first.
        wake_at: Timestamp,
        /// The form of the ticket.
        #[serde(default = "first_form", skip_serializing_if = "is_first_form")]
        form: u32,
    },
    /// The step waits for an event, or only for a time.
    Awaiting {
        /// Which step.
        step: StepIndex,
        /// The event's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event: Option<String>,
        /// Until when at the latest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// The step wants sub-tasks.
    Spawning {
        /// Which step.
        step: StepIndex,
        /// All of them.
        children: Vec<WantedChild>,
        /// How long it waits for them.
        until: Until,
        /// At most so many are open at once.
        at_once: u32,
        /// Those that are stuck and are told to go on: what they say next counts.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        told: Vec<PlanId>,
    },
    /// Sub-tasks are submitted, in the same transaction.
    ChildrenSubmitted {
        /// Of which step.
        step: StepIndex,
        /// Their keys and plans.
        children: Vec<(String, PlanId)>,
        /// Those that could not be: they have ended with an error.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        refused: Vec<RefusedChild>,
    },
    /// The step's owner is gone; it runs again.
    StepInterrupted {
        /// Which step.
        step: StepIndex,
    },
    /// The step is wanted again after it failed.
    StepResumed {
        /// Which step.
        step: StepIndex,
    },
    /// The step will not run, or its body was dropped.
    StepCancelled {
        /// Which step.
        step: StepIndex,
    },
    /// The step's owner is gone or its body was dropped, and nobody knows whether it happened.
    StepLost {
        /// Which one.
        step: StepIndex,
    },
    /// An operator knows that the step happened.
    StepResolved {
        /// Which one.
        step: StepIndex,
        /// What came of it.
        output: Json,
    },
    /// The plan goes on without the step.
    StepSkipped {
        /// Which one.
        step: StepIndex,
        /// What later steps read instead of its output.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Json>,
        /// Why.
        because: String,
    },
    /// An attempt to undo the step begins.
    Compensating {
        /// Which one.
        step: StepIndex,
    },
    /// The step is undone.
    Compensated {
        /// Which one.
        step: StepIndex,
    },
    /// An attempt to undo it failed; another one follows.
    CompensationAttemptFailed {
        /// Which step.
        step: StepIndex,
        /// Why.
        error: Failure,
        /// When the next attempt begins.
        wake_at: Timestamp,
    },
    /// The last attempt to undo it failed.
    CompensationFailed {
        /// Which step.
        step: StepIndex,
        /// Why.
        error: Failure,
    },
    /// The owner that undid the step is gone; undoing it begins again.
    CompensationInterrupted {
        /// Which step.
        step: StepIndex,
    },
    /// Undoing the step is wanted again after it failed.
    CompensationResumed {
        /// Which step.
        step: StepIndex,
    },
    /// An operator leaves the step as it is, not undone.
    CompensationAccepted {
        /// Which step.
        step: StepIndex,
    },
    /// A message was consumed.
    Operator {
        /// Its number in the mailbox.
        mail: i64,
        /// What was wanted, by whom, why.
        message: Message,
        /// Why nothing came of it, if so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
    /// The plan goes on.
    Resumed,
    /// The plan ends as soon as nothing of it is under way.
    Cancelling {
        /// By an operator or by a later plan.
        reason: Reason,
    },
    /// What the plan did is undone as soon as nothing of it is under way.
    Reverting,
    /// The locks that are over are asked for again, because undoing needs them.
    LocksAsked,
    /// As many plans are at work on its node as may be: it begins once there is a place for it.
    PlaceAsked,
    /// There is a place for it.
    PlaceGranted,
    /// Nothing new begins until it is released.
    Held,
    /// It goes on after a hold.
    Released,
    /// A person has ended the plan although it cannot be read: nothing of it runs, and it keeps nothing.
    Abandoned {
        /// The login of who.
        by: String,
        /// Why, in his words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The plan needs a person.
    Paused {
        /// Why.
        reason: Reason,
        /// Sub-tasks are at work that have no locks but the plan's: it keeps them until they have ended.
        #[serde(default, skip_serializing_if = "is_false")]
        keeps_locks: bool,
    },
    /// The plan has ended.
    Stopped {
        /// How.
        result: PlanResult,
    },
}

impl Entry {
    /// The number of the message that this entry consumes.
    #[must_use]
    pub fn consumes(&self) -> Option<i64> {
        if let Self::Operator { mail, .. } = self {
            Some(*mail)
        } else {
            None
        }
    }

    /// With it a node becomes the owner of the plan.
    #[must_use]
    pub const fn takes_over(&self) -> bool {
        matches!(self, Self::Claimed | Self::HandedOver)
    }

    /// The login of the person who wanted it, where a person did.
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        if let Self::Submitted(submitted) = self {
            return submitted.actor.as_deref();
        }
        if let Self::Abandoned { by, .. } = self {
            return Some(by);
        }
        if let Self::Operator { message, .. } = self {
            let nobody = matches!(
                message.action,
                Action::ChildMoved { .. } | Action::Unreadable { .. }
            );
            (!nobody).then_some(&*message.by)
        } else {
            None
        }
    }

    /// The step that it is about.
    #[must_use]
    pub fn step(&self) -> Option<StepIndex> {
        match self {
            Self::StepStarted { step }
            | Self::StepSucceeded { step, .. }
            | Self::AttemptFailed { step, .. }
            | Self::AtGate { step, .. }
            | Self::TurnedBack { step, .. }
            | Self::StepFailed { step, .. }
            | Self::Suspended { step, .. }
            | Self::Awaiting { step, .. }
            | Self::Spawning { step, .. }
            | Self::ChildrenSubmitted { step, .. }
            | Self::StepInterrupted { step }
            | Self::StepResumed { step }
            | Self::StepCancelled { step }
            | Self::StepLost { step }
            | Self::StepResolved { step, .. }
            | Self::StepSkipped { step, .. }
            | Self::Compensating { step }
            | Self::Compensated { step }
            | Self::CompensationAttemptFailed { step, .. }
            | Self::CompensationFailed { step, .. }
            | Self::CompensationInterrupted { step }
            | Self::CompensationResumed { step }
            | Self::CompensationAccepted { step } => Some(*step),
            Self::Submitted(_)
            | Self::Claimed
            | Self::HandedOver
            | Self::LocksGranted
            | Self::Started
            | Self::Operator { .. }
            | Self::Resumed
            | Self::Cancelling { .. }
            | Self::Reverting
            | Self::LocksAsked
            | Self::PlaceAsked
            | Self::PlaceGranted
            | Self::Held
            | Self::Released
            | Self::Abandoned { .. }
            | Self::Paused { .. }
            | Self::Stopped { .. } => None,
        }
    }
}
