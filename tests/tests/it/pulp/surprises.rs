//! What happens in a Pulp beside a push: its administrator purges tasks, ends sessions, deletes, cleans up and upgrades.
//!
//! These tests have a Pulp of their own, one after the other, because all of it concerns whoever else uses that Pulp.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::image::{self, Image, MANIFEST};
use tests::pulp::{Pulp, Which};
use tests::rest::{step, text};
use tests::server::Server;
use tests::wait::{self, SOON};
use tests::{digest, noise};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use super::lives;

const NAME: &str = "default_organization/tools/app";

/// Longer than Pulp and this registry wait for each other, each with its growing intervals.
const IN_THE_END: Duration = Duration::from_mins(3);

async fn alone() -> (MutexGuard<'static, ()>, &'static Pulp) {
    static TURN: Mutex<()> = Mutex::const_new(());
    static PULP: OnceCell<Pulp> = OnceCell::const_new();
    let turn = TURN.lock().await;
    let start = || async {
        // A worker that has gone is soon known to have.
        let settings = [
            ("WHARFINGER_PULP_EXTRA_SETTINGS", "WORKER_TTL = 3"),
            ("WHARFINGER_PULP_WORKERS", "1"),
            ("WHARFINGER_PULP_FAST", "1"),
        ];
        Pulp::start("surprising", Which::Newest, 19_850, &settings).await
    };
    let pulp = PULP.get_or_init(start).await;
    pulp.start_again().await;
    (turn, pulp)
}

/// Pushes an image, and waits for its end as long as the server does.
async fn push_begun(server: &Server, tag: &str) -> Image {
    let (oci, image) = (server.oci(), Image::small(noise::unique()));
    oci.push_blobs(NAME, &image).await;
    let begun = oci.put_manifest(NAME, tag, MANIFEST, &image.manifest);
    begun.await.expect_status(201);
    image
}

async fn ends_well(server: &Server, tag: &str, image: &Image) -> Value {
    let push = wait::until("the push has ended", IN_THE_END, async || {
        let push = server.rest().pushes_of(NAME, tag).await.pop()?;
        (push["state"] == "stopped" || push["state"] == "paused").then_some(push)
    });
    let push = push.await;
    assert_eq!(push["result"], "success", "{tag}: {push}");
    server.oci().assert_pullable(NAME, tag, image).await;
    push
}

/// The copy of a push, which no worker has taken up.
async fn waiting_copy(pulp: &Pulp) -> String {
    let copies = "tasks/?state=waiting&name__contains=recursive_add&fields=pulp_href";
    wait::until("the copy waits", SOON, async || {
        let copy = pulp.list(copies).await.pop()?;
        Some(text(&copy["pulp_href"]).to_owned())
    })
    .await
}

/// Until Pulp has ended this task. A worker that is new looks for what waits after some time only.
async fn until_done(pulp: &Pulp, task: &str) {
    wait::until("Pulp has ended the task", IN_THE_END, async || {
        let task = pulp.at(task).await.1;
        (task["state"] == "completed").then_some(())
    })
    .await;
}

/// The things of this name in Pulp, of a server with this prefix.
async fn of_name(pulp: &Pulp, kind: &str, name: &str) -> Vec<Value> {
    pulp.list(&format!("{kind}/?name={name}")).await
}

async fn delete(pulp: &Pulp, kind: &str, name: &str) {
    for thing in of_name(pulp, kind, name).await {
        let (status, accepted) = pulp
            .ask_at(Method::DELETE, text(&thing["pulp_href"]), None)
            .await;
        assert_eq!(status, StatusCode::ACCEPTED, "{accepted}");
        until_done(pulp, text(&accepted["task"])).await;
    }
}

