//! The pure core: whatever happens in whatever order, plans keep their promises; whatever lies in the journal, nothing panics.

mod corpus;
mod failure;
mod generate;
mod known_end;
mod reference;
mod story;
mod sub_tasks;
mod undoing;
mod what_now;

use engine::check::check;
use engine::clock::Timestamp;
use engine::decide::{
    Admission, Decision, Happening, MAX_RECOVERIES, Place, decide, decide_with, submit, submit_with,
};
use engine::gate::Closed;
use engine::journal::{
    Action, Entry, Failure, GraphStep, Message, PlanId, PlanResult, Reason, Row, Submitted,
};
use engine::plan::Plan;
use engine::state::{
    PLAN_TRANSITIONS, PlanEvent, PlanState, STEP_TRANSITIONS, StepEvent, StepState,
};
use generate::{NODE, Try, happening, json, submissions, tries};
use proptest::prelude::*;
use reference::{expect, explained};
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// The entry that an entry of the journal stands for in the tables.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other entries are about the plan"
)]
fn step_event(entry: &Entry) -> Option<StepEvent> {
    match entry {
        Entry::StepStarted { .. } => Some(StepEvent::Start),
        Entry::StepSucceeded { .. } => Some(StepEvent::Succeed),
        Entry::AttemptFailed { .. } | Entry::CompensationAttemptFailed { .. } => {
            Some(StepEvent::Retry)
        }
        Entry::TurnedBack { .. } => Some(StepEvent::Retry),
        Entry::StepFailed { .. } | Entry::CompensationFailed { .. } => Some(StepEvent::Fail),
        Entry::Suspended { .. } | Entry::Awaiting { .. } | Entry::Spawning { .. } => {
            Some(StepEvent::Suspend)
        }
        Entry::StepInterrupted { .. } | Entry::CompensationInterrupted { .. } => {
            Some(StepEvent::Interrupt)
        }
        Entry::StepResumed { .. } | Entry::CompensationResumed { .. } => Some(StepEvent::Resume),
        Entry::StepCancelled { .. } => Some(StepEvent::Cancel),
        Entry::StepLost { .. } => Some(StepEvent::Lose),
        Entry::StepResolved { .. } => Some(StepEvent::Resolve),
        Entry::StepSkipped { .. } => Some(StepEvent::Skip),
        Entry::Compensating { .. } => Some(StepEvent::Compensate),
        Entry::Compensated { .. } => Some(StepEvent::Undo),
        Entry::CompensationAccepted { .. } => Some(StepEvent::Accept),
        _ => None,
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other entries are about steps"
)]
fn plan_event(entry: &Entry) -> Option<PlanEvent> {
    match entry {
        Entry::Started => Some(PlanEvent::Start),
        Entry::Claimed | Entry::HandedOver => Some(PlanEvent::TakeOver),
        Entry::Paused { .. } => Some(PlanEvent::Pause),
        Entry::Resumed => Some(PlanEvent::Resume),
        Entry::Cancelling { .. } => Some(PlanEvent::Cancel),
        Entry::Reverting => Some(PlanEvent::Revert),
        Entry::Stopped { .. } => Some(PlanEvent::Stop),
        _ => None,
    }
}

