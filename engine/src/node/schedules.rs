//! The duty that fires schedules.
//!
//! Each node does it; who comes second finds the schedule written and submits nothing.

use super::{Inner, Node, NodeError, Offer, Placed};
use crate::clock::Timestamp;
use crate::journal::{Cause, PlanId, Reason};
use crate::schedule::{Put, Schedule, ScheduleId, Turn};
use crate::state::PlanState;
use crate::step::{BoxFuture, Services, StepError};
use crate::store::{Store, StoreError};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

impl<S: Services> Offer<S> {
    /// The plan is a run of this schedule; of a nominal time, or because somebody wanted one now.
    #[must_use]
    pub fn scheduled_by(mut self, schedule: &str, nominal: Option<Timestamp>) -> Self {
        let links = &mut self.submitted.links;
        links.push(("schedule".into(), schedule.into()));
        links.extend(nominal.map(|at| ("scheduled_for".into(), at.to_rfc3339())));
        self.caused_by(Cause::Schedule)
    }
}

/// Judges whether a schedule may still run in the name of who saved it.
pub trait MayRun<S: Services>: Send + Sync + 'static {
    /// A permanent error says why not: this time of it is passed over. After one that can pass it is asked again.
    fn may_run<'a>(
        &'a self,
        services: &'a S,
        schedule: &'a Schedule,
    ) -> BoxFuture<'a, Result<(), StepError>>;
}

/// Why a nominal time was not fired. Nothing was written.
enum NotFired {
    /// It was fired by somebody else, or the schedule was changed.
    Stale,
    Store(StoreError),
}

impl From<StoreError> for NotFired {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Fires what is due, and sleeps until the next of it. It looks at least at each poll: that finds schedules that were saved
/// meanwhile, and a clock that was set.
pub(super) async fn keep_firing<S: Services, St: Store<Tx = S::Tx>>(node: Arc<Inner<S, St>>) {
    let node = Node(node);
    let mut stuck = Stuck::default();
    loop {
        let poll = node.0.options.poll.min(Duration::from_secs(1));
        let soonest = node.0.clock.now() + poll;
        if !node.0.brake.is_idle() {
            // A run may be what ends the node; were each of its times another plan, that would never be found.
            node.0.clock.sleep_until(soonest).await;
            continue;
        }
        match fire_due(&node, &mut stuck).await {
            Ok(next) => {
                let until = next.map_or(soonest, |next| next.min(soonest));
                node.0.clock.sleep_until(until).await;
            }
            Err(error) => {
                tracing::warn!(%error, "schedules could not be read; the next poll tries again");
                node.0.clock.sleep_until(soonest).await;
            }
        }
    }
}

/// Schedules that were told to be stuck, as they were then: once is enough.
#[derive(Default)]
struct Stuck(HashSet<(ScheduleId, i64)>);

impl Stuck {
    /// It has no revision that could be read.
    fn tell_unreadable(&mut self, id: ScheduleId, why: &str) {
        if self.0.insert((id, -1)) {
            tracing::error!(
                schedule.id = %id,
                "schedule {id} is due but cannot be read, and stays due: {why}"
            );
        }
    }

