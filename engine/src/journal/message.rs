//! Messages to a plan: what operators want, what happened outside, what became of a sub-task.

use super::{ChildState, Json, PlanId};
use serde::{Deserialize, Serialize};

/// What an operator wants of a plan.
#[derive(Clone, Debug, PartialEq, Eq, strum::Display, Serialize, Deserialize)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Go on: run what failed and what has not run.
    Resume,
    /// The same with another input.
    ResumeEdited {
        /// What is different: a JSON patch (RFC 6902) that also tests what was there before, so that it fits once only.
        change: Json,
    },
    /// End it: what is done stays done.
    Cancel,
    /// End it now: who does not heed the cancel soon is dropped.
    Abort,
    /// Undo what it did, in reverse order.
    Revert,
    /// Begin nothing new until it is released.
    Hold,
    /// Go on after a hold.
    Release,
    /// Go on without this step; or leave it as it is, where it could not be undone.
    Skip {
        /// The step's name.
        step: String,
        /// What later steps read instead of its output.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Json>,
    },
    /// Say whether an interrupted step happened.
    Resolve {
        /// The step's name.
        step: String,
        /// What came of it; none: it did not happen.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Json>,
    },
    /// Do not wait for the back-off of this step.
    RetryNow {
        /// The step's name.
        step: String,
    },
    /// Something outside happened that a step waits for, or will wait for. Of one name the first counts.
    Event {
        /// Its name.
        name: String,
        /// What is known of it.
        payload: Json,
    },
    /// A sub-task of it has moved.
    ChildMoved {
        /// The sub-task.
        child: PlanId,
        /// Where it is.
        state: ChildState,
    },
    /// Nobody knows: this program cannot read it.
    Unreadable {
        /// Why not.
        why: String,
    },
    /// End it unless it is at work: a later plan makes it pointless.
    Supersede {
        /// The later plan.
        by: PlanId,
    },
}

/// Who a message is from that no person wrote.
pub const ENGINE: &str = "engine";

/// A message to a plan: kept in its mailbox until its owner has consumed it by a journal entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// What is wanted.
    pub action: Action,
    /// The login of who wants it.
    pub by: String,
    /// Why, in his words.
    pub reason: Option<String>,
}
