//! Retention: what goes by the rules of a product, what stays whatever happens meanwhile, and that a rollback brings all of it back.

use crate::after_a_push::must_succeed;
use crate::house::{FOR_EVER, House, HouseNode, OCI_IMAGE, of_a_house};
use crate::keeps::keeps;
use bytes::Bytes;
use engine::clock::{Clock, Timestamp};
use engine::journal::{PlanId, PlanResult};
use engine::node::{Drill, Effect, Node};
use engine::plan::Plan;
use engine::prove::laws::World;
use engine::search::Search;
use engine::state::PlanState;
use engine::step::BoxFuture;
use engine::store::{Page, Store};
use serde_json::{Value, json};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use storage::catalog::audit;
use storage::catalog::manifests::Manifest;
use storage::catalog::settings::{self, Key};
use storage::catalog::touched::{self, Touched};
use storage::catalog::versions::{self, Cause};
use storage::catalog::{RepositoryId, products};
use storage::retention::Retention;
use storage::{Digest, Tx};
use tokio::sync::Semaphore;
use workflows::Services;
use workflows::apply_retention::{ApplyRetention, Removed};
use workflows::cleanup::Cleanup;
use workflows::destination::Destination;
use workflows::push::Submitted;
use workflows::retention::{Applied, Looked, Retain};

const DAY: Duration = Duration::from_hours(24);
const FOR_REAL: Retain = Retain {
    dry_run: false,
    product: None,
};

/// A clock that runs as many days behind.
fn days_ago(days: u32) -> Clock {
    Clock::of_runtime(Clock::system().now() - DAY * days)
}

/// What goes by rules is older than a month, and not the newest.
fn a_month() -> Value {
    json!({"tags": [{"matching": ["pr-*"], "keep_newest": 1, "keep_pushed_within": "30d"}]})
}

impl House {
    /// Gives the product of the repository these rules.
    async fn retain(&self, of: &Destination, rules: Value) {
        let rules: Retention = serde_json::from_value(rules).unwrap();
        let (organization, label) = (of.organization, of.product_label.clone());
        self.write(move |tx| {
            Box::pin(async move {
                let product = products::find(tx, organization, &label).await?.unwrap();
                let changes = products::ProductChanges {
                    retention: Some(Some(rules)),
                    ..products::ProductChanges::default()
                };
                products::update(tx, product.id, &changes).await
            })
        })
        .await;
    }

    /// The tags and manifests of the version.
    async fn contents(&self, of: &Destination, version: i64) -> (Vec<String>, Vec<Digest>) {
        let repository = RepositoryId::from(of.id);
        let mut tx = self.services.database.read().await.unwrap();
        let tags = versions::tags(&mut tx, repository, version, None, 1000);
        let tags = tags.await.unwrap().into_iter();
        let tags = tags
            .map(|(tag, digest)| format!("{tag} {digest}"))
            .collect();
        let manifests = versions::manifests(&mut tx, repository, version);
        (tags, manifests.await.unwrap())
    }

    /// The names of the tags that the newest version has.
    async fn tags(&self, of: &Destination) -> String {
        let newest = self.newest(of).await;
        let (tags, _) = self.contents(of, newest.number).await;
        let names = tags.iter().map(|it| it.split(' ').next().unwrap());
        names.collect::<Vec<_>>().join(" ")
    }

    async fn push_by_digest(&self, node: &HouseNode, to: &Destination, manifest: &Manifest) {
        let kept = self.submit(node, to, None, manifest).await.unwrap();
        assert_eq!(kept, Submitted::Kept);
    }

    /// The plans of sub-tasks, the oldest first.
    async fn applied(&self) -> Vec<PlanId> {
        let search = Search::parse("label = apply_retention", Timestamp(0)).unwrap();
        let page = Page {
            limit: 1000,
            ..Page::default()
        };
        let mut plans = self.journal().list(search, page).await.unwrap().plans;
        plans.sort();
        plans
    }
}

