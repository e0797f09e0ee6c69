//! Webhooks: what happens arrives, signed, whatever becomes of the server and of the receiver, and nowhere else.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use tests::command;
use tests::image::Image;
use tests::page::Page;
use tests::receiver::Receiver;
use tests::rest::{Rest, text};
use tests::server::{Server, bare, free_port};
use tests::wait::{self, SOON};

use crate::environments::promote;

const ORGANIZATION: &str = "Default_Organization";
const NAME: &str = "default_organization/tools/app";

/// Makes a webhook; its path and its secret.
async fn webhook(rest: &Rest, new: &Value) -> (String, String) {
    let made = rest.post("/webhooks", new).await.expect_status(201).json();
    let secret = text(&made["secret"]).to_owned();
    (format!("/webhooks/{}", made["id"]), secret)
}

/// Makes a webhook that hears of everything.
async fn listening(rest: &Rest, url: &str) -> (String, String) {
    webhook(rest, &json!({"name": "deploy", "url": url})).await
}

async fn deliveries(rest: &Rest, path: &str) -> Vec<Value> {
    rest.all(&format!("{path}/deliveries"), "").await
}

/// Waits until the newest delivery is as it should be.
async fn until_delivery(rest: &Rest, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    wait::until("the delivery is so", SOON, async || {
        let page = rest.get(&format!("{path}/deliveries")).await;
        let newest = page.expect_status(200).json()["results"][0].clone();
        is_so(&newest).then_some(newest)
    })
    .await
}

/// Sends it an event of no meaning.
async fn send_test(rest: &Rest, path: &str) -> String {
    let begun = rest.post(&format!("{path}/test"), &json!({})).await;
    let begun = begun.expect_status(202).json();
    text(&begun["task_id"]).to_owned()
}

async fn push(server: &Server, name: &str, tag: &str, seed: u64) {
    let image = Image::small(seed);
    server
        .oci()
        .push(name, tag, &image)
        .await
        .expect_status(201);
}

