//! What a cleanup takes away besides tasks, and that it keeps the laws of all workflows.

use crate::house::{FOR_EVER, House, HouseNode, of_a_house};
use crate::keeps::keeps;
use bytes::Bytes;
use engine::clock::{Clock, Timestamp};
use engine::journal::{PlanId, PlanResult};
use engine::node::Node;
use engine::plan::Plan;
use engine::prove::corpus;
use engine::prove::laws::World;
use engine::search::Search;
use engine::store::{Page, Store};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use storage::catalog::settings::{self, Key};
use storage::catalog::{RepositoryId, audit, versions};
use storage::content::objects::ObjectName;
use storage::content::{Blob, inventory};
use storage::{Digest, Tx, filling, garbage};
use uuid::Uuid;
use workflows::Services;
use workflows::cleanup::Cleanup;
use workflows::delete_image::Image;
use workflows::destination::Destination;

const DAY: Duration = Duration::from_hours(24);
const STEPS: [&str; 6] = [
    "expire_uploads",
    "sweep_destinations",
    "collect_deleted",
    "prune_versions",
    "collect_garbage",
    "delete_tasks",
];

/// Where something of everything has had its time: tasks, an upload, a destination, a deleted repository, versions, blobs.
struct Attic {
    house: House,
    kept: Destination,
    newest: Digest,
}

impl Attic {
    async fn new() -> Self {
        let mut house = House::new().await;
        house.services.clock = Clock::of_runtime(Clock::system().now() - 60 * DAY);
        set(&house, Key::VersionRetention, json!(2)).await;
        let node = house.node(None).await;
        let kept = house.destination("acme/tools/busybox").await;
        let first = house.published(&node, &kept, "first", "one").await;
        let delete = Image::Digest(first);
        let deleted = house.delete(&node, &kept, delete).await.unwrap();
        node.wait(deleted, FOR_EVER).await.unwrap();
        house.published(&node, &kept, "latest", "two").await;
        let newest = house.published(&node, &kept, "latest", "three").await;
        let gone = house.destination("acme/tools/alpine").await;
        house.published(&node, &gone, "latest", "two").await;
        house.published(&node, &gone, "latest", "four").await;
        let deleted = house.delete_repository(&node, &gone).await.unwrap();
        node.wait(deleted, FOR_EVER).await.unwrap();
        let unused = house.destination("acme/tools/debian").await;
        house.blob(&unused, b"a layer without a manifest").await;
        let begun = house.destination("acme/tools/fedora").await;
        begin_upload(&house, &begun).await;
        node.drain(FOR_EVER).await;
        house.services.clock = Clock::system();
        Self {
            house,
            kept,
            newest,
        }
    }

    /// How much of everything there is, and what can be pulled.
    async fn picture(&self) -> String {
        let house = &self.house;
        let objects = house
            .services
            .content
            .objects_before("", Timestamp(i64::MAX));
        let objects = objects.await.unwrap().len();
        let latest = house.pulled(&self.kept, "latest").await;
        let tasks = Page {
            limit: 1000,
            ..Page::default()
        };
        let tasks = house.journal().list(Search::default(), tasks).await;
        let tasks = tasks.unwrap().plans.len();
        let mut tx = house.services.database.read().await.unwrap();
        let destinations = garbage::destinations::all(&mut tx, None).await.unwrap();
        let blobs = inventory::blobs(&mut tx, None, 1000).await.unwrap().len();
        let doomed = garbage::objects::doomed(&mut tx, None).await.unwrap().len();
        let uploads = inventory::open_uploads(&mut tx).await.unwrap();
        let of = RepositoryId::from(self.kept.id);
        let versions = versions::list(&mut tx, of, None, 100).await.unwrap();
        let versions: Vec<i64> = versions.iter().map(|version| version.number).collect();
        format!(
            "{tasks} tasks, {} destinations, {blobs} blobs in {objects} objects, {doomed} doomed, {uploads} uploads, versions {versions:?}, {latest:?}",
            destinations.found.len()
        )
    }
}

async fn set(house: &House, key: Key, value: Value) {
    key.check(&value).unwrap();
    let at = house.services.clock.now();
    house
        .write(move |tx| Box::pin(async move { settings::set(tx, key, &value, "admin", at).await }))
        .await;
}

async fn begin_upload(house: &House, to: &Destination) {
    let (content, at) = (&house.services.content, house.services.clock.now());
    let upload = content.open_upload(to.id, house.user.id, at).await.unwrap();
    let body = [Ok::<_, std::io::Error>(Bytes::from_static(b"a beginning"))];
    let body = futures_util::stream::iter(body);
    content.append(upload.id, None, body, at).await.unwrap();
}