    fn tell(&mut self, schedule: &Schedule, why: &dyn std::fmt::Display) {
        if self.0.insert((schedule.id, schedule.revision)) {
            let name = &schedule.name;
            tracing::error!(
                schedule.id = %schedule.id,
                "schedule `{name}` is due but cannot run here, and stays due: {why}"
            );
        }
    }
}

/// Fires what is due, and answers with the next time at which something is, where that is known.
async fn fire_due<S: Services, St: Store<Tx = S::Tx>>(
    node: &Node<S, St>,
    stuck: &mut Stuck,
) -> Result<Option<Timestamp>, NodeError> {
    let due = node.0.store.due_schedules(node.0.clock.now()).await?;
    let mut next = due.next;
    for (id, why) in &due.unreadable {
        stuck.tell_unreadable(*id, why);
    }
    for schedule in due.due {
        let (id, name) = (schedule.id, schedule.name.clone());
        // One that fails does not hold up the others.
        if let Err(error) = fire_all_of(node, schedule, stuck).await {
            tracing::warn!(
                schedule.id = %id,
                "schedule `{name}` could not be fired; the next poll tries again: {error}"
            );
            next = None;
        }
    }
    Ok(next)
}

/// Fires the schedule until nothing of it is due; missed runs may be several.
async fn fire_all_of<S: Services, St: Store<Tx = S::Tx>>(
    node: &Node<S, St>,
    mut schedule: Schedule,
    stuck: &mut Stuck,
) -> Result<(), NodeError> {
    loop {
        let turn = match schedule.turn(node.0.clock.now()) {
            Ok(Some(turn)) => turn,
            Ok(None) => return Ok(()),
            Err(error) => {
                stuck.tell(&schedule, &error);
                return Ok(());
            }
        };
        let written = match turn {
            Turn::PassOver { handled_until } => {
                let why = "while no node ran; as it says, that is passed over";
                pass_over(node, &schedule, handled_until, why).await?
            }
            Turn::Fire { nominal, .. } if ends_its_node(node, &schedule).await? => {
                let why = "and is passed over: its last run has ended its node again and again, and waits for a person";
                pass_over(node, &schedule, nominal, why).await?
            }
            Turn::Fire { nominal, .. } if let Some(why) = may_not_run(node, &schedule).await? => {
                let why = format!("and is passed over: {why}");
                pass_over(node, &schedule, nominal, &why).await?
            }
            Turn::Fire {
                nominal,
                steps_over,
            } => match fire(node, &schedule, nominal).await {
                Ok(written) => {
                    if let Some(first) = steps_over.filter(|_| written.is_some()) {
                        tell_what_is_stepped_over(&schedule, first, nominal);
                    }
                    written
                }
                Err(error @ (NodeError::UnknownWorkflow(_) | NodeError::Input(_))) => {
                    stuck.tell(&schedule, &error);
                    return Ok(());
                }
                Err(error) => return Err(error),
            },
        };
        match written {
            Some(next) => schedule = next,
            None => return Ok(()), // somebody else has written it: the next look sees what
        }
    }
}

async fn may_not_run<S: Services, St: Store<Tx = S::Tx>>(
    node: &Node<S, St>,
    schedule: &Schedule,
) -> Result<Option<String>, NodeError> {
    let Some(judge) = node.0.workflows.schedules.clone() else {
        return Ok(None);
    };
    match judge.may_run(&node.0.services, schedule).await {
        Ok(()) => Ok(None),
        Err(StepError(why)) if why.transient => Err(StoreError::Unavailable(why.message).into()),
        Err(StepError(why)) => Ok(Some(why.message)),
    }
}

/// Submits the run of a nominal time and writes that it is done, or does neither.
async fn fire<S: Services, St: Store<Tx = S::Tx>>(
    node: &Node<S, St>,
    schedule: &Schedule,
    nominal: Timestamp,
) -> Result<Option<Schedule>, NodeError> {
    let offer = node
        .offer_json(&schedule.workflow, &schedule.input, schedule.actor.clone())?
        .scheduled_by(&schedule.name, Some(nominal));
    let before = schedule.clone();
    #[cfg(feature = "prove")]
    let looks_away = node.0.options.twin == Some(crate::prove::simulation::Twin::FiresWhatIsFired);
    #[cfg(not(feature = "prove"))]
    let looks_away = false;
    let fired = node
        .transact::<(Placed, Schedule), NotFired, _>(move |tx, desk| {
            Box::pin(async move {
                let placed = desk.submit(tx, offer).await?;
                let after = before.fired(nominal, placed.plan());
                match St::put_schedule_in(tx, after.clone()).await? {
                    Put::Kept(after) => Ok((placed, *after)),
                    Put::Stale if looks_away => Ok((placed, after)),
                    Put::Stale | Put::NameTaken => Err(NotFired::Stale),
                }
            })
        })
        .await?;
    match fired {
        Ok((placed, after)) => {
            tell_of(schedule, nominal, placed);
            Ok(Some(after))
        }
        Err(NotFired::Stale) => Ok(None),
        Err(NotFired::Store(error)) => Err(error.into()),
    }
}

/// Its last run is paused, because it may be what ends the node: another one would be one more.
async fn ends_its_node<S: Services, St: Store<Tx = S::Tx>>(
    node: &Node<S, St>,
    schedule: &Schedule,
) -> Result<bool, NodeError> {
    let Some(last) = schedule.last_plan else {
        return Ok(false);
    };
    match node.plan(last).await {
        Ok(plan) => Ok(plan.state == PlanState::Paused && plan.reason == Some(Reason::Poison)),
        Err(NodeError::NotFound(_)) => Ok(false), // it is long over
        Err(error) => Err(error),
    }
}

fn tell_what_is_stepped_over(schedule: &Schedule, first: Timestamp, nominal: Timestamp) {
    let (name, missed) = (&schedule.name, schedule.missed);
    tracing::warn!(
        schedule.id = %schedule.id, %missed,
        "schedule `{name}` was due from {first} on while no node ran; of the times before {nominal} none is made good, as it says"
    );
}

fn tell_of(schedule: &Schedule, nominal: Timestamp, placed: Placed) {
    let name = &schedule.name;
    let id: PlanId = placed.plan();
    match placed {
        Placed::New(_) => tracing::info!(
            schedule.id = %schedule.id, task.id = %id,
            "schedule `{name}` runs for {nominal}: task {id}"
        ),
        Placed::Open(_) => tracing::info!(
            schedule.id = %schedule.id, task.id = %id,
            "schedule `{name}` runs for {nominal}: task {id} of before is still open and stands for it"
        ),
    }
}

/// Writes that the times up to this are over, without a run.
async fn pass_over<S: Services, St: Store<Tx = S::Tx>>(
    node: &Node<S, St>,
    schedule: &Schedule,
    handled_until: Timestamp,
    why: &str,
) -> Result<Option<Schedule>, NodeError> {
    let mut after = schedule.clone();
    after.handled_until = handled_until;
    let put = node
        .transact::<Put, StoreError, _>(move |tx, _desk| {
            Box::pin(async move { St::put_schedule_in(tx, after).await })
        })
        .await??;
    let Put::Kept(after) = put else {
        return Ok(None);
    };
    let name = &schedule.name;
    tracing::warn!(
        schedule.id = %schedule.id,
        "schedule `{name}` was due up to {handled_until} {why}"
    );
    Ok(Some(*after))
}
