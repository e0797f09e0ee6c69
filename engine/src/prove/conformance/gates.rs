//! Gates: kept whole, and changed by one at a time; nodes, with what they own.

use super::lists::{found, happens};
use super::{AT, node, nonce, place, placed, submitted, succeeded};
use crate::decide::{Admission, Happening, decide_with};
use crate::gate::{Closed, Gate, GateId, GateState};
use crate::journal::{Failure, GraphStep, Json, PlanId, Until, WantedChild};
use crate::plan::Plan;
use crate::store::{Append, NodeRow, Store, StoreError};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

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
    store
        .leave(node(2), AT, later)
        .await
        .expect("the store works");
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

/// What follows while these gates are closed.
async fn happens_at<St: Store>(
    store: &St,
    plan: Plan,
    happening: Happening,
    closed: &[GateId],
) -> Plan {
    let (closed, owner) = (closed.iter().cloned().collect(), node(1));
    let admission = Admission {
        closed: Closed::these(closed),
        ..Admission::default()
    };
    let decision = decide_with(&admission, &plan, happening, AT, owner).expect("it fits");
    let append = Append::new(&plan, &decision, owner, nonce()).expect("it can be written");
    store.append(append).await.expect("its place is free");
    decision.next
}

/// Whatever its steps wait for, it is kept, and each word finds it.
pub async fn a_plan_that_waits_for_everything_at_once_is_found_by_each<St: Store>(store: &St) {
    let step = |name: &str, gate: Option<&str>| GraphStep {
        attempts: 9,
        gate: gate.map(Into::into),
        ..GraphStep::new(name, vec![])
    };
    let mut five = submitted(&[], "acme", &[]);
    five.graph = Arc::from([
        step("first", None),
        step("second", None),
        step("third", None),
        step("fourth", None),
        step("fifth", Some("content")),
    ]);
    let plan = place(store, five, None).await.expect("it has no key");
    let id = plan.id;
    let failed = || Failure::new("test", "it is down", true);
    let happenings = [
        Happening::TurnedBack {
            step: 4,
            gate: GateId::Backend("content".into()),
            error: failed(),
            retry_at: AT,
        },
        Happening::Failed {
            step: 0,
            error: failed(),
            retry_at: AT,
        },
        Happening::Suspended {
            step: 1,
            ticket: Json::of(&"ticket").expect("a text is JSON"),
            wake_at: AT,
            form: 1,
        },
        Happening::Awaits {
            step: 2,
            event: Some("told".into()),
            until: None,
        },
        Happening::Spawns {
            step: 3,
            children: vec![WantedChild {
                key: "child".into(),
                workflow: "conform".into(),
                input: Json::of(&"input").expect("a text is JSON"),
            }],
            until: Until::Ended,
            at_once: 1,
        },
        Happening::Submitted {
            step: 3,
            children: vec![("child".into(), PlanId(Uuid::now_v7()))],
            refused: vec![],
        },
    ];
    let mut plan = plan;
    let backend = [GateId::Backend("content".into())];
    for happening in happenings {
        plan = happens_at(store, plan, happening, &backend).await;
    }
    for word in ["gate", "retry", "time", "event", "child"] {
        assert_eq!(found(store, &format!("waiting = {word}")).await, [id]);
    }
    assert_eq!(
        found(store, "waiting = operator or waiting = lock").await,
        []
    );

    let both = [backend[0].clone(), GateId::Workflow("conform".into())];
    happens_at(store, plan, Happening::Woken { step: 0 }, &both).await;

    // The workflow's gate comes before the backend's.
    for word in ["operator", "time", "event", "child"] {
        assert_eq!(found(store, &format!("waiting = {word}")).await, [id]);
    }
    assert_eq!(found(store, "waiting = retry or waiting = gate").await, []);
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
    let closed = [GateId::Backend("content".into())];
    let plan = happens_at(store, plan, turned_back, &closed).await;

    assert_eq!(found(store, "waiting = gate").await, [id]);
    let plan = happens(store, plan, Happening::Passed { step: 0 }).await;
    assert_eq!(found(store, "waiting = gate").await, []);
    let plan = happens(store, plan, succeeded(0)).await;
    assert_eq!(plan.state, crate::state::PlanState::Stopped);
}
