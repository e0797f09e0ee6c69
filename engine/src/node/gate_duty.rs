//! Keeps the gates: writes down what became of them here, learns what became of them elsewhere, and asks the backends of closed
//! ones how they are.

use super::{Inner, NodeError};
use crate::gate::{Gate, GateId};
use crate::step::{BoxFuture, Services, StepError};
use crate::store::{Store, StoreError};
use futures_util::FutureExt;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// A probe that takes longer has found its backend down.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// Asks a backend how it is, for the gate that stands before it.
pub trait Probe<S: Services>: Send + Sync + 'static {
    /// `Ok` when steps may try it again.
    fn probe<'a>(&'a self, services: &'a S) -> BoxFuture<'a, Result<(), StepError>>;
}

/// Asks backends how they are, for gates of which there may be many: each stands before one of a kind.
pub trait ProbeAll<S: Services>: Send + Sync + 'static {
    /// `Ok` when steps may try the one behind this gate again.
    fn probe<'a>(&'a self, services: &'a S, gate: &'a str) -> BoxFuture<'a, Result<(), StepError>>;
}

/// Learns how the gates are before the first plan is driven; closes the node's own when it shall start held.
pub(super) async fn begin<S: Services, St: Store<Tx = S::Tx>>(
    node: &Arc<Inner<S, St>>,
) -> Result<(), NodeError> {
    let now = node.clock.now();
    node.gates.merge(node.store.gates().await?, now);
    if let Some(by) = &node.options.held_by {
        let own = GateId::Node(node.options.id);
        node.gates.hold(&own, by, "it was started so", now);
        save(node).await;
    }
    Ok(())
}

pub(super) async fn keep<S: Services, St: Store<Tx = S::Tx>>(node: Arc<Inner<S, St>>) {
    let mut ticks = tokio::time::interval(node.options.poll);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut probes = JoinSet::new();
    let mut asked = BTreeSet::new();
    loop {
        tokio::select! {
            biased;
            Some(ended) = probes.join_next() => {
                match ended {
                    Ok((gate, found)) => {
                        asked.remove(&gate);
                        node.gates.probed(&gate, found, node.clock.now());
                    }
                    Err(_) => asked.clear(), // whichever it was is asked again
                }
            }
            _ = ticks.tick() => {
                learn(&node).await;
                node.gates.open_idle(node.clock.now());
                for gate in node.gates.to_probe(node.clock.now()) {
                    if asked.insert(gate.clone()) {
                        probes.spawn(probe(node.clone(), gate));
                    }
                }
            }
            () = node.gates.changed.notified() => {}
        }
        save(&node).await;
    }
}

/// Writes down what is not yet. What fails is tried again with the next tick.
async fn save<S: Services, St: Store<Tx = S::Tx>>(node: &Arc<Inner<S, St>>) {
    for gate in node.gates.unsaved() {
        match put(node, gate.clone(), false).await {
            Ok(kept) => node.gates.saved(&gate, kept.as_ref()),
            Err(error) => {
                tracing::warn!(%error, gate = %gate.id, "{} is not written down yet", gate.id);
            }
        }
    }
}

async fn learn<S: Services, St: Store<Tx = S::Tx>>(node: &Arc<Inner<S, St>>) {
    match node.store.gates().await {
        Ok(kept) => node.gates.merge(kept, node.clock.now()),
        Err(error) => {
            tracing::warn!(%error, "the gates could not be read; the next poll reads them");
        }
    }
}

async fn put<S: Services, St: Store<Tx = S::Tx>>(
    node: &Arc<Inner<S, St>>,
    gate: Gate,
    by_hand: bool,
) -> Result<Option<Gate>, StoreError> {
    let put = node
        .store
        .transact::<Option<Gate>, StoreError>(Box::new(move |tx| {
            Box::pin(async move { St::put_gate_in(tx, gate, by_hand).await })
        }));
    put.await?
}

/// Where nobody can ask the backend, the steps themselves find out.
pub(super) async fn probe<S: Services, St: Store<Tx = S::Tx>>(
    node: Arc<Inner<S, St>>,
    gate: GateId,
) -> (GateId, Result<(), String>) {
    let GateId::Backend(name) = &gate else {
        return (gate, Ok(()));
    };
    let one = node.workflows.probes.get(name.as_str()).cloned();
    let family = node.workflows.family_of(name);
    // What it does before it is awaited may panic, too.
    let found = AssertUnwindSafe(async {
        match (one, family) {
            (Some(probe), _) => probe.probe(&node.services).await,
            (None, Some(family)) => family.probe(&node.services, name).await,
            (None, None) => Ok(()),
        }
    });
    let found = found.catch_unwind();
    let found = match tokio::time::timeout(PROBE_LIMIT, found).await {
        Ok(Ok(found)) => found.map_err(|error| error.to_string()),
        Ok(Err(panic)) => Err(super::bodies::panicked(panic.as_ref()).to_string()),
        Err(_) => Err(format!("no answer within {} s", PROBE_LIMIT.as_secs())),
    };
    (gate, found)
}
