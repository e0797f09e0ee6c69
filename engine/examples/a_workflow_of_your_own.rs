//! A workflow with sub-tasks, a compensation and a schedule: two mornings, and on the second one the bread runs out.

use engine::clock::{Clock, Timestamp};
use engine::journal::{Json, NodeId, Rescue};
use engine::node::{BuiltIn, Node, NodeOptions, Workflows};
use engine::schedule::Missed;
use engine::search::Search;
use engine::step::{Child, ContextOf, Declared, Policy, Services, SpawningStep, Step, StepError};
use engine::store::Page;
use engine::store::memory::{Memory, MemoryTx};
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// What steps may use.
struct Kitchen {
    slices: AtomicU32,
}
impl Services for Kitchen {
    type Tx = MemoryTx;
}

#[derive(Serialize, Deserialize)]
struct Breakfast {
    guests: u32,
}
impl Workflow for Breakfast {
    const NAME: &'static str = "breakfast";
    const VERSION: u32 = 1;
    type Services = Kitchen;
    fn steps() -> Steps<Self> {
        Steps::first(LayTable)
            .step(Toasts, after::<LayTable>())
            .step(Serve, after::<Toasts>())
    }
    fn action(&self) -> String {
        format!("Breakfast for {}", self.guests)
    }
}

struct LayTable;
impl Declared for LayTable {
    const NAME: &'static str = "lay_table";
    const POLICY: Policy = Policy::idempotent().undoable(); // `compensate` takes it back
    type Workflow = Breakfast;
    type Needs = ();
    type Output = u32;
}
impl Step for LayTable {
    async fn run(&self, _: &ContextOf<Self>, input: &Breakfast, (): ()) -> Result<u32, StepError> {
        println!("  lay {} plates", input.guests);
        Ok(input.guests)
    }
    async fn compensate(
        &self,
        _: &ContextOf<Self>,
        _: &Breakfast,
        plates: u32,
    ) -> Result<(), StepError> {
        println!("  put {plates} plates back");
        Ok(())
    }
}

struct Toasts;
impl Declared for Toasts {
    const NAME: &'static str = "toasts";
    const POLICY: Policy = Policy::idempotent().rescue(Rescue::Revert); // without toast there is no breakfast
    type Workflow = Breakfast;
    type Needs = ();
    type Output = usize;
}
impl SpawningStep for Toasts {
    type Child = Toast;
    const AT_ONCE: u32 = 1; // it is a small toaster
    async fn children(
        &self,
        _: &ContextOf<Self>,
        input: &Breakfast,
        (): (),
    ) -> Result<Vec<(String, Toast)>, StepError> {
        let toast = |guest: u32| (format!("guest {guest}"), Toast { guest });
        Ok((1..=input.guests).map(toast).collect())
    }
    async fn gather(
        &self,
        _: &ContextOf<Self>,
        _: &Breakfast,
        toasts: &[Child],
    ) -> Result<usize, StepError> {
        engine::step::all_done(toasts)?;
        Ok(toasts.len())
    }
}

struct Serve;
impl Declared for Serve {
    const NAME: &'static str = "serve";
    type Workflow = Breakfast;
    type Needs = Toasts;
    type Output = ();
}
impl Step for Serve {
    async fn run(
        &self,
        _: &ContextOf<Self>,
        _: &Breakfast,
        toasts: usize,
    ) -> Result<(), StepError> {
        println!("  serve {toasts} toasts");
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct Toast {
    guest: u32,
}
impl Workflow for Toast {
    const NAME: &'static str = "toast";
    const VERSION: u32 = 1;
    type Services = Kitchen;
    fn steps() -> Steps<Self> {
        Steps::first(Bake)
    }
    fn action(&self) -> String {
        format!("Toast for guest {}", self.guest)
    }
}

struct Bake;
impl Declared for Bake {
    const NAME: &'static str = "bake";
    const POLICY: Policy = Policy::idempotent().rescue(Rescue::Fail); // it ends with `error`, and its parent hears of it
    type Workflow = Toast;
    type Needs = ();
    type Output = ();
}
impl Step for Bake {
    async fn run(&self, cx: &ContextOf<Self>, toast: &Toast, (): ()) -> Result<(), StepError> {
        let slices = &cx.services.slices;
        let taken = slices.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        taken.map_err(|_| StepError::permanent("there is no bread left"))?;
        println!("  toast for guest {}", toast.guest);
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)] // two mornings pass in a moment
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = Clock::of_runtime(Timestamp(1_700_000_000_000)); // an evening in November
    let kitchen = Kitchen {
        slices: AtomicU32::new(3),
    };
    let knows = Workflows::default()
        .register::<Breakfast>()?
        .register::<Toast>()?;
    let options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "kitchen");
    let store = Memory::default();
    let node = Node::start(options, store, Arc::new(kitchen), knows, clock, None).await?;

    let every_morning = BuiltIn {
        name: "breakfast",
        workflow: Breakfast::NAME,
        input: Json::of(&Breakfast { guests: 2 })?,
        cron: "0 7 * * *",
        time_zone: "Europe/Berlin",
        missed: Missed::Skip,
    };
    node.make_built_in(vec![every_morning]).await?;
    for morning in 1..=2 {
        println!("morning {morning}");
        clock
            .sleep_until(clock.now() + Duration::from_hours(24))
            .await;
        let found = Search::parse("label = breakfast", clock.now())?;
        let newest = Page {
            limit: 1,
            ..Page::default()
        };
        for task in node.tasks(found, newest).await?.results {
            println!("  {}: {}", task.action, task.result);
        }
    }
    node.drain(Duration::from_secs(1)).await;
    Ok(())
}
