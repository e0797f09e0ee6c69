//! What a revert makes of steps of which nobody knows how far they came, and how it is hurried.

use super::generate::json;
use super::story::{REVERTED, Story, diamond, lock, step};
use engine::clock::Timestamp;
use engine::decide::{Happening, MAX_RECOVERIES};
use engine::journal::{Action, Failure, GraphStep, NodeId, PlanResult, Reason};
use engine::state::{PlanState, StepState};
use engine::store::Append;
use uuid::Uuid;

const UNDOING_STUCK: (PlanState, PlanResult, Option<Reason>) = (
    PlanState::Paused,
    PlanResult::Error,
    Some(Reason::CompensationError),
);

#[test]
fn a_dropped_body_comes_to_a_known_end_before_a_cancelled_plan_is_reverted() {
    let mut story = Story::of(vec![step("first", &[]), step("second", &[0])]);
    story.succeeds("first");
    story.told(Action::Cancel);
    story.happens(Happening::Dropped { step: 1 });
    assert_eq!(story.plan.result, PlanResult::Cancelled);

    assert_eq!(story.told(Action::Revert), None);
    assert_eq!(story.states(), "first success, second running");
    story.succeeds("second");
    assert_eq!(story.states(), "first success, second compensating");
    story.is_undone("second");
    story.is_undone("first");

    assert_eq!(story.end(), REVERTED);
}

#[test]
fn a_body_whose_owner_died_comes_to_a_known_end_before_its_plan_is_reverted() {
    let under_way = || {
        let mut story = Story::of(vec![step("first", &[]), step("second", &[0])]);
        story.succeeds("first");
        story
    };
    let mut reverting = under_way();
    reverting.told(Action::Revert);
    let mut cancelling = under_way();
    cancelling.told(Action::Cancel);

    reverting.happens(Happening::Claimed);
    cancelling.happens(Happening::Claimed);
    assert_eq!(cancelling.states(), "first success, second cancelled");
    assert_eq!(cancelling.told(Action::Revert), None);

    for mut story in [reverting, cancelling] {
        assert_eq!(story.states(), "first success, second running");
        story.succeeds("second");
        assert_eq!(story.states(), "first success, second compensating");
        story.is_undone("second");
        story.is_undone("first");
        assert_eq!(story.end(), REVERTED);
    }
}

#[test]
fn a_poisoned_plan_that_is_reverted_asks_for_its_locks_before_it_finishes_anything() {
    let mut story = Story::with_locks(vec![step("only", &[])], vec![lock("shared", None)]);
    for _ in 0..=MAX_RECOVERIES {
        story.happens(Happening::Claimed);
    }
    assert_eq!(story.plan.reason, Some(Reason::Poison));

    assert_eq!(story.told(Action::Revert), None);
    assert!(story.plan.waits_for_locks());
    assert_eq!(story.states(), "only pending");
    story.happens(Happening::LocksGranted);

    assert_eq!(story.states(), "only running");
    story.succeeds("only");
    story.is_undone("only");
    assert_eq!(story.end(), REVERTED);
}

/// `first` is done and the body of `second` was dropped; the revert runs it once more.
fn finishing(attempts: u32) -> Story {
    let second = GraphStep {
        attempts,
        ..step("second", &[0])
    };
    let mut story = Story::of(vec![step("first", &[]), second]);
    story.succeeds("first");
    story.told(Action::Cancel);
    story.happens(Happening::Dropped { step: 1 });
    story.told(Action::Revert);
    assert_eq!(story.states(), "first success, second running");
    story
}

#[test]
fn what_a_revert_runs_once_more_and_cannot_bring_to_an_end_is_not_taken_for_undone() {
    let mut story = finishing(1);

    story.fails("second");

    assert_eq!(story.end(), UNDOING_STUCK);
    assert_eq!(story.states(), "first success, second error");
    let task = engine::explain::Task::of(&story.plan, &[], &[], Timestamp(9));
    assert!(
        task.headline.ends_with("step second failed once: it broke"),
        "{}",
        task.headline
    );
    let mut again = Story {
        plan: story.plan.clone(),
        now: story.now,
    };
    assert_eq!(again.told(Action::Resume), None);
    assert_eq!(again.states(), "first success, second running");
    again.succeeds("second");
    again.is_undone("second");
    again.is_undone("first");
    assert_eq!(again.end(), REVERTED);
    let refused = story.skipped("second", Some(json("output"))).unwrap();
    assert!(refused.contains("skip it without one"), "{refused}");
    assert_eq!(story.skipped("second", None), None);
    assert_eq!(story.states(), "first compensating, second skipped");
    story.is_undone("first");
    assert_eq!(story.end(), REVERTED);
    let task = engine::explain::Task::of(&story.plan, &[], &[], Timestamp(9));
    assert!(
        task.headline
            .ends_with("step second could not be undone and was left as it is"),
        "{}",
        task.headline
    );
}

