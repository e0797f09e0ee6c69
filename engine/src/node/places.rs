//! How many plans are at work on this node at once, and whose turn it is when one of them is done.
//!
//! A plan has a place while a step of it runs. One that waits (for a lock, an attempt, an event, its sub-tasks, a person) has
//! none: so a parent never keeps its own sub-tasks from their place.

use crate::clock::Clock;
use crate::plan::Plan;
use crate::priority::{Line, Queue, Seat};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

use super::locked;

/// The places of a node.
pub(super) struct Places {
    limit: usize,
    clock: Clock,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    at_work: usize,
    of_workflow: HashMap<&'static str, usize>,
    queue: Queue<Waiter>,
    /// The node stops: nobody's turn comes any more.
    closed: bool,
}

/// A workflow, and how many of its plans may be at work at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) workflow: &'static str,
    pub(super) limit: Option<usize>,
}

struct Waiter {
    kind: Kind,
    told: oneshot::Sender<Place>,
}

impl Kept {
    fn has_room(&self, limit: usize, kind: Kind) -> bool {
        self.at_work < limit && self.may(kind)
    }

    fn may(&self, kind: Kind) -> bool {
        let at_work = self.of_workflow.get(kind.workflow).copied();
        kind.limit
            .is_none_or(|limit| at_work.unwrap_or(0) < limit.max(1))
    }

    fn count(&mut self, kind: Kind) {
        self.at_work += 1;
        *self.of_workflow.entry(kind.workflow).or_default() += 1;
    }
}

impl Places {
    pub(super) fn new(limit: usize, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            limit: limit.max(1),
            clock,
            kept: Mutex::default(),
        })
    }

    /// A place, if one is free: then nobody waits who could have it.
    pub(super) fn take(self: &Arc<Self>, kind: Kind) -> Option<Place> {
        let mut kept = locked(&self.kept);
        if !kept.has_room(self.limit, kind) {
            return None;
        }
        kept.count(kind);
        Some(self.place(kind))
    }

    /// A place beyond the limit, for a plan that is at work already.
    pub(super) fn take_anyhow(self: &Arc<Self>, kind: Kind) -> Place {
        locked(&self.kept).count(kind);
        self.place(kind)
    }

    fn place(self: &Arc<Self>, kind: Kind) -> Place {
        Place {
            places: self.clone(),
            kind,
        }
    }

    /// The plan waits for a place from now on.
    pub(super) fn wait(self: &Arc<Self>, plan: &Plan, kind: Kind) -> Turn {
        let (told, comes) = oneshot::channel();
        let seat = Seat {
            line: Line {
                priority: plan.priority(),
                organization: plan
                    .submitted
                    .as_ref()
                    .and_then(|submitted| submitted.organization.clone()),
                workflow: kind.workflow.to_owned(),
            },
            since: plan.place_asked.unwrap_or_default(),
            plan: plan.id,
        };
        let waiter = Waiter { kind, told };
        locked(&self.kept).queue.push(seat.clone(), waiter);
        self.fill();
        Turn {
            places: self.clone(),
            seat,
            comes,
        }
    }

    /// Nobody's turn comes any more.
    pub(super) fn close(&self) {
        locked(&self.kept).closed = true;
    }

    /// Gives what is free to those whose turn it is.
    fn fill(self: &Arc<Self>) {
        loop {
            let next = {
                let mut kept = locked(&self.kept);
                if kept.closed || kept.at_work >= self.limit || kept.queue.is_empty() {
                    return;
                }
                let Kept {
                    of_workflow, queue, ..
                } = &mut *kept;
                let may = |waiter: &Waiter| {
                    let at_work = of_workflow.get(waiter.kind.workflow).copied();
                    let limit = waiter.kind.limit;
                    limit.is_none_or(|limit| at_work.unwrap_or(0) < limit.max(1))
                };
                let Some((_, waiter)) = queue.next(self.clock.now(), may) else {
                    return;
                };
                kept.count(waiter.kind);
                waiter
            };
            // Where nobody waits there any more, it comes back and is free again.
            drop(next.told.send(self.place(next.kind)));
        }
    }
}

/// A plan may be at work. Dropped, the place is free.
pub(super) struct Place {
    places: Arc<Places>,
    kind: Kind,
}

impl Drop for Place {
    fn drop(&mut self) {
        {
            let mut kept = locked(&self.places.kept);
            kept.at_work = kept.at_work.saturating_sub(1);
            if let Some(count) = kept.of_workflow.get_mut(self.kind.workflow) {
                *count = count.saturating_sub(1);
            }
        }
        self.places.fill();
    }
}

/// A plan waits for a place. Dropped, it does no more.
pub(super) struct Turn {
    places: Arc<Places>,
    seat: Seat,
    comes: oneshot::Receiver<Place>,
}

impl Turn {
    /// The place, once it is its turn. May be asked again after it was dropped half-way.
    pub(super) async fn come(&mut self) -> Place {
        match (&mut self.comes).await {
            Ok(place) => place,
            Err(_) => std::future::pending().await, // the node stops
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        locked(&self.places.kept).queue.remove(&self.seat);
    }
}