/// What each step has told.
async fn run(node: &HouseNode, dry_run: bool) -> (PlanId, Vec<Value>) {
    let id = node.submit(&Cleanup { dry_run }, None).await.unwrap();
    let plan = node.wait(id, FOR_EVER).await.unwrap();
    assert_eq!(plan.result, PlanResult::Success, "{plan:?}");
    let told = STEPS.iter().map(|step| plan.output_of(step).unwrap());
    (id, told.map(|output| output.decode().unwrap()).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_tells_of_everything_what_the_run_then_takes_away() {
    let attic = Attic::new().await;
    let node = attic.house.node(None).await;
    let before = attic.picture().await;

    let (_, would) = run(&node, true).await;
    let between = attic.picture().await;
    let (real, did) = run(&node, false).await;
    let after = attic.picture().await;
    let (_, again) = run(&node, false).await;

    let one_more = |picture: &str, tasks: &str, more: &str| picture.replacen(tasks, more, 1);
    assert_eq!(
        between,
        one_more(&before, "7 tasks", "8 tasks"),
        "it is a task, and nothing else has changed"
    );
    assert_eq!(did, would);
    let expected = [
        json!({"sessions": 1, "bytes": 11, "complete": true}),
        json!({"destinations": 2, "complete": true}),
        json!({"repositories": 1, "products": 0, "versions": 2, "bytes": did[2]["bytes"], "left_in_pulp": 0, "complete": true}),
        json!({"versions": 2, "manifests": 1, "bytes": did[3]["bytes"], "complete": true}),
        json!({"blobs": 5, "bytes": did[4]["bytes"], "objects_without_row": 0, "complete": true}),
    ];
    assert_eq!(did[..5], expected);
    assert_eq!(did[5]["tasks"], 7);
    assert!(
        (2..5).all(|step| did[step]["bytes"].as_u64() > Some(0)),
        "{did:?}"
    );
    assert_eq!(
        after,
        format!(
            "2 tasks, 1 destinations, 4 blobs in 4 objects, 0 doomed, 0 uploads, versions [4, 3], {:?}",
            Some(attic.newest)
        )
    );
    for (step, told) in STEPS.iter().zip(again) {
        let figures = told.as_object().unwrap().values();
        let figures: u64 = figures.filter_map(Value::as_u64).sum();
        assert_eq!(figures, 0, "{step} of a run after that: {told}");
    }
    let mut tx = attic.house.services.database.read().await.unwrap();
    let search = Search::parse("action = delete", Timestamp(0)).unwrap();
    let audited = audit::list(&mut tx, &search, None, 100).await.unwrap();
    let by_it = audited.iter().filter(|entry| entry.what.task == Some(real));
    let reasons: Vec<_> = by_it.map(|entry| entry.what.reason.as_deref()).collect();
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    for setting in ["undo_window", "version_retention", "task_retention"] {
        let named = format!("setting {setting}");
        assert!(reasons.contains(&Some(named.as_str())), "{reasons:?}");
    }
    drop(tx);
    node.drain(FOR_EVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_paused_push_brings_is_kept_however_long_it_waits() {
    use engine::node::{Drill, Effect};
    use engine::step::BoxFuture;
    struct BreaksTheCopy;
    impl Drill for BreaksTheCopy {
        fn before<'a>(&'a self, _: &'a Plan, step: &'a str) -> BoxFuture<'a, Option<Effect>> {
            Box::pin(async move { (step == "copy").then_some(Effect::Fail) })
        }
    }
    let mut house = House::new().await;
    house.services.clock = Clock::of_runtime(Clock::system().now() - 60 * DAY);
    set(&house, Key::VersionRetention, json!(1)).await;
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    let old = house.image(&to, "one").await;
    house.published(&node, &to, "latest", "one").await;
    let deleted = house.delete(&node, &to, Image::Digest(old.digest)).await;
    node.wait(deleted.unwrap(), FOR_EVER).await.unwrap();
    node.drain(FOR_EVER).await;
    let node = house.node(Some(std::sync::Arc::new(BreaksTheCopy))).await;
    let push = house.plan(&node, &to, "latest", &old).await;
    node.wait(push, FOR_EVER).await.unwrap();
    node.drain(FOR_EVER).await;
    house.services.clock = Clock::system();
    let node = house.node(None).await;

    let (_, did) = run(&node, false).await;
    let resume = engine::journal::Message {
        action: engine::journal::Action::Resume,
        by: "admin".into(),
        reason: None,
    };
    node.act(push, resume).await.unwrap();
    let pushed = node.wait(push, FOR_EVER).await.unwrap();

    assert_eq!(did[3]["versions"], 0, "somebody is at work there: {did:?}");
    assert_eq!(pushed.result, PlanResult::Success, "{pushed:?}");
    assert_eq!(house.pulled(&to, "latest").await, Some(old.digest));
    node.drain(FOR_EVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cleanup_of_an_earlier_release_goes_on_with_the_steps_that_it_was_begun_with() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/corpus");
    let mut from = 0;
    for (place, kept) in corpus::read(&folder).unwrap() {
        let rows = kept.rows();
        if Plan::fold(PlanId(Uuid::nil()), &rows).workflow() != "cleanup" {
            continue;
        }
        for end in 1..=rows.len() {
            let house = House::new().await;
            let (store, id) = (house.journal(), PlanId(Uuid::now_v7()));
            corpus::place(&store, id, &rows[..end]).await.unwrap();
            let node = house.node(None).await;
            let plan = node.wait(id, FOR_EVER).await.unwrap();
            node.drain(FOR_EVER).await;

            let graph: Vec<&str> = plan.graph().iter().map(|step| &*step.name).collect();
            assert_eq!(graph, ["delete_tasks"], "{place} row {end}");
            assert_eq!(plan.result, PlanResult::Success, "{place} row {end}");
            from += 1;
        }
    }

    println!("cleanups of old went on from {from} rows");
    assert!(from >= 2, "{from}");
}

/// How long pushes take until they are published, one after the other: the median of so many.
async fn median_of_pushes(house: &House, node: &HouseNode, name: &str, pushes: usize) -> Duration {
    let to = house.destination("acme/tools/busybox").await;
    let mut took = Vec::new();
    for n in 0..pushes {
        let image = house.image(&to, &format!("{name} {n}")).await;
        let begun = tokio::time::Instant::now();
        let plan = house.plan(node, &to, "latest", &image).await;
        node.wait(plan, FOR_EVER).await.unwrap();
        took.push(begun.elapsed());
    }
    took.sort();
    took[pushes / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute"]
async fn collecting_a_hundred_thousand_blobs_does_not_hold_up_pushes() {
    const BLOBS: u64 = 100_000;
    let house = House::new().await;
    let long_ago = Clock::system().now() - 60 * DAY;
    for some in 0..BLOBS / 1000 {
        let blobs: Vec<_> = (some * 1000..(some + 1) * 1000)
            .map(|n| {
                let digest = Digest::of(&n.to_le_bytes());
                let blob = Blob {
                    digest,
                    size_bytes: n,
                };
                (blob, ObjectName::random())
            })
            .collect();
        house
            .write(move |tx| {
                Box::pin(async move { filling::unlinked_blobs(tx, &blobs, long_ago).await })
            })
            .await;
    }
    let node = house.node(None).await;
    median_of_pushes(&house, &node, "warm", 10).await;
    let before = median_of_pushes(&house, &node, "before", 60).await;

    let begun = tokio::time::Instant::now();
    let cleanup = Cleanup { dry_run: false };
    let id = node.submit(&cleanup, None).await.unwrap();
    let during = median_of_pushes(&house, &node, "during", 60).await;
    let under_way = node
        .plan(id)
        .await
        .unwrap()
        .output_of("collect_garbage")
        .is_none();
    let plan = node.wait(id, 10 * FOR_EVER).await.unwrap();
    let took = begun.elapsed();
    let told: Value = plan.output_of("collect_garbage").unwrap().decode().unwrap();

    println!(
        "a push took {before:?} before, {during:?} while {BLOBS} blobs were collected within {took:?}: {told}"
    );
    assert!(under_way, "the cleanup outlasts the pushes");
    assert_eq!(told["blobs"], BLOBS);
    assert!(during < before * 3 / 2, "{before:?}, then {during:?}");
    node.drain(FOR_EVER).await;
}

impl World for Attic {
    of_a_house!();

    /// What is deleted stays so.
    const POINT_OF_NO_RETURN: Option<&str> = Some("delete_tasks");
    const TRIED: usize = 8;

    async fn fresh() -> Self {
        Self::new().await
    }

    async fn submit<St: Store<Tx = Tx>>(&self, node: &Node<Services, St>) -> PlanId {
        let cleanup = Cleanup { dry_run: false };
        node.submit(&cleanup, Some("alice".into())).await.unwrap()
    }

    async fn picture(&self) -> String {
        Self::picture(self).await
    }

    /// No revert brings back what was deleted.
    async fn undone(&self) -> String {
        String::new()
    }
}

keeps! { cleanup: Attic;
    a_cleanup_that_fails_at_any_step_goes_on_and_ends_the_same:
        fail_at_each_step does at least 7 42 0 6 6;
    a_cleanup_that_fails_after_the_work_of_any_step_goes_on_and_ends_the_same:
        fail_after_each_step does at least 13 70 0 12 6;
    a_cleanup_that_is_timed_out_at_any_step_goes_on_and_ends_the_same:
        time_out_at_each_step does at least 13 70 0 12 6;
    a_cleanup_whose_steps_run_twice_ends_the_same:
        run_each_step_twice does at least 7 40 0 6 0;
    a_cleanup_that_crashes_at_any_append_ends_the_same:
        crash_before_and_after_each_append does at least 7 40 0 6 0;
    a_cleanup_that_is_cancelled_at_any_step_ends:
        cancel_at_each_step does at least 7 10 0 0 6;
    a_cleanup_that_is_held_at_any_step_ends_the_same:
        hold_at_each_step does at least 7 30 0 0 6;
}
