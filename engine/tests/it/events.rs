//! Steps that wait: for an event that somebody tells the plan of, for a time, for work elsewhere.

use engine::clock::{Clock, Timestamp};
use engine::explain::WaitingKind;
use engine::journal::{Action, Json, Message, NodeId, PlanId, PlanResult};
use engine::node::{Node, NodeOptions, Workflows};
use engine::plan::Plan;
use engine::state::{PlanState, StepState};
use engine::step::{
    Begun, ContextOf, Declared, Policy, Polled, PollingStep, Received, Services, StepError,
};
use engine::store::Store;
use engine::store::memory::{Memory, MemoryTx};
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

const FOR_EVER: Duration = Duration::from_hours(1000);
const AN_HOUR: Duration = Duration::from_hours(1);

/// Work elsewhere: what polls answer, in turn, and when they were asked.
#[derive(Default)]
struct Elsewhere {
    answers: Mutex<Vec<Answer>>,
    asked: Mutex<Vec<(Instant, u32)>>,
    started: Mutex<u32>,
}

#[derive(Clone, Copy)]
enum Answer {
    NotYet,
    Busy,
    Failed,
    Done,
}

impl Services for Elsewhere {
    type Tx = MemoryTx;
}

#[derive(Clone, Serialize, Deserialize)]
struct Order;

impl Workflow for Order {
    const NAME: &'static str = "order";
    const VERSION: u32 = 1;
    type Services = Elsewhere;

    fn steps() -> Steps<Self> {
        Steps::first(Approval)
            .step(CoolOff, after::<Approval>())
            .step(Ship, after::<CoolOff>())
    }

    fn action(&self) -> String {
        "Order".into()
    }
}

struct Approval;

impl Declared for Approval {
    const NAME: &'static str = "approval";
    type Workflow = Order;
    type Needs = ();
    type Output = String;
}

impl PollingStep for Approval {
    type Ticket = ();

    async fn start(
        &self,
        _: &ContextOf<Self>,
        _: &Order,
        (): (),
    ) -> Result<Begun<String, ()>, StepError> {
        Ok(Begun::Event {
            name: "approved".into(),
            within: Some(AN_HOUR),
        })
    }

    async fn poll(
        &self,
        _: &ContextOf<Self>,
        _: &Order,
        (): &(),
    ) -> Result<Polled<String>, StepError> {
        Err(StepError::permanent("it has no ticket"))
    }

    async fn received(
        &self,
        _: &ContextOf<Self>,
        _: &Order,
        event: Received,
    ) -> Result<String, StepError> {
        match event {
            Received::Event(payload) => payload.decode().map_err(StepError::permanent),
            Received::TimeIsOver => Err(StepError::permanent("nobody approved it in time")),
        }
    }
}

struct CoolOff;

impl Declared for CoolOff {
    const NAME: &'static str = "cool_off";
    type Workflow = Order;
    type Needs = ();
    type Output = ();
}

impl PollingStep for CoolOff {
    type Ticket = ();

    async fn start(
        &self,
        _: &ContextOf<Self>,
        _: &Order,
        (): (),
    ) -> Result<Begun<(), ()>, StepError> {
        Ok(Begun::Sleep(AN_HOUR))
    }

    async fn poll(&self, _: &ContextOf<Self>, _: &Order, (): &()) -> Result<Polled<()>, StepError> {
        Err(StepError::permanent("it has no ticket"))
    }

    async fn received(&self, _: &ContextOf<Self>, _: &Order, _: Received) -> Result<(), StepError> {
        Ok(())
    }
}

struct Ship;

impl Declared for Ship {
    const NAME: &'static str = "ship";
    const POLICY: Policy = Policy::idempotent()
        .attempts(1)
        .polled(Duration::from_secs(1), Duration::from_secs(8))
        .suspended_at_most(Duration::from_hours(2));
    type Workflow = Order;
    type Needs = Approval;
    type Output = String;
}

impl PollingStep for Ship {
    type Ticket = u32;

    async fn start(
        &self,
        cx: &ContextOf<Self>,
        _: &Order,
        _: String,
    ) -> Result<Begun<String, u32>, StepError> {
        let mut started = cx.services.started.lock().unwrap();
        *started += 1;
        Ok(Begun::Ticket(*started))
    }

