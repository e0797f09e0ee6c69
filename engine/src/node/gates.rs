//! The gates of a node: which of them are open, and who waits at those that are not.

use super::actor::Actor;
use super::locked;
use crate::clock::Timestamp;
use crate::gate::{Closed, Gate, GateId, GateState, Watched};
use crate::journal::{PlanId, StepIndex};
use crate::step::{Outcome, Policy, Services, StepError};
use crate::store::Store;
use metrics::counter;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, oneshot};

#[derive(Default)]
pub(super) struct Gates {
    known: Mutex<Known>,
    /// Something is to be written down.
    pub(super) changed: Notify,
}

#[derive(Default)]
struct Known {
    gates: BTreeMap<GateId, Guarded>,
    closed: Closed,
}

struct Guarded {
    watched: Watched,
    /// Steps that passed while it opened and have not come to an end.
    in_use: u32,
    queue: VecDeque<oneshot::Sender<Place>>,
    /// It is not kept as it is.
    unsaved: bool,
}

impl Guarded {
    fn new(id: &GateId, now: Timestamp) -> Self {
        Self {
            watched: Watched::new(Gate::open(id.clone()), now),
            in_use: 0,
            queue: VecDeque::new(),
            unsaved: false,
        }
    }
}

/// What somebody who looks at a gate sees of it.
pub(super) struct Glimpse {
    pub(super) gate: Gate,
    pub(super) used: f64,
    pub(super) waiting: usize,
}

/// A step has passed. While the gate opens only so many do: its place is free again once this is dropped.
pub(super) struct Place {
    gates: Arc<Gates>,
    gate: GateId,
    counts: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.counts {
            self.gates.comes_back(&self.gate);
        }
    }
}

impl Known {
    fn guarded(&mut self, id: &GateId, now: Timestamp) -> &mut Guarded {
        self.gates.entry(id.clone()).or_insert_with(|| {
            if let GateId::Backend(name) = id {
                // From zero on, so that the first one is seen as a change.
                counter!("wharfinger_gate_closures_total", "gate" => name.clone()).increment(0);
            }
            Guarded::new(id, now)
        })
    }

    fn note_closed(&mut self) {
        let not_open = self.gates.iter().filter(|(_, it)| {
            let state = it.watched.gate.state;
            state != GateState::Open
        });
        self.closed = Closed::these(not_open.map(|(id, _)| id.clone()).collect());
    }
}

impl Gates {
    /// The gates that are not open, for decisions.
    pub(super) fn closed(&self) -> Closed {
        locked(&self.known).closed.clone()
    }

    /// Returns once a step may pass all of these, the last with a place of its own.
    pub(super) async fn pass(
        self: &Arc<Self>,
        way: &[GateId],
        now: impl Fn() -> Timestamp,
    ) -> Place {
        loop {
            let mut place = None;
            for gate in way {
                place = Some(self.wait_at(gate, now()).await);
            }
            let all = way
                .iter()
                .all(|gate| self.state_of(gate) != GateState::Closed);
            if let Some(place) = place.filter(|_| all) {
                return place;
            }
        }
    }

    async fn wait_at(self: &Arc<Self>, gate: &GateId, now: Timestamp) -> Place {
        loop {
            let turn = {
                let mut known = locked(&self.known);
                let guarded = known.guarded(gate, now);
                let (turn, told) = oneshot::channel();
                guarded.queue.push_back(turn);
                self.admit(gate, guarded);
                told
            };
            if let Ok(place) = turn.await {
                return place;
            }
        }
    }

    /// Lets those pass who may.
    fn admit(self: &Arc<Self>, id: &GateId, guarded: &mut Guarded) {
        while guarded.watched.lets_through(guarded.in_use) {
            let Some(first) = guarded.queue.pop_front() else {
                return;
            };
            let counts = guarded.watched.gate.state == GateState::Opening;
            let place = Place {
                gates: self.clone(),
                gate: id.clone(),
                counts,
            };
            match first.send(place) {
                Ok(()) => guarded.in_use += u32::from(counts),
                Err(mut nobody) => nobody.counts = false, // it does not wait any more
            }
        }
    }

    fn comes_back(self: &Arc<Self>, gate: &GateId) {
        let mut known = locked(&self.known);
        if let Some(guarded) = known.gates.get_mut(gate) {
            guarded.in_use = guarded.in_use.saturating_sub(1);
            self.admit(gate, guarded);
        }
    }

