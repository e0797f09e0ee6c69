//! Who holds a lock excludes others: looked at after each commit of a run, over the journals of all plans.

use super::laws::Done;
use crate::journal::{PlanId, Row};
use crate::lock::{LockMode, LockState};
use crate::plan::Plan;
use crate::search::Search;
use crate::store::{Page, Store};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// More plans than a run has.
const ALL: u32 = 1000;

/// Folds the journals of all plans after each commit, and notes where two hold what excludes each other.
#[derive(Debug, Default)]
pub struct Watch(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    plans: BTreeMap<PlanId, Plan>,
    wrong: Vec<String>,
    looks: usize,
    contended: usize,
    shared: usize,
}

/// Who stands how with the lock of a resource.
#[derive(Default)]
struct Standing {
    held: Vec<(PlanId, LockMode)>,
    waits: Vec<PlanId>,
}

impl Standing {
    fn excludes(&self) -> bool {
        let alone = |(_, mode): &(PlanId, LockMode)| *mode == LockMode::Exclusive;
        self.held.len() > 1 && self.held.iter().any(alone)
    }
}

impl Watch {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at all plans as they are at one moment. Nothing is noted where the store cannot be read.
    pub(super) async fn look<St: Store>(&self, store: &St) {
        let page = Page {
            limit: ALL,
            ..Page::default()
        };
        let Ok(listing) = store.list(Search::default(), page).await else {
            return;
        };
        if let Ok(rows) = store.load_all(listing.plans).await {
            self.seen().look(&rows);
        }
    }

    /// Two plans never held what excludes each other; how often that was looked at is added to what a law did.
    pub(super) fn report(&self, done: &mut Done) {
        let seen = self.seen();
        assert_eq!(
            seen.wrong, [""; 0],
            "a lock excludes others, at each of {} looks",
            seen.looks
        );
        done.looks += seen.looks;
        done.contended += seen.contended;
        done.shared += seen.shared;
    }
}

impl Seen {
    fn look(&mut self, all: &[(PlanId, Vec<Row>)]) {
        for (id, rows) in all {
            let plan = self.plans.entry(*id).or_insert_with(|| Plan::empty(*id));
            let known = plan.seq;
            for row in rows.iter().filter(|row| row.seq > known) {
                plan.append(row);
            }
        }
        let resources = standings(&self.plans);
        self.looks += 1;
        let waited_for = |it: &Standing| !it.held.is_empty() && !it.waits.is_empty();
        self.contended += usize::from(resources.values().any(waited_for));
        self.shared += usize::from(resources.values().any(|it| it.held.len() > 1));
        let wrong: Vec<String> = resources
            .iter()
            .filter(|(_, standing)| standing.excludes())
            .map(|(resource, standing)| format!("{resource} is held by {:?}", standing.held))
            .collect();
        self.wrong.extend(wrong);
    }
}

fn standings(plans: &BTreeMap<PlanId, Plan>) -> BTreeMap<&str, Standing> {
    let mut resources = BTreeMap::<&str, Standing>::new();
    for (id, plan) in plans {
        for lock in &plan.locks {
            let standing = resources.entry(&lock.request.resource).or_default();
            match lock.state {
                LockState::Held => standing.held.push((*id, lock.request.mode)),
                LockState::Queued => standing.waits.push(*id),
                LockState::GivenUp | LockState::Ended => {}
            }
        }
    }
    resources
}
