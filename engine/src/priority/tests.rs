//! Whoever waits in whatever company: the order is kept, and everybody's turn comes.

use super::*;
use proptest::prelude::*;
use uuid::Uuid;

fn seat(plan: u128, priority: Priority, organization: &str, workflow: &str, since: i64) -> Seat {
    Seat {
        line: Line {
            priority,
            organization: (!organization.is_empty()).then(|| organization.to_owned()),
            workflow: workflow.to_owned(),
        },
        since: Timestamp(since),
        plan: PlanId(Uuid::from_u128(plan)),
    }
}

fn priorities() -> impl Strategy<Value = Priority> {
    prop_oneof![
        Just(Priority::Background),
        Just(Priority::Normal),
        Just(Priority::Urgent)
    ]
}

fn seats() -> impl Strategy<Value = Vec<Seat>> {
    let one = (priorities(), 0..4_usize, 0..3_usize, 0..300_000_i64);
    prop::collection::vec(one, 1..40).prop_map(|all| {
        let named = (1..).zip(all);
        named
            .map(|(plan, (priority, organization, workflow, since))| {
                let organization = ["", "acme", "beta", "gamma"][organization];
                let workflow = ["push", "cleanup", "promote"][workflow];
                seat(plan, priority, organization, workflow, since)
            })
            .collect()
    })
}

fn counts_as(seat: &Seat, now: Timestamp) -> Priority {
    seat.line.priority.aged(now.since(seat.since))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_passed_over_by_who_counts_less_or_has_waited_shorter(seats in seats(), closed in 0..4_usize) {
        let now = Timestamp(300_000);
        let may = |workflow: &str| ["push", "cleanup", "promote"].get(closed).is_none_or(|it| *it != workflow);
        let mut queue = Queue::default();
        for seat in &seats {
            queue.push(seat.clone(), seat.line.workflow.clone());
        }
        let mut waiting = seats.clone();
        let mut last_turns: BTreeMap<Option<String>, usize> = BTreeMap::new();

        for turn in 1.. {
            let Some((next, _)) = queue.next(now, |workflow: &String| may(workflow)) else { break };
            prop_assert!(may(&next.line.workflow));
            waiting.retain(|seat| seat.plan != next.plan);
            let others: Vec<&Seat> = waiting.iter().filter(|it| may(&it.line.workflow)).collect();
            for other in &others {
                prop_assert!(counts_as(other, now) <= counts_as(&next, now), "{other:?} waits behind {next:?}");
            }
            let alike = others.iter().filter(|it| counts_as(it, now) == counts_as(&next, now));
            let turn_of = |seat: &Seat| last_turns.get(&seat.line.organization).copied().unwrap_or(0);
            for other in alike {
                prop_assert!(turn_of(&next) <= turn_of(other), "it was not the turn of {next:?} but of {other:?}");
                if turn_of(&next) == turn_of(other) {
                    prop_assert!(next.since <= other.since, "{other:?} has waited longer than {next:?}");
                }
            }
            last_turns.insert(next.line.organization.clone(), turn);
        }

        prop_assert!(waiting.iter().all(|seat| !may(&seat.line.workflow)), "somebody was forgotten: {waiting:?}");
        let emptied = waiting.is_empty();
        prop_assert_eq!(queue.is_empty(), emptied);
    }

    #[test]
    fn nobody_starves_however_much_comes_that_is_more_urgent(
        organizations in 1..6_usize, lowest in priorities(), flood in 1..4_usize,
    ) {
        // One turn a second; each second `flood` urgent plans of every organization come.
        let mut queue = Queue::default();
        let patient = seat(0, lowest, "patient", "push", 0);
        queue.push(patient.clone(), ());
        let mut plan = 1;
        let mut served = None;
        for second in 0..1000 {
            for organization in 0..organizations {
                for _ in 0..flood {
                    queue.push(seat(plan, Priority::Urgent, &format!("busy {organization}"), "push", second * 1000), ());
                    plan += 1;
                }
            }
            let (next, ()) = queue.next(Timestamp(second * 1000), |()| true).unwrap();
            if next.plan == patient.plan {
                served = Some(second);
                break;
            }
        }

        // Two steps of ageing at most, and then one turn of each other organization.
        let most = 2 * i64::try_from(AGEING.as_secs()).unwrap() + i64::try_from(organizations).unwrap();
        prop_assert!(served.is_some_and(|second| second <= most), "it waited until {served:?}");
    }
}

#[test]
fn organizations_take_turns_whoever_has_more() {
    let mut queue = Queue::default();
    for plan in 1..=6 {
        queue.push(seat(plan, Priority::Normal, "acme", "push", 1), ());
    }
    queue.push(seat(7, Priority::Normal, "beta", "push", 2), ());
    queue.push(seat(8, Priority::Normal, "beta", "push", 2), ());

    let order: Vec<String> = std::iter::from_fn(|| queue.next(Timestamp(3), |()| true))
        .map(|(seat, ())| seat.line.organization.unwrap_or_default())
        .collect();

    assert_eq!(
        order,
        [
            "acme", "beta", "acme", "beta", "acme", "acme", "acme", "acme"
        ]
    );
}

#[test]
fn who_did_not_have_to_wait_has_had_its_turn_and_that_is_not_forgotten_when_nobody_waits() {
    let mut queue = Queue::default();
    queue.had_turn(Some("acme".into()));
    queue.push(seat(1, Priority::Normal, "beta", "push", 1), ());
    queue.next(Timestamp(1), |()| true);
    queue.push(seat(2, Priority::Normal, "beta", "push", 2), ());
    queue.push(seat(3, Priority::Normal, "acme", "push", 3), ());

    let (next, ()) = queue.next(Timestamp(3), |()| true).unwrap();

    assert_eq!(next.line.organization.as_deref(), Some("acme"));
}

#[test]
fn the_turns_of_ever_new_organizations_take_no_more_room() {
    let mut queue = Queue::<()>::default();
    for organization in 0..3 * TURNS {
        queue.had_turn(Some(organization.to_string()));
    }

    assert_eq!(queue.turns.len(), TURNS);
    assert!(queue.turns.contains_key(&Some((3 * TURNS - 1).to_string())));
}

#[test]
fn a_priority_rises_once_a_minute_and_never_beyond_the_highest() {
    let after = |seconds| Priority::Background.aged(Duration::from_secs(seconds));

    assert_eq!(
        [0, 59, 60, 119, 120, 100_000].map(after),
        [
            Priority::Background,
            Priority::Background,
            Priority::Normal,
            Priority::Normal,
            Priority::Urgent,
            Priority::Urgent
        ]
    );
}
