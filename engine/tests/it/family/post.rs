//! A post office: mailings whose sub-tasks are letters.

use super::undone::{Parcel, Parcels};
use engine::check::check;
use engine::clock::{Clock, Timestamp};
use engine::journal::{Action, Message, NodeId, PlanId};
use engine::lock::Lock;
use engine::node::{Node, NodeOptions, Workflows};
use engine::plan::Plan;
use engine::search::Search;
use engine::step::{
    Child, ContextOf, Declared, Policy, Services, SpawningStep, Step, StepError, Until, all_done,
};
use engine::store::memory::{Memory, MemoryTx};
use engine::store::{Page, Store};
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

pub(super) const FOR_EVER: Duration = Duration::from_hours(1);

/// Where the letters go.
#[derive(Default)]
pub(super) struct Post {
    pub(super) delivered: Mutex<BTreeMap<String, u32>>,
    /// Letters to these come to nothing.
    pub(super) closed: Mutex<HashSet<String>>,
    /// Letters to these are on their way until somebody lets them go on.
    pub(super) slow: Mutex<HashSet<String>>,
    pub(super) goes_on: Notify,
    pub(super) under_way: Mutex<(u32, u32)>,
}

impl Services for Post {
    type Tx = MemoryTx;
}

impl Post {
    pub(super) fn close(&self, names: &[&str]) {
        *self.closed.lock().unwrap() = names.iter().map(ToString::to_string).collect();
    }

    pub(super) fn slow_down(&self, names: &[&str]) {
        *self.slow.lock().unwrap() = names.iter().map(ToString::to_string).collect();
        self.goes_on.notify_waiters();
    }

    pub(super) fn delivered(&self) -> Vec<(String, u32)> {
        let delivered = self.delivered.lock().unwrap();
        delivered.iter().map(|(to, n)| (to.clone(), *n)).collect()
    }

    pub(super) fn most_at_once(&self) -> u32 {
        self.under_way.lock().unwrap().1
    }
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Mailing {
    pub(super) to: Vec<String>,
    pub(super) patient: bool,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Letter {
    pub(super) to: String,
    pub(super) greedy: bool,
}

impl Workflow for Mailing {
    const NAME: &'static str = "mailing";
    const VERSION: u32 = 1;
    type Services = Post;

    fn steps() -> Steps<Self> {
        Steps::first(Send).step(Report, after::<Send>())
    }

    fn action(&self) -> String {
        format!("Mail to {}", self.to.len())
    }

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::exclusive("mailbag")]
    }
}

impl Workflow for Letter {
    const NAME: &'static str = "letter";
    const VERSION: u32 = 1;
    type Services = Post;

    fn steps() -> Steps<Self> {
        Steps::first(Deliver)
    }

    fn action(&self) -> String {
        format!("Letter to {}", self.to)
    }

    fn locks(&self) -> Vec<Lock> {
        let bag = Lock::shared("mailbag");
        if self.greedy {
            vec![bag, Lock::shared("van")]
        } else {
            vec![bag]
        }
    }
}

pub(super) struct Send;

impl Declared for Send {
    const NAME: &'static str = "send";
    type Workflow = Mailing;
    type Needs = ();
    type Output = Vec<String>;
}

impl SpawningStep for Send {
    type Child = Letter;
    const AT_ONCE: u32 = 3;

    async fn children(
        &self,
        _: &ContextOf<Self>,
        input: &Mailing,
        (): (),
    ) -> Result<Vec<(String, Letter)>, StepError> {
        let letter = |to: &String| {
            let (to, greedy) = (to.clone(), to == "greedy");
            (to.clone(), Letter { to, greedy })
        };
        Ok(input.to.iter().map(letter).collect())
    }

    async fn gather(
        &self,
        _: &ContextOf<Self>,
        _: &Mailing,
        children: &[Child],
    ) -> Result<Vec<String>, StepError> {
        all_done(children)?;
        Ok(children.iter().map(|it| it.wanted.key.clone()).collect())
    }
}

pub(super) struct Report;

