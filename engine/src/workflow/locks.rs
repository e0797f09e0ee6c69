//! The locks of a plan: of each resource one, and those of a sub-task held against its parent's.

use super::InputError;
use crate::journal::{GraphStep, StepIndex, comes_after};
use crate::lock::{LockMode, LockRequest, LockState, OnPause};
use crate::plan::{Plan, PlanLock};

/// Of each resource one lock, which covers all that were declared, in the order of the resources.
pub(super) fn merged(mut locks: Vec<LockRequest>, graph: &[GraphStep]) -> Vec<LockRequest> {
    locks.sort_by(|a, b| a.resource.cmp(&b.resource));
    // Two seats in one queue would wait for each other.
    locks.dedup_by(|other, lock| {
        let same = other.resource == lock.resource;
        if same {
            lock.until = later(graph, lock.until, other.until);
            if other.mode == LockMode::Exclusive {
                lock.mode = LockMode::Exclusive;
            }
            if other.on_pause == OnPause::Hold {
                lock.on_pause = OnPause::Hold;
            }
        }
        same
    });
    // They are asked for all at once: a plan that gave up one and kept another would have to let go of that too.
    if locks.iter().any(|lock| lock.on_pause == OnPause::Hold) {
        for lock in &mut locks {
            lock.on_pause = OnPause::Hold;
        }
    }
    locks
}

/// Of two ends of a lock the later one; of steps side by side nobody knows which that is, so it is the plan's end.
fn later(
    graph: &[GraphStep],
    one: Option<StepIndex>,
    other: Option<StepIndex>,
) -> Option<StepIndex> {
    let (one, other) = (one?, other?);
    if comes_after(graph, one, other) {
        Some(other)
    } else if comes_after(graph, other, one) {
        Some(one)
    } else {
        None
    }
}

/// Each of these locks of a sub-task is one that its parent holds now, and for as long as this step takes.
pub(crate) fn covered(
    parent: &Plan,
    step: StepIndex,
    workflow: &'static str,
    locks: &[LockRequest],
) -> Result<(), InputError> {
    let is_of = |lock: &LockRequest, held: &PlanLock| held.request.resource == lock.resource;
    for lock in locks {
        let held = parent.locks.iter().find(|held| is_of(lock, held));
        let held = held.filter(|held| {
            held.state == LockState::Held
                && (held.request.mode == LockMode::Exclusive || lock.mode == LockMode::Shared)
        });
        let resource = || lock.resource.clone();
        let Some(held) = held else {
            let resource = resource();
            return Err(InputError::LockOutsideParent { workflow, resource });
        };
        let until = held.request.until;
        if !until.is_none_or(|until| parent.comes_after(step, until)) {
            let resource = resource();
            return Err(InputError::LockEndsBefore { workflow, resource });
        }
    }
    Ok(())
}
