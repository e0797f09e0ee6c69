//! A house whose nodes have so many places, and workflows that show who is at work.

use engine::clock::{Clock, Timestamp};
use engine::journal::{Action, Entry, Message, NodeId, PlanId, PlanResult, Rescue};
use engine::lock::Lock;
use engine::node::{Node, NodeOptions, Workflows};
use engine::priority::Priority;
use engine::search::Search;
use engine::step::{
    Begun, Child, ContextOf, Declared, Policy, Polled, PollingStep, Received, Services,
    SpawningStep, Step, StepError, all_done,
};
use engine::store::memory::{Memory, MemoryTx};
use engine::store::{Page, Store};
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

pub(in super::super) const FOR_EVER: Duration = Duration::from_hours(1);

/// What is seen from outside.
#[derive(Default)]
pub(in super::super) struct Yard {
    pub(in super::super) begun: Mutex<Vec<String>>,
    /// At work now, and at most.
    pub(in super::super) at_work: Mutex<(usize, usize)>,
    /// The next attempts of these fail for now.
    pub(in super::super) busy: Mutex<Vec<String>>,
}

impl Services for Yard {
    type Tx = MemoryTx;
}

impl Yard {
    pub(in super::super) async fn works(&self, name: &str) {
        self.begun.lock().unwrap().push(name.to_owned());
        {
            let mut at_work = self.at_work.lock().unwrap();
            at_work.0 += 1;
            at_work.1 = at_work.1.max(at_work.0);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.at_work.lock().unwrap().0 -= 1;
    }

    pub(in super::super) fn fails_once(&self, name: &str) -> Result<(), StepError> {
        let mut busy = self.busy.lock().unwrap();
        match busy.iter().position(|it| it == name) {
            Some(place) => {
                busy.remove(place);
                Err(StepError::transient("busy"))
            }
            None => Ok(()),
        }
    }

    pub(in super::super) fn begun(&self) -> Vec<String> {
        self.begun.lock().unwrap().clone()
    }

    pub(in super::super) fn most_at_work(&self) -> usize {
        self.at_work.lock().unwrap().1
    }
}

/// Works a second, in one step.
#[derive(Clone, Serialize, Deserialize)]
pub(in super::super) struct Work {
    pub(in super::super) name: String,
    pub(in super::super) organization: Option<String>,
    pub(in super::super) priority: Priority,
    pub(in super::super) lock: Option<String>,
}

pub(in super::super) fn work(name: &str) -> Work {
    Work {
        name: name.to_owned(),
        organization: None,
        priority: Priority::Normal,
        lock: None,
    }
}

impl Workflow for Work {
    const NAME: &'static str = "work";
    const VERSION: u32 = 1;
    type Services = Yard;

    fn steps() -> Steps<Self> {
        Steps::first(Toil)
    }

    fn action(&self) -> String {
        format!("Work {}", self.name)
    }

    fn organization(&self) -> Option<String> {
        self.organization.clone()
    }

    fn priority(&self) -> Priority {
        self.priority
    }

    fn locks(&self) -> Vec<Lock> {
        self.lock.iter().map(Lock::exclusive).collect()
    }
}

pub(in super::super) struct Toil;

impl Declared for Toil {
    const NAME: &'static str = "toil";
    const POLICY: Policy = Policy {
        backoff: Duration::from_secs(20),
        backoff_max: Duration::from_secs(20),
        ..Policy::idempotent()
    };
    type Workflow = Work;
    type Needs = ();
    type Output = ();
}

impl Step for Toil {
    async fn run(&self, cx: &ContextOf<Self>, input: &Work, (): ()) -> Result<(), StepError> {
        cx.services.works(&input.name).await;
        cx.services.fails_once(&input.name)
    }
}

/// Of which one at a time is enough.
#[derive(Clone, Serialize, Deserialize)]
pub(in super::super) struct Sweep {
    pub(in super::super) name: String,
}

impl Workflow for Sweep {
    const NAME: &'static str = "sweep";
    const VERSION: u32 = 1;
    type Services = Yard;