impl Declared for Report {
    const NAME: &'static str = "report";
    type Workflow = Mailing;
    type Needs = Send;
    type Output = usize;
}

impl Step for Report {
    async fn run(
        &self,
        _: &ContextOf<Self>,
        _: &Mailing,
        sent: Vec<String>,
    ) -> Result<usize, StepError> {
        Ok(sent.len())
    }
}

pub(super) struct Deliver;

impl Declared for Deliver {
    const NAME: &'static str = "deliver";
    const POLICY: Policy = Policy::idempotent().attempts(1);
    type Workflow = Letter;
    type Needs = ();
    type Output = ();
}

impl Step for Deliver {
    async fn run(&self, cx: &ContextOf<Self>, letter: &Letter, (): ()) -> Result<(), StepError> {
        let post = &cx.services;
        {
            let mut under_way = post.under_way.lock().unwrap();
            under_way.0 += 1;
            under_way.1 = under_way.1.max(under_way.0);
        }
        loop {
            let goes_on = post.goes_on.notified();
            if !post.slow.lock().unwrap().contains(&letter.to) {
                break;
            }
            tokio::select! {
                () = goes_on => {}
                () = cx.cancelled().cancelled() => break,
            }
        }
        tokio::task::yield_now().await;
        post.under_way.lock().unwrap().0 -= 1;
        if cx.cancelled().is_cancelled() {
            return Err(StepError::permanent("nobody wants it any more"));
        }
        if post.closed.lock().unwrap().contains(&letter.to) {
            return Err(StepError::permanent(format!("{} is closed", letter.to)));
        }
        *post
            .delivered
            .lock()
            .unwrap()
            .entry(letter.to.clone())
            .or_default() += 1;
        Ok(())
    }
}

/// A mailing that goes on without the letters that are stuck.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Hurried(pub(super) Mailing);

impl Workflow for Hurried {
    const NAME: &'static str = "hurried";
    const VERSION: u32 = 1;
    type Services = Post;

    fn steps() -> Steps<Self> {
        Steps::first(SendHurried)
    }

    fn action(&self) -> String {
        "Hurried mail".into()
    }

    fn locks(&self) -> Vec<Lock> {
        let waits = !self.0.patient;
        waits
            .then(|| Lock::exclusive("mailbag"))
            .into_iter()
            .collect()
    }
}

pub(super) struct SendHurried;

impl Declared for SendHurried {
    const NAME: &'static str = "send";
    type Workflow = Hurried;
    type Needs = ();
    type Output = usize;
}

impl SpawningStep for SendHurried {
    type Child = Letter;
    const UNTIL: Until = Until::EndedOrStuck;

    async fn children(
        &self,
        _: &ContextOf<Self>,
        input: &Hurried,
        (): (),
    ) -> Result<Vec<(String, Letter)>, StepError> {
        let letter = |to: &String| {
            let to = to.clone();
            (to.clone(), Letter { to, greedy: false })
        };
        Ok(input.0.to.iter().map(letter).collect())
    }

    async fn gather(
        &self,
        cx: &ContextOf<Self>,
        _: &Hurried,
        children: &[Child],
    ) -> Result<usize, StepError> {
        let late = children.iter().filter(|child| !child.is_done()).count();
        if children.iter().any(|child| child.wanted.key == "strict") {
            all_done(children)?;
        }
        if late > 0 {
            cx.warn(format!("{late} letters are late"));
        }
        Ok(children.len() - late)
    }
}

/// A mailing whose lock ends before its letters do.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Early(pub(super) String);

impl Workflow for Early {
    const NAME: &'static str = "early";
    const VERSION: u32 = 1;
    type Services = Post;

    fn steps() -> Steps<Self> {
        Steps::first(Before)
            .step(Beside, after::<Before>())
            .step(SendEarly, after::<Before>())
    }

    fn action(&self) -> String {
        format!("Early, until {}", self.0)
    }

    fn locks(&self) -> Vec<Lock> {
        let bag = Lock::exclusive("mailbag");
        vec![if self.0 == "before" {
            bag.until::<Before>()
        } else {
            bag.until::<Beside>()
        }]
    }
}

