//! Who is at work when not all can be: no more than there are places, urgent ones first, organizations in turn, and nobody keeps
//! others from it by waiting.

use engine::clock::{Clock, Timestamp};
use engine::explain::WaitingKind;
use engine::journal::{Action, Entry, Message, NodeId, PlanId, PlanResult, Rescue};
use engine::lock::Lock;
use engine::node::{Node, NodeOptions, Workflows};
use engine::plan::Plan;
use engine::priority::Priority;
use engine::prove::Faulty;
use engine::search::Search;
use engine::state::{PlanState, StepState};
use engine::step::{
    Begun, Child, ContextOf, Declared, Policy, Polled, PollingStep, Received, Services,
    SpawningStep, Step, StepError, all_done,
};
use engine::store::memory::{Memory, MemoryTx};
use engine::store::{Page, Store};
use engine::workflow::{Steps, Workflow, after};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

const FOR_EVER: Duration = Duration::from_hours(1);

/// What is seen from outside.
#[derive(Default)]
struct Yard {
    begun: Mutex<Vec<String>>,
    /// At work now, and at most.
    at_work: Mutex<(usize, usize)>,
    /// The next attempts of these fail for now.
    busy: Mutex<Vec<String>>,
}

impl Services for Yard {
    type Tx = MemoryTx;
}

