//! Smart proxies of kind `oci`: what is published is pushed to any registry, each blob once, and what goes here goes there.

use bytes::Bytes;
use serde_json::{Value, json};
use tests::docker_registry::{self, DockerRegistry, Options, Seen};
use tests::image::{Image, Index};
use tests::noise::Long;
use tests::raw::{self, Connection};
use tests::rest::{Rest, text};
use tests::server::Server;
use tests::wait::{self, SOON};
use tests::{digest, noise};

const ORGANIZATION: &str = "Default_Organization";
const NAME: &str = "default_organization/tools/app";
const OTHER: &str = "default_organization/tools/other";
const THERE: &str = "mirror/default_organization/tools/app";
const DELETES: Options = Options {
    deletes: true,
    asks_who: false,
};

/// What waits in the buffers of a connection whose client reads nothing is less.
const MORE_THAN_A_CONNECTION_BUFFERS: u64 = 64 << 20;

/// A smart proxy of kind `oci` at this URL that has Library; answers with its path.
async fn proxy(rest: &Rest, url: &str, more: Value) -> String {
    let mut new = json!({
        "name": "berlin", "kind": "oci", "url": url,
        "environments": [{"organization": ORGANIZATION, "environment": "Library"}],
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        new[key] = value.clone();
    }
    let made = rest.post("/smart_proxies", &new).await.expect_status(201);
    format!("/smart_proxies/{}", made.json()["id"])
}

/// What the proxy has, once that satisfies a condition.
async fn until(rest: &Rest, proxy: &str, what: &str, so: impl Fn(&Value) -> bool) -> Value {
    wait::until(&format!("the smart proxy {what}"), SOON, async || {
        let status = rest.get(&format!("{proxy}/status")).await;
        let status = status.expect_status(200).json();
        so(&status).then_some(status)
    })
    .await
}

/// Waits until the proxy has this version of the only repository.
async fn until_has(rest: &Rest, proxy: &str, version: i64) -> Value {
    until(rest, proxy, &format!("has version {version}"), |status| {
        status["current"] == true && status["repositories"][0]["version_there"] == version
    })
    .await
}

/// A sync that looks at everything, once it has ended.
async fn whole_sync(rest: &Rest, proxy: &str) -> Value {
    rest.begun(rest.post(&format!("{proxy}/sync"), &json!({})).await)
        .await
}

async fn delete_tag(rest: &Rest, name: &str, tag: &str) {
    let path = format!("{}/tags/{tag}", rest.path_of(name).await);
    let task = rest.begun(rest.delete(&path).await).await;
    assert_ne!(task["result"], "error", "{task}");
}

fn sent(seen: &[Seen]) -> Vec<&Seen> {
    let has_a_body = |seen: &&Seen| seen.method == "PUT" || seen.method == "PATCH";
    seen.iter().filter(has_a_body).collect()
}

/// How often a blob was sent whole.
fn uploads_of(seen: &[Seen], digest: &str) -> usize {
    let escaped = digest.replace(':', "%3A");
    let is_it = |seen: &&&Seen| {
        seen.status == 201 && seen.path.contains("/blobs/uploads/") && seen.uri.contains(&escaped)
    };
    sent(seen).iter().filter(is_it).count()
}

/// The login of a robot of another instance, which may do nothing yet.
async fn robot_of(there: &Server) -> Value {
    let robot = json!({ "name": "mirror", "organization": ORGANIZATION });
    let robot = there.rest().post("/robots", &robot).await;
    let robot = robot.expect_status(201).json();
    json!({ "username": robot["login"], "password": robot["token"] })
}

/// Gives that robot the right to push.
async fn let_it_push(there: &Server, login: &Value) {
    let grant =
        json!({ "robot": login["username"], "role": "publisher", "organization": ORGANIZATION });
    let given = there.rest().post("/grants", &grant).await;
    given.expect_status(201);
}

#[tokio::test]
async fn a_registry_has_what_library_publishes_and_no_more_what_is_deleted() {
    let (server, registry) = (Server::start().await, DockerRegistry::start(DELETES).await);
    let (oci, rest) = (server.oci(), server.rest());
    let (image, index) = (Image::small(1), Index::two_platforms(2));
    let signature = Image::small(5).about(&image);
    oci.push(NAME, "one", &image).await.expect_status(201);
    oci.push(NAME, "same", &image).await.expect_status(201);
    let proxy = proxy(&rest, &format!("{}/mirror", registry.url()), json!({})).await;
    until_has(&rest, &proxy, 2).await;
    registry.assert_holds(THERE, "one", &image).await;

    oci.push(NAME, &signature.digest, &signature)
        .await
        .expect_status(201);
    oci.push_index(NAME, "many", &index)
        .await
        .expect_status(201);
    until(&rest, &proxy, "has the index and the signature", |status| {
        status["current"] == true && status["repositories"][0]["version_there"].as_i64() >= Some(3)
    })
    .await;
    for manifest in [&signature.digest, &index.digest, &index.images[0].digest] {
        let found = wait::until("the manifest is there", SOON, async || {
            registry.digest(THERE, manifest).await
        });
        assert_eq!(&found.await, manifest);
    }
    let many = registry.digest(THERE, "many").await;
    assert_eq!(many.as_ref(), Some(&index.digest));

    registry.tag(THERE, "one", "foreign").await;
    delete_tag(&rest, NAME, "many").await;
    delete_tag(&rest, NAME, "same").await;
    until(&rest, &proxy, "is current", |it| it["current"] == true).await;
    wait::until("what was deleted is gone there", SOON, async || {
        let many = registry.digest(THERE, "many").await;
        many.is_none().then_some(())
    })
    .await;
    // That registry deletes no tags, only manifests: of the same image another one is still wanted.
    assert_eq!(registry.tags(THERE).await, ["foreign", "one", "same"]);
    registry.assert_holds(THERE, "one", &image).await;
    let by_digest = registry.digest(THERE, &index.digest).await;
    assert_eq!(by_digest, Some(index.digest), "as it is pulled here, too");
}

#[tokio::test]
async fn a_hundred_tags_send_each_blob_once_and_a_sync_with_nothing_to_do_sends_nothing() {
    let (server, registry) = (Server::start().await, DockerRegistry::start(DELETES).await);
    let (oci, rest) = (server.oci(), server.rest());
    let shared: Vec<Bytes> = (0..3).map(|n| noise::bytes(n, 256 * 1024)).collect();
    let images: Vec<Image> = (0..100)
        .map(|n| {
            let own = noise::bytes(1000 + n, 1024);
            let layers = shared.iter().cloned().chain([own]).collect();
            Image::with_layers(layers, "amd64")
        })
        .collect();
    let first = Image::small(1);
    oci.push(NAME, "first", &first).await.expect_status(201);
    let proxy = proxy(&rest, &registry.url(), json!({ "concurrency": 8 })).await;
    until_has(&rest, &proxy, 1).await;
    let disabled = json!({ "enabled": false });
    rest.patch(&proxy, &disabled).await.expect_status(200);
    for (n, image) in images.iter().enumerate() {
        oci.push(NAME, &format!("v{n}"), image)
            .await
            .expect_status(201);
    }
    let before = registry.seen().len();

    let enabled = json!({ "enabled": true });
    rest.patch(&proxy, &enabled).await.expect_status(200);
    until_has(&rest, &proxy, 101).await;

    let seen = registry.seen_since(before);
    for layer in &shared {
        assert_eq!(uploads_of(&seen, &digest::of(layer)), 1);
    }
    for (n, image) in images.iter().enumerate() {
        assert_eq!(uploads_of(&seen, &digest::of(&image.config)), 1);
        registry.assert_holds(NAME, &format!("v{n}"), image).await;
    }
    let blobs = sent(&seen).len() - 100;
    println!(
        "100 new tags on 203 new blobs: {} requests, {blobs} blobs and 100 manifests sent",
        seen.len()
    );
    assert_eq!(blobs, 203);

    let before = registry.seen().len();
    let task = whole_sync(&rest, &proxy).await;
    assert_eq!(task["result"], "success", "{task}");
    let seen = registry.seen_since(before);
    assert_eq!(sent(&seen), Vec::<&Seen>::new());
    println!(
        "a whole sync of 101 tags with nothing to do: {} requests",
        seen.len()
    );
    assert!(seen.len() <= 103, "{}", seen.len());
}

#[tokio::test]
async fn a_sync_of_what_is_there_already_takes_three_requests_at_most() {
    let registry = DockerRegistry::start(Options {
        deletes: true,
        asks_who: true,
    })
    .await;
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(1);
    oci.push(NAME, "one", &image).await.expect_status(201);
    let login = json!({ "credentials":
        { "username": docker_registry::USER, "password": docker_registry::PASSWORD } });
    let proxy = proxy(&rest, &registry.url(), login).await;
    until_has(&rest, &proxy, 1).await;
    registry.assert_holds(NAME, "one", &image).await;

    for _ in 0..2 {
        let before = registry.seen().len();
        let task = whole_sync(&rest, &proxy).await;
        assert_eq!(task["result"], "success", "{task}");
        let seen = registry.seen_since(before);
        assert!(seen.len() <= 3, "{seen:?}");
    }
}

#[tokio::test]
async fn a_login_that_is_refused_is_told_and_a_right_one_brings_all() {
    let registry = DockerRegistry::start(Options {
        deletes: true,
        asks_who: true,
    })
    .await;
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(1);
    oci.push(NAME, "one", &image).await.expect_status(201);
    let proxy = proxy(&rest, &registry.url(), json!({})).await;
    let says = |what: &'static str| {
        move |status: &Value| status["error"].as_str().is_some_and(|it| it.contains(what))
    };

    until(&rest, &proxy, "wants a login", says("it asks for a login")).await;
    let wrong =
        json!({ "credentials": { "username": docker_registry::USER, "password": "guess" } });
    rest.patch(&proxy, &wrong).await.expect_status(200);
    let told = until(&rest, &proxy, "refuses it", says("refuses user")).await;
    assert!(!told.to_string().contains("guess"), "{told}");
    let right = json!({ "credentials":
        { "username": docker_registry::USER, "password": docker_registry::PASSWORD } });
    rest.patch(&proxy, &right).await.expect_status(200);

    until_has(&rest, &proxy, 1).await;
    registry.assert_holds(NAME, "one", &image).await;
}

