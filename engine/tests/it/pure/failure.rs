//! What becomes of a plan whose steps fail: rescue, skip, revert, hold, and steps of which nobody knows whether they happened.

use super::generate::json;
use super::story::{REVERTED, Story, diamond, step, with};
use engine::clock::Timestamp;
use engine::decide::Happening;
use engine::journal::{Action, Failure, GraphStep, Json, PlanResult, Reason, Rescue};
use engine::state::{PlanState, StepState};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn the_other_branches_run_to_their_end_before_the_rescue_decides() {
    let mut story = Story::of(with(diamond(), "left", |step| step.rescue = Rescue::Fail));
    story.succeeds("first");

    story.fails("left");
    assert_eq!(story.plan.state, PlanState::Running);
    story.succeeds("right");

    assert_eq!(story.end(), (PlanState::Stopped, PlanResult::Error, None));
    assert_eq!(
        story.states(),
        "first success, left error, right success, last cancelled"
    );
}

#[test]
fn of_several_failures_a_pause_wins_then_a_revert_then_an_end_then_a_skip() {
    use Rescue::{Fail, Pause, Revert, Skip};
    let both_fail = |left: Rescue, right: Rescue| {
        let graph = with(diamond(), "left", |step| step.rescue = left);
        let mut story = Story::of(with(graph, "right", |step| step.rescue = right));
        story.succeeds("first");
        story.fails("left");
        story.fails("right");
        story
    };

    for other in [Pause, Revert, Fail, Skip] {
        assert_eq!(both_fail(Pause, other).plan.state, PlanState::Paused);
        assert_eq!(both_fail(other, Pause).plan.state, PlanState::Paused);
    }
    for other in [Revert, Fail, Skip] {
        assert!(both_fail(other, Revert).plan.reverting);
    }
    assert_eq!(both_fail(Skip, Fail).plan.result, PlanResult::Error);
    let skipped = both_fail(Skip, Skip);
    assert_eq!(
        skipped.states(),
        "first success, left skipped, right skipped, last skipped"
    );
    assert_eq!(skipped.plan.result, PlanResult::Warning);
}

#[test]
fn who_only_comes_after_a_skipped_step_runs_and_who_needs_its_output_is_skipped() {
    let graph = with(diamond(), "left", |step| step.rescue = Rescue::Skip);
    let mut needing = Story::of(graph.clone());
    let mut waiting = Story::of(with(graph, "last", |step| step.needs = Some(vec![2])));
    for story in [&mut needing, &mut waiting] {
        story.succeeds("first");
        story.succeeds("right");
        story.fails("left");
    }

    assert_eq!(
        needing.states(),
        "first success, left skipped, right success, last skipped"
    );
    assert_eq!(
        waiting.states(),
        "first success, left skipped, right success, last running"
    );
    let why = needing.plan.steps[3].warning.clone().unwrap();
    assert_eq!(
        why,
        "step last was skipped: it needs the output of step left, which was skipped without one"
    );
    waiting.succeeds("last");
    assert_eq!(waiting.plan.result, PlanResult::Warning);
}

#[test]
fn an_operator_skips_a_failed_step_with_an_output_for_those_that_need_one() {
    let mut story = Story::of(diamond());
    story.succeeds("first");
    story.succeeds("right");
    story.fails("left");
    assert_eq!(story.plan.state, PlanState::Paused);

    let wrong = story.skipped("right", None).unwrap();
    let refused = story.skipped("left", Some(json("substitute")));

    assert!(
        wrong.contains("step `right`, because that is success"),
        "{wrong}"
    );
    assert_eq!(refused, None);
    assert_eq!(
        story.states(),
        "first success, left skipped, right success, last running"
    );
    assert_eq!(story.plan.output_of("left"), Some(&json("substitute")));
    story.succeeds("last");
    let warning = story.plan.steps[1].warning.clone();
    assert_eq!(warning.as_deref(), Some("step left was skipped by ann"));
    assert_eq!(story.plan.result, PlanResult::Warning);
}

#[test]
fn with_two_failed_steps_the_plan_goes_on_when_the_second_is_skipped_too() {
    let mut story = Story::of(diamond());
    story.succeeds("first");
    story.fails("left");
    story.fails("right");

    story.skipped("left", Some(json("one")));
    assert_eq!(story.plan.state, PlanState::Paused);
    story.skipped("right", Some(json("other")));

    assert_eq!(
        story.states(),
        "first success, left skipped, right skipped, last running"
    );
}

