//! Who drives a plan on this node: an actor, or nobody while it waits for nothing but locks and nobody watches it. Then its id is
//! all that is kept, so that very many may wait.

use super::actor::Actor;
use super::places::Place;
use super::{Inner, locked};
use crate::decide::Happening;
use crate::journal::PlanId;
use crate::plan::Plan;
use crate::step::Services;
use crate::store::{Store, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// How a plan of this node is driven.
pub(super) enum Driver {
    /// By an actor.
    Actor(Handle),
    /// It waits for locks; under this lease an actor left it so, after this row.
    Parked { lease: u64, seq: i64 },
}

impl Driver {
    pub(super) fn actor(&self) -> Option<&Handle> {
        match self {
            Self::Actor(handle) => Some(handle),
            Self::Parked { .. } => None,
        }
    }
}

/// What the node holds of an actor.
pub(super) struct Handle {
    pub(super) nudges: mpsc::UnboundedSender<Nudge>,
    pub(super) plan: watch::Receiver<Arc<Plan>>,
}

/// A hint to an actor: look. What it finds is in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nudge {
    Mail,
    Granted,
    /// The lease is lost: drop the plan, whoever owns it now.
    Lost,
}

impl<S: Services, St: Store<Tx = S::Tx>> Inner<S, St> {
    /// Watches the plan, if an actor drives it here.
    pub(super) fn watch(&self, plan: PlanId) -> Option<watch::Receiver<Arc<Plan>>> {
        let actors = locked(&self.actors);
        let handle = actors.get(&plan)?.actor()?;
        Some(handle.plan.clone())
    }

    /// Watches the plan, if it is driven here: one that was left to wait gets an actor for that.
    pub(super) async fn attach(
        self: &Arc<Self>,
        plan: PlanId,
    ) -> Result<Option<watch::Receiver<Arc<Plan>>>, StoreError> {
        match self.watch(plan) {
            Some(seen) => Ok(Some(seen)),
            None if self.is_parked(plan) => self.unpark(plan, None).await,
            None => Ok(None),
        }
    }

    fn is_parked(&self, plan: PlanId) -> bool {
        matches!(locked(&self.actors).get(&plan), Some(Driver::Parked { .. }))
    }

    /// Tells whoever drives the plan; false when nobody does here.
    pub(super) fn nudge(self: &Arc<Self>, plan: PlanId, nudge: Nudge) -> bool {
        match locked(&self.actors).get(&plan) {
            Some(Driver::Actor(handle)) => {
                let _ended_meanwhile = handle.nudges.send(nudge);
                return true;
            }
            Some(Driver::Parked { .. }) if self.draining.is_cancelled() => return true, // the next start looks
            Some(Driver::Parked { .. }) => {}
            None => return false,
        }
        let node = self.clone();
        let lost = self.lost.clone();
        self.tasks.spawn(lost.run_until_cancelled_owned(async move {
            if let Err(error) = node.unpark(plan, Some(nudge)).await {
                tracing::warn!(task.id = %plan, %error, "task {plan} could not be read; the next poll looks again");
            }
        }));
        true
    }

    /// Gives a plan an actor that was left to wait; watches it. None when it is not this node's any more: then it is found again
    /// like any other.
    async fn unpark(
        self: &Arc<Self>,
        plan: PlanId,
        nudge: Option<Nudge>,
    ) -> Result<Option<watch::Receiver<Arc<Plan>>>, StoreError> {
        loop {
            let rows = self.store.load(plan).await?;
            let now = Plan::fold(plan, &rows);
            let mut actors = locked(&self.actors);
            match actors.get(&plan) {
                // Since it was read an actor has written more and left it again.
                Some(Driver::Parked { seq, .. }) if *seq > now.seq => {}
                Some(Driver::Parked { lease, seq }) => {
                    let (lease, seq) = (*lease, *seq);
                    actors.remove(&plan);
                    return Ok(self.resume_driving(&mut actors, now, lease, seq, nudge));
                }
                Some(Driver::Actor(handle)) => {
                    if let Some(nudge) = nudge {
                        let _ended_meanwhile = handle.nudges.send(nudge);
                    }
                    return Ok(Some(handle.plan.clone()));
                }
                None => return Ok(None),
            }
        }
    }

