//! Plans that are reverted while their work goes on elsewhere, or while another one has their locks.

use super::shapes::{chain::Chain, locked::Locked};
use super::yard::{Fresh, Sample, Yard};
use engine::journal::{Action, Message, NodeId, PlanId, PlanResult};
use engine::node::{Node, NodeOptions};
use engine::plan::Plan;
use engine::prove::laws::World;
use engine::state::{PlanState, StepState};
use engine::store::memory::Memory;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const FOR_EVER: Duration = Duration::from_hours(1);
const A_WHILE: Duration = Duration::from_mins(5);

async fn node<W: Sample>(world: &Fresh<W>) -> Node<Yard, Memory> {
    let options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "node");
    let (store, yard) = (world.store(), world.services());
    Node::start(
        options,
        store,
        yard,
        Fresh::<W>::workflows(),
        world.clock(),
        None,
    )
    .await
    .unwrap()
}

async fn tell(node: &Node<Yard, Memory>, plan: PlanId, action: Action) -> Arc<Plan> {
    let message = Message {
        action,
        by: "ann".into(),
        reason: None,
    };
    node.act(plan, message).await.unwrap()
}

/// A chain whose second step waits for the yard to open.
async fn suspended() -> (Fresh<Chain>, Node<Yard, Memory>, PlanId) {
    let world = Fresh::<Chain>::fresh().await;
    world.services().close(true);
    let node = node(&world).await;
    let id = world.submit(&node).await;
    let plan = node.wait(id, A_WHILE).await.unwrap();
    assert_eq!(plan.step("two").unwrap().state, StepState::Suspended);
    (world, node, id)
}

#[tokio::test(start_paused = true)]
async fn a_revert_waits_for_the_end_of_work_elsewhere_and_undoes_that_too() {
    let (world, node, id) = suspended().await;

    tell(&node, id, Action::Revert).await;
    let waiting = node.wait(id, A_WHILE).await.unwrap();
    world.services().close(false);
    let ended = node.wait(id, FOR_EVER).await.unwrap();

    assert!(waiting.reverting && waiting.state == PlanState::Running);
    assert_eq!(waiting.step("two").unwrap().state, StepState::Suspended);
    assert_eq!(ended.result, PlanResult::Reverted);
    assert_eq!(ended.step("two").unwrap().state, StepState::Compensated);
    assert_eq!(ended.step("three").unwrap().state, StepState::Cancelled);
    assert_eq!(world.picture().await, "{} {}");
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_waiting_for_work_elsewhere_with_its_ticket_before_it_reverts() {
    let (world, first, id) = suspended().await;
    let before = tell(&first, id, Action::Revert).await;
    first.kill().await;

    world.services().close(false);
    let heir = node(&world).await;
    let ended = heir.wait(id, FOR_EVER).await.unwrap();

    assert!(before.step("two").unwrap().ticket.is_some());
    assert_eq!(ended.result, PlanResult::Reverted);
    assert_eq!(ended.step("two").unwrap().attempts(), 1);
    assert_eq!(world.picture().await, "{} {}");
}

#[tokio::test(start_paused = true)]
async fn work_elsewhere_that_a_cancel_left_alone_comes_to_its_end_before_that_is_undone() {
    let (world, node, id) = suspended().await;

    tell(&node, id, Action::Cancel).await;
    let cancelled = node.wait(id, FOR_EVER).await.unwrap();
    world.services().close(false);
    tell(&node, id, Action::Revert).await;
    let ended = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(cancelled.result, PlanResult::Cancelled);
    assert_eq!(cancelled.step("two").unwrap().state, StepState::Cancelled);
    assert_eq!(ended.result, PlanResult::Reverted);
    assert_eq!(ended.step("two").unwrap().state, StepState::Compensated);
    assert_eq!(world.picture().await, "{} {}");
}

#[tokio::test(start_paused = true)]
async fn a_revert_asks_again_for_locks_that_had_ended_and_waits_behind_who_has_them() {
    let world = Fresh::<Locked>::fresh().await;
    let node = node(&world).await;
    let first = world.submit(&node).await;
    node.wait(first, FOR_EVER).await.unwrap();
    world.services().close(true);
    let second = world.submit(&node).await;
    node.wait(second, A_WHILE).await.unwrap();

    tell(&node, first, Action::Revert).await;
    let waiting = node.wait(first, A_WHILE).await.unwrap();
    let task = node.task(first).await.unwrap();
    tell(&node, second, Action::Cancel).await;
    let ended = node.wait(first, FOR_EVER).await.unwrap();

    assert!(waiting.waits_for_locks(), "{waiting:?}");
    assert_eq!(waiting.step("leave").unwrap().state, StepState::Success);
    assert_eq!(task.waiting_for[0].task, Some(second), "{}", task.headline);
    assert_eq!(ended.result, PlanResult::Reverted);
}
