//! What a sub-task may do without its parent, and what its parent makes of one that could not be submitted.

use super::generate::json;
use super::story::{Story, lock, step, with};
use engine::clock::Timestamp;
use engine::decide::{Happening, MAX_RECOVERIES, names_of_possible};
use engine::journal::{
    Action, ChildState, ENGINE, Message, Parent, PlanId, PlanResult, Reason, RefusedChild, Rescue,
    Until, WantedChild,
};
use engine::lock::LockState;
use engine::state::PlanState;
use engine::step::all_done;
use uuid::Uuid;

const PARENT: PlanId = PlanId(Uuid::from_u128(8));

/// A sub-task that has ended with an error.
fn failed(until: Until) -> Story {
    let graph = vec![step("first", &[]), step("second", &[0])];
    let graph = with(graph, "second", |step| step.rescue = Rescue::Fail);
    let mut story = Story::child_of(
        Parent {
            plan: PARENT,
            until,
        },
        graph,
    );
    story.succeeds("first");
    story.fails("second");
    assert_eq!(story.plan.result, PlanResult::Error);
    story
}

#[test]
fn a_sub_task_that_has_ended_inside_its_parents_locks_goes_on_through_its_parent_only() {
    let mut story = failed(Until::Ended);
    let words = format!("through its parent, task {PARENT}");

    for action in [Action::Resume, Action::Revert] {
        let refused = story.told(action).unwrap();
        assert!(refused.contains(&words), "{refused}");
    }
    let possible = names_of_possible(&story.plan, Timestamp(story.now));
    assert_eq!(possible, Vec::<String>::new());
    assert_eq!(story.plan.state, PlanState::Stopped);
    let message = Message {
        action: Action::Resume,
        by: ENGINE.into(),
        reason: Some(format!("its parent, task {PARENT}, wants it")),
    };
    let told = story.happens(Happening::Mail { n: 2, message });

    assert_eq!(told.refused, None);
    assert_eq!(story.states(), "first success, second running");
}

#[test]
fn a_sub_task_that_may_go_on_alone_has_its_own_locks_and_does() {
    let mut story = failed(Until::EndedOrStuck);

    assert_eq!(story.told(Action::Resume), None);

    assert_eq!(story.states(), "first success, second running");
}

#[test]
fn a_sub_task_that_could_not_be_submitted_counts_as_failed_once_the_others_have_ended() {
    let wanted = |key: &str| WantedChild {
        key: key.into(),
        workflow: "child".into(),
        input: json(key),
    };
    let mut story = Story::of(vec![step("only", &[])]);
    let spawns = |story: &mut Story| {
        story.happens(Happening::Spawns {
            step: 0,
            children: vec![wanted("one"), wanted("other")],
            until: Until::Ended,
            at_once: 2,
        });
    };
    spawns(&mut story);
    let one = PlanId(Uuid::from_u128(9));
    story.happens(Happening::Submitted {
        step: 0,
        children: vec![("one".into(), one)],
        refused: vec![RefusedChild {
            key: "other".into(),
            why: "its input is not read any more".into(),
        }],
    });
    assert_eq!(story.states(), "only suspended");
    assert!(story.plan.steps[0].waits_for_children());

    story.told(Action::ChildMoved {
        child: one,
        state: ChildState::Ended(PlanResult::Success),
    });
    let family = story.plan.steps[0].family.clone().unwrap();
    assert!(family.is_over());
    let error = all_done(&family.children).unwrap_err();
    assert_eq!(
        error.to_string(),
        "1 of 2 sub-tasks did not succeed: other (its input is not read any more)"
    );
    story.fails("only");
    story.told(Action::Resume);
    spawns(&mut story);

    let family = story.plan.steps[0].family.as_ref().unwrap();
    let states: Vec<ChildState> = family.children.iter().map(|child| child.state).collect();
    assert_eq!(
        states,
        [ChildState::Ended(PlanResult::Success), ChildState::Wanted],
        "it is submitted once more"
    );
}

/// The step wants these sub-tasks, one at a time, and the first of them is submitted.
fn submits_one(story: &mut Story, step: &str, keys: &[&str], until: Until) -> PlanId {
    let step = story.step(step);
    let wanted = keys.iter().map(|key| WantedChild {
        key: (*key).into(),
        workflow: "child".into(),
        input: json(key),
    });
    story.happens(Happening::Spawns {
        step,
        children: wanted.collect(),
        until,
        at_once: 1,
    });
    let one = PlanId(Uuid::from_u128(9));
    story.happens(Happening::Submitted {
        step,
        children: vec![(keys[0].into(), one)],
        refused: vec![],
    });
    one
}

#[test]
fn a_poisoned_parent_keeps_the_locks_that_its_open_sub_tasks_rely_on() {
    let poisoned = |until: Until, child: ChildState| {
        let graph = vec![step("waits", &[]), step("kills", &[])];
        let graph = with(graph, "kills", |step| step.attempts = 9);
        let mut story = Story::with_locks(graph, vec![lock("quay", None)]);
        let one = submits_one(&mut story, "waits", &["one"], until);
        story.told(Action::ChildMoved {
            child: one,
            state: child,
        });
        for _ in 0..=MAX_RECOVERIES {
            story.happens(Happening::Claimed);
        }
        assert_eq!(story.plan.reason, Some(Reason::Poison));
        story
    };
    let poisoned_with = |until, child| poisoned(until, child).plan.locks[0].state;

    let inside = poisoned_with(Until::Ended, ChildState::Open);
    assert_eq!(inside, LockState::Held);
    let over = ChildState::Ended(PlanResult::Success);
    assert_eq!(poisoned_with(Until::Ended, over), LockState::GivenUp);
    let mut story = poisoned(Until::Ended, ChildState::Open);
    let told = story.told(Action::ChildMoved {
        child: PlanId(Uuid::from_u128(9)),
        state: over,
    });
    assert_eq!(
        (told, story.plan.locks[0].state),
        (None, LockState::GivenUp)
    );
    let with_its_own = poisoned_with(Until::EndedOrStuck, ChildState::Open);
    assert_eq!(with_its_own, LockState::GivenUp);
}

#[test]
fn a_revert_does_not_wait_for_a_sub_task_that_is_stuck_and_goes_on_alone() {
    let reverted_with = |until: Until| {
        let mut story = Story::of(vec![step("first", &[]), step("spawns", &[0])]);
        story.succeeds("first");
        let one = submits_one(&mut story, "spawns", &["one", "other"], until);
        // The other one will never be submitted, and this one may wait for a lock of its parent.
        assert_eq!(story.told(Action::Revert), None);
        assert_eq!(story.states(), "first success, spawns suspended");
        story.told(Action::ChildMoved {
            child: one,
            state: ChildState::Stuck,
        });
        story.states()
    };

    assert_eq!(
        reverted_with(Until::EndedOrStuck),
        "first compensating, spawns cancelled"
    );
    assert_eq!(
        reverted_with(Until::Ended),
        "first success, spawns suspended",
        "it is at work inside the locks of its parent"
    );
}
