//! Workflows that use everything the engine has, and the world that they change.

use super::closures::Closures;
use super::house::{self, House};
use super::scene::Dice;
use super::tally::{Deed, Tally};
use crate::journal::{PlanId, Rescue};
use crate::lock::{Lock, OnPause};
use crate::node::{Node, Workflows};
use crate::priority::Priority;
use crate::step::{
    Begun, Child, ContextOf, Declared, Policy, Polled, PollingStep, Received, Services,
    SpawningStep, Step, StepError, TransactionalStep, Until,
};
use crate::store::Store;
use crate::store::memory::MemoryTx;
use crate::workflow::{DeclarationError, Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// A step of a plan.
pub(super) type Place = (PlanId, &'static str);

/// What is seen from outside.
#[derive(Debug)]
pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) tally: Arc<Tally>,
    pub(super) troubled: AtomicBool,
    /// What stands behind the gate answers nobody.
    pub(super) down: AtomicBool,
    pub(super) seen: Mutex<BTreeMap<Place, Seen>>,
    /// The gates that people keep closed.
    pub(super) closures: Closures,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Bodies that began.
    pub(super) runs: u32,
    /// Bodies that undo that began.
    pub(super) undos: u32,
    /// Its effect is there.
    pub(super) there: bool,
}

impl Services for World {
    type Tx = MemoryTx;
}

impl World {
    fn see(&self, place: Place, what: impl FnOnce(&mut Seen)) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        what(seen.entry(place).or_default());
    }

    async fn takes_time(&self) {
        let time = self.dice.below(40);
        tokio::time::sleep(Duration::from_millis(time.into())).await;
    }

    pub(super) fn is_troubled(&self) -> bool {
        self.troubled.load(Ordering::Relaxed)
    }

    pub(super) fn trouble(&self) -> Result<(), StepError> {
        if !self.is_troubled() {
            return Ok(());
        }
        match self.dice.below(24) {
            0..3 => Err(StepError::transient("busy")),
            3 => Err(StepError::permanent("broken")),
            4 => panic!("fell over"),
            _ => Ok(()),
        }
    }

    /// Steps that go through the gate find what stands behind it down, or not.
    fn answers(&self, (_, step): Place) -> Result<(), StepError> {
        if GATED.contains(&step) && self.down.load(Ordering::Relaxed) {
            return Err(StepError::transient("the backend is down"));
        }
        Ok(())
    }

    /// A body that changes the world, or fails without having done so.
    pub(super) async fn change(&self, place: Place) -> Result<(), StepError> {
        self.see(place, |seen| seen.runs += 1);
        self.takes_time().await;
        self.answers(place)?;
        self.trouble()?;
        self.see(place, |seen| seen.there = true);
        self.takes_time().await;
        Ok(())
    }

    pub(super) async fn undo(&self, place: Place) -> Result<(), StepError> {
        self.see(place, |seen| seen.undos += 1);
        self.takes_time().await;
        self.answers(place)?;
        self.trouble()?;
        self.see(place, |seen| seen.there = false);
        Ok(())
    }
}

/// Everything in one plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Big {
    pub(super) n: u32,
}

/// A sub-task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Small {
    pub(super) n: u32,
}

impl Workflow for Big {
    const NAME: &'static str = "big";
    const VERSION: u32 = 1;
    type Services = World;

    fn steps() -> Steps<Self> {
        Steps::first(Plain)
            .step(Written, after::<Plain>())
            .step(WrittenToo, after::<Written>())
            .step(Elsewhere, after::<Plain>())
            .step(Once, after::<Plain>())
            .step(Optional, after::<Elsewhere>())
            .step(Spawns, after::<(WrittenToo, Once)>())
            .step(Told, after::<(Spawns, Optional)>())
            .step(Last, after::<Told>())
    }

    fn action(&self) -> String {
        format!("Big {}", self.n)
    }

    fn locks(&self) -> Vec<Lock> {
        // One ends in the middle and the other with the plan: a revert asks for the first again while it has the second.
        let (early, late) = (format!("r{}", self.n % 3), format!("s{}", self.n % 2));
        vec![
            Lock::exclusive(early)
                .until::<Spawns>()
                .on_pause(OnPause::Release),
            Lock::exclusive(late).on_pause(OnPause::Release),
        ]
    }

    fn revertible_for() -> Option<Duration> {
        Some(Duration::from_hours(100))
    }

    fn priority(&self) -> Priority {
        priority_of(self.n)
    }

    fn organization(&self) -> Option<String> {
        organization_of(self.n)
    }
}

