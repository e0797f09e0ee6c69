//! The rehearsal keeps the laws of all workflows, and its check finds what it is there to find.

use crate::house::{FOR_EVER, House, HouseNode, of_a_house};
use crate::keeps::keeps;
use engine::journal::{Action, Json, Message, PlanId, PlanResult, Reason};
use engine::node::Node;
use engine::plan::Plan;
use engine::prove::laws::World;
use engine::state::{PlanState, StepState};
use engine::store::Store;
use std::fmt::Write as _;
use std::sync::Arc;
use storage::Tx;
use storage::catalog::rehearsals::{self, Mark};
use storage::journal::records;
use workflows::Services;
use workflows::rehearsal::{EVENT, Fault, Rehearsal, check};

/// A short one.
fn short() -> Rehearsal {
    Rehearsal {
        parts: 2,
        work_ms: 1,
        elsewhere_ms: 1,
        event_ms: 1,
        pause_ms: 1,
        ..Rehearsal::default()
    }
}

impl House {
    /// What lies there of a plan.
    pub(crate) async fn marks(&self, plan: PlanId) -> Vec<Mark> {
        let mut tx = self.services.database.read().await.unwrap();
        rehearsals::marks(&mut tx, plan).await.unwrap()
    }

    /// What lies there of all plans, without their ids. How often a step did it counts where it must be once.
    async fn all_marks(&self) -> String {
        let mut tx = self.services.database.read().await.unwrap();
        let mut picture = String::new();
        for record in records(&mut tx, None, 1000).await.unwrap() {
            for mark in rehearsals::marks(&mut tx, record.plan).await.unwrap() {
                let runs = if ["begin", "finish", "only_once"].contains(&mark.step.as_str()) {
                    mark.runs
                } else {
                    1
                };
                writeln!(picture, "{} x{runs}", mark.step).unwrap();
            }
        }
        picture
    }
}

struct Stage {
    house: House,
}

impl World for Stage {
    of_a_house!();

    async fn fresh() -> Self {
        let house = House::new().await;
        Self { house }
    }

    async fn submit<St: Store<Tx = Tx>>(&self, node: &Node<Services, St>) -> PlanId {
        node.submit(&short(), Some("alice".into())).await.unwrap()
    }

    async fn picture(&self) -> String {
        self.house.all_marks().await
    }

    /// Sub-tasks are tasks of their own.
    async fn undone(&self) -> String {
        let all = self.house.all_marks().await;
        let lines = all.lines().filter(|line| !line.starts_with("play"));
        lines.collect::<Vec<_>>().join("\n")
    }

    async fn looked_up(&self, step: &str) -> Option<Json> {
        let happened = self.house.all_marks().await.contains(step);
        let receipt = serde_json::json!({"receipt": "looked up"});
        happened.then(|| Json::of(&receipt).unwrap())
    }
}

keeps! { rehearsal: Stage;
    a_rehearsal_that_fails_at_any_step_is_mended_and_ends_the_same:
        fail_at_each_step does at least 8 60 0 7 7;
    a_rehearsal_that_fails_after_the_work_of_any_step_is_mended_and_ends_the_same:
        fail_after_each_step does at least 15 100 0 12 6;
    a_rehearsal_that_is_timed_out_at_any_step_is_mended_and_ends_the_same:
        time_out_at_each_step does at least 15 100 0 35 7;
    a_rehearsal_whose_steps_run_twice_ends_the_same:
        run_each_step_twice does at least 9 80 0 14 0;
    a_rehearsal_that_crashes_at_any_append_ends_the_same:
        crash_before_and_after_each_append does at least 20 150 0 15 0;
    a_rehearsal_that_crashes_at_any_commit_of_several_steps_ends_the_same:
        crash_before_and_after_each_commit_of_several_steps does at least 16 80 0 12 0;
    a_rehearsal_whose_workflow_is_held_at_any_step_ends_the_same:
        hold_the_workflow_at_each_step does at least 8 70 0 0 12;
    a_rehearsal_goes_on_without_any_of_its_steps:
        skip_each_step does at least 15 90 30 14 20;
    a_rehearsal_that_is_held_at_any_step_ends_the_same:
        hold_at_each_step does at least 8 70 0 0 12;
    a_rehearsal_that_is_cancelled_at_any_step_ends_and_can_be_reverted:
        cancel_at_each_step does at least 8 30 12 0 14;
    a_rehearsal_that_is_aborted_at_any_step_ends_and_can_be_reverted:
        abort_at_each_step does at least 8 30 12 0 14;
    a_rehearsal_that_is_reverted_at_any_step_leaves_nothing:
        revert_at_each_step does at least 15 70 25 7 14;
    a_finished_rehearsal_is_reverted_within_its_hour:
        revert_when_finished does at least 3 27 4 0 1;
    a_rehearsal_whose_steps_are_undone_twice_leaves_nothing:
        undo_each_step_twice does at least 6 50 20 8 5;
    a_rehearsal_that_cannot_be_undone_goes_on_when_mended:
        fail_to_undo_each_step does at least 5 40 20 4 8;
    what_of_a_rehearsal_cannot_be_undone_is_left_when_that_is_accepted:
        accept_what_cannot_be_undone does at least 5 40 16 4 8;
    a_rehearsal_undoes_what_it_says:
        every_undoable_step_undoes_something does at least 5 40 16 4 8;
    a_rehearsal_that_crashes_at_any_append_of_its_revert_leaves_nothing:
        crash_before_and_after_each_append_while_reverting does at least 9 70 35 6 8;
}

async fn tell(node: &HouseNode, plan: PlanId, action: Action) -> Arc<Plan> {
    let message = Message {
        action,
        by: "ann".into(),
        reason: None,
    };
    node.act(plan, message).await.unwrap()
}