#[test]
fn what_a_revert_runs_once_more_has_all_its_attempts() {
    let mut story = finishing(3);
    let fails_for_now = |story: &mut Story| {
        story.happens(Happening::Failed {
            step: 1,
            error: Failure::new("test", "busy", true),
            retry_at: Timestamp(50),
        });
    };

    fails_for_now(&mut story);
    assert!(story.plan.steps[1].is_retrying());
    assert_eq!(story.plan.state, PlanState::Running);
    story.happens(Happening::Woken { step: 1 });
    story.succeeds("second");
    story.is_undone("second");
    story.is_undone("first");

    assert_eq!(story.end(), REVERTED);
}

#[test]
fn a_step_that_just_fails_while_its_plan_is_reverted_left_nothing() {
    let mut story = Story::of(vec![step("first", &[]), step("second", &[0])]);
    story.succeeds("first");
    story.told(Action::Revert);

    story.fails("second");
    assert_eq!(story.states(), "first compensating, second error");
    story.is_undone("first");

    assert_eq!(story.end(), REVERTED);
}

#[test]
fn a_step_that_hangs_is_dropped_when_its_revert_is_aborted_and_a_person_says_what_of_it_is_there() {
    let mut story = Story::of(vec![step("first", &[]), step("second", &[0])]);
    story.succeeds("first");
    story.told(Action::Revert);

    assert_eq!(story.told(Action::Abort), None);
    assert!(story.plan.aborting);
    story.happens(Happening::Dropped { step: 1 });

    assert_eq!(story.end(), UNDOING_STUCK);
    let refused = story.told(Action::Abort).unwrap();
    assert!(refused.contains("nothing of it is under way"), "{refused}");
    assert_eq!(story.skipped("second", None), None);
    story.is_undone("first");
    assert_eq!(story.end(), REVERTED);
}

#[test]
fn undoing_that_hangs_is_dropped_when_its_revert_is_aborted() {
    let mut story = Story::of(vec![step("first", &[]), step("second", &[0])]);
    story.succeeds("first");
    story.told(Action::Revert);
    story.fails("second");

    assert_eq!(story.told(Action::Abort), None);
    story.happens(Happening::Dropped { step: 0 });

    assert_eq!(story.end(), UNDOING_STUCK);
    assert_eq!(story.states(), "first compensation_error, second error");
    assert_eq!(story.told(Action::Resume), None);
    assert!(!story.plan.aborting);
    story.is_undone("first");
    assert_eq!(story.end(), REVERTED);
}

#[test]
fn an_abort_of_a_revert_outlasts_the_owner_that_read_it() {
    let mut story = Story::of(vec![step("first", &[]), step("second", &[0])]);
    story.succeeds("first");
    story.told(Action::Revert);
    story.told(Action::Abort);

    story.happens(Happening::Claimed);

    assert_eq!(story.end(), UNDOING_STUCK);
}

#[test]
fn of_a_plan_that_kills_its_node_the_suspect_step_can_be_skipped() {
    let mut forward = Story::of(diamond());
    forward.succeeds("first");
    forward.succeeds("right");
    let mut backward = Story::of(vec![step("only", &[]), step("last", &[0])]);
    backward.succeeds("only");
    backward.told(Action::Revert);
    backward.fails("last");
    for story in [&mut forward, &mut backward] {
        for _ in 0..=MAX_RECOVERIES {
            story.happens(Happening::Claimed);
        }
        assert_eq!(story.plan.reason, Some(Reason::Poison));
    }
    let wrong = forward.skipped("last", None).unwrap();

    assert_eq!(forward.skipped("left", None), None);
    assert_eq!(backward.skipped("only", None), None);

    assert!(wrong.contains("that is pending"), "{wrong}");
    assert_eq!(
        forward.states(),
        "first success, left skipped, right success, last skipped"
    );
    assert_eq!(backward.end(), REVERTED);
    assert_eq!(backward.states(), "only compensation_error, last error");
}

#[test]
fn a_plan_that_asks_for_one_lock_again_lets_go_of_all_and_asks_for_all_in_their_order() {
    let locks = vec![lock("early", Some(0)), lock("late", None)];
    let mut story = Story::with_locks(vec![step("first", &[]), step("second", &[0])], locks);
    story.succeeds("first");
    story.told(Action::Revert);
    let before = story.plan.clone();

    let failed = Happening::Failed {
        step: 1,
        error: Failure::new("test", "it broke", false),
        retry_at: Timestamp(0),
    };
    let decision = story.happens(failed);
    let append = Append::new(&before, &decision, NodeId(Uuid::nil()), 1).unwrap();

    assert!(story.plan.waits_for_locks());
    assert_eq!(append.let_go, ["late"]);
    let asked: Vec<&str> = append.asked_for.iter().map(|it| &*it.resource).collect();
    assert_eq!(asked, ["early", "late"]);
    story.happens(Happening::LocksGranted);
    assert_eq!(story.plan.steps[0].state, StepState::Compensating);
}
