//! Whose turn it is when a place comes free, as it can be seen from outside of a node.
//!
//! A plan waits for a place of its node from when its node knows that the row is durable by which it has asked for one. When its
//! turn comes it reads its mail in the same moment, and then records that it has the place. So when a plan is about to record
//! that, everybody who was known to wait on its node before its turn came, and was more urgent by then, has read his mail too:
//! his turn came first. Told only of plans of which nothing else was under way meanwhile, for those read their mail later.

use super::tally::{Deed, Tally};
use crate::clock::{Clock, Timestamp};
use crate::journal::{Entry, NodeId, PlanId, Row};
use crate::plan::Plan;
use crate::priority::Priority;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// Rows of one life of a node have numbers that follow each other from where chance began.
const ONE_LIFE: u64 = 1_000_000;

/// A plan that waits for a place.
#[derive(Debug)]
struct Waits {
    node: NodeId,
    nonce: i64,
    priority: Priority,
    since: Timestamp,
    /// Its workflow has a limit of its own.
    is_limited: bool,
    /// Since then its node knows that it waits.
    known: Option<Instant>,
    /// When it read its mail first, after that.
    looked: Option<Instant>,
    /// Something else of it was under way meanwhile: when its turn came cannot be told.
    is_disturbed: bool,
    /// It is about to record that it has its place.
    is_granted: bool,
    /// Less urgent plans that got their place then, while this one had not had its turn.
    passed_by: Vec<(PlanId, Instant)>,
}

impl Waits {
    fn is_of_one_life_with(&self, other: &Self) -> bool {
        self.node == other.node && self.nonce.abs_diff(other.nonce) < ONE_LIFE
    }
}

/// Everybody who waits for a place.
#[derive(Debug)]
pub(super) struct Turns {
    waiting: Mutex<Kept>,
    tally: Arc<Tally>,
}

#[derive(Debug, Default)]
struct Kept {
    waiting: BTreeMap<PlanId, Waits>,
    /// Those that wait since the last commit.
    fresh: Vec<PlanId>,
    wrong: Vec<String>,
}

impl Turns {
    pub(super) fn new(tally: Arc<Tally>) -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::default(),
            tally,
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was not in order.
    pub(super) fn wrong(&self) -> Vec<String> {
        self.kept().wrong.clone()
    }

    /// A row of the plan was committed, which is as it is after it.
    pub(super) fn committed(&self, plan: &Plan, row: &Row) {
        let mut kept = self.kept();
        let has = |entry: &Entry| row.entries.contains(entry);
        let waits = kept.waiting.remove(&plan.id);
        if has(&Entry::PlaceAsked) {
            let suspended = plan.steps.iter().any(|step| step.family.is_some());
            if plan.waits_for_place() {
                let waits = Waits {
                    node: row.node,
                    nonce: row.nonce,
                    priority: plan.priority(),
                    since: plan.place_asked.unwrap_or_default(),
                    is_limited: plan.workflow() == "small",
                    known: None,
                    looked: None,
                    is_disturbed: suspended,
                    is_granted: false,
                    passed_by: Vec::new(),
                };
                kept.waiting.insert(plan.id, waits);
                kept.fresh.push(plan.id);
            }
            return;
        }
        let Some(mut waits) = waits else { return };
        let mine = row.node == waits.node && row.nonce.abs_diff(waits.nonce) < ONE_LIFE;
        if !mine || row.entries.iter().any(Entry::takes_over) {
            return; // its seat is gone with its owner
        }
        if plan.waits_for_place() {
            waits.is_disturbed = true;
            kept.waiting.insert(plan.id, waits);
        } else if has(&Entry::PlaceGranted)
            && let Some(looked) = waits.looked.filter(|_| !waits.is_disturbed)
        {
            let mut before = waits.passed_by.iter().filter(|(_, at)| *at < looked);
            if let Some((other, _)) = before.next() {
                let (id, priority) = (plan.id, waits.priority);
                kept.wrong.push(format!(
                    "task {other} got a place before task {id}, which waited there and is {priority}"
                ));
            }
        }
    }

    /// Those that wait since the commit that was made just now.
    pub(super) fn fresh(&self) -> Vec<PlanId> {
        std::mem::take(&mut self.kept().fresh)
    }

    /// Their node knows from now on that they wait.
    pub(super) fn known(&self, plans: &[PlanId]) {
        let mut kept = self.kept();
        for plan in plans {
            if let Some(waits) = kept.waiting.get_mut(plan) {
                waits.known.get_or_insert_with(Instant::now);
            }
        }
    }

    /// The plan reads its mail.
    pub(super) fn looks(&self, plan: PlanId) {
        let mut kept = self.kept();
        let waits = kept.waiting.get_mut(&plan);
        if let Some(waits) = waits.filter(|it| it.known.is_some()) {
            waits.looked.get_or_insert_with(Instant::now);
        }
    }

    /// The plan is about to append this row.
    pub(super) fn appends(&self, plan: PlanId, row: &Row, clock: Clock) {
        let mut kept = self.kept();
        let Some(mine) = kept.waiting.get_mut(&plan) else {
            return;
        };
        if !row.entries.contains(&Entry::PlaceGranted) {
            mine.is_disturbed = true;
            return;
        }
        let (Some(_), Some(looked)) = (mine.known, mine.looked) else {
            return;
        };
        let is_its_own = mine.nonce.abs_diff(row.nonce) < ONE_LIFE;
        if mine.is_disturbed || mine.is_granted || !is_its_own {
            return;
        }
        mine.is_granted = true;
        let (now, at) = (Instant::now(), clock.now());
        let counts_as = |it: &Waits| it.priority.aged(at.since(it.since));
        let Some(mine) = kept.waiting.remove(&plan) else {
            return;
        };
        let mut overtakes = false;
        for other in kept.waiting.values_mut() {
            let Some(known) = other.known.filter(|_| other.is_of_one_life_with(&mine)) else {
                continue;
            };
            let still_waits = known < looked && other.looked.is_none() && !other.is_disturbed;
            if !still_waits || other.is_limited {
                continue;
            }
            // It counts as less at the moment of the turn too: nobody ages backwards.
            let waited_then = at.since(other.since).saturating_sub(now - looked);
            if counts_as(&mine) < other.priority.aged(waited_then) {
                other.passed_by.push((plan, now));
            }
            overtakes |= mine.known > other.known && counts_as(&mine) > counts_as(other);
        }
        kept.waiting.insert(plan, mine);
        if overtakes {
            self.tally.note(Deed::Overtaking);
        }
    }
}
