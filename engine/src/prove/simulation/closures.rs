//! While somebody keeps a gate closed, and was told that it is, nothing begins behind it on the node that told him so.

use super::world::IN_TRANSACTION;
use crate::clock::{Clock, Timestamp};
use crate::gate::{GateId, way_of};
use crate::journal::{Entry, NodeId, PlanId, Row, StepIndex};
use crate::plan::Plan;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The clock of a node differs from that of the one that has its seat after it by at most so much.
const SKEW: Duration = Duration::from_secs(4);

/// The gates that people keep closed, as nodes have told them.
#[derive(Debug, Default)]
pub(super) struct Closures(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    all: Vec<Closure>,
    /// How often it was wanted that a gate opens, and how many of those have no answer yet.
    openings: BTreeMap<GateId, (usize, usize)>,
    /// How often each node has died, and when it did last.
    deaths: BTreeMap<NodeId, (usize, Instant)>,
    /// Rows of which a step began.
    looks: usize,
}

/// What may come between a wish to close a gate and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Before {
    /// How often it was wanted that it opens.
    openings: usize,
    is_being_opened: bool,
    /// How often the node has died.
    deaths: usize,
}

/// By the clock of the node.
#[derive(Debug)]
struct Closure {
    gate: GateId,
    node: NodeId,
    clock: Clock,
    from: Timestamp,
    until: Option<Timestamp>,
}

impl Closures {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What somebody has seen who is about to ask this node to close the gate.
    pub(super) fn before(&self, gate: &GateId, node: NodeId) -> Before {
        let known = self.known();
        let (wanted, unanswered) = known.openings.get(gate).copied().unwrap_or_default();
        Before {
            openings: wanted,
            is_being_opened: unanswered > 0,
            deaths: known.deaths.get(&node).map_or(0, |(deaths, _)| *deaths),
        }
    }

    /// The node has said that the gate is closed now. Nobody knows for how long where it was to be opened since it was asked, or
    /// the node has died.
    pub(super) fn closed(&self, gate: GateId, node: NodeId, clock: Clock, before: Before) {
        let nothing_else = self.before(&gate, node) == before && !before.is_being_opened;
        let mut known = self.known();
        if nothing_else {
            // What the one before it in its seat has written may have later times than it has itself.
            let died = known.deaths.get(&node).map(|(_, at)| at.elapsed());
            let not_before = died.map_or(Duration::ZERO, |died| SKEW.saturating_sub(died));
            known.all.push(Closure {
                gate,
                node,
                from: clock.now() + not_before,
                clock,
                until: None,
            });
        }
    }

    /// Somebody is about to ask a node to open it.
    pub(super) fn opens(&self, gate: &GateId) {
        let mut known = self.known();
        let (wanted, unanswered) = known.openings.entry(gate.clone()).or_default();
        *wanted += 1;
        *unanswered += 1;
        let open = known.all.iter_mut().filter(|it| it.until.is_none());
        for closure in open.filter(|it| it.gate == *gate) {
            closure.until = Some(closure.clock.now());
        }
    }

    /// Somebody has his answer to that.
    pub(super) fn answered(&self, gate: &GateId) {
        let mut known = self.known();
        if let Some((_, unanswered)) = known.openings.get_mut(gate) {
            *unanswered -= 1;
        }
    }

    /// The node is no more; the next one in its seat has another clock.
    pub(super) fn dies(&self, node: NodeId) {
        let mut known = self.known();
        let deaths = known.deaths.get(&node).map_or(0, |(deaths, _)| *deaths);
        known.deaths.insert(node, (deaths + 1, Instant::now()));
        for closure in known.all.iter_mut().filter(|it| it.node == node) {
            let last = closure.clock.now() - SKEW;
            closure.until = Some(closure.until.map_or(last, |until| until.min(last)));
        }
    }

    /// Of how many closures, and over how many begins of steps, it was looked.
    pub(super) fn looked(&self) -> (usize, usize) {
        let known = self.known();
        (known.all.len(), known.looks)
    }

    /// What of this plan began behind a gate that was kept closed.
    ///
    /// A step that waited at a gate may have passed it before. What follows a transactional step in its own transaction was
    /// admitted when that began.
    pub(super) fn wrong(&self, id: PlanId, rows: &[Arc<Row>]) -> Vec<String> {
        let mut known = self.known();
        let (mut plan, mut wrong) = (Plan::empty(id), Vec::new());
        for row in rows {
            let waits =
                |step: &StepIndex| plan.steps.get(*step).is_some_and(|it| it.at_gate.is_some());
            let begun = row.entries.iter().filter_map(begins);
            let begun: Vec<StepIndex> = begun.filter(|step| !waits(step)).collect();
            plan.append(row);
            if ends_in_transaction(&plan, row) {
                continue;
            }
            for step in begun {
                known.looks += 1;
                let way = way_of(&plan, step, row.node);
                let closed = known.all.iter().find(|it| {
                    let was_closed = it.from < row.at && it.until.is_none_or(|end| row.at < end);
                    it.node == row.node && was_closed && way.contains(&it.gate)
                });
                wrong.extend(closed.map(|it| {
                    let name = plan.graph().get(step).map_or("", |step| &step.name);
                    format!(
                        "step {name} began at {}, and {} was closed since {}",
                        row.at, it.gate, it.from
                    )
                }));
            }
        }
        wrong
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other entries begin nothing"
)]
fn begins(entry: &Entry) -> Option<StepIndex> {
    match entry {
        Entry::StepStarted { step } | Entry::Compensating { step } => Some(*step),
        _ => None,
    }
}

fn ends_in_transaction(plan: &Plan, row: &Row) -> bool {
    let ends = row.entries.iter().filter(|entry| {
        matches!(
            entry,
            Entry::StepSucceeded { .. } | Entry::Compensated { .. }
        )
    });
    let mut steps = ends.filter_map(Entry::step);
    steps.any(|step| {
        let known = plan.graph().get(step);
        known.is_some_and(|known| IN_TRANSACTION.contains(&known.name.as_str()))
    })
}
