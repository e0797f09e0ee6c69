//! Pushing again, and against each other.

use crate::house::{FOR_EVER, House, HouseNode};
use engine::journal::{Action, Message, PlanId, PlanResult, Reason};
use engine::node::{Drill, Effect};
use engine::plan::Plan;
use engine::state::{PlanState, StepState};
use engine::step::BoxFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use storage::Digest;
use storage::catalog::manifests::Manifest;
use storage::catalog::{grants, pushed};
use tokio::sync::Notify;
use workflows::destination::Destination;
use workflows::push::{Submitted, file_pending};
use workflows::{ResumeError, resume};

/// Befalls `copy` of one digest.
#[derive(Default)]
struct Trouble {
    fails: Mutex<Option<String>>,
    holds: Mutex<Option<String>>,
    let_go: Notify,
}

impl Trouble {
    fn fail(&self, image: Option<&Manifest>) {
        *self.fails.lock().unwrap() = image.map(|image| image.digest.to_string());
    }

    fn hold(&self, image: &Manifest) {
        *self.holds.lock().unwrap() = Some(image.digest.to_string());
    }

    fn let_go(&self) {
        *self.holds.lock().unwrap() = None;
        self.let_go.notify_waiters();
    }
}

impl Drill for Trouble {
    fn before<'a>(&'a self, plan: &'a Plan, step: &'a str) -> BoxFuture<'a, Option<Effect>> {
        Box::pin(async move {
            let is = |which: &Mutex<Option<String>>| {
                step == "copy" && which.lock().unwrap().as_deref() == plan.link("digest")
            };
            loop {
                let notified = self.let_go.notified();
                if !is(&self.holds) {
                    break;
                }
                notified.await;
            }
            is(&self.fails).then_some(Effect::Fail)
        })
    }
}

struct Scene {
    house: House,
    node: HouseNode,
    trouble: Arc<Trouble>,
    to: Destination,
    a: Manifest,
    b: Manifest,
}

async fn scene() -> Scene {
    let house = House::new().await;
    let trouble = Arc::<Trouble>::default();
    let node = house.node(Some(trouble.clone())).await;
    let to = house.destination("acme/busybox").await;
    let (a, b) = (house.image(&to, "a").await, house.image(&to, "b").await);
    Scene {
        house,
        node,
        trouble,
        to,
        a,
        b,
    }
}

impl Scene {
    async fn push(&self, tag: &str, image: &Manifest) -> PlanId {
        self.house.plan(&self.node, &self.to, tag, image).await
    }

    async fn ends(&self, plan: PlanId) -> Arc<Plan> {
        self.node.wait(plan, FOR_EVER).await.unwrap()
    }

    /// What was pushed and is in no version yet.
    async fn pending(&self) -> Vec<Digest> {
        let mut tx = self.house.services.database.read().await.unwrap();
        pushed::pending(&mut tx, self.to.id).await.unwrap()
    }

    async fn stops(&self, plan: PlanId) -> Arc<Plan> {
        loop {
            let now = self.node.plan(plan).await.unwrap();
            if now.state == PlanState::Stopped {
                return now;
            }
            tokio::task::yield_now().await; // its mail is read by the next poll at the latest
        }
    }

