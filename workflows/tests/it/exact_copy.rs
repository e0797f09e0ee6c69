//! A push publishes what it has pushed, and nothing of what others have left behind.

use crate::house::{FOR_EVER, House, HouseNode};
use engine::journal::{Action, Message, PlanId, PlanResult};
use engine::node::{Drill, Effect};
use engine::plan::Plan;
use engine::state::PlanState;
use engine::step::BoxFuture;
use std::sync::{Arc, Mutex};
use storage::Digest;
use storage::catalog::manifests::Manifest;
use workflows::destination::Destination;

/// The tag whose pushes are broken.
const BROKEN: &str = "broken";

/// Makes this step of each push of the broken tag fail.
struct Breaks(Mutex<Option<&'static str>>);

impl Drill for Breaks {
    fn before<'a>(&'a self, plan: &'a Plan, step: &'a str) -> BoxFuture<'a, Option<Effect>> {
        let which = *self.0.lock().unwrap();
        let breaks = which == Some(step) && plan.link("tag") == Some(BROKEN);
        Box::pin(async move { breaks.then_some(Effect::Fail) })
    }
}

struct Scene {
    house: House,
    node: HouseNode,
    breaks: Arc<Breaks>,
    to: Destination,
    images: [Manifest; 3],
}

/// The tag `BROKEN` is published at the first image; its push of the second is paused at `step`.
async fn paused_at(step: &'static str, published_before: bool) -> (Scene, PlanId) {
    let house = House::new().await;
    let breaks = Arc::new(Breaks(Mutex::new(None)));
    let node = house.node(Some(breaks.clone())).await;
    let to = house.destination("acme/tools/busybox").await;
    let images = [
        house.image(&to, "one").await,
        house.image(&to, "two").await,
        house.image(&to, "three").await,
    ];
    let scene = Scene {
        house,
        node,
        breaks,
        to,
        images,
    };
    if published_before {
        assert_eq!(scene.push(BROKEN, 0).await.result, PlanResult::Success);
    }
    scene.breaks.0.lock().unwrap().replace(step);
    let paused = scene.push(BROKEN, 1).await;
    assert_eq!(paused.state, PlanState::Paused, "{step}");
    (scene, paused.id)
}

impl Scene {
    async fn push(&self, tag: &str, image: usize) -> Arc<Plan> {
        let image = &self.images[image];
        let plan = self.house.plan(&self.node, &self.to, tag, image).await;
        self.node.wait(plan, FOR_EVER).await.unwrap()
    }

    async fn tell(&self, plan: PlanId, action: Action) -> Arc<Plan> {
        let message = Message {
            action,
            by: "ann".into(),
            reason: None,
        };
        let told = self.node.act(plan, message).await.unwrap();
        let mut now = told;
        while !now.has_settled() {
            now = self.node.beyond(plan, now.seq, FOR_EVER).await.unwrap();
        }
        now
    }

    async fn published(&self, tag: &str) -> Option<Digest> {
        self.house.pulled(&self.to, tag).await
    }

    fn digest(&self, image: usize) -> Digest {
        self.images[image].digest
    }
}

/// The steps at which a push can be paused after its copy, and before it publishes.
const AFTER_FORWARD: [&str; 4] = ["copy", "ensure_repository", "reindex", "distribute"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tag_of_a_push_that_was_ended_is_published_by_no_later_push() {
    let mut tried = 0;
    for step in AFTER_FORWARD {
        for action in [Action::Cancel, Action::Abort, Action::Revert] {
            let (scene, paused) = paused_at(step, false).await;

            let ended = scene.tell(paused, action.clone()).await;
            let next = scene.push("other", 2).await;

            assert_eq!(ended.state, PlanState::Stopped, "{action} at {step}");
            assert_eq!(next.result, PlanResult::Success, "{action} at {step}");
            assert_eq!(scene.published(BROKEN).await, None, "{action} at {step}");
            assert_eq!(scene.published("other").await, Some(scene.digest(2)));
            tried += 1;
        }
    }
    assert_eq!(tried, 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_that_was_published_stays_where_it_was_when_its_next_push_is_ended() {
    let mut tried = 0;
    for step in AFTER_FORWARD {
        for action in [Action::Cancel, Action::Revert] {
            let (scene, paused) = paused_at(step, true).await;

            scene.tell(paused, action.clone()).await;
            let next = scene.push("other", 2).await;

            assert_eq!(next.result, PlanResult::Success, "{action} at {step}");
            let broken = scene.published(BROKEN).await;
            assert_eq!(broken, Some(scene.digest(0)), "{action} at {step}");
            tried += 1;
        }
    }
    assert_eq!(tried, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_paused_push_has_copied_is_published_by_its_own_resume() {
    for step in ["copy", "ensure_repository", "reindex"] {
        for published_before in [false, true] {
            let (scene, paused) = paused_at(step, published_before).await;
            let before = scene.published(BROKEN).await;

            let next = scene.push("other", 2).await;
            let between = scene.published(BROKEN).await;
            scene.breaks.0.lock().unwrap().take();
            let resumed = scene.tell(paused, Action::Resume).await;

            assert_eq!(next.result, PlanResult::Success, "{step}");
            assert_eq!(between, before, "{step}");
            assert_eq!(resumed.result, PlanResult::Success, "{step}");
            assert_eq!(
                scene.published(BROKEN).await,
                Some(scene.digest(1)),
                "{step}"
            );
            assert_eq!(
                scene.published("other").await,
                Some(scene.digest(2)),
                "{step}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_a_paused_push_has_recorded_is_what_the_next_one_is_built_upon() {
    let (scene, paused) = paused_at("distribute", true).await;

    let next = scene.push("other", 2).await;
    scene.breaks.0.lock().unwrap().take();
    let resumed = scene.tell(paused, Action::Resume).await;

    assert_eq!(next.result, PlanResult::Success);
    assert_eq!(resumed.result, PlanResult::Success, "its tag is published");
    assert_eq!(scene.published(BROKEN).await, Some(scene.digest(1)));
    assert_eq!(scene.published("other").await, Some(scene.digest(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_published_with_another_push_is_not_taken_back_when_its_own_is_ended_later() {
    let (scene, paused) = paused_at("distribute", false).await;
    scene.push("other", 2).await;
    let between = scene.published(BROKEN).await;

    scene.tell(paused, Action::Cancel).await;
    let next = scene.push("third", 0).await;

    assert_eq!(next.result, PlanResult::Success);
    assert_eq!(between, Some(scene.digest(1)));
    assert_eq!(scene.published(BROKEN).await, between);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_whose_publishing_was_skipped_is_published_by_no_later_push() {
    let (scene, paused) = paused_at("distribute", false).await;
    let skip = Action::Skip {
        step: "distribute".into(),
        output: None,
    };

    let ended = scene.tell(paused, skip).await;
    scene.push("other", 2).await;

    assert_eq!(ended.result, PlanResult::Warning);
    assert_eq!(scene.published(BROKEN).await, None);
}
