//! Pushes that pause on purpose: what people are told, and how they go on.

use std::time::Duration;

use serde_json::{Value, json};
use tests::image::{self, Image};
use tests::podman::Podman;
use tests::rest::{Rest, step, text};
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};
use tests::wait::{self, SOON};

use crate::first_push::assert_all_steps_succeeded;

const NAME: &str = "default_organization/tools/app";
/// The steps that come before `copy` or run beside it.
const DONE_BEFORE: [&str; 4] = [
    "authorize",
    "forward",
    "locate_push_repository",
    "ensure_product",
];

#[tokio::test]
async fn a_push_that_fails_at_copy_tells_podman_why_and_goes_on_after_resume() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest, podman) = (server.oci(), server.rest(), Podman::new());
    let place = format!("{}/{NAME}:broken", server.host());
    podman.make_image(&place, 1).await;
    podman
        .login(&server.host(), ADMIN, ADMIN_PASSWORD)
        .await
        .expect_code(0);
    let drill = rest.begin_drill(&failing_copy("broken")).await;

    let refused = podman.push(&place).await;

    assert_ne!(refused.code, 0, "{refused}");
    let paused = rest
        .until_push(NAME, "broken", "is paused", is_paused)
        .await;
    let id = text(&paused["id"]).to_owned();
    assert!(
        refused.stderr.contains(&id),
        "podman shows no task id: {refused}"
    );
    assert!(
        refused.stderr.contains("copy"),
        "podman shows no step: {refused}"
    );
    assert_eq!(
        rest.pushes_of(NAME, "broken").await.len(),
        1,
        "podman's own retries attach"
    );
    assert_eq!(paused["reason"], "error", "{paused}");
    assert_eq!(paused["waiting_for"][0]["kind"], "operator", "{paused}");
    assert_eq!(step(&paused, "copy")["state"], "error", "{paused}");

    let explained = server.cli(&["task", "explain", &id]).await.expect_code(0);
    assert!(explained.stdout.contains("copy"), "{explained}");
    assert!(explained.stdout.contains("resume"), "{explained}");

    let other = Image::small(2);
    oci.push(NAME, "whole", &other).await.expect_status(201);
    oci.assert_pullable(NAME, "whole", &other).await;
    oci.manifest(NAME, "broken")
        .await
        .expect_refusal(404, "MANIFEST_UNKNOWN");

    rest.end_drill(&drill).await;
    server.cli(&["task", "resume", &id]).await.expect_code(0);
    let published = rest.until_state(&id, "stopped").await;
    assert_published_after(&paused, &published);
    podman.remove_all_images().await;
    podman.pull(&place).await.expect_code(0);
    assert_eq!(oci.tags(NAME, 10).await, ["broken", "whole"]);
}

#[tokio::test]
async fn a_paused_push_says_in_its_answer_what_happened_and_where_to_look() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    rest.begin_drill(&failing_copy("broken")).await;
    let image = Image::small(1);

    let refused = oci
        .push(NAME, "broken", &image)
        .await
        .expect_refusal(424, "UNKNOWN")
        .expect_warning();

    let id = refused.named_task();
    assert!(refused.message().contains(&id), "{refused}");
    assert!(
        refused.message().contains("http://"),
        "no URL of the task: {refused}"
    );
    let task = rest.task(&id).await;
    assert_eq!(task["state"], "paused", "{task}");
    assert!(
        refused.message().contains(text(&task["headline"])),
        "{refused} without {}",
        task["headline"]
    );
    let error = &step(&task, "copy")["error"];
    assert_eq!(error["transient"], false, "{task}");
    assert!(!text(&error["message"]).is_empty(), "{task}");
    for part in ["happened", "safe", "next"] {
        assert!(
            !text(&task["explanation"][part]).is_empty(),
            "no `{part}` in {task}"
        );
    }
    assert_eq!(allowed(&task, "resume"), Some(true), "{task}");
    assert_eq!(task["cause"], "client", "{task}");
    assert_eq!(task["answered"]["status"], 424, "{task}");
    assert_eq!(task["answered"]["warning"], refused.message(), "{task}");
    let explained = server.cli(&["task", "explain", &id]).await.expect_code(0);
    assert!(explained.stdout.contains("told: 424"), "{explained}");
    oci.manifest(NAME, &image.digest).await.expect_status(200);
}

