//! A gate by itself: whatever happens to it in whatever order.

use engine::clock::Timestamp;
use engine::gate::{Gate, GateId, GateState, OPEN_AFTER, PROBE_AGAIN, Watched};
use engine::journal::PlanId;
use proptest::prelude::*;
use std::time::Duration;
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

#[derive(Clone, Copy, Debug)]
enum Event {
    Fails(u8),
    Succeeds,
    FindsItUp,
    FindsItDown,
    Passes(u16),
    IsIdle,
    CloseByHand,
    OpenByHand,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let one = prop_oneof![
        6 => any::<u8>().prop_map(Event::Fails),
        6 => Just(Event::Succeeds),
        2 => Just(Event::FindsItUp),
        2 => Just(Event::FindsItDown),
        4 => (0..5000_u16).prop_map(Event::Passes),
        1 => Just(Event::IsIdle),
        1 => Just(Event::CloseByHand),
        1 => Just(Event::OpenByHand),
    ];
    prop::collection::vec(one, 0..120)
}

fn watched() -> Watched {
    Watched::new(Gate::open(GateId::Backend("backend".into())), NOW)
}

/// What the event makes of the gate; true where a person did it.
fn happens(watched: &mut Watched, event: Event, now: &mut Timestamp) -> bool {
    match event {
        Event::Fails(plan) => {
            let plan = PlanId(Uuid::from_u128(plan.into()));
            watched.failed(plan, "it is down", *now);
        }
        Event::Succeeds => {
            watched.succeeded(*now);
        }
        Event::FindsItUp => watched.probed(Ok(()), *now),
        Event::FindsItDown => watched.probed(Err("no answer".into()), *now),
        Event::Passes(milliseconds) => {
            *now = *now + Duration::from_millis(milliseconds.into());
        }
        Event::IsIdle => {
            watched.is_idle(*now);
        }
        Event::CloseByHand => {
            let closed = watched.gate.closed_by_hand("ann".into(), None, *now);
            watched.replace(closed, *now);
            return true;
        }
        Event::OpenByHand => {
            let open = watched.gate.opened_by_hand("ann".into(), None, *now);
            watched.replace(open, *now);
            return true;
        }
    }
    false
}

fn expect(watched: &Watched, now: Timestamp) -> Result<(), TestCaseError> {
    let gate = &watched.gate;
    let by_itself = gate.state == GateState::Closed && gate.by.is_none();
    prop_assert_eq!(watched.probe_at().is_some(), by_itself);
    prop_assert_eq!(gate.probe_at.is_some(), by_itself);
    if let Some(at) = watched.probe_at() {
        let wait = at.since(gate.since);
        prop_assert!(wait >= PROBE_AGAIN.0 || at <= now);
    }
    match gate.state {
        GateState::Open => prop_assert!(watched.lets_through(1_000_000)),
        GateState::Closed => prop_assert!(!watched.lets_through(0)),
        GateState::Opening => {
            prop_assert!(gate.at_once.is_power_of_two() && gate.at_once <= 16);
            prop_assert!(watched.lets_through(gate.at_once - 1));
            prop_assert!(!watched.lets_through(gate.at_once));
        }
    }
    prop_assert_eq!(gate.at_once > 0, gate.state == GateState::Opening);
    prop_assert!((0.0..=1.0).contains(&watched.used(now)));
    Ok(())
}

proptest! {
    #[test]
    fn whatever_happens_a_gate_keeps_its_promises_and_opens_once_all_is_well(events in events()) {
        let (mut watched, mut now) = (watched(), NOW);
        for event in events {
            let was_by_hand = watched.gate.is_closed_by_hand();
            let by_a_person = happens(&mut watched, event, &mut now);
            prop_assert!(
                !was_by_hand || by_a_person || watched.gate.is_closed_by_hand(),
                "what a person closed, {event:?} opened"
            );
            expect(&watched, now)?;
        }
        if watched.gate.is_closed_by_hand() {
            happens(&mut watched, Event::OpenByHand, &mut now);
        }
        // Probes and steps find all well from here on: 1 + 2 + 4 + 8 + 16 of them open it.
        let mut rounds = 0;
        while watched.gate.state != GateState::Open {
            rounds += 1;
            prop_assert!(rounds <= 32, "it never opens: {:?}", watched.gate);
            now = watched.probe_at().unwrap_or(now);
            happens(&mut watched, Event::FindsItUp, &mut now);
            happens(&mut watched, Event::Succeeds, &mut now);
        }
    }
}

#[test]
fn a_gate_looks_again_after_one_second_then_two_then_four_but_never_later_than_thirty() {
    let (mut watched, mut now) = (watched(), NOW);
    (0..9).for_each(|plan| {
        happens(&mut watched, Event::Fails(plan), &mut now);
    });

    let mut waits = Vec::new();
    for _ in 0..7 {
        let at = watched.probe_at().unwrap();
        waits.push(at.since(now).as_secs());
        now = at;
        happens(&mut watched, Event::FindsItDown, &mut now);
    }

    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
    assert_eq!(watched.gate.since, NOW, "it has been closed all the time");
    assert_eq!(watched.gate.reason.unwrap(), "it is still down: no answer");
}

#[test]
fn it_opens_by_one_two_four_eight_and_sixteen_steps_and_one_failure_closes_it_again() {
    let (mut watched, mut now) = (watched(), NOW);
    (0..9).for_each(|plan| {
        happens(&mut watched, Event::Fails(plan), &mut now);
    });
    happens(&mut watched, Event::FindsItUp, &mut now);

    let mut at_once = vec![watched.gate.at_once];
    for _ in 0..31 {
        happens(&mut watched, Event::Succeeds, &mut now);
        at_once.push(watched.gate.at_once);
    }
    at_once.dedup();

    assert_eq!(at_once, [1, 2, 4, 8, 16, 0]);
    assert_eq!(watched.gate.state, GateState::Open);
    (0..9).for_each(|plan| {
        happens(&mut watched, Event::Fails(plan), &mut now);
    });
    happens(&mut watched, Event::FindsItUp, &mut now);
    happens(&mut watched, Event::Fails(1), &mut now);
    assert_eq!(watched.gate.state, GateState::Closed);
    assert_eq!(
        watched.probe_at().unwrap().since(now).as_secs(),
        2,
        "it is more patient the second time"
    );
}

#[test]
fn a_gate_that_opens_while_nothing_wants_to_pass_is_open_after_a_while() {
    let (mut watched, mut now) = (watched(), NOW);
    (0..9).for_each(|plan| {
        happens(&mut watched, Event::Fails(plan), &mut now);
    });
    happens(&mut watched, Event::FindsItUp, &mut now);

    assert!(!watched.is_idle(now), "not at once");
    assert!(watched.is_idle(now + OPEN_AFTER));
    assert_eq!(watched.gate.state, GateState::Open);
}
