//! Rollbacks: what was published before is published again, with everything it consists of.

use serde_json::{Value, json};
use tests::digest;
use tests::image::Image;
use tests::podman::Podman;
use tests::rest::{Rest, step, text};
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};
use tests::turn;
use tests::wait::SOON;

use crate::environments::promote;

const NAME: &str = "default_organization/tools/app";
const DEV: &str = "default_organization/dev/tools/app";
const PASSWORD: &str = "many-hands-on-deck-3";

async fn make_dev(rest: &Rest) {
    let new = json!({ "label": "dev", "name": "dev", "prior": "Library" });
    rest.post("/organizations/Default_Organization/environments", &new)
        .await
        .expect_status(201);
}

/// Rolls back by REST, and waits for its end.
async fn roll_back(rest: &Rest, environment: &str, version: i64) -> Value {
    let path = format!("{}/rollback", rest.path_of(NAME).await);
    let wanted = json!({ "environment": environment, "version": version });
    let task = rest.begun(rest.post(&path, &wanted).await).await;
    assert_eq!(task["result"], "success", "{task}");
    task
}

#[tokio::test]
async fn a_rollback_publishes_an_earlier_version_as_a_new_one() {
    let server = Server::start().await;
    let (oci, rest, podman) = (server.oci(), server.rest(), Podman::new());
    let place = format!("{}/{NAME}:latest", server.host());
    podman
        .login(&server.host(), ADMIN, ADMIN_PASSWORD)
        .await
        .expect_code(0);
    let good = podman.make_image(&place, 1).await;
    podman.push(&place).await.expect_code(0);
    let bad = podman.make_image(&place, 2).await;
    podman.push(&place).await.expect_code(0);
    oci.push(NAME, "other", &Image::small(3))
        .await
        .expect_status(201);
    let bad_digest = oci.manifest(NAME, "latest").await;
    let bad_digest = bad_digest.header("docker-content-digest").to_owned();

    let words = ["repository", "rollback", NAME, "--version", "1", "--wait"];
    server.cli(&words).await.expect_code(0);

    podman.remove_all_images().await;
    podman.pull(&place).await.expect_code(0);
    let pulled = podman.image_id(&place).await;
    assert_eq!(pulled, good);
    assert_ne!(pulled, bad);
    assert_eq!(oci.tags(NAME, 10).await, ["latest"]);
    oci.manifest(NAME, &bad_digest).await.expect_status(200);
    assert_eq!(rest.version_numbers(NAME).await, [1, 2, 3, 4]);
    let path = format!("{}/versions/4", rest.path_of(NAME).await);
    let version = rest.get(&path).await.expect_status(200).json();
    assert_eq!(version["cause"], "rollback", "{version}");
    assert_eq!(version["added"]["tags"], json!(["latest"]), "{version}");
    let removed = json!(["latest", "other"]);
    assert_eq!(version["removed"]["tags"], removed, "{version}");
    assert_eq!(version["published_in"], json!(["Library"]), "{version}");
    let audit = rest.all("/audit", "action = rollback").await;
    assert_eq!(audit.len(), 1, "{audit:?}");
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_push_after_a_rollback_builds_on_what_it_published() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let (first, second) = (Image::small(1), Image::small(2));
    oci.push(NAME, "latest", &first).await.expect_status(201);
    oci.push(NAME, "latest", &second).await.expect_status(201);
    oci.push(NAME, "extra", &second).await.expect_status(201);
    roll_back(&rest, "Library", 1).await;

    oci.push(NAME, "1.0", &first).await.expect_status(201);
    assert_eq!(oci.tags(NAME, 10).await, ["1.0", "latest"]);
    oci.assert_pullable(NAME, "latest", &first).await;

    // What was rolled back can be pushed again: it is not taken for what is there already.
    oci.push(NAME, "latest", &second).await.expect_status(201);
    oci.assert_pullable(NAME, "latest", &second).await;
    assert_eq!(rest.version_numbers(NAME).await, [1, 2, 3, 4, 5, 6]);
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_rollback_brings_back_what_was_deleted_manifests_and_blobs() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let (image, other) = (Image::small(1), Image::small(2));
    oci.push(NAME, "1.0", &image).await.expect_status(201);
    oci.push(NAME, "1.0.1", &image).await.expect_status(201);
    oci.push(NAME, "2.0", &other).await.expect_status(201);
    let manifest = format!("manifests/{}", image.digest);
    oci.delete(NAME, &manifest).await.expect_status(202);
    for blob in image.blobs() {
        let blob = format!("blobs/{}", digest::of(blob));
        oci.delete(NAME, &blob).await.expect_status(202);
    }
    oci.manifest(NAME, "1.0").await.expect_status(404);

    roll_back(&rest, "Library", 3).await;

    assert_eq!(oci.tags(NAME, 10).await, ["1.0", "1.0.1", "2.0"]);
    for (tag, image) in [("1.0", &image), ("1.0.1", &image), ("2.0", &other)] {
        oci.assert_pullable(NAME, tag, image).await;
    }
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn another_environment_is_pointed_to_the_earlier_version_itself() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    make_dev(&rest).await;
    let (first, second) = (Image::small(1), Image::small(2));
    oci.push(NAME, "latest", &first).await.expect_status(201);
    oci.push(NAME, "latest", &second).await.expect_status(201);
    promote(&rest, NAME, 2, "dev").await;
    oci.assert_pullable(DEV, "latest", &second).await;

    let words = [
        "repository",
        "rollback",
        NAME,
        "--version",
        "1",
        "--environment",
        "dev",
        "--wait",
    ];
    server.cli(&words).await.expect_code(0);

    oci.assert_pullable(DEV, "latest", &first).await;
    oci.assert_pullable(NAME, "latest", &second).await;
    assert_eq!(rest.version_numbers(NAME).await, [1, 2]);
    server.doctor().await.expect_code(0);
}

