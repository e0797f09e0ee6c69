//! A step that kills its node, among innocent ones: it alone is found to be poison.

use engine::clock::{Clock, Timestamp};
use engine::explain::WaitingKind;
use engine::journal::{Action, Json, Message, NodeId, PlanId, PlanResult, Reason};
use engine::node::{Node, NodeOptions, Workflows};
use engine::schedule::{Missed, Put, Schedule, ScheduleId};
use engine::state::{PlanState, StepState};
use engine::step::{
    Begun, ContextOf, Declared, Policy, Polled, PollingStep, Services, Step, StepError,
};
use engine::store::memory::{Memory, MemoryTx};
use engine::store::{Store, StoreError};
use engine::workflow::{Steps, Workflow};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
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
    /// Tickets that were given.
    seen: AtomicU32,
    /// How often each was asked after, with an answer.
    asked: Mutex<HashMap<u32, u32>>,
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

/// Work elsewhere that is asked after.
#[derive(Clone, Serialize, Deserialize)]
struct Watch {
    guilty: bool,
    /// It is done after so many questions.
    questions: u32,
}

impl Workflow for Watch {
    const NAME: &'static str = "watch";
    const VERSION: u32 = 1;
    type Services = Machine;

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
    type Workflow = Watch;
    type Needs = ();
    type Output = ();
}

impl PollingStep for Look {
    type Ticket = u32;

    async fn start(
        &self,
        cx: &ContextOf<Self>,
        _: &Watch,
        (): (),
    ) -> Result<Begun<(), u32>, StepError> {
        Ok(Begun::Ticket(
            cx.services.seen.fetch_add(1, Ordering::Relaxed),
        ))
    }

    async fn poll(
        &self,
        cx: &ContextOf<Self>,
        input: &Watch,
        ticket: &u32,
    ) -> Result<Polled<()>, StepError> {
        if input.guilty && !cx.services.mended.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            cx.services.falls_over.notify_one();
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut asked = cx.services.asked.lock().unwrap();
        let asked = asked.entry(*ticket).or_default();
        *asked += 1;
        if *asked >= input.questions {
            return Ok(Polled::Done(()));
        }
        Ok(Polled::Wait(Duration::from_mins(2)))
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
        let knows = Workflows::default()
            .register::<Turn>()
            .unwrap()
            .register::<Watch>()
            .unwrap();
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

async fn watch(node: &Node<Machine, Memory>, guilty: bool, questions: u32) -> PlanId {
    node.submit(&Watch { guilty, questions }, None)
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_kills_its_node_is_poison_and_those_that_wait_elsewhere_are_not() {
    let house = House::new();
    let node = house.node().await;
    let mut innocent = Vec::new();
    for _ in 0..INNOCENT / 2 {
        innocent.push(watch(&node, false, 1).await);
        innocent.push(watch(&node, false, 20).await);
    }
    let guilty = watch(&node, true, 1).await;
    for _ in 0..INNOCENT / 2 {
        innocent.push(watch(&node, false, 1).await);
        innocent.push(watch(&node, false, 20).await);
    }
    let mut all = innocent.clone();
    all.push(guilty);

    let (node, falls) = house.until_settled(node, &all).await;

    let found = node.plan(guilty).await.unwrap();
    assert_eq!(
        (found.state, found.reason),
        (PlanState::Paused, Some(Reason::Poison))
    );
    assert_eq!(found.steps[0].state, StepState::Suspended);
    assert!(found.is_suspect(0));
    for plan in &innocent {
        let ended = node.plan(*plan).await.unwrap();
        assert_eq!(ended.result, PlanResult::Success);
        assert!(ended.epoch <= 3, "it was taken up {} times", ended.epoch);
    }
    assert_eq!(falls, 4);

    house.machine.mended.store(true, Ordering::Relaxed);
    let resume = Message {
        action: Action::Resume,
        by: "operator".into(),
        reason: None,
    };
    node.act(guilty, resume).await.unwrap();
    let ended = node.wait(guilty, FOR_EVER).await.unwrap();
    assert_eq!(ended.result, PlanResult::Success);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_whose_run_kills_the_node_is_found_with_its_first_run_and_fired_no_more() {
    let house = House::new();
    let start = house.clock.now();
    let schedule = Schedule {
        id: ScheduleId::default(),
        name: "each minute".into(),
        workflow: "turn".into(),
        input: Json::of(&Turn { guilty: true }).unwrap(),
        cron: "* * * * *".into(),
        time_zone: "UTC".into(),
        missed: Missed::Once,
        end_at: None,
        max_runs: None,
        enabled: true,
        built_in: false,
        actor: None,
        created_at: start,
        handled_until: start,
        runs: 0,
        last_nominal: None,
        last_plan: None,
        revision: 0,
    };
    let put = house.store.transact::<Put, StoreError>(Box::new(move |tx| {
        Box::pin(Memory::put_schedule_in(tx, schedule))
    }));
    put.await.unwrap().unwrap();

    let mut node = house.node().await;
    let mut falls = 0;
    let half_an_hour = house.clock.sleep_until(start + Duration::from_mins(30));
    tokio::pin!(half_an_hour);
    loop {
        tokio::select! {
            () = &mut half_an_hour => break,
            () = house.machine.falls_over.notified() => {}
        }
        falls += 1;
        node.kill().await;
        // So slowly that it is due again meanwhile.
        tokio::time::sleep(Duration::from_secs(40)).await;
        node = house.node().await;
    }
    let schedule = house.store.schedules().await.unwrap().remove(0);
    let last = node.plan(schedule.last_plan.unwrap()).await.unwrap();
    house.machine.mended.store(true, Ordering::Relaxed);
    let cancel = Message {
        action: Action::Cancel,
        by: "operator".into(),
        reason: None,
    };
    node.act(last.id, cancel).await.unwrap();
    tokio::time::sleep(Duration::from_mins(3)).await;
    let after = house.store.schedules().await.unwrap().remove(0);

    assert_eq!(last.reason, Some(Reason::Poison));
    assert_eq!((schedule.runs, falls), (1, 4));
    assert!(schedule.handled_until > start + Duration::from_mins(28));
    assert_eq!(
        after.runs,
        schedule.runs + 3,
        "once it is answered it goes on"
    );
}
