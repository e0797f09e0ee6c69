//! The brake of a crash-loop.
//!
//! A node that ends uncleanly again and again may run a step that kills it. Were all that it had at work begun again at once,
//! everything would be cut off with that step each time, and be taken for poison with it. So, from the second unclean start in a
//! row, what was at work is taken up one after the other: each only once the one before has made progress. Then only the step
//! that kills the node is cut off again, and is paused as poison. Meanwhile no schedule is fired: what kills the node may be its.

use super::drivers::Nudge;
use super::{Inner, locked};
use crate::clock::Timestamp;
use crate::decide::Happening;
use crate::journal::PlanId;
use crate::plan::Plan;
use crate::step::Services;
use crate::store::Store;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// An unclean start later than this after the one before is no part of the same loop: what kills a node does so within its steps.
pub(super) const WINDOW: Duration = Duration::from_hours(1);

/// From this unclean start in a row on the brake is on. The first may have any cause, and everything goes on fastest without.
const FROM: u32 = 2;

/// A plan that has run so long without ending the node is let run beside the next: one long step does not hold up all others.
const TRIAL: Duration = Duration::from_mins(1);

/// Whose turn it is: first whoever was taken up last, because that is most likely who has ended the node. So those that are
/// innocent are not cut off again for its sake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    taken_up: Reverse<Option<Timestamp>>,
    plan: PlanId,
    /// The number of the row that the plan ended with.
    seq: i64,
}

#[derive(Default)]
pub(super) struct Brake {
    unclean_starts: AtomicU32,
    /// Plans to take up one after the other.
    held_back: Mutex<BTreeMap<PlanId, Turn>>,
    /// The plan that was taken up last, until it is known not to end the node.
    on_trial: Mutex<Option<(PlanId, Arc<Notify>)>>,
}

impl Brake {
    /// The node has started so often in a row without having signed off before.
    pub(super) fn set(&self, unclean_starts: u32) {
        self.unclean_starts.store(unclean_starts, Ordering::Relaxed);
        if self.is_on() {
            tracing::warn!(
                unclean_starts,
                "the node has ended uncleanly {unclean_starts} times in a row: tasks that were at work are taken up one after the other, so that a step that kills the node is found"
            );
        }
    }

    fn is_on(&self) -> bool {
        self.unclean_starts.load(Ordering::Relaxed) >= FROM
    }

    /// Whether the plan, which nobody drives, has to wait until it is its turn to be taken up.
    pub(super) fn hold_back(&self, plan: &Plan, now: Timestamp) -> bool {
        let holds = self.is_on() && may_end_its_node(plan, now);
        if holds {
            let turn = Turn {
                taken_up: Reverse(plan.times.claimed),
                plan: plan.id,
                seq: plan.seq,
            };
            locked(&self.held_back).insert(plan.id, turn);
        }
        holds
    }

    /// It waits to be taken up.
    pub(super) fn knows(&self, plan: PlanId) -> bool {
        locked(&self.held_back).contains_key(&plan)
    }

    pub(super) fn count(&self) -> usize {
        locked(&self.held_back).len()
    }

    /// Nothing is held back, and nothing is on trial.
    pub(super) fn is_idle(&self) -> bool {
        self.count() == 0 && locked(&self.on_trial).is_none()
    }

    /// The plan is on trial from now on.
    fn tries(&self, plan: PlanId) -> Arc<Notify> {
        let passed = Arc::<Notify>::default();
        *locked(&self.on_trial) = Some((plan, passed.clone()));
        passed
    }

    fn trial_is_over(&self) {
        *locked(&self.on_trial) = None;
    }

    /// Something of the plan has come to its end and the node is still there, of which nothing is recorded: a poll.
    pub(super) fn passes(&self, plan: PlanId) {
        if let Some((tried, passed)) = &*locked(&self.on_trial)
            && *tried == plan
        {
            passed.notify_one();
        }
    }

    /// Why the plan is not taken up yet, if so.
    pub(super) fn holds_back(&self, plan: PlanId) -> Option<String> {
        let held_back = locked(&self.held_back);
        let its = held_back.get(&plan)?;
        let before = held_back.values().filter(|turn| *turn < its).count();
        let times = self.unclean_starts.load(Ordering::Relaxed);
        Some(format!(
            "that has ended uncleanly {times} times in a row and takes up one task after the other, {before} before this one"
        ))
    }

    fn first(&self) -> Option<(PlanId, i64)> {
        let held_back = locked(&self.held_back);
        let first = held_back.values().min();
        first.map(|turn| (turn.plan, turn.seq))
    }

    fn forget(&self, plan: PlanId) {
        locked(&self.held_back).remove(&plan);
    }

    fn forget_all(&self) {
        locked(&self.held_back).clear();
    }
}

/// Something of the plan was running when its node ended, or would run at once: a step, or what a suspended one does when it is due.
fn may_end_its_node(plan: &Plan, now: Timestamp) -> bool {
    plan.is_at_work() || plan.steps.iter().any(|step| plan.is_due(step, now))
}

/// Takes up what is held back, one after the other.
pub(super) async fn take_up<S: Services, St: Store<Tx = S::Tx>>(node: Arc<Inner<S, St>>) {
    loop {
        node.brake.trial_is_over();
        if node.lease.is_over() {
            // Others may take it up now; what they leave is found by the next round of take-overs.
            node.brake.forget_all();
        }
        let Some((plan, seq)) = node.brake.first() else {
            tokio::time::sleep(node.options.poll).await;
            continue;
        };
        match node.store.load(plan).await {
            Ok(rows) => {
                let now = Arc::new(Plan::fold(plan, &rows));
                let (epoch, passed) = (now.epoch, node.brake.tries(plan));
                if now.seq == seq && now.state.is_driven() {
                    tracing::warn!(task.id = %plan, "task {plan} is taken up alone, to see whether it ends the node");
                    let first = Happening::ClaimedAtRest; // who was cancelled meanwhile does not begin again
                    node.drive(now, Some(first), Some(Nudge::Granted), None);
                }
                node.brake.forget(plan);
                tokio::select! {
                    biased;
                    () = passed.notified() => {}
                    () = until_it_moves(&node, plan, epoch) => {}
                }
            }
            Err(error) => {
                tracing::warn!(task.id = %plan, %error, "task {plan} could not be read; it is tried again");
                tokio::time::sleep(node.options.poll).await;
            }
        }
    }
}

/// Until the plan, which had this epoch before, has made progress, or does nothing that could end the node, or has had its time.
async fn until_it_moves<S: Services, St: Store<Tx = S::Tx>>(
    node: &Arc<Inner<S, St>>,
    plan: PlanId,
    epoch: u32,
) {
    let Some(mut seen) = node.watch(plan) else {
        return;
    };
    let moved = async {
        // As it was found no recovery is counted for this start: first the claim, then what comes of it.
        let claimed = seen.wait_for(|plan| plan.epoch > epoch || plan.has_settled());
        if claimed.await.is_err() {
            return;
        }
        let harmless = |plan: &Arc<Plan>| {
            let rests = !(may_end_its_node(plan, node.clock.now()) || plan.waits_for_place());
            plan.recoveries == 0 || rests
        };
        drop(seen.wait_for(harmless).await);
    };
    drop(tokio::time::timeout(TRIAL, moved).await);
}
