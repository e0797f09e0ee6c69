//! What reverting a push removes, and what it leaves because somebody else uses it.

use crate::house::{FOR_EVER, House, HouseNode};
use engine::journal::{Action, Message, PlanId, PlanResult, Reason};
use engine::node::{Drill, Effect};
use engine::plan::Plan;
use engine::state::PlanState;
use engine::step::BoxFuture;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use storage::catalog::drills::{self, CrashWhen, NewDrill};
use storage::catalog::organizations;
use storage::catalog::products::{self, ProductChanges};
use workflows::CatalogDrill;

/// Makes the chosen step of each push to the chosen repository fail, until it is mended.
#[derive(Default)]
struct Breaks {
    which: Mutex<Vec<(&'static str, &'static str)>>,
    mended: AtomicBool,
}

impl Drill for Breaks {
    fn before<'a>(&'a self, plan: &'a Plan, step: &'a str) -> BoxFuture<'a, Option<Effect>> {
        let to = plan.link("repository").unwrap_or_default();
        let which = self.which.lock().unwrap();
        let breaks = which.contains(&(step, to)) && !self.mended.load(Ordering::SeqCst);
        Box::pin(async move { breaks.then_some(Effect::Fail) })
    }
}

async fn house(which: &[(&'static str, &'static str)]) -> (House, HouseNode, Arc<Breaks>) {
    let house = House::new().await;
    let breaks = Arc::new(Breaks::default());
    breaks.which.lock().unwrap().extend(which);
    let node = house.node(Some(breaks.clone())).await;
    (house, node, breaks)
}

async fn pushed(house: &House, node: &HouseNode, name: &str, tag: &str) -> (PlanId, Arc<Plan>) {
    let to = house.destination(name).await;
    let image = house.image(&to, tag).await;
    let id = house.plan(node, &to, tag, &image).await;
    (id, node.wait(id, FOR_EVER).await.unwrap())
}

async fn tell(node: &HouseNode, plan: PlanId, action: Action) -> Arc<Plan> {
    let message = Message {
        action,
        by: "ann".into(),
        reason: None,
    };
    let told = node.act(plan, message).await.unwrap();
    if told.has_settled() {
        return told;
    }
    let mut now = node.beyond(plan, told.seq, FOR_EVER).await.unwrap();
    while !now.has_settled() {
        now = node.beyond(plan, now.seq, FOR_EVER).await.unwrap();
    }
    now
}

