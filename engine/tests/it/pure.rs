//! The pure core: whatever happens in whatever order, plans keep their promises; whatever lies in the journal, nothing panics.

use engine::check::check;
use engine::clock::Timestamp;
use engine::decide::{Happening, MAX_RECOVERIES, decide, submit};
use engine::journal::{
    Action, Entry, Failure, GraphStep, Json, Message, NodeId, PlanId, PlanResult, Reason, Rescue,
    Row, Submitted,
};
use engine::lock::{LockMode, LockRequest, LockState, OnPause};
use engine::plan::Plan;
use engine::state::{
    PLAN_TRANSITIONS, PlanEvent, PlanState, STEP_TRANSITIONS, StepEvent, StepState,
};
use proptest::prelude::*;
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

const NODE: NodeId = NodeId(Uuid::from_u128(1));

fn json(text: &str) -> Json {
    Json::of(&text).unwrap()
}

fn graphs() -> impl Strategy<Value = Arc<[GraphStep]>> {
    prop::collection::vec((any::<u64>(), 1..4_u32, any::<bool>()), 1..7).prop_map(|steps| {
        let step = |(place, (after, attempts, fail)): (usize, (u64, u32, bool))| GraphStep {
            name: format!("step_{place}"),
            after: (0..place)
                .filter(|before| after >> before & 1 == 1)
                .collect(),
            attempts,
            rescue: if fail { Rescue::Fail } else { Rescue::Pause },
        };
        steps.into_iter().enumerate().map(step).collect()
    })
}

fn submissions() -> impl Strategy<Value = Submitted> {
    (graphs(), 0..3_usize, any::<u64>()).prop_map(|(graph, locks, until)| Submitted {
        workflow: "any".into(),
        version: 1,
        action: "Any".into(),
        input: json("input"),
        locks: (0..locks)
            .map(|lock| LockRequest {
                resource: format!("resource {lock}"),
                mode: if until >> lock & 1 == 1 {
                    LockMode::Exclusive
                } else {
                    LockMode::Shared
                },
                until: (until >> (lock + 2) & 1 == 1).then_some(graph.len() / 2),
                on_pause: if until >> (lock + 4) & 1 == 1 {
                    OnPause::Release
                } else {
                    OnPause::Hold
                },
            })
            .collect(),
        graph,
        actor: None,
        organization: None,
        links: vec![],
        cause: None,
    })
}

/// What may happen next; the numbers choose among what fits.
#[derive(Clone, Copy, Debug)]
enum Try {
    Claim,
    Grant,
    Succeed(usize),
    Suspend(usize),
    FailForNow(usize),
    FailForGood(usize),
    Wake(usize),
    Drop(usize),
    Resume,
    Cancel,
    Supersede,
    RetryNow(usize),
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let step = 0..7_usize;
    let one = prop_oneof![
        1 => Just(Try::Claim),
        3 => Just(Try::Grant),
        8 => step.clone().prop_map(Try::Succeed),
        2 => step.clone().prop_map(Try::Suspend),
        2 => step.clone().prop_map(Try::FailForNow),
        1 => step.clone().prop_map(Try::FailForGood),
        3 => step.clone().prop_map(Try::Wake),
        1 => step.clone().prop_map(Try::Drop),
        2 => Just(Try::Resume),
        1 => Just(Try::Cancel),
        1 => Just(Try::Supersede),
        1 => step.prop_map(Try::RetryNow),
    ];
    prop::collection::vec(one, 0..40)
}

