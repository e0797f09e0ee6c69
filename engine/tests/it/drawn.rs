//! Plans as pictures: what a node did with a plan is what its picture shows.

use super::push::{Outside, Push, Wrong, workflows};
use engine::clock::{Clock, Timestamp};
use engine::draw;
use engine::journal::{NodeId, PlanId};
use engine::node::{Node, NodeOptions};
use engine::store::memory::Memory;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const FOR_EVER: Duration = Duration::from_hours(1);

/// A push with something wrong, once it is paused or has ended.
async fn push(outside: Arc<Outside>) -> (Node<Outside, Memory>, PlanId) {
    let options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "node 1");
    let clock = Clock::of_runtime(Timestamp(1_700_000_000_000));
    let node = Node::start(
        options,
        Memory::default(),
        outside,
        workflows(),
        clock,
        None,
    )
    .await
    .unwrap();
    let input = Push::of("busybox", "latest");
    let plan = node.submit(&input, Some("alice".into())).await.unwrap();
    node.wait(plan, FOR_EVER).await.unwrap();
    (node, plan)
}

#[tokio::test(start_paused = true)]
async fn a_paused_plan_shows_every_failed_attempt_and_what_has_not_begun() {
    let outside = Arc::<Outside>::default();
    outside.make_wrong("copy", Wrong::Times(7));
    let (node, plan) = push(outside).await;

    let picture = draw::task(&node.task(plan).await.unwrap());

    let svg = draw::svg(&picture);
    let xml = roxmltree::Document::parse(&svg).unwrap();
    let node_of = |step: &str| {
        let is_node = |it: &roxmltree::Node| {
            let class = it.attribute("class").unwrap_or_default();
            let name = it.descendants().filter_map(|it| it.text());
            class.starts_with("node ") && name.collect::<Vec<_>>().contains(&step)
        };
        xml.descendants().find(is_node).unwrap()
    };
    let copy = node_of("copy");
    let crosses = copy
        .descendants()
        .filter(|it| it.attribute("class") == Some("try"));
    assert_eq!(copy.attribute("class"), Some("node is-error"));
    assert_eq!(crosses.count(), 5);
    assert!(
        svg.contains("copy: error, 5 attempts; copy is busy"),
        "{svg}"
    );
    assert_eq!(
        node_of("distribute").attribute("class"),
        Some("node is-pending")
    );
    let lines = draw::terminal(&picture);
    assert!(lines.contains("paused, 3 of 7 steps done"), "{lines}");
    assert!(draw::mermaid(&picture).contains("copy -.-> ensure_repository"));
}

#[tokio::test(start_paused = true)]
async fn the_picture_of_a_plan_that_has_ended_never_changes() {
    let (node, plan) = push(Arc::default()).await;
    let before = draw::svg(&draw::task(&node.task(plan).await.unwrap()));

    tokio::time::advance(Duration::from_hours(24)).await;
    let after = draw::svg(&draw::task(&node.task(plan).await.unwrap()));

    assert_eq!(before, after);
    assert!(after.contains("success, 7 of 7 steps done"), "{after}");
}

#[tokio::test]
async fn a_node_tells_which_workflows_it_knows() {
    let declared = workflows().declared();

    let names: Vec<_> = declared.iter().map(|it| (it.name, it.version)).collect();
    assert_eq!(names, [("push", 1)]);
    let steps = draw::terminal(&draw::workflow("push", &declared[0].steps));
    assert!(steps.contains("ensure_product"), "{steps}");
}