    fn state_of(&self, gate: &GateId) -> GateState {
        let known = locked(&self.known);
        let guarded = known.gates.get(gate);
        guarded.map_or(GateState::Open, |it| it.watched.gate.state)
    }

    /// An attempt that went through the gate succeeded.
    pub(super) fn succeeded(self: &Arc<Self>, gate: &GateId, now: Timestamp) {
        self.change(gate, now, |watched| watched.succeeded(now));
    }

    /// An attempt that went through it failed in a way that can pass. True: the gate is not open any more.
    pub(super) fn failed(
        self: &Arc<Self>,
        gate: &GateId,
        plan: PlanId,
        why: &str,
        now: Timestamp,
    ) -> bool {
        let closes = self.change(gate, now, |watched| watched.failed(plan, why, now));
        if closes {
            tracing::error!(gate = %gate, "{gate} is closed: too many attempts failed, the last: {why}");
            counter!("wharfinger_gate_closures_total", "gate" => gate.name()).increment(1);
        }
        self.state_of(gate) != GateState::Open
    }

    /// Its backend was asked before a step is given up, and is down.
    fn is_down(self: &Arc<Self>, gate: &GateId, why: &str, now: Timestamp) {
        if self.change(gate, now, |watched| watched.is_down(why, now)) {
            tracing::error!(gate = %gate, "{gate} is closed: its backend is down: {why}");
            counter!("wharfinger_gate_closures_total", "gate" => gate.name()).increment(1);
        }
    }

    /// It was looked at how its backend is.
    pub(super) fn probed(
        self: &Arc<Self>,
        gate: &GateId,
        found: Result<(), String>,
        now: Timestamp,
    ) {
        match &found {
            Ok(()) => tracing::info!(gate = %gate, "{gate} opens: a step tries it"),
            Err(why) => tracing::warn!(gate = %gate, "{gate} stays closed: {why}"),
        }
        self.change(gate, now, |watched| {
            watched.probed(found, now);
            true
        });
    }

    /// True if that changed the gate as it is kept.
    fn change(
        self: &Arc<Self>,
        gate: &GateId,
        now: Timestamp,
        change: impl FnOnce(&mut Watched) -> bool,
    ) -> bool {
        let mut known = locked(&self.known);
        let guarded = known.guarded(gate, now);
        let was = guarded.watched.gate.state;
        if !change(&mut guarded.watched) {
            return false;
        }
        guarded.unsaved = true;
        let is = guarded.watched.gate.state;
        self.admit(gate, guarded);
        if was != is {
            known.note_closed();
        }
        self.changed.notify_one();
        true
    }

    /// Gates through which nothing has wanted to pass for a while are open.
    pub(super) fn open_idle(self: &Arc<Self>, now: Timestamp) {
        let idle: Vec<GateId> = {
            let mut known = locked(&self.known);
            let mut idle = Vec::new();
            for (id, guarded) in &mut known.gates {
                guarded.queue.retain(|waiting| !waiting.is_closed());
                if guarded.in_use == 0 && guarded.queue.is_empty() {
                    idle.push(id.clone());
                }
            }
            idle
        };
        for gate in idle {
            self.change(&gate, now, |watched| watched.is_idle(now));
        }
    }

    /// The gates that look again now how their backends are.
    pub(super) fn to_probe(&self, now: Timestamp) -> Vec<GateId> {
        let known = locked(&self.known);
        let due = known.gates.iter().filter(|(_, it)| {
            let at = it.watched.probe_at();
            at.is_some_and(|at| at <= now)
        });
        due.map(|(id, _)| id.clone()).collect()
    }

    /// The gates that are not kept as they are.
    pub(super) fn unsaved(&self) -> Vec<Gate> {
        let known = locked(&self.known);
        let unsaved = known.gates.values().filter(|it| it.unsaved);
        unsaved.map(|it| it.watched.gate.clone()).collect()
    }

    /// What became of keeping one: it is kept so, or somebody else was faster, and what he kept counts.
    pub(super) fn saved(&self, sent: &Gate, kept: Option<&Gate>) {
        let mut known = locked(&self.known);
        let Some(guarded) = known.gates.get_mut(&sent.id) else {
            return;
        };
        let unchanged = guarded.watched.gate == *sent;
        match kept {
            Some(kept) => {
                guarded.watched.gate.revision = kept.revision;
                guarded.unsaved = !unchanged;
            }
            None => guarded.unsaved = false,
        }
    }

