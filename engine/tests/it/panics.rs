//! Code of a workflow that panics outside of its bodies: where its input is read, where it says its locks, in drills. That is an
//! error of what was asked for; the node and everything else goes on.

use engine::clock::{Clock, Timestamp};
use engine::journal::{Action, Json, Message, NodeId, PlanId, PlanResult, Rescue};
use engine::lock::Lock;
use engine::node::{Drill, Effect, Node, NodeError, NodeOptions, Workflows};
use engine::plan::Plan;
use engine::schedule::{Missed, Put, Schedule, ScheduleId};
use engine::state::PlanState;
use engine::step::{
    BoxFuture, Child, ContextOf, Declared, Policy, Services, SpawningStep, Step, StepError,
    all_done,
};
use engine::store::memory::{Memory, MemoryTx};
use engine::store::{Store, StoreError};
use engine::workflow::{Steps, Workflow};
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use uuid::Uuid;

const FOR_EVER: Duration = Duration::from_hours(1);
const START: Timestamp = Timestamp(1_699_999_200_000);

#[derive(Default)]
struct House {
    /// Lamps fail, and end so.
    dark: AtomicBool,
    /// Lamps hang.
    dim: AtomicBool,
}

impl Services for House {
    type Tx = MemoryTx;
}

/// Code that panics knows no services: each test has a name of its own here for what it makes panic.
static BLOWN: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());

fn blow(name: &str) {
    BLOWN.lock().unwrap().push(name.into());
}

fn mend(name: &str) {
    BLOWN.lock().unwrap().retain(|blown| blown != name);
}

fn is_blown(name: &str) -> bool {
    BLOWN.lock().unwrap().iter().any(|blown| blown == name)
}

#[derive(Clone, Serialize, Deserialize)]
struct Lamp {
    #[serde(deserialize_with = "readable")]
    name: String,
}

fn readable<'de, D: Deserializer<'de>>(name: D) -> Result<String, D::Error> {
    let name = String::deserialize(name)?;
    assert!(!is_blown(&format!("read {name}")), "nobody can read this");
    Ok(name)
}

impl Workflow for Lamp {
    const NAME: &'static str = "lamp";
    const VERSION: u32 = 1;
    type Services = House;

    fn steps() -> Steps<Self> {
        Steps::first(Shine)
    }

    fn action(&self) -> String {
        format!("Lamp {}", self.name)
    }

    fn locks(&self) -> Vec<Lock> {
        assert!(!is_blown(&self.name), "the fuse has blown");
        Vec::new()
    }

    async fn may_go_on(&self, _: &mut MemoryTx, _: PlanId) -> Result<(), StepError> {
        assert!(!is_blown(&format!("judge {}", self.name)), "no judge");
        Ok(())
    }
}

struct Shine;

impl Declared for Shine {
    const NAME: &'static str = "shine";
    const POLICY: Policy = Policy::idempotent().attempts(2).rescue(Rescue::Fail);
    type Workflow = Lamp;
    type Needs = ();
    type Output = ();
}

impl Step for Shine {
    async fn run(&self, cx: &ContextOf<Self>, _: &Lamp, (): ()) -> Result<(), StepError> {
        if cx.services.dim.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if cx.services.dark.load(Ordering::SeqCst) {
            return Err(StepError::permanent("it is dark"));
        }
        Ok(())
    }
}

/// Has one lamp as its sub-task.
#[derive(Clone, Serialize, Deserialize)]
struct Room {
    lamp: String,
}

impl Workflow for Room {
    const NAME: &'static str = "room";
    const VERSION: u32 = 1;
    type Services = House;

    fn steps() -> Steps<Self> {
        Steps::first(Light)
    }

    fn action(&self) -> String {
        format!("Room with {}", self.lamp)
    }
}

struct Light;

impl Declared for Light {
    const NAME: &'static str = "light";
    type Workflow = Room;
    type Needs = ();
    type Output = ();
}

impl SpawningStep for Light {
    type Child = Lamp;

    async fn children(
        &self,
        _: &ContextOf<Self>,
        input: &Room,
        (): (),
    ) -> Result<Vec<(String, Lamp)>, StepError> {
        Ok(vec![("lamp".into(), lamp(&input.lamp))])
    }

    async fn gather(&self, _: &ContextOf<Self>, _: &Room, all: &[Child]) -> Result<(), StepError> {
        all_done(all)
    }
}

fn lamp(name: &str) -> Lamp {
    Lamp { name: name.into() }
}

struct World {
    store: Memory,
    house: Arc<House>,
    clock: Clock,
}

impl World {
    fn new() -> Self {
        Self {
            store: Memory::default(),
            house: Arc::default(),
            clock: Clock::of_runtime(START),
        }
    }

    async fn node(&self) -> Node<House, Memory> {
        self.node_with(None).await
    }

    async fn node_with(&self, drill: Option<Arc<dyn Drill>>) -> Node<House, Memory> {
        let options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "one");
        let knows = Workflows::default()
            .register::<Lamp>()
            .unwrap()
            .register::<Room>()
            .unwrap();
        let (store, house) = (self.store.clone(), self.house.clone());
        Node::start(options, store, house, knows, self.clock, drill)
            .await
            .unwrap()
    }

    async fn save(&self, name: &str, input: &Lamp) {
        let schedule = Schedule {
            id: ScheduleId::default(),
            name: name.into(),
            workflow: "lamp".into(),
            input: Json::of(input).unwrap(),
            cron: "* * * * *".into(),
            time_zone: "UTC".into(),
            missed: Missed::Once,
            end_at: None,
            max_runs: None,
            enabled: true,
            built_in: false,
            actor: None,
            created_at: START,
            handled_until: START,
            runs: 0,
            last_nominal: None,
            last_plan: None,
            revision: 0,
        };
        let put = self.store.transact::<Put, StoreError>(Box::new(move |tx| {
            Box::pin(Memory::put_schedule_in(tx, schedule))
        }));
        put.await.unwrap().unwrap();
    }
}

