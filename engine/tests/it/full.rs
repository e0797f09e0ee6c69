//! A store without space.

use super::push::{Outside, Push, Wrong, workflows};
use engine::clock::{Clock, Timestamp};
use engine::journal::{NodeId, PlanId, PlanResult};
use engine::node::{Node, NodeOptions};
use engine::prove::Faulty;
use engine::state::PlanState;
use engine::store::memory::Memory;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const FOR_EVER: Duration = Duration::from_hours(1);

async fn node(store: Faulty<Memory>, outside: Arc<Outside>) -> Node<Outside, Faulty<Memory>> {
    Node::start(
        NodeOptions::new(NodeId(Uuid::from_u128(1)), "node"),
        store,
        outside,
        workflows(),
        Clock::of_runtime(Timestamp(1_700_000_000_000)),
        None,
    )
    .await
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_node_starts_without_space_shows_its_plans_and_goes_on_with_them_once_there_is_some() {
    let (memory, outside) = (Memory::default(), Arc::<Outside>::default());
    outside.make_wrong("copy", Wrong::Hangs);
    let before = node(Faulty::sound(memory.clone()), outside.clone()).await;
    let id: PlanId = before
        .submit(&Push::of("busybox", "latest"), None)
        .await
        .unwrap();
    before.wait(id, Duration::from_secs(1)).await.unwrap();
    before.kill().await;
    outside.mend();

    let store = Faulty::full(memory);
    let after = node(store.clone(), outside).await;
    let shown = after.wait(id, Duration::from_mins(1)).await.unwrap();
    store.free();
    let ended = after.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(shown.state, PlanState::Running);
    assert_eq!(ended.result, PlanResult::Success);
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_plans_nobody_else_can_take_keeps_them_however_long_there_is_no_space() {
    let mut told = Vec::new();
    for exclusive in [true, false] {
        let (memory, outside) = (Memory::default(), Arc::<Outside>::default());
        outside.make_wrong("copy", Wrong::Hangs);
        let store = if exclusive {
            Faulty::exclusive(memory)
        } else {
            Faulty::sound(memory)
        };
        let node = node(store.clone(), outside.clone()).await;
        let push = Push::of("busybox", "latest");
        let id = node.submit(&push, None).await.unwrap();
        node.wait(id, Duration::from_secs(1)).await.unwrap();

        store.fill();
        // Less than an attempt may take.
        node.wait(id, Duration::from_secs(30)).await.unwrap();
        store.free();
        let after = node.wait(id, Duration::from_secs(20)).await.unwrap();

        told.push((after.epoch, outside.count("copy")));
    }

    assert_eq!(told, [(0, 1), (1, 2)]);
}