impl Yard {
    async fn works(&self, name: &str) {
        self.begun.lock().unwrap().push(name.to_owned());
        {
            let mut at_work = self.at_work.lock().unwrap();
            at_work.0 += 1;
            at_work.1 = at_work.1.max(at_work.0);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.at_work.lock().unwrap().0 -= 1;
    }

    fn fails_once(&self, name: &str) -> Result<(), StepError> {
        let mut busy = self.busy.lock().unwrap();
        match busy.iter().position(|it| it == name) {
            Some(place) => {
                busy.remove(place);
                Err(StepError::transient("busy"))
            }
            None => Ok(()),
        }
    }

    fn begun(&self) -> Vec<String> {
        self.begun.lock().unwrap().clone()
    }

    fn most_at_work(&self) -> usize {
        self.at_work.lock().unwrap().1
    }
}

/// Works a second, in one step.
#[derive(Clone, Serialize, Deserialize)]
struct Work {
    name: String,
    organization: Option<String>,
    priority: Priority,
    lock: Option<String>,
}

fn work(name: &str) -> Work {
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

struct Toil;

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
struct Sweep {
    name: String,
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

struct Brush;

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
        struct $workflow {
            name: String,
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
struct Relay;

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
struct Gang {
    hands: Vec<String>,
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

struct Call;

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

struct Pay;

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

struct House {
    store: Memory,
    yard: Arc<Yard>,
    clock: Clock,
    at_once: usize,
}

impl House {
    fn with_places(at_once: usize) -> Self {
        Self {
            store: Memory::default(),
            yard: Arc::default(),
            clock: Clock::of_runtime(Timestamp(1_700_000_000_000)),
            at_once,
        }
    }

    async fn node(&self) -> Node<Yard, Memory> {
        self.node_on(self.store.clone()).await
    }

    async fn node_on<St: Store<Tx = MemoryTx>>(&self, store: St) -> Node<Yard, St> {
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

    async fn entries(&self, plan: PlanId) -> Vec<Entry> {
        let rows = self.store.load(plan).await.unwrap();
        rows.into_iter().flat_map(|row| row.entries).collect()
    }
}

async fn submit<W: Workflow<Services = Yard>>(node: &Node<Yard, Memory>, input: W) -> PlanId {
    node.submit(&input, Some("alice".into())).await.unwrap()
}

async fn end(node: &Node<Yard, Memory>, plans: &[PlanId]) {
    for plan in plans {
        let ended = node.wait(*plan, FOR_EVER).await.unwrap();
        assert_eq!(ended.result, PlanResult::Success, "{ended:?}");
    }
}

fn wants(action: Action) -> Message {
    Message {
        action,
        by: "operator".into(),
        reason: None,
    }
}

async fn found(house: &House, query: &str) -> Vec<PlanId> {
    let search = Search::parse(query, house.clock.now()).unwrap();
    let page = Page {
        limit: 100,
        ..Page::default()
    };
    house.store.list(search, page).await.unwrap().plans
}

#[tokio::test(start_paused = true)]
async fn past_the_places_a_plan_is_pending_and_says_that_it_waits_for_one() {
    let house = House::with_places(2);
    let node = house.node().await;
    let mut plans = Vec::new();
    for name in ["a", "b", "c"] {
        plans.push(submit(&node, work(name)).await);
    }

    let third = node.task(plans[2]).await.unwrap();
    let waiting = found(&house, "waiting = node").await;
    end(&node, &plans).await;

    assert_eq!(third.state, PlanState::Pending);
    assert_eq!(third.waiting_for[0].kind, WaitingKind::Node);
    assert!(third.waiting_for[0].text.starts_with("a place: "));
    assert!(third.waiting_for[0].since.is_some());
    assert_eq!(third.steps.unwrap()[0].state, "waiting");
    assert_eq!(waiting, [plans[2]]);
    assert_eq!(house.yard.most_at_work(), 2);
    let third = house.entries(plans[2]).await;
    let about_places = |entry: &&Entry| matches!(entry, Entry::PlaceAsked | Entry::PlaceGranted);
    assert_eq!(third.iter().filter(about_places).count(), 2);
    assert_eq!(
        house.store.load(plans[2]).await.unwrap().len(),
        3,
        "one row more"
    );
}

#[tokio::test(start_paused = true)]
async fn where_there_is_a_place_nothing_is_written_about_it() {
    let house = House::with_places(2);
    let node = house.node().await;

    let plan = submit(&node, work("alone")).await;
    end(&node, &[plan]).await;

    let entries = house.entries(plan).await;
    let about_places = |entry: &&Entry| matches!(entry, Entry::PlaceAsked | Entry::PlaceGranted);
    assert_eq!(entries.iter().filter(about_places).count(), 0);
    assert_eq!(house.store.load(plan).await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn urgent_ones_begin_first_and_organizations_take_turns() {
    let house = House::with_places(1);
    let node = house.node().await;
    let of = |name: &str, organization: &str, priority| Work {
        organization: Some(organization.into()),
        priority,
        ..work(name)
    };
    let mut plans = vec![submit(&node, work("first")).await];
    for input in [
        of("clean", "acme", Priority::Background),
        of("acme 1", "acme", Priority::Normal),
        of("acme 2", "acme", Priority::Normal),
        of("acme 3", "acme", Priority::Normal),
        of("beta 1", "beta", Priority::Normal),
        of("hurry", "beta", Priority::Urgent),
    ] {
        plans.push(submit(&node, input).await);
    }

    end(&node, &plans).await;

    assert_eq!(
        house.yard.begun(),
        [
            "first", "hurry", "acme 1", "beta 1", "acme 2", "acme 3", "clean"
        ]
    );
    assert_eq!(house.yard.most_at_work(), 1);
}

#[tokio::test(start_paused = true)]
async fn background_work_rises_with_time_and_is_not_put_off_for_ever() {
    let house = House::with_places(1);
    let node = house.node().await;
    let clean = Work {
        priority: Priority::Background,
        ..work("clean")
    };
    let mut plans = vec![submit(&node, work("push 0")).await];
    plans.push(submit(&node, clean).await);

    // A push comes each half second, and each takes a whole one.
    for n in 1..=400 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        plans.push(submit(&node, work(&format!("push {n}"))).await);
    }
    end(&node, &plans).await;

    let place = house.yard.begun().iter().position(|it| it == "clean");
    let place = place.unwrap();
    assert!(
        (60..=125).contains(&place),
        "it came after {place} pushes of a second each"
    );
}

#[tokio::test(start_paused = true)]
async fn a_workflow_has_no_more_at_work_than_it_wants() {
    let house = House::with_places(3);
    let node = house.node().await;
    let mut plans = Vec::new();
    for name in ["sweep 1", "sweep 2", "sweep 3"] {
        plans.push(submit(&node, Sweep { name: name.into() }).await);
    }
    plans.push(submit(&node, work("push")).await);

    end(&node, &plans).await;

    assert_eq!(
        house.yard.begun(),
        ["sweep 1", "push", "sweep 2", "sweep 3"],
        "the push passes those that wait for their own kind"
    );
    assert_eq!(house.yard.most_at_work(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_sub_tasks_or_an_event_leaves_its_place_to_others() {
    let house = House::with_places(1);
    let node = house.node().await;
    let hands = ["one", "two", "three"].map(str::to_owned).to_vec();

    let gang = submit(&node, Gang { hands }).await;
    let other = submit(&node, work("other")).await;
    end(&node, &[other]).await;
    while node
        .task(gang)
        .await
        .unwrap()
        .waiting_for
        .first()
        .map(|it| it.kind)
        != Some(WaitingKind::Event)
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let later = submit(&node, work("later")).await;
    end(&node, &[later]).await;
    let tell = Action::Event {
        name: "money".into(),
        payload: engine::journal::Json::of(&7).unwrap(),
    };
    node.act(gang, wants(tell)).await.unwrap();
    end(&node, &[gang]).await;

    assert_eq!(house.yard.most_at_work(), 1);
    assert_eq!(house.yard.begun().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_lock_or_an_attempt_leaves_its_place_to_others() {
    let house = House::with_places(1);
    let node = house.node().await;
    let locked = |name: &str| Work {
        lock: Some("door".into()),
        ..work(name)
    };
    house.yard.busy.lock().unwrap().push("first".into());

    let first = submit(&node, locked("first")).await;
    let second = submit(&node, locked("second")).await;
    let other = submit(&node, work("other")).await;
    end(&node, &[first, second, other]).await;

    assert_eq!(
        house.yard.begun(),
        ["first", "other", "first", "second"],
        "neither the back-off of the first nor the lock that the second waits for keeps the other one"
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_there_after_a_restart_in_the_same_order() {
    let house = House::with_places(1);
    let node = house.node().await;
    let mut plans = Vec::new();
    for (name, priority) in [
        ("a", Priority::Normal),
        ("b", Priority::Background),
        ("c", Priority::Normal),
        ("d", Priority::Urgent),
    ] {
        let input = Work {
            priority,
            ..work(name)
        };
        plans.push(submit(&node, input).await);
    }
    let before = node.task(plans[1]).await.unwrap();

    node.kill().await;
    let node = house.node().await;
    let after = node.task(plans[1]).await.unwrap();
    end(&node, &plans).await;

    assert_eq!(before.waiting_for[0].since, after.waiting_for[0].since);
    let begun = house.yard.begun();
    assert_eq!(begun.iter().filter(|it| *it == "a").count(), 2, "{begun:?}");
    let order: Vec<&String> = begun.iter().filter(|it| *it != "a").collect();
    assert_eq!(order, ["d", "c", "b"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_cancelled_while_it_waits_never_begins_and_who_is_held_waits_apart() {
    let house = House::with_places(1);
    let node = house.node().await;
    let first = submit(&node, work("first")).await;
    let cancelled = submit(&node, work("cancelled")).await;
    let held = submit(&node, work("held")).await;
    let last = submit(&node, work("last")).await;

    let ended = node.act(cancelled, wants(Action::Cancel)).await.unwrap();
    node.act(held, wants(Action::Hold)).await.unwrap();
    let seen = node.task(held).await.unwrap();
    let found = found(&house, "waiting = held").await;
    end(&node, &[first, last]).await;
    node.act(held, wants(Action::Release)).await.unwrap();
    end(&node, &[held]).await;

    assert_eq!(ended.result, PlanResult::Cancelled);
    assert_eq!(seen.waiting_for[0].kind, WaitingKind::Operator);
    assert_eq!(seen.held.unwrap().by, "operator");
    assert_eq!(found, [held]);
    assert_eq!(house.yard.begun(), ["first", "last", "held"]);
}

/// Ten plans have failed and ended; all of them are resumed at once.
async fn resumed<W: Workflow<Services = Yard>>(places: usize, of: impl Fn(String) -> W) -> usize {
    let house = House::with_places(places);
    let node = house.node().await;
    let mut plans = Vec::new();
    for n in 0..10 {
        house.yard.busy.lock().unwrap().push(n.to_string());
        plans.push(submit(&node, of(n.to_string())).await);
    }
    for plan in &plans {
        let ended = node.wait(*plan, FOR_EVER).await.unwrap();
        assert_eq!(ended.result, PlanResult::Error);
    }
    *house.yard.at_work.lock().unwrap() = (0, 0);

    let resumes = plans
        .iter()
        .map(|plan| node.act(*plan, wants(Action::Resume)));
    for resumed in join_all(resumes).await {
        resumed.unwrap();
    }
    end(&node, &plans).await;

    assert_eq!(house.yard.begun().len(), 20);
    house.yard.most_at_work()
}

#[tokio::test(start_paused = true)]
async fn those_that_go_on_after_their_end_wait_for_their_places_like_all_others() {
    assert_eq!(resumed(1, |name| Errand { name }).await, 1);
    assert_eq!(resumed(3, |name| Errand { name }).await, 3);
    assert_eq!(resumed(5, |name| Chore { name }).await, 1);
}

#[tokio::test(start_paused = true)]
async fn who_did_not_have_to_wait_has_had_the_turn_of_its_organization() {
    let house = House::with_places(1);
    let node = house.node().await;
    let mut plans = Vec::new();
    for (organization, count) in [("acme", 4), ("beta", 2)] {
        for n in 1..=count {
            let input = Work {
                organization: Some(organization.into()),
                ..work(&format!("{organization} {n}"))
            };
            plans.push(submit(&node, input).await);
        }
    }

    end(&node, &plans).await;

    assert_eq!(
        house.yard.begun(),
        ["acme 1", "beta 1", "acme 2", "beta 2", "acme 3", "acme 4"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_drains_begins_no_step_and_the_next_start_does() {
    let house = House::with_places(1);
    let node = house.node().await;
    let relay = submit(&node, Relay).await;
    tokio::time::sleep(Duration::from_millis(500)).await;

    node.drain(Duration::from_secs(30)).await;
    let left = Plan::fold(relay, &house.store.load(relay).await.unwrap());
    let begun = house.yard.begun();
    let node = house.node().await;
    end(&node, &[relay]).await;
    let ended = node.plan(relay).await.unwrap();

    assert_eq!(begun, ["sprint"]);
    assert_eq!(left.steps[0].state, StepState::Success);
    assert_eq!(left.steps[1].state, StepState::Pending);
    assert_eq!(left.state, PlanState::Running);
    assert_eq!(house.yard.begun(), ["sprint", "hand_over"]);
    assert_eq!(ended.recoveries, 0);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_reads_its_plans_longer_than_its_lease_lasts_keeps_them() {
    let house = House::with_places(200);
    let node = house.node().await;
    let mut plans = Vec::new();
    for n in 0..200 {
        plans.push(submit(&node, work(&n.to_string())).await);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    node.kill().await;

    let slow = Faulty::slow(house.store.clone(), Duration::from_secs(2));
    let node = house.node_on(slow).await;
    for plan in &plans {
        let ended = node.wait(*plan, FOR_EVER).await.unwrap();
        assert_eq!(ended.epoch, 1, "it was taken over once");
    }
    assert_eq!(house.yard.begun().len(), 400, "cut off once by the kill");
}