#[derive(Default)]
struct Seen {
    steps: HashSet<(StepState, StepEvent, StepState)>,
    plans: HashSet<(PlanState, PlanEvent, PlanState)>,
    decisions: usize,
    stopped: usize,
    /// Kept where somebody wants them.
    journals: Option<Vec<Vec<Row>>>,
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

/// It happens only where there is a place.
fn grants(choice: Try) -> bool {
    matches!(choice, Try::GrantPlace)
}

/// Every third time there is no place for a plan that has none.
fn place(n: i64) -> Place {
    if n % 3 == 0 {
        Place::Taken
    } else {
        Place::Free
    }
}

fn row(decision: &Decision) -> Row {
    Row {
        seq: decision.next.seq,
        nonce: 0,
        node: NODE,
        at: decision.at,
        entries: decision.entries.clone(),
        unreadable: None,
    }
}

/// What helps every plan on, whatever has happened to it.
fn all_goes_well(round: usize) -> [Try; 13] {
    [
        Try::Close(0),
        Try::Pass(round),
        Try::ItDidNot(round),
        Try::Resume,
        Try::Release,
        Try::Grant,
        Try::GrantPlace,
        Try::Wake(round),
        Try::SubmitChildren(round),
        Try::ChildMoves(round),
        Try::Succeed(round),
        Try::Drop(round),
        Try::Undo(round),
    ]
}

/// A plan on its way.
struct Walk {
    plan: Plan,
    rows: Vec<Row>,
    n: i64,
    closed: Closed,
}

impl Walk {
    fn begin(submitted: &Submitted, granted: bool, place: Place) -> Self {
        let admission = Admission {
            place,
            ..Admission::default()
        };
        let first = submit_with(
            &admission,
            PlanId(Uuid::from_u128(7)),
            submitted.clone(),
            vec![],
            granted || submitted.locks.is_empty(),
            Timestamp(0),
            NODE,
        )
        .unwrap();
        Self {
            rows: vec![row(&first)],
            plan: first.next,
            n: 0,
            closed: Closed::default(),
        }
    }

    /// What this comes to, if it fits.
    fn decided(&self, choice: Try) -> Option<Decision> {
        let happening = happening(&self.plan, choice, self.n)?;
        let has_place = self.plan.is_at_work() || grants(choice);
        let admission = Admission {
            place: if has_place {
                Place::Free
            } else {
                place(self.n)
            },
            closed: self.closed.clone(),
        };
        decide_with(&admission, &self.plan, happening, Timestamp(self.n), NODE).ok()
    }