    async fn poll(
        &self,
        cx: &ContextOf<Self>,
        _: &Order,
        ticket: &u32,
    ) -> Result<Polled<String>, StepError> {
        let now = (Instant::now(), *ticket);
        cx.services.asked.lock().unwrap().push(now);
        let mut answers = cx.services.answers.lock().unwrap();
        let answer = if answers.is_empty() {
            Answer::NotYet
        } else {
            answers.remove(0)
        };
        match answer {
            Answer::NotYet => Ok(Polled::NotYet),
            Answer::Busy => Err(StepError::transient("busy")),
            Answer::Failed => Err(StepError::permanent("lost at sea")),
            Answer::Done => Ok(Polled::Done(format!("by ship {ticket}"))),
        }
    }
}

struct House {
    store: Memory,
    elsewhere: Arc<Elsewhere>,
    clock: Clock,
}

impl House {
    fn new(answers: &[Answer]) -> Self {
        let house = Self {
            store: Memory::default(),
            elsewhere: Arc::default(),
            clock: Clock::of_runtime(Timestamp(1_700_000_000_000)),
        };
        house.answers(answers);
        house
    }

    fn answers(&self, answers: &[Answer]) {
        *self.elsewhere.answers.lock().unwrap() = answers.to_vec();
    }

    async fn node(&self) -> Node<Elsewhere, Memory> {
        let options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "node");
        let knows = Workflows::default().register::<Order>().unwrap();
        let (store, services) = (self.store.clone(), self.elsewhere.clone());
        Node::start(options, store, services, knows, self.clock, None)
            .await
            .unwrap()
    }

    fn gaps(&self) -> Vec<u64> {
        let asked = self.elsewhere.asked.lock().unwrap();
        let pairs = asked.windows(2);
        pairs
            .map(|pair| (pair[1].0 - pair[0].0).as_secs())
            .collect()
    }

    fn tickets(&self) -> Vec<u32> {
        let asked = self.elsewhere.asked.lock().unwrap();
        asked.iter().map(|(_, ticket)| *ticket).collect()
    }
}

fn wants(action: Action) -> Message {
    Message {
        action,
        by: "operator".into(),
        reason: None,
    }
}

fn approved(by: &str) -> Message {
    wants(Action::Event {
        name: "approved".into(),
        payload: Json::of(&by).unwrap(),
    })
}

