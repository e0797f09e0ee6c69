//! What a proxy holds and its main server does not count as its own: a proxy that was deleted, a main server that is another one or was
//! set back, and what others would make them believe.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::harbour::{Harbour, Secret};
use tests::image::Image;
use tests::oci_client::OciClient;
use tests::raw::{self, Connection};
use tests::server::Server;
use tests::wait::{self, SOON};

const NAME: &str = "default_organization/tools/app";

/// What the documentation promises.
const WITHIN: Duration = Duration::from_mins(1);

/// A main server with a proxy whose secret is known here.
async fn harbour() -> (Harbour, String) {
    let mut harbour = Harbour::new(&[]).await;
    let secret = Secret::new();
    let options = secret.options(&harbour.main.host());
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let server = Server::start_with(&options).await;
    let text = secret.text().to_owned();
    harbour.know("berlin", &json!({}), server, secret).await;
    (harbour, text)
}

/// Adds the same proxy anew, with these environments.
async fn add_again(harbour: &mut Harbour, secret: &str, environments: Value) {
    let proxy = json!({
        "name": "berlin", "kind": "wharfinger", "secret": secret, "environments": environments,
        "url": format!("http://{}", harbour.proxies[0].server.host()),
    });
    let added = harbour.rest().post("/smart_proxies", &proxy).await;
    harbour.proxies[0].id = added.expect_status(201).json()["id"]
        .as_i64()
        .expect("a number");
}

async fn push(harbour: &Harbour, tag: &str, image: &Image) {
    harbour
        .main
        .oci()
        .push(NAME, tag, image)
        .await
        .expect_status(201);
}

/// How the proxy answers a pull, with this token or without any.
async fn pull(harbour: &Harbour, token: Option<&str>) -> u16 {
    let anybody = OciClient::anonymous(&harbour.proxies[0].server.host());
    let asked = anybody.request(Method::GET, &format!("/v2/{NAME}/manifests/latest"));
    let asked = match token {
        Some(token) => asked.bearer_auth(token),
        None => asked,
    };
    anybody.send(asked).await.status
}