#[test]
fn a_revert_lets_what_is_under_way_end_and_undoes_in_reverse_order() {
    let mut story = Story::of(diamond());
    story.succeeds("first");
    story.succeeds("left");

    assert_eq!(story.told(Action::Revert), None);
    assert_eq!(
        story.states(),
        "first success, left success, right running, last cancelled"
    );
    story.succeeds("right");
    assert_eq!(
        story.states(),
        "first success, left compensating, right compensating, last cancelled"
    );
    story.is_undone("left");
    assert_eq!(story.plan.steps[0].state, StepState::Success);
    story.is_undone("right");
    assert_eq!(story.plan.steps[0].state, StepState::Compensating);
    story.is_undone("first");

    assert_eq!(story.end(), REVERTED);
    let again = story.told(Action::Revert).unwrap();
    assert!(again.contains("because it was reverted already"), "{again}");
    assert!(again.ends_with("it can: nothing"), "{again}");
}

#[test]
fn what_leaves_nothing_behind_is_not_undone_and_a_failed_step_never() {
    let graph = with(diamond(), "right", |step| step.undoable = false);
    let mut story = Story::of(graph);
    story.succeeds("first");
    story.fails("left");
    story.succeeds("right");

    story.told(Action::Revert);

    assert_eq!(
        story.states(),
        "first compensating, left error, right success, last cancelled"
    );
    story.is_undone("first");
    assert_eq!(story.end(), REVERTED);
}

#[test]
fn where_one_cannot_be_undone_the_others_are_and_the_plan_waits_for_a_person() {
    let mut story = Story::of(diamond());
    story.succeeds("first");
    story.succeeds("left");
    story.succeeds("right");
    story.told(Action::Revert);
    story.fails("last");

    story.cannot_be_undone("left");
    assert_eq!(story.plan.state, PlanState::Running);
    story.is_undone("right");

    assert_eq!(
        story.end(),
        (
            PlanState::Paused,
            PlanResult::Error,
            Some(Reason::CompensationError)
        )
    );
    assert_eq!(
        story.states(),
        "first success, left compensation_error, right compensated, last error"
    );
    assert!(
        story
            .told(Action::Cancel)
            .unwrap()
            .contains("being reverted")
    );
}

#[test]
fn undoing_is_tried_again_on_resume_or_left_when_it_is_skipped() {
    let stuck = || {
        let mut story = Story::of(vec![step("first", &[]), step("second", &[0])]);
        story.succeeds("first");
        story.told(Action::Revert);
        story.succeeds("second");
        story.cannot_be_undone("second");
        story
    };

    let mut again = stuck();
    assert_eq!(again.told(Action::Resume), None);
    assert_eq!(again.states(), "first success, second compensating");
    again.is_undone("second");
    again.is_undone("first");
    let mut left = stuck();
    assert_eq!(left.skipped("second", None), None);
    assert_eq!(
        left.states(),
        "first compensating, second compensation_error"
    );
    left.is_undone("first");

    assert_eq!(again.end(), REVERTED);
    assert_eq!(left.end(), REVERTED);
    let task = engine::explain::Task::of(&left.plan, &[], &[], Timestamp(9));
    assert_eq!(
        task.headline,
        "Any was reverted, but step second could not be undone and was left as it is"
    );
}

#[test]
fn a_failure_that_can_pass_is_tried_again_also_when_undoing() {
    let graph = vec![GraphStep {
        attempts: 2,
        ..step("only", &[])
    }];
    let mut story = Story::revertible_for(graph, Some(Duration::from_secs(1)));
    story.succeeds("only");
    assert_eq!(story.plan.result, PlanResult::Success);
    story.told(Action::Revert);
    let fails = |story: &mut Story| {
        story.happens(Happening::UndoFailed {
            step: 0,
            error: Failure::new("test", "busy", true),
            retry_at: Timestamp(50),
        });
    };

    fails(&mut story);
    assert!(story.plan.steps[0].is_retrying_undo());
    story.happens(Happening::Woken { step: 0 });
    assert!(story.plan.steps[0].is_being_undone());
    fails(&mut story);

    assert_eq!(story.plan.reason, Some(Reason::CompensationError));
    assert_eq!(story.plan.steps[0].undo_attempts(), 2);
}

#[test]
fn a_finished_plan_can_be_reverted_as_long_as_its_workflow_says() {
    let second = Duration::from_secs(1);
    let graph = || vec![step("only", &[])];
    let mut in_time = Story::revertible_for(graph(), Some(second));
    let mut too_late = Story::revertible_for(graph(), Some(second));
    let mut never = Story::of(graph());
    for story in [&mut in_time, &mut too_late, &mut never] {
        story.succeeds("only");
    }
    too_late.now += 10_000_000;

    assert_eq!(in_time.told(Action::Revert), None);
    in_time.is_undone("only");

    assert_eq!(in_time.end(), REVERTED);
    let refused = too_late.told(Action::Revert).unwrap();
    assert!(
        refused.contains("the time for that was over at"),
        "{refused}"
    );
    let refused = never.told(Action::Revert).unwrap();
    assert!(
        refused.contains("allows no revert after its success"),
        "{refused}"
    );
}