#[tokio::test]
async fn each_thing_that_happens_arrives_once_with_a_right_signature() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let (rest, receiver) = (server.rest(), Receiver::start().await);
    let environments = format!("/organizations/{ORGANIZATION}/environments");
    let dev = json!({"label": "dev", "name": "dev", "prior": "Library"});
    rest.post(&environments, &dev).await.expect_status(201);
    let (path, secret) = listening(&rest, &receiver.url()).await;

    push(&server, NAME, "latest", 1).await;
    push(&server, NAME, "latest", 2).await;
    promote(&rest, NAME, 2, "dev").await;
    let repository = rest.path_of(NAME).await;
    let back = json!({"environment": "Library", "version": 1});
    let back = rest.post(&format!("{repository}/rollback"), &back).await;
    rest.begun(back).await;
    let gone = rest.delete(&format!("{repository}/tags/latest")).await;
    rest.begun(gone).await;
    let drill = json!({"workflow": "push", "step": "copy", "tag": "broken", "effect": "fail"});
    rest.begin_drill(&drill).await;
    server.oci().push(NAME, "broken", &Image::small(3)).await;
    let deleted = rest.begun(rest.delete(&repository).await).await;
    rest.until_state(text(&deleted["id"]), "stopped").await;

    let paused = receiver.until("wharfinger.task_paused").await.event();
    assert_eq!(paused["subject"], NAME, "{paused}");
    assert_eq!(paused["data"]["failed"]["step"], "copy", "{paused}");
    assert_eq!(paused["data"]["reason"], "error", "{paused}");
    wait::until("all have arrived", SOON, async || {
        (receiver.taken().len() >= 7).then_some(())
    })
    .await;
    assert_eq!(
        receiver.kinds(),
        [
            "wharfinger.delete",
            "wharfinger.delete",
            "wharfinger.promote",
            "wharfinger.push",
            "wharfinger.push",
            "wharfinger.rollback",
            "wharfinger.task_paused",
        ]
    );
    for received in receiver.taken() {
        let event = received.event();
        assert!(received.is_signed_with(&secret), "{received:?}");
        assert!(!received.is_signed_with("whsec_AAAA"), "{received:?}");
        assert_eq!(
            received.header("content-type"),
            "application/cloudevents+json"
        );
        assert_eq!(received.header("webhook-id"), text(&event["id"]));
        assert_eq!(event["specversion"], "1.0", "{event}");
        assert_eq!(
            event["source"],
            format!("http://{}", server.host()),
            "{event}"
        );
        assert_eq!(event["data"]["organization"], ORGANIZATION, "{event}");
        assert!(
            event["time"].is_string() && event["data"]["task_id"].is_string(),
            "{event}"
        );
    }
    let pushed = receiver.until("wharfinger.push").await.event();
    assert_eq!(pushed["data"]["tag"], "latest", "{pushed}");
    assert_eq!(pushed["data"]["environment"], "Library", "{pushed}");
    assert_eq!(pushed["data"]["version"], 1, "{pushed}");
    assert_eq!(
        pushed["data"]["digests"][0],
        Image::small(1).digest,
        "{pushed}"
    );
    wait::until("all are known to be delivered", SOON, async || {
        let all = deliveries(&rest, &path).await;
        let done = |it: &Value| it["state"] == "stopped" && it["answer"] == "204 No Content";
        (all.len() == 7 && all.iter().all(done)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_receiver_that_was_down_gets_each_event_once_when_it_is_back() {
    let server = Server::start().await;
    let (rest, port) = (server.rest(), free_port());
    let url = format!("http://127.0.0.1:{port}/hook");
    let (path, secret) = listening(&rest, &url).await;
    for n in 0..4 {
        push(&server, NAME, &format!("t{n}"), n).await;
    }
    wait::until("each was tried in vain", SOON, async || {
        let all = deliveries(&rest, &path).await;
        let tried = |it: &Value| {
            it["answer"]
                .as_str()
                .is_some_and(|it| it.contains("refused"))
        };
        (all.len() == 4 && all.iter().all(tried)).then_some(())
    })
    .await;

    let receiver = Receiver::on(port).await;

    rest.until_no_task_is_open(SOON * 3).await;
    let taken = receiver.taken();
    let ids: BTreeSet<String> = taken
        .iter()
        .map(|it| it.header("webhook-id").to_owned())
        .collect();
    assert_eq!((taken.len(), ids.len()), (4, 4), "{taken:?}");
    assert!(
        taken.iter().all(|it| it.is_signed_with(&secret)),
        "{taken:?}"
    );
    for delivery in deliveries(&rest, &path).await {
        assert_eq!(delivery["result"], "success", "{delivery}");
    }
}

#[tokio::test]
async fn no_event_is_lost_and_none_told_by_two_tasks_when_the_server_is_killed() {
    let mut server = Server::start().await;
    let (rest, receiver) = (server.rest(), Receiver::start().await);
    let (path, _) = listening(&rest, &receiver.url()).await;
    let mut tags = BTreeSet::new();
    for n in 0..8 {
        let tag = format!("t{n}");
        push(&server, NAME, &tag, n).await;
        tags.insert(tag);
        if n % 2 == 1 {
            // Once before anybody could be told, and once as soon as somebody was.
            if n % 4 == 3 {
                wait::until("an event arrives", SOON, async || {
                    (receiver.taken().len() > 1).then_some(())
                })
                .await;
            }
            server.kill().await;
            server.restart().await;
        }
    }

    wait::until("all are told", SOON, async || {
        (deliveries(&rest, &path).await.len() >= 8).then_some(())
    })
    .await;
    rest.until_no_task_is_open(SOON).await;

    let told = deliveries(&rest, &path).await;
    let ids: BTreeSet<&str> = told.iter().map(|it| text(&it["event_id"])).collect();
    assert_eq!((told.len(), ids.len()), (8, 8), "{told:?}");
    let events = receiver.taken().into_iter().map(|it| it.event());
    let arrived: BTreeSet<String> = events
        .map(|it| text(&it["data"]["tag"]).to_owned())
        .collect();
    assert_eq!(arrived, tags);
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_disabled_and_told_nothing_more() {
    let server = Server::start().await;
    let (rest, receiver) = (server.rest(), Receiver::start().await);
    let (path, _) = listening(&rest, &receiver.url()).await;
    receiver.answers("410 Gone", "", "moved away");

    push(&server, NAME, "latest", 1).await;

    let delivery = until_delivery(&rest, &path, |it| it["state"] == "stopped").await;
    assert_eq!(delivery["result"], "error", "{delivery}");
    assert_eq!(delivery["answer"], "410 Gone: moved away", "{delivery}");
    let webhook = rest.get(&path).await.expect_status(200).json();
    assert_eq!(webhook["enabled"], false, "{webhook}");
    assert_eq!(
        webhook["disabled_because"], "it answered 410 Gone",
        "{webhook}"
    );
    assert_eq!(webhook["secret"], Value::Null, "{webhook}");
    let audit = rest
        .all("/audit", "subject = \"webhook deploy\" and actor = engine")
        .await;
    assert_eq!(audit.len(), 1, "{audit:?}");
    push(&server, NAME, "latest", 2).await;
    rest.until_no_task_is_open(SOON).await;
    assert_eq!(receiver.taken().len(), 1);
    let enabled = rest.patch(&path, &json!({"enabled": true})).await;
    let enabled = enabled.expect_status(200).json();
    assert_eq!(enabled["disabled_because"], Value::Null, "{enabled}");
}

#[tokio::test]
async fn what_a_receiver_refuses_is_not_tried_again_and_pauses_nothing() {
    let server = Server::start().await;
    let (rest, receiver) = (server.rest(), Receiver::start().await);
    let (path, secret) = listening(&rest, &receiver.url()).await;
    let body = format!("your secret {secret} is not mine {}", "x".repeat(5000));
    receiver.answers("401 Unauthorized", "", &body);

    let task = send_test(&rest, &path).await;

    let task = rest.until_state(&task, "stopped").await;
    assert_eq!(task["result"], "error", "{task}");
    let shown = task.to_string();
    assert!(shown.contains("your secret … is not mine"), "{shown}");
    assert!(!shown.contains(&secret) && !server.log().contains(&secret));
    let delivery = until_delivery(&rest, &path, |it| it["state"] == "stopped").await;
    assert!(text(&delivery["answer"]).len() < 1200, "{delivery}");
    assert_eq!(receiver.taken().len(), 1);
    assert!(rest.all("/tasks", "state = paused").await.is_empty());
}

#[tokio::test]
async fn who_says_when_is_asked_again_then() {
    let server = Server::start().await;
    let (rest, receiver) = (server.rest(), Receiver::start().await);
    let (path, _) = listening(&rest, &receiver.url()).await;
    // Later than any wait of our own after a first attempt.
    receiver.answers("429 Too Many Requests", "Retry-After: 8\r\n", "");
    let task = send_test(&rest, &path).await;
    receiver.until("wharfinger.test").await;

    receiver.answers("202 Accepted", "", "");

    let task = rest.until_state(&task, "stopped").await;
    assert_eq!(task["result"], "success", "{task}");
    let taken = receiver.taken();
    assert_eq!(taken.len(), 2, "it was asked once, and once again");
    let at = |which: usize| -> i64 { taken[which].header("webhook-timestamp").parse().unwrap() };
    assert!(at(1) - at(0) >= 7, "{} and {}", at(0), at(1));
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed() {
    let server = Server::start().await;
    let (rest, receiver, elsewhere) = (
        server.rest(),
        Receiver::start().await,
        Receiver::start().await,
    );
    let (path, _) = listening(&rest, &receiver.url()).await;
    let to = format!("Location: {}\r\n", elsewhere.url());
    receiver.answers("307 Temporary Redirect", &to, "");

    let task = send_test(&rest, &path).await;

    let task = rest.until_state(&task, "stopped").await;
    assert_eq!(task["result"], "error", "{task}");
    assert!(
        task.to_string().contains("redirects to another host"),
        "{task}"
    );
    assert!(elsewhere.taken().is_empty());
}

#[tokio::test]
async fn a_private_address_is_called_only_where_that_is_allowed() {
    let server = Server::start_with(&["--private-targets", "refuse"]).await;
    let (rest, receiver) = (server.rest(), Receiver::start().await);
    for url in [
        receiver.url().as_str(),
        "http://169.254.169.254/latest",
        "ftp://hub.example",
    ] {
        let new = json!({"name": "deploy", "url": url});
        let refused = rest.post("/webhooks", &new).await.expect_status(422).json();
        assert_eq!(refused["errors"][0]["field"], "url", "{refused}");
    }
    // What a name leads to is seen when it is called.
    let by_name = format!("http://localhost:{}/hook", receiver.port());
    let (path, _) = listening(&rest, &by_name).await;

    send_test(&rest, &path).await;

    let delivery = until_delivery(&rest, &path, |it| it["answer"].is_string()).await;
    let answer = text(&delivery["answer"]);
    assert!(answer.contains("a loopback address"), "{answer}");
    assert!(answer.contains("private_targets"), "{answer}");
    assert!(receiver.taken().is_empty());
}

#[tokio::test]
async fn a_webhook_of_an_organization_hears_of_that_alone_and_is_managed_there() {
    const PASSWORD: &str = "many-hands-on-deck-3";
    let server = Server::start().await;
    let (rest, receiver) = (server.rest(), Receiver::start().await);
    rest.make_organization("acme").await;
    rest.make_user("olga", PASSWORD, "operator", "acme").await;
    let olga = Rest::with_login(&server.host(), "olga", PASSWORD);
    let new =
        json!({"name": "acme", "url": receiver.url(), "events": ["push"], "organization": "acme"});
    let (path, _) = webhook(&olga, &new).await;
    let everywhere = json!({"name": "all", "url": receiver.url()});
    olga.post("/webhooks", &everywhere).await.expect_status(403);
    let (of_all, _) = webhook(&rest, &everywhere).await;

    push(&server, NAME, "latest", 1).await;
    push(&server, "acme/app", "latest", 1).await;
    wait::until("all are told", SOON, async || {
        (deliveries(&rest, &of_all).await.len() == 2).then_some(())
    })
    .await;
    rest.until_no_task_is_open(SOON).await;

    let told = deliveries(&olga, &path).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(receiver.taken().len(), 3);
    olga.get(&of_all).await.expect_status(404);
    let seen = olga.get("/webhooks").await.expect_status(200).json();
    assert_eq!(seen["total"], 1, "{seen}");
}

#[tokio::test]
async fn a_delete_of_a_product_is_told_once_whatever_was_in_it() {
    let server = Server::start().await;
    let (rest, receiver) = (server.rest(), Receiver::start().await);
    for name in ["one", "two"] {
        let name = format!("default_organization/tools/{name}");
        push(&server, &name, "latest", 1).await;
    }
    let new = json!({"name": "deletes", "url": receiver.url(), "events": ["delete"]});
    let (path, _) = webhook(&rest, &new).await;

    let product = format!("/organizations/{ORGANIZATION}/products/tools");
    let deleted = rest.begun(rest.delete(&product).await).await;

    rest.until_state(text(&deleted["id"]), "stopped").await;
    let told = receiver.until("wharfinger.delete").await.event();
    assert_eq!(told["subject"], format!("{ORGANIZATION}/tools"), "{told}");
    assert_eq!(told["data"]["label"], "delete_product", "{told}");
    rest.until_no_task_is_open(SOON).await;
    assert_eq!(deliveries(&rest, &path).await.len(), 1);
}

#[tokio::test]
async fn the_command_line_has_webhooks_too() {
    let server = Server::start().await;
    let receiver = Receiver::start().await;
    let url = receiver.url();
    let create = [
        "webhook",
        "create",
        "deploy",
        "--url",
        &url,
        "--events",
        "push,delete",
    ];

    let made = server.cli(&create).await.expect_code(0);
    let listed = server.cli(&["webhook", "list"]).await.expect_code(0);
    server.cli(&["webhook", "test", "1"]).await.expect_code(0);
    receiver.until("wharfinger.test").await;
    let told = server
        .cli(&["webhook", "deliveries", "1"])
        .await
        .expect_code(0);

    assert!(made.stdout.contains("whsec_"), "{made}");
    assert!(
        listed.stdout.contains("deploy") && !listed.stdout.contains("whsec_"),
        "{listed}"
    );
    assert!(told.stdout.contains("wharfinger.test"), "{told}");
    let update = ["webhook", "update", "1", "--enabled", "false"];
    server.cli(&update).await.expect_code(0);
    server.cli(&["webhook", "delete", "1"]).await.expect_code(0);
    server.cli(&["webhook", "show", "1"]).await.expect_code(4);
}

#[tokio::test]
async fn the_program_of_the_page_about_webhooks_knows_a_true_event_from_a_forged_one() {
    let server = Server::start().await;
    let (rest, receiver) = (server.rest(), Receiver::start().await);
    let (path, secret) = listening(&rest, &receiver.url()).await;
    send_test(&rest, &path).await;
    let sent = receiver.until("wharfinger.test").await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = Page::read("webhooks.md").blocks("python").concat();
    fs::write(folder.path().join("verify.py"), program).expect("a file of ours");

    for (body, code) in [
        (sent.body.clone(), 0),
        (sent.body.replace("admin", "ana"), 1),
    ] {
        fs::write(folder.path().join("body"), body).expect("a file of ours");
        let mut python = bare("python3");
        python
            .arg("verify.py")
            .args(
                ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|it| sent.header(it)),
            )
            .arg("body")
            .env("WEBHOOK_SECRET", &secret)
            .current_dir(folder.path());
        command::run(python).await.expect_code(code);
    }
}