#[tokio::test]
async fn a_registry_that_deletes_nothing_is_a_warning_until_it_does() {
    let mut registry = DockerRegistry::start(Options::default()).await;
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(1);
    oci.push(NAME, "one", &image).await.expect_status(201);
    oci.push(NAME, "two", &Image::small(2))
        .await
        .expect_status(201);
    let proxy = proxy(&rest, &registry.url(), json!({})).await;
    until_has(&rest, &proxy, 2).await;

    delete_tag(&rest, NAME, "two").await;
    let status = until_has(&rest, &proxy, 3).await;
    let task = text(&status["repositories"][0]["last_task"]).to_owned();
    let task = rest.until_state(&task, "stopped").await;
    assert_eq!(task["result"], "warning", "{task}");
    let told = task.to_string();
    assert!(told.contains("it keeps tag `two`"), "{told}");
    assert_eq!(registry.tags(NAME).await, ["one", "two"]);
    let before = registry.seen().len();
    oci.push(NAME, "three", &image).await.expect_status(201);
    until_has(&rest, &proxy, 4).await;
    let asked: Vec<Seen> = registry.seen_since(before);
    assert!(
        asked.iter().all(|seen| seen.method != "DELETE"),
        "it is not asked again and again: {asked:?}"
    );

    registry.stop().await;
    registry.start_again(DELETES).await;
    let task = wait::until("a whole sync succeeds", SOON, async || {
        let task = whole_sync(&rest, &proxy).await;
        (task["result"] == "success").then_some(task)
    })
    .await;
    assert_eq!(registry.tags(NAME).await, ["one", "three"], "{task}");
}