/// The version that Library showed has lost its blobs since: an environment that is rolled back to it must have them again.
#[tokio::test]
async fn an_environment_is_rolled_back_to_a_version_whose_blobs_were_deleted() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    make_dev(&rest).await;
    let (first, second) = (Image::small(1), Image::small(2));
    oci.push(NAME, "latest", &first).await.expect_status(201);
    let manifest = format!("manifests/{}", first.digest);
    oci.delete(NAME, &manifest).await.expect_status(202);
    oci.push(NAME, "latest", &second).await.expect_status(201);
    promote(&rest, NAME, 3, "dev").await;
    for blob in first.blobs() {
        let blob = format!("blobs/{}", digest::of(blob));
        oci.delete(NAME, &blob).await.expect_status(202);
    }

    roll_back(&rest, "dev", 1).await;

    oci.assert_pullable(DEV, "latest", &first).await;
    server.doctor().await.expect_code(0);
}

/// The same by a promotion: any version that Library has published may be promoted.
#[tokio::test]
async fn a_version_whose_blobs_were_deleted_is_promoted_whole() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    make_dev(&rest).await;
    let first = Image::small(1);
    oci.push(NAME, "latest", &first).await.expect_status(201);
    let manifest = format!("manifests/{}", first.digest);
    oci.delete(NAME, &manifest).await.expect_status(202);
    for blob in first.blobs() {
        let blob = format!("blobs/{}", digest::of(blob));
        oci.delete(NAME, &blob).await.expect_status(202);
    }

    promote(&rest, NAME, 1, "dev").await;

    oci.assert_pullable(DEV, "latest", &first).await;
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_rollback_goes_to_a_version_that_there_is_and_that_was_before() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    make_dev(&rest).await;
    for seed in 1..=2 {
        oci.push(NAME, "latest", &Image::small(seed))
            .await
            .expect_status(201);
    }
    let path = format!("{}/rollback", rest.path_of(NAME).await);

    for (environment, version, field, told) in [
        ("Library", 2, "version", "earlier"),
        ("Library", 7, "version", "no version 7"),
        ("Library", 0, "version", "no version 0"),
        ("dev", 1, "environment", "publishes nothing"),
        ("moon", 1, "environment", "no environment"),
    ] {
        let wanted = json!({ "environment": environment, "version": version });
        let refused = rest.post(&path, &wanted).await.expect_status(422);
        let wrong = &refused.json()["errors"][0];
        assert_eq!(wrong["field"], field, "{refused}");
        assert!(wrong["message"].to_string().contains(told), "{refused}");
    }
    let organization = "Default_Organization";
    for (login, role, code) in [("pusher", "pusher", 3), ("reader", "reader", 3)] {
        rest.make_user(login, PASSWORD, role, organization).await;
        let words = ["repository", "rollback", NAME, "--version", "1"];
        let refused = server.cli_as(login, PASSWORD, &words).await;
        assert_eq!(refused.code, code, "{refused}");
    }
    oci.assert_pullable(NAME, "latest", &Image::small(2)).await;
    assert_eq!(rest.version_numbers(NAME).await, [1, 2]);
}

