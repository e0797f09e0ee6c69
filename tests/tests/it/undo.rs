//! A deleted repository: nobody pulls from it, its name is free, and a revert brings all of it back.

pub(crate) mod crew;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::answer::task_in;
use tests::image::Image;
use tests::oci_client::OciClient;
use tests::podman::Podman;
use tests::rest::{Rest, step, steps, text};
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};
use tests::wait::{self, SOON};
use tests::{digest, turn};

use crate::environments::promote;
use crew::Crew;

const NAME: &str = "default_organization/tools/app";
const BESIDE: &str = "default_organization/tools/other";
const PASSWORD: &str = "many-hands-on-deck-3";
/// The steps of a delete that run: the first one is recorded at the submit.
const RUNNING: [&str; 4] = [
    "remove_from_proxies",
    "remove_container_repository",
    "remove_push_repository",
    "remove_catalog_rows",
];
/// The steps that a revert undoes, in its order.
const UNDONE: [&str; 4] = [
    "remove_catalog_rows",
    "remove_push_repository",
    "remove_container_repository",
    "unpublish",
];

/// Deletes the repository of this name, and waits for its end.
async fn delete(rest: &Rest, name: &str) -> Value {
    let path = rest.path_of(name).await;
    let task = rest.begun(rest.delete(&path).await).await;
    assert_eq!(task["result"], "success", "{task}");
    task
}

#[tokio::test]
async fn podman_pulls_again_what_was_deleted_and_reverted() {
    let server = Server::start().await;
    let (oci, rest, podman) = (server.oci(), server.rest(), Podman::new());
    let place = format!("{}/{NAME}:latest", server.host());
    podman
        .login(&server.host(), ADMIN, ADMIN_PASSWORD)
        .await
        .expect_code(0);
    let id = podman.make_image(&place, 1).await;
    podman.push(&place).await.expect_code(0);
    let before = oci.manifest(NAME, "latest").await.expect_status(200);

    let preview = ["repository", "delete", NAME, "--dry-run"];
    let preview = server.cli(&preview).await.expect_code(0);
    assert!(preview.stdout.contains(NAME), "{preview}");
    assert_eq!(
        rest.all("/tasks", "label = delete_repository").await.len(),
        0
    );
    let words = ["repository", "delete", NAME, "--wait", "--reason", "old"];
    let told = server.cli(&words).await.expect_code(0);
    assert!(told.stdout.contains("remove_catalog_rows"), "{told}");

    podman.remove_all_images().await;
    let refused = podman.pull(&place).await;
    assert_ne!(refused.code, 0, "{refused}");
    for reference in ["latest", before.header("docker-content-digest")] {
        oci.manifest(NAME, reference).await.expect_status(404);
    }
    server.cli(&words).await.expect_code(4);
    let task = &rest.all("/tasks", "label = delete_repository").await[0];
    let task = text(&task["id"]);

    let preview = ["task", "revert", task, "--dry-run"];
    let preview = server.cli(&preview).await.expect_code(0);
    for undone in UNDONE {
        assert!(preview.stdout.contains(undone), "{preview}");
    }
    let words = ["task", "revert", task, "--wait", "--reason", "a mistake"];
    server.cli(&words).await.expect_code(0);

    podman.pull(&place).await.expect_code(0);
    assert_eq!(podman.image_id(&place).await, id);
    let after = oci.manifest(NAME, "latest").await.expect_status(200);
    assert_eq!(after.body, before.body);
    assert_eq!(rest.task(task).await["result"], "reverted");
    let again = server.cli(&["task", "revert", task]).await;
    assert_eq!(again.code, 1, "{again}");
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_revert_brings_back_every_tag_version_and_published_name() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let new = json!({ "label": "dev", "name": "dev", "prior": "Library" });
    rest.post("/organizations/Default_Organization/environments", &new)
        .await
        .expect_status(201);
    let dev = "default_organization/dev/tools/app";
    let [first, second, untagged] = [1, 2, 3].map(Image::small);
    oci.push(NAME, "latest", &first).await.expect_status(201);
    promote(&rest, NAME, 1, "dev").await;
    oci.push(NAME, "latest", &second).await.expect_status(201);
    oci.push(NAME, "2.0", &second).await.expect_status(201);
    oci.push(NAME, &untagged.digest, &untagged)
        .await
        .expect_status(201);
    rest.until_no_task_is_open(SOON).await;
    let as_it_was = shown(&rest).await;

    let preview = [
        "repository",
        "delete",
        NAME,
        "--dry-run",
        "--output",
        "json",
    ];
    let preview = server.cli(&preview).await.expect_code(0);
    let preview: Value = serde_json::from_str(&preview.stdout).unwrap();
    let expected = json!({ "repository": NAME, "versions": 3, "tags": 2, "environments": 2 });
    assert_eq!(preview, expected);
    let id = text(&delete(&rest, NAME).await["id"]).to_owned();

    assert_eq!(rest.all("/repositories", "").await.len(), 0);
    for (name, reference) in [
        (NAME, "latest"),
        (NAME, &first.digest),
        (NAME, &untagged.digest),
        (dev, "latest"),
        (dev, &first.digest),
    ] {
        oci.manifest(name, reference).await.expect_status(404);
    }
    let blob = format!("blobs/{}", digest::of(&first.config));
    for name in [NAME, dev] {
        let request = oci.of(Method::GET, name, &blob).await;
        oci.send(request).await.expect_status(404);
    }
    let request = oci.of(Method::GET, NAME, "tags/list").await;
    oci.send(request).await.expect_status(404);

    let reverted = rest.revert(&id).await;

    for undone in UNDONE {
        assert_eq!(
            step(&reverted, undone)["state"],
            "compensated",
            "{reverted}"
        );
    }
    assert_eq!(shown(&rest).await, as_it_was);
    assert_eq!(oci.tags(NAME, 10).await, ["2.0", "latest"]);
    oci.assert_pullable(NAME, "2.0", &second).await;
    oci.assert_pullable(dev, "latest", &first).await;
    oci.manifest(NAME, &untagged.digest)
        .await
        .expect_status(200);
    // It goes on as it was: the next push is the next version.
    oci.push(NAME, "3.0", &first).await.expect_status(201);
    assert_eq!(rest.version_numbers(NAME).await, [1, 2, 3, 4]);
    server.doctor().await.expect_code(0);
}

