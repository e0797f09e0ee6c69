//! What a revert brings to a known end before it undoes anything, what it does not wait for, and what an abort of it holds back.

use super::generate::json;
use super::story::{REVERTED, Story, diamond, lock, step, with};
use engine::clock::Timestamp;
use engine::decide::Happening;
use engine::journal::{Action, Entry, Failure, GraphStep, PlanResult, Reason, Rescue};
use engine::lock::LockState;
use engine::state::{PlanState, StepState};
use std::time::Duration;

fn two_steps() -> Vec<GraphStep> {
    vec![step("first", &[]), step("second", &[0])]
}

/// An attempt of the step took longer than it may.
fn takes_too_long(story: &mut Story, name: &str) {
    let step = story.step(name);
    story.happens(Happening::Failed {
        step,
        error: Failure::timeout(Duration::from_secs(1)),
        retry_at: Timestamp(1_000),
    });
}

fn goes_on_elsewhere(story: &mut Story, name: &str) {
    let (step, wake_at) = (story.step(name), Timestamp(story.now));
    story.happens(Happening::Suspended {
        step,
        ticket: json("ticket"),
        wake_at,
        form: 1,
    });
}

fn is_dropped(story: &mut Story, name: &str) {
    let step = story.step(name);
    story.happens(Happening::Dropped { step });
}

#[test]
fn a_step_that_took_too_long_comes_to_a_known_end_before_its_plan_is_reverted() {
    let mut story = Story::of(two_steps());
    story.succeeds("first");
    takes_too_long(&mut story, "second");
    assert_eq!(story.plan.reason, Some(Reason::Error));

    assert_eq!(story.told(Action::Revert), None);
    assert_eq!(story.states(), "first success, second running");
    story.succeeds("second");
    story.is_undone("second");
    story.is_undone("first");

    assert_eq!(story.end(), REVERTED);
}

#[test]
fn a_rescue_that_reverts_brings_the_step_that_took_too_long_to_a_known_end_first() {
    let graph = with(two_steps(), "second", |step| step.rescue = Rescue::Revert);
    let mut story = Story::of(graph);
    story.succeeds("first");

    takes_too_long(&mut story, "second");
    assert!(story.plan.reverting);
    assert_eq!(story.states(), "first success, second running");
    takes_too_long(&mut story, "second");

    assert_eq!(
        story.plan.reason,
        Some(Reason::CompensationError),
        "twice nobody knows: a person is asked"
    );
}

#[test]
fn a_step_that_waits_for_its_retry_after_it_took_too_long_runs_once_more_when_its_plan_is_reverted()
{
    let graph = with(two_steps(), "second", |step| step.attempts = 2);
    let mut story = Story::of(graph);
    story.succeeds("first");
    takes_too_long(&mut story, "second");
    assert!(story.plan.steps[1].is_retrying());

    assert_eq!(story.told(Action::Revert), None);

    assert_eq!(story.states(), "first success, second running");
    assert_eq!(story.plan.steps[1].failures, 0, "it has all its attempts");
}

#[test]
fn a_step_whose_last_attempt_says_that_it_failed_left_nothing_whatever_came_before() {
    let graph = with(two_steps(), "second", |step| step.attempts = 2);
    let mut story = Story::of(graph);
    story.succeeds("first");
    takes_too_long(&mut story, "second");
    story.happens(Happening::Woken { step: 1 });
    story.fails("second");

    assert_eq!(story.told(Action::Revert), None);

    assert_eq!(story.states(), "first compensating, second error");
}

#[test]
fn a_revert_asks_for_its_locks_again_only_once_nothing_is_under_way() {
    let graph = with(diamond(), "left", |step| step.attempts = 2);
    let locks = vec![lock("early", Some(0)), lock("late", None)];
    let mut story = Story::with_locks(graph, locks);
    story.succeeds("first");
    takes_too_long(&mut story, "left");

    assert_eq!(story.told(Action::Revert), None);
    assert!(!story.plan.waits_for_locks(), "step right still runs");
    assert_eq!(story.plan.locks[1].state, LockState::Held);
    story.succeeds("right");

    assert!(story.plan.waits_for_locks());
    assert_eq!(
        story.states(),
        "first success, left pending, right success, last cancelled"
    );
    story.happens(Happening::LocksGranted);
    assert_eq!(story.plan.steps[1].state, StepState::Running);
}