    fn step_on(&mut self, choice: Try) -> Result<(), TestCaseError> {
        self.n += 1;
        if let Some(these) = generate::closed(choice) {
            self.closed = these;
        }
        let Some(decision) = self.decided(choice) else {
            return Ok(());
        };
        let is_let_through = matches!(choice, Try::Pass(_));
        for entry in &decision.entries {
            let (Entry::StepStarted { step } | Entry::Compensating { step }) = entry else {
                continue;
            };
            let gate = self.closed.before(&self.plan, *step, NODE);
            let passed = is_let_through && self.plan.steps[*step].at_gate.is_some();
            prop_assert!(gate.is_none() || passed, "step {step} began at {gate:?}");
        }
        let aborts = |plan: &Plan| plan.reverting && plan.aborting;
        let begins = |entry: &Entry| {
            matches!(
                entry,
                Entry::StepStarted { .. } | Entry::Compensating { .. }
            )
        };
        let holds_back = aborts(&self.plan) && aborts(&decision.next);
        prop_assert!(
            !(holds_back && decision.entries.iter().any(begins)),
            "an aborted revert begins nothing: {:?}",
            decision.entries
        );
        if !decision.entries.is_empty() {
            self.rows.push(row(&decision));
        }
        for (was, is) in self.plan.steps.iter().zip(&decision.next.steps) {
            prop_assert!(
                was.success.is_none() || (&was.output, &was.tries) == (&is.output, &is.tries),
                "a recorded step never changes"
            );
        }
        self.plan = decision.next;
        expect(&self.plan)?;
        explained(&self.plan)?;
        prop_assert_eq!(
            &self.plan,
            &Plan::fold(self.plan.id, &self.rows),
            "the journal tells the same"
        );
        Ok(())
    }
}

fn walk(
    submitted: &Submitted,
    granted: bool,
    tries: &[Try],
    seen: &Mutex<Seen>,
) -> Result<(), TestCaseError> {
    let mut walk = Walk::begin(submitted, granted, place(tries.len().try_into().unwrap()));
    expect(&walk.plan)?;
    for choice in tries {
        walk.step_on(*choice)?;
    }
    // Whatever happened: when everything goes well from here on, it ends.
    for round in 0..200 {
        if walk.plan.state == PlanState::Stopped {
            break;
        }
        for choice in all_goes_well(round) {
            walk.step_on(choice)?;
        }
    }
    let Walk { plan, rows, .. } = walk;
    prop_assert_eq!(
        plan.state,
        PlanState::Stopped,
        "it does not end: {:?}",
        plan
    );
    prop_assert_eq!(check(plan.id, &rows), Vec::<String>::new());
    let mut seen = seen.lock().unwrap();
    seen.note(plan.id, &rows);
    seen.decisions += rows.len();
    seen.stopped += 1;
    if let Some(journals) = &mut seen.journals {
        journals.push(rows);
    }
    Ok(())
}

#[test]
fn a_plan_that_is_paused_as_poison_keeps_its_ticket_and_asks_for_it_after_the_resume() {
    let side_by_side = |name: &str| GraphStep {
        attempts: 5,
        ..GraphStep::new(name, vec![])
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
        parent: None,
        revertible_for: None,
        priority: engine::priority::Priority::default(),
    };
    let id = PlanId(Uuid::from_u128(7));
    let begun = submit(id, submitted, vec![], true, Timestamp(0), NODE).unwrap();
    let then = |plan: &Plan, happening| decide(plan, happening, Timestamp(1), NODE).unwrap().next;
    let suspended = Happening::Suspended {
        step: 0,
        ticket: json("ticket"),
        wake_at: Timestamp(2),
        form: 1,
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
fn nothing_is_undone_while_a_step_that_is_to_be_finished_first_waits_for_a_place() {
    let step = |name: &str, after: Vec<usize>, undoable, gate: Option<&str>| GraphStep {
        undoable,
        gate: gate.map(Into::into),
        ..GraphStep::new(name, after)
    };
    let submitted = Submitted {
        workflow: "any".into(),
        version: 1,
        action: "Any".into(),
        graph: Arc::from([
            step("to_finish", vec![], true, None),
            step("to_undo", vec![], true, Some("backend")),
            step("last", vec![1], false, None),
        ]),
        input: json("input"),
        locks: vec![],
        actor: None,
        organization: None,
        links: vec![],
        cause: None,
        parent: None,
        revertible_for: None,
        priority: engine::priority::Priority::default(),
    };
    let (hold, claim) = (Try::Hold, Try::Claim);
    let tries: [&[Try]; 6] = [
        &[Try::Grant, Try::Succeed(2), Try::Await(0), Try::Undo(0)],
        &[Try::Cancel, claim, claim, hold],
        &[claim, hold, claim, claim],
        &[claim, hold, claim, hold],
        &[claim, claim, hold, claim],
        &[Try::Revert, Try::Close(1), Try::GrantPlace],
    ];

    walk(&submitted, false, &tries.concat(), &Mutex::default()).unwrap();
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
        Just(Entry::HandedOver),
        Just(Entry::LocksGranted),
        Just(Entry::Started),
        step.clone().prop_map(|step| Entry::StepStarted { step }),
        step.clone().prop_map(|step| Entry::StepSucceeded {
            step,
            output: json("x"),
            warning: None,
            form: 1
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
            wake_at: Timestamp(2),
            form: 1
        }),
        step.clone()
            .prop_map(|step| Entry::StepInterrupted { step }),
        step.clone().prop_map(|step| Entry::StepResumed { step }),
        step.clone().prop_map(|step| Entry::StepCancelled { step }),
        step.clone().prop_map(|step| Entry::StepLost { step }),
        step.clone().prop_map(|step| Entry::StepResolved {
            step,
            output: json("x")
        }),
        step.clone().prop_map(|step| Entry::StepSkipped {
            step,
            output: None,
            because: "why not".into()
        }),
        step.clone().prop_map(|step| Entry::Compensating { step }),
        step.clone().prop_map(|step| Entry::Compensated { step }),
        step.clone()
            .prop_map(|step| Entry::CompensationInterrupted { step }),
        step.clone()
            .prop_map(|step| Entry::CompensationResumed { step }),
        step.clone()
            .prop_map(|step| Entry::CompensationAccepted { step }),
        step.prop_map(|step| Entry::CompensationFailed {
            step,
            error: Failure::new("a", "b", false)
        }),
        Just(Entry::Reverting),
        Just(Entry::LocksAsked),
        Just(Entry::PlaceAsked),
        Just(Entry::PlaceGranted),
        Just(Entry::Held),
        Just(Entry::Released),
        Just(Entry::Resumed),
        Just(Entry::Cancelling {
            reason: Reason::Operator
        }),
        Just(Entry::Paused {
            reason: Reason::Error,
            keeps_locks: false
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