/// What REST shows of the repository and its versions.
async fn shown(rest: &Rest) -> Value {
    let mut repository = rest.repository(NAME).await;
    // What is waiting to be filed is filed meanwhile or not.
    repository["push_repository"] = Value::Null;
    let path = rest.path_of(NAME).await;
    let versions = rest.all(&format!("{path}/versions"), "").await;
    let tags = rest.all(&format!("{path}/tags"), "").await;
    json!([repository, versions, tags])
}

#[tokio::test]
async fn a_name_that_was_pushed_again_is_kept_and_the_old_repository_comes_back_beside_it() {
    let server = Server::start().await;
    let (oci, rest, podman) = (server.oci(), server.rest(), Podman::new());
    let place = |name: &str| format!("{}/{name}:latest", server.host());
    podman
        .login(&server.host(), ADMIN, ADMIN_PASSWORD)
        .await
        .expect_code(0);
    let old = podman.make_image(&place(NAME), 1).await;
    podman.push(&place(NAME)).await.expect_code(0);
    let old_number = rest.repository(NAME).await["id"].clone();
    let words = ["repository", "delete", NAME, "--output", "json"];
    let begun = server.cli(&words).await.expect_code(0);
    let task = task_in(&begun.stdout).expect("the task is named");
    rest.until_state(&task, "stopped").await;
    let new = podman.make_image(&place(NAME), 2).await;
    podman.push(&place(NAME)).await.expect_code(0);
    let new_number = rest.repository(NAME).await["id"].clone();
    assert_ne!(old_number, new_number);
    assert_eq!(rest.version_numbers(NAME).await, [1]);

    let refused = server.cli(&["task", "revert", &task, "--wait"]).await;
    let in_the_way = rest
        .post(&format!("/tasks/{task}/revert"), &json!({}))
        .await
        .expect_status(409);
    let dry = json!({ "dry_run": true });
    rest.post(&format!("/tasks/{task}/revert"), &dry)
        .await
        .expect_status(409);
    let no_name = json!({ "as": "No Name" });
    let no_name = rest.post(&format!("/tasks/{task}/revert"), &no_name).await;
    let taken = json!({ "as": "app" });
    let taken = rest.post(&format!("/tasks/{task}/revert"), &taken).await;

    assert_eq!(refused.code, 1, "{refused}");
    for told in [refused.stderr, in_the_way.text()] {
        assert!(told.contains(NAME), "{told}");
        assert!(told.contains(&format!("repository {new_number}")), "{told}");
    }
    let no_name = no_name.expect_status(422);
    assert_eq!(no_name.json()["errors"][0]["field"], "as", "{no_name}");
    taken.expect_status(409);
    assert_eq!(rest.task(&task).await["result"], "success");

    let words = ["task", "revert", &task, "--as", "other", "--wait"];
    server.cli(&words).await.expect_code(0);

    for (name, id, number) in [(NAME, new, new_number), (BESIDE, old, old_number)] {
        podman.remove_all_images().await;
        podman.pull(&place(name)).await.expect_code(0);
        assert_eq!(podman.image_id(&place(name)).await, id, "{name}");
        let repository = rest.repository(name).await;
        assert_eq!(repository["id"], number, "{repository}");
        assert_eq!(
            repository["name"],
            name.rsplit('/').next().unwrap(),
            "{repository}"
        );
    }
    // Each is pushed to by its own name from now on.
    for (seed, name) in [(3, NAME), (4, BESIDE)] {
        let image = Image::small(seed);
        oci.push(name, "more", &image).await.expect_status(201);
        oci.assert_pullable(name, "more", &image).await;
        assert_eq!(oci.tags(name, 10).await, ["latest", "more"]);
    }
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_name_that_only_an_upload_was_begun_for_is_not_in_the_way() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(1);
    oci.push(NAME, "latest", &image).await.expect_status(201);
    let id = text(&delete(&rest, NAME).await["id"]).to_owned();
    oci.open_upload(NAME).await;

    rest.revert(&id).await;

    oci.assert_pullable(NAME, "latest", &image).await;
    oci.push(NAME, "more", &image).await.expect_status(201);
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn what_is_pending_by_digest_is_in_the_way_of_a_revert() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let (image, pending) = (Image::small(1), Image::small(2));
    oci.push(NAME, "latest", &image).await.expect_status(201);
    let id = text(&delete(&rest, NAME).await["id"]).to_owned();
    oci.push(NAME, &pending.digest, &pending)
        .await
        .expect_status(201);

    let refused = rest.post(&format!("/tasks/{id}/revert"), &json!({})).await;

    refused.expect_status(409);
    oci.manifest(NAME, &pending.digest).await.expect_status(200);
    let beside = json!({ "as": "other" });
    rest.post(&format!("/tasks/{id}/revert"), &beside)
        .await
        .expect_status(202);
    rest.until_reverted(&id).await;
    oci.assert_pullable(BESIDE, "latest", &image).await;
    oci.manifest(NAME, &pending.digest).await.expect_status(200);
    server.doctor().await.expect_code(0);
}

