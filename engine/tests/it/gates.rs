//! Backends that go down and come back, workflows and nodes that are held: plans wait without an attempt, and say at what.

mod opening;

use engine::check::check;
use engine::clock::{Clock, Timestamp};
use engine::explain::WaitingKind;
use engine::gate::{GateId, GateState};
use engine::journal::{Action, Entry, Message, NodeId, PlanId, PlanResult};
use engine::node::{Node, NodeError, NodeOptions, Probe, Workflows};
use engine::plan::Plan;
use engine::state::{PlanState, StepState};
use engine::step::{BoxFuture, Context, Declared, Policy, Services, Step, StepError, Work};
use engine::store::memory::{Memory, MemoryTx};
use engine::store::{Store, StoreError};
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

const FOR_EVER: Duration = Duration::from_hours(10);

/// A backend beyond the sea, and how it fares.
#[derive(Default)]
struct Overseas {
    down: AtomicBool,
    /// Whoever looks panics, once.
    fog: AtomicBool,
    refuses: AtomicBool,
    calls: AtomicUsize,
    at_once: AtomicUsize,
    /// How many calls were under way when each began, itself among them.
    crowds: Mutex<Vec<usize>>,
    probes: AtomicUsize,
}

impl Services for Overseas {
    type Tx = MemoryTx;
}

impl Overseas {
    async fn call(&self) -> Result<(), StepError> {
        self.calls.fetch_add(1, SeqCst);
        let crowd = self.at_once.fetch_add(1, SeqCst) + 1;
        self.crowds.lock().unwrap().push(crowd);
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.at_once.fetch_sub(1, SeqCst);
        if self.refuses.load(SeqCst) {
            return Err(StepError::permanent("it wants none of that"));
        }
        if self.down.load(SeqCst) {
            return Err(StepError::transient("no answer from overseas"));
        }
        Ok(())
    }

    fn is_down(&self, down: bool) {
        self.down.store(down, SeqCst);
    }

    fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Deliver {
    n: u32,
}

/// Another workflow, which nobody holds; its input names the gate.
#[derive(Clone, Serialize, Deserialize)]
struct Visit {
    harbour: String,
}

impl Workflow for Deliver {
    const NAME: &'static str = "deliver";
    const VERSION: u32 = 1;
    type Services = Overseas;

    fn steps() -> Steps<Self> {
        Steps::first(Pack)
            .step(Ship, after::<Pack>())
            .step(Sign, after::<Ship>())
    }

    fn action(&self) -> String {
        format!("Delivery {}", self.n)
    }

    fn revertible_for() -> Option<Duration> {
        Some(FOR_EVER)
    }
}

impl Workflow for Visit {
    const NAME: &'static str = "visit";
    const VERSION: u32 = 1;
    type Services = Overseas;

    fn steps() -> Steps<Self> {
        Steps::first(Moor)
    }

    fn action(&self) -> String {
        format!("Visit of {}", self.harbour)
    }

    fn gate(&self, step: &str) -> Option<String> {
        (step == Moor::NAME).then(|| self.harbour.clone())
    }
}

struct Pack;
struct Ship;
struct Sign;
struct Moor;

impl Declared for Pack {
    const NAME: &'static str = "pack";
    type Workflow = Deliver;
    type Needs = ();
    type Output = ();
}
impl Step for Pack {
    async fn run(&self, _: &Context<Deliver>, _: &Deliver, (): ()) -> Result<(), StepError> {
        Ok(())
    }
}

impl Declared for Ship {
    const NAME: &'static str = "ship";
    const POLICY: Policy = Policy::idempotent().gate("overseas").undoable();
    type Workflow = Deliver;
    type Needs = ();
    type Output = ();
}
impl Step for Ship {
    async fn run(&self, cx: &Context<Deliver>, _: &Deliver, (): ()) -> Result<(), StepError> {
        cx.services.call().await
    }
    async fn compensate(
        &self,
        cx: &Context<Deliver>,
        _: &Deliver,
        (): (),
    ) -> Result<(), StepError> {
        cx.services.call().await
    }
}

impl Declared for Sign {
    const NAME: &'static str = "sign";
    type Workflow = Deliver;
    type Needs = ();
    type Output = ();
}
impl Step for Sign {
    async fn run(&self, _: &Context<Deliver>, _: &Deliver, (): ()) -> Result<(), StepError> {
        Ok(())
    }
}

impl Declared for Moor {
    const NAME: &'static str = "moor";
    type Workflow = Visit;
    type Needs = ();
    type Output = ();
}
impl Step for Moor {
    async fn run(&self, _: &Context<Visit>, _: &Visit, (): ()) -> Result<(), StepError> {
        Ok(())
    }
}

/// Looks whether the backend is there.
struct Telescope;

impl Probe<Overseas> for Telescope {
    fn probe<'a>(&'a self, overseas: &'a Overseas) -> BoxFuture<'a, Result<(), StepError>> {
        assert!(!overseas.fog.swap(false, SeqCst), "the telescope fell over");
        Box::pin(async move {
            overseas.probes.fetch_add(1, SeqCst);
            if overseas.down.load(SeqCst) {
                return Err(StepError::transient("nothing to be seen"));
            }
            Ok(())
        })
    }
}

type Harbour = Node<Overseas, Memory>;

struct House {
    store: Memory,
    overseas: Arc<Overseas>,
    clock: Clock,
    probes: bool,
    held: bool,
}

impl House {
    fn new() -> Self {
        Self {
            store: Memory::default(),
            overseas: Arc::default(),
            clock: Clock::of_runtime(Timestamp(1_700_000_000_000)),
            probes: false,
            held: false,
        }
    }