pub(super) struct Before;
pub(super) struct Beside;
pub(super) struct SendEarly;

macro_rules! quick {
    ($($step:ident is $name:literal)*) => { $(
        impl Declared for $step {
            const NAME: &'static str = $name;
            type Workflow = Early;
            type Needs = ();
            type Output = ();
        }
    )* };
}

quick! { Before is "before" Beside is "beside" SendEarly is "send_early" }

impl Step for Before {
    async fn run(&self, _: &ContextOf<Self>, _: &Early, (): ()) -> Result<(), StepError> {
        Ok(())
    }
}

impl Step for Beside {
    async fn run(&self, _: &ContextOf<Self>, _: &Early, (): ()) -> Result<(), StepError> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    }
}

impl SpawningStep for SendEarly {
    type Child = Letter;

    async fn children(
        &self,
        _: &ContextOf<Self>,
        _: &Early,
        (): (),
    ) -> Result<Vec<(String, Letter)>, StepError> {
        let (to, greedy) = ("ann".to_owned(), false);
        Ok(vec![(to.clone(), Letter { to, greedy })])
    }

    async fn gather(&self, _: &ContextOf<Self>, _: &Early, _: &[Child]) -> Result<(), StepError> {
        Ok(())
    }
}

pub(super) struct House {
    pub(super) store: Memory,
    pub(super) post: Arc<Post>,
    pub(super) clock: Clock,
}

impl House {
    pub(super) fn new() -> Self {
        Self {
            store: Memory::default(),
            post: Arc::default(),
            clock: Clock::of_runtime(Timestamp(1_700_000_000_000)),
        }
    }

    pub(super) fn workflows() -> Workflows<Post> {
        Workflows::default()
            .register::<Mailing>()
            .and_then(Workflows::register::<Hurried>)
            .and_then(Workflows::register::<Early>)
            .and_then(Workflows::register::<Letter>)
            .and_then(Workflows::register::<Parcels>)
            .and_then(Workflows::register::<Parcel>)
            .unwrap()
    }

    pub(super) async fn node(&self) -> Node<Post, Memory> {
        self.node_on(self.store.clone()).await
    }

    pub(super) async fn node_on<St: Store<Tx = MemoryTx>>(&self, store: St) -> Node<Post, St> {
        let options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "node");
        let (post, knows) = (self.post.clone(), Self::workflows());
        Node::start(options, store, post, knows, self.clock, None)
            .await
            .unwrap()
    }

    pub(super) async fn letters_of(&self, parent: PlanId) -> Vec<(PlanId, Plan)> {
        let search = Search::parse(&format!("parent = {parent}"), self.clock.now()).unwrap();
        let page = Page {
            limit: 500,
            ..Page::default()
        };
        let mut letters = Vec::new();
        for id in self.store.list(search, page).await.unwrap().plans {
            let rows = self.store.load(id).await.unwrap();
            assert_eq!(check(id, &rows), Vec::<String>::new());
            letters.push((id, Plan::fold(id, &rows)));
        }
        letters
    }
}

pub(super) fn mailing(to: &[&str]) -> Mailing {
    Mailing {
        to: to.iter().map(ToString::to_string).collect(),
        patient: true,
    }
}

pub(super) async fn mail<St: Store<Tx = MemoryTx>>(node: &Node<Post, St>, to: &[&str]) -> PlanId {
    node.submit(&mailing(to), Some("alice".into()))
        .await
        .unwrap()
}

pub(super) fn wants(action: Action) -> Message {
    Message {
        action,
        by: "operator".into(),
        reason: Some("because".into()),
    }
}

pub(super) async fn reaches<St: Store<Tx = MemoryTx>>(
    node: &Node<Post, St>,
    plan: PlanId,
    is_there: impl Fn(&Plan) -> bool,
) -> Arc<Plan> {
    for _ in 0..100_000 {
        let now = node.plan(plan).await.unwrap();
        if is_there(&now) {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never reached: {:?}", node.plan(plan).await.unwrap());
}