#[tokio::test]
async fn other_names_of_the_same_blobs_are_mounted_and_go_with_their_environment() {
    let (server, registry) = (Server::start().await, DockerRegistry::start(DELETES).await);
    let (oci, rest) = (server.oci(), server.rest());
    let dev = json!({ "label": "dev", "name": "dev", "prior": "Library" });
    rest.post(&format!("/organizations/{ORGANIZATION}/environments"), &dev)
        .await
        .expect_status(201);
    let image = Image::small(1);
    oci.push(NAME, "one", &image).await.expect_status(201);
    oci.push(OTHER, "one", &image).await.expect_status(201);
    crate::environments::promote(&rest, NAME, 1, "dev").await;
    let both = json!([
        {"organization": ORGANIZATION, "environment": "Library"},
        {"organization": ORGANIZATION, "environment": "dev"},
    ]);
    let proxy = proxy(&rest, &registry.url(), json!({ "environments": both })).await;
    until(&rest, &proxy, "has all three", |status| {
        let repositories = status["repositories"].as_array().map_or(0, Vec::len);
        status["current"] == true && repositories == 3
    })
    .await;

    let in_dev = "default_organization/dev/tools/app";
    for name in [NAME, OTHER, in_dev] {
        registry.assert_holds(name, "one", &image).await;
    }
    let seen = registry.seen();
    let mounted = seen
        .iter()
        .filter(|seen| seen.uri.contains("mount=") && seen.status == 201);
    assert_eq!(mounted.count(), 2 * image.blobs().count());
    for blob in image.blobs() {
        assert_eq!(uploads_of(&seen, &digest::of(blob)), 1);
    }

    let library =
        json!({ "environments": [{"organization": ORGANIZATION, "environment": "Library"}] });
    rest.patch(&proxy, &library).await.expect_status(200);
    until(&rest, &proxy, "has two", |status| {
        let repositories = status["repositories"].as_array().map_or(0, Vec::len);
        status["current"] == true && repositories == 2
    })
    .await;
    assert_eq!(registry.tags(in_dev).await, Vec::<String>::new());
    registry.assert_holds(NAME, "one", &image).await;
}

