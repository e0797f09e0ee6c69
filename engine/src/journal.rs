//! What is kept for ever: one row per append, which holds all entries that became true together.
//!
//! The key of a row, (plan, seq), is the fence: of two owners that write the same number exactly one commits, and with it the
//! whole append. Rows are never changed.

use crate::clock::Timestamp;
use crate::lock::LockRequest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The id of a plan: a UUID of version 7, so that ids sort by the time of their submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "TaskId"))]
pub struct PlanId(pub Uuid);

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PlanId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// The id of a node: kept in its data folder, so that a restarted node is the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeId(pub Uuid);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of a step in its plan's graph.
pub type StepIndex = usize;

/// JSON text that is stored as it came and shared, never copied and never parsed by the engine.
#[derive(Clone, Debug)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// The value as JSON text.
    pub fn of<T: Serialize>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self(serde_json::value::to_raw_value(value)?.into()))
    }

    /// The value that the text stands for.
    pub fn decode<T: for<'de> Deserialize<'de>>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }

    /// The text itself.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.get()
    }
}

impl Eq for Json {}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(Box::<RawValue>::deserialize(from)?.into()))
    }
}

/// A step as the plan was submitted with it: the graph is copied into the plan, so that new code cannot reshape an old plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GraphStep {
    /// As the API shows it.
    pub name: String,
    /// Not before these have succeeded. They stand earlier in the graph.
    pub after: Vec<StepIndex>,
    /// How many attempts it has before it needs a person.
    pub attempts: u32,
    /// What its last failure means for the plan.
    pub rescue: Rescue,
    /// It must not run twice: where nobody knows whether it happened, a person says so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub once: bool,
    /// A revert undoes it. What leaves nothing behind needs no undoing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub undoable: bool,
    /// The steps without whose output it cannot run; of plans from before this was recorded, all that it comes after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Vec<StepIndex>>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference to the field"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl GraphStep {
    /// A step with one attempt that pauses its plan when it fails.
    #[must_use]
    pub fn new(name: impl Into<String>, after: Vec<StepIndex>) -> Self {
        Self {
            name: name.into(),
            after,
            attempts: 1,
            rescue: Rescue::Pause,
            once: false,
            undoable: false,
            needs: None,
        }
    }

    /// The steps without whose output it cannot run.
    #[must_use]
    pub fn needed(&self) -> &[StepIndex] {
        self.needs.as_deref().unwrap_or(&self.after)
    }
}

/// What becomes of a plan whose step is out of attempts, once its other branches have run to their end. Where several steps
/// failed, the first of these that one of them has decides: pause, revert, fail, skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rescue {
    /// The plan pauses and waits for a person.
    Pause,
    /// The plan stops with `error`.
    Fail,
    /// What the plan did is undone, and it stops with `reverted`.
    Revert,
    /// The plan goes on without the step, and ends with `warning`.
    Skip,
}

/// Why a plan is paused, or ended `cancelled`.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    Serialize,
    Deserialize,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Reason {
    /// A step is out of attempts or failed for good.
    Error,
    /// It was taken over again and again without progress: perhaps it kills its node.
    Poison,
    /// Nobody knows whether a `once` step happened.
    Interrupted,
    /// A step could not be undone.
    CompensationError,
    /// An operator cancelled it.
    Operator,
    /// A later plan made it pointless.
    Superseded,
}

/// How a plan ended; `pending` until it has.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    Serialize,
    Deserialize,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "TaskResult"))]
pub enum PlanResult {
    /// Not ended.
    Pending,
    /// All steps succeeded.
    Success,
    /// All steps succeeded or were skipped, one or more with a warning.
    Warning,
    /// A step failed.
    Error,
    /// Cancelled before its end.
    Cancelled,
    /// What it did is undone.
    Reverted,
}

/// What a step's attempt ended with when it did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Failure {
    /// The kind of error, for grouping: `timeout`, `panic`, or what the step names.
    pub class: String,
    /// What happened, to which thing, what to do: one line.
    pub message: String,
    /// Another attempt may succeed.
    pub transient: bool,
}

