//! A step that kills its node, among innocent ones: it alone is found to be poison.

use engine::clock::{Clock, Timestamp};
use engine::explain::WaitingKind;
use engine::journal::{Action, Message, NodeId, PlanId, PlanResult, Reason};
use engine::node::{Node, NodeOptions, Workflows};
use engine::state::{PlanState, StepState};
use engine::step::{ContextOf, Declared, Policy, Services, Step, StepError};
use engine::store::memory::{Memory, MemoryTx};
use engine::workflow::{Steps, Workflow};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

const FOR_EVER: Duration = Duration::from_hours(1);
const INNOCENT: usize = 20;

#[derive(Default)]
struct Machine {
    /// The guilty step kills its node now.
    falls_over: Notify,
    mended: AtomicBool,
}

impl Services for Machine {
    type Tx = MemoryTx;
}

#[derive(Clone, Serialize, Deserialize)]
struct Turn {
    guilty: bool,
}

impl Workflow for Turn {
    const NAME: &'static str = "turn";
    const VERSION: u32 = 1;
    type Services = Machine;

    fn steps() -> Steps<Self> {
        Steps::first(Crank)
    }

    fn action(&self) -> String {
        "Turn".into()
    }
}

struct Crank;

impl Declared for Crank {
    const NAME: &'static str = "crank";
    const POLICY: Policy = Policy::idempotent().timeout(Duration::from_mins(10));
    type Workflow = Turn;
    type Needs = ();
    type Output = ();
}

impl Step for Crank {
    async fn run(&self, cx: &ContextOf<Self>, input: &Turn, (): ()) -> Result<(), StepError> {
        if input.guilty && !cx.services.mended.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            cx.services.falls_over.notify_one();
            std::future::pending::<()>().await;
        }
        // Long enough to be cut off by whoever kills the node beside it.
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(())
    }
}

struct House {
    store: Memory,
    machine: Arc<Machine>,
    clock: Clock,
}

impl House {
    fn new() -> Self {
        Self {
            store: Memory::default(),
            machine: Arc::default(),
            clock: Clock::of_runtime(Timestamp(1_700_000_000_000)),
        }
    }

    async fn node(&self) -> Node<Machine, Memory> {
        let options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "one");
        let knows = Workflows::default().register::<Turn>().unwrap();
        let (store, machine) = (self.store.clone(), self.machine.clone());
        Node::start(options, store, machine, knows, self.clock, None)
            .await
            .unwrap()
    }

    /// Starts the node anew each time that it falls over, until everything has settled.
    async fn until_settled(
        &self,
        mut node: Node<Machine, Memory>,
        plans: &[PlanId],
    ) -> (Node<Machine, Memory>, usize) {
        let mut falls = 0;
        loop {
            let all = async {
                for plan in plans {
                    node.wait(*plan, FOR_EVER).await.unwrap();
                }
            };
            tokio::select! {
                () = all => return (node, falls),
                () = self.machine.falls_over.notified() => {}
            }
            falls += 1;
            assert!(falls < 30, "it falls over and over");
            node.kill().await;
            node = self.node().await;
        }
    }
}

async fn submit(node: &Node<Machine, Memory>, guilty: bool) -> PlanId {
    node.submit(&Turn { guilty }, None).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn only_the_plan_that_kills_its_node_is_poison_and_the_others_end_well() {
    let house = House::new();
    let node = house.node().await;
    let mut innocent = Vec::new();
    for _ in 0..INNOCENT / 2 {
        innocent.push(submit(&node, false).await);
    }
    let guilty = submit(&node, true).await;
    for _ in INNOCENT / 2..INNOCENT {
        innocent.push(submit(&node, false).await);
    }
    let mut all = innocent.clone();
    all.push(guilty);

    let (node, falls) = house.until_settled(node, &all).await;

    let found = node.plan(guilty).await.unwrap();
    assert_eq!(
        (found.state, found.reason),
        (PlanState::Paused, Some(Reason::Poison))
    );
    for plan in &innocent {
        let ended = node.plan(*plan).await.unwrap();
        assert_eq!(ended.result, PlanResult::Success);
        assert!(ended.epoch <= 2, "it was taken up {} times", ended.epoch);
    }
    assert_eq!(
        falls, 4,
        "the guilty one was begun once, and taken up three times"
    );
}

#[tokio::test(start_paused = true)]
async fn who_is_held_back_says_so_and_a_clean_stop_lets_go_of_the_brake() {
    let house = House::new();
    let mut node = house.node().await;
    let guilty = submit(&node, true).await;
    let innocent = submit(&node, false).await;
    for _ in 0..2 {
        house.machine.falls_over.notified().await;
        node.kill().await;
        node = house.node().await;
    }

    let held_back = node.task(innocent).await.unwrap();
    house.machine.falls_over.notified().await;
    house.machine.mended.store(true, Ordering::Relaxed);
    node.kill().await;
    let node = house.node().await;
    let (node, _) = house.until_settled(node, &[guilty, innocent]).await;
    node.drain(Duration::from_secs(1)).await;
    let node = house.node().await;
    let id = submit(&node, false).await;
    node.kill().await;
    let node = house.node().await;
    let at_once = node.plan(id).await.unwrap();

    assert_eq!(held_back.waiting_for[0].kind, WaitingKind::Node);
    let text = &held_back.waiting_for[0].text;
    assert!(text.contains("2 times in a row"), "{text}");
    assert!(
        held_back.headline.contains("waits for its node"),
        "{}",
        held_back.headline
    );
    assert_eq!(at_once.steps[0].state, StepState::Running);
}

#[tokio::test(start_paused = true)]
async fn who_is_held_back_can_be_cancelled() {
    let house = House::new();
    let mut node = house.node().await;
    let guilty = submit(&node, true).await;
    let innocent = submit(&node, false).await;
    for _ in 0..2 {
        house.machine.falls_over.notified().await;
        node.kill().await;
        node = house.node().await;
    }

    let message = Message {
        action: Action::Cancel,
        by: "operator".into(),
        reason: None,
    };
    let cancelling = node.act(innocent, message);
    let fallen = async {
        house.machine.falls_over.notified().await;
    };
    let (asked, ()) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(1), cancelling),
        fallen
    );
    drop(asked);
    house.machine.mended.store(true, Ordering::Relaxed);
    node.kill().await;
    let node = house.node().await;
    let (node, _) = house.until_settled(node, &[guilty, innocent]).await;

    let ended = node.plan(innocent).await.unwrap();
    assert_eq!(ended.result, PlanResult::Cancelled);
}
