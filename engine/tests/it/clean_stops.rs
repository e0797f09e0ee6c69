//! A node that signs off lets its plans go: what it cut off has not ended it, however often, and is no poison. A node that dies
//! has not signed off, and is counted.

use engine::clock::{Clock, Timestamp};
use engine::decide::MAX_RECOVERIES;
use engine::journal::{Entry, NodeId, PlanId, PlanResult, Reason};
use engine::node::{Node, NodeOptions, Workflows};
use engine::plan::Plan;
use engine::prove::Faulty;
use engine::state::{PlanState, StepState};
use engine::step::{
    Begun, ContextOf, Declared, Policy, Polled, PollingStep, Services, Step, StepError,
};
use engine::store::Store;
use engine::store::memory::{Memory, MemoryTx};
use engine::workflow::{Steps, Workflow};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use uuid::Uuid;

const FOR_EVER: Duration = Duration::from_hours(1);
/// More often than a plan may be taken over from a node that died, and that within the hour in which a poll is suspect.
const STOPS: u32 = 10;

/// What both workflows wait for.
struct Gate {
    opens: Semaphore,
    /// Bodies and polls that have begun.
    begun: Semaphore,
}

impl Services for Gate {
    type Tx = MemoryTx;
}

impl Gate {
    async fn stand(&self) {
        self.begun.add_permits(1);
        drop(self.opens.acquire().await);
    }
}

/// Its body runs until the gate opens.
#[derive(Serialize, Deserialize)]
struct Walk {}

impl Workflow for Walk {
    const NAME: &'static str = "walk";
    const VERSION: u32 = 1;
    type Services = Gate;

    fn steps() -> Steps<Self> {
        Steps::first(Through)
    }

    fn action(&self) -> String {
        "Walk".into()
    }
}

struct Through;

impl Declared for Through {
    const NAME: &'static str = "through";
    const POLICY: Policy = Policy::idempotent().timeout(FOR_EVER);
    type Workflow = Walk;
    type Needs = ();
    type Output = ();
}

impl Step for Through {
    async fn run(&self, cx: &ContextOf<Self>, _: &Walk, (): ()) -> Result<(), StepError> {
        cx.services.stand().await;
        Ok(())
    }
}

/// Its ticket is given at once, and each poll of it takes until the gate opens.
#[derive(Serialize, Deserialize)]
struct Watch {}

impl Workflow for Watch {
    const NAME: &'static str = "watch";
    const VERSION: u32 = 1;
    type Services = Gate;

    fn steps() -> Steps<Self> {
        Steps::first(Look)
    }

    fn action(&self) -> String {
        "Watch".into()
    }
}

struct Look;

impl Declared for Look {
    const NAME: &'static str = "look";
    const POLICY: Policy = Policy::idempotent().timeout(FOR_EVER);
    type Workflow = Watch;
    type Needs = ();
    type Output = ();
}

impl PollingStep for Look {
    type Ticket = ();

    async fn start(
        &self,
        _: &ContextOf<Self>,
        _: &Watch,
        (): (),
    ) -> Result<Begun<(), ()>, StepError> {
        Ok(Begun::Ticket(()))
    }

    async fn poll(
        &self,
        cx: &ContextOf<Self>,
        _: &Watch,
        (): &(),
    ) -> Result<Polled<()>, StepError> {
        cx.services.stand().await;
        Ok(Polled::Done(()))
    }
}

type GateNode = Node<Gate, Faulty<Memory>>;

struct House {
    store: Faulty<Memory>,
    gate: Arc<Gate>,
    clock: Clock,
}

impl House {
    fn new() -> Self {
        let gate = Gate {
            opens: Semaphore::new(0),
            begun: Semaphore::new(0),
        };
        Self {
            store: Faulty::sound(Memory::default()),
            gate: Arc::new(gate),
            clock: Clock::of_runtime(Timestamp(1_700_000_000_000)),
        }
    }

    async fn node(&self, id: u128) -> GateNode {
        let options = NodeOptions::new(NodeId(Uuid::from_u128(id)), format!("node {id}"));
        let knows = Workflows::default()
            .register::<Walk>()
            .unwrap()
            .register::<Watch>()
            .unwrap();
        let (store, gate) = (self.store.clone(), self.gate.clone());
        Node::start(options, store, gate, knows, self.clock, None)
            .await
            .unwrap()
    }

    /// Until so many bodies or polls have begun since it was last asked. What is paused never begins.
    async fn begun(&self, count: u32) {
        let begun = self.gate.begun.acquire_many(count);
        let begun = tokio::time::timeout(Duration::from_mins(5), begun).await;
        let begun = begun.unwrap_or_else(|_| panic!("{count} did not begin"));
        begun.unwrap().forget();
    }

    fn open(&self) {
        self.gate.opens.add_permits(1_000);
    }

    async fn plan(&self, plan: PlanId) -> Plan {
        Plan::fold(plan, &self.store.load(plan).await.unwrap())
    }

    /// How often the plan was taken over from a node that was gone, and from one that had signed off.
    async fn owners(&self, plan: PlanId) -> (usize, usize) {
        let rows = self.store.load(plan).await.unwrap();
        let count = |entry: Entry| {
            let entries = rows.iter().flat_map(|row| &row.entries);
            entries.filter(|it| **it == entry).count()
        };
        (count(Entry::Claimed), count(Entry::HandedOver))
    }
}

async fn both(node: &GateNode) -> [PlanId; 2] {
    [
        node.submit(&Walk {}, None).await.unwrap(),
        node.submit(&Watch {}, None).await.unwrap(),
    ]
}