fn happening(plan: &Plan, choice: Try, n: i64) -> Option<Happening> {
    let count = plan.steps.len();
    let among = |at: usize, fits: fn(StepState) -> bool| {
        (0..count)
            .map(|step| (at + step) % count)
            .find(|step| fits(plan.steps[*step].state))
    };
    let under_way: fn(StepState) -> bool = StepState::is_under_way;
    let running: fn(StepState) -> bool = |state| state == StepState::Running;
    let failure = |transient| Failure::new("test", "it broke", transient);
    let mail = |action| Happening::Mail {
        n,
        message: Message {
            action,
            by: "me".into(),
            reason: None,
        },
    };
    let at = Timestamp(n);
    Some(match choice {
        Try::Claim => Happening::Claimed,
        Try::Grant => Happening::LocksGranted,
        Try::Succeed(step) => Happening::Succeeded {
            step: among(step, under_way)?,
            output: json(&format!("output {n}")),
            warning: None,
        },
        Try::Suspend(step) => Happening::Suspended {
            step: among(step, running)?,
            ticket: json("ticket"),
            wake_at: at,
        },
        Try::FailForNow(step) => Happening::Failed {
            step: among(step, under_way)?,
            error: failure(true),
            retry_at: at,
        },
        Try::FailForGood(step) => Happening::Failed {
            step: among(step, under_way)?,
            error: failure(false),
            retry_at: at,
        },
        Try::Wake(step) => Happening::Woken { step: step % count },
        Try::Drop(step) if plan.cancelling => Happening::Dropped {
            step: among(step, running)?,
        },
        Try::Drop(_) => return None,
        Try::Resume => mail(Action::Resume),
        Try::Cancel => mail(Action::Cancel),
        Try::Supersede => mail(Action::Supersede {
            by: PlanId(Uuid::from_u128(9)),
        }),
        Try::RetryNow(step) => mail(Action::RetryNow {
            step: format!("step_{}", step % count),
        }),
    })
}

/// The reference: what must be true of a plan, told from its steps and locks alone.
fn expect(plan: &Plan) -> Result<(), TestCaseError> {
    let is = |state: StepState| plan.steps.iter().any(|step| step.state == state);
    let under_way = plan.steps.iter().any(|step| step.state.is_under_way());
    let retrying = plan.steps.iter().any(engine::plan::StepStatus::is_retrying);
    let queued = plan
        .locks
        .iter()
        .any(|lock| lock.state == LockState::Queued);
    for (step, status) in plan.graph().iter().zip(&plan.steps) {
        if status.state.is_under_way() || status.state == StepState::Success {
            let all = step
                .after
                .iter()
                .all(|before| plan.steps[*before].state == StepState::Success);
            prop_assert!(all, "{} began before what it waits for", step.name);
        }
        prop_assert_eq!(status.output.is_some(), status.state == StepState::Success);
    }
    match plan.state {
        PlanState::Pending | PlanState::Running => {
            prop_assert!(
                under_way || retrying || queued,
                "a plan that is not paused must move: {plan:?}"
            );
            prop_assert!(
                !plan.cancelling || under_way,
                "a cancelled plan only waits for bodies"
            );
        }
        PlanState::Paused => {
            let poison = plan.reason == Some(Reason::Poison);
            prop_assert!(!is(StepState::Running), "a paused plan does nothing");
            prop_assert!(poison || !under_way, "only poison leaves a ticket unasked");
            prop_assert!(poison || is(StepState::Error));
            prop_assert!(!plan.cancelling, "who cancels it wants its end");
            prop_assert_eq!(plan.result, PlanResult::Error);
            let held = plan
                .locks
                .iter()
                .filter(|lock| lock.state == LockState::Held);
            prop_assert!(
                held.clone()
                    .all(|lock| lock.request.on_pause == OnPause::Hold)
            );
        }
        PlanState::Stopped => {
            prop_assert!(!under_way && !retrying && !is(StepState::Pending));
            let done = plan
                .steps
                .iter()
                .all(|step| step.state == StepState::Success);
            let failed = plan.graph().iter().zip(&plan.steps).any(|(step, status)| {
                status.state == StepState::Error && step.rescue == Rescue::Fail
            });
            prop_assert_eq!(done, plan.result == PlanResult::Success);
            prop_assert!(done || plan.cancelling || failed);
        }
    }
    Ok(())
}

