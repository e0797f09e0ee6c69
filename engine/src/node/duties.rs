//! What the node does besides driving plans: it beats, takes over, and finds what hints have lost.

use super::drivers::{Driver, Nudge};
use super::{Inner, NodeError, locked};
use crate::caught::said;
use crate::clock::Timestamp;
use crate::decide::Happening;
use crate::journal::{PlanId, Row};
use crate::plan::Plan;
use crate::step::Services;
use crate::store::{Orphan, Store, StoreError};
use futures_util::FutureExt;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::time::{Instant, MissedTickBehavior};

/// So many plans that nobody drives are read and begun at a time: however many there are, they are not all in memory at once
/// before the first of them goes on.
const AT_A_TIME: u32 = 32;

/// Begins to beat; until the last of the other tasks has ended: while it drains its steps still run, and others must not take
/// them over.
pub(super) fn begin_beating<S: Services, St: Store<Tx = S::Tx>>(node: &Arc<Inner<S, St>>) {
    let beating = for_good(node.clone(), "beat", beat);
    let lost = node.lost.clone();
    node.beats.spawn(lost.run_until_cancelled_owned(beating));
}

pub(super) fn spawn<S: Services, St: Store<Tx = S::Tx>>(node: &Arc<Inner<S, St>>) {
    begin(node, "poll", poll);
    begin(node, "take-overs", take_overs);
    begin(node, "gates", super::gate_duty::keep);
    begin(node, "brake", super::brake::take_up);
    begin(node, "schedules", super::schedules::keep_firing);
}

fn begin<S: Services, St: Store<Tx = S::Tx>, D: Future<Output = ()> + Send + 'static>(
    node: &Arc<Inner<S, St>>,
    name: &'static str,
    duty: impl Fn(Arc<Inner<S, St>>) -> D + Send + 'static,
) {
    let done = for_good(node.clone(), name, duty);
    node.tasks.spawn(until_stop(node.clone(), done));
}

/// Does a duty for as long as the node runs. One that panics is begun again: without it the node would only seem to be alive.
async fn for_good<S: Services, St: Store<Tx = S::Tx>, D: Future<Output = ()> + Send>(
    node: Arc<Inner<S, St>>,
    name: &'static str,
    duty: impl Fn(Arc<Inner<S, St>>) -> D + Send,
) {
    while let Err(panic) = AssertUnwindSafe(duty(node.clone())).catch_unwind().await {
        let said = said(panic.as_ref());
        tracing::error!(
            duty = name,
            "a duty of the node, {name}, has panicked and begins again: {said}"
        );
        tokio::time::sleep(node.options.poll).await;
    }
}

async fn until_stop<S: Services, St: Store<Tx = S::Tx>>(
    node: Arc<Inner<S, St>>,
    duty: impl Future<Output = ()>,
) {
    tokio::select! {
        biased;
        () = duty => {}
        () = node.draining.cancelled() => {}
        () = node.lost.cancelled() => {}
    }
}

/// Says each fifth of the lease that this node runs. When that fails for 0.7 of the lease, others may soon take its plans:
/// it drops them itself first.
async fn beat<S: Services, St: Store<Tx = S::Tx>>(node: Arc<Inner<S, St>>) {
    let ttl = node.options.lease_ttl;
    let mut ticks = tokio::time::interval(ttl / 5);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = ticks.tick() => {}
            () = tokio::time::sleep_until(node.lease.until()), if !node.lease.is_over() => {}
        }
        let begun = Instant::now();
        let (options, now) = (&node.options, node.clock.now());
        let beat = node
            .store
            .beat(options.id, options.name.clone(), node.started_at, now);
        // Not beyond the end of the lease: then there is something else to do first.
        let patience = (begun + ttl / 2).min(node.lease.until().max(begun + ttl / 10));
        let had_run_out = match tokio::time::timeout_at(patience, beat).await {
            Ok(Ok(())) => node.lease.renew(begun),
            Ok(Err(error @ StoreError::Full)) if node.store.is_exclusive() => {
                tracing::warn!(%error, "the node could not write that it runs; nobody else can take its plans");
                node.lease.renew(begun)
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the node could not beat");
                false
            }
            Err(_) => {
                tracing::warn!("the node could not beat: the database does not answer");
                false
            }
        };
        // It had run out before this beat where the whole process stood still: its bodies are dropped, and nobody told its actors.
        if (had_run_out || node.lease.is_over()) && !locked(&node.actors).is_empty() {
            tracing::error!(
                "the node has lost its lease and drops its plans; it takes up what nobody else took"
            );
            drop_all(&node);
        }
    }
}

/// Drops every actor; their plans are found again by the next round of take-overs.
fn drop_all<S: Services, St: Store<Tx = S::Tx>>(node: &Arc<Inner<S, St>>) {
    node.lease.lose();
    locked(&node.actors).retain(|_, driver| match driver {
        Driver::Actor(handle) => {
            let _ended_meanwhile = handle.nudges.send(Nudge::Lost);
            true
        }
        Driver::Parked { .. } => false,
    });
    node.begins_a_new_life();
}