#[tokio::test]
async fn a_product_and_a_repository_that_only_this_push_uses_go_with_it() {
    let (house, node, _) = house(&[("reindex", "acme/tools/one")]).await;
    let (id, paused) = pushed(&house, &node, "acme/tools/one", "latest").await;
    let before = house.inventory().await;

    let reverted = tell(&node, id, Action::Revert).await;

    assert_eq!(paused.state, PlanState::Paused);
    assert_eq!(before, r#"products ["tools"], repositories ["tools/one"]"#);
    assert_eq!(reverted.result, PlanResult::Reverted);
    assert_eq!(house.inventory().await, "products [], repositories []");
}

#[tokio::test]
async fn a_push_after_the_revert_makes_them_again() {
    let (house, node, breaks) = house(&[("reindex", "acme/tools/one")]).await;
    let (id, _) = pushed(&house, &node, "acme/tools/one", "latest").await;
    tell(&node, id, Action::Revert).await;
    breaks.mended.store(true, Ordering::SeqCst);

    let (_, again) = pushed(&house, &node, "acme/tools/one", "next").await;

    assert_eq!(again.result, PlanResult::Success);
    assert_eq!(
        house.inventory().await,
        r#"products ["tools"], repositories ["tools/one"]"#
    );
}

#[tokio::test]
async fn a_product_in_which_another_push_has_its_repository_stays() {
    let (house, node, _) = house(&[("reindex", "acme/tools/one")]).await;
    let (id, _) = pushed(&house, &node, "acme/tools/one", "latest").await;
    let (_, other) = pushed(&house, &node, "acme/tools/two", "latest").await;

    let reverted = tell(&node, id, Action::Revert).await;

    assert_eq!(other.result, PlanResult::Success);
    assert_eq!(reverted.result, PlanResult::Reverted);
    assert_eq!(
        house.inventory().await,
        r#"products ["tools"], repositories ["tools/two"]"#
    );
}

#[tokio::test]
async fn a_product_on_which_another_push_relies_that_has_not_come_further_stays() {
    let broken = [("reindex", "acme/tools/one"), ("copy", "acme/tools/two")];
    let (house, node, breaks) = house(&broken).await;
    let (id, _) = pushed(&house, &node, "acme/tools/one", "latest").await;
    let (other, paused) = pushed(&house, &node, "acme/tools/two", "latest").await;

    tell(&node, id, Action::Revert).await;
    let between = house.inventory().await;
    breaks.mended.store(true, Ordering::SeqCst);
    let ended = tell(&node, other, Action::Resume).await;

    assert_eq!(paused.state, PlanState::Paused);
    assert_eq!(between, r#"products ["tools"], repositories []"#);
    assert_eq!(ended.result, PlanResult::Success);
    assert_eq!(
        house.inventory().await,
        r#"products ["tools"], repositories ["tools/two"]"#
    );
}

#[tokio::test]
async fn a_repository_on_which_another_push_relies_stays() {
    let (house, node, breaks) = house(&[("reindex", "acme/tools/one")]).await;
    let (first, _) = pushed(&house, &node, "acme/tools/one", "first").await;
    let (second, paused) = pushed(&house, &node, "acme/tools/one", "second").await;

    tell(&node, first, Action::Revert).await;
    let between = house.inventory().await;
    breaks.mended.store(true, Ordering::SeqCst);
    let ended = tell(&node, second, Action::Resume).await;

    assert_eq!(paused.state, PlanState::Paused);
    assert_eq!(between, r#"products ["tools"], repositories ["tools/one"]"#);
    assert_eq!(ended.result, PlanResult::Success);
}

#[tokio::test]
async fn the_last_of_two_pushes_that_are_reverted_takes_along_what_the_first_one_made() {
    let (house, node, _) = house(&[("reindex", "acme/tools/one")]).await;
    let (first, _) = pushed(&house, &node, "acme/tools/one", "first").await;
    let (second, _) = pushed(&house, &node, "acme/tools/one", "second").await;

    tell(&node, first, Action::Revert).await;
    let between = house.inventory().await;
    tell(&node, second, Action::Revert).await;

    assert_eq!(between, r#"products ["tools"], repositories ["tools/one"]"#);
    assert_eq!(house.inventory().await, "products [], repositories []");
}

#[tokio::test]
async fn a_product_that_a_person_has_changed_meanwhile_stays() {
    let (house, node, _) = house(&[("reindex", "acme/tools/one")]).await;
    let (id, _) = pushed(&house, &node, "acme/tools/one", "latest").await;
    let changed = house.write(|tx| {
        Box::pin(async move {
            let organization = organizations::find(tx, "acme").await?.unwrap();
            let product = products::find(tx, organization.id, "tools").await?.unwrap();
            let changes = ProductChanges {
                name: Some("Tools of ours".into()),
                ..ProductChanges::default()
            };
            products::update(tx, product.id, &changes).await
        })
    });
    assert!(changed.await.is_some());

    tell(&node, id, Action::Revert).await;

    assert_eq!(
        house.inventory().await,
        r#"products ["tools"], repositories []"#
    );
}

#[tokio::test]
async fn a_drill_can_befall_what_undoes_a_step_and_the_task_says_which() {
    let house = House::new().await;
    let drill = NewDrill {
        workflow: "push".into(),
        step: "ensure_product".into(),
        undo: true,
        repository: None,
        tag: None,
        effect: storage::catalog::drills::Effect::Fail,
        crash_when: CrashWhen::Before,
        times: Some(1),
        stall_seconds: 0,
        created_by: "ann".into(),
    };
    let at = house.services.clock.now();
    house
        .write(move |tx| Box::pin(async move { drills::create(tx, &drill, at).await }))
        .await;
    let breaks = Breaks::default();
    breaks
        .which
        .lock()
        .unwrap()
        .push(("reindex", "acme/tools/one"));
    let both = Both(breaks, CatalogDrill::new(house.services.database.clone()));
    let node = house.node(Some(Arc::new(both))).await;
    let (id, paused) = pushed(&house, &node, "acme/tools/one", "latest").await;

    let stuck = tell(&node, id, Action::Revert).await;
    let headline = node.task(id).await.unwrap().headline;
    let reverted = tell(&node, id, Action::Resume).await;

    assert_eq!(paused.reason, Some(Reason::Error));
    assert_eq!(stuck.reason, Some(Reason::CompensationError));
    assert!(
        headline.ends_with("undoing step ensure_product failed once: a drill makes this step fail"),
        "{headline}"
    );
    assert_eq!(reverted.result, PlanResult::Reverted);
    assert_eq!(house.inventory().await, "products [], repositories []");
}

/// Two drills at once.
struct Both(Breaks, CatalogDrill);

impl Drill for Both {
    fn before<'a>(&'a self, plan: &'a Plan, step: &'a str) -> BoxFuture<'a, Option<Effect>> {
        self.0.before(plan, step)
    }

    fn before_undo<'a>(&'a self, plan: &'a Plan, step: &'a str) -> BoxFuture<'a, Option<Effect>> {
        self.1.before_undo(plan, step)
    }
}
