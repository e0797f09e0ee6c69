//! What people see of gates and nodes, and what they do to them by hand.

use super::{Node, NodeError};
use crate::clock::Timestamp;
use crate::gate::{Gate, GateId, GateState};
use crate::journal::NodeId;
use crate::plan::Plan;
use crate::state::Refused;
use crate::step::{Services, Work};
use crate::store::{NodeRow, Store, StoreError};
use std::collections::BTreeSet;

/// A gate as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct GateSeen {
    /// As it is kept.
    pub gate: Gate,
    /// The part of its retry budget that this node has used up, from 0 to 1.
    pub used: f64,
    /// Steps that wait at it on this node.
    pub waiting: usize,
}

/// A node as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSeen {
    /// As it is kept.
    pub row: NodeRow,
    /// It has not beaten for the time of a lease, and has not signed off.
    pub is_silent: bool,
    /// Its gate.
    pub gate: Gate,
}

impl<S: Services, St: Store<Tx = S::Tx>> Node<S, St> {
    /// The gates of all backends that some step here works on, by name.
    #[must_use]
    pub fn gates(&self) -> Vec<GateSeen> {
        let declared = self
            .0
            .workflows
            .gates()
            .map(|name| GateId::Backend(name.to_owned()));
        let mut all: BTreeSet<GateId> = declared.collect();
        let known = self.0.gates.ids().into_iter();
        all.extend(known.filter(|id| matches!(id, GateId::Backend(_))));
        all.iter().map(|id| self.gate(id)).collect()
    }

    /// This gate as it is.
    #[must_use]
    pub fn gate(&self, id: &GateId) -> GateSeen {
        let glimpse = self.0.gates.glimpse(id, self.0.clock.now());
        GateSeen {
            gate: glimpse.gate,
            used: glimpse.used,
            waiting: glimpse.waiting,
        }
    }

    /// Every node that ever ran on this store, by name.
    pub async fn nodes(&self) -> Result<Vec<NodeSeen>, NodeError> {
        let now = self.0.clock.now();
        let rows = self.store().nodes().await?;
        let seen = rows.into_iter().map(|row| NodeSeen {
            is_silent: row.runs && now.since(row.beat_at) >= self.0.options.lease_ttl,
            gate: self.gate(&GateId::Node(row.id)).gate,
            row,
        });
        Ok(seen.collect())
    }

    /// Closes the gate: what is under way behind it comes to its end, and nothing begins until somebody opens it. `also` is
    /// written in the same transaction.
    pub async fn close_gate(
        &self,
        id: GateId,
        by: String,
        reason: Option<String>,
        also: Work<St::Tx, (), StoreError>,
    ) -> Result<GateSeen, NodeError> {
        let now = self.0.clock.now();
        let gate = self.gate(&id).gate;
        if let Some(by) = gate.by.as_ref().filter(|_| gate.is_closed_by_hand()) {
            let (done, undo) = words(&id);
            return Err(refused(
                &gate,
                format!("be {done}, because {by} has {done} it"),
                undo,
            )
            .into());
        }
        let closed = gate.closed_by_hand(by, reason, now);
        self.put_by_hand(closed, also).await
    }

    /// Opens the gate at once, whoever or whatever closed it.
    pub async fn open_gate(
        &self,
        id: GateId,
        by: String,
        reason: Option<String>,
        also: Work<St::Tx, (), StoreError>,
    ) -> Result<GateSeen, NodeError> {
        let now = self.0.clock.now();
        let gate = self.gate(&id).gate;
        if gate.state == GateState::Open {
            let event = match id {
                GateId::Backend(_) => "be opened, because it is open",
                GateId::Workflow(_) | GateId::Node(_) => "be released, because nobody holds it",
            };
            let can = match id {
                GateId::Backend(_) => "close",
                GateId::Workflow(_) | GateId::Node(_) => "hold",
            };
            return Err(refused(&gate, event.to_owned(), can).into());
        }
        let open = gate.opened_by_hand(by, reason, now);
        self.put_by_hand(open, also).await
    }

    async fn put_by_hand(
        &self,
        gate: Gate,
        also: Work<St::Tx, (), StoreError>,
    ) -> Result<GateSeen, NodeError> {
        let id = gate.id.clone();
        let put = self
            .0
            .store
            .transact::<Option<Gate>, StoreError>(Box::new(move |tx| {
                Box::pin(async move {
                    also(tx).await?;
                    St::put_gate_in(tx, gate, true).await
                })
            }));
        if let Some(kept) = put.await?? {
            self.0.gates.by_hand(kept, self.0.clock.now());
        }
        Ok(self.gate(&id))
    }

    /// The gates at which steps of this plan wait: of each the first that is not open, by the predicate that decides.
    pub(super) fn gates_of(&self, plan: &Plan) -> Vec<(usize, Gate)> {
        let owner: NodeId = plan.node.unwrap_or(self.0.options.id);
        let now: Timestamp = self.0.clock.now();
        let closed = self.0.gates.closed();
        let steps = plan.steps.iter().enumerate();
        let waiting = steps.filter_map(|(step, it)| Some((step, it.at_gate.as_ref()?)));
        waiting
            .map(|(step, at)| {
                let first = closed.before(plan, step, owner);
                let id = first.unwrap_or_else(|| at.gate.clone());
                (step, self.0.gates.glimpse(&id, now).gate)
            })
            .collect()
    }
}

const fn words(id: &GateId) -> (&'static str, &'static str) {
    match id {
        GateId::Backend(_) => ("closed", "open"),
        GateId::Workflow(_) | GateId::Node(_) => ("held", "release"),
    }
}

fn refused(gate: &Gate, event: String, can: &str) -> Refused {
    let what = match gate.id {
        GateId::Backend(_) => "gate",
        GateId::Workflow(_) => "workflow",
        GateId::Node(_) => "node",
    };
    let state = match (&gate.id, gate.state) {
        (GateId::Backend(_), state) => state.to_string(),
        (_, GateState::Open) => "released".to_owned(),
        (_, GateState::Closed | GateState::Opening) => "held".to_owned(),
    };
    Refused {
        what,
        state,
        event,
        can: vec![can.to_owned()],
    }
}
