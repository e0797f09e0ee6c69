//! A plan that has ended with an error goes on, unless something has come meanwhile.

use engine::clock::{Clock, Timestamp};
use engine::journal::{Action, Entry, Message, NodeId, PlanId, PlanResult, Reason, Rescue, Row};
use engine::lock::Lock;
use engine::node::{Node, NodeError, NodeOptions, Placed, Workflows};
use engine::plan::Plan;
use engine::state::PlanState;
use engine::step::{ContextOf, Declared, Policy, Services, Step, StepError};
use engine::store::memory::{Memory, MemoryTx};
use engine::store::{Append, Store, StoreError};
use engine::workflow::{Steps, Workflow};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

const FOR_EVER: Duration = Duration::from_hours(1);

/// A board on which the last sign that was painted counts.
#[derive(Default)]
struct Board {
    broken: AtomicBool,
    /// Nobody paints until this is opened.
    closed: AtomicBool,
    opened: Notify,
}

impl Services for Board {
    type Tx = MemoryTx;
}

#[derive(Clone, Serialize, Deserialize)]
struct Sign {
    text: String,
}

impl Workflow for Sign {
    const NAME: &'static str = "sign";
    const VERSION: u32 = 1;
    type Services = Board;

    fn steps() -> Steps<Self> {
        Steps::first(Paint)
    }

    fn action(&self) -> String {
        format!("Sign {}", self.text)
    }

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::exclusive("board")]
    }

    fn open_key(&self) -> Option<String> {
        Some(format!("sign {}", self.text))
    }

    async fn may_go_on(&self, tx: &mut MemoryTx, _: PlanId) -> Result<(), StepError> {
        match tx.table().get("finished") {
            None => Ok(()),
            Some(by) => Err(StepError::permanent(format!("{by} has finished the board"))),
        }
    }
}

struct Paint;

impl Declared for Paint {
    const NAME: &'static str = "paint";
    const POLICY: Policy = Policy::idempotent().attempts(1).rescue(Rescue::Fail);
    type Workflow = Sign;
    type Needs = ();
    type Output = ();
}

impl Step for Paint {
    async fn run(&self, cx: &ContextOf<Self>, _: &Sign, (): ()) -> Result<(), StepError> {
        let opened = cx.services.opened.notified();
        if cx.services.closed.load(Ordering::SeqCst) {
            opened.await;
        }
        if cx.services.broken.load(Ordering::SeqCst) {
            return Err(StepError::permanent("the brush is broken"));
        }
        Ok(())
    }
}

struct House {
    store: Memory,
    board: Arc<Board>,
    clock: Clock,
}

type BoardNode = Node<Board, Memory>;

impl House {
    fn new() -> Self {
        Self {
            store: Memory::default(),
            board: Arc::default(),
            clock: Clock::of_runtime(Timestamp(1_700_000_000_000)),
        }
    }

    async fn node(&self, id: u128) -> BoardNode {
        self.node_with(id, Workflows::default().register::<Sign>().unwrap())
            .await
    }

    async fn node_with(&self, id: u128, workflows: Workflows<Board>) -> BoardNode {
        let options = NodeOptions::new(NodeId(Uuid::from_u128(id)), "house");
        let (store, board) = (self.store.clone(), self.board.clone());
        Node::start(options, store, board, workflows, self.clock, None)
            .await
            .unwrap()
    }
}

async fn paint(node: &BoardNode, text: &str) -> Placed {
    let sign = Sign { text: text.into() };
    let offer = node.offer(&sign, None).unwrap();
    let placed = node.transact::<Placed, StoreError, _>(move |tx, desk| {
        Box::pin(async move { desk.submit(tx, offer).await })
    });
    placed.await.unwrap().unwrap()
}

async fn failed(house: &House, node: &BoardNode, text: &str) -> PlanId {
    house.board.broken.store(true, Ordering::SeqCst);
    let plan = paint(node, text).await.plan();
    let ended = node.wait(plan, FOR_EVER).await.unwrap();
    assert_eq!(ended.result, PlanResult::Error);
    house.board.broken.store(false, Ordering::SeqCst);
    plan
}

fn wants(action: Action) -> Message {
    Message {
        action,
        by: "operator".into(),
        reason: Some("because".into()),
    }
}

