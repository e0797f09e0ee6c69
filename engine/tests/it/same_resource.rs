//! A workflow that names one resource in several of its locks.

use engine::clock::{Clock, Timestamp};
use engine::journal::{NodeId, PlanId, PlanResult};
use engine::lock::{Lock, LockMode, LockRequest, OnPause};
use engine::node::{Node, NodeOptions, Workflows};
use engine::plan::Plan;
use engine::step::{ContextOf, Declared, Services, Step, StepError};
use engine::store::memory::{Memory, MemoryTx};
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const FOR_EVER: Duration = Duration::from_hours(1);

struct Nothing;

impl Services for Nothing {
    type Tx = MemoryTx;
}

/// Which locks a move declares.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum Move {
    WithinOneShelf,
    SharedAndAlone,
    UntilAStepAndALaterOne,
    UntilStepsSideBySide,
    UntilAStepAndTheEnd,
}

impl Workflow for Move {
    const NAME: &'static str = "move";
    const VERSION: u32 = 1;
    type Services = Nothing;

    fn steps() -> Steps<Self> {
        Steps::first(Take)
            .step(Put, after::<Take>())
            .step(Tell, after::<Take>())
    }

    fn action(&self) -> String {
        "Move".into()
    }

    fn locks(&self) -> Vec<Lock> {
        let (alone, shared) = (Lock::exclusive("shelf"), Lock::shared("shelf"));
        match self {
            Self::WithinOneShelf => vec![alone.clone(), alone],
            Self::SharedAndAlone => vec![shared.on_pause(OnPause::Release), alone],
            Self::UntilAStepAndALaterOne => vec![alone.until::<Put>(), shared.until::<Take>()],
            Self::UntilStepsSideBySide => vec![alone.until::<Put>(), shared.until::<Tell>()],
            Self::UntilAStepAndTheEnd => vec![alone, shared.until::<Put>()],
        }
    }
}

macro_rules! steps {
    ($($step:ident is $name:literal)*) => { $(
        struct $step;

        impl Declared for $step {
            const NAME: &'static str = $name;
            type Workflow = Move;
            type Needs = ();
            type Output = ();
        }

        impl Step for $step {
            async fn run(&self, _: &ContextOf<Self>, _: &Move, (): ()) -> Result<(), StepError> {
                Ok(())
            }
        }
    )* };
}

steps! { Take is "take" Put is "put" Tell is "tell" }

async fn moved(node: &Node<Nothing, Memory>, which: Move) -> Arc<Plan> {
    let id: PlanId = node.submit(&which, None).await.unwrap();
    node.wait(id, FOR_EVER).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_task_with_two_locks_of_one_resource_has_one_that_is_as_strong_and_lasts_as_long() {
    let options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "node");
    let clock = Clock::of_runtime(Timestamp(1_700_000_000_000));
    let knows = Workflows::default().register::<Move>().unwrap();
    let (store, services) = (Memory::default(), Arc::new(Nothing));
    let node = Node::start(options, store, services, knows, clock, None);
    let node = node.await.unwrap();
    let (put, end) = (Some(1), None);

    for (which, until) in [
        (Move::WithinOneShelf, end),
        (Move::SharedAndAlone, end),
        (Move::UntilAStepAndALaterOne, put),
        (Move::UntilStepsSideBySide, end),
        (Move::UntilAStepAndTheEnd, end),
    ] {
        let ended = moved(&node, which).await;

        assert_eq!(ended.result, PlanResult::Success, "it waits for itself");
        let asked: Vec<LockRequest> = ended.locks.iter().map(|it| it.request.clone()).collect();
        let lock = LockRequest {
            resource: "shelf".into(),
            mode: LockMode::Exclusive,
            until,
            on_pause: OnPause::Hold,
        };
        assert_eq!(asked, [lock]);
    }
}