    /// What others have done to gates.
    pub(super) fn merge(self: &Arc<Self>, kept: Vec<Gate>, now: Timestamp) {
        let mut known = locked(&self.known);
        for gate in kept {
            let id = gate.id.clone();
            let guarded = known.guarded(&id, now);
            if guarded.unsaved || gate.revision <= guarded.watched.gate.revision {
                continue;
            }
            guarded.watched.replace(gate, now);
            self.admit(&id, guarded);
        }
        known.note_closed();
    }

    /// A person has closed or opened it, and that is kept.
    pub(super) fn by_hand(self: &Arc<Self>, kept: Gate, now: Timestamp) {
        let mut known = locked(&self.known);
        let id = kept.id.clone();
        let guarded = known.guarded(&id, now);
        guarded.unsaved = false;
        guarded.watched.replace(kept, now);
        self.admit(&id, guarded);
        known.note_closed();
    }

    /// The gate as it is.
    pub(super) fn glimpse(&self, gate: &GateId, now: Timestamp) -> Glimpse {
        let known = locked(&self.known);
        known.gates.get(gate).map_or_else(
            || Glimpse {
                gate: Gate::open(gate.clone()),
                used: 0.0,
                waiting: 0,
            },
            |it| Glimpse {
                gate: it.watched.gate.clone(),
                used: it.watched.used(now),
                waiting: it
                    .queue
                    .iter()
                    .filter(|waiting| !waiting.is_closed())
                    .count(),
            },
        )
    }

    /// Every gate that this node has heard of.
    pub(super) fn ids(&self) -> Vec<GateId> {
        locked(&self.known).gates.keys().cloned().collect()
    }

    /// Closed before the first plan is driven; written down by the duty.
    pub(super) fn hold(self: &Arc<Self>, gate: &GateId, by: &str, reason: &str, now: Timestamp) {
        self.change(gate, now, |watched| {
            let is_held = watched.gate.is_closed_by_hand();
            if !is_held {
                watched.gate = watched
                    .gate
                    .closed_by_hand(by.into(), Some(reason.into()), now);
            }
            !is_held
        });
    }
}

impl<S: Services, St: Store<Tx = S::Tx>> Actor<S, St> {
    fn backend_of(&self, step: StepIndex) -> Option<GateId> {
        let gate = self.plan.graph().get(step)?.gate.clone()?;
        Some(GateId::Backend(gate))
    }

    /// What the step worked on behind its gate has answered.
    pub(super) fn tell_gate_of_success(&self, step: StepIndex) {
        if let Some(gate) = self.backend_of(step) {
            self.node.gates.succeeded(&gate, self.node.clock.now());
        }
    }

    /// Before a step is given up because its last attempt has failed, its backend is asked, where somebody can: when that is down,
    /// the step waits until it is back. One plan alone would use up no budget.
    pub(super) async fn ask_before_giving_up(
        &self,
        step: StepIndex,
        policy: Policy,
        outcome: &Result<Outcome, StepError>,
    ) {
        let Err(StepError(error)) = outcome else {
            return;
        };
        let Some(gate) = self.backend_of(step) else {
            return;
        };
        let failures = self.plan.steps.get(step).map_or(0, |it| match &it.undo {
            Some(undo) => undo.failures,
            None => it.failures,
        });
        let attempts = self.plan.graph().get(step).map_or(0, |it| it.attempts);
        let gives_up = error.blames_the_backend() && failures + 1 >= attempts;
        if !gives_up || policy.once || self.plan.cancelling {
            return;
        }
        if self.node.gates.state_of(&gate) == GateState::Closed {
            return; // it is turned back there
        }
        let (gate, found) = super::gate_duty::probe(self.node.clone(), gate).await;
        if let Err(why) = found {
            self.node.gates.is_down(&gate, &why, self.node.clock.now());
        }
    }

    /// What the end of an attempt says about the backend behind its gate; the gate where it is turned back there.
    pub(super) fn tell_gate(
        &self,
        step: StepIndex,
        policy: Policy,
        outcome: &Result<Outcome, StepError>,
    ) -> Option<GateId> {
        let gate = self.backend_of(step)?;
        let (gates, now) = (&self.node.gates, self.node.clock.now());
        match outcome {
            Ok(_) => {
                gates.succeeded(&gate, now);
                None
            }
            Err(StepError(error)) if error.blames_the_backend() && !self.plan.cancelling => {
                let turned_back = gates.failed(&gate, self.plan.id, &error.message, now);
                (turned_back && !policy.once).then_some(gate)
            }
            Err(_) => None,
        }
    }
}
