//! Gates and holds, from outside: what is down is left alone, who waits is told why, and all goes on by itself.

use serde_json::{Value, json};
use tests::answer::Answer;
use tests::image::Image;
use tests::rest::{Rest, step, text};
use tests::server::Server;
use tests::wait::{self, SOON};

const PASSWORD: &str = "many-hands-on-deck-3";
const LATER: &str = "default_organization/tools/later";

fn repository(n: usize) -> String {
    format!("default_organization/tools/app{n}")
}

/// Every copy fails for now, whoever pushes.
async fn copies_fail(rest: &Rest) -> String {
    let drill = json!({ "workflow": "push", "step": "copy", "effect": "fail_transient" });
    rest.begin_drill(&drill).await
}

async fn gate(rest: &Rest) -> Value {
    rest.get("/gates/content").await.expect_status(200).json()
}

async fn until_closed(rest: &Rest) -> Value {
    wait::until("the gate is closed", SOON, async || {
        let gate = gate(rest).await;
        (gate["state"] == "closed").then_some(gate)
    })
    .await
}

async fn push(server: &Server, repository: &str) -> Answer {
    server
        .oci()
        .push(repository, "latest", &Image::small(1))
        .await
        .expect_status(201)
}

/// What a client is told beside the 201.
fn warning(told: Answer) -> String {
    told.expect_warning().header("warning").to_owned()
}

fn waits_for(task: &Value, kind: &str) -> bool {
    task["waiting_for"][0]["kind"] == kind
}

/// Four pushes whose copies fail, and the gate that has closed before any of them was out of attempts.
async fn closed_by_four_pushes(server: &Server) -> Value {
    for n in 0..4 {
        push(server, &repository(n)).await;
    }
    until_closed(&server.rest()).await
}

/// Each push has succeeded without a pause and without a person.
async fn ended_by_themselves(server: &Server, repositories: &[String]) {
    let rest = server.rest();
    rest.until_no_task_is_open(SOON * 2).await;
    for repository in repositories {
        let push = rest.only_push_of(repository, "latest").await;
        assert_eq!(push["result"], "success", "{push}");
        let id = text(&push["id"]);
        let history = rest.get(&format!("/tasks/{id}/history")).await;
        let history = history.expect_status(200).text();
        assert!(!history.contains("\"paused\""), "{history}");
        assert!(!history.contains("\"operator\""), "{history}");
        server
            .oci()
            .assert_pullable(repository, "latest", &Image::small(1))
            .await;
    }
}

#[tokio::test]
async fn while_copies_fail_the_gate_is_closed_and_later_pushes_wait_and_then_all_ends_by_itself() {
    let server = Server::start_with(&["--allow-drills", "--push-wait=0s"]).await;
    let rest = server.rest();
    let drill = copies_fail(&rest).await;

    let closed = closed_by_four_pushes(&server).await;
    let told = push(&server, LATER).await;

    assert_eq!(closed["by"], Value::Null, "{closed}");
    assert!(
        text(&closed["reason"]).contains("a drill makes this attempt fail"),
        "{closed}"
    );
    assert!(closed["next_probe_at"].is_string(), "{closed}");
    told.expect_warning();
    let waiting = rest
        .until_push(LATER, "latest", "waits at the gate", |task| {
            waits_for(task, "gate")
        })
        .await;
    assert_eq!(waiting["state"], "running", "{waiting}");
    assert!(
        text(&waiting["headline"]).contains("gate content"),
        "{waiting}"
    );
    let copy = step(&waiting, "copy");
    assert!(copy["attempts"].as_u64() <= Some(1), "{waiting}");
    let found = rest.all("/tasks", "waiting = gate").await;
    assert!(!found.is_empty());
    assert_eq!(
        rest.all("/tasks", "state = paused").await,
        Vec::<Value>::new()
    );

    rest.end_drill(&drill).await;
    let mut all: Vec<String> = (0..4).map(repository).collect();
    all.push(LATER.to_owned());
    ended_by_themselves(&server, &all).await;
}

#[tokio::test]
async fn a_gate_stays_closed_over_a_kill_and_its_pushes_end_by_themselves_too() {
    let mut server = Server::start_with(&["--allow-drills", "--push-wait=0s"]).await;
    let drill = copies_fail(&server.rest()).await;
    let closed = closed_by_four_pushes(&server).await;

    server.kill().await;
    server.restart().await;

    let rest = server.rest();
    let after = gate(&rest).await;
    assert_ne!(after["state"], "open", "{closed} before, {after} after");
    push(&server, LATER).await;
    rest.until_push(LATER, "latest", "waits at the gate", |task| {
        waits_for(task, "gate")
    })
    .await;
    rest.end_drill(&drill).await;
    let mut all: Vec<String> = (0..4).map(repository).collect();
    all.push(LATER.to_owned());
    ended_by_themselves(&server, &all).await;
}