async fn reaches<St: Store<Tx = MemoryTx>>(
    node: &Node<Elsewhere, St>,
    plan: PlanId,
    is_there: impl Fn(&Plan) -> bool,
) -> Arc<Plan> {
    for _ in 0..100_000 {
        let now = node.plan(plan).await.unwrap();
        if is_there(&now) {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never reached: {:?}", node.plan(plan).await.unwrap());
}

fn step_is(step: usize, state: StepState) -> impl Fn(&Plan) -> bool {
    move |plan| plan.steps[step].state == state
}

#[tokio::test(start_paused = true)]
async fn an_event_wakes_the_step_that_waits_for_it_and_of_two_the_first_counts() {
    let house = House::new(&[Answer::Done]);
    let node = house.node().await;
    let id = node.submit(&Order, None).await.unwrap();
    let waiting = reaches(&node, id, step_is(0, StepState::Suspended)).await;
    let task = node.explained(&waiting).await.unwrap();
    assert_eq!(task.waiting_for[0].kind, WaitingKind::Event);
    assert_eq!(
        task.waiting_for[0].text,
        "event `approved`, for step approval"
    );
    assert!(task.waiting_for[0].until.is_some());

    node.act(id, approved("ann")).await.unwrap();
    node.act(id, approved("bob")).await.unwrap();
    let ended = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(ended.result, PlanResult::Success, "{ended:?}");
    assert_eq!(ended.output_of("approval").unwrap().text(), "\"ann\"");
    let late = node.act(id, approved("cid")).await.unwrap_err();
    assert!(
        late.to_string().contains("receive event `approved`"),
        "{late}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_that_comes_too_early_is_kept_also_over_a_restart() {
    let house = House::new(&[Answer::Done]);
    let node = house.node().await;
    let id = node.submit(&Order, None).await.unwrap();
    node.act(id, wants(Action::Hold)).await.unwrap();
    node.act(id, approved("ann")).await.unwrap();
    node.kill().await;

    let heir = house.node().await;
    heir.act(id, wants(Action::Release)).await.unwrap();
    let ended = heir.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(ended.result, PlanResult::Success);
    assert_eq!(ended.output_of("approval").unwrap().text(), "\"ann\"");
}

#[tokio::test(start_paused = true)]
async fn a_wait_without_the_event_ends_with_its_time_and_a_resume_waits_again() {
    let house = House::new(&[Answer::Done]);
    let node = house.node().await;
    let id = node.submit(&Order, None).await.unwrap();
    let begun = Instant::now();

    let paused = node.wait(id, FOR_EVER).await.unwrap();
    assert_eq!(paused.state, PlanState::Paused);
    let why = &paused.steps[0].error.as_ref().unwrap().message;
    assert_eq!(why, "nobody approved it in time");
    let took = begun.elapsed();
    assert!(took >= AN_HOUR && took <= AN_HOUR + Duration::from_millis(50));
    node.act(id, wants(Action::Resume)).await.unwrap();
    node.act(id, approved("ann")).await.unwrap();

    let ended = node.wait(id, FOR_EVER).await.unwrap();
    assert_eq!(ended.result, PlanResult::Success);
}

#[tokio::test(start_paused = true)]
async fn a_sleep_is_as_long_as_it_was_however_often_the_node_restarts() {
    let house = House::new(&[Answer::Done]);
    let mut node = house.node().await;
    let id = node.submit(&Order, None).await.unwrap();
    node.act(id, approved("ann")).await.unwrap();
    reaches(&node, id, step_is(1, StepState::Suspended)).await;

    for _ in 0..5 {
        tokio::time::advance(Duration::from_mins(10)).await;
        node.kill().await;
        node = house.node().await;
    }
    let over = reaches(&node, id, step_is(1, StepState::Success)).await;

    let slept = over.steps[1].tries.last().unwrap();
    let took = slept.ended_at.unwrap().since(slept.started_at);
    assert!(
        took >= AN_HOUR && took <= AN_HOUR + Duration::from_millis(50),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn polls_come_less_and_less_often_leave_no_row_and_some_may_fail() {
    use Answer::{Busy, Done, NotYet};
    let house = House::new(&[NotYet, NotYet, Busy, Busy, NotYet, NotYet, Done]);
    let node = house.node().await;
    let id = node.submit(&Order, None).await.unwrap();
    node.act(id, approved("ann")).await.unwrap();
    let asked = reaches(&node, id, step_is(2, StepState::Suspended)).await;

    let ended = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(ended.result, PlanResult::Success);
    assert_eq!(house.gaps(), [1, 2, 4, 8, 8, 8]);
    assert_eq!(ended.seq, asked.seq + 1, "the end is the only further row");
}

#[tokio::test(start_paused = true)]
async fn polls_that_fail_too_often_in_a_row_fail_the_attempt_and_its_ticket_is_asked_first_again() {
    use Answer::{Busy, Done};
    let house = House::new(&[Busy; 6]);
    let node = house.node().await;
    let id = node.submit(&Order, None).await.unwrap();
    node.act(id, approved("ann")).await.unwrap();
    let paused = node.wait(id, FOR_EVER).await.unwrap();
    assert_eq!(paused.state, PlanState::Paused);

    house.answers(&[Done]);
    node.act(id, wants(Action::Resume)).await.unwrap();
    let ended = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(ended.output_of("ship").unwrap().text(), "\"by ship 1\"");
    assert_eq!(*house.elsewhere.started.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn when_the_old_ticket_has_failed_a_resume_starts_the_work_anew() {
    use Answer::{Done, Failed};
    let house = House::new(&[Failed]);
    let node = house.node().await;
    let id = node.submit(&Order, None).await.unwrap();
    node.act(id, approved("ann")).await.unwrap();
    node.wait(id, FOR_EVER).await.unwrap();

    house.answers(&[Failed, Done]);
    node.act(id, wants(Action::Resume)).await.unwrap();
    let ended = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(ended.output_of("ship").unwrap().text(), "\"by ship 2\"");
    assert_eq!(house.tickets(), [1, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn work_elsewhere_that_never_ends_fails_after_its_time() {
    let house = House::new(&[]);
    let node = house.node().await;
    let id = node.submit(&Order, None).await.unwrap();
    node.act(id, approved("ann")).await.unwrap();

    let paused = node.wait(id, FOR_EVER).await.unwrap();

    let error = paused.steps[2].error.as_ref().unwrap();
    assert_eq!(error.class, "timeout");
    assert_eq!(
        error.message,
        "the work elsewhere did not end within 7200 s"
    );
}
