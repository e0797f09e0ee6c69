//! What operators do with tasks beside resume and cancel: one by one, and many at once.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::answer::Answer;
use tests::image::Image;
use tests::oci_client::OciClient;
use tests::rest::{Rest, step, text};
use tests::server::{ADMIN, Server};
use tests::wait::{self, SOON};

const NAME: &str = "default_organization/tools/app";
const MANY: u64 = 20;

fn drill(step: &str, effect: &str) -> Value {
    json!({ "workflow": "push", "step": step, "repository": NAME, "effect": effect })
}

async fn server() -> Server {
    Server::start_with(&["--allow-drills", "--push-wait=0s"]).await
}

/// A push of this tag, which is paused at that step.
async fn paused_at(server: &Server, tag: &str, at: &str) -> String {
    let rest = server.rest();
    let drill = rest.begin_drill(&drill(at, "fail")).await;
    let id = pushed(server, tag).await;
    rest.until_state(&id, "paused").await;
    rest.end_drill(&drill).await;
    id
}

/// A push of this tag, which takes a while at that step, and is there.
async fn stalled_at(server: &Server, tag: &str, at: &str) -> String {
    let rest = server.rest();
    let mut stall = drill(at, "stall");
    stall["stall_seconds"] = json!(60);
    stall["times"] = json!(1);
    rest.begin_drill(&stall).await;
    let id = pushed(server, tag).await;
    rest.until_push(NAME, tag, "is at work there", |task| {
        step(task, at)["state"] == "running"
    })
    .await;
    id
}

/// A push of this tag. Nobody waits for it, so that it is answered as it stands at that moment: under way, or paused already.
async fn pushed(server: &Server, tag: &str) -> String {
    let answer = server.oci().push(NAME, tag, &Image::small(1)).await;
    assert!([201, 424].contains(&answer.status), "{answer}");
    id_of_push(server, tag).await
}

async fn id_of_push(server: &Server, tag: &str) -> String {
    let rest = server.rest();
    let push = rest.until_push(NAME, tag, "is there", |_| true).await;
    text(&push["id"]).to_owned()
}

/// Pushes of the tags `1` to [`MANY`], paused by the same drill, which has ended.
async fn many_paused(server: &Server) -> BTreeSet<String> {
    let rest = server.rest();
    let drill = rest.begin_drill(&drill("copy", "fail")).await;
    let mut ids = BTreeSet::new();
    for n in 1..=MANY {
        let id = pushed(server, &n.to_string()).await;
        rest.until_state(&id, "paused").await;
        ids.insert(id);
    }
    rest.end_drill(&drill).await;
    ids
}

async fn act(rest: &Rest, id: &str, verb: &str, body: Value) -> Answer {
    rest.post(&format!("/tasks/{id}/{verb}"), &body).await
}

fn names_of(list: &Value) -> BTreeSet<String> {
    let list = list.as_array().expect("a list");
    list.iter().map(|id| text(id).to_owned()).collect()
}

fn can(task: &Value) -> Vec<&str> {
    let actions = task["actions"].as_array().expect("actions");
    let allowed = actions.iter().filter(|action| action["allowed"] == true);
    allowed.map(|action| text(&action["name"])).collect()
}

/// What a step of a push leaves names rows of the catalog: whoever could say which could reach those of other organizations.
#[tokio::test]
async fn a_step_of_a_push_takes_no_output_from_outside() {
    let server = server().await;
    let rest = server.rest();
    let id = paused_at(&server, "latest", "ensure_repository").await;

    let output = json!({"output": {"repository": 1, "created_here": false}});
    let refused = act(&rest, &id, "steps/ensure_repository/skip", output).await;

    let refused = refused.expect_status(422);
    assert_eq!(refused.json()["errors"][0]["field"], "output", "{refused}");
    assert!(
        refused.text().contains("takes no output from outside"),
        "{refused}"
    );
    let task = rest.task(&id).await;
    assert_eq!(task["state"], "paused", "{task}");
    assert_eq!(step(&task, "ensure_repository")["state"], "error", "{task}");
}