#[tokio::test]
async fn a_gate_is_closed_by_hand_with_a_reason_and_opens_by_hand_only() {
    let mut server = Server::start_with(&["--push-wait=1s"]).await;
    let close = ["gate", "close", "content", "--reason", "a new disk"];
    server.cli(&close).await.expect_code(0);

    let told = warning(push(&server, LATER).await);

    assert!(
        told.contains("waits for gate content, which admin closed at")
            && told.contains("(a new disk)"),
        "{told}"
    );
    server.kill().await;
    server.restart().await;
    let rest = server.rest();
    let waiting = rest
        .until_push(LATER, "latest", "waits at the gate", |task| {
            waits_for(task, "gate")
        })
        .await;
    assert_eq!(step(&waiting, "forward")["state"], "held", "{waiting}");
    assert_eq!(step(&waiting, "forward")["attempts"], 0, "{waiting}");
    let again = rest.post("/gates/content/close", &json!({})).await;
    let again = again.expect_status(409).text();
    assert!(again.contains("admin has closed it"), "{again}");
    let list = server.cli(&["gate", "list"]).await.expect_code(0);
    assert!(
        list.stdout.contains("content") && list.stdout.contains("closed"),
        "{list}"
    );

    server
        .cli(&["gate", "open", "content"])
        .await
        .expect_code(0);
    ended_after(&server, LATER).await;
    rest.post("/gates/content/open", &json!({}))
        .await
        .expect_status(409);
    rest.post("/gates/nobody/close", &json!({}))
        .await
        .expect_status(404);
    let audit = rest.all("/audit", "subject = \"gate content\"").await;
    let actions: Vec<&str> = audit.iter().map(|it| text(&it["action"])).collect();
    assert_eq!(actions, ["open", "close"]);
    assert_eq!(audit[1]["reason"], "a new disk", "{audit:?}");
}

async fn ended_after(server: &Server, repository: &str) {
    let push = server.rest().only_push_of(repository, "latest").await;
    assert_eq!(push["result"], "success", "{push}");
}

#[tokio::test]
async fn a_server_that_starts_held_takes_pushes_and_begins_none_until_it_is_released() {
    let server = Server::start_with(&["--hold", "--push-wait=1s"]).await;
    let rest = server.rest();

    let told = warning(push(&server, LATER).await);

    assert!(
        told.contains("waits for the release of its node, which serve --hold holds since"),
        "{told}"
    );
    let nodes = rest.all("/nodes", "").await;
    assert_eq!(nodes.len(), 1);
    let node = &nodes[0];
    assert_eq!(
        (&node["state"], &node["held"]["by"], &node["plans"]),
        (&json!("running"), &json!("serve --hold"), &json!(1))
    );
    server
        .oci()
        .manifest(LATER, &Image::small(1).digest)
        .await
        .expect_status(200);
    let id = text(&node["id"]).to_owned();
    let release = ["node", "release", &id, "--reason", "looked at all"];
    server.cli(&release).await.expect_code(0);
    ended_after(&server, LATER).await;
    let free = rest.get(&format!("/nodes/{id}")).await.expect_status(200);
    assert_eq!(free.json()["held"], Value::Null);
}

#[tokio::test]
async fn of_a_held_workflow_nothing_begins_and_everybody_is_told_who_holds_it_and_why() {
    let server = Server::start_with(&["--push-wait=1s"]).await;
    let rest = server.rest();
    rest.make_organization("acme").await;
    rest.make_user("ana", PASSWORD, "operator", "acme").await;
    let ana = Rest::with_login(&server.host(), "ana", PASSWORD);
    ana.post("/workflows/push/hold", &json!({}))
        .await
        .expect_status(403);
    let why = json!({ "reason": "the freeze" });
    let held = rest.post("/workflows/push/hold", &why).await;
    let held = held.expect_status(200).json();
    assert_eq!(held["held"]["by"], "admin", "{held}");

    let told = warning(push(&server, LATER).await);

    assert!(
        told.contains("waits for the release of workflow push, which admin holds since")
            && told.contains("(the freeze)"),
        "{told}"
    );
    let waiting = rest.until_push(LATER, "latest", "is there", |_| true).await;
    assert_eq!(waiting["state"], "pending", "{waiting}");
    assert!(waits_for(&waiting, "operator"), "{waiting}");
    assert_eq!(step(&waiting, "forward")["state"], "held", "{waiting}");
    let release = ["workflow", "release", "push"];
    server.cli(&release).await.expect_code(0);
    ended_after(&server, LATER).await;
    let twice = server.cli(&release).await;
    assert!(
        format!("{twice}").contains("because nobody holds it"),
        "{twice}"
    );
    rest.post("/workflows/nothing/hold", &why)
        .await
        .expect_status(404);
}
