//! What an explanation says is to be done: it never says that nobody is needed where somebody is.

use super::generate::json;
use super::story::{Story, diamond, step};
use engine::clock::Timestamp;
use engine::decide::Happening;
use engine::explain::{RevertPreview, Task, WaitingKind};
use engine::journal::{Action, GraphStep, PlanId, Row};
use engine::lock::{LockMode, LockRequest, LockState, OnPause, Seat};
use engine::plan::{Plan, PlanLock};
use engine::state::StepState;
use std::sync::Arc;
use uuid::Uuid;

const HOLDER: PlanId = PlanId(Uuid::from_u128(9));

/// Lets the plan wait for a lock, and answers with its place in the queue.
fn queues(plan: &mut Plan, behind: Option<PlanId>) -> Seat {
    plan.locks = vec![PlanLock {
        request: LockRequest {
            resource: "berth".into(),
            mode: LockMode::Exclusive,
            until: None,
            on_pause: OnPause::Release,
        },
        state: LockState::Queued,
        asked: 1,
    }];
    Seat {
        resource: "berth".into(),
        mode: LockMode::Exclusive,
        since: Timestamp(0),
        position: 1,
        behind,
    }
}

/// Behind this plan in the queue of a lock.
fn behind(holder: &Plan) -> Task {
    let mut story = Story::of(diamond());
    let seat = queues(&mut story.plan, Some(HOLDER));
    for status in &mut story.plan.steps {
        status.state = StepState::Pending;
    }
    let mut holder = holder.clone();
    holder.id = HOLDER;
    Task::of(
        &story.plan,
        &[seat],
        &[(HOLDER, Some(Arc::new(holder)))],
        Timestamp(9),
    )
}

fn of(plan: &Plan) -> Task {
    Task::of(plan, &[], &[], Timestamp(9))
}

#[test]
fn whoever_waits_behind_a_paused_task_is_told_that_it_is_paused() {
    let mut holder = Story::of(diamond());
    holder.fails("first");

    let task = behind(&holder.plan);

    let next = task.explanation.next;
    assert!(
        next.starts_with(&format!(
            "Task {HOLDER} goes first and waits for an operator"
        )),
        "{next}"
    );
    assert!(next.contains("step first failed once: it broke"), "{next}");
    assert_eq!(task.waiting_for[0].kind, WaitingKind::Lock);
}

#[test]
fn whoever_waits_behind_a_held_task_is_told_who_holds_it() {
    let mut holder = Story::of(diamond());
    holder.told(Action::Hold);
    holder.succeeds("first");

    let task = behind(&holder.plan);

    let next = task.explanation.next;
    assert!(next.contains("is held: ann holds it (because)"), "{next}");
}

#[test]
fn whoever_waits_behind_a_task_at_work_needs_nobody() {
    let task = behind(&Story::of(diamond()).plan);

    let next = task.explanation.next;
    assert!(
        next.starts_with("Nothing is needed from a person"),
        "{next}"
    );
    assert_eq!(task.waiting_for[0].needs, None);
}

#[test]
fn a_held_task_that_queues_for_a_lock_waits_for_both() {
    let mut story = Story::of(diamond());
    story.told(Action::Hold);
    story.succeeds("first");
    let mut plan = story.plan.clone();
    let seat = queues(&mut plan, None);

    let task = Task::of(&plan, &[seat], &[], Timestamp(9));

    let kinds: Vec<WaitingKind> = task.waiting_for.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, [WaitingKind::Operator, WaitingKind::Lock]);
    assert_eq!(task.explanation.next, "Release it, when it may go on.");
}

#[test]
fn a_task_that_cannot_be_read_asks_for_its_end() {
    let mut story = Story::of(diamond());
    story.plan.append(&Row {
        seq: story.plan.seq + 1,
        nonce: 0,
        node: super::generate::NODE,
        at: Timestamp(1),
        entries: vec![],
        unreadable: Some("its entries are no JSON".into()),
    });

    let task = of(&story.plan);

    assert!(
        task.explanation.next.contains("abort it"),
        "{:?}",
        task.explanation
    );
    assert_eq!(task.waiting_for[0].kind, WaitingKind::Operator);
}

#[test]
fn a_failed_step_is_told_of_while_its_neighbour_still_waits() {
    let mut story = Story::of(diamond());
    story.succeeds("first");
    let right = story.step("right");
    story.happens(Happening::Suspended {
        step: right,
        ticket: json("ticket"),
        wake_at: Timestamp(3_000_000),
        form: 1,
    });
    story.fails("left");

    let task = of(&story.plan);

    assert!(
        task.headline.ends_with("; step left failed once: it broke"),
        "{}",
        task.headline
    );
    assert!(
        task.explanation
            .next
            .starts_with("A person is needed once the rest has come to an end"),
        "{:?}",
        task.explanation
    );
}

#[test]
fn a_resume_of_a_revert_says_what_it_undoes_and_not_what_has_not_run() {
    let mut story = Story::of(vec![
        step("first", &[]),
        step("second", &[0]),
        step("third", &[1]),
    ]);
    story.succeeds("first");
    story.succeeds("second");
    story.told(Action::Revert);
    story.succeeds("third");
    story.cannot_be_undone("third");

    let task = of(&story.plan);

    let resume = task.actions.iter().find(|it| it.name == "resume").unwrap();
    assert_eq!(
        resume.will.as_deref(),
        Some("goes on undoing third, second, first")
    );
}

#[test]
fn a_preview_of_a_revert_names_what_nobody_knows() {
    let once = GraphStep {
        once: true,
        ..step("second", &[0])
    };
    let mut story = Story::of(vec![step("first", &[]), once]);
    story.succeeds("first");
    story.happens(Happening::Lost { step: 1 });

    let preview = RevertPreview::of(&story.plan);

    assert_eq!(preview.unknown, ["second"]);
    assert_eq!(preview.would_undo, ["first"]);
}