/// Urgent, usual and background work.
pub(super) fn priority_of(n: u32) -> Priority {
    match n % 3 {
        0 => Priority::Background,
        1 => Priority::Normal,
        _ => Priority::Urgent,
    }
}

pub(super) fn organization_of(n: u32) -> Option<String> {
    n.is_multiple_of(2).then(|| "even".to_owned())
}

impl Workflow for Small {
    const NAME: &'static str = "small";
    const VERSION: u32 = 1;
    type Services = World;

    fn steps() -> Steps<Self> {
        Steps::first(SmallPlain).step(SmallWritten, after::<SmallPlain>())
    }

    fn action(&self) -> String {
        format!("Small {}", self.n)
    }

    fn locks(&self) -> Vec<Lock> {
        // A parent that has it alone goes on without a sub-task that waits for it.
        let shared = Lock::shared(format!("r{}", self.n % 3)).on_pause(OnPause::Release);
        if self.n.is_multiple_of(2) {
            Vec::new()
        } else {
            vec![shared]
        }
    }

    fn at_once() -> Option<usize> {
        Some(2)
    }
}

macro_rules! declared {
    ($($step:ident of $workflow:ident is $name:literal, $policy:expr, needs $needs:ty;)*) => { $(
        pub(super) struct $step;
        impl Declared for $step {
            const NAME: &'static str = $name;
            const POLICY: Policy = $policy;
            type Workflow = $workflow;
            type Needs = $needs;
            type Output = u32;
        }
    )* };
}

/// The gate of the only backend, and the steps that go through it.
pub(super) const BACKEND: &str = "backend";
const GATED: [&str; 3] = ["plain", "elsewhere", "small_plain"];

pub(super) const QUICK: Policy = Policy::idempotent()
    .attempts(3)
    .timeout(Duration::from_secs(5));

declared! {
    Plain of Big is "plain", QUICK.undoable().gate(BACKEND), needs ();
    Written of Big is "written", QUICK.undoable(), needs Plain;
    WrittenToo of Big is "written_too", QUICK.undoable(), needs Written;
    Elsewhere of Big is "elsewhere", QUICK.undoable().gate(BACKEND).polled(Duration::from_millis(50), Duration::from_secs(1)), needs Plain;
    Once of Big is "once", Policy::once().undoable(), needs Plain;
    Optional of Big is "optional", QUICK.rescue(Rescue::Skip), needs ();
    Spawns of Big is "spawns", QUICK, needs (WrittenToo, Once);
    Told of Big is "told", QUICK, needs Option<Optional>;
    Last of Big is "last", QUICK.undoable().rescue(Rescue::Revert), needs Told;
    SmallPlain of Small is "small_plain", QUICK.undoable().gate(BACKEND), needs ();
    SmallWritten of Small is "small_written", QUICK.rescue(Rescue::Fail), needs SmallPlain;
}

macro_rules! changes_the_world {
    ($($step:ident needs $needs:ty;)*) => { $(
        impl Step for $step {
            async fn run(&self, cx: &ContextOf<Self>, input: &<Self as Declared>::Workflow, _: $needs) -> Result<u32, StepError> {
                cx.services.change((cx.plan(), Self::NAME)).await?;
                Ok(input.n)
            }
            async fn compensate(&self, cx: &ContextOf<Self>, _: &<Self as Declared>::Workflow, _: u32) -> Result<(), StepError> {
                cx.services.undo((cx.plan(), Self::NAME)).await
            }
        }
    )* };
}

changes_the_world! {
    Plain needs ();
    Once needs u32;
    Optional needs ();
    Last needs u32;
    SmallPlain needs ();
}

/// The key of a transactional step's row in the application's table.
pub(super) fn row_of(plan: PlanId, step: &str) -> String {
    format!("{plan} {step}")
}

macro_rules! writes {
    ($($step:ident;)*) => { $(
        impl TransactionalStep for $step {
            async fn run(&self, tx: &mut MemoryTx, cx: &ContextOf<Self>, input: &<Self as Declared>::Workflow, _: u32) -> Result<u32, StepError> {
                cx.services.see((cx.plan(), Self::NAME), |seen| seen.runs += 1);
                cx.services.trouble()?;
                let row = tx.table().entry(row_of(cx.plan(), Self::NAME)).or_default();
                row.push('x');
                Ok(input.n)
            }
            async fn compensate(&self, tx: &mut MemoryTx, cx: &ContextOf<Self>, _: &<Self as Declared>::Workflow, _: u32) -> Result<(), StepError> {
                cx.services.see((cx.plan(), Self::NAME), |seen| seen.undos += 1);
                cx.services.trouble()?;
                tx.table().remove(&row_of(cx.plan(), Self::NAME));
                Ok(())
            }
        }
    )* };
}