/// An environment can be deleted once it publishes nothing. What it had shown of the repository is not shown again then; the
/// repository comes back all the same.
#[tokio::test]
async fn an_environment_that_was_deleted_meanwhile_does_not_keep_a_repository_from_coming_back() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let environments = "/organizations/Default_Organization/environments";
    let new = json!({ "label": "dev", "name": "dev", "prior": "Library" });
    rest.post(environments, &new).await.expect_status(201);
    let image = Image::small(1);
    oci.push(NAME, "latest", &image).await.expect_status(201);
    promote(&rest, NAME, 1, "dev").await;
    let id = text(&delete(&rest, NAME).await["id"]).to_owned();
    rest.delete(&format!("{environments}/dev"))
        .await
        .expect_status(204);

    rest.revert(&id).await;

    oci.assert_pullable(NAME, "latest", &image).await;
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn only_who_may_deletes_a_repository_and_only_a_delete_comes_back_under_a_name() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(1);
    oci.push(NAME, "latest", &image).await.expect_status(201);
    rest.make_organization("umbrella").await;
    let path = rest.path_of(NAME).await;
    for (login, role, organization, status) in [
        ("pusher", "pusher", "Default_Organization", 403),
        ("reader", "reader", "Default_Organization", 403),
        ("stranger", "publisher", "umbrella", 404),
    ] {
        rest.make_user(login, PASSWORD, role, organization).await;
        let user = Rest::with_login(&server.host(), login, PASSWORD);
        user.delete(&path).await.expect_status(status);
    }
    rest.delete("/repositories/4711").await.expect_status(404);
    let push = rest.only_push_of(NAME, "latest").await;
    let wanted = json!({ "as": "other" });

    let refused = rest
        .post(&format!("/tasks/{}/revert", text(&push["id"])), &wanted)
        .await;

    let refused = refused.expect_status(422);
    assert_eq!(refused.json()["errors"][0]["field"], "as", "{refused}");
    oci.assert_pullable(NAME, "latest", &image).await;
}

