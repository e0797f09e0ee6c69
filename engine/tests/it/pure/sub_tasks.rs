//! What a sub-task may do without its parent, and what its parent makes of one that could not be submitted.

use super::story::{Story, step, with};
use engine::clock::Timestamp;
use engine::decide::{Happening, names_of_possible};
use engine::journal::{Action, ENGINE, Message, Parent, PlanId, PlanResult, Rescue, Until};
use engine::state::PlanState;
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