/// These bodies write through the transaction that records them.
pub(super) const IN_TRANSACTION: [&str; 3] = ["written", "written_too", "small_written"];

writes! {
    Written;
    WrittenToo;
    SmallWritten;
}

impl PollingStep for Elsewhere {
    type Ticket = u32;

    async fn start(
        &self,
        cx: &ContextOf<Self>,
        input: &Big,
        _: u32,
    ) -> Result<Begun<u32, u32>, StepError> {
        cx.services.change((cx.plan(), Self::NAME)).await?;
        Ok(if input.n.is_multiple_of(4) {
            Begun::Done(input.n)
        } else {
            Begun::Ticket(input.n)
        })
    }

    async fn poll(
        &self,
        cx: &ContextOf<Self>,
        _: &Big,
        ticket: &u32,
    ) -> Result<Polled<u32>, StepError> {
        cx.services.tally.note(Deed::Poll);
        cx.services.trouble()?;
        Ok(match cx.services.dice.below(4) {
            0 => Polled::Done(*ticket),
            1 => Polled::Wait(Duration::from_secs(3)),
            _ => Polled::NotYet,
        })
    }

    async fn compensate(&self, cx: &ContextOf<Self>, _: &Big, _: u32) -> Result<(), StepError> {
        cx.services.undo((cx.plan(), Self::NAME)).await
    }
}

impl SpawningStep for Spawns {
    type Child = Small;
    const UNTIL: Until = Until::EndedOrStuck;
    const AT_ONCE: u32 = 2;

    async fn children(
        &self,
        cx: &ContextOf<Self>,
        input: &Big,
        _: (u32, u32),
    ) -> Result<Vec<(String, Small)>, StepError> {
        cx.services.trouble()?;
        let small = |n| (format!("small {n}"), Small { n });
        Ok((0..input.n % 4).map(small).collect())
    }

    async fn gather(
        &self,
        cx: &ContextOf<Self>,
        _: &Big,
        children: &[Child],
    ) -> Result<u32, StepError> {
        cx.services.trouble()?;
        let done = children.iter().filter(|child| child.is_done()).count();
        Ok(u32::try_from(done).unwrap_or(u32::MAX))
    }
}

impl PollingStep for Told {
    type Ticket = ();

    async fn start(
        &self,
        _: &ContextOf<Self>,
        input: &Big,
        _: Option<u32>,
    ) -> Result<Begun<u32, ()>, StepError> {
        Ok(match input.n % 3 {
            0 => Begun::Sleep(Duration::from_secs(2)),
            _ => Begun::Event {
                name: "told".into(),
                within: Some(Duration::from_secs(4)),
            },
        })
    }

    async fn poll(&self, _: &ContextOf<Self>, _: &Big, (): &()) -> Result<Polled<u32>, StepError> {
        Err(StepError::permanent("it has no ticket"))
    }

    async fn received(
        &self,
        cx: &ContextOf<Self>,
        _: &Big,
        event: Received,
    ) -> Result<u32, StepError> {
        cx.services.trouble()?;
        match event {
            Received::Event(payload) => {
                cx.services.tally.note(Deed::Event);
                payload.decode().map_err(StepError::permanent)
            }
            Received::TimeIsOver => {
                cx.services.tally.note(Deed::Timer);
                Ok(0)
            }
        }
    }
}

/// What every node knows, declared once for all runs.
pub(super) fn workflows() -> Result<Workflows<World>, String> {
    static KNOWN: LazyLock<Result<Workflows<World>, DeclarationError>> = LazyLock::new(|| {
        let workflows = Workflows::default()
            .register::<Big>()?
            .register::<Small>()?;
        house::register(workflows)
    });
    KNOWN.as_ref().cloned().map_err(ToString::to_string)
}

/// How many kinds of plans [`submit`] knows.
pub(super) const KINDS: u32 = 20;

pub(super) async fn submit<St: Store<Tx = MemoryTx>>(
    node: &Node<World, St>,
    n: u32,
) -> Option<PlanId> {
    let actor = Some(format!("user {n}"));
    let submitted = match n.checked_sub(12) {
        None => node.submit(&Big { n }, actor).await,
        Some(n) => node.submit(&House { n, note: n }, actor).await,
    };
    submitted.ok()
}
