//! Work elsewhere that must not be begun twice, and when work that may be is begun anew.

use engine::check::check;
use engine::clock::{Clock, Timestamp};
use engine::journal::{Action, Message, NodeId, PlanId, PlanResult, Reason};
use engine::node::{Node, NodeOptions, Workflows};
use engine::plan::Plan;
use engine::state::{PlanState, StepState};
use engine::step::{Begun, ContextOf, Declared, Policy, Polled, PollingStep, Services, StepError};
use engine::store::Store;
use engine::store::memory::{Memory, MemoryTx};
use engine::workflow::{Steps, Workflow};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

const FOR_EVER: Duration = Duration::from_hours(1000);

/// What the bank answers who asks for a transfer.
#[derive(Clone, Copy, Default)]
enum Answer {
    #[default]
    NotYet,
    Busy,
    Failed,
    Done,
}

#[derive(Default)]
struct Bank {
    answer: Mutex<Answer>,
    begun: Mutex<u32>,
    undone: Mutex<u32>,
}

impl Services for Bank {
    type Tx = MemoryTx;
}

impl Bank {
    fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn begins(&self) -> u32 {
        let mut begun = self.begun.lock().unwrap();
        *begun += 1;
        *begun
    }

    fn asked(&self) -> Result<Polled<()>, StepError> {
        match *self.answer.lock().unwrap() {
            Answer::NotYet => Ok(Polled::NotYet),
            Answer::Busy => Err(StepError::transient("nobody answers")),
            Answer::Failed => Err(StepError::permanent("there is no such account")),
            Answer::Done => Ok(Polled::Done(())),
        }
    }
}

macro_rules! transfer {
    ($workflow:ident $step:ident is $name:literal, $policy:expr) => {
        #[derive(Serialize, Deserialize)]
        struct $workflow;

        impl Workflow for $workflow {
            const NAME: &'static str = $name;
            const VERSION: u32 = 1;
            type Services = Bank;

            fn steps() -> Steps<Self> {
                Steps::first($step)
            }

            fn action(&self) -> String {
                $name.into()
            }
        }

        struct $step;

        impl Declared for $step {
            const NAME: &'static str = "transfer";
            const POLICY: Policy = $policy;
            type Workflow = $workflow;
            type Needs = ();
            type Output = ();
        }

        impl PollingStep for $step {
            type Ticket = u32;

            async fn start(
                &self,
                cx: &ContextOf<Self>,
                _: &$workflow,
                (): (),
            ) -> Result<Begun<(), u32>, StepError> {
                Ok(Begun::Ticket(cx.services.begins()))
            }

            async fn poll(
                &self,
                cx: &ContextOf<Self>,
                _: &$workflow,
                _: &u32,
            ) -> Result<Polled<()>, StepError> {
                cx.services.asked()
            }

            async fn compensate(
                &self,
                cx: &ContextOf<Self>,
                _: &$workflow,
                (): (),
            ) -> Result<(), StepError> {
                *cx.services.undone.lock().unwrap() += 1;
                Ok(())
            }
        }
    };
}

transfer! { Payment Once is "payment", Policy::once().undoable() }
transfer! { Reminder Often is "reminder", Policy::idempotent().attempts(1).undoable() }

struct House {
    store: Memory,
    bank: Arc<Bank>,
    node: Node<Bank, Memory>,
}