#[tokio::test]
async fn a_server_that_is_killed_in_the_middle_goes_on_without_sending_again_what_is_there() {
    let (mut server, registry) = (Server::start().await, DockerRegistry::start(DELETES).await);
    let (oci, rest) = (server.oci(), server.rest());
    let layers = (0..20).map(|n| noise::bytes(n, 256 * 1024)).collect();
    let image = Image::with_layers(layers, "amd64");
    oci.push(NAME, "one", &image).await.expect_status(201);
    let slow = json!({ "bytes_per_second": 2 * 1024 * 1024, "concurrency": 2 });
    let proxy = proxy(&rest, &registry.url(), slow).await;
    wait::until("some blobs are there", SOON, async || {
        let seen = registry.seen();
        let there = image.blobs().map(|it| uploads_of(&seen, &digest::of(it)));
        (there.sum::<usize>() >= 5).then_some(())
    })
    .await;

    server.kill().await;
    server.restart().await;

    until_has(&server.rest(), &proxy, 1).await;
    registry.assert_holds(NAME, "one", &image).await;
    let seen = registry.seen();
    let twice = image
        .blobs()
        .filter(|it| uploads_of(&seen, &digest::of(it)) != 1);
    assert_eq!(twice.count(), 0);
}

#[tokio::test]
async fn a_registry_that_is_down_holds_no_push_up_and_catches_up_by_itself() {
    let mut registry = DockerRegistry::start(DELETES).await;
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let first = Image::small(1);
    oci.push(NAME, "one", &first).await.expect_status(201);
    let proxy = proxy(&rest, &registry.url(), json!({})).await;
    until_has(&rest, &proxy, 1).await;

    registry.stop().await;
    let images = [Image::small(2), Image::small(3)];
    for (tag, image) in ["two", "three"].iter().zip(&images) {
        oci.push(NAME, tag, image).await.expect_status(201);
        let push = rest.only_push_of(NAME, tag).await;
        assert_ne!(push["result"], "error", "{push}");
    }
    until(&rest, &proxy, "has its gate closed", |status| {
        status["gate"] != "open" && status["lag_versions"] == 2
    })
    .await;
    registry.start_again(DELETES).await;

    until_has(&rest, &proxy, 3).await;
    for (tag, image) in ["two", "three"].iter().zip(&images) {
        registry.assert_holds(NAME, tag, image).await;
    }
}