async fn refused(node: &BoardNode, plan: PlanId, action: Action) -> String {
    match node.act(plan, wants(action)).await {
        Err(NodeError::Refused(refused)) => refused.to_string(),
        other => panic!("it should be refused: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_plan_does_not_go_on_while_another_one_has_its_key() {
    let house = House::new();
    let node = house.node(1).await;
    let first = failed(&house, &node, "open").await;
    house.board.closed.store(true, Ordering::SeqCst);
    let second = paint(&node, "open").await.plan();

    let why = refused(&node, first, Action::Resume).await;
    house.board.closed.store(false, Ordering::SeqCst);
    house.board.opened.notify_waiters();
    let second = node.wait(second, FOR_EVER).await.unwrap();

    assert_eq!(second.result, PlanResult::Success);
    assert!(
        why.contains(&format!(
            "resume, because task {} wants the same",
            second.id
        )),
        "{why}"
    );
    let first = node.plan(first).await.unwrap();
    assert_eq!(first.state, PlanState::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_failed_plan_that_goes_on_has_its_key_again_until_its_end() {
    let house = House::new();
    let node = house.node(1).await;
    let first = failed(&house, &node, "open").await;
    house.board.closed.store(true, Ordering::SeqCst);

    node.act(first, wants(Action::Resume)).await.unwrap();
    let while_it_runs = paint(&node, "open").await;
    house.board.closed.store(false, Ordering::SeqCst);
    house.board.opened.notify_waiters();
    let ended = node.wait(first, FOR_EVER).await.unwrap();
    let afterwards = paint(&node, "open").await;

    assert_eq!(while_it_runs, Placed::Open(first));
    assert_eq!(ended.result, PlanResult::Success);
    assert!(matches!(afterwards, Placed::New(_)));
}

#[tokio::test(start_paused = true)]
async fn a_failed_plan_does_not_go_on_against_what_its_workflow_says() {
    let house = House::new();
    let node = house.node(1).await;
    let plan = failed(&house, &node, "open").await;
    let finished = node.transact::<(), StoreError, _>(|tx, _| {
        Box::pin(async move {
            tx.table().insert("finished".into(), "bob".into());
            Ok(())
        })
    });
    finished.await.unwrap().unwrap();

    let why = refused(&node, plan, Action::Resume).await;

    assert!(
        why.contains("resume, because bob has finished the board; it can: resume"),
        "{why}"
    );
    let rows = house.store.load(plan).await.unwrap();
    let told = rows.iter().flat_map(|row| &row.entries).any(
        |entry| matches!(entry, Entry::Operator { refused: Some(why), .. } if why.contains("bob")),
    );
    assert!(told, "it stands in the history");
}

#[tokio::test(start_paused = true)]
async fn a_node_without_the_code_of_a_plan_lets_it_go_on_nowhere() {
    let house = House::new();
    let node = house.node(1).await;
    let plan = failed(&house, &node, "open").await;
    node.drain(FOR_EVER).await;
    let ignorant = house.node_with(1, Workflows::default()).await;
    let before = house.store.load(plan).await.unwrap().len();

    let why = refused(&ignorant, plan, Action::Resume).await;

    assert!(why.contains("does not know workflow `sign`"), "{why}");
    assert_eq!(house.store.load(plan).await.unwrap().len(), before);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_nobody_can_read_is_ended_by_a_person_and_lets_others_go_on() {
    let house = House::new();
    let node = house.node(1).await;
    house.board.closed.store(true, Ordering::SeqCst);
    let plan = paint(&node, "open").await.plan();
    let waits = paint(&node, "closed").await.plan();
    node.kill().await;
    house.board.closed.store(false, Ordering::SeqCst);
    spoil(&house.store, plan).await;
    let node = house.node(1).await;
    let unread = node.plan(plan).await.unwrap();
    let task = node.task(plan).await.unwrap();

    let ended = node.act(plan, wants(Action::Abort)).await.unwrap();
    let waited = node.wait(waits, FOR_EVER).await.unwrap();

    assert!(unread.unreadable.is_some() && unread.state != PlanState::Stopped);
    let can = task.actions.iter().filter(|it| it.allowed);
    assert_eq!(can.map(|it| it.name).collect::<Vec<_>>(), ["abort"]);
    assert_eq!(
        (ended.state, ended.result, ended.reason),
        (
            PlanState::Stopped,
            PlanResult::Cancelled,
            Some(Reason::Operator)
        )
    );
    assert!(ended.unreadable.is_some(), "what it did stays unknown");
    assert_eq!(waited.result, PlanResult::Success);
    assert!(matches!(paint(&node, "open").await, Placed::New(_)));
    let history = node.history(plan).await.unwrap();
    assert_eq!(history.last().unwrap().actor.as_deref(), Some("operator"));
    let again = refused(&node, plan, Action::Abort).await;
    assert!(again.contains("cannot be read"), "{again}");
}

/// A row that no program can read.
async fn spoil(store: &Memory, plan: PlanId) {
    let rows = store.load(plan).await.unwrap();
    let last = rows.last().unwrap();
    let row = Row {
        seq: last.seq + 1,
        nonce: 7,
        entries: Vec::new(),
        unreadable: Some("its entries are not understood".into()),
        ..last.clone()
    };
    let append = Append {
        plan,
        row,
        entries: "?".into(),
        head: None,
        let_go: Vec::new(),
        asked_for: Vec::new(),
        mail: None,
        notices: Vec::new(),
        gives_key_up: false,
    };
    store.append(append).await.unwrap();
    let folded = Plan::fold(plan, &store.load(plan).await.unwrap());
    assert!(folded.unreadable.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_drains_keeps_its_lease_until_the_last_step_has_ended() {
    let house = House::new();
    let (leaving, other) = (house.node(1).await, house.node(2).await);
    house.board.closed.store(true, Ordering::SeqCst);
    let plan = paint(&leaving, "open").await.plan();
    let opens = async {
        tokio::time::sleep(Duration::from_secs(40)).await;
        house.board.opened.notify_waiters();
    };

    tokio::join!(leaving.drain(FOR_EVER), opens);
    let ended = other.wait(plan, FOR_EVER).await.unwrap();

    assert_eq!(ended.result, PlanResult::Success);
    assert_eq!(ended.node, Some(leaving.id()), "nobody has taken it over");
    assert_eq!(ended.steps[0].attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_resumes_a_plan_that_is_deleted_in_that_moment_is_told_that_it_is_not_there() {
    let house = House::new();
    let node = house.node(1).await;
    let plan = failed(&house, &node, "open").await;
    let families = house.store.families(vec![plan]).await.unwrap();

    let resumed = node.act_and(
        plan,
        wants(Action::Resume),
        Box::new(move |tx| {
            Box::pin(async move {
                let deleted = Memory::forget_in(tx, families).await?;
                assert_eq!(deleted, [plan]);
                Ok(())
            })
        }),
    );

    match resumed.await {
        Err(NodeError::NotFound(it)) => assert_eq!(it, plan),
        other => panic!("nobody will ever read that: {other:?}"),
    }
}