impl House {
    async fn new() -> Self {
        let (store, bank) = (Memory::default(), Arc::<Bank>::default());
        let clock = Clock::of_runtime(Timestamp(1_700_000_000_000));
        let options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "node");
        let knows = Workflows::default()
            .register::<Payment>()
            .and_then(Workflows::register::<Reminder>)
            .unwrap();
        let node = Node::start(options, store.clone(), bank.clone(), knows, clock, None);
        let node = node.await.unwrap();
        Self { store, bank, node }
    }

    async fn begun<W: Workflow<Services = Bank>>(&self, input: &W) -> PlanId {
        let id = self.node.submit(input, None).await.unwrap();
        loop {
            let now = self.node.plan(id).await.unwrap();
            if now.steps[0].state == StepState::Suspended {
                return id;
            }
            self.node.beyond(id, now.seq, FOR_EVER).await.unwrap();
        }
    }

    async fn tell(&self, plan: PlanId, action: Action) {
        let (by, reason) = ("ann".into(), None);
        let message = Message { action, by, reason };
        self.node.act(plan, message).await.unwrap();
    }

    async fn settled(&self, plan: PlanId) -> Arc<Plan> {
        let settled = self.node.wait(plan, FOR_EVER).await.unwrap();
        let rows = self.store.load(plan).await.unwrap();
        assert_eq!(check(plan, &rows), Vec::<String>::new());
        settled
    }

    fn begun_and_undone(&self) -> (u32, u32) {
        let (begun, undone) = (self.bank.begun.lock(), self.bank.undone.lock());
        (*begun.unwrap(), *undone.unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_nobody_can_be_asked_for_any_more_is_interrupted() {
    let house = House::new().await;
    house.bank.answers(Answer::Busy);
    let id = house.begun(&Payment).await;

    let paused = house.settled(id).await;

    assert_eq!(
        (paused.state, paused.reason),
        (PlanState::Paused, Some(Reason::Interrupted))
    );
    assert_eq!(house.begun_and_undone(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_transfer_whose_task_was_cancelled_is_asked_for_and_undone_when_that_is_reverted() {
    let house = House::new().await;
    let id = house.begun(&Payment).await;
    house.tell(id, Action::Cancel).await;
    let cancelled = house.settled(id).await;
    house.bank.answers(Answer::Done);

    house.tell(id, Action::Revert).await;
    let reverted = house.settled(id).await;

    assert_eq!(cancelled.result, PlanResult::Cancelled);
    assert_eq!(reverted.result, PlanResult::Reverted);
    assert_eq!(house.begun_and_undone(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_transfer_that_has_failed_is_not_begun_anew_to_be_undone() {
    let house = House::new().await;
    let id = house.begun(&Payment).await;
    house.tell(id, Action::Cancel).await;
    house.settled(id).await;
    house.bank.answers(Answer::Failed);

    house.tell(id, Action::Revert).await;
    let asks = house.settled(id).await;

    assert_eq!(asks.reason, Some(Reason::CompensationError));
    assert_eq!(house.begun_and_undone(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_transfer_that_a_person_knows_did_not_happen_is_not_begun_to_be_undone() {
    let house = House::new().await;
    let id = house.begun(&Payment).await;
    house.tell(id, Action::Cancel).await;
    house.settled(id).await;
    house.bank.answers(Answer::Busy);

    house.tell(id, Action::Revert).await;
    let asks = house.settled(id).await;
    let (step, output) = ("transfer".into(), None);
    house.tell(id, Action::Resolve { step, output }).await;
    let reverted = house.settled(id).await;

    assert_eq!(asks.reason, Some(Reason::Interrupted));
    assert_eq!(reverted.result, PlanResult::Reverted);
    assert_eq!(house.begun_and_undone(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn work_that_cannot_be_asked_for_now_is_not_begun_anew_by_a_resume() {
    let house = House::new().await;
    house.bank.answers(Answer::Busy);
    let id = house.begun(&Reminder).await;
    house.settled(id).await;

    house.tell(id, Action::Resume).await;
    let still = house.settled(id).await;
    let begun = house.begun_and_undone().0;
    house.bank.answers(Answer::Done);
    house.tell(id, Action::Resume).await;
    let ended = house.settled(id).await;

    assert_eq!(still.reason, Some(Reason::Error));
    assert_eq!(begun, 1);
    assert_eq!(ended.result, PlanResult::Success);
    assert_eq!(house.begun_and_undone().0, 1);
}
