//! A workflow that survives a kill: run it, and see.

use engine::clock::Clock;
use engine::journal::{NodeId, PlanResult};
use engine::node::{Node, NodeOptions, Workflows};
use engine::step::{ContextOf, Declared, Services, Step, StepError};
use engine::store::memory::{Memory, MemoryTx};
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

struct Kitchen;
impl Services for Kitchen {
    type Tx = MemoryTx;
}

#[derive(Serialize, Deserialize)]
struct Tea {
    cups: u32,
}
impl Workflow for Tea {
    const NAME: &'static str = "tea";
    const VERSION: u32 = 1;
    type Services = Kitchen;
    fn steps() -> Steps<Self> {
        Steps::first(Boil).step(Pour, after::<Boil>())
    }
    fn action(&self) -> String {
        format!("Tea for {}", self.cups)
    }
}

struct Boil;
impl Declared for Boil {
    const NAME: &'static str = "boil";
    type Workflow = Tea;
    type Needs = ();
    type Output = u32;
}
impl Step for Boil {
    async fn run(&self, _: &ContextOf<Self>, tea: &Tea, (): ()) -> Result<u32, StepError> {
        println!("boil water for {} cups", tea.cups);
        Ok(tea.cups * 200)
    }
}

struct Pour;
impl Declared for Pour {
    const NAME: &'static str = "pour";
    type Workflow = Tea;
    type Needs = Boil;
    type Output = ();
}
impl Step for Pour {
    async fn run(&self, cx: &ContextOf<Self>, _: &Tea, water: u32) -> Result<(), StepError> {
        println!("pour {water} ml, attempt {}", cx.attempt());
        if cx.attempt() == 1 {
            std::future::pending::<()>().await; // the power goes
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Memory::default();
    let node = start(&store).await?;
    let tea = node.submit(&Tea { cups: 2 }, None).await?;
    while node
        .plan(tea)
        .await?
        .step("pour")
        .is_none_or(|it| it.attempts() == 0)
    {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await; // until the second step is in the middle of its work

    node.kill().await;
    println!("the node is killed");
    let heir = start(&store).await?;

    let ended = heir.wait(tea, Duration::from_secs(10)).await?;
    println!("tea: {}", ended.result);
    assert_eq!(ended.result, PlanResult::Success);
    heir.drain(Duration::from_secs(1)).await;
    Ok(())
}

async fn start(store: &Memory) -> Result<Node<Kitchen, Memory>, Box<dyn std::error::Error>> {
    let options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "kitchen");
    let knows = Workflows::default().register::<Tea>()?;
    let (store, kitchen) = (store.clone(), Arc::new(Kitchen));
    Ok(Node::start(options, store, kitchen, knows, Clock::system(), None).await?)
}