/// What no version has goes, however new it is.
async fn clean_up_orphans(pulp: &Pulp) {
    let all = json!({"orphan_protection_time": 0});
    let (status, accepted) = pulp.ask(Method::POST, "orphans/cleanup/", Some(&all)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{accepted}");
    until_done(pulp, text(&accepted["task"])).await;
}

async fn server_with_prefix(pulp: &Pulp, more: &[&str]) -> (Server, String) {
    let prefix = format!("s{:x}", noise::unique());
    let options = pulp.options_with(&prefix);
    let options = options.iter().map(String::as_str);
    let options: Vec<&str> = options.chain(more.iter().copied()).collect();
    (Server::start_with(&options).await, prefix)
}

/// The number of the destination that pushes to [`NAME`] go to.
async fn destination(server: &Server) -> String {
    server.rest().repository(NAME).await["id"].to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_pulp_has_ended_are_begun_anew() {
    let (_alone, pulp) = alone().await;
    let server = pulp.server(&[]).await;
    let first = push_begun(&server, "first").await;
    ends_well(&server, "first", &first).await;

    pulp.sql("DELETE FROM django_session").await;
    let second = push_begun(&server, "second").await;

    ends_well(&server, "second", &second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_pulp_has_done_and_purged_is_known_by_what_it_did() {
    let (_alone, pulp) = alone().await;
    let server = pulp.server(&["--push-wait=0s"]).await;
    pulp.part("stop", "worker1").await;
    let image = push_begun(&server, "latest").await;
    let copy = waiting_copy(pulp).await;

    // Nobody asks for the task between its end and the purge.
    server.signal("STOP").await;
    pulp.part("start", "worker1").await;
    until_done(pulp, &copy).await;
    let all = json!({"states": ["completed"], "finished_before": "2100-01-01T00:00:00Z"});
    let (status, purge) = pulp.ask(Method::POST, "tasks/purge/", Some(&all)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{purge}");
    wait::until("the task is forgotten", IN_THE_END, async || {
        (pulp.at(&copy).await.0 == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
    server.signal("CONT").await;

    let push = ends_well(&server, "latest", &image).await;
    assert_eq!(step(&push, "copy")["attempts"], 1, "{push}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_pulp_has_lost_before_it_did_anything_is_begun_again() {
    let (_alone, pulp) = alone().await;
    let server = pulp.server(&["--push-wait=0s"]).await;
    pulp.part("stop", "worker1").await;
    let image = push_begun(&server, "latest").await;
    waiting_copy(pulp).await;

    pulp.sql("DELETE FROM core_task WHERE state = 'waiting'")
        .await;
    pulp.part("start", "worker1").await;

    ends_well(&server, "latest", &image).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_that_pulp_throttles_and_takes_later_is_pushed_once() {
    let (_alone, pulp) = alone().await;
    let (server, prefix) = server_with_prefix(pulp, &["--push-wait=0s"]).await;
    let first = push_begun(&server, "first").await;
    ends_well(&server, "first", &first).await;
    let pushed = format!("{prefix}-push/{}", destination(&server).await);
    let repository = of_name(pulp, "repositories/container/container", &pushed).await;
    let repository = text(&repository[0]["pulp_href"]).to_owned();

    // Something that waits for a worker has the push repository: Pulp does not take the manifest until that is done.
    pulp.part("stop", "worker1").await;
    let tag = format!("content/container/tags/?name=first&digest={}", first.digest);
    let tag = pulp.list(&tag).await;
    let again = json!({"content_units": [tag[0]["pulp_href"]]});
    let busy = format!("{repository}add/");
    let (status, busy) = pulp.ask_at(Method::POST, &busy, Some(&again)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{busy}");
    let second = push_begun(&server, "second").await;
    let throttled = wait::until("a manifest was throttled", SOON, async || {
        let push = server.rest().pushes_of(NAME, "second").await.pop()?;
        let forward = step(&push, "forward").clone();
        (forward["attempts"].as_i64()? > 1).then_some(forward)
    });
    let throttled = throttled.await;
    pulp.part("start", "worker1").await;

    ends_well(&server, "second", &second).await;
    assert!(throttled.to_string().contains("429"), "{throttled}");
    let found = server.oci().manifest(NAME, "first").await;
    assert_eq!(digest::of(&found.expect_status(200).body), first.digest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_deletes_in_pulp_is_made_again_by_the_next_push() {
    let (_alone, pulp) = alone().await;
    let (server, prefix) = server_with_prefix(pulp, &[]).await;
    let mut last = push_begun(&server, "t0").await;
    ends_well(&server, "t0", &last).await;
    let number = destination(&server).await;
    let (own, pushed) = (
        format!("{prefix}/{number}"),
        format!("{prefix}-push/{number}"),
    );
    let (distributions, repositories) = (
        "distributions/container/container",
        "repositories/container/container",
    );

    for (n, (kind, name)) in [
        (distributions, &own),
        (repositories, &own),
        // The repository goes with it.
        (distributions, &pushed),
    ]
    .into_iter()
    .enumerate()
    {
        delete(pulp, kind, name).await;
        let tag = format!("t{}", n + 1);
        let next = push_begun(&server, &tag).await;
        ends_well(&server, &tag, &next).await;
        // What was there before is there still, in what is left of it.
        let found = server.oci().manifest(NAME, &format!("t{n}")).await;
        assert_eq!(digest::of(&found.expect_status(200).body), last.digest);
        last = next;
    }
    for (kind, name) in [(distributions, &own), (repositories, &own)] {
        assert_eq!(of_name(pulp, kind, name).await.len(), 1, "{kind} {name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_whose_repository_went_while_it_was_paused_says_so_and_spoils_nothing() {
    let (_alone, pulp) = alone().await;
    let more = ["--push-wait=0s", "--allow-drills"];
    let (server, prefix) = server_with_prefix(pulp, &more).await;
    let rest = server.rest();
    rest.begin_drill(&json!({
        "workflow": "push", "step": "reindex", "effect": "fail", "times": 1, "tag": "late", "repository": NAME,
    }))
    .await;
    let late = push_begun(&server, "late").await;
    let is_paused = |push: &Value| push["state"] == "paused";
    let paused = rest.until_push(NAME, "late", "is paused", is_paused).await;
    // It has no number that users see before its first push has ended.
    let own = format!("{prefix}/1");
    delete(pulp, "distributions/container/container", &own).await;
    delete(pulp, "repositories/container/container", &own).await;
    let other = push_begun(&server, "other").await;
    ends_well(&server, "other", &other).await;

    let task = format!("/tasks/{}", text(&paused["id"]));
    let resume = rest.post(&format!("{task}/resume"), &json!({})).await;
    resume.expect_status(202);
    let told = wait::until("it is paused again", IN_THE_END, async || {
        let task = rest.task(text(&paused["id"])).await;
        let told = text(&task["headline"]).to_owned();
        (task["state"] == "paused" && told.contains("push again")).then_some(told)
    })
    .await;
    assert!(told.contains("was deleted while this push"), "{told}");
    let cancel = rest.post(&format!("{task}/cancel"), &json!({})).await;
    cancel.expect_status(202);
    rest.until_state(text(&paused["id"]), "stopped").await;

    let oci = server.oci();
    let again = oci.put_manifest(NAME, "late", MANIFEST, &late.manifest);
    again.await.expect_status(201);
    ends_well(&server, "late", &late).await;
    server.oci().assert_pullable(NAME, "other", &other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_that_pulp_swept_before_their_manifest_came_are_sent_again() {
    let (_alone, pulp) = alone().await;
    let mut server = pulp.server(&["--push-wait=0s", "--allow-drills"]).await;
    for (step, tag) in [("forward", "unnamed"), ("copy", "named")] {
        server
            .rest()
            .begin_drill(&json!({
                "workflow": "push", "step": step, "effect": "crash", "when": "before",
                "times": 1, "tag": tag, "repository": NAME,
            }))
            .await;
        let (oci, image) = (server.oci(), Image::small(noise::unique()));
        oci.push_blobs(NAME, &image).await;
        drop(
            oci.try_put_manifest(NAME, tag, image::MANIFEST, &image.manifest)
                .await,
        );
        server.ended().await;
        clean_up_orphans(pulp).await;
        let layer = digest::of(&image.layers[0]);
        let known = format!("content/container/blobs/?digest={layer}");
        let is_there = !pulp.list(&known).await.is_empty();
        assert_eq!(is_there, tag == "named", "{tag}");
        server.restart().await;

        ends_well(&server, tag, &image).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_that_pulp_has_lost_is_unknown_and_the_next_push_brings_it_again() {
    let (_alone, pulp) = alone().await;
    let (server, prefix) = server_with_prefix(pulp, &[]).await;
    let image = push_begun(&server, "latest").await;
    ends_well(&server, "latest", &image).await;
    let number = destination(&server).await;
    for name in [
        format!("{prefix}/{number}"),
        format!("{prefix}-push/{number}"),
    ] {
        delete(pulp, "distributions/container/container", &name).await;
        delete(pulp, "repositories/container/container", &name).await;
    }
    // Without any of its names it would be taken for another Pulp.
    let other = push_begun(&server, "other").await;
    ends_well(&server, "other", &other).await;
    clean_up_orphans(pulp).await;
    let oci = server.oci();

    for blob in image.blobs() {
        let blob = format!("blobs/{}", digest::of(blob));
        let lost = oci.send(oci.of(Method::GET, NAME, &blob).await).await;
        lost.expect_refusal(404, "BLOB_UNKNOWN");
    }
    oci.push(NAME, "latest", &image).await.expect_status(201);

    oci.assert_pullable(NAME, "latest", &image).await;
}

/// A push repository stays one after the upgrade, until somebody migrates it: then its href is another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pulp_that_is_upgraded_and_migrated_goes_on_taking_pushes_to_what_it_had() {
    let start = |which| {
        let settings = [
            ("WHARFINGER_PULP_WORKERS", "1"),
            ("WHARFINGER_PULP_FAST", "1"),
        ];
        async move { Pulp::start("upgraded", which, 19_860, &settings).await }
    };
    let older = start(Which::Older).await;
    let (server, prefix) = server_with_prefix(&older, &[]).await;
    let mut pushed = vec![("before", push_begun(&server, "before").await)];
    ends_well(&server, "before", &pushed[0].1).await;
    let name = format!("{prefix}-push/{}", destination(&server).await);
    let kind = "repositories/container/container-push";

    older.stop().await;
    let pulp = start(Which::Newest).await;
    pushed.push(("upgraded", push_begun(&server, "upgraded").await));
    ends_well(&server, "upgraded", &pushed[1].1).await;
    let repository = of_name(&pulp, kind, &name).await;
    let migrate = format!("{}migrate/", text(&repository[0]["pulp_href"]));
    let (status, migrated) = pulp.ask_at(Method::POST, &migrate, Some(&json!({}))).await;
    assert!(status.is_success(), "{status} {migrated}");
    wait::until("it is a container repository", IN_THE_END, async || {
        of_name(&pulp, kind, &name).await.is_empty().then_some(())
    })
    .await;
    let container = of_name(&pulp, "repositories/container/container", &name).await;
    assert_eq!(container.len(), 1, "{container:?}");
    pushed.push(("migrated", push_begun(&server, "migrated").await));

    ends_well(&server, "migrated", &pushed[2].1).await;
    for (tag, image) in &pushed {
        server.oci().assert_pullable(NAME, tag, image).await;
    }
    assert_eq!(server.rest().version_numbers(NAME).await, [1, 2, 3]);
    pulp.stop().await;
}

/// The bytes of what was deleted go with Pulp's own clean-up, and only they.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_is_swept_by_pulp_and_what_is_shared_is_not() {
    let (_alone, pulp) = alone().await;
    let (mut server, _) = server_with_prefix(pulp, &[]).await;
    let other = "default_organization/tools/other";
    let (seed, shared) = (noise::unique(), noise::bytes(noise::unique(), 50_000));
    let with = |n: u64| Image::with_layers(vec![shared.clone(), noise::bytes(n, 4096)], "amd64");
    let (gone, kept) = (with(seed + 1), with(seed + 2));
    let oci = server.oci();
    oci.push(NAME, "latest", &gone).await.expect_status(201);
    oci.push(other, "latest", &kept).await.expect_status(201);
    server.rest().until_no_task_is_open(IN_THE_END).await;
    let words = ["repository", "delete", NAME, "--wait"];
    server.cli(&words).await.expect_code(0);
    lives::age_deletes(&mut server, 8).await;

    let (_, did) = lives::cleaned_up(&server, false).await;
    clean_up_orphans(pulp).await;

    assert_eq!(did["repositories"], 1);
    let left = async |layer: &[u8]| {
        let blob = format!("content/container/blobs/?digest={}", digest::of(layer));
        pulp.list(&blob).await.len()
    };
    assert_eq!(left(&gone.layers[1]).await, 0);
    assert_eq!(left(&shared).await, 1);
    let oci = server.oci();
    oci.assert_pullable(other, "latest", &kept).await;
    oci.push(NAME, "latest", &gone).await.expect_status(201);
    oci.assert_pullable(NAME, "latest", &gone).await;
}