/// A manifest that is about another one.
fn signature(of: Digest, config: Digest) -> Manifest {
    let config =
        json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2});
    let subject = json!({"mediaType": OCI_IMAGE, "digest": of, "size": 1});
    let document = json!({"schemaVersion": 2, "mediaType": OCI_IMAGE, "artifactType": "application/x.signature",
        "config": config, "layers": [], "subject": subject});
    let bytes = Bytes::from(document.to_string());
    Manifest::read(Digest::of(&bytes), OCI_IMAGE, bytes).unwrap()
}

/// Runs it and waits for its sub-tasks, too.
async fn run(house: &House, node: &HouseNode, input: &Retain) -> (Looked, Applied) {
    let id = node.submit(input, Some("alice".into())).await.unwrap();
    let plan = node.wait(id, FOR_EVER).await.unwrap();
    assert_eq!(plan.result, PlanResult::Success, "{plan:?}");
    for child in house.applied().await {
        must_succeed(node, child).await;
    }
    let told = |step: &str| plan.output_of(step).unwrap();
    (
        told("look").decode().unwrap(),
        told("apply").decode().unwrap(),
    )
}

/// What a sub-task has told.
async fn removed(node: &HouseNode, plan: PlanId) -> Removed {
    let plan = node.wait(plan, FOR_EVER).await.unwrap();
    plan.output_of("remove").unwrap().decode().unwrap()
}