#[tokio::test]
async fn another_instance_of_this_program_is_a_registry_like_any_other() {
    let (server, there) = (Server::start().await, Server::start().await);
    let (oci, rest) = (server.oci(), server.rest());
    let (image, index) = (Image::small(1), Index::two_platforms(2));
    oci.push(NAME, "one", &image).await.expect_status(201);
    oci.push(NAME, "two", &Image::small(9))
        .await
        .expect_status(201);
    oci.push_index(NAME, "many", &index)
        .await
        .expect_status(201);
    let login = robot_of(&there).await;
    let proxy = proxy(
        &rest,
        &format!("http://{}", there.host()),
        json!({ "credentials": login }),
    )
    .await;
    let says = |status: &Value| {
        let told = status["repositories"][0]["error"].as_str();
        told.is_some_and(|told| told.contains("the right to"))
    };
    until(&rest, &proxy, "lacks the right to push", says).await;

    let_it_push(&there, &login).await;
    let synced = whole_sync(&rest, &proxy).await;
    assert_eq!(synced["result"], "success", "{synced}");

    let pulled = there.oci();
    pulled.assert_pullable(NAME, "one", &image).await;
    let found = pulled.manifest(NAME, "many").await.expect_status(200);
    assert_eq!(found.header("docker-content-digest"), index.digest);
    delete_tag(&rest, NAME, "two").await;
    wait::until("the tag is gone there, too", SOON, async || {
        let found = pulled.manifest(NAME, "two").await;
        (found.status == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_registry_that_is_busy_is_asked_again_within_the_same_sync() {
    let there = Server::start_watched(&["--max-requests=1"]).await;
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let login = robot_of(&there).await;
    let_it_push(&there, &login).await;
    let large = Long::new(1, MORE_THAN_A_CONNECTION_BUFFERS);
    let digest = large.digest();
    there.oci().push_long_blob(OTHER, &large, &digest).await;
    let mut slow_reader = Connection::open(&there.host()).await;
    let blob = format!("/v2/{OTHER}/blobs/{digest}");
    let blob = raw::request("GET", &there.host(), &blob, "");
    slow_reader.send(blob.as_bytes()).await;
    slow_reader.until("\r\n\r\n", SOON).await;

    let image = Image::small(2);
    oci.push(NAME, "one", &image).await.expect_status(201);
    let url = format!("http://{}", there.host());
    let one_by_one = json!({ "credentials": login, "concurrency": 1 });
    let proxy = proxy(&rest, &url, one_by_one).await;
    wait::until("the registry turns the sync away", SOON, async || {
        let refused = there.metrics().await;
        let refused = refused.sum("wharfinger_requests_refused_total", &["busy"]);
        (refused > 0.0).then_some(())
    })
    .await;
    drop(slow_reader);

    until_has(&rest, &proxy, 1).await;
    there.oci().assert_pullable(NAME, "one", &image).await;
    let syncs = rest.all("/tasks", "label = sync_proxy").await;
    assert_eq!(syncs.len(), 1, "{syncs:?}");
    let ended = rest.until_state(text(&syncs[0]["id"]), "stopped").await;
    assert_eq!(ended["result"], "success", "{ended}");
}

#[tokio::test]
async fn a_token_that_ends_in_the_middle_of_a_sync_is_followed_by_another() {
    let there = Server::start_watched(&["--token-lifetime=2s"]).await;
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let login = robot_of(&there).await;
    let_it_push(&there, &login).await;
    let layers = (0..16).map(|n| noise::bytes(n, 256 * 1024)).collect();
    let image = Image::with_layers(layers, "amd64");
    oci.push(NAME, "one", &image).await.expect_status(201);
    let tokens = async || {
        let metrics = there.metrics().await;
        metrics.sum("wharfinger_requests_total", &["\"oci.token\"", "\"200\""])
    };
    let before = tokens().await;

    let slow = json!({ "credentials": login, "bytes_per_second": 512 * 1024, "concurrency": 1 });
    let proxy = proxy(&rest, &format!("http://{}", there.host()), slow).await;
    until_has(&rest, &proxy, 1).await;

    let asked = tokens().await - before;
    println!("{asked} tokens in one sync");
    assert!(asked >= 3.0, "{asked} tokens");
    let uploads = there.metrics().await;
    let uploads = uploads.sum(
        "wharfinger_requests_total",
        &["\"oci.finish_upload\"", "\"201\""],
    );
    let blobs = image.blobs().count();
    assert!(
        (uploads - f64::from(u32::try_from(blobs).unwrap())).abs() < 0.5,
        "{uploads} uploads of {blobs} blobs"
    );
    there.oci().assert_pullable(NAME, "one", &image).await;
    let syncs = rest.all("/tasks", "label = sync_proxy").await;
    assert_eq!(syncs.len(), 1, "{syncs:?}");
}