#[tokio::test]
async fn a_failed_step_is_skipped_and_what_needs_it_too() {
    let server = server().await;
    let rest = server.rest();
    let id = paused_at(&server, "latest", "sync_proxies").await;
    let paused = rest.task(&id).await;
    assert!(can(&paused).contains(&"skip"), "{paused}");

    let nothing = act(&rest, &id, "steps/nothing/skip", json!({})).await;
    let wrong = act(&rest, &id, "steps/sync_proxies/skip", json!({"output": 7})).await;
    let done = act(&rest, &id, "steps/copy/skip", json!({})).await;
    let said = ["--reason", "no proxies here", "--wait"];
    let skip = ["task", "skip", &id, "sync_proxies"];
    let skipped = server.cli(&[&skip[..], &said[..]].concat()).await;

    nothing.expect_status(404);
    let wrong = wrong.expect_status(422);
    assert_eq!(wrong.json()["errors"][0]["field"], "output", "{wrong}");
    let done = done.expect_status(409);
    assert!(done.text().contains("success"), "{done}");
    skipped.expect_code(0);
    let task = rest.task(&id).await;
    assert_eq!(task["result"], "warning", "{task}");
    assert_eq!(step(&task, "sync_proxies")["state"], "skipped", "{task}");
    let audit = rest
        .get("/audit?search=action%20%3D%20skip%20and%20result%20%3D%20done")
        .await
        .expect_status(200);
    assert_eq!(audit.json()["total"], 1, "{audit}");
    assert_eq!(audit.json()["results"][0]["reason"], "no proxies here");
    assert_eq!(audit.json()["results"][0]["task"], id.as_str(), "{audit}");
    server
        .oci()
        .assert_pullable(NAME, "latest", &Image::small(1))
        .await;
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn no_step_of_a_task_at_work_is_skipped_or_resolved() {
    let server = server().await;
    let rest = server.rest();
    let id = stalled_at(&server, "latest", "copy").await;

    let skip = act(&rest, &id, "steps/copy/skip", json!({})).await;
    let resolve = act(&rest, &id, "steps/copy/resolve", json!({"happened": false})).await;
    let without = act(&rest, &id, "steps/copy/resolve", json!({"happened": true})).await;
    let with = json!({"happened": false, "output": null});
    let with = act(&rest, &id, "steps/copy/resolve", with).await;

    let skip = skip.expect_status(409).json();
    assert_eq!(skip["state"], "running", "{skip}");
    assert!(text(&skip["detail"]).contains("paused"), "{skip}");
    resolve.expect_status(409);
    for wrong in [without, with] {
        let wrong = wrong.expect_status(422);
        assert_eq!(wrong.json()["errors"][0]["field"], "output", "{wrong}");
    }
    act(&rest, &id, "abort", json!({})).await.expect_status(202);
    rest.until_state(&id, "stopped").await;
}

#[tokio::test]
async fn who_lost_the_right_to_push_gets_no_push_through_by_a_skip() {
    let server = server().await;
    let rest = server.rest();
    rest.make_user(
        "pat",
        "pats-password-1",
        "publisher",
        "Default_Organization",
    )
    .await;
    let drill = rest.begin_drill(&drill("sync_proxies", "fail")).await;
    OciClient::with_login(&server.host(), "pat", "pats-password-1")
        .push(NAME, "latest", &Image::small(1))
        .await
        .expect_status(201);
    let id = id_of_push(&server, "latest").await;
    rest.until_state(&id, "paused").await;
    rest.end_drill(&drill).await;
    rest.patch("/users/pat", &json!({"enabled": false}))
        .await
        .expect_status(200);

    let refused = act(&rest, &id, "steps/sync_proxies/skip", json!({})).await;
    let overruled = json!({"override": true, "reason": "the image is wanted"});
    let overruled = act(&rest, &id, "steps/sync_proxies/skip", overruled).await;

    let refused = refused.expect_status(409);
    assert!(refused.text().contains("pat"), "{refused}");
    overruled.expect_status(202);
    let task = rest.until_state(&id, "stopped").await;
    assert_eq!(task["result"], "warning", "{task}");
}

#[tokio::test]
async fn a_stalled_push_is_aborted_at_once() {
    let server = server().await;
    let rest = server.rest();
    let id = stalled_at(&server, "latest", "copy").await;

    let aborted = server
        .cli(&["task", "abort", &id, "--reason", "hangs", "--wait"])
        .await;

    aborted.expect_code(0);
    let task = rest.task(&id).await;
    assert_eq!(task["result"], "cancelled", "{task}");
    act(&rest, &id, "abort", json!({})).await.expect_status(409);
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_held_push_begins_nothing_until_it_is_released() {
    let server = server().await;
    let rest = server.rest();
    let mut stall = drill("copy", "stall");
    stall["stall_seconds"] = json!(2);
    stall["times"] = json!(1);
    rest.begin_drill(&stall).await;
    let id = pushed(&server, "latest").await;
    rest.until_push(NAME, "latest", "copies", |task| {
        step(task, "copy")["state"] == "running"
    })
    .await;

    let words = ["task", "hold", &id, "--reason", "a freeze"];
    server.cli(&words).await.expect_code(0);
    let again = act(&rest, &id, "hold", json!({})).await;
    let held = rest
        .until_push(NAME, "latest", "has copied", |task| {
            step(task, "copy")["state"] == "success"
        })
        .await;

    again.expect_status(409);
    assert_eq!(step(&held, "ensure_repository")["state"], "held", "{held}");
    assert!(can(&held).contains(&"release"), "{held}");
    assert!(held.to_string().contains("a freeze"), "{held}");
    server
        .cli(&["task", "release", &id, "--wait"])
        .await
        .expect_code(0);
    let task = rest.task(&id).await;
    assert_eq!(task["result"], "success", "{task}");
    act(&rest, &id, "release", json!({}))
        .await
        .expect_status(409);
}

#[tokio::test]
async fn a_revert_says_before_what_it_will_undo() {
    let server = server().await;
    let rest = server.rest();
    let id = paused_at(&server, "latest", "reindex").await;
    let undoable = can(&rest.task(&id).await).contains(&"revert");

    let preview = act(&rest, &id, "revert", json!({"dry_run": true})).await;

    if !undoable {
        let refused = preview.expect_status(409);
        assert!(refused.text().contains("can be undone"), "{refused}");
        return;
    }
    let preview = preview.expect_status(200).json();
    let undo = names_of(&preview["would_undo"]);
    assert!(!undo.contains("reindex"), "it has not succeeded: {preview}");
    assert_eq!(
        rest.task(&id).await["state"],
        "paused",
        "a preview changes nothing"
    );
    let revert = [
        "task",
        "revert",
        &id,
        "--reason",
        "the wrong image",
        "--wait",
    ];
    server.cli(&revert).await.expect_code(0);
    let task = rest.task(&id).await;
    assert_eq!(task["result"], "reverted", "{task}");
    for name in &undo {
        assert_eq!(step(&task, name)["state"], "compensated", "{task}");
    }
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn many_paused_pushes_are_one_group_and_go_on_together() {
    let server = server().await;
    let rest = server.rest();
    let ids = many_paused(&server).await;

    let groups = rest.get("/tasks/groups").await.expect_status(200).json();
    let group = &groups["results"][0];
    let table = server.cli(&["task", "groups"]).await.expect_code(0);
    let search = json!({"search": "state = paused", "dry_run": true});
    let dry = rest.post("/tasks/bulk_resume", &search).await;

    assert_eq!(groups["total"], 1, "{groups}");
    assert_eq!(group["count"], MANY, "{group}");
    assert_eq!(group["step"], "copy", "{group}");
    assert_eq!(names_of(&group["tasks"]), ids, "{group}");
    let found = rest.all("/tasks", text(&group["search"])).await;
    assert_eq!(found.len(), ids.len(), "{group}");
    assert!(table.stdout.contains(text(&group["key"])), "{table}");
    let dry = dry.expect_status(200).json();
    assert_eq!(names_of(&dry["would_resume"]), ids, "{dry}");

    let path = format!("/tasks/groups/{}/resume", text(&group["key"]));
    let why = json!({"reason": "the drill is over"});
    let bulk = rest.post(&path, &why).await.expect_status(202).json();

    let bulk = rest.until_state(text(&bulk["id"]), "stopped").await;
    assert_eq!(bulk["label"], "bulk_resume", "{bulk}");
    let outcome = &bulk["output"]["resume"];
    assert_eq!(names_of(&outcome["resumed"]), ids, "{bulk}");
    assert_eq!(outcome["failed"], json!([]), "{bulk}");
    for id in &ids {
        let task = rest.until_state(id, "stopped").await;
        assert_eq!(task["result"], "success", "{task}");
    }
    let one = ids.iter().next().expect("one of them");
    let history = rest.get(&format!("/tasks/{one}/history")).await;
    assert!(history.text().contains("the drill is over"), "{history}");
    assert!(history.text().contains(text(&bulk["id"])), "{history}");
    assert!(history.text().contains(ADMIN), "{history}");
    rest.post(&path, &why).await.expect_status(409);
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_bulk_action_takes_a_search_and_tells_what_it_left() {
    let server = server().await;
    let rest = server.rest();
    let paused = paused_at(&server, "broken", "copy").await;
    let done = pushed(&server, "whole").await;
    rest.until_state(&done, "stopped").await;
    let search = format!("repository = {NAME}");

    let empty = rest
        .post("/tasks/bulk_cancel", &json!({"search": " "}))
        .await;
    let missing = rest.post("/tasks/bulk_cancel", &json!({})).await;
    let bad = rest
        .post("/tasks/bulk_cancel", &json!({"search": "state ="}))
        .await;
    let dry = ["task", "bulk-cancel", "--search", &search, "--dry-run"];
    let dry = server.cli(&dry).await.expect_code(0);

    for refused in [empty, missing] {
        let refused = refused.expect_status(422);
        assert_eq!(refused.json()["errors"][0]["field"], "search", "{refused}");
    }
    bad.expect_status(400);
    assert!(dry.stdout.contains("would cancel: 1"), "{dry}");
    assert!(dry.stdout.contains("skipped: 1"), "{dry}");
    assert_eq!(rest.task(&paused).await["state"], "paused");

    let cancel = ["task", "bulk-cancel", "--search", &search, "--wait"];
    let told = server.cli(&cancel).await.expect_code(0);

    assert!(told.stdout.contains("cancelled: 1"), "{told}");
    assert!(
        told.stdout
            .contains(&format!("{done} a task that is `stopped`")),
        "{told}"
    );
    let task = rest.until_state(&paused, "stopped").await;
    assert_eq!(task["result"], "cancelled", "{task}");
}

#[tokio::test]
async fn who_may_operate_nowhere_begins_nothing_in_bulk_and_others_reach_only_their_own() {
    let server = server().await;
    let rest = server.rest();
    rest.make_organization("acme").await;
    for (login, role) in [("rea", "reader"), ("opa", "operator")] {
        rest.make_user(login, "a-password-of-1", role, "acme").await;
    }
    let paused = paused_at(&server, "broken", "copy").await;
    let [rea, opa] =
        ["rea", "opa"].map(|login| Rest::with_login(&server.host(), login, "a-password-of-1"));
    let search = json!({"search": "state = paused"});

    let refused = rea.post("/tasks/bulk_resume", &search).await;
    let taken = opa.post("/tasks/bulk_resume", &search).await;

    refused.expect_status(403);
    let bulk = taken.expect_status(202).json();
    let bulk = opa.until_state(text(&bulk["id"]), "stopped").await;
    assert_eq!(bulk["output"]["resume"]["resumed"], json!([]), "{bulk}");
    assert_eq!(rest.task(&paused).await["state"], "paused");
    let groups = opa.get("/tasks/groups").await.expect_status(200).json();
    assert_eq!(groups["total"], 0, "{groups}");
}

#[tokio::test]
async fn a_bulk_resume_that_is_cut_off_asks_nobody_twice() {
    let mut server = server().await;
    let ids = many_paused(&server).await;
    let rest = server.rest();
    let asked = rest
        .post("/tasks/bulk_resume", &json!({"search": "state = paused"}))
        .await
        .expect_status(202)
        .json();

    // They are asked in one transaction with the audit, and read their mail within a second.
    wait::until("all of them were asked", SOON, async || {
        let audit = rest.all("/audit", "action = resume").await;
        (audit.len() as u64 > MANY).then_some(())
    })
    .await;
    server.kill().await;
    server.restart().await;

    let bulk = rest.until_state(text(&asked["id"]), "stopped").await;
    assert_eq!(
        names_of(&bulk["output"]["resume"]["resumed"]),
        ids,
        "{bulk}"
    );
    for id in &ids {
        let history = rest.get(&format!("/tasks/{id}/history?per_page=500")).await;
        let history = history.expect_status(200).json();
        let entries = history["results"].as_array().expect("entries");
        let asked = entries.iter().filter(|entry| entry["event"] == "operator");
        assert_eq!(asked.count(), 1, "{history}");
    }
}