    async fn reaches_copy(&self, plan: PlanId) {
        while self
            .node
            .plan(plan)
            .await
            .unwrap()
            .step("copy")
            .unwrap()
            .state
            != StepState::Running
        {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_b_a_pushed_to_one_tag_in_quick_succession_ends_at_a() {
    let scene = scene().await;
    scene.trouble.hold(&scene.a);
    let first = scene.push("latest", &scene.a).await;
    scene.reaches_copy(first).await;
    let second = scene.push("latest", &scene.b).await;

    let third = scene.push("latest", &scene.a).await;
    scene.trouble.let_go();
    let (second, first_plan) = (scene.ends(second).await, scene.ends(third).await);

    assert_eq!(
        third, first,
        "the open push of the same digest is attached to"
    );
    assert_eq!(
        (second.result, second.reason),
        (PlanResult::Cancelled, Some(Reason::Superseded))
    );
    assert_eq!(second.superseded_by, Some(first));
    assert_eq!(first_plan.result, PlanResult::Success);
    assert_eq!(
        scene.house.pulled(&scene.to, "latest").await,
        Some(scene.a.digest)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_at_work_is_let_finish_and_a_later_digest_follows() {
    let scene = scene().await;
    scene.trouble.hold(&scene.a);
    let first = scene.push("latest", &scene.a).await;
    scene.reaches_copy(first).await;

    let second = scene.push("latest", &scene.b).await;
    scene.trouble.let_go();

    assert_eq!(scene.ends(first).await.result, PlanResult::Success);
    assert_eq!(scene.ends(second).await.result, PlanResult::Success);
    assert_eq!(
        scene.house.pulled(&scene.to, "latest").await,
        Some(scene.b.digest)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_push_is_superseded_by_another_digest_and_not_by_another_tag() {
    let scene = scene().await;
    scene.trouble.fail(Some(&scene.a));
    let paused = scene.push("latest", &scene.a).await;
    assert_eq!(scene.ends(paused).await.state, PlanState::Paused);

    let other_tag = scene.push("other", &scene.b).await;
    assert_eq!(scene.ends(other_tag).await.result, PlanResult::Success);
    assert_eq!(
        scene.node.plan(paused).await.unwrap().state,
        PlanState::Paused
    );
    let same_tag = scene.push("latest", &scene.b).await;
    assert_eq!(scene.ends(same_tag).await.result, PlanResult::Success);

    let superseded = scene.stops(paused).await;
    assert_eq!(
        (superseded.result, superseded.reason),
        (PlanResult::Cancelled, Some(Reason::Superseded))
    );
    assert_eq!(superseded.superseded_by, Some(same_tag));
    assert_eq!(
        scene.house.pulled(&scene.to, "latest").await,
        Some(scene.b.digest)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushing_a_paused_one_again_attaches_and_does_not_resume_it_within_seconds() {
    let scene = scene().await;
    scene.trouble.fail(Some(&scene.a));
    let paused = scene.push("latest", &scene.a).await;
    let before = scene.ends(paused).await;

    let again = scene
        .house
        .submit(&scene.node, &scene.to, Some("latest"), &scene.a)
        .await
        .unwrap();

    assert_eq!(
        again,
        Submitted::Plan {
            id: paused,
            attached: true
        }
    );
    assert_eq!(
        scene.node.plan(paused).await.unwrap(),
        before,
        "clients repeat a failed PUT within seconds"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_and_b_queued_give_way_when_a_is_pushed_again() {
    let scene = scene().await;
    let other = scene.house.image(&scene.to, "other").await;
    scene.trouble.fail(Some(&scene.a));
    let paused = scene.push("latest", &scene.a).await;
    assert_eq!(scene.ends(paused).await.state, PlanState::Paused);
    scene.trouble.fail(None);
    scene.trouble.hold(&other);
    let at_work = scene.push("other", &other).await;
    scene.reaches_copy(at_work).await;
    let queued = scene.push("latest", &scene.b).await;

    let again = scene.push("latest", &scene.a).await;
    let (paused, queued) = (scene.stops(paused).await, scene.stops(queued).await);
    scene.trouble.let_go();

    assert_eq!(scene.ends(again).await.result, PlanResult::Success);
    assert_eq!(scene.ends(at_work).await.result, PlanResult::Success);
    assert_eq!(
        (paused.reason, paused.superseded_by),
        (Some(Reason::Superseded), Some(queued.id))
    );
    assert_eq!(
        (queued.reason, queued.superseded_by),
        (Some(Reason::Superseded), Some(again))
    );
    assert_eq!(
        scene.house.pulled(&scene.to, "latest").await,
        Some(scene.a.digest)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cancelled_push_brought_stays_pending_and_is_filed_by_the_next_one() {
    let scene = scene().await;
    scene.trouble.fail(Some(&scene.a));
    let paused = scene.push("latest", &scene.a).await;
    assert_eq!(scene.ends(paused).await.state, PlanState::Paused);
    let cancel = Message {
        action: Action::Cancel,
        by: "operator".into(),
        reason: None,
    };

    scene.node.act(paused, cancel).await.unwrap();
    let left = scene.pending().await;
    let next = scene.push("other", &scene.b).await;

    assert_eq!(left, [scene.a.digest]);
    assert_eq!(scene.ends(next).await.result, PlanResult::Success);
    assert_eq!(scene.pending().await, []);
    assert_eq!(
        scene.house.pulled(&scene.to, "latest").await,
        None,
        "a cancelled push publishes no tag"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resume_needs_the_right_of_whoever_pushed() {
    let scene = scene().await;
    scene.trouble.fail(Some(&scene.a));
    let id = scene.push("latest", &scene.a).await;
    scene.ends(id).await;
    scene.trouble.fail(None);
    let user = scene.house.user.id;
    scene
        .house
        .write(move |tx| {
            Box::pin(async move {
                for grant in grants::of(tx, user).await? {
                    grants::delete(tx, grant.id).await?;
                }
                Ok(())
            })
        })
        .await;

    let refused = resume(&scene.node, id, "operator".into(), None, false)
        .await
        .unwrap_err();
    let without_reason = resume(&scene.node, id, "operator".into(), None, true)
        .await
        .unwrap_err();
    let still = scene.node.plan(id).await.unwrap().state;
    resume(
        &scene.node,
        id,
        "operator".into(),
        Some("he asked me to".into()),
        true,
    )
    .await
    .unwrap();

    assert!(matches!(refused, ResumeError::NotAllowedAnyMore { .. }));
    assert!(
        refused
            .to_string()
            .contains("user `alice` lacks the permission `push`"),
        "{refused}"
    );
    assert!(matches!(without_reason, ResumeError::OverrideNeedsReason));
    assert_eq!(still, PlanState::Paused);
    assert_eq!(scene.ends(id).await.result, PlanResult::Success);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_tags_pushed_at_once_are_all_published() {
    let scene = scene().await;
    let tags: Vec<String> = (0..20).map(|tag| format!("t{tag:02}")).collect();
    let pushes = tags.iter().map(|tag| scene.push(tag, &scene.a));

    let plans = futures_util::future::join_all(pushes).await;
    for plan in plans {
        assert_eq!(scene.ends(plan).await.result, PlanResult::Success);
    }

    for tag in &tags {
        assert_eq!(
            scene.house.pulled(&scene.to, tag).await,
            Some(scene.a.digest),
            "{tag}"
        );
    }
}

#[tokio::test]
async fn what_a_paused_push_files_itself_is_filed_by_no_other_until_that_has_ended() {
    let scene = scene().await;
    let later = scene.house.services.clock.now() + Duration::from_hours(1);
    scene.trouble.fail(Some(&scene.a));
    let paused = scene.push("latest", &scene.a).await;
    assert_eq!(scene.ends(paused).await.state, PlanState::Paused);

    let beside = file_pending(&scene.node, later).await.unwrap();
    let cancel = Message {
        action: Action::Cancel,
        by: "operator".into(),
        reason: None,
    };
    scene.node.act(paused, cancel).await.unwrap();
    let after = file_pending(&scene.node, later).await.unwrap();

    assert_eq!(beside, []);
    assert_eq!(after.len(), 1, "its digest stays pullable and is filed");
}
