//! Several plans want one lock: those that share it have it together, and who wants it alone waits for all of them.

use super::shapes::workflow;
use super::yard::{Sample, Yard, step};
use engine::journal::PlanId;
use engine::lock::{Lock, OnPause};
use engine::node::{Node, Workflows};
use engine::step::{Begun, ContextOf, Policy, Polled, PollingStep, StepError};
use engine::store::Store;
use engine::store::memory::MemoryTx;
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const UNDOABLE: Policy = Policy::idempotent().undoable();

/// One beside the proven plan: it has the lock for a while and leaves nothing.
#[derive(Serialize, Deserialize)]
pub(in crate::it::awkward) struct Visitor {
    alone: bool,
}

impl Workflow for Visitor {
    const NAME: &'static str = "visitor";
    const VERSION: u32 = 1;
    type Services = Yard;

    fn steps() -> Steps<Self> {
        Steps::first(Visit)
    }

    fn action(&self) -> String {
        "Visit".into()
    }

    fn locks(&self) -> Vec<Lock> {
        vec![if self.alone {
            Lock::exclusive("slip")
        } else {
            Lock::shared("slip")
        }]
    }
}

step!(declared Visit "visit" of Visitor, needs (), Policy::idempotent());

impl PollingStep for Visit {
    type Ticket = String;

    async fn start(
        &self,
        cx: &ContextOf<Self>,
        _: &Visitor,
        (): (),
    ) -> Result<Begun<u32, String>, StepError> {
        Ok(Begun::Ticket(cx.idempotency_key().to_string()))
    }

    async fn poll(
        &self,
        cx: &ContextOf<Self>,
        _: &Visitor,
        ticket: &String,
    ) -> Result<Polled<u32>, StepError> {
        Ok(if cx.services.is_done(ticket) {
            Polled::Done(1)
        } else {
            Polled::Wait(Duration::from_millis(1))
        })
    }
}

async fn visit<St: Store<Tx = MemoryTx>>(node: &Node<Yard, St>, alone: bool) -> PlanId {
    let visitor = Visitor { alone };
    node.submit(&visitor, Some("bob".into())).await.unwrap()
}

fn and_visitors<W: Workflow<Services = Yard>>() -> Workflows<Yard> {
    let known = Workflows::default().register::<W>();
    known.and_then(Workflows::register::<Visitor>).unwrap()
}

// Two share the lock before it, and it waits for both.
workflow!(bare
    Alone "alone",
    Steps::first(Haul)
        .step(Scrape, after::<Haul>())
        .step(Paint, after::<Scrape>()),
    fn locks(&self) -> Vec<Lock> {
        vec![Lock::exclusive("slip").on_pause(OnPause::Release)]
    },
    fn revertible_for() -> Option<Duration> {
        Some(Duration::from_hours(1))
    }
);
step!(plain Haul "haul" of Alone, needs (), UNDOABLE);
step!(polling Scrape "scrape" of Alone, needs Haul, UNDOABLE);
step!(transactional Paint "paint" of Alone, needs Scrape, UNDOABLE);

impl Sample for Alone {
    const BESIDE: &'static [&'static str] = &["visitor"];

    fn sample() -> Self {
        Self
    }

    fn known() -> Workflows<Yard> {
        and_visitors::<Self>()
    }

    async fn beside<St: Store<Tx = MemoryTx>>(node: &Node<Yard, St>, before: bool) {
        // Two have it together; a third comes after the proven one, and waits for that.
        let visitors = if before { 2 } else { 1 };
        for _ in 0..visitors {
            visit(node, false).await;
        }
    }
}

// It shares the lock with one before it, and one after it wants it alone: that one has it while this one is paused, and before this
// one asks for it again.
workflow!(bare
    Sharing "sharing",
    Steps::first(Enter)
        .step(Look, after::<Enter>())
        .step(Write, after::<Look>())
        .step(Leave, after::<Write>()),
    fn locks(&self) -> Vec<Lock> {
        vec![Lock::shared("slip").until::<Write>().on_pause(OnPause::Release)]
    },
    fn revertible_for() -> Option<Duration> {
        Some(Duration::from_hours(1))
    }
);
step!(plain Enter "enter" of Sharing, needs (), UNDOABLE);
step!(polling Look "look" of Sharing, needs Enter, UNDOABLE);
step!(transactional Write "write" of Sharing, needs Look, UNDOABLE);
step!(plain Leave "leave" of Sharing, needs Write, UNDOABLE);

impl Sample for Sharing {
    const BESIDE: &'static [&'static str] = &["visitor"];

    fn sample() -> Self {
        Self
    }

    fn known() -> Workflows<Yard> {
        and_visitors::<Self>()
    }

    async fn beside<St: Store<Tx = MemoryTx>>(node: &Node<Yard, St>, before: bool) {
        visit(node, !before).await;
    }
}