/// What is wrong with a plan and with those of its sub-tasks.
async fn wrong_with(house: &House, node: &HouseNode, plan: &Plan) -> Vec<String> {
    let mut wrong = check(plan, &house.marks(plan.id).await);
    for child in plan.children().filter_map(|child| child.plan) {
        let folded = node.plan(child).await.unwrap();
        wrong.extend(check(&folded, &house.marks(child).await));
    }
    wrong
}

#[tokio::test]
async fn a_rehearsal_takes_the_event_that_it_waits_for_and_its_sub_tasks_are_its_own() {
    let house = House::new().await;
    let node = house.node(None).await;
    let input = Rehearsal {
        event_ms: 60_000,
        event_needed: true,
        ..short()
    };
    let plan = node.submit(&input, None).await.unwrap();
    let go = Action::Event {
        name: EVENT.into(),
        payload: Json::of(&"the tide is in").unwrap(),
    };

    tell(&node, plan, go).await;
    let ended = node.wait(plan, FOR_EVER).await.unwrap();

    assert_eq!(ended.result, PlanResult::Success, "{ended:?}");
    let told = ended.output_of("wait_for_event").unwrap().text();
    assert_eq!(told, r#"{"payload":"the tide is in"}"#);
    assert_eq!(ended.children().count(), 2);
    assert_eq!(wrong_with(&house, &node, &ended).await, [""; 0]);
    node.drain(FOR_EVER).await;
}

#[tokio::test]
async fn what_a_rehearsal_shall_fail_at_fails_so_often_and_no_longer() {
    let house = House::new().await;
    let node = house.node(None).await;
    let fault = |step: &str, transient, undo| Fault {
        step: step.into(),
        attempts: 1,
        transient,
        undo,
    };
    let input = Rehearsal {
        faults: vec![
            fault("work_elsewhere", true, false),
            fault("play", true, false),
            fault("finish", false, false),
            fault("begin", false, true),
        ],
        ..short()
    };
    let plan = node.submit(&input, None).await.unwrap();

    let paused = node.wait(plan, FOR_EVER).await.unwrap();
    tell(&node, plan, Action::Resume).await;
    let ended = node.wait(plan, FOR_EVER).await.unwrap();
    let kept = wrong_with(&house, &node, &ended).await;
    tell(&node, plan, Action::Revert).await;
    let half = node.wait(plan, FOR_EVER).await.unwrap();
    tell(&node, plan, Action::Resume).await;
    let reverted = node.wait(plan, FOR_EVER).await.unwrap();

    assert_eq!(paused.step("finish").unwrap().state, StepState::Error);
    assert_eq!(ended.result, PlanResult::Success);
    assert_eq!(ended.step("work_elsewhere").unwrap().attempts(), 2);
    assert_eq!(kept, [""; 0]);
    assert_eq!(half.state, PlanState::Paused);
    assert_eq!(half.reason, Some(Reason::CompensationError));
    assert_eq!(reverted.result, PlanResult::Reverted);
    assert_eq!(wrong_with(&house, &node, &reverted).await, [""; 0]);
    assert_eq!(house.all_marks().await, "play x1\nplay x1\n");
    node.drain(FOR_EVER).await;
}

#[tokio::test]
async fn rehearsals_on_one_stage_come_one_after_the_other() {
    let house = House::new().await;
    let node = house.node(None).await;
    let input = Rehearsal {
        stage: Some("north".into()),
        event_ms: 60_000,
        ..short()
    };
    let first = node.submit(&input, None).await.unwrap();
    let second = node.submit(&input, None).await.unwrap();

    let waiting = node.plan(second).await.unwrap();
    for plan in [first, second] {
        let go = Action::Event {
            name: EVENT.into(),
            payload: Json::of(&()).unwrap(),
        };
        tell(&node, plan, go).await;
        node.wait(plan, FOR_EVER).await.unwrap();
    }

    assert!(waiting.waits_for_locks(), "{waiting:?}");
    let ended = node.plan(second).await.unwrap();
    assert_eq!(ended.result, PlanResult::Success);
    node.drain(FOR_EVER).await;
}

/// A rehearsal that has ended, and its marks.
async fn ended() -> (Arc<Plan>, Vec<Mark>) {
    let house = House::new().await;
    let node = house.node(None).await;
    let plan = node.submit(&short(), None).await.unwrap();
    let ended = node.wait(plan, FOR_EVER).await.unwrap();
    let marks = house.marks(plan).await;
    node.drain(FOR_EVER).await;
    (ended, marks)
}

#[tokio::test]
async fn a_mark_that_is_missing_too_many_or_of_nobody_is_found() {
    let (plan, marks) = ended().await;
    let with = |change: &dyn Fn(&mut Vec<Mark>)| {
        let mut marks = marks.clone();
        change(&mut marks);
        check(&plan, &marks)
    };

    let missing = with(&|marks| marks.retain(|mark| mark.step != "begin"));
    let lost = with(&|marks| marks.retain(|mark| mark.step != "work_elsewhere"));
    let twice = with(&|marks| marks.iter_mut().for_each(|mark| mark.runs = 2));
    let strange = with(&|marks| "wait_a_while".clone_into(&mut marks[0].step));

    assert_eq!(check(&plan, &marks), [""; 0]);
    assert_eq!(
        missing,
        ["step begin is success after 1 attempts and has left its mark 0 times, not 1 to 1"]
    );
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert_eq!(twice.len(), 4, "{twice:?}");
    assert_eq!(
        strange,
        [
            "there is a mark of wait_a_while, which leaves none",
            "step begin is success after 1 attempts and has left its mark 0 times, not 1 to 1"
        ]
    );
}