#[test]
fn a_revert_does_not_wait_for_an_event_or_a_time() {
    for (event, until) in [
        (Some("told".to_owned()), None),
        (None, Some(Timestamp(1_000))),
    ] {
        let mut story = Story::of(two_steps());
        story.succeeds("first");
        story.happens(Happening::Awaits {
            step: 1,
            event,
            until,
        });

        assert_eq!(story.told(Action::Revert), None);
        assert_eq!(story.states(), "first compensating, second cancelled");
        story.is_undone("first");

        assert_eq!(story.end(), REVERTED);
    }
}

#[test]
fn a_step_that_begins_to_wait_while_its_plan_is_reverted_has_come_to_an_end() {
    let mut story = Story::of(two_steps());
    story.succeeds("first");
    story.told(Action::Revert);
    story.happens(Happening::Claimed);
    assert_eq!(story.states(), "first success, second running");

    story.happens(Happening::Awaits {
        step: 1,
        event: Some("told".into()),
        until: None,
    });

    assert_eq!(story.states(), "first compensating, second cancelled");
}

#[test]
fn what_has_received_its_event_is_let_finish_before_its_plan_is_reverted() {
    let mut story = Story::of(two_steps());
    story.succeeds("first");
    story.happens(Happening::Awaits {
        step: 1,
        event: Some("told".into()),
        until: None,
    });
    story.told(Action::Event {
        name: "told".into(),
        payload: json("it happened"),
    });

    assert_eq!(story.told(Action::Revert), None);
    assert_eq!(story.states(), "first success, second suspended");
    story.succeeds("second");

    assert_eq!(story.states(), "first success, second compensating");
}

#[test]
fn a_cancelled_step_is_asked_for_with_its_ticket_when_its_plan_is_reverted() {
    let graph = with(two_steps(), "second", |step| step.once = true);
    let mut story = Story::of(graph);
    story.succeeds("first");
    goes_on_elsewhere(&mut story, "second");
    story.told(Action::Cancel);
    assert_eq!(story.plan.result, PlanResult::Cancelled);

    assert_eq!(story.told(Action::Revert), None);

    assert_eq!(story.states(), "first success, second running");
    assert_eq!(story.plan.steps[1].ticket, Some(json("ticket")));
}

#[test]
fn a_once_step_that_cannot_be_asked_any_more_is_interrupted_and_begins_anew_for_a_person_only() {
    let graph = with(two_steps(), "second", |step| step.once = true);
    let mut story = Story::of(graph);
    story.succeeds("first");
    goes_on_elsewhere(&mut story, "second");

    story.happens(Happening::Failed {
        step: 1,
        error: Failure::new("test", "nobody answers", true),
        retry_at: Timestamp(50),
    });

    assert_eq!(
        story.end(),
        (
            PlanState::Paused,
            PlanResult::Error,
            Some(Reason::Interrupted)
        )
    );
    let it_did_not = Action::Resolve {
        step: "second".into(),
        output: None,
    };
    assert_eq!(story.told(it_did_not), None);
    assert_eq!(story.states(), "first success, second running");
    assert_eq!(story.plan.steps[1].ticket, None, "its old work is no more");
}

#[test]
fn a_once_step_that_is_cancelled_while_it_receives_its_event_is_not_begun_anew() {
    let graph = with(two_steps(), "second", |step| step.once = true);
    let mut story = Story::of(graph);
    story.succeeds("first");
    story.happens(Happening::Awaits {
        step: 1,
        event: Some("told".into()),
        until: None,
    });
    let mut resting = Story {
        plan: story.plan.clone(),
        now: story.now,
    };
    story.told(Action::Event {
        name: "told".into(),
        payload: json("it happened"),
    });
    for story in [&mut resting, &mut story] {
        story.told(Action::Cancel);
        story.told(Action::Revert);
    }

    assert_eq!(resting.states(), "first compensating, second cancelled");
    assert_eq!(story.states(), "first success, second interrupted");
    assert_eq!(story.plan.reason, Some(Reason::Interrupted));
}