#[tokio::test(start_paused = true)]
async fn what_a_node_cuts_off_that_stops_cleanly_again_and_again_is_no_poison() {
    let house = House::new();
    let mut node = house.node(1).await;
    let plans = both(&node).await;
    house.begun(2).await;
    for _ in 0..STOPS {
        node.drain(Duration::from_secs(1)).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        node = house.node(1).await;
        house.begun(2).await;
    }

    for plan in plans {
        let at_work = node.plan(plan).await.unwrap();
        assert_eq!((at_work.state, at_work.recoveries), (PlanState::Running, 0));
        assert_eq!(at_work.epoch, STOPS);
        assert_eq!(house.owners(plan).await, (0, STOPS as usize));
    }
    house.open();
    for plan in plans {
        let ended = node.wait(plan, FOR_EVER).await.unwrap();
        assert_eq!(ended.result, PlanResult::Success);
    }
    println!("2 plans were cut off by {STOPS} clean stops each, and ended well");
}

#[tokio::test(start_paused = true)]
async fn deaths_between_clean_stops_are_counted_and_the_fourth_is_poison() {
    let house = House::new();
    let mut node = house.node(1).await;
    let plans = both(&node).await;
    house.begun(2).await;
    let mut deaths = 0;
    while deaths <= MAX_RECOVERIES {
        for plan in plans {
            let at_work = node.plan(plan).await.unwrap();
            assert_eq!(
                (at_work.state, at_work.recoveries),
                (PlanState::Running, deaths)
            );
        }
        node.kill().await;
        deaths += 1;
        node = house.node(1).await;
        if deaths > MAX_RECOVERIES {
            break;
        }
        house.begun(2).await;
        node.drain(Duration::from_secs(1)).await;
        node = house.node(1).await;
        house.begun(2).await;
    }

    for plan in plans {
        let paused = node.wait(plan, FOR_EVER).await.unwrap();
        assert_eq!(
            (paused.state, paused.reason),
            (PlanState::Paused, Some(Reason::Poison))
        );
        assert_eq!(house.owners(plan).await, (4, 3));
    }
    println!("2 plans were poison after {deaths} deaths and 3 clean stops between them");
}

#[tokio::test(start_paused = true)]
async fn who_had_died_and_was_not_taken_up_before_a_clean_stop_is_counted_all_the_same() {
    let house = House::new();
    let node = house.node(1).await;
    let plan = node.submit(&Walk {}, None).await.unwrap();
    house.begun(1).await;
    node.kill().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    // A node that does not know its workflow takes nothing up, and signs off.
    let options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "node 1");
    let (store, gate) = (house.store.clone(), house.gate.clone());
    let empty = Node::start(
        options,
        store,
        gate,
        Workflows::default(),
        house.clock,
        None,
    );
    empty.await.unwrap().drain(Duration::from_secs(1)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;

    let node = house.node(1).await;
    house.begun(1).await;

    assert_eq!(node.plan(plan).await.unwrap().recoveries, 1);
    assert_eq!(house.owners(plan).await, (1, 0));
}

#[tokio::test(start_paused = true)]
async fn another_node_counts_the_plans_of_one_that_died_and_not_of_one_that_signed_off() {
    let house = House::new();
    let mut owner = house.node(1).await;
    let plans = both(&owner).await;
    house.begun(2).await;
    let mut expected = (0, 0);
    for (turn, dies) in (2..).zip([false, true, false, true]) {
        let heir = house.node(turn).await;
        if dies {
            owner.kill().await;
            expected.0 += 1;
        } else {
            owner.drain(Duration::from_secs(1)).await;
            expected.1 += 1;
        }
        house.begun(2).await;
        for plan in plans {
            let at_work = house.plan(plan).await;
            assert_eq!(at_work.node, Some(heir.id()));
            assert_eq!(house.owners(plan).await, expected);
            assert_eq!(at_work.recoveries as usize, expected.0);
        }
        owner = heir;
    }
    assert_eq!(expected, (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_loses_its_lease_after_a_clean_start_has_not_let_go() {
    let house = House::new();
    let node = house.node(1).await;
    let plan = node.submit(&Walk {}, None).await.unwrap();
    house.begun(1).await;
    node.drain(Duration::from_secs(1)).await;
    let node = house.node(1).await;
    house.begun(1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let second = node.submit(&Walk {}, None).await.unwrap();
    house.begun(1).await;

    house.store.fill();
    tokio::time::sleep(Duration::from_secs(30)).await;
    house.store.free();
    house.begun(2).await;

    assert_eq!(house.owners(second).await, (1, 0), "it was never let go");
    let at_work = house.plan(second).await;
    assert_eq!(at_work.recoveries, 1);
    assert_eq!(at_work.steps[0].state, StepState::Running);
    let (_, handed_over) = house.owners(plan).await;
    assert!(handed_over >= 1, "at the clean start");
}

/// As a process that is stopped and continued, or a guest whose machine is paused: all its timers come at once, and the first
/// beat arrives.
#[tokio::test(start_paused = true)]
async fn a_node_that_stood_still_for_longer_than_its_lease_takes_up_again_what_it_drove() {
    let house = House::new();
    let node = house.node(1).await;
    let plans = both(&node).await;
    house.begun(2).await;

    tokio::time::advance(Duration::from_mins(1)).await;
    house.begun(2).await;
    house.open();

    for plan in plans {
        let ended = node.wait(plan, FOR_EVER).await.unwrap();
        assert_eq!(ended.result, PlanResult::Success);
    }
}
