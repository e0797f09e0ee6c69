//! How many plans are at work on this node at once, and whose turn it is when one of them is done.
//!
//! A plan has a place while a step of it runs. One that waits (for a lock, an attempt, an event, its sub-tasks, a person) has
//! none: so a parent never keeps its own sub-tasks from their place.

use crate::clock::{Clock, Timestamp};
use crate::plan::Plan;
use crate::priority::{Line, Priority, Queue, Seat};
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
        !self.closed && self.at_work < limit && may(&self.of_workflow, kind)
    }

    fn count(&mut self, kind: Kind) {
        self.at_work += 1;
        *self.of_workflow.entry(kind.workflow).or_default() += 1;
    }

    fn uncount(&mut self, kind: Kind) {
        self.at_work = self.at_work.saturating_sub(1);
        if let Some(count) = self.of_workflow.get_mut(kind.workflow) {
            *count = count.saturating_sub(1);
        }
    }

    /// Who waits and is next among those for whom there is room.
    fn next(&mut self, limit: usize, now: Timestamp) -> Option<Waiter> {
        if self.closed || self.at_work >= limit || self.queue.is_empty() {
            return None;
        }
        let of_workflow = &self.of_workflow;
        let may = |waiter: &Waiter| may(of_workflow, waiter.kind);
        let (_, waiter) = self.queue.next(now, may)?;
        Some(waiter)
    }
}

/// One more of this workflow may be at work.
fn may(of_workflow: &HashMap<&'static str, usize>, kind: Kind) -> bool {
    let at_work = of_workflow.get(kind.workflow).copied();
    kind.limit
        .is_none_or(|limit| at_work.unwrap_or(0) < limit.max(1))
}

impl Places {
    pub(super) fn new(limit: usize, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            limit: limit.max(1),
            clock,
            kept: Mutex::default(),
        })
    }

    /// A place, if one is free: then nobody waits who could have it. On a node that stops none is.
    pub(super) fn take(self: &Arc<Self>, kind: Kind) -> Option<Place> {
        let mut kept = locked(&self.kept);
        if !kept.has_room(self.limit, kind) {
            return None;
        }
        kept.count(kind);
        Some(self.place(kind))
    }

    /// The same for a plan of this organization, whose turn it was then.
    pub(super) fn take_in_turn(
        self: &Arc<Self>,
        kind: Kind,
        organization: Option<&String>,
    ) -> Option<Place> {
        let place = self.take(kind)?;
        locked(&self.kept).queue.had_turn(organization.cloned());
        Some(place)
    }

    /// A place beyond the limit, for a plan that is at work already.
    pub(super) fn take_anyhow(self: &Arc<Self>, kind: Kind) -> Place {
        locked(&self.kept).count(kind);
        self.place(kind)
    }

    fn place(self: &Arc<Self>, kind: Kind) -> Place {
        Place {
            places: Some(self.clone()),
            kind,
        }
    }

    /// The plan waits for a place from now on.
    pub(super) fn wait(self: &Arc<Self>, plan: &Plan, priority: Priority, kind: Kind) -> Turn {
        let (told, comes) = oneshot::channel();
        let seat = Seat {
            line: Line {
                priority,
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
        let mut kept = locked(&self.kept);
        kept.queue.push(seat.clone(), waiter);
        self.fill(&mut kept);
        drop(kept);
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

    /// Gives what is free to those whose turn it is, before anybody else can take it.
    fn fill(self: &Arc<Self>, kept: &mut Kept) {
        while let Some(next) = kept.next(self.limit, self.clock.now()) {
            kept.count(next.kind);
            if let Err(mut place) = next.told.send(self.place(next.kind)) {
                place.places = None; // nobody waits there any more: it is free again here and now
                kept.uncount(next.kind);
            }
        }
    }
}

/// A plan may be at work. Dropped, the place is free.
pub(super) struct Place {
    /// None: it was given back already.
    places: Option<Arc<Places>>,
    kind: Kind,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(places) = &self.places {
            let mut kept = locked(&places.kept);
            kept.uncount(self.kind);
            places.fill(&mut kept);
        }
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