#[tokio::test]
async fn a_rollback_ends_paused_pushes_that_would_take_it_back() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let [first, second, third] = [1, 2, 3].map(Image::small);
    oci.push(NAME, "latest", &first).await.expect_status(201);
    oci.push(NAME, "latest", &second).await.expect_status(201);
    let drill = json!({
        "workflow": "push", "step": "distribute", "repository": NAME, "effect": "fail",
    });
    let drill = rest.begin_drill(&drill).await;
    let push = oci
        .push(NAME, "latest", &third)
        .await
        .expect_status(424)
        .named_task();
    rest.end_drill(&drill).await;

    roll_back(&rest, "Library", 1).await;

    let push = rest.until_state(&push, "stopped").await;
    assert_eq!(push["result"], "cancelled", "{push}");
    oci.assert_pullable(NAME, "latest", &first).await;
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_rollback_that_the_server_dies_in_is_finished_by_the_next_start() {
    let _turn = turn::heavy().await;
    let mut server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let (first, second) = (Image::small(1), Image::small(2));
    oci.push(NAME, "latest", &first).await.expect_status(201);
    for crashing in ["restore", "distribute"] {
        for when in ["before", "after"] {
            oci.push(NAME, "latest", &second).await.expect_status(201);
            let drill = json!({
                "workflow": "rollback", "step": crashing, "repository": NAME,
                "effect": "crash", "when": when, "times": 1,
            });
            rest.begin_drill(&drill).await;
            let path = format!("{}/rollback", rest.path_of(NAME).await);
            let wanted = json!({ "environment": "Library", "version": 1 });
            let _ = rest.try_post(&path, &wanted).await; // it may have died before it answered
            server.ended().await;

            server.restart().await;

            rest.until_no_task_is_open(SOON).await;
            oci.assert_pullable(NAME, "latest", &first).await;
            let rollback = last_rollback(&rest).await;
            assert_eq!(rollback["result"], "success", "{rollback}");
            let attempts = if when == "before" { 2 } else { 1 };
            assert_eq!(
                step(&rollback, crashing)["attempts"],
                attempts,
                "{when} {crashing}: {rollback}"
            );
        }
    }
    assert_eq!(
        rest.version_numbers(NAME).await,
        (1..=9).collect::<Vec<_>>(),
        "each push and each rollback made one version"
    );
    server.doctor().await.expect_code(0);
}

async fn last_rollback(rest: &Rest) -> Value {
    let mut rollbacks = rest.all("/tasks", "label = rollback").await;
    rollbacks.sort_by_key(|task| text(&task["id"]).to_owned());
    let last = rollbacks.pop().expect("a rollback");
    rest.task(text(&last["id"])).await
}
