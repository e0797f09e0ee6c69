//! Sub-tasks are undone with the plan that wanted them.

use super::post::{FOR_EVER, House, Post, reaches, wants};
use engine::journal::{Action, ENGINE, Message, PlanId, PlanResult};
use engine::lock::Lock;
use engine::plan::Plan;
use engine::state::PlanState;
use engine::step::{Child, ContextOf, Declared, Policy, SpawningStep, Step, StepError, all_done};
use engine::store::{Store, StoreError};
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};

/// Parcels that can be sent back.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Parcels {
    to: Vec<String>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Parcel {
    to: String,
}

impl Workflow for Parcels {
    const NAME: &'static str = "parcels";
    const VERSION: u32 = 1;
    type Services = Post;

    fn steps() -> Steps<Self> {
        Steps::first(Pack).step(SendParcels, after::<Pack>())
    }

    fn action(&self) -> String {
        format!("Parcels to {}", self.to.len())
    }

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::exclusive("van")]
    }
}

impl Workflow for Parcel {
    const NAME: &'static str = "parcel";
    const VERSION: u32 = 1;
    type Services = Post;

    fn steps() -> Steps<Self> {
        Steps::first(HandOver)
    }

    fn action(&self) -> String {
        format!("Parcel to {}", self.to)
    }

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::shared("van")]
    }
}

struct Pack;

impl Declared for Pack {
    const NAME: &'static str = "pack";
    const POLICY: Policy = Policy::idempotent().undoable();
    type Workflow = Parcels;
    type Needs = ();
    type Output = ();
}

impl Step for Pack {
    async fn run(&self, _: &ContextOf<Self>, _: &Parcels, (): ()) -> Result<(), StepError> {
        Ok(())
    }
}

struct SendParcels;

impl Declared for SendParcels {
    const NAME: &'static str = "send_parcels";
    type Workflow = Parcels;
    type Needs = ();
    type Output = ();
}

impl SpawningStep for SendParcels {
    type Child = Parcel;

    async fn children(
        &self,
        _: &ContextOf<Self>,
        input: &Parcels,
        (): (),
    ) -> Result<Vec<(String, Parcel)>, StepError> {
        let parcel = |to: &String| (to.clone(), Parcel { to: to.clone() });
        Ok(input.to.iter().map(parcel).collect())
    }

    async fn gather(
        &self,
        _: &ContextOf<Self>,
        _: &Parcels,
        children: &[Child],
    ) -> Result<(), StepError> {
        all_done(children)
    }
}

struct HandOver;

impl Declared for HandOver {
    const NAME: &'static str = "hand_over";
    const POLICY: Policy = Policy::idempotent().attempts(1).undoable();
    type Workflow = Parcel;
    type Needs = ();
    type Output = ();
}

impl Step for HandOver {
    async fn run(&self, cx: &ContextOf<Self>, parcel: &Parcel, (): ()) -> Result<(), StepError> {
        if cx.services.closed.lock().unwrap().contains(&parcel.to) {
            return Err(StepError::permanent(format!("{} is closed", parcel.to)));
        }
        let mut delivered = cx.services.delivered.lock().unwrap();
        *delivered.entry(parcel.to.clone()).or_default() += 1;
        Ok(())
    }

    async fn compensate(
        &self,
        cx: &ContextOf<Self>,
        parcel: &Parcel,
        (): (),
    ) -> Result<(), StepError> {
        cx.services.delivered.lock().unwrap().remove(&parcel.to);
        Ok(())
    }
}

fn parcels(to: &[&str]) -> Parcels {
    Parcels {
        to: to.iter().map(ToString::to_string).collect(),
    }
}

async fn tell(house: &House, plan: PlanId, by: &str) {
    let message = Message {
        action: Action::Revert,
        by: by.to_owned(),
        reason: None,
    };
    let at = house.clock.now();
    let told = house.store.transact::<i64, StoreError>(Box::new(move |tx| {
        Box::pin(engine::store::memory::Memory::deliver_in(
            tx, plan, message, at,
        ))
    }));
    told.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_reverted_undoes_the_sub_tasks_that_are_stuck() {
    let house = House::new();
    let node = house.node().await;
    house.post.close(&["bob"]);
    let id = node.submit(&parcels(&["ann", "bob"]), None).await.unwrap();
    let stuck = |plan: &Plan| {
        let is = engine::journal::ChildState::Stuck;
        let (mut some, mut done) = (plan.children(), plan.children());
        some.any(|child| child.state == is) && done.any(Child::is_done)
    };
    reaches(&node, id, stuck).await;

    node.act(id, wants(Action::Revert)).await.unwrap();
    let ended = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(ended.result, PlanResult::Reverted, "{ended:?}");
    let results: Vec<PlanResult> = house
        .letters_of(id)
        .await
        .iter()
        .map(|it| it.1.result)
        .collect();
    assert!(results.contains(&PlanResult::Reverted), "{results:?}");
    assert!(
        results.contains(&PlanResult::Success),
        "what is done is undone by a step of the plan: {results:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_sub_task_that_has_ended_is_undone_for_its_parent_and_for_nobody_else() {
    let house = House::new();
    let node = house.node().await;
    let id = node.submit(&parcels(&["ann"]), None).await.unwrap();
    let ended = node.wait(id, FOR_EVER).await.unwrap();
    let parcel = ended.children().next().unwrap().plan.unwrap();
    assert_eq!(house.post.delivered(), [("ann".to_owned(), 1)]);

    let before = node.plan(parcel).await.unwrap().seq;
    tell(&house, parcel, "alice").await;
    let refused = reaches(&node, parcel, |plan| plan.seq > before).await;
    assert_eq!(refused.result, PlanResult::Success);
    assert_eq!(house.post.delivered(), [("ann".to_owned(), 1)]);
    tell(&house, parcel, ENGINE).await;
    let undone = reaches(&node, parcel, |plan| plan.result == PlanResult::Reverted).await;

    assert_eq!(undone.state, PlanState::Stopped);
    assert_eq!(house.post.delivered(), []);
}
