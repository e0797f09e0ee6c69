//! What is kept for ever: one row per append, which holds all entries that became true together.
//!
//! The key of a row, (plan, seq), is the fence: of two owners that write the same number exactly one commits, and with it the
//! whole append. Rows are never changed.

mod entry;
mod family;
mod graph;
mod message;

pub use entry::Entry;
pub use family::{ChildState, Parent, RefusedChild, Until, WantedChild};
pub(crate) use graph::comes_after;
pub use graph::{GraphStep, Rescue};
pub use message::{Action, ENGINE, Message};

use crate::clock::Timestamp;
use crate::lock::LockRequest;
use crate::priority::Priority;
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
    /// The plan whose sub-task it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// So long after its success it can still be reverted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revertible_for: Option<Duration>,
    /// How urgent it is when not all that want can be at work.
    #[serde(default, skip_serializing_if = "Priority::is_normal")]
    pub priority: Priority,
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
    /// A schedule; the links `schedule` and `scheduled_for` say which one, and for which nominal time.
    Schedule,
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

/// The class of [`Failure::aborted`].
const ABORTED: &str = "aborted";

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
        matches!(self.class.as_str(), "timeout" | "panic" | ABORTED)
    }

    /// The failure of what was dropped because an operator would not wait for its end.
    #[must_use]
    pub fn aborted() -> Self {
        Self::new(
            ABORTED,
            "it was aborted: its body was dropped, and nobody knows how far it came",
            false,
        )
    }

    /// It can pass, and comes neither from the step's own code nor from the journal's database.
    #[must_use]
    pub fn blames_the_backend(&self) -> bool {
        self.transient && !matches!(self.class.as_str(), "panic" | "store")
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