/// Finds mail and granted locks that no hint told of.
async fn poll<S: Services, St: Store<Tx = S::Tx>>(node: Arc<Inner<S, St>>) {
    let mut ticks = tokio::time::interval(node.options.poll);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let waiting: Vec<PlanId> = {
            let actors = locked(&node.actors);
            let waits = |driver: &Driver| match driver {
                Driver::Actor(handle) => handle.plan.borrow().waits_for_locks(),
                Driver::Parked { .. } => true,
            };
            let waiting = actors.iter().filter(|(_, driver)| waits(driver));
            waiting.map(|(plan, _)| *plan).collect()
        };
        match node.store.due(node.options.id, waiting).await {
            Ok(due) => {
                node.tell_granted(&due.granted);
                for plan in due.mail {
                    node.wake(plan);
                }
            }
            Err(error) => tracing::warn!(%error, "the poll failed; the next one looks again"),
        }
    }
}

async fn take_overs<S: Services, St: Store<Tx = S::Tx>>(node: Arc<Inner<S, St>>) {
    loop {
        // Jitter, so that nodes do not all reach for the same plans.
        let round = node.options.lease_ttl.mul_f64(node.chance.part(0.25, 0.4));
        tokio::time::sleep(round).await;
        if node.lease.is_over() {
            continue; // it could not keep them
        }
        if let Err(error) = take_over(&node).await {
            tracing::warn!(%error, "a round of take-overs failed; the next one looks again");
        }
    }
}

/// Takes over open plans that nobody drives: its own from before a restart, and those of nodes that are gone.
pub(super) async fn take_over<S: Services, St: Store<Tx = S::Tx>>(
    node: &Arc<Inner<S, St>>,
) -> Result<(), NodeError> {
    loop {
        let options = &node.options;
        let limit = AT_A_TIME
            + u32::try_from(locked(&node.actors).len() + locked(&node.left_alone).len())
                .unwrap_or(u32::MAX / 2)
            + u32::try_from(node.brake.count()).unwrap_or(u32::MAX / 4);
        let orphans = node
            .store
            .orphans(options.id, node.clock.now(), options.lease_ttl, limit)
            .await?;
        let all = orphans.len() < limit as usize;
        let unknown = load_unknown(node, orphans).await?;
        let last = all || unknown.is_empty();
        for (plan, rows, signed_off) in unknown {
            let now = Arc::new(Plan::fold(plan, &rows));
            if let Some(why) = &now.unreadable {
                locked(&node.left_alone).insert(plan);
                tracing::error!(task.id = %plan, "task {plan} cannot be read and stays as it is: {why}");
            } else if !now.state.is_driven() {
                // Its actor has ended it meanwhile.
            } else if !node.knows(&now) {
                locked(&node.left_alone).insert(plan);
                let workflow = now.workflow();
                tracing::error!(task.id = %plan, "task {plan} waits: this node does not know workflow `{workflow}` with all its steps");
            } else if !node.brake.hold_back(&now, node.clock.now()) {
                tracing::info!(task.id = %plan, "task {plan} is taken over");
                let first = if was_let_go(node, rows.last(), signed_off) {
                    Happening::HandedOver
                } else {
                    Happening::Claimed
                };
                node.drive(now, Some(first), Some(Nudge::Granted), None);
            }
        }
        if last || node.lease.is_over() {
            return Ok(()); // without a lease it could not keep more; the next round goes on
        }
        tokio::task::yield_now().await;
    }
}

/// Whoever wrote this last row of a plan has signed off since, and nobody had it in between: so it has not ended its owner.
fn was_let_go<S: Services, St: Store<Tx = S::Tx>>(
    node: &Inner<S, St>,
    last: Option<&Row>,
    signed_off: Option<Timestamp>,
) -> bool {
    let Some(last) = last else { return false };
    if last.node != node.options.id {
        return signed_off.is_some_and(|began| last.at >= began);
    }
    let before = node.signed_off.get().copied().flatten();
    before.is_some_and(|began| (began..=node.started_at).contains(&last.at))
}

/// A plan with its rows, and since when its owner had lived that has signed off.
type Found = (PlanId, Vec<Row>, Option<Timestamp>);

async fn load_unknown<S: Services, St: Store<Tx = S::Tx>>(
    node: &Arc<Inner<S, St>>,
    orphans: Vec<Orphan>,
) -> Result<Vec<Found>, StoreError> {
    let unknown: BTreeMap<PlanId, Option<Timestamp>> = {
        let (actors, submitting) = (locked(&node.actors), locked(&node.submitting));
        let left_alone = locked(&node.left_alone);
        let is_known = |plan: &PlanId| {
            actors.contains_key(plan)
                || submitting.contains(plan)
                || left_alone.contains(plan)
                || node.brake.knows(*plan)
        };
        let unknown = orphans.iter().filter(|it| !is_known(&it.plan));
        unknown.map(|it| (it.plan, it.signed_off)).collect()
    };
    if unknown.is_empty() {
        return Ok(Vec::new());
    }
    let read = node.store.load_all(unknown.keys().copied().collect());
    let found = read.await?.into_iter().map(|(plan, rows)| {
        let signed_off = unknown.get(&plan).copied().flatten();
        (plan, rows, signed_off)
    });
    Ok(found.collect())
}