    fn steps() -> Steps<Self> {
        Steps::first(Brush)
    }

    fn action(&self) -> String {
        format!("Sweep {}", self.name)
    }

    fn at_once() -> Option<usize> {
        Some(1)
    }
}

pub(in super::super) struct Brush;

impl Declared for Brush {
    const NAME: &'static str = "brush";
    type Workflow = Sweep;
    type Needs = ();
    type Output = ();
}

impl Step for Brush {
    async fn run(&self, cx: &ContextOf<Self>, input: &Sweep, (): ()) -> Result<(), StepError> {
        cx.services.works(&input.name).await;
        Ok(())
    }
}

/// Workflows whose plans end where they fail, and can be resumed then.
macro_rules! ends_where_it_fails {
    ($workflow:ident, $name:literal, $step:ident, $at_once:expr) => {
        #[derive(Clone, Serialize, Deserialize)]
        pub(in super::super) struct $workflow {
            pub(in super::super) name: String,
        }

        impl Workflow for $workflow {
            const NAME: &'static str = $name;
            const VERSION: u32 = 1;
            type Services = Yard;

            fn steps() -> Steps<Self> {
                Steps::first($step)
            }

            fn action(&self) -> String {
                format!("{} {}", $name, self.name)
            }

            fn at_once() -> Option<usize> {
                $at_once
            }
        }

        struct $step;

        impl Declared for $step {
            const NAME: &'static str = "try";
            const POLICY: Policy = Policy::idempotent().attempts(1).rescue(Rescue::Fail);
            type Workflow = $workflow;
            type Needs = ();
            type Output = ();
        }

        impl Step for $step {
            async fn run(
                &self,
                cx: &ContextOf<Self>,
                input: &$workflow,
                (): (),
            ) -> Result<(), StepError> {
                cx.services.works(&input.name).await;
                cx.services.fails_once(&input.name)
            }
        }
    };
}

ends_where_it_fails!(Errand, "errand", RunIt, None);
ends_where_it_fails!(Chore, "chore", DoIt, Some(1));

/// Works a second, and then another one that must not happen twice.
#[derive(Clone, Serialize, Deserialize)]
pub(in super::super) struct Relay;

impl Workflow for Relay {
    const NAME: &'static str = "relay";
    const VERSION: u32 = 1;
    type Services = Yard;

    fn steps() -> Steps<Self> {
        Steps::first(Sprint).step(HandOver, after::<Sprint>())
    }

    fn action(&self) -> String {
        "Relay".into()
    }
}

macro_rules! leg {
    ($step:ident, $name:literal, $policy:expr) => {
        struct $step;

        impl Declared for $step {
            const NAME: &'static str = $name;
            const POLICY: Policy = $policy;
            type Workflow = Relay;
            type Needs = ();
            type Output = ();
        }

        impl Step for $step {
            async fn run(&self, cx: &ContextOf<Self>, _: &Relay, (): ()) -> Result<(), StepError> {
                cx.services.works($name).await;
                Ok(())
            }
        }
    };
}

leg!(Sprint, "sprint", Policy::idempotent());
leg!(HandOver, "hand_over", Policy::once());

/// Has sub-tasks, and waits for an event after them.
#[derive(Clone, Serialize, Deserialize)]
pub(in super::super) struct Gang {
    pub(in super::super) hands: Vec<String>,
}

impl Workflow for Gang {
    const NAME: &'static str = "gang";
    const VERSION: u32 = 1;
    type Services = Yard;

    fn steps() -> Steps<Self> {
        Steps::first(Call).step(Pay, after::<Call>())
    }

    fn action(&self) -> String {
        format!("Gang of {}", self.hands.len())
    }

    fn priority(&self) -> Priority {
        Priority::Background
    }
}

pub(in super::super) struct Call;

impl Declared for Call {
    const NAME: &'static str = "call";
    type Workflow = Gang;
    type Needs = ();
    type Output = ();
}

impl SpawningStep for Call {
    type Child = Work;

