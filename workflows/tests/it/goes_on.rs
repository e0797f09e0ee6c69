//! A push that was refused for good and goes on later, when its right is back.

use crate::house::{FOR_EVER, House};
use engine::journal::{Action, Message, PlanResult};
use engine::node::{Drill, Effect, NodeError};
use engine::plan::Plan;
use engine::step::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use workflows::push::{Client, ManifestRef, Push};

/// Refuses every push that asks for its right.
#[derive(Default)]
struct Refuses(AtomicBool);

impl Drill for Refuses {
    fn before<'a>(&'a self, _: &'a Plan, step: &'a str) -> BoxFuture<'a, Option<Effect>> {
        let refuses = step == "authorize" && self.0.load(Ordering::SeqCst);
        Box::pin(async move { refuses.then_some(Effect::Fail) })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_that_failed_goes_on_unless_its_tag_was_pushed_since() {
    let house = House::new().await;
    let gate = Arc::<Refuses>::default();
    let node = house.node(Some(gate.clone())).await;
    let to = house.destination("acme/busybox").await;
    let (old, new) = (house.image(&to, "old").await, house.image(&to, "new").await);
    house.submit(&node, &to, None, &old).await.unwrap();
    let push = |tag: &str| Push {
        user: house.user.id,
        login: house.user.login.clone(),
        to: to.clone(),
        tag: Some(tag.parse().unwrap()),
        manifest: Some(ManifestRef {
            digest: old.digest,
            media_type: old.media_type.clone(),
            size: old.bytes.len() as u64,
        }),
        digests: Vec::new(),
        client: Client::default(),
    };
    gate.0.store(true, Ordering::SeqCst);
    let mut failed = Vec::new();
    for tag in ["latest", "other"] {
        let id = node.submit(&push(tag), None).await.unwrap();
        let ended = node.wait(id, FOR_EVER).await.unwrap();
        assert_eq!(ended.result, PlanResult::Error);
        failed.push(id);
    }
    gate.0.store(false, Ordering::SeqCst);
    let later = house.plan(&node, &to, "latest", &new).await;
    let published = node.wait(later, FOR_EVER).await.unwrap();
    let resume = || Message {
        action: Action::Resume,
        by: "ann".into(),
        reason: None,
    };

    let refused = node.act(failed[0], resume()).await;
    node.act(failed[1], resume()).await.unwrap();
    let gone_on = node.wait(failed[1], FOR_EVER).await.unwrap();

    let Err(NodeError::Refused(refused)) = refused else {
        panic!("it would take the later push back: {refused:?}");
    };
    let why = format!("resume, because task {later} has pushed acme/busybox:latest since");
    assert!(refused.to_string().contains(&why), "{refused}");
    assert_eq!(published.result, PlanResult::Success);
    assert_eq!(gone_on.result, PlanResult::Success);
    assert_eq!(house.pulled(&to, "latest").await, Some(new.digest));
    assert_eq!(house.pulled(&to, "other").await, Some(old.digest));
}