/// The entry that an entry of the journal stands for in the tables.
fn step_event(entry: &Entry) -> Option<StepEvent> {
    match entry {
        Entry::StepStarted { .. } => Some(StepEvent::Start),
        Entry::StepSucceeded { .. } => Some(StepEvent::Succeed),
        Entry::AttemptFailed { .. } => Some(StepEvent::Retry),
        Entry::StepFailed { .. } => Some(StepEvent::Fail),
        Entry::Suspended { .. } => Some(StepEvent::Suspend),
        Entry::StepInterrupted { .. } => Some(StepEvent::Interrupt),
        Entry::StepResumed { .. } => Some(StepEvent::Resume),
        Entry::StepCancelled { .. } => Some(StepEvent::Cancel),
        Entry::Submitted(_)
        | Entry::Claimed
        | Entry::LocksGranted
        | Entry::Started
        | Entry::Operator { .. }
        | Entry::Resumed
        | Entry::Cancelling { .. }
        | Entry::Paused { .. }
        | Entry::Stopped { .. } => None,
    }
}

fn plan_event(entry: &Entry) -> Option<PlanEvent> {
    match entry {
        Entry::Started => Some(PlanEvent::Start),
        Entry::Claimed => Some(PlanEvent::TakeOver),
        Entry::Paused { .. } => Some(PlanEvent::Pause),
        Entry::Resumed => Some(PlanEvent::Resume),
        Entry::Cancelling { .. } => Some(PlanEvent::Cancel),
        Entry::Stopped { .. } => Some(PlanEvent::Stop),
        Entry::Submitted(_)
        | Entry::LocksGranted
        | Entry::StepStarted { .. }
        | Entry::StepSucceeded { .. }
        | Entry::AttemptFailed { .. }
        | Entry::StepFailed { .. }
        | Entry::Suspended { .. }
        | Entry::StepInterrupted { .. }
        | Entry::StepResumed { .. }
        | Entry::StepCancelled { .. }
        | Entry::Operator { .. } => None,
    }
}

#[derive(Default)]
struct Seen {
    steps: HashSet<(StepState, StepEvent, StepState)>,
    plans: HashSet<(PlanState, PlanEvent, PlanState)>,
    decisions: usize,
    stopped: usize,
}

impl Seen {
    /// Replays the rows entry by entry and notes every transition.
    fn note(&mut self, id: PlanId, rows: &[Row]) {
        let mut before = Plan::empty(id);
        let singles = rows
            .iter()
            .flat_map(|row| row.entries.iter().map(move |entry| (row, entry)));
        for (seq, (row, entry)) in (1..).zip(singles) {
            let mut after = before.clone();
            after.append(&Row {
                seq,
                entries: vec![entry.clone()],
                ..row.clone()
            });
            if let (Some(event), Some(step)) = (step_event(entry), entry.step()) {
                self.steps
                    .insert((before.steps[step].state, event, after.steps[step].state));
            }
            if let Some(event) = plan_event(entry).filter(|_| before.submitted.is_some())
                && (event != PlanEvent::TakeOver || before.state.is_driven())
            {
                self.plans.insert((before.state, event, after.state));
            }
            before = after;
        }
    }
}