fn wants(action: Action) -> Message {
    Message {
        action,
        by: "operator".into(),
        reason: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_sub_task_whose_locks_panic_fails_its_step_and_the_parent_can_be_cancelled() {
    let world = World::new();
    let node = world.node().await;
    blow("attic");

    let input = Room {
        lamp: "attic".into(),
    };
    let room = node.submit(&input, None).await.unwrap();
    let paused = node.wait(room, FOR_EVER).await.unwrap();
    let shown = node.task(room).await.unwrap();
    let cancelled = node.act(room, wants(Action::Cancel)).await.unwrap();

    assert_eq!(paused.state, PlanState::Paused);
    let why = &paused.steps[0].error.as_ref().unwrap().message;
    assert!(why.contains("the fuse has blown"), "{why}");
    assert_eq!(shown.state, PlanState::Paused);
    assert_eq!(cancelled.result, PlanResult::Cancelled);
}

/// A lamp that has failed is resumed while this panics.
async fn resumed_while(panics: &str, name: &str, says: &str) {
    let world = World::new();
    let node = world.node().await;
    world.house.dark.store(true, Ordering::SeqCst);
    let id = node.submit(&lamp(name), None).await.unwrap();
    let failed = node.wait(id, FOR_EVER).await.unwrap();
    world.house.dark.store(false, Ordering::SeqCst);

    blow(panics);
    let refused = node.act(id, wants(Action::Resume)).await;
    let shown = node.task(id).await.unwrap();
    let waited = node.wait(id, Duration::from_secs(5)).await.unwrap();
    mend(panics);
    node.act(id, wants(Action::Resume)).await.unwrap();
    let ended = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(failed.result, PlanResult::Error);
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains(says), "{refused}");
    assert_eq!(shown.state, PlanState::Stopped);
    assert_eq!(waited.result, PlanResult::Error);
    assert_eq!(ended.result, PlanResult::Success);
}

#[tokio::test(start_paused = true)]
async fn a_resume_that_panics_is_refused_with_what_was_said_and_may_be_tried_again() {
    resumed_while("cellar", "cellar", "the fuse has blown").await;
    resumed_while("judge hall", "hall", "no judge").await;
    resumed_while("read garage", "garage", "nobody can read this").await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_whose_input_panics_when_it_is_read_is_shown_and_can_be_cancelled() {
    let world = World::new();
    let node = world.node().await;
    world.house.dim.store(true, Ordering::SeqCst);
    let id = node.submit(&lamp("stairs"), None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    node.kill().await;

    blow("read stairs");
    let node = world.node().await;
    let other = node.submit(&lamp("kitchen"), None).await.unwrap();
    let shown = node.wait(id, Duration::from_secs(30)).await.unwrap();
    let explained = node.task(id).await.unwrap();
    let cancelled = node.act(id, wants(Action::Cancel)).await.unwrap();
    let refused = node.offer_json("lamp", &Json::of(&lamp("stairs")).unwrap(), None);
    world.house.dim.store(false, Ordering::SeqCst);
    node.act(other, wants(Action::Cancel)).await.unwrap();

    assert_eq!(shown.state, PlanState::Running);
    let why = &explained.waiting_for[0].text;
    assert!(why.contains("nobody can read this"), "{why}");
    assert!(cancelled.cancelling);
    let refused = refused.err().map(|error| error.to_string());
    assert_eq!(
        refused.as_deref(),
        Some("workflow `lamp` panicked over the input: nobody can read this")
    );
}

#[tokio::test(start_paused = true)]
async fn a_schedule_whose_input_panics_does_not_stop_another_one() {
    let world = World::new();
    let _node = world.node().await;
    world.save("a", &lamp("porch")).await;
    world.save("b", &lamp("gate")).await;
    blow("porch");

    let end = START + Duration::from_secs(150);
    world.clock.sleep_until(end).await;
    mend("porch");
    world.clock.sleep_until(end + Duration::from_mins(2)).await;

    let runs = world.store.schedules().await.unwrap();
    let runs: Vec<u32> = runs.iter().map(|it| it.runs).collect();
    assert_eq!(runs, [3, 4], "what panicked stays due");
}

/// Panics before the first attempt of each plan.
struct Clumsy(AtomicBool);

impl Drill for Clumsy {
    fn before<'a>(&'a self, _: &'a Plan, _: &'a str) -> BoxFuture<'a, Option<Effect>> {
        assert!(self.0.swap(true, Ordering::SeqCst), "it slipped");
        Box::pin(async { None })
    }
}

#[tokio::test(start_paused = true)]
async fn a_drill_that_panics_fails_the_attempt_and_another_one_follows() {
    let world = World::new();
    let node = world
        .node_with(Some(Arc::new(Clumsy(AtomicBool::new(false)))))
        .await;

    let id = node.submit(&lamp("bath"), None).await.unwrap();
    let ended = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(ended.result, PlanResult::Success);
    let first = &ended.steps[0].tries[0].error.as_ref().unwrap().message;
    assert!(first.contains("it slipped"), "{first}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_gone_is_said_to_be_gone() {
    let node = World::new().node().await;
    let nobody = PlanId(Uuid::from_u128(7));

    let gone = node.wait(nobody, FOR_EVER).await;

    assert!(matches!(gone, Err(NodeError::NotFound(_))));
}
