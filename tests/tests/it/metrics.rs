//! What operators see: metrics, traces, and a log without secrets.

use std::collections::BTreeSet;

use base64::Engine as _;
use reqwest::Method;
use serde_json::json;
use tests::collector::Collector;
use tests::digest;
use tests::image::Image;
use tests::rest::Rest;
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};
use tests::wait::{self, SOON};

const NAME: &str = "default_organization/tools/app";

/// The page for operators, which the program's table of metrics is held against too.
const PAGE: &str = include_str!("../../../docs/operate/metrics.md");

/// The names in the first column of its table.
fn promised() -> BTreeSet<String> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    let names = rows.filter_map(|row| row.split('`').next());
    names.map(str::to_owned).collect()
}

#[tokio::test]
async fn every_metric_of_the_operators_page_is_shown_once_it_has_happened() {
    let server = Server::start_watched(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let (first, second, broken) = (Image::small(1), Image::small(2), Image::small(3));
    let slow_copy = json!({
        "workflow": "push", "step": "copy", "effect": "stall", "times": 1, "stall_seconds": 1,
    });
    rest.begin_drill(&slow_copy).await;
    oci.push_blobs(NAME, &first).await;
    oci.push_blobs(NAME, &second).await;

    let (one, other) = tokio::join!(
        oci.push(NAME, "one", &first),
        oci.push(NAME, "other", &second)
    );
    one.expect_status(201);
    other.expect_status(201);
    for tag in ["one", "other"] {
        rest.only_push_of(NAME, tag).await;
    }
    oci.assert_pullable(NAME, "one", &first).await;
    let fails = json!({ "workflow": "push", "step": "copy", "effect": "fail", "times": 1 });
    rest.begin_drill(&fails).await;
    oci.push(NAME, "broken", &broken).await.expect_status(424);

    let proxy = json!({
        "name": "berlin", "kind": "oci", "url": "http://127.0.0.1:9", "enabled": false,
    });
    rest.post("/smart_proxies", &proxy).await.expect_status(201);

    let metrics = server.metrics().await;
    let mut promised = promised();
    let elsewhere = promised.remove("wharfinger_pulp_requests_total");
    assert!(
        elsewhere,
        "a server with a Pulp shows it: see the tests of that"
    );
    assert!(promised.len() > 15, "{promised:?}");
    assert_eq!(metrics.names(), promised);
    let number = |name, words: &[&str]| metrics.sum(name, words);
    assert!(number("wharfinger_tasks", &["state=\"paused\""]) >= 1.0);
    assert!(number("wharfinger_tasks_paused_total", &["workflow=\"push\""]) >= 1.0);
    let pushes = number(
        "wharfinger_task_seconds_count",
        &["workflow=\"push\"", "result=\"success\""],
    );
    assert!((pushes - 2.0).abs() < f64::EPSILON, "{pushes} pushes");
    let waited = number("wharfinger_lock_wait_seconds_sum", &["workflow=\"push\""]);
    assert!(waited > 0.5, "one of two pushes waited {waited} s");
    assert!(number("wharfinger_received_bytes_total", &["oci.append_upload"]) > 0.0);
    assert!(number("wharfinger_sent_bytes_total", &["oci.get_blob"]) > 0.0);
}

#[tokio::test]
async fn metrics_need_the_right_to_view_tasks_except_where_they_have_a_listener_of_their_own() {
    let server = Server::start_watched(&[]).await;
    let admin = server.rest();
    admin
        .make_user("rita", "a-reader-7", "reader", "Default_Organization")
        .await;
    let path = "/metrics";
    let as_user = |login: &'static str, password: &'static str| {
        let rest = admin.clone();
        async move {
            let request = rest.request(Method::GET, path);
            rest.send(request.basic_auth(login, Some(password))).await
        }
    };

    admin
        .send(admin.request(Method::GET, path))
        .await
        .expect_status(401);
    as_user("rita", "a-reader-7").await.expect_status(403);
    let shown = as_user(ADMIN, ADMIN_PASSWORD).await.expect_status(200);
    assert!(shown.header("content-type").starts_with("text/plain"));
    let watched = Rest::with_login(&server.watched_host(), "nobody", "nothing");
    for (path, status) in [
        ("/metrics", 200),
        ("/healthz", 200),
        ("/readyz", 200),
        ("/v2/", 404),
        ("/api/v1/tasks", 404),
    ] {
        let answer = watched.send(watched.request(Method::GET, path)).await;
        assert_eq!(answer.status, status, "{path}");
    }
}

#[tokio::test]
async fn requests_and_steps_come_to_the_collector_without_what_was_sent_in_them() {
    let collector = Collector::start().await;
    let endpoint = format!("--otlp-endpoint={}", collector.endpoint());
    let mut server = Server::start_with(&[&endpoint, "--log-level=error"]).await;
    let (oci, image) = (server.oci(), Image::small(1));
    oci.push(NAME, "latest", &image).await.expect_status(201);
    oci.assert_pullable(NAME, "latest", &image).await;
    let push = server.rest().only_push_of(NAME, "latest").await;

    server.terminate().await;
    assert_eq!(server.ended().await, 0);

    let task = push["id"].as_str().expect("an id");
    for words in [
        "POST /v1/traces",
        "wharfinger",
        "oci.put_manifest",
        "oci.get_blob",
        "step.copy",
        "step.distribute",
        task,
    ] {
        assert!(collector.holds(words), "the traces lack `{words}`");
    }
    assert!(!collector.holds(ADMIN_PASSWORD));
}

#[tokio::test]
async fn a_collector_that_is_not_there_holds_nobody_up() {
    let server = Server::start_with(&["--otlp-endpoint=http://127.0.0.1:9"]).await;

    let image = Image::small(1);
    let oci = server.oci();
    oci.push(NAME, "latest", &image).await.expect_status(201);
    oci.assert_pullable(NAME, "latest", &image).await;
}

#[tokio::test]
async fn the_log_holds_no_secret_and_no_body_at_any_level() {
    const PASSWORD: &str = "planted-password-of-a-user";
    const WRONG: &str = "planted-password-that-is-wrong";
    let server = Server::start_with(&["--log-level=trace"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    rest.make_user("una", PASSWORD, "publisher", "Default_Organization")
        .await;
    let basic = |password: &str| {
        base64::engine::general_purpose::STANDARD.encode(format!("una:{password}"))
    };
    let token = oci.token(&[&format!("repository:{NAME}:pull,push")]).await;
    let blob = bytes::Bytes::from_static(b"planted-bytes-of-a-layer");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": tests::image::MANIFEST,
        "config": tests::image::described("application/vnd.oci.empty.v1+json", &blob),
        "layers": [],
        "annotations": { "planted": "planted-text-of-a-manifest" },
    });

    for password in [PASSWORD, WRONG] {
        let asked = oci.request(Method::GET, "/v2/token");
        oci.send(asked.basic_auth("una", Some(password))).await;
    }
    let asked = oci.request(Method::GET, "/v2/");
    oci.send(asked.bearer_auth(&token)).await.expect_status(200);
    oci.try_push_blob(NAME, &blob).await.expect("it is stored");
    let manifest = manifest.to_string().into();
    oci.put_manifest(NAME, "latest", tests::image::MANIFEST, &manifest)
        .await
        .expect_status(201);
    let pulled = oci.pull_blob(NAME, &digest::of(&blob)).await;
    assert_eq!(pulled.1, blob.len() as u64);

    let put = "answered 201";
    wait::until("the log has the lines", SOON, async || {
        server.log().contains(put).then_some(())
    })
    .await;
    let log = server.log();
    for secret in [
        ADMIN_PASSWORD,
        PASSWORD,
        WRONG,
        &basic(PASSWORD),
        &basic(WRONG),
        &token,
        "planted-bytes-of-a-layer",
        "planted-text-of-a-manifest",
    ] {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "the log holds `{secret}`: {line:?}");
    }
}
