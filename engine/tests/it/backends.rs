//! Steps that are a write of their own transaction where their backend is in the store, and work elsewhere where it is a server.

use engine::check::check;
use engine::clock::{Clock, Timestamp};
use engine::journal::{NodeId, PlanResult};
use engine::node::{Node, NodeOptions, Workflows};
use engine::state::StepState;
use engine::step::{
    Begun, ContextOf, Declared, Policy, Polled, PollingStep, Services, StepError, TransactionalStep,
};
use engine::store::Store;
use engine::store::memory::{Memory, MemoryTx};
use engine::workflow::{BackendPlace, Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

const FOR_EVER: Duration = Duration::from_hours(1000);

const START: Timestamp = Timestamp(1_700_000_000_000);

/// What was called, in its order.
#[derive(Default)]
struct Calls(Mutex<Vec<&'static str>>);

impl Calls {
    fn note(&self, call: &'static str) {
        self.0.lock().unwrap().push(call);
    }
}

impl Services for Calls {
    type Tx = MemoryTx;
}

#[derive(Serialize, Deserialize)]
struct Delivery;

impl Workflow for Delivery {
    const NAME: &'static str = "delivery";
    const VERSION: u32 = 1;
    type Services = Calls;

    fn steps() -> Steps<Self> {
        Steps::first(Prepare)
            .step_of_backend(Deliver, after::<Prepare>())
            .step(Sign, after::<Deliver>())
    }

    fn action(&self) -> String {
        "Delivery".into()
    }
}

struct Prepare;

impl Declared for Prepare {
    const NAME: &'static str = "prepare";
    type Workflow = Delivery;
    type Needs = ();
    type Output = ();
}

impl TransactionalStep for Prepare {
    async fn run(
        &self,
        _: &mut MemoryTx,
        _: &ContextOf<Self>,
        _: &Delivery,
        (): (),
    ) -> Result<(), StepError> {
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Deliver;

impl Declared for Deliver {
    const NAME: &'static str = "deliver";
    const POLICY: Policy = Policy::idempotent().gate("warehouse");
    const ELSEWHERE: Policy = Policy::idempotent().gate("carrier").attempts(2);
    type Workflow = Delivery;
    type Needs = Prepare;
    type Output = String;
}

impl TransactionalStep for Deliver {
    async fn run(
        &self,
        _: &mut MemoryTx,
        cx: &ContextOf<Self>,
        _: &Delivery,
        (): (),
    ) -> Result<String, StepError> {
        cx.services.note("run");
        Ok("from the shelf".into())
    }
}

impl PollingStep for Deliver {
    type Ticket = u32;

    async fn start(
        &self,
        cx: &ContextOf<Self>,
        _: &Delivery,
        (): (),
    ) -> Result<Begun<String, u32>, StepError> {
        cx.services.note("start");
        Ok(Begun::Later(7, Duration::from_millis(300)))
    }

    async fn poll(
        &self,
        cx: &ContextOf<Self>,
        _: &Delivery,
        ticket: &u32,
    ) -> Result<Polled<String>, StepError> {
        cx.services.note("poll");
        assert_eq!(cx.clock().now(), START + Duration::from_millis(300));
        Ok(Polled::Done(format!("by parcel {ticket}")))
    }
}

struct Sign;

impl Declared for Sign {
    const NAME: &'static str = "sign";
    type Workflow = Delivery;
    type Needs = Deliver;
    type Output = String;
}

impl TransactionalStep for Sign {
    async fn run(
        &self,
        _: &mut MemoryTx,
        _: &ContextOf<Self>,
        _: &Delivery,
        how: String,
    ) -> Result<String, StepError> {
        Ok(format!("received {how}"))
    }
}

/// The calls, the last output, and the gate and the attempts of the step in the plan's graph.
async fn delivered(place: BackendPlace) -> (Vec<&'static str>, String, Option<String>, u32) {
    let (store, calls) = (Memory::default(), Arc::<Calls>::default());
    let clock = Clock::of_runtime(START);
    let options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "node");
    let knows = Workflows::default()
        .backend(place)
        .register::<Delivery>()
        .unwrap();
    let node = Node::start(options, store.clone(), calls.clone(), knows, clock, None);
    let node: Node<Calls, Memory> = node.await.unwrap();

    let id = node.submit(&Delivery, None).await.unwrap();
    let plan = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(plan.result, PlanResult::Success);
    assert_eq!(plan.steps[1].state, StepState::Success);
    let rows = store.load(id).await.unwrap();
    assert_eq!(check(id, &rows), Vec::<String>::new());
    let step = &plan.graph()[1];
    let signed = plan.steps[2].output.as_ref().unwrap().decode().unwrap();
    let calls = calls.0.lock().unwrap().clone();
    (calls, signed, step.gate.clone(), step.attempts)
}

#[tokio::test(start_paused = true)]
async fn a_step_of_a_backend_here_is_a_write_of_its_own_transaction() {
    let (calls, signed, gate, attempts) = delivered(BackendPlace::Here).await;

    assert_eq!(calls, ["run"]);
    assert_eq!(signed, "received from the shelf");
    assert_eq!((gate.as_deref(), attempts), (Some("warehouse"), 5));
}

#[tokio::test(start_paused = true)]
async fn a_step_of_a_backend_elsewhere_is_begun_and_asked_for_by_its_other_policy() {
    let (calls, signed, gate, attempts) = delivered(BackendPlace::Elsewhere).await;

    assert_eq!(calls, ["start", "poll"]);
    assert_eq!(signed, "received by parcel 7");
    assert_eq!((gate.as_deref(), attempts), (Some("carrier"), 2));
}