#[tokio::test]
async fn pushing_again_attaches_to_the_paused_push_and_resumes_it() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let drill = rest.begin_drill(&failing_copy("broken")).await;
    let image = Image::small(1);
    let id = oci
        .push(NAME, "broken", &image)
        .await
        .expect_status(424)
        .named_task();
    let paused = rest.task(&id).await;

    let at_once = oci
        .push(NAME, "broken", &image)
        .await
        .expect_refusal(424, "UNKNOWN");
    assert_eq!(at_once.named_task(), id);
    assert_eq!(
        step(&rest.task(&id).await, "copy")["attempts"],
        step(&paused, "copy")["attempts"]
    );
    rest.end_drill(&drill).await;
    wait::until("a push that comes again is published", SOON, async || {
        let answer = oci.push(NAME, "broken", &image).await;
        (answer.status == 201).then_some(())
    })
    .await;

    let pushes = rest.pushes_of(NAME, "broken").await;
    assert_eq!(pushes.len(), 1, "pushing again made a second task");
    assert_published_after(&paused, &rest.until_state(&id, "stopped").await);
    oci.assert_pullable(NAME, "broken", &image).await;
    assert_eq!(rest.version_numbers(NAME).await, [1]);
}

#[tokio::test]
async fn a_passing_failure_is_retried_without_anyones_help() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let drill = json!({
        "workflow": "push", "step": "forward", "repository": NAME, "tag": "latest",
        "effect": "fail_transient", "times": 2,
    });
    rest.begin_drill(&drill).await;
    let image = Image::small(1);

    oci.push(NAME, "latest", &image).await.expect_status(201);

    oci.assert_pullable(NAME, "latest", &image).await;
    let push = rest
        .until_push(NAME, "latest", "has stopped", |task| {
            task["state"] == "stopped"
        })
        .await;
    assert_all_steps_succeeded(&push);
    let forward = step(&push, "forward");
    assert_eq!(forward["attempts"], 3, "{push}");
    let tries = forward["tries"].as_array().unwrap();
    assert_eq!(tries.len(), 3, "{push}");
    assert!(
        tries[..2].iter().all(|one| one["error"].is_object()),
        "{push}"
    );
    assert!(tries[2]["error"].is_null(), "{push}");
}

#[tokio::test]
async fn a_resume_can_be_previewed_and_refused() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let drill = rest.begin_drill(&failing_copy("broken")).await;
    let image = Image::small(1);
    let id = oci
        .push(NAME, "broken", &image)
        .await
        .expect_status(424)
        .named_task();

    let preview = rest
        .post(&format!("/tasks/{id}/resume"), &json!({ "dry_run": true }))
        .await;

    assert!(preview.status < 300, "{preview}");
    for step in [
        "copy",
        "ensure_repository",
        "reindex",
        "distribute",
        "sync_proxies",
    ] {
        assert!(preview.text().contains(step), "{preview}");
    }
    assert!(
        !preview.text().contains("\"forward\""),
        "a done step would run again: {preview}"
    );
    assert_eq!(
        rest.task(&id).await["state"],
        "paused",
        "a preview changes nothing"
    );
    rest.end_drill(&drill).await;
    rest.post(
        &format!("/tasks/{id}/resume"),
        &json!({ "reason": "the drill is over" }),
    )
    .await
    .expect_status(202);
    rest.until_state(&id, "stopped").await;
    let again = rest
        .post(&format!("/tasks/{id}/resume"), &json!({}))
        .await
        .expect_status(409);
    assert!(again.text().contains("stopped"), "{again}");
    assert_eq!(again.json()["can"], json!([]), "{again}");
    let history = rest
        .get(&format!("/tasks/{id}/history"))
        .await
        .expect_status(200);
    assert!(history.text().contains("the drill is over"), "{history}");
    assert!(history.text().contains(ADMIN), "{history}");
}