#[test]
fn work_elsewhere_that_says_that_it_failed_is_not_asked_for_again() {
    let graph = with(two_steps(), "second", |step| step.once = true);
    let mut story = Story::of(graph);
    story.succeeds("first");
    goes_on_elsewhere(&mut story, "second");

    story.fails("second");

    assert_eq!(story.plan.reason, Some(Reason::Error));
    assert_eq!(story.plan.steps[1].ticket, None);
}

/// `left` and `right` are being undone, and the revert is aborted.
fn aborted() -> Story {
    let mut story = Story::of(diamond());
    for name in ["first", "left", "right"] {
        story.succeeds(name);
    }
    story.told(Action::Revert);
    story.fails("last");
    assert_eq!(
        story.states(),
        "first success, left compensating, right compensating, last error"
    );
    assert_eq!(story.told(Action::Abort), None);
    story
}

#[test]
fn an_aborted_revert_begins_nothing_while_something_of_it_is_under_way() {
    let mut side_by_side = vec![step("one", &[]), step("two", &[0]), step("other", &[])];
    side_by_side.push(step("last", &[1, 2]));
    let mut story = Story::of(side_by_side);
    for name in ["one", "two", "other"] {
        story.succeeds(name);
    }
    story.told(Action::Revert);
    story.fails("last");
    assert_eq!(story.told(Action::Abort), None);

    story.is_undone("two");
    assert_eq!(
        story.states(),
        "one success, two compensated, other compensating, last error"
    );
    assert!(story.plan.aborting);
    is_dropped(&mut story, "other");

    assert!(!story.plan.aborting, "nothing is under way any more");
    assert_eq!(
        story.states(),
        "one compensating, two compensated, other compensation_error, last error"
    );
}

#[test]
fn the_abort_of_a_revert_is_still_known_to_the_next_owner_when_one_of_two_has_ended() {
    let mut story = aborted();

    story.is_undone("left");
    story.happens(Happening::Claimed);

    assert_eq!(
        story.states(),
        "first success, left compensated, right compensation_error, last error"
    );
    assert_eq!(story.plan.reason, Some(Reason::CompensationError));
}

#[test]
fn what_became_due_while_a_revert_was_aborted_begins_once_nothing_is_under_way() {
    let graph = with(diamond(), "left", |step| step.attempts = 2);
    let mut story = Story::of(graph);
    for name in ["first", "left", "right"] {
        story.succeeds(name);
    }
    story.told(Action::Revert);
    story.fails("last");
    let left = story.step("left");
    let retry_at = Timestamp(story.now + 2);
    story.happens(Happening::UndoFailed {
        step: left,
        error: Failure::new("test", "busy", true),
        retry_at,
    });
    assert_eq!(story.told(Action::Abort), None);

    let woken = story.happens(Happening::Woken { step: left });
    assert_eq!(woken.entries, Vec::<Entry>::new());
    is_dropped(&mut story, "right");

    assert!(story.plan.steps[left].is_being_undone());
}

#[test]
fn a_ticket_is_given_up_by_the_next_owner_of_an_aborted_revert() {
    let mut story = Story::of(two_steps());
    story.succeeds("first");
    goes_on_elsewhere(&mut story, "second");
    story.told(Action::Revert);
    assert_eq!(story.told(Action::Abort), None);

    story.happens(Happening::Claimed);

    assert_eq!(story.states(), "first success, second error");
    assert_eq!(story.plan.reason, Some(Reason::CompensationError));
}

#[test]
fn nothing_is_dropped_of_a_revert_that_is_not_aborted_any_more() {
    let mut story = aborted();
    story.is_undone("left");
    story.is_undone("right");
    assert_eq!(story.plan.steps[0].state, StepState::Compensating);

    is_dropped(&mut story, "first");

    assert!(story.plan.steps[0].is_being_undone());
}
