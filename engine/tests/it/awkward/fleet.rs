//! A plan with locks, whose sub-tasks need them too: some inside the parent's, some beside it.

use super::shapes::workflow;
use super::yard::{Sample, Yard, step};
use engine::lock::{Lock, OnPause};
use engine::node::Workflows;
use engine::step::{
    Child, Context, ContextOf, Policy, SpawningStep, Step, StepError, Until, all_done,
};
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const UNDOABLE: Policy = Policy::idempotent().undoable();
const BOATS: [&str; 3] = ["boat 0", "boat 1", "boat 2"];

workflow!(bare
    Fleet "fleet",
    Steps::first(Assemble)
        .step(Moor, after::<Assemble>())
        .step(Tow, after::<Moor>())
        .step(Muster, after::<Tow>()),
    fn locks(&self) -> Vec<Lock> {
        vec![
            Lock::exclusive("quay").until::<Tow>().on_pause(OnPause::Release),
            Lock::shared("harbour").on_pause(OnPause::Release),
        ]
    },
    fn revertible_for() -> Option<Duration> {
        Some(Duration::from_hours(1))
    }
);
step!(plain Assemble "assemble" of Fleet, needs (), UNDOABLE);
step!(declared Moor "moor" of Fleet, needs Assemble, Policy::idempotent());
step!(declared Tow "tow" of Fleet, needs Moor, Policy::idempotent());
step!(transactional Muster "muster" of Fleet, needs Tow, UNDOABLE);

impl Sample for Fleet {
    const STAYS: &'static [&'static str] = &["boat 0", "boat 1", "boat 2", "tug"];

    fn sample() -> Self {
        Self
    }

    fn known() -> Workflows<Yard> {
        let known = Workflows::default().register::<Self>();
        let known = known.and_then(Workflows::register::<Boat>);
        known.and_then(Workflows::register::<Tug>).unwrap()
    }
}

/// Its parent waits for its end: it runs inside the locks of that.
#[derive(Serialize, Deserialize)]
pub(in crate::it::awkward) struct Boat(usize);

impl Workflow for Boat {
    const NAME: &'static str = "boat";
    const VERSION: u32 = 1;
    type Services = Yard;

    fn steps() -> Steps<Self> {
        Steps::first(Fasten)
    }

    fn action(&self) -> String {
        format!("Boat {}", self.0)
    }

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::shared("harbour"), Lock::exclusive("quay")]
    }
}

step!(declared Fasten "fasten" of Boat, needs (), Policy::idempotent());

impl Step for Fasten {
    async fn run(&self, cx: &Context<Boat>, boat: &Boat, (): ()) -> Result<u32, StepError> {
        cx.services.put(BOATS[boat.0]);
        Ok(1)
    }
}

impl SpawningStep for Moor {
    type Child = Boat;
    const AT_ONCE: u32 = 2;

    async fn children(
        &self,
        _: &ContextOf<Self>,
        _: &Fleet,
        _: u32,
    ) -> Result<Vec<(String, Boat)>, StepError> {
        let boat = |n: usize| (BOATS[n].to_owned(), Boat(n));
        Ok((0..BOATS.len()).map(boat).collect())
    }

    async fn gather(
        &self,
        _: &ContextOf<Self>,
        _: &Fleet,
        children: &[Child],
    ) -> Result<u32, StepError> {
        all_done(children)?;
        Ok(1)
    }
}

// Its parent goes on where it is stuck: it has a lock of its own, of a resource that it shares with its parent.
workflow!(bare
    Tug "tug",
    Steps::first(Pull),
    fn locks(&self) -> Vec<Lock> {
        vec![Lock::shared("harbour")]
    }
);
step!(plain Pull "tug" of Tug, needs (), Policy::idempotent());

impl SpawningStep for Tow {
    type Child = Tug;
    const UNTIL: Until = Until::EndedOrStuck;

    async fn children(
        &self,
        _: &ContextOf<Self>,
        _: &Fleet,
        _: u32,
    ) -> Result<Vec<(String, Tug)>, StepError> {
        Ok(vec![("tug".into(), Tug)])
    }

    async fn gather(
        &self,
        _: &ContextOf<Self>,
        _: &Fleet,
        children: &[Child],
    ) -> Result<u32, StepError> {
        all_done(children)?;
        Ok(1)
    }
}