    async fn children(
        &self,
        _: &ContextOf<Self>,
        input: &Gang,
        (): (),
    ) -> Result<Vec<(String, Work)>, StepError> {
        let hands = input.hands.iter();
        Ok(hands.map(|name| (name.clone(), work(name))).collect())
    }

    async fn gather(
        &self,
        _: &ContextOf<Self>,
        _: &Gang,
        children: &[Child],
    ) -> Result<(), StepError> {
        all_done(children)
    }
}

pub(in super::super) struct Pay;

impl Declared for Pay {
    const NAME: &'static str = "pay";
    type Workflow = Gang;
    type Needs = ();
    type Output = ();
}

impl PollingStep for Pay {
    type Ticket = ();

    async fn start(
        &self,
        cx: &ContextOf<Self>,
        _: &Gang,
        (): (),
    ) -> Result<Begun<(), ()>, StepError> {
        cx.services.works("pay").await;
        Ok(Begun::Event {
            name: "money".into(),
            within: None,
        })
    }

    async fn poll(&self, _: &ContextOf<Self>, _: &Gang, (): &()) -> Result<Polled<()>, StepError> {
        Err(StepError::permanent("it has no ticket"))
    }

    async fn received(&self, _: &ContextOf<Self>, _: &Gang, _: Received) -> Result<(), StepError> {
        Ok(())
    }
}

pub(in super::super) struct House {
    pub(in super::super) store: Memory,
    pub(in super::super) yard: Arc<Yard>,
    pub(in super::super) clock: Clock,
    pub(in super::super) at_once: usize,
}

impl House {
    pub(in super::super) fn with_places(at_once: usize) -> Self {
        Self {
            store: Memory::default(),
            yard: Arc::default(),
            clock: Clock::of_runtime(Timestamp(1_700_000_000_000)),
            at_once,
        }
    }

    pub(in super::super) async fn node(&self) -> Node<Yard, Memory> {
        self.node_on(self.store.clone()).await
    }

    pub(in super::super) async fn node_on<St: Store<Tx = MemoryTx>>(
        &self,
        store: St,
    ) -> Node<Yard, St> {
        let mut options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "one");
        options.at_once = self.at_once;
        let knows = Workflows::default()
            .register::<Work>()
            .unwrap()
            .register::<Sweep>()
            .unwrap()
            .register::<Gang>()
            .unwrap()
            .register::<Errand>()
            .unwrap()
            .register::<Chore>()
            .unwrap()
            .register::<Relay>()
            .unwrap();
        let yard = self.yard.clone();
        Node::start(options, store, yard, knows, self.clock, None)
            .await
            .unwrap()
    }

    pub(in super::super) async fn entries(&self, plan: PlanId) -> Vec<Entry> {
        let rows = self.store.load(plan).await.unwrap();
        rows.into_iter().flat_map(|row| row.entries).collect()
    }
}

pub(in super::super) async fn submit<W: Workflow<Services = Yard>>(
    node: &Node<Yard, Memory>,
    input: W,
) -> PlanId {
    node.submit(&input, Some("alice".into())).await.unwrap()
}

pub(in super::super) async fn end(node: &Node<Yard, Memory>, plans: &[PlanId]) {
    for plan in plans {
        let ended = node.wait(*plan, FOR_EVER).await.unwrap();
        assert_eq!(ended.result, PlanResult::Success, "{ended:?}");
    }
}

pub(in super::super) fn wants(action: Action) -> Message {
    Message {
        action,
        by: "operator".into(),
        reason: None,
    }
}

pub(in super::super) async fn found(house: &House, query: &str) -> Vec<PlanId> {
    let search = Search::parse(query, house.clock.now()).unwrap();
    let page = Page {
        limit: 100,
        ..Page::default()
    };
    house.store.list(search, page).await.unwrap().plans
}