fn walk(
    submitted: &Submitted,
    granted: bool,
    tries: &[Try],
    seen: &Mutex<Seen>,
) -> Result<(), TestCaseError> {
    let id = PlanId(Uuid::from_u128(7));
    let first = submit(
        id,
        submitted.clone(),
        vec![],
        granted || submitted.locks.is_empty(),
        Timestamp(0),
        NODE,
    )
    .unwrap();
    let row = |decision: &engine::decide::Decision| Row {
        seq: decision.next.seq,
        nonce: 0,
        node: NODE,
        at: decision.at,
        entries: decision.entries.clone(),
        unreadable: None,
    };
    let (mut rows, mut plan) = (vec![row(&first)], first.next);
    let mut n = 0;
    let mut step_on =
        |plan: &mut Plan, rows: &mut Vec<Row>, choice: Try| -> Result<(), TestCaseError> {
            n += 1;
            let Some(happening) = happening(plan, choice, n) else {
                return Ok(());
            };
            let Ok(decision) = decide(plan, happening, Timestamp(n), NODE) else {
                return Ok(());
            };
            if !decision.entries.is_empty() {
                rows.push(row(&decision));
            }
            for (was, is) in plan.steps.iter().zip(&decision.next.steps) {
                prop_assert!(
                    was.state != StepState::Success || was == is,
                    "a recorded step never changes"
                );
            }
            *plan = decision.next;
            expect(plan)?;
            prop_assert_eq!(
                &*plan,
                &Plan::fold(id, &*rows),
                "the journal tells the same"
            );
            Ok(())
        };
    expect(&plan)?;
    for choice in tries {
        step_on(&mut plan, &mut rows, *choice)?;
    }
    // Whatever happened: when everything goes well from here on, it ends.
    for round in 0..200 {
        if plan.state == PlanState::Stopped {
            break;
        }
        for choice in [
            Try::Resume,
            Try::Grant,
            Try::Wake(round),
            Try::Succeed(round),
            Try::Drop(round),
        ] {
            step_on(&mut plan, &mut rows, choice)?;
        }
    }
    prop_assert_eq!(
        plan.state,
        PlanState::Stopped,
        "it does not end: {:?}",
        plan
    );
    prop_assert_eq!(check(id, &rows), Vec::<String>::new());
    let mut seen = seen.lock().unwrap();
    seen.note(id, &rows);
    seen.decisions += rows.len();
    seen.stopped += 1;
    Ok(())
}

#[test]
fn a_plan_that_is_paused_as_poison_keeps_its_ticket_and_asks_for_it_after_the_resume() {
    let side_by_side = |name: &str| GraphStep {
        name: name.into(),
        after: vec![],
        attempts: 5,
        rescue: Rescue::Pause,
    };
    let submitted = Submitted {
        workflow: "any".into(),
        version: 1,
        action: "Any".into(),
        graph: Arc::new([side_by_side("elsewhere"), side_by_side("here")]),
        input: json("input"),
        locks: vec![],
        actor: None,
        organization: None,
        links: vec![],
        cause: None,
    };
    let id = PlanId(Uuid::from_u128(7));
    let begun = submit(id, submitted, vec![], true, Timestamp(0), NODE).unwrap();
    let then = |plan: &Plan, happening| decide(plan, happening, Timestamp(1), NODE).unwrap().next;
    let suspended = Happening::Suspended {
        step: 0,
        ticket: json("ticket"),
        wake_at: Timestamp(2),
    };
    let resume = Happening::Mail {
        n: 1,
        message: Message {
            action: Action::Resume,
            by: "me".into(),
            reason: None,
        },
    };

    let mut plan = then(&begun.next, suspended);
    for _ in 0..=MAX_RECOVERIES {
        assert_eq!(plan.steps[1].state, StepState::Running);
        plan = then(&plan, Happening::Claimed);
    }
    let resumed = then(&plan, resume);

    assert_eq!(
        (plan.state, plan.reason),
        (PlanState::Paused, Some(Reason::Poison))
    );
    let states = resumed.steps.iter().map(|step| step.state);
    assert_eq!(
        states.collect::<Vec<_>>(),
        [StepState::Suspended, StepState::Running]
    );
    assert_eq!(resumed.steps[0].ticket, Some(json("ticket")));
}