#[test]
fn a_failed_plan_goes_on_after_its_end_with_what_has_not_run() {
    let graph = with(diamond(), "left", |step| step.rescue = Rescue::Fail);
    let mut story = Story::of(graph);
    story.succeeds("first");
    story.succeeds("right");
    story.fails("left");
    assert_eq!(story.plan.state, PlanState::Stopped);

    assert_eq!(story.told(Action::Resume), None);

    assert_eq!(
        story.states(),
        "first success, left running, right success, last pending"
    );
    story.succeeds("left");
    story.succeeds("last");
    assert_eq!(story.end(), (PlanState::Stopped, PlanResult::Success, None));
}

#[test]
fn a_held_plan_begins_nothing_until_it_is_released() {
    let mut story = Story::of(diamond());

    assert_eq!(story.told(Action::Hold), None);
    story.succeeds("first");
    let twice = story.told(Action::Hold).unwrap();
    let task = engine::explain::Task::of(&story.plan, &[], &[], Timestamp(9));

    assert_eq!(
        story.states(),
        "first success, left pending, right pending, last pending"
    );
    assert!(twice.contains("because ann holds it already"), "{twice}");
    let steps = task.steps.unwrap();
    assert_eq!((&*steps[1].state, &*steps[3].state), ("held", "pending"));
    assert_eq!(
        task.waiting_for[0].text,
        "its release: ann holds it (because)"
    );
    assert_eq!(story.told(Action::Release), None);
    assert_eq!(
        story.states(),
        "first success, left running, right running, last pending"
    );
}

#[test]
fn nobody_but_a_person_knows_whether_an_interrupted_once_step_happened() {
    let interrupted = || {
        let mut story = Story::of(with(diamond(), "left", |step| step.once = true));
        story.succeeds("first");
        story.happens(Happening::Claimed);
        assert_eq!(
            story.states(),
            "first success, left interrupted, right running, last pending"
        );
        story.succeeds("right");
        assert_eq!(
            story.end(),
            (
                PlanState::Paused,
                PlanResult::Error,
                Some(Reason::Interrupted)
            )
        );
        story
    };
    let resolve = |output: Option<Json>| Action::Resolve {
        step: "left".into(),
        output,
    };

    let refused = interrupted().told(Action::Resume).unwrap();
    assert!(refused.contains("resolve or skip that first"), "{refused}");
    let mut happened = interrupted();
    assert_eq!(happened.told(resolve(Some(json("it did")))), None);
    let mut did_not = interrupted();
    assert_eq!(did_not.told(resolve(None)), None);
    let mut reverted = interrupted();
    assert_eq!(reverted.told(Action::Revert), None);

    assert_eq!(
        happened.states(),
        "first success, left success, right success, last running"
    );
    assert_eq!(happened.plan.output_of("left"), Some(&json("it did")));
    assert_eq!(
        did_not.states(),
        "first success, left running, right success, last pending"
    );
    assert_eq!(
        reverted.end().2,
        Some(Reason::Interrupted),
        "nothing is undone before its end is known: {}",
        reverted.states()
    );
    assert_eq!(reverted.told(resolve(Some(json("it did")))), None);
    assert_eq!(
        reverted.states(),
        "first success, left compensating, right compensating, last cancelled"
    );
}

#[test]
fn an_aborted_plan_ends_and_what_was_done_once_stays_unknown() {
    let graph = with(diamond(), "left", |step| step.once = true);
    let mut story = Story::of(graph);
    story.succeeds("first");

    assert_eq!(story.told(Action::Cancel), None);
    assert_eq!(story.told(Action::Abort), None);
    story.happens(Happening::Dropped { step: 1 });
    story.happens(Happening::Dropped { step: 2 });

    assert_eq!(
        story.states(),
        "first success, left interrupted, right cancelled, last cancelled"
    );
    assert_eq!(story.plan.result, PlanResult::Cancelled);
}

#[test]
fn a_journal_from_before_steps_could_be_undone_is_read_as_it_was_meant() {
    let old = r#"{"name":"copy","after":[0],"attempts":5,"rescue":"pause"}"#;

    let step: GraphStep = serde_json::from_str(old).unwrap();

    assert_eq!((step.once, step.undoable), (false, false));
    assert_eq!(step.needed(), [0]);
    assert_eq!(serde_json::to_string(&step).unwrap(), old);
    let graph: Arc<[GraphStep]> = Arc::from([GraphStep::new("first", vec![]), step]);
    assert_eq!(graph.len(), 2);
}

#[test]
fn a_hold_outlasts_a_pause_and_only_a_release_ends_it() {
    let mut story = Story::of(diamond());
    story.succeeds("first");
    story.told(Action::Hold);
    story.fails("left");
    story.fails("right");
    assert_eq!(story.plan.state, PlanState::Paused);

    assert_eq!(story.told(Action::Resume), None);
    assert_eq!(
        story.states(),
        "first success, left pending, right pending, last pending"
    );
    assert_eq!(story.told(Action::Release), None);

    assert_eq!(
        story.states(),
        "first success, left running, right running, last pending"
    );
}
