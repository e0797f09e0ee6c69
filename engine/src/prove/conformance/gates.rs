//! Gates: kept whole, and changed by one at a time; nodes, with what they own.

use super::lists::{found, happens};
use super::{AT, node, place, placed, submitted, succeeded};
use crate::decide::Happening;
use crate::gate::{Gate, GateId, GateState};
use crate::journal::{Failure, GraphStep};
use crate::store::{NodeRow, Store, StoreError};
use std::sync::Arc;
use std::time::Duration;

async fn put<St: Store>(store: &St, gate: &Gate, by_hand: bool) -> Option<Gate> {
    let gate = gate.clone();
    store
        .transact::<_, StoreError>(Box::new(move |tx| {
            Box::pin(async move { St::put_gate_in(tx, gate, by_hand).await })
        }))
        .await
        .expect("the store works")
        .expect("it can be written")
}

fn closed(id: GateId) -> Gate {
    Gate {
        state: GateState::Closed,
        reason: Some("it does not answer".into()),
        since: AT,
        failures: 3,
        probe_at: Some(AT + Duration::from_secs(4)),
        ..Gate::open(id)
    }
}

/// What is put is what is found, whatever it stands before.
pub async fn a_gate_is_kept_as_it_was_written<St: Store>(store: &St) {
    assert_eq!(store.gates().await.expect("it lists"), []);
    let one = put(store, &closed(GateId::Backend("content".into())), false).await;
    let opening = Gate {
        state: GateState::Opening,
        at_once: 4,
        since: AT,
        ..Gate::open(GateId::Backend("proxy 7".into()))
    };
    let two = put(store, &opening, false).await;
    let held = |id| Gate::open(id).closed_by_hand("ann".into(), Some("a move".into()), AT);
    let three = put(store, &held(GateId::Workflow("push".into())), true).await;
    let four = put(store, &held(GateId::Node(node(1))), true).await;

    let mut kept = store.gates().await.expect("it lists");

    let mut all = [one, two, three, four].map(|it| it.expect("nobody else has written it"));
    kept.sort_by(|a, b| a.id.cmp(&b.id));
    all.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(kept, all);
    assert!(all.iter().all(|gate| gate.revision == 1));
}

/// Of two nodes that read the same, one changes it; a person has the last word, and his change is seen by both.
pub async fn of_two_who_change_a_gate_one_does_and_a_person_has_the_last_word<St: Store>(
    store: &St,
) {
    let read = Gate::open(GateId::Backend("content".into()));
    let first = put(store, &closed(read.id.clone()), false).await;
    let second = put(store, &closed(read.id.clone()), false).await;
    let by_hand = read.closed_by_hand("ann".into(), None, AT);
    let hers = put(store, &by_hand, true).await.expect("a person wants it");
    let first = first.expect("it was the first");
    let late = Gate {
        state: GateState::Opening,
        at_once: 1,
        probe_at: None,
        ..first.clone()
    };
    let late = put(store, &late, false).await;

    assert_eq!((second, late), (None, None));
    assert_eq!((first.revision, hers.revision), (1, 2));
    assert_eq!(store.gates().await.expect("it lists"), [hers]);
}

/// With the time of their last start, and the open plans that are theirs.
pub async fn nodes_are_listed_with_the_open_plans_that_are_theirs<St: Store>(store: &St) {
    let plan = placed(store, &[]).await;
    placed(store, &[]).await;
    let later = AT + Duration::from_secs(9);
    let beats = async |n: u128, name: &str, started_at| {
        store
            .beat(node(n), name.into(), started_at, later)
            .await
            .expect("the store works");
    };
    beats(2, "beta", AT).await;
    beats(1, "alpha", AT).await;
    beats(1, "alpha", later).await;
    store.leave(node(2), later).await.expect("the store works");
    let plan = happens(store, plan, succeeded(0)).await;
    happens(store, plan, succeeded(1)).await;

    let nodes = store.nodes().await.expect("it lists");

    let row = |n, name: &str, started_at, runs, plans| NodeRow {
        id: node(n),
        name: name.into(),
        version: nodes[0].version.clone(),
        started_at,
        beat_at: later,
        runs,
        plans,
    };
    assert_eq!(
        nodes,
        [
            row(1, "alpha", later, true, 1),
            row(2, "beta", AT, false, 0)
        ]
    );
}

/// Kept in the very append after which it is true.
pub async fn a_plan_is_found_while_it_waits_at_a_gate<St: Store>(store: &St) {
    let mut one = submitted(&[], "acme", &[]);
    one.graph = Arc::from([GraphStep {
        gate: Some("content".into()),
        ..GraphStep::new("first", vec![])
    }]);
    let plan = place(store, one, None).await.expect("it has no key");
    let id = plan.id;
    assert_eq!(found(store, "waiting = gate").await, []);

    let turned_back = Happening::TurnedBack {
        step: 0,
        gate: GateId::Backend("content".into()),
        error: Failure::new("test", "it is down", true),
        retry_at: AT,
    };
    let plan = happens(store, plan, turned_back).await;

    assert_eq!(found(store, "waiting = gate").await, [id]);
    let plan = happens(store, plan, Happening::Passed { step: 0 }).await;
    assert_eq!(found(store, "waiting = gate").await, []);
    let plan = happens(store, plan, succeeded(0)).await;
    assert_eq!(plan.state, crate::state::PlanState::Stopped);
}
