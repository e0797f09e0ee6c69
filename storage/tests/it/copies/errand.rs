//! What the plans do that are under way when the files are copied.

use engine::clock::Clock;
use engine::journal::NodeId;
use engine::lock::Lock;
use engine::node::{Node, NodeOptions, Workflows};
use engine::step::{
    Begun, ContextOf, Declared, Polled, PollingStep, Services, Step, StepError, TransactionalStep,
};
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::journal::Journal;
use storage::{Database, Tx};
use uuid::Uuid;

pub(super) struct Town;

impl Services for Town {
    type Tx = Tx;
}

/// Waits with others for one of a few counters, and books there once.
#[derive(Serialize, Deserialize)]
pub(super) struct Errand {
    pub(super) counter: u32,
}

impl Workflow for Errand {
    const NAME: &'static str = "errand";
    const VERSION: u32 = 1;
    type Services = Town;

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::exclusive(format!("counter {}", self.counter)).until::<Book>()]
    }

    fn steps() -> Steps<Self> {
        Steps::first(Walk)
            .step(Book, after::<Walk>())
            .step(Tell, after::<Book>())
    }

    fn action(&self) -> String {
        format!("Errand at counter {}", self.counter)
    }
}

pub(super) struct Walk;

impl Declared for Walk {
    const NAME: &'static str = "walk";
    type Workflow = Errand;
    type Needs = ();
    type Output = ();
}

impl PollingStep for Walk {
    type Ticket = u32;

    async fn start(
        &self,
        _: &ContextOf<Self>,
        errand: &Errand,
        (): (),
    ) -> Result<Begun<(), u32>, StepError> {
        Ok(Begun::Ticket(errand.counter))
    }

    async fn poll(
        &self,
        _: &ContextOf<Self>,
        _: &Errand,
        _: &u32,
    ) -> Result<Polled<()>, StepError> {
        Ok(Polled::Done(()))
    }
}

pub(super) struct Book;

impl Declared for Book {
    const NAME: &'static str = "book";
    type Workflow = Errand;
    type Needs = Walk;
    type Output = ();
}

impl TransactionalStep for Book {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &ContextOf<Self>,
        _: &Errand,
        (): (),
    ) -> Result<(), StepError> {
        const SQL: &str = "INSERT INTO booked (plan) VALUES ($1)";
        let booked = sqlx::query(SQL).bind(cx.plan().0).execute(tx).await;
        booked.map(drop).map_err(StepError::transient)
    }
}

pub(super) struct Tell;

impl Declared for Tell {
    const NAME: &'static str = "tell";
    type Workflow = Errand;
    type Needs = Book;
    type Output = String;
}

impl Step for Tell {
    async fn run(&self, _: &ContextOf<Self>, _: &Errand, (): ()) -> Result<String, StepError> {
        Ok("booked ".repeat(3_000)) // so that the WAL is brought back now and then
    }
}

/// What they book in: a line for each time, so that a second one is seen.
pub(super) async fn open_the_books(database: &Database) {
    const SQL: &str = "CREATE TABLE booked (plan BLOB NOT NULL)";
    let opened = database.transact::<(), sqlx::Error>(|tx| {
        Box::pin(async move { sqlx::query(SQL).execute(tx).await.map(drop) })
    });
    opened.await.unwrap().unwrap();
}

/// How often each plan has booked.
pub(super) async fn booked(tx: &mut Tx) -> BTreeMap<Uuid, i64> {
    const SQL: &str = "SELECT plan, count(*) FROM booked GROUP BY plan";
    let rows: Vec<(Uuid, i64)> = sqlx::query_as(SQL).fetch_all(tx).await.unwrap();
    rows.into_iter().collect()
}

pub(super) type TownNode = Node<Town, Journal>;

/// As many as write beside each other, on one database.
pub(super) async fn nodes(database: &Database) -> Vec<TownNode> {
    let mut nodes = Vec::new();
    for n in 1..=3 {
        let options = NodeOptions::new(NodeId(Uuid::from_u128(n)), format!("node {n}"));
        let knows = Workflows::default().register::<Errand>().unwrap();
        let store = Journal::new(database.clone());
        let node = Node::start(options, store, Arc::new(Town), knows, Clock::system(), None);
        nodes.push(node.await.unwrap());
    }
    nodes
}
