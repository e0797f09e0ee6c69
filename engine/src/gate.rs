//! Gates: what a step goes through before it begins. One stands before each backend, each workflow and each node.
//!
//! The gate of a backend closes by itself when more attempts fail than its [`Budget`] allows, and opens by itself, slowly, once
//! the backend is back. By hand every gate is closed and opened at once: that is what holding a workflow or a node is.
//! Nothing here does I/O or knows the time.

mod budget;
mod watched;

pub use budget::Budget;
pub use watched::{OPEN_AFTER, PROBE_AGAIN, Watched};

use crate::clock::Timestamp;
use crate::journal::{NodeId, StepIndex};
use crate::plan::Plan;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// What a gate stands before. A step goes through them in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateId {
    /// The node that drives the plan.
    Node(NodeId),
    /// The workflow, by its name.
    Workflow(String),
    /// What the step works on outside, by the name that its policy or its input gives.
    Backend(String),
}

impl GateId {
    /// What kind of thing it stands before, as stores keep it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Node(_) => "node",
            Self::Workflow(_) => "workflow",
            Self::Backend(_) => "backend",
        }
    }

    /// The name of that thing, as stores keep it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Node(node) => node.to_string(),
            Self::Workflow(name) | Self::Backend(name) => name.clone(),
        }
    }

    /// The gate that a store keeps so; none when it is no gate.
    #[must_use]
    pub fn kept_as(kind: &str, name: &str) -> Option<Self> {
        match kind {
            "node" => name.parse().ok().map(|id| Self::Node(NodeId(id))),
            "workflow" => Some(Self::Workflow(name.to_owned())),
            "backend" => Some(Self::Backend(name.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for GateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "node {node}"),
            Self::Workflow(name) => write!(f, "workflow {name}"),
            Self::Backend(name) => write!(f, "gate {name}"),
        }
    }
}

/// Where a gate is.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
    strum::IntoStaticStr,
    Serialize,
    Deserialize,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum GateState {
    /// Every step passes.
    Open,
    /// No step passes.
    Closed,
    /// So many steps pass at once, to see how they fare.
    Opening,
}

/// A gate as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// What it stands before.
    pub id: GateId,
    /// Where it is.
    pub state: GateState,
    /// The login of who closed or opened it by hand; none: it did so by itself.
    pub by: Option<String>,
    /// Why: in his words, or what failed.
    pub reason: Option<String>,
    /// Since when it is there.
    pub since: Timestamp,
    /// While it opens: how many steps pass at once on each node.
    pub at_once: u32,
    /// How often in a row it found its backend still down.
    pub failures: u32,
    /// While it is closed by itself: when it looks again.
    pub probe_at: Option<Timestamp>,
    /// Grows with each change: of two who change what they both read, one does.
    pub revision: i64,
}

impl Gate {
    /// A gate of which nothing is known: open.
    #[must_use]
    pub const fn open(id: GateId) -> Self {
        Self {
            id,
            state: GateState::Open,
            by: None,
            reason: None,
            since: Timestamp(0),
            at_once: 0,
            failures: 0,
            probe_at: None,
            revision: 0,
        }
    }

    /// Somebody has closed it, and nobody but a person opens it again.
    #[must_use]
    pub const fn is_closed_by_hand(&self) -> bool {
        matches!(self.state, GateState::Closed) && self.by.is_some()
    }

    /// The same gate, closed by a person.
    #[must_use]
    pub fn closed_by_hand(&self, by: String, reason: Option<String>, at: Timestamp) -> Self {
        Self {
            state: GateState::Closed,
            by: Some(by),
            reason,
            since: at,
            ..Self::open(self.id.clone())
        }
        .following(self)
    }

    /// The same gate, opened by a person: at once and for all.
    #[must_use]
    pub fn opened_by_hand(&self, by: String, reason: Option<String>, at: Timestamp) -> Self {
        Self {
            by: Some(by),
            reason,
            since: at,
            ..Self::open(self.id.clone())
        }
        .following(self)
    }

    const fn following(mut self, before: &Self) -> Self {
        self.revision = before.revision;
        self
    }
}

/// The gates through which not every step passes now, as a decision about a plan sees them.
#[derive(Clone, Debug, Default)]
pub struct Closed(Arc<BTreeSet<GateId>>);

impl Closed {
    /// These are not open.
    #[must_use]
    pub fn these(gates: BTreeSet<GateId>) -> Self {
        Self(Arc::new(gates))
    }

    /// The first gate that keeps this step of a plan from beginning on `node`.
    #[must_use]
    pub fn before(&self, plan: &Plan, step: StepIndex, node: NodeId) -> Option<GateId> {
        if self.0.is_empty() {
            return None;
        }
        way_of(plan, step, node)
            .into_iter()
            .find(|gate| self.0.contains(gate))
    }
}

/// The gates that this step of a plan goes through on `node`, in their order.
#[must_use]
pub fn way_of(plan: &Plan, step: StepIndex, node: NodeId) -> Vec<GateId> {
    let mut way = vec![
        GateId::Node(node),
        GateId::Workflow(plan.workflow().to_owned()),
    ];
    let backend = plan.graph().get(step).and_then(|known| known.gate.clone());
    way.extend(backend.map(GateId::Backend));
    way
}