/// Three pull requests of 40 days ago, one of today, and a tag that no rule is about.
async fn harbour(house: &mut House, drill: Option<Arc<dyn Drill>>) -> (HouseNode, Destination) {
    house.services.clock = days_ago(40);
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    for n in 1..=3 {
        let (tag, text) = (format!("pr-{n}"), format!("request {n}"));
        house.published(&node, &to, &tag, &text).await;
    }
    house.published(&node, &to, "latest", "main").await;
    node.drain(FOR_EVER).await;
    house.services.clock = Clock::system();
    let node = house.node(drill).await;
    house.published(&node, &to, "pr-4", "request 4").await;
    house.retain(&to, a_month()).await;
    (node, to)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_rules_do_not_keep_goes_and_a_rollback_brings_it_back_as_it_was() {
    let mut house = House::new().await;
    let (node, to) = harbour(&mut house, None).await;
    let before = house.contents(&to, 5).await;
    let gone = house.pulled(&to, "pr-1").await.unwrap();

    let (looked, applied) = run(&house, &node, &FOR_REAL).await;

    assert_eq!(
        (looked.repositories, looked.tags, looked.manifests),
        (1, 3, 3)
    );
    assert!(looked.bytes > 0 && looked.complete);
    let done = Applied {
        done: 1,
        ..Applied::default()
    };
    assert_eq!(applied, done);
    assert_eq!(house.tags(&to).await, "latest pr-4");
    assert_eq!(house.pulled(&to, "pr-1").await, None);
    assert!(!house.is_pullable(&to, &gone).await);
    let newest = house.newest(&to).await;
    assert_eq!((newest.number, newest.cause), (6, Cause::Retention));
    let child = house.applied().await[0];
    let told = removed(&node, child).await;
    assert_eq!((told.version, told.before), (Some(6), Some(5)));
    assert_eq!(
        (told.tags, told.manifests, told.bytes),
        (3, 3, looked.bytes)
    );
    let mut tx = house.services.database.read().await.unwrap();
    let search = Search::parse("action = delete", Timestamp(0)).unwrap();
    let audited = audit::list(&mut tx, &search, None, 10).await.unwrap();
    drop(tx);
    let entry = &audited[0].what;
    assert_eq!((&*entry.actor, entry.task), ("alice", Some(child)));
    assert_eq!(
        entry.subject,
        "3 tags and 3 manifests of acme/tools/busybox"
    );

    let library = house.library(&to).await;
    let back = house.roll_back(&node, &to, &library, 5).await.unwrap();
    must_succeed(&node, back).await;

    assert_eq!(house.contents(&to, 7).await, before);
    assert_eq!(house.pulled(&to, "pr-1").await, Some(gone));
    assert!(house.is_pullable(&to, &gone).await);
    // They were set by the rollback, and that is less than a month ago.
    let (looked, _) = run(&house, &node, &FOR_REAL).await;
    assert_eq!(looked.tags, 0);
    assert_eq!(house.newest(&to).await.number, 7);
    // Among others they are as old as they were.
    let newest = json!({"tags": [{"matching": ["pr-*"], "keep_newest": 2}]});
    house.retain(&to, newest).await;
    run(&house, &node, &FOR_REAL).await;
    assert_eq!(house.tags(&to).await, "latest pr-3 pr-4");
    node.drain(FOR_EVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_says_what_the_run_then_takes_and_takes_nothing() {
    let mut house = House::new().await;
    let (node, to) = harbour(&mut house, None).await;
    let other = house.destination("acme/tools/alpine").await;
    house.published(&node, &other, "pr-1", "fresh").await;
    let dry = Retain {
        dry_run: true,
        ..FOR_REAL
    };

    let (would, nobody) = run(&house, &node, &dry).await;
    let between = house.newest(&to).await.number;
    let (did, _) = run(&house, &node, &FOR_REAL).await;
    let (again, _) = run(&house, &node, &FOR_REAL).await;

    assert_eq!(nobody, Applied::default());
    assert_eq!(between, 5, "no version was made");
    assert_eq!(would, did);
    assert_eq!((did.repositories, did.losing.len()), (2, 1));
    assert_eq!((again.tags, again.manifests, again.losing.len()), (0, 0, 0));
    assert_eq!(house.newest(&other).await.number, 1);
    assert_eq!(house.applied().await.len(), 1);
    node.drain(FOR_EVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_for_one_product_leaves_the_others_alone_and_one_for_no_product_fails() {
    let mut house = House::new().await;
    let (node, to) = harbour(&mut house, None).await;
    let of = |label: &str| Retain {
        product: Some(workflows::retention::OfProduct {
            organization: "acme".into(),
            label: label.into(),
        }),
        ..FOR_REAL
    };
    let other = house.destination("acme/other/alpine").await;
    house.published(&node, &other, "latest", "fresh").await;

    let (looked, _) = run(&house, &node, &of("other")).await;
    let unknown = node.submit(&of("gone"), None).await.unwrap();
    let unknown = node.wait(unknown, FOR_EVER).await.unwrap();

    assert_eq!(
        looked,
        Looked {
            complete: true,
            ..Looked::default()
        }
    );
    assert_eq!(unknown.result, PlanResult::Error);
    assert_eq!(house.newest(&to).await.number, 5);
    node.drain(FOR_EVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_product_keeps_as_it_is_stays() {
    let mut house = House::new().await;
    let (node, to) = harbour(&mut house, None).await;
    house.keep_tags(&to, "pr-2").await;

    run(&house, &node, &FOR_REAL).await;

    assert_eq!(house.tags(&to).await, "latest pr-2 pr-4");
    node.drain(FOR_EVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_goes_with_its_children_and_with_what_is_about_them_but_for_what_others_need() {
    let mut house = House::new().await;
    house.services.clock = days_ago(40);
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    let mut children = Vec::new();
    for text in ["amd64", "arm64", "shared"] {
        let child = house.image(&to, text).await;
        house.push_by_digest(&node, &to, &child).await;
        children.push(child.digest);
    }
    let empty = house.blob(&to, b"{}").await;
    let gone = House::index(&children);
    let stays = House::index(&children[2..]);
    let signs_gone = signature(gone.digest, empty);
    let signs_child = signature(children[0], empty);
    let signs_shared = signature(children[2], empty);
    for signature in [&signs_gone, &signs_child, &signs_shared] {
        house.push_by_digest(&node, &to, signature).await;
    }
    for (tag, index) in [("pr-1", &gone), ("main", &stays)] {
        let plan = house.plan(&node, &to, tag, index).await;
        must_succeed(&node, plan).await;
    }
    let loose = house.image(&to, "loose").await;
    house.push_by_digest(&node, &to, &loose).await;
    house.published(&node, &to, "pr-2", "newest").await;
    node.drain(FOR_EVER).await;
    house.services.clock = Clock::system();
    let node = house.node(None).await;
    house.retain(&to, a_month()).await;

    let (looked, _) = run(&house, &node, &FOR_REAL).await;
    assert_eq!((looked.tags, looked.manifests), (1, 5));
    let there = async |digest: &Digest| house.is_pullable(&to, digest).await;
    for gone in [
        gone.digest,
        children[0],
        children[1],
        signs_gone.digest,
        signs_child.digest,
    ] {
        assert!(!there(&gone).await, "{gone}");
    }
    for stays in [stays.digest, children[2], signs_shared.digest, loose.digest] {
        assert!(there(&stays).await, "{stays}");
    }

    house.retain(&to, json!({"untagged_within": "7d"})).await;
    let (looked, _) = run(&house, &node, &FOR_REAL).await;
    assert_eq!((looked.tags, looked.manifests), (0, 1));
    assert!(!there(&loose.digest).await);
    assert!(there(&children[2]).await && there(&signs_shared.digest).await);
    node.drain(FOR_EVER).await;
}

/// Holds the step of this name until it is let go.
struct Holds {
    step: &'static str,
    until: Semaphore,
    reached: Semaphore,
}

impl Holds {
    fn at(step: &'static str) -> Arc<Self> {
        Arc::new(Self {
            step,
            until: Semaphore::new(0),
            reached: Semaphore::new(0),
        })
    }

    async fn is_reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    fn let_go(&self) {
        self.until.add_permits(100);
    }
}

impl Drill for Holds {
    fn before<'a>(&'a self, _: &'a Plan, step: &'a str) -> BoxFuture<'a, Option<Effect>> {
        Box::pin(async move {
            if step == self.step {
                self.reached.add_permits(1);
                drop(self.until.acquire().await);
            }
            None
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_that_is_pushed_again_after_the_look_stays() {
    let mut house = House::new().await;
    let holds = Holds::at("apply");
    let (node, to) = harbour(&mut house, Some(holds.clone())).await;

    let id = node.submit(&FOR_REAL, None).await.unwrap();
    holds.is_reached().await;
    let moved = house
        .published(&node, &to, "pr-1", "request 1, mended")
        .await;
    let same = house.image(&to, "request 2").await;
    let unchanged = house.submit(&node, &to, Some("pr-2"), &same).await;
    assert_eq!(unchanged.unwrap(), Submitted::Unchanged);
    holds.let_go();
    must_succeed(&node, id).await;
    must_succeed(&node, house.applied().await[0]).await;

    assert_eq!(house.tags(&to).await, "latest pr-1 pr-2 pr-4");
    assert_eq!(house.pulled(&to, "pr-1").await, Some(moved));
    assert_eq!(house.pulled(&to, "pr-2").await, Some(same.digest));
    node.drain(FOR_EVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pushed_behind_the_sub_task_is_there_by_tag_and_by_digest() {
    let mut house = House::new().await;
    let holds = Holds::at("remove");
    let (node, to) = harbour(&mut house, Some(holds.clone())).await;
    let first = house.pulled(&to, "pr-1").await.unwrap();

    let id = node.submit(&FOR_REAL, None).await.unwrap();
    holds.is_reached().await;
    let again = house.image(&to, "request 1").await;
    let pushed = house.plan(&node, &to, "again", &again).await;
    holds.let_go();
    must_succeed(&node, id).await;
    must_succeed(&node, pushed).await;

    assert_eq!(house.tags(&to).await, "again latest pr-4");
    assert_eq!(house.pulled(&to, "again").await, Some(first));
    assert!(house.is_pullable(&to, &first).await);
    node.drain(FOR_EVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_that_is_busy_does_not_hold_up_the_others() {
    let mut house = House::new().await;
    let holds = Holds::at("copy");
    let (node, to) = harbour(&mut house, None).await;
    node.drain(FOR_EVER).await;
    house.services.clock = days_ago(40);
    let node = house.node(None).await;
    let other = house.destination("acme/tools/alpine").await;
    house.published(&node, &other, "pr-1", "old").await;
    house.published(&node, &other, "pr-2", "newer").await;
    node.drain(FOR_EVER).await;
    house.services.clock = Clock::system();
    let node = house.node(Some(holds.clone())).await;
    let slow = house.image(&to, "slow").await;
    let slow = house.plan(&node, &to, "slow", &slow).await;
    holds.is_reached().await;

    let id = node.submit(&FOR_REAL, None).await.unwrap();
    let plan = node.wait(id, FOR_EVER).await.unwrap();

    let applied: Applied = plan.output_of("apply").unwrap().decode().unwrap();
    assert_eq!((applied.done, applied.go_on), (1, 1), "{applied:?}");
    assert_eq!(house.tags(&other).await, "pr-2");
    holds.let_go();
    must_succeed(&node, slow).await;
    for child in house.applied().await {
        must_succeed(&node, child).await;
    }
    assert_eq!(house.tags(&to).await, "latest pr-4 slow");
    node.drain(FOR_EVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_with_a_push_that_waits_for_a_person_stays() {
    let mut house = House::new().await;
    house.services.clock = days_ago(40);
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    let rules = json!({"tags": [{"matching": ["*"], "keep_pushed_within": "30d"}]});
    for tag in ["one", "two"] {
        house.published(&node, &to, tag, tag).await;
    }
    node.drain(FOR_EVER).await;
    house.services.clock = Clock::system();
    // A push of another image to the first tag that has not come to its end.
    let node = house.node(Some(Arc::new(FailsAtReindexOf("one")))).await;
    let image = house.image(&to, "mended").await;
    let paused = house.plan(&node, &to, "one", &image).await;
    let seen = node.wait(paused, FOR_EVER).await.unwrap();
    assert_eq!(seen.state, PlanState::Paused);
    house.retain(&to, rules).await;

    let (looked, _) = run(&house, &node, &FOR_REAL).await;

    assert_eq!(looked.tags, 1);
    assert!(house.pulled(&to, "one").await.is_some());
    assert_eq!(house.pulled(&to, "two").await, None);
    let still = node.wait(paused, FOR_EVER).await.unwrap();
    assert_eq!(still.state, PlanState::Paused, "nobody has ended it");
    node.drain(FOR_EVER).await;
}

/// Lets pushes of this tag fail before they are indexed.
struct FailsAtReindexOf(&'static str);

impl Drill for FailsAtReindexOf {
    fn before<'a>(&'a self, plan: &'a Plan, step: &'a str) -> BoxFuture<'a, Option<Effect>> {
        let fails = plan.link("tag") == Some(self.0) && step == "reindex";
        Box::pin(async move { fails.then_some(Effect::Fail) })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_that_are_taken_away_after_the_look_remove_nothing() {
    let mut house = House::new().await;
    let holds = Holds::at("apply");
    let (node, to) = harbour(&mut house, Some(holds.clone())).await;

    let id = node.submit(&FOR_REAL, None).await.unwrap();
    holds.is_reached().await;
    house
        .retain(
            &to,
            json!({"tags": [{"matching": ["x"], "keep_newest": 1}]}),
        )
        .await;
    holds.let_go();
    must_succeed(&node, id).await;
    let child = house.applied().await[0];

    assert_eq!(removed(&node, child).await, Removed::default());
    assert_eq!(house.newest(&to).await.number, 5);
    node.drain(FOR_EVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_pulled_within_the_time_stays_by_tag_or_by_digest() {
    let mut house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    let mut digests = Vec::new();
    for tag in ["by-tag", "by-digest", "never"] {
        digests.push(house.published(&node, &to, tag, tag).await);
    }
    node.drain(FOR_EVER).await;
    // Ten days later somebody pulls, and twenty days after that the rules are looked at.
    let later = |days: u32| Clock::system().now() + DAY * days;
    let pulls = vec![
        (to.id, Touched::Tag("by-tag".parse().unwrap()), later(20)),
        (to.id, Touched::Manifest(digests[1]), later(20)),
        (
            to.id,
            Touched::Tag("never-pushed".parse().unwrap()),
            later(20),
        ),
    ];
    house
        .write(move |tx| Box::pin(async move { touched::pulled(tx, &pulls).await }))
        .await;
    house.services.clock = Clock::of_runtime(later(30));
    let node = house.node(None).await;
    let rules = json!({"tags": [{"matching": ["*"], "keep_pulled_within": "14d"}]});
    house.retain(&to, rules).await;

    let (looked, _) = run(&house, &node, &FOR_REAL).await;

    assert_eq!(looked.tags, 1);
    assert_eq!(house.tags(&to).await, "by-digest by-tag");
    node.drain(FOR_EVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_tag_was_set_is_known_although_its_version_was_dropped() {
    let mut house = House::new().await;
    let (node, to) = harbour(&mut house, None).await;
    let at = house.services.clock.now();
    house
        .write(move |tx| {
            Box::pin(async move {
                settings::set(tx, Key::VersionRetention, &json!(1), "admin", at).await
            })
        })
        .await;
    let cleanup = Cleanup { dry_run: false };
    let id = node.submit(&cleanup, None).await.unwrap();
    must_succeed(&node, id).await;
    let mut tx = house.services.database.read().await.unwrap();
    let count = versions::count(&mut tx, RepositoryId::from(to.id)).await;
    assert_eq!(count.unwrap(), 1);
    drop(tx);

    let (looked, _) = run(&house, &node, &FOR_REAL).await;

    assert_eq!(looked.tags, 3);
    assert_eq!(house.tags(&to).await, "latest pr-4");
    node.drain(FOR_EVER).await;
}

/// The version that would tell when it lost its tag is gone: what is known is that it was before the oldest that is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_whose_loss_of_its_tag_no_version_tells_any_more_is_kept_from_the_oldest_on() {
    let mut house = House::new().await;
    house.services.clock = days_ago(40);
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    house.published(&node, &to, "latest", "old").await;
    node.drain(FOR_EVER).await;
    house.services.clock = days_ago(1);
    let node = house.node(None).await;
    house.published(&node, &to, "latest", "new").await;
    house.published(&node, &to, "other", "beside").await;
    house
        .retain(&to, json!({"tags": [], "untagged_within": "7d"}))
        .await;
    let at = house.services.clock.now();
    house
        .write(move |tx| {
            Box::pin(async move {
                settings::set(tx, Key::VersionRetention, &json!(1), "admin", at).await
            })
        })
        .await;
    let cleanup = Cleanup { dry_run: false };
    let id = node.submit(&cleanup, None).await.unwrap();
    must_succeed(&node, id).await;

    let (early, _) = run(&house, &node, &FOR_REAL).await;
    node.drain(FOR_EVER).await;
    house.services.clock = Clock::of_runtime(Clock::system().now() + 8 * DAY);
    let node = house.node(None).await;
    let (late, _) = run(&house, &node, &FOR_REAL).await;

    assert_eq!((early.manifests, late.manifests), (0, 1));
    assert_eq!(house.tags(&to).await, "latest other");
    node.drain(FOR_EVER).await;
}

/// Where rules are about to take something away.
struct Quay {
    house: House,
    of: Destination,
}

impl Quay {
    async fn new() -> Self {
        let mut house = House::new().await;
        let (node, of) = harbour(&mut house, None).await;
        node.drain(FOR_EVER).await;
        Self { house, of }
    }

    async fn picture(&self) -> String {
        let gone = self.house.pulled(&self.of, "pr-1").await;
        format!("{} {gone:?}", self.house.picture(&self.of).await)
    }

    /// Until the sub-tasks have ended: their parent does not wait for one that has to wait.
    async fn settled(&self) {
        loop {
            let search = "label = apply_retention and state != stopped";
            let search = Search::parse(search, Timestamp(0)).unwrap();
            let journal = self.house.journal();
            let open = journal.list(search, Page::default()).await.unwrap();
            if open.plans.is_empty() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

macro_rules! on_a_quay {
    ($(#[$doc:meta])* $world:ident, $beyond:literal, |$quay:ident| $input:expr) => {
        $(#[$doc])*
        struct $world(Quay);

        impl Deref for $world {
            type Target = Quay;

            fn deref(&self) -> &Quay {
                &self.0
            }
        }

        impl World for $world {
            of_a_house!();

            /// What a version does not have any more a rollback brings back.
            const POINT_OF_NO_RETURN: Option<&str> = Some($beyond);

            async fn fresh() -> Self {
                Self(Quay::new().await)
            }

            async fn submit<St: Store<Tx = Tx>>(&self, node: &Node<Services, St>) -> PlanId {
                let $quay = &self.0;
                node.submit(&$input, Some("alice".into())).await.unwrap()
            }

            async fn picture(&self) -> String {
                self.0.settled().await;
                self.0.picture().await
            }

            async fn undone(&self) -> String {
                String::new()
            }
        }
    };
}

on_a_quay!(
    /// As the schedule does it.
    OfRetention, "apply", |_quay| FOR_REAL
);
on_a_quay!(
    /// In one repository.
    OfApplication, "remove", |quay| ApplyRetention {
        repository: quay.of.clone(),
        by: "alice".into(),
    }
);

keeps! { retention: OfRetention;
    a_retention_that_fails_at_any_step_is_mended_and_ends_the_same:
        fail_at_each_step does at least 3 6 0 2 2;
    a_retention_that_fails_after_the_work_of_any_step_is_mended_and_ends_the_same:
        fail_after_each_step does at least 3 6 0 2 2;
    a_retention_that_is_timed_out_at_any_step_is_mended_and_ends_the_same:
        time_out_at_each_step does at least 3 6 0 2 2;
    a_retention_whose_steps_run_twice_ends_the_same:
        run_each_step_twice does at least 3 8 0 2 0;
    a_retention_that_crashes_at_any_append_ends_the_same:
        crash_before_and_after_each_append does at least 5 10 0 4 0;
    a_retention_that_is_cancelled_at_any_step_ends:
        cancel_at_each_step does at least 3 2 0 0 2;
    a_retention_that_is_held_at_any_step_ends_the_same:
        hold_at_each_step does at least 3 5 0 0 2;
}

keeps! { apply_retention: OfApplication;
    an_application_that_fails_is_mended_and_ends_the_same:
        fail_at_each_step does at least 2 2 0 1 1;
    an_application_that_fails_after_its_work_is_mended_and_ends_the_same:
        fail_after_each_step does at least 3 3 0 2 1;
    an_application_that_is_timed_out_is_mended_and_ends_the_same:
        time_out_at_each_step does at least 3 5 0 4 1;
    an_application_that_runs_twice_ends_the_same:
        run_each_step_twice does at least 2 3 0 2 0;
    an_application_that_crashes_at_any_append_ends_the_same:
        crash_before_and_after_each_append does at least 3 3 0 2 0;
    an_application_that_is_cancelled_ends:
        cancel_at_each_step does at least 2 1 0 0 1;
    an_application_that_is_held_ends_the_same:
        hold_at_each_step does at least 2 2 0 0 1;
}
