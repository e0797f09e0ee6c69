//! Commits whose outcome nobody knows.

use super::push::{Outside, Push, workflows};
use engine::check::check;
use engine::clock::{Clock, Timestamp};
use engine::journal::{NodeId, PlanId, PlanResult, Row};
use engine::node::{Node, NodeOptions};
use engine::prove::{Faulty, Moment};
use engine::store::Store;
use engine::store::memory::Memory;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const FOR_EVER: Duration = Duration::from_hours(1);
/// Submit, six ends of steps before the last, a ticket, and the last one.
const WRITES: usize = 9;

struct Ended {
    result: PlanResult,
    rows: Vec<Row>,
    outside: Arc<Outside>,
}

/// Runs a push on a store that does not know what became of write number `at`, after the submit.
async fn push(at: usize, moment: Moment) -> Ended {
    let (store, outside) = (Memory::default(), Arc::<Outside>::default());
    let node = Node::start(
        NodeOptions::new(NodeId(Uuid::from_u128(1)), "node"),
        Faulty::doubting(store.clone(), at, moment),
        outside.clone(),
        workflows(),
        Clock::of_runtime(Timestamp(1_700_000_000_000)),
        None,
    )
    .await
    .unwrap();

    let id: PlanId = node
        .submit(&Push::of("busybox", "latest"), None)
        .await
        .unwrap();
    let plan = node.wait(id, FOR_EVER).await.unwrap();

    let rows = store.load(id).await.unwrap();
    assert_eq!(check(id, &rows), Vec::<String>::new());
    Ended {
        result: plan.result,
        rows,
        outside,
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_of_unknown_outcome_that_is_there_counts_and_nothing_runs_twice() {
    for at in 1..WRITES {
        let ended = push(at, Moment::After).await;

        assert_eq!(ended.result, PlanResult::Success, "at write {at}");
        assert_eq!(ended.rows.len(), WRITES, "at write {at}");
        for step in [
            "authorize",
            "forward",
            "copy",
            "ensure_product",
            "distribute",
        ] {
            assert_eq!(ended.outside.count(step), 1, "{step} at write {at}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_of_unknown_outcome_that_is_not_there_is_written_once_more() {
    for at in 1..WRITES {
        let ended = push(at, Moment::Before).await;

        assert_eq!(ended.result, PlanResult::Success, "at write {at}");
        let kept = ended.outside.count("forward");
        assert_eq!(
            kept, 1,
            "what a step did outside is recorded, at write {at}"
        );
    }
}