    async fn node(&self, id: u128) -> Harbour {
        let mut options = NodeOptions::new(node_id(id), format!("node {id}"));
        options.held_by = self.held.then(|| "serve --hold".to_owned());
        let mut knows = Workflows::default()
            .register::<Deliver>()
            .unwrap()
            .register::<Visit>()
            .unwrap();
        if self.probes {
            knows = knows.probe("overseas", Telescope);
        }
        let (store, overseas) = (self.store.clone(), self.overseas.clone());
        Node::start(options, store, overseas, knows, self.clock, None)
            .await
            .unwrap()
    }

    async fn ends_well(&self, node: &Harbour, plans: &[PlanId]) {
        for id in plans {
            let plan = node.wait(*id, FOR_EVER).await.unwrap();
            assert_eq!(plan.result, PlanResult::Success, "{plan:?}");
            let rows = self.store.load(*id).await.unwrap();
            assert_eq!(check(*id, &rows), Vec::<String>::new());
            assert_eq!(*plan, Plan::fold(*id, &rows));
        }
    }
}

fn node_id(id: u128) -> NodeId {
    NodeId(Uuid::from_u128(id))
}

fn overseas() -> GateId {
    GateId::Backend("overseas".into())
}

fn nothing() -> Work<MemoryTx, (), StoreError> {
    Box::new(|_| Box::pin(async { Ok(()) }))
}

async fn close(node: &Harbour, gate: GateId) {
    let reason = Some("a new mast".to_owned());
    node.close_gate(gate, "ann".into(), reason, nothing())
        .await
        .unwrap();
}

async fn open(node: &Harbour, gate: GateId) {
    node.open_gate(gate, "bob".into(), None, nothing())
        .await
        .unwrap();
}

async fn deliver(node: &Harbour, count: u32) -> Vec<PlanId> {
    let mut plans = Vec::new();
    for n in 0..count {
        plans.push(node.submit(&Deliver { n }, None).await.unwrap());
    }
    plans
}

async fn reaches(node: &Harbour, plan: PlanId, is_there: impl Fn(&Plan) -> bool) -> Arc<Plan> {
    for _ in 0..100_000 {
        let now = node.plan(plan).await.unwrap();
        if is_there(&now) {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it never got there: {:?}", node.plan(plan).await.unwrap());
}

fn at_gate(plan: &Plan) -> bool {
    plan.waits_at_a_gate()
}

/// Failures that count against the allowance of a plan's step.
fn burnt(plan: &Plan) -> u32 {
    plan.step("ship").unwrap().failures
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_goes_down_closes_its_gate_and_every_plan_ends_by_itself_once_it_is_back() {
    let house = House::new();
    let node = house.node(1).await;
    house.overseas.is_down(true);

    let plans = deliver(&node, 40).await;
    tokio::time::sleep(Duration::from_mins(20)).await;

    let mut counted = 0;
    for id in &plans {
        let plan = node.plan(*id).await.unwrap();
        assert_eq!(plan.state, PlanState::Running, "{plan:?}");
        assert!(at_gate(&plan) || plan.step("ship").unwrap().state == StepState::Running);
        counted += burnt(&plan);
    }
    assert_eq!(counted, 8, "the budget, and no attempt more");
    let first = 40;
    let tries = house.overseas.calls() - first;
    assert!(tries <= 45, "{tries} attempts in twenty minutes");
    house.overseas.is_down(false);

    house.ends_well(&node, &plans).await;
    assert_eq!(node.gate(&overseas()).gate.state, GateState::Open);
    let mut spared = 0;
    for id in &plans {
        let rows = house.store.load(*id).await.unwrap();
        let entries = rows.iter().flat_map(|row| &row.entries);
        spared += entries
            .filter(|entry| matches!(entry, Entry::TurnedBack { .. }))
            .count();
    }
    assert_eq!(spared, 40 - 8 + tries, "all others were turned back");
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_opens_lets_one_step_pass_then_two_then_four() {
    let house = House::new();
    let node = house.node(1).await;
    close(&node, overseas()).await;
    let plans = deliver(&node, 64).await;
    for plan in &plans {
        reaches(&node, *plan, at_gate).await;
    }
    // By hand it opens at once; what is down then closes it again, by itself.
    house.overseas.is_down(true);
    open(&node, overseas()).await;
    reaches_state(&node, GateState::Closed).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    house.overseas.is_down(false);
    house.overseas.crowds.lock().unwrap().clear();

    house.ends_well(&node, &plans).await;

    let crowds = house.overseas.crowds.lock().unwrap().clone();
    for (until, most) in [(1, 1), (3, 2), (7, 4), (15, 8), (31, 16)] {
        let biggest = crowds[..until].iter().max().unwrap();
        assert!(
            *biggest <= most,
            "{biggest} at once among the first {until}"
        );
    }
    assert!(crowds.iter().any(|crowd| *crowd > 1), "not one by one");
}

async fn reaches_state(node: &Harbour, state: GateState) {
    for _ in 0..100_000 {
        if node.gate(&overseas()).gate.state == state {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it never got there: {:?}", node.gate(&overseas()));
}

/// Alone it would use up no budget; but before it is given up its backend is asked.
#[tokio::test(start_paused = true)]
async fn a_plan_that_fails_alone_waits_where_a_probe_finds_its_backend_down_and_needs_nobody() {
    let mut house = House::new();
    house.probes = true;
    let node = house.node(1).await;
    house.overseas.is_down(true);
    let plans = deliver(&node, 1).await;
    reaches_state(&node, GateState::Closed).await;
    let reason = node.gate(&overseas()).gate.reason.unwrap();
    assert!(
        reason.contains("the last attempt of a task failed"),
        "{reason}"
    );
    tokio::time::sleep(Duration::from_mins(10)).await;
    let waits = node.plan(plans[0]).await.unwrap();
    assert_eq!(waits.state, PlanState::Running, "it is not paused");

    house.overseas.is_down(false);

    house.ends_well(&node, &plans).await;
}

#[tokio::test(start_paused = true)]
async fn where_there_is_a_probe_no_step_is_tried_until_it_finds_the_backend_up() {
    let mut house = House::new();
    house.probes = true;
    let node = house.node(1).await;
    house.overseas.is_down(true);
    let plans = deliver(&node, 12).await;
    reaches_state(&node, GateState::Closed).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let calls = house.overseas.calls();

    tokio::time::sleep(Duration::from_mins(10)).await;

    assert_eq!(house.overseas.calls(), calls);
    let probes = house.overseas.probes.load(SeqCst);
    assert!((20..=30).contains(&probes), "{probes} probes");
    let task = node.task(plans[0]).await.unwrap();
    let waiting = &task.waiting_for[0];
    assert_eq!(waiting.kind, WaitingKind::Gate);
    assert!(waiting.until.is_some() && waiting.since.is_some());
    assert!(
        waiting
            .text
            .contains("gate overseas, which is closed since")
            && waiting.text.contains("nothing to be seen"),
        "{}",
        waiting.text
    );
    house.overseas.is_down(false);
    house.ends_well(&node, &plans).await;
}

#[tokio::test(start_paused = true)]
async fn errors_for_good_and_one_plan_alone_close_no_gate() {
    let house = House::new();
    let node = house.node(1).await;
    house.overseas.refuses.store(true, SeqCst);
    for plan in deliver(&node, 30).await {
        let plan = node.wait(plan, FOR_EVER).await.unwrap();
        assert_eq!(plan.state, PlanState::Paused);
    }
    assert_eq!(node.gate(&overseas()).gate.state, GateState::Open);

    house.overseas.refuses.store(false, SeqCst);
    house.overseas.is_down(true);
    let alone = deliver(&node, 1).await[0];
    let plan = node.wait(alone, FOR_EVER).await.unwrap();

    assert_eq!((plan.state, burnt(&plan)), (PlanState::Paused, 5));
    assert_eq!(node.gate(&overseas()).gate.state, GateState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_gate_closed_by_hand_opens_only_by_hand_and_outlives_its_node() {
    let house = House::new();
    let node = house.node(1).await;
    close(&node, overseas()).await;

    let id = deliver(&node, 1).await[0];
    reaches(&node, id, at_gate).await;
    let task = node.task(id).await.unwrap();

    assert_eq!(task.state, PlanState::Running);
    assert!(
        task.headline
            .starts_with("Delivery 0 waits for gate overseas, which ann closed at "),
        "{}",
        task.headline
    );
    assert!(task.headline.ends_with("(a new mast)"), "{}", task.headline);
    assert_eq!(task.waiting_for.len(), 1);
    assert_eq!(task.waiting_for[0].kind, WaitingKind::Gate);
    let ship = &task.steps.unwrap()[1];
    assert_eq!((&*ship.state, ship.attempts), ("held", 0));
    let again = node
        .close_gate(overseas(), "carl".into(), None, nothing())
        .await
        .unwrap_err();
    assert_eq!(
        again.to_string(),
        "a gate that is `closed` cannot be closed, because ann has closed it; it can: open"
    );

    node.kill().await;
    let next = house.node(1).await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    let plan = next.plan(id).await.unwrap();
    assert!(at_gate(&plan) && plan.step("ship").unwrap().tries.is_empty());
    assert_eq!(house.overseas.calls(), 0);

    open(&next, overseas()).await;
    house.ends_well(&next, &[id]).await;
    let refused = next
        .open_gate(overseas(), "bob".into(), None, nothing())
        .await;
    assert!(matches!(refused, Err(NodeError::Refused(_))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_closed_by_itself_is_found_closed_after_a_restart() {
    let house = House::new();
    let node = house.node(1).await;
    house.overseas.is_down(true);
    let plans = deliver(&node, 10).await;
    reaches_state(&node, GateState::Closed).await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    node.kill().await;

    let next = house.node(1).await;

    let gate = next.gate(&overseas()).gate;
    assert_ne!(gate.state, GateState::Open);
    assert!(gate.failures > 3, "{gate:?}");
    house.overseas.is_down(false);
    house.ends_well(&next, &plans).await;
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_one_node_closes_is_closed_for_the_others() {
    let house = House::new();
    let (one, two) = (house.node(1).await, house.node(2).await);
    close(&one, overseas()).await;
    tokio::time::sleep(Duration::from_secs(2)).await;

    let id = deliver(&two, 1).await[0];
    reaches(&two, id, at_gate).await;
    open(&one, overseas()).await;

    house.ends_well(&two, &[id]).await;
}

#[tokio::test(start_paused = true)]
async fn an_input_may_name_the_gate() {
    let house = House::new();
    let node = house.node(1).await;
    close(&node, GateId::Backend("bergen".into())).await;
    let visit = |harbour: &str| Visit {
        harbour: harbour.into(),
    };

    let there = node.submit(&visit("bergen"), None).await.unwrap();
    let elsewhere = node.submit(&visit("hull"), None).await.unwrap();

    let plan = node.wait(elsewhere, FOR_EVER).await.unwrap();
    assert_eq!(plan.result, PlanResult::Success);
    let plan = node.plan(there).await.unwrap();
    assert!(at_gate(&plan));
    assert_eq!(plan.state, PlanState::Pending, "no step of it began");
    let names: Vec<String> = node.gates().iter().map(|it| it.gate.id.name()).collect();
    assert_eq!(names, ["bergen", "hull", "overseas"]);
}

#[tokio::test(start_paused = true)]
async fn of_a_held_workflow_nothing_begins_until_it_is_released_and_others_go_on() {
    let house = House::new();
    let node = house.node(1).await;
    let push = || GateId::Workflow("deliver".into());
    let under_way = deliver(&node, 1).await[0];
    reaches(&node, under_way, |plan| {
        plan.step("ship").unwrap().state == StepState::Running
    })
    .await;
    close(&node, push()).await;

    let fresh = deliver(&node, 1).await[0];
    let harbour = "hull".to_owned();
    let other = node.submit(&Visit { harbour }, None).await.unwrap();
    let other = node.wait(other, FOR_EVER).await.unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;

    assert_eq!(other.result, PlanResult::Success);
    let plan = node.plan(under_way).await.unwrap();
    let state = |step: &str| plan.step(step).unwrap().state;
    assert_eq!(
        (state("ship"), state("sign")),
        (StepState::Success, StepState::Pending),
        "what ran has come to its end, and no more"
    );
    let task = node.task(fresh).await.unwrap();
    assert_eq!(task.state, PlanState::Pending);
    assert_eq!(task.waiting_for[0].kind, WaitingKind::Operator);
    assert!(
        task.headline.starts_with(
            "Delivery 0 waits for the release of workflow deliver, which ann holds since "
        ),
        "{}",
        task.headline
    );
    assert_eq!(task.steps.unwrap()[0].state, "held");
    open(&node, push()).await;
    house.ends_well(&node, &[under_way, fresh]).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_starts_held_takes_plans_over_and_begins_nothing_until_it_is_released() {
    let mut house = House::new();
    let node = house.node(1).await;
    close(&node, overseas()).await;
    let before = deliver(&node, 1).await[0];
    reaches(&node, before, at_gate).await;
    open(&node, overseas()).await;
    node.kill().await;
    house.held = true;

    let node = house.node(1).await;
    let fresh = deliver(&node, 1).await[0];
    tokio::time::sleep(Duration::from_mins(1)).await;

    for id in [before, fresh] {
        let task = node.task(id).await.unwrap();
        assert!(
            task.headline
                .contains("waits for the release of its node, which serve --hold holds since "),
            "{}",
            task.headline
        );
    }
    assert_eq!(house.overseas.calls(), 0);
    let nodes = node.nodes().await.unwrap();
    assert!(nodes[0].gate.is_closed_by_hand());
    assert_eq!((nodes[0].row.plans, nodes[0].is_silent), (2, false));
    open(&node, GateId::Node(node_id(1))).await;
    house.ends_well(&node, &[before, fresh]).await;
}

#[tokio::test(start_paused = true)]
async fn undoing_waits_at_a_gate_too_and_costs_no_attempt_there() {
    let house = House::new();
    let node = house.node(1).await;
    let id = deliver(&node, 1).await[0];
    house.ends_well(&node, &[id]).await;
    close(&node, overseas()).await;
    let revert = Message {
        action: Action::Revert,
        by: "ann".into(),
        reason: None,
    };

    node.act(id, revert).await.unwrap();
    reaches(&node, id, at_gate).await;

    let task = node.task(id).await.unwrap();
    assert!(
        task.headline
            .starts_with("Delivery 0 is being reverted and waits for gate overseas"),
        "{}",
        task.headline
    );
    let plan = node.plan(id).await.unwrap();
    assert_eq!(plan.step("ship").unwrap().undo_attempts(), 0);
    open(&node, overseas()).await;
    let plan = node.wait(id, FOR_EVER).await.unwrap();
    assert_eq!(plan.result, PlanResult::Reverted);
    let rows = house.store.load(id).await.unwrap();
    assert_eq!(check(id, &rows), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_cancelled_at_a_closed_gate_at_once() {
    let house = House::new();
    let node = house.node(1).await;
    close(&node, overseas()).await;
    let id = deliver(&node, 1).await[0];
    reaches(&node, id, at_gate).await;

    let cancel = Message {
        action: Action::Cancel,
        by: "ann".into(),
        reason: None,
    };
    let plan = node.act(id, cancel).await.unwrap();

    assert_eq!(plan.result, PlanResult::Cancelled);
    assert_eq!(node.gate(&overseas()).waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_is_asked_again() {
    let mut house = House::new();
    house.probes = true;
    let node = house.node(1).await;
    house.overseas.is_down(true);
    house.overseas.fog.store(true, SeqCst);
    let plans = deliver(&node, 12).await;
    reaches_state(&node, GateState::Closed).await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    let reason = node.gate(&overseas()).gate.reason;

    house.overseas.is_down(false);
    house.ends_well(&node, &plans).await;

    assert!(!house.overseas.fog.load(SeqCst), "it was asked: {reason:?}");
}