#[tokio::test]
async fn a_cancelled_push_leaves_its_image_pullable_by_digest_alone() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    rest.begin_drill(&failing_copy("broken")).await;
    let image = Image::small(1);
    let id = oci
        .push(NAME, "broken", &image)
        .await
        .expect_status(424)
        .named_task();

    server.cli(&["task", "cancel", &id]).await.expect_code(0);

    let task = rest.until_state(&id, "stopped").await;
    assert_eq!(task["result"], "cancelled", "{task}");
    assert_eq!(task["reason"], "operator", "{task}");
    oci.manifest(NAME, &image.digest).await.expect_status(200);
    oci.manifest(NAME, "broken")
        .await
        .expect_refusal(404, "MANIFEST_UNKNOWN");
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_b_a_in_quick_succession_ends_at_a() {
    const ROUNDS: u64 = 10;
    let server = Server::start_with(&["--push-wait=0s"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    for round in 0..ROUNDS {
        let (a, b) = (Image::small(2 * round), Image::small(2 * round + 1));
        oci.push_blobs(NAME, &a).await;
        oci.push_blobs(NAME, &b).await;

        for image in [&a, &b, &a] {
            let answer = oci
                .put_manifest(NAME, "latest", image::MANIFEST, &image.manifest)
                .await;
            answer.expect_status(201);
        }

        rest.until_no_task_is_open(SOON).await;
        oci.assert_pullable(NAME, "latest", &a).await;
        oci.manifest(NAME, &b.digest).await.expect_status(200);
    }
    println!("A, B, A: {ROUNDS} rounds ended at A");
}

#[tokio::test]
async fn a_b_a_ends_at_a_when_the_first_push_is_held_up() {
    let server = Server::start_with(&["--push-wait=0s", "--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let (a, b) = (Image::small(1), Image::small(2));
    let drill = json!({
        "workflow": "push", "step": "copy", "repository": NAME, "tag": "latest",
        "effect": "stall", "times": 1, "stall_seconds": 4,
    });
    rest.begin_drill(&drill).await;
    oci.push(NAME, "latest", &a).await.expect_status(201);
    rest.until_push(NAME, "latest", "copies", |task| {
        step(task, "copy")["state"] == "running"
    })
    .await;

    oci.push(NAME, "latest", &b).await.expect_status(201);
    oci.push(NAME, "latest", &a).await.expect_status(201);

    rest.until_no_task_is_open(Duration::from_secs(90)).await;
    oci.assert_pullable(NAME, "latest", &a).await;
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_later_push_of_the_same_tag_supersedes_a_paused_one() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let drill = rest.begin_drill(&failing_copy("latest")).await;
    let (broken, whole) = (Image::small(1), Image::small(2));
    let paused = oci
        .push(NAME, "latest", &broken)
        .await
        .expect_status(424)
        .named_task();
    rest.end_drill(&drill).await;

    oci.push(NAME, "latest", &whole).await.expect_status(201);

    let ended = rest.until_state(&paused, "stopped").await;
    assert_eq!(ended["result"], "cancelled", "{ended}");
    assert_eq!(ended["reason"], "superseded", "{ended}");
    oci.assert_pullable(NAME, "latest", &whole).await;
    oci.manifest(NAME, &broken.digest).await.expect_status(200);
}

#[tokio::test]
async fn who_waits_for_a_push_is_told_when_an_operator_cancels_it() {
    let server = Server::start_with(&["--allow-drills", "--push-wait=60s"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(1);
    rest.begin_drill(&stalling_copy("latest")).await;
    let cancel = async {
        let task = rest.until_push(NAME, "latest", "copies", copies).await;
        let path = format!("/tasks/{}/cancel", text(&task["id"]));
        let reason = json!({ "reason": "wrong image" });
        rest.post(&path, &reason).await.expect_status(202);
        path
    };

    let (told, path) = tokio::join!(oci.push(NAME, "latest", &image), cancel);

    let told = told.expect_refusal(424, "UNKNOWN").expect_warning();
    assert!(path.contains(&told.named_task()), "{told}");
    assert!(told.message().contains("cancelled"), "{told}");
    oci.manifest(NAME, &image.digest).await.expect_status(200);
    let again = rest.post(&path, &json!({})).await.expect_status(409);
    assert_eq!(again.json()["state"], "stopped");
}

#[tokio::test]
async fn who_waits_for_a_superseded_push_gets_201_and_a_warning_that_names_the_later_one() {
    let server = Server::start_with(&["--allow-drills", "--push-wait=60s"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let [first, second, third] = [1, 2, 3].map(Image::small);
    rest.begin_drill(&stalling_copy("first")).await;
    let later = async {
        rest.until_push(NAME, "latest", "waits", |task| {
            task["waiting_for"][0]["kind"] == "lock"
        })
        .await;
        oci.push(NAME, "latest", &third).await
    };
    // The first one holds the lock of the repository, so that the others wait.
    let others = async {
        rest.until_push(NAME, "first", "copies", copies).await;
        tokio::join!(oci.push(NAME, "latest", &second), later)
    };

    let (holder, (earlier, later)) = tokio::join!(oci.push(NAME, "first", &first), others);

    holder.expect_status(201);
    later.expect_status(201);
    let warned = earlier.expect_status(201).expect_warning();
    let well = |task: &Value| task["result"] == "success";
    let winner = rest
        .until_push(NAME, "latest", "has ended well", well)
        .await;
    assert!(
        warned.header("warning").contains(text(&winner["id"])),
        "{warned}"
    );
    oci.assert_pullable(NAME, "latest", &third).await;
}

/// A copy that takes a while, so that others see it at work.
fn stalling_copy(tag: &str) -> Value {
    json!({
        "workflow": "push", "step": "copy", "repository": NAME, "tag": tag,
        "effect": "stall", "times": 1, "stall_seconds": 5,
    })
}

fn copies(task: &Value) -> bool {
    step(task, "copy")["state"] == "running"
}

fn failing_copy(tag: &str) -> Value {
    json!({ "workflow": "push", "step": "copy", "repository": NAME, "tag": tag, "effect": "fail" })
}

fn is_paused(task: &Value) -> bool {
    task["state"] == "paused"
}

fn allowed(task: &Value, action: &str) -> Option<bool> {
    let actions = task["actions"].as_array()?;
    actions.iter().find(|it| it["name"] == action)?["allowed"].as_bool()
}

/// Fails the test unless a push that was paused at `copy` ended well, its done steps left as they were.
#[track_caller]
fn assert_published_after(paused: &Value, published: &Value) {
    assert_all_steps_succeeded(published);
    for name in DONE_BEFORE {
        let (before, after) = (step(paused, name), step(published, name));
        for field in ["attempts", "started_at", "ended_at"] {
            assert_eq!(
                before[field], after[field],
                "{field} of {name} changed on resume"
            );
        }
    }
}

#[tokio::test]
async fn a_drill_is_seen_ended_and_only_for_administrators_of_a_server_that_allows_it() {
    let forbidding = Server::start().await;
    let refused = forbidding
        .rest()
        .post("/drills", &failing_copy("latest"))
        .await
        .expect_status(403);
    assert!(refused.text().contains("allow-drills"), "{refused}");
    drop(forbidding);

    let server = Server::start_with(&["--allow-drills"]).await;
    let rest = server.rest();
    rest.make_user(
        "pat",
        "pats-password-1",
        "publisher",
        "Default_Organization",
    )
    .await;
    let pat = Rest::with_login(&server.host(), "pat", "pats-password-1");
    pat.post("/drills", &failing_copy("latest"))
        .await
        .expect_status(403);
    let drill = rest.begin_drill(&failing_copy("latest")).await;
    assert_eq!(rest.all("/drills", "").await.len(), 1);
    let ready = rest.try_get("/readyz").await.unwrap();
    assert!(ready.text().contains("drill"), "{ready}");
    rest.end_drill(&drill).await;
    assert_eq!(rest.all("/drills", "").await.len(), 0);
    let authorize = json!({ "workflow": "push", "step": "authorize", "effect": "fail" });
    rest.post("/drills", &authorize).await.expect_status(422);
}