#[tokio::test]
async fn a_push_that_is_under_way_ends_before_the_delete_and_comes_back_with_the_revert() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let [first, under_way, later] = [1, 2, 3].map(Image::small);
    oci.push(NAME, "first", &first).await.expect_status(201);
    let drill = json!({
        "workflow": "push", "step": "copy", "repository": NAME, "tag": "under-way",
        "effect": "stall", "times": 1, "stall_seconds": 2,
    });
    rest.begin_drill(&drill).await;
    let others = async {
        rest.until_push(NAME, "under-way", "copies", |task| {
            step(task, "copy")["state"] == "running"
        })
        .await;
        let path = rest.path_of(NAME).await;
        let begun = rest.delete(&path).await.expect_status(202).json();
        // The name is free at once: what is pushed now does not wait for the delete.
        oci.push(NAME, "later", &later).await.expect_status(201);
        let delete = rest.task(text(&begun["task_id"])).await;
        (text(&delete["id"]).to_owned(), delete)
    };

    let (pushed, (id, waiting)) = tokio::join!(oci.push(NAME, "under-way", &under_way), others);

    pushed.expect_status(201);
    assert_ne!(waiting["state"], "stopped", "{waiting}");
    rest.until_state(&id, "stopped").await;
    assert_eq!(oci.tags(NAME, 10).await, ["later"]);
    oci.manifest(NAME, &under_way.digest)
        .await
        .expect_status(404);
    let wanted = json!({ "as": "other" });
    rest.post(&format!("/tasks/{id}/revert"), &wanted)
        .await
        .expect_status(202);
    rest.until_reverted(&id).await;
    assert_eq!(oci.tags(BESIDE, 10).await, ["first", "under-way"]);
    oci.assert_pullable(BESIDE, "under-way", &under_way).await;
    oci.assert_pullable(NAME, "later", &later).await;
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_delete_ends_the_paused_pushes_to_the_repository() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let (first, paused) = (Image::small(1), Image::small(2));
    oci.push(NAME, "latest", &first).await.expect_status(201);
    let drill = json!({
        "workflow": "push", "step": "copy", "repository": NAME, "effect": "fail",
    });
    let drill = rest.begin_drill(&drill).await;
    let push = oci
        .push(NAME, "broken", &paused)
        .await
        .expect_status(424)
        .named_task();
    rest.end_drill(&drill).await;

    let id = text(&delete(&rest, NAME).await["id"]).to_owned();

    let push = rest.until_state(&push, "stopped").await;
    assert_eq!(push["result"], "cancelled", "{push}");
    let resumed = format!("/tasks/{}/resume", text(&push["id"]));
    rest.post(&resumed, &json!({})).await.expect_status(409);
    oci.manifest(NAME, &paused.digest).await.expect_status(404);
    rest.revert(&id).await;
    oci.assert_pullable(NAME, "latest", &first).await;
    oci.manifest(NAME, &paused.digest).await.expect_status(200);
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_revert_whose_name_is_taken_under_way_waits_for_another_one() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let (old, new) = (Image::small(1), Image::small(2));
    oci.push(NAME, "latest", &old).await.expect_status(201);
    let id = text(&delete(&rest, NAME).await["id"]).to_owned();
    rest.begin_drill(&stalled_undo("remove_catalog_rows")).await;
    let path = format!("/tasks/{id}/revert");
    rest.post(&path, &json!({})).await.expect_status(202);

    oci.push(NAME, "latest", &new).await.expect_status(201);

    let task = rest.until_reverted_or_paused(&id).await;
    assert_eq!(task["state"], "paused", "{task}");
    assert_eq!(task["reason"], "compensation_error", "{task}");
    let told = step(&task, "unpublish")["compensation"]["error"].to_string();
    assert!(told.contains(NAME), "{task}");
    oci.assert_pullable(NAME, "latest", &new).await;
    rest.post(&path, &json!({})).await.expect_status(409);
    // As the error says.
    let words = ["task", "revert", &id, "--as", "other", "--wait"];
    server.cli(&words).await.expect_code(0);
    oci.assert_pullable(BESIDE, "latest", &old).await;
    oci.assert_pullable(NAME, "latest", &new).await;
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_repository_is_deleted_and_brought_back_as_often_as_one_likes() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    for round in 1..=3 {
        let image = Image::small(round);
        let tag = format!("round-{round}");
        oci.push(NAME, &tag, &image).await.expect_status(201);
        let id = text(&delete(&rest, NAME).await["id"]).to_owned();
        rest.revert(&id).await;
        oci.assert_pullable(NAME, &tag, &image).await;
    }
    assert_eq!(oci.tags(NAME, 10).await, ["round-1", "round-2", "round-3"]);
    assert_eq!(rest.version_numbers(NAME).await, [1, 2, 3]);
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn of_two_deleted_repositories_of_one_name_each_comes_back() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let (old, new) = (Image::small(1), Image::small(2));
    let mut deletes = Vec::new();
    for image in [&old, &new] {
        oci.push(NAME, "latest", image).await.expect_status(201);
        deletes.push(text(&delete(&rest, NAME).await["id"]).to_owned());
    }

    rest.revert(&deletes[0]).await;
    let path = format!("/tasks/{}/revert", deletes[1]);
    rest.post(&path, &json!({})).await.expect_status(409);
    let beside = json!({ "as": "other" });
    rest.post(&path, &beside).await.expect_status(202);
    rest.until_reverted(&deletes[1]).await;

    oci.assert_pullable(NAME, "latest", &old).await;
    oci.assert_pullable(BESIDE, "latest", &new).await;
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn who_was_granted_a_repository_has_it_again_after_the_revert_and_none_of_its_name_meanwhile()
{
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let (old, new) = (Image::small(1), Image::small(2));
    oci.push(NAME, "latest", &old).await.expect_status(201);
    let user = json!({ "login": "pat", "password": PASSWORD });
    rest.post("/users", &user).await.expect_status(201);
    let grant = json!({ "user": "pat", "role": "reader", "repository": NAME });
    rest.post("/grants", &grant).await.expect_status(201);
    let pat = || OciClient::with_login(&server.host(), "pat", PASSWORD);
    pat().assert_pullable(NAME, "latest", &old).await;
    let id = text(&delete(&rest, NAME).await["id"]).to_owned();
    oci.push(NAME, "latest", &new).await.expect_status(201);

    let of_another = pat().manifest(NAME, "latest").await;

    of_another.expect_status(404);
    let beside = json!({ "as": "other" });
    rest.post(&format!("/tasks/{id}/revert"), &beside)
        .await
        .expect_status(202);
    rest.until_reverted(&id).await;
    pat().assert_pullable(BESIDE, "latest", &old).await;
    pat().manifest(NAME, "latest").await.expect_status(404);
}