#[tokio::test]
async fn a_proxy_that_was_deleted_serves_nobody_any_more_within_a_minute() {
    let (harbour, _) = harbour().await;
    let rest = harbour.rest();
    push(&harbour, "latest", &Image::small(1)).await;
    harbour.until_current(0).await;
    let token = harbour.oci(0);
    let token = token.token(&[&format!("repository:{NAME}:pull")]).await;
    let product = "/organizations/Default_Organization/products/tools";
    let open = rest
        .patch(product, &json!({ "anonymous_pull": true }))
        .await;
    open.expect_status(200);
    wait::until("everybody pulls it", WITHIN, async || {
        (pull(&harbour, None).await == 200).then_some(())
    })
    .await;
    assert_eq!(pull(&harbour, Some(&token)).await, 200);

    let path = format!("/smart_proxies/{}", harbour.proxies[0].id);
    rest.delete(&path).await.expect_status(204);

    for token in [Some(token.as_str()), None] {
        wait::until("nobody pulls any more", WITHIN, async || {
            (pull(&harbour, token).await != 200).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_a_proxy_holds_of_an_earlier_time_goes_once_it_is_added_without_it() {
    let (mut harbour, secret) = harbour().await;
    push(&harbour, "latest", &Image::small(1)).await;
    harbour.until_current(0).await;
    let oci = harbour.oci(0);
    oci.manifest(NAME, "latest").await.expect_status(200);

    let path = format!("/smart_proxies/{}", harbour.proxies[0].id);
    harbour.rest().delete(&path).await.expect_status(204);
    add_again(&mut harbour, &secret, json!([])).await;

    wait::until("it is gone from the proxy", WITHIN, async || {
        let asked = oci.of(Method::GET, NAME, "manifests/latest").await;
        let answer = oci.send(asked).await;
        [401, 404].contains(&answer.status).then_some(())
    })
    .await;
    let library = json!([{ "organization": "Default_Organization", "environment": "Library" }]);
    harbour.change(0, &json!({ "environments": library })).await;
    harbour.until_current(0).await;
    oci.assert_pullable(NAME, "latest", &Image::small(1)).await;
}

#[tokio::test]
async fn after_a_backup_of_the_main_server_was_restored_the_proxy_serves_what_that_serves() {
    let (mut harbour, _) = harbour().await;
    push(&harbour, "one", &Image::small(1)).await;
    harbour.until_current(0).await;
    let backup = tempfile::tempdir().expect("a temporary folder");
    let (kept, used) = (backup.path().join("kept"), harbour.main.data_dir());
    harbour.main.kill().await;
    copy(&used, &kept);
    harbour.main.restart().await;
    push(&harbour, "two", &Image::small(2)).await;
    harbour.until_current(0).await;
    harbour.main.kill().await;
    std::fs::remove_dir_all(&used).expect("a folder of ours");
    copy(&kept, &used);
    harbour.main.restart().await;

    push(&harbour, "three", &Image::small(3)).await;

    let status = harbour.until_current(0).await;
    let oci = harbour.oci(0);
    assert_eq!(oci.tags(NAME, 100).await, ["one", "three"], "{status}");
    oci.assert_pullable(NAME, "three", &Image::small(3)).await;
}

#[tokio::test]
async fn a_proxy_of_another_main_server_says_so_and_serves_nothing_of_it() {
    let (mut harbour, secret) = harbour().await;
    push(&harbour, "latest", &Image::small(1)).await;
    harbour.until_current(0).await;
    harbour.main.kill().await;
    std::fs::remove_dir_all(harbour.main.data_dir()).expect("a folder of ours");
    harbour.main.restart().await;
    push(&harbour, "latest", &Image::small(2)).await;

    let library = json!([{ "organization": "Default_Organization", "environment": "Library" }]);
    add_again(&mut harbour, &secret, library).await;

    let told = wait::until("the sync says why it does not go", WITHIN, async || {
        let status = harbour.status(0).await;
        status["error"].as_str().map(str::to_owned)
    })
    .await;
    assert!(
        told.contains("another main server") && told.contains("empty data folder"),
        "{told}"
    );
    assert_ne!(pull(&harbour, None).await, 200);
    let oci = harbour.oci(0);
    let asked = oci.request(Method::GET, &format!("/v2/{NAME}/manifests/latest"));
    assert_ne!(oci.send(asked).await.status, 200);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_the_main_servers_fault() {
    let (harbour, _) = harbour().await;
    let host = harbour.proxies[0].server.host();
    let mut connection = Connection::open(&host).await;

    connection
        .send(
            format!(
                "POST /v2/{NAME}/blobs/uploads/ HTTP/1.1\r\nHost: {host}\r\n\
                 Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\nZZZ\r\n"
            )
            .as_bytes(),
        )
        .await;

    let answer = connection.all_until_closed(SOON).await.expect("an answer");
    // The main server may have refused it before it had read so far.
    assert!([400, 401].contains(&raw::status(&answer)), "{answer}");
    assert!(!answer.contains("does not answer"), "{answer}");
}

#[tokio::test]
async fn a_stored_secret_is_shown_to_no_other_machine() {
    let (harbour, secret) = harbour().await;
    let (rest, path) = (
        harbour.rest(),
        format!("/smart_proxies/{}", harbour.proxies[0].id),
    );
    let elsewhere = json!({ "url": "http://127.0.0.1:9" });

    let refused = rest.patch(&path, &elsewhere).await;

    let told = refused.expect_status(422).text();
    assert!(told.contains("secret"), "{told}");
    let with_it = json!({ "url": "http://127.0.0.1:9", "secret": secret });
    rest.patch(&path, &with_it).await.expect_status(200);
    let hub = json!({
        "name": "hub", "kind": "oci", "url": "http://127.0.0.1:8/a",
        "credentials": { "username": "ann", "password": "pass" },
    });
    let id = rest.post("/smart_proxies", &hub).await.expect_status(201);
    let path = format!("/smart_proxies/{}", id.json()["id"]);
    let told = rest.patch(&path, &elsewhere).await.expect_status(422);
    assert!(told.text().contains("credentials"), "{}", told.text());
    let deeper = json!({ "url": "http://127.0.0.1:8/b" });
    rest.patch(&path, &deeper).await.expect_status(200);
}

#[tokio::test]
async fn two_proxies_do_not_share_a_host_nor_has_one_that_of_its_main_server() {
    let (harbour, _) = harbour().await;
    for (host, whose) in [
        (harbour.proxies[0].server.host(), "berlin"),
        (harbour.main.host(), "this server itself"),
    ] {
        let proxy = json!({
            "name": "oslo", "kind": "wharfinger", "secret": "another-secret-of-oslo",
            "url": format!("http://{host}"),
        });

        let refused = harbour.rest().post("/smart_proxies", &proxy).await;

        let told = refused.expect_status(422).text();
        assert!(told.contains("url") && told.contains(whose), "{told}");
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.expect("cp is there").success());
}