/// A plan as it is submitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Submitted {
    /// The workflow's name.
    pub workflow: String,
    /// The workflow's version.
    pub version: u32,
    /// What it does, in words for people.
    pub action: String,
    /// Its steps.
    pub graph: Arc<[GraphStep]>,
    /// Its input; never changed.
    pub input: Json,
    /// The locks it needs before its first step.
    pub locks: Vec<LockRequest>,
    /// The login of who wanted it.
    pub actor: Option<String>,
    /// The label of the organization it belongs to.
    pub organization: Option<String>,
    /// What it is about, for search: name and value.
    pub links: Vec<(String, String)>,
    /// What started it, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// So long after its success it can still be reverted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revertible_for: Option<Duration>,
}

/// What started a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, Serialize, Deserialize)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Cause {
    /// A client asked for it, and was answered by it.
    Client,
    /// A duty of the node: nobody asked for it at that time.
    Duty,
}

/// What an operator wants of a plan.
#[derive(Clone, Debug, PartialEq, Eq, strum::Display, Serialize, Deserialize)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Go on: run what failed and what has not run.
    Resume,
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
    /// End it unless it is at work: a later plan makes it pointless.
    Supersede {
        /// The later plan.
        by: PlanId,
    },
}

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

/// One thing that became true. Externally tagged on purpose: JSON text cannot be read out of an internally tagged enum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The plan exists.
    Submitted(Box<Submitted>),
    /// The row's node owns the plan from here on.
    Claimed,
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
    /// Nothing new begins until it is released.
    Held,
    /// It goes on after a hold.
    Released,
    /// The plan needs a person.
    Paused {
        /// Why.
        reason: Reason,
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

    /// The login of the person who wanted it, where a person did.
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        if let Self::Submitted(submitted) = self {
            return submitted.actor.as_deref();
        }
        if let Self::Operator { message, .. } = self {
            Some(&message.by)
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
            | Self::StepFailed { step, .. }
            | Self::Suspended { step, .. }
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
            | Self::LocksGranted
            | Self::Started
            | Self::Operator { .. }
            | Self::Resumed
            | Self::Cancelling { .. }
            | Self::Reverting
            | Self::LocksAsked
            | Self::Held
            | Self::Released
            | Self::Paused { .. }
            | Self::Stopped { .. } => None,
        }
    }
}

/// One append as it lies in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its number in the plan, from 1.
    pub seq: i64,
    /// Tells "mine" from "another's" when the outcome of a commit is unknown.
    pub nonce: i64,
    /// Who wrote it.
    pub node: NodeId,
    /// When.
    pub at: Timestamp,
    /// What became true, in order.
    pub entries: Vec<Entry>,
    /// Why its entries cannot be read, if so. Such a plan is still listed, with this reason.
    pub unreadable: Option<String>,
}

/// An input larger than this is refused at submit: big data belongs into the content, by reference.
pub const MAX_INPUT_BYTES: usize = 4 * 1024 * 1024;
/// An output larger than this fails its step for good.
pub const MAX_OUTPUT_BYTES: usize = 1024 * 1024;
/// A message larger than this is shortened when an attempt's failure is recorded.
pub const MAX_ERROR_BYTES: usize = 8 * 1024;
/// A declaration with more steps than this is refused: every append looks at all of them.
pub const MAX_STEPS: usize = 10_000;

impl Failure {
    /// A failure whose message is short enough to be recorded.
    #[must_use]
    pub fn new(class: impl Into<String>, message: impl Into<String>, transient: bool) -> Self {
        let mut message: String = message.into();
        if message.len() > MAX_ERROR_BYTES {
            let end = message.floor_char_boundary(MAX_ERROR_BYTES);
            message.truncate(end);
            message.push('…');
        }
        Self {
            class: class.into(),
            message,
            transient,
        }
    }

    /// The attempt ended from outside: it does not tell whether its work happened.
    #[must_use]
    pub fn tells_nothing(&self) -> bool {
        matches!(self.class.as_str(), "timeout" | "panic")
    }

    /// The failure of an attempt that took longer than it may.
    #[must_use]
    pub fn timeout(limit: Duration) -> Self {
        Self::new(
            "timeout",
            format!(
                "the attempt did not end within {} s and was dropped",
                limit.as_secs_f64()
            ),
            true,
        )
    }
}