    /// Gives the plan an actor that was left to wait after row `seq` under `lease`, if it is still this node's.
    fn resume_driving(
        self: &Arc<Self>,
        actors: &mut BTreeMap<PlanId, Driver>,
        now: Plan,
        lease: u64,
        seq: i64,
        nudge: Option<Nudge>,
    ) -> Option<watch::Receiver<Arc<Plan>>> {
        if self.lease.which() != lease || self.lease.is_over() {
            self.begins_a_new_life();
            return None;
        }
        if now.seq > seq || now.unreadable.is_some() {
            return None; // another node has it
        }
        Some(self.give_actor(actors, Arc::new(now), None, nudge, None))
    }

    /// Tells the plan's actor; where there is none and nobody else owns the plan, makes one.
    pub(super) fn wake(self: &Arc<Self>, plan: PlanId) {
        if self.nudge(plan, Nudge::Mail) {
            return;
        }
        if self.draining.is_cancelled() {
            return; // the next start reads the mailbox
        }
        let node = self.clone();
        let lost = self.lost.clone();
        self.tasks.spawn(lost.run_until_cancelled_owned(async move {
            match node.plan(plan).await {
                Ok(now) if now.unreadable.is_some() => {} // nothing can be done to it
                Ok(now) if now.state.is_driven() && !node.leaves_alone(&now) => {} // its owner polls the mailbox
                Ok(now) => node.drive(now, None, Some(Nudge::Mail), None),
                Err(error) => tracing::warn!(task.id = %plan, %error, "a message for task {plan} waits for the next poll"),
            }
        }));
    }

    /// Tells these plans' actors that there is mail. Those that have none here are found by the poll of their owners, or woken.
    pub(super) fn wake_all(self: &Arc<Self>, plans: impl Iterator<Item = PlanId>) {
        for plan in plans {
            self.wake(plan);
        }
    }

    /// Tells these plans that their locks may be theirs.
    pub(super) fn tell_granted(self: &Arc<Self>, plans: &[PlanId]) {
        for plan in plans {
            self.nudge(*plan, Nudge::Granted);
        }
    }

    /// Gives the plan an actor that was submitted under this lease. Where that was lost meanwhile, others may have it: then it is
    /// found again like any other.
    pub(super) fn drive_submitted(self: &Arc<Self>, plan: Plan, lease: u64, place: Option<Place>) {
        if self.lease.which() == lease && !self.lease.is_over() {
            self.drive(Arc::new(plan), None, None, place);
        }
    }

    /// Gives the plan an actor, unless it is driven here already.
    pub(super) fn drive(
        self: &Arc<Self>,
        plan: Arc<Plan>,
        first: Option<Happening>,
        nudge: Option<Nudge>,
        place: Option<Place>,
    ) {
        let mut actors = locked(&self.actors);
        if !actors.contains_key(&plan.id) {
            self.give_actor(&mut actors, plan, first, nudge, place);
        }
    }

    fn give_actor(
        self: &Arc<Self>,
        actors: &mut BTreeMap<PlanId, Driver>,
        plan: Arc<Plan>,
        first: Option<Happening>,
        nudge: Option<Nudge>,
        place: Option<Place>,
    ) -> watch::Receiver<Arc<Plan>> {
        let (nudges, inbox) = mpsc::unbounded_channel();
        let (published, seen) = watch::channel(plan.clone());
        if let Some(nudge) = nudge {
            let _fresh = nudges.send(nudge);
        }
        let handle = Handle {
            nudges,
            plan: seen.clone(),
        };
        actors.insert(plan.id, Driver::Actor(handle));
        let node = self.clone();
        self.tasks.spawn(async move {
            Actor::new(node, plan, published, inbox, place)
                .run(first)
                .await;
        });
        seen
    }
}
