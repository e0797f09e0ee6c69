//! How a node ends and begins: what it lets end, what it leaves to the next, and what it keeps while it reads.

use engine::plan::Plan;
use engine::prove::Faulty;
use engine::state::{PlanState, StepState};
use engine::store::Store;
use std::time::Duration;

use super::places::house::*;

#[tokio::test(start_paused = true)]
async fn a_node_that_drains_begins_no_step_and_the_next_start_does() {
    let house = House::with_places(1);
    let node = house.node().await;
    let relay = submit(&node, Relay).await;
    tokio::time::sleep(Duration::from_millis(500)).await;

    node.drain(Duration::from_secs(30)).await;
    let left = Plan::fold(relay, &house.store.load(relay).await.unwrap());
    let begun = house.yard.begun();
    let node = house.node().await;
    end(&node, &[relay]).await;
    let ended = node.plan(relay).await.unwrap();

    assert_eq!(begun, ["sprint"]);
    assert_eq!(left.steps[0].state, StepState::Success);
    assert_eq!(left.steps[1].state, StepState::Pending);
    assert_eq!(left.state, PlanState::Running);
    assert_eq!(house.yard.begun(), ["sprint", "hand_over"]);
    assert_eq!(ended.recoveries, 0);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_reads_its_plans_longer_than_its_lease_lasts_keeps_them() {
    let house = House::with_places(200);
    let node = house.node().await;
    let mut plans = Vec::new();
    for n in 0..200 {
        plans.push(submit(&node, work(&n.to_string())).await);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    node.kill().await;

    let slow = Faulty::slow(house.store.clone(), Duration::from_secs(2));
    let node = house.node_on(slow).await;
    for plan in &plans {
        let ended = node.wait(*plan, FOR_EVER).await.unwrap();
        assert_eq!(ended.epoch, 1, "it was taken over once");
    }
    assert_eq!(house.yard.begun().len(), 400, "cut off once by the kill");
}