#[tokio::test]
async fn an_upload_that_was_begun_before_the_delete_is_refused_and_can_be_begun_anew() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let (old, new) = (Image::small(1), Image::small(2));
    oci.push(NAME, "latest", &old).await.expect_status(201);
    oci.push_blobs(NAME, &new).await;
    let session = oci.open_upload(NAME).await;
    delete(&rest, NAME).await;

    let more = oci.at(Method::PATCH, NAME, &session).await;
    let patched = oci.send(more.body("more")).await;
    let put = oci
        .put_manifest(NAME, "new", tests::image::MANIFEST, &new.manifest)
        .await;

    patched.expect_refusal(404, "BLOB_UPLOAD_UNKNOWN");
    put.expect_refusal(404, "MANIFEST_BLOB_UNKNOWN");
    for image in [&old, &new] {
        for blob in image.blobs() {
            let path = format!("blobs/{}", digest::of(blob));
            let head = oci.of(Method::HEAD, NAME, &path).await;
            oci.send(head).await.expect_status(404);
        }
    }
    oci.push(NAME, "new", &new).await.expect_status(201);
    oci.assert_pullable(NAME, "new", &new).await;
    server.doctor().await.expect_code(0);
}

/// A revert that is refused must leave one that is at work alone.
#[tokio::test]
async fn a_second_revert_does_not_change_the_name_of_the_first() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(1);
    oci.push(NAME, "latest", &image).await.expect_status(201);
    let id = text(&delete(&rest, NAME).await["id"]).to_owned();
    rest.begin_drill(&stalled_undo("remove_catalog_rows")).await;
    let path = format!("/tasks/{id}/revert");
    let beside = json!({ "as": "other" });
    rest.post(&path, &beside).await.expect_status(202);

    let third = json!({ "as": "third" });
    for late in [&json!({}), &third] {
        let answer = rest.post(&path, late).await;
        assert!([202, 409].contains(&answer.status), "{answer}");
    }

    rest.until_reverted(&id).await;
    oci.assert_pullable(BESIDE, "latest", &image).await;
    oci.manifest(NAME, "latest").await.expect_status(404);
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_delete_that_the_server_dies_in_is_finished_by_the_next_start_and_can_be_reverted() {
    let _turn = turn::heavy().await;
    let mut server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    for (n, crashing) in (0..).zip(RUNNING) {
        for (m, when) in (0..).zip(["before", "after"]) {
            let (name, image) = (
                format!("default_organization/tools/{crashing}-{when}"),
                Image::small(2 * n + m),
            );
            oci.push(&name, "latest", &image).await.expect_status(201);
            let path = rest.path_of(&name).await;
            rest.begin_drill(&crash(crashing, false, when, &name)).await;
            let _ = rest.try_delete(&path).await; // it may have died before it answered
            server.ended().await;

            server.restart().await;

            rest.until_no_task_is_open(SOON).await;
            let task = delete_of(&rest, &name).await;
            assert_eq!(task["result"], "success", "{task}");
            for (step, state) in steps(&task) {
                assert_eq!(state, "success", "{step} of {task}");
            }
            let attempts = if when == "before" { 2 } else { 1 };
            assert_eq!(step(&task, crashing)["attempts"], attempts, "{task}");
            oci.manifest(&name, "latest").await.expect_status(404);
            rest.revert(text(&task["id"])).await;
            oci.assert_pullable(&name, "latest", &image).await;
        }
    }
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_revert_that_the_server_dies_in_is_finished_by_the_next_start() {
    let _turn = turn::heavy().await;
    let mut server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    for (n, crashing) in (0..).zip(UNDONE) {
        for (m, when) in (0..).zip(["before", "after"]) {
            let (name, image) = (
                format!("default_organization/tools/{crashing}-{when}"),
                Image::small(2 * n + m),
            );
            oci.push(&name, "latest", &image).await.expect_status(201);
            let deleted = delete(&rest, &name).await;
            let id = text(&deleted["id"]);
            rest.begin_drill(&crash(crashing, true, when, &name)).await;
            let path = format!("/tasks/{id}/revert");
            let _ = rest.try_post(&path, &json!({})).await; // it may have died before it answered
            server.ended().await;

            server.restart().await;

            let task = rest.until_reverted(id).await;
            assert_eq!(task["state"], "stopped", "{task}");
            for undone in UNDONE {
                assert_eq!(step(&task, undone)["state"], "compensated", "{task}");
            }
            oci.assert_pullable(&name, "latest", &image).await;
            oci.push(&name, "more", &image).await.expect_status(201);
            assert_eq!(rest.version_numbers(&name).await, [1, 2]);
        }
    }
    server.doctor().await.expect_code(0);
}

/// The next run of the step, or of what undoes it, ends the server.
fn crash(step: &str, undo: bool, when: &str, name: &str) -> Value {
    json!({
        "workflow": "delete_repository", "step": step, "undo": undo, "repository": name,
        "effect": "crash", "when": when, "times": 1,
    })
}

/// Undoing the step takes a second, so that others come in between.
fn stalled_undo(step: &str) -> Value {
    json!({
        "workflow": "delete_repository", "step": step, "undo": true, "repository": NAME,
        "effect": "stall", "times": 1, "stall_seconds": 1,
    })
}

async fn delete_of(rest: &Rest, name: &str) -> Value {
    let search = format!("label = delete_repository and repository = \"{name}\"");
    let found = rest.all("/tasks", &search).await;
    assert_eq!(found.len(), 1, "{found:?}");
    rest.task(text(&found[0]["id"])).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pushed_while_a_repository_is_deleted_and_brought_back_is_in_one_of_the_two() {
    const ROUNDS: usize = 4;
    const EACH: usize = 4;
    let _turn = turn::heavy().await;
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let rest = rest.with_token(oci.token(&[]).await);
    oci.push(NAME, "first", &Image::small(1))
        .await
        .expect_status(201);
    let crew = Crew::set_to_work(&server, NAME, 4);
    let mut names = vec![NAME.to_owned()];
    let (mut plain, mut beside) = (0, 0);

    for round in 0..ROUNDS {
        crew.until_acknowledged(EACH).await;
        let repository = wait::until("the repository is there", SOON, async || {
            let found = rest.all("/repositories", "").await;
            let mut found = found.into_iter();
            found.find(|it| it["name"] == "app")
        });
        let path = format!("/repositories/{}", repository.await["id"]);
        let id = rest.begun(rest.delete(&path).await).await;
        let id = text(&id["id"]);
        if round % 2 == 1 {
            crew.until_acknowledged(EACH).await;
        }
        // The name may be taken again at any moment: before the revert is taken, and while it is at work.
        let path = format!("/tasks/{id}/revert");
        let mut answer = rest.post(&path, &json!({})).await;
        let name = format!("app-{round}");
        loop {
            if answer.status == 409 {
                let wanted = json!({ "as": name });
                answer = rest.post(&path, &wanted).await;
            }
            answer.expect_status(202);
            let task = rest.until_reverted_or_paused(id).await;
            if task["result"] == "reverted" {
                break;
            }
            answer = rest.post(&path, &json!({ "as": name })).await;
        }
        let back = format!("default_organization/tools/{name}");
        if rest
            .all("/repositories", "")
            .await
            .iter()
            .any(|it| it["name"] == name)
        {
            beside += 1;
            names.push(back);
        } else {
            plain += 1;
        }
    }
    let acknowledged = crew.finish().await;
    rest.until_no_task_is_open(Duration::from_mins(2)).await;

    for push in &acknowledged {
        let mut found = Vec::new();
        for name in &names {
            let by_digest = oci.manifest(name, &push.image.digest).await;
            let by_tag = oci.manifest(name, &push.tag).await;
            if by_digest.status == 200 {
                found.push((name, by_tag.status));
            }
        }
        assert!(
            found.iter().any(|(_, by_tag)| *by_tag == 200),
            "{} was acknowledged and is in {found:?} of {names:?}",
            push.tag
        );
        let (name, _) = found.iter().find(|(_, by_tag)| *by_tag == 200).unwrap();
        oci.assert_pullable(name, &push.tag, &push.image).await;
    }
    println!(
        "{} pushes acknowledged over {ROUNDS} deletes; {plain} repositories came back under their name, {beside} beside it",
        acknowledged.len()
    );
    assert_eq!(plain + beside, ROUNDS);
    server.doctor().await.expect_code(0);
}