#[test]
fn whatever_happens_a_plan_keeps_its_promises_and_every_transition_is_reached() {
    let seen = Mutex::new(Seen::default());
    let config = ProptestConfig {
        cases: 3000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(submitted in submissions(), granted: bool, tries in tries())| {
        walk(&submitted, granted, &tries, &seen)?;
    });

    let seen = seen.into_inner().unwrap();
    let unreached = |all: BTreeSet<String>, reached: BTreeSet<String>| -> Vec<String> {
        all.difference(&reached).cloned().collect()
    };
    let steps = unreached(
        STEP_TRANSITIONS
            .iter()
            .map(|it| format!("{it:?}"))
            .collect(),
        seen.steps.iter().map(|it| format!("{it:?}")).collect(),
    );
    let plans = unreached(
        PLAN_TRANSITIONS
            .iter()
            .map(|it| format!("{it:?}"))
            .collect(),
        seen.plans.iter().map(|it| format!("{it:?}")).collect(),
    );
    println!(
        "{} plans to their end by {} rows; {} + {} transitions reached",
        seen.stopped,
        seen.decisions,
        seen.steps.len(),
        seen.plans.len()
    );
    assert_eq!(
        (steps, plans),
        (vec![], vec![]),
        "transitions that no plan ever made"
    );
    assert_eq!(
        (seen.steps.len(), seen.plans.len()),
        (STEP_TRANSITIONS.len(), PLAN_TRANSITIONS.len())
    );
    assert!(
        seen.stopped >= 3000 && seen.decisions >= 20_000,
        "too little was tried"
    );
}

fn entries() -> impl Strategy<Value = Entry> {
    let step = 0..9_usize;
    let failure = Failure::new("test", "it broke", true);
    prop_oneof![
        submissions().prop_map(|submitted| Entry::Submitted(Box::new(submitted))),
        Just(Entry::Claimed),
        Just(Entry::LocksGranted),
        Just(Entry::Started),
        step.clone().prop_map(|step| Entry::StepStarted { step }),
        step.clone().prop_map(|step| Entry::StepSucceeded {
            step,
            output: json("x"),
            warning: None
        }),
        step.clone().prop_map(move |step| Entry::AttemptFailed {
            step,
            error: failure.clone(),
            wake_at: Timestamp(1)
        }),
        step.clone().prop_map(|step| Entry::StepFailed {
            step,
            error: Failure::new("a", "b", false)
        }),
        step.clone().prop_map(|step| Entry::Suspended {
            step,
            ticket: json("t"),
            wake_at: Timestamp(2)
        }),
        step.clone()
            .prop_map(|step| Entry::StepInterrupted { step }),
        step.clone().prop_map(|step| Entry::StepResumed { step }),
        step.prop_map(|step| Entry::StepCancelled { step }),
        Just(Entry::Resumed),
        Just(Entry::Cancelling {
            reason: Reason::Operator
        }),
        Just(Entry::Paused {
            reason: Reason::Error
        }),
        Just(Entry::Stopped {
            result: PlanResult::Success
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_rows_make_a_plan_that_says_why_it_cannot_be_read(
        rows in prop::collection::vec((0..6_i64, prop::collection::vec(entries(), 0..4)), 0..6),
        in_order: bool,
        decision in tries(),
    ) {
        let rows: Vec<Row> = (1..).zip(rows).map(|(place, (seq, entries))| Row {
            seq: if in_order { place } else { seq },
            nonce: 0,
            node: NODE,
            at: Timestamp(place),
            entries,
            unreadable: None,
        }).collect();
        let id = PlanId(Uuid::from_u128(7));

        let plan = Plan::fold(id, &rows);

        let submitted_first = matches!(rows.iter().flat_map(|row| &row.entries).next(), Some(Entry::Submitted(_)));
        prop_assert!(submitted_first || plan.unreadable.is_some());
        let task = engine::explain::Task::of(&plan, &[], &[], Timestamp(5));
        prop_assert!(!task.headline.is_empty());
        serde_json::to_string(&task).unwrap();
        let picture = engine::draw::task(&task);
        prop_assert!(engine::draw::dot(&picture).starts_with("digraph"));
        prop_assert!(roxmltree::Document::parse(&engine::draw::svg(&picture)).is_ok());
        prop_assert!(!engine::draw::terminal(&picture).is_empty());
        for (n, choice) in (1..).zip(decision) {
            if let Some(happening) = (!plan.steps.is_empty()).then(|| happening(&plan, choice, n)).flatten() {
                drop(decide(&plan, happening, Timestamp(n), NODE));
            }
        }
    }
}
