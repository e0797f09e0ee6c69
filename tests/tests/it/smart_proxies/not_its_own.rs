//! What a proxy holds and its main server does not count as its own: a proxy that was deleted, a main server that is another one or was
//! set back, and what others would make them believe.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::harbour::Harbour;
use tests::image::Image;
use tests::oci_client::OciClient;
use tests::raw::{self, Connection};
use tests::wait::{self, SOON};

use crate::environments::promote;

const NAME: &str = "default_organization/tools/app";

/// What the documentation promises.
const WITHIN: Duration = Duration::from_mins(1);

/// Adds the same proxy anew, with these environments.
async fn add_again(harbour: &mut Harbour, environments: Value) {
    let proxy = json!({
        "name": "berlin", "kind": "wharfinger", "environments": environments,
        "secret": harbour.proxies[0].secret.text(),
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

/// Lets everybody pull from the product.
async fn open(harbour: &Harbour) {
    let product = "/organizations/Default_Organization/products/tools";
    let open = json!({ "anonymous_pull": true });
    let opened = harbour.rest().patch(product, &open).await;
    opened.expect_status(200);
}

#[tokio::test]
async fn a_proxy_that_was_deleted_serves_nobody_any_more_within_a_minute() {
    let harbour = Harbour::with_a_proxy(&[]).await;
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
    let mut harbour = Harbour::with_a_proxy(&[]).await;
    push(&harbour, "latest", &Image::small(1)).await;
    harbour.until_current(0).await;
    let oci = harbour.oci(0);
    oci.manifest(NAME, "latest").await.expect_status(200);

    let path = format!("/smart_proxies/{}", harbour.proxies[0].id);
    harbour.rest().delete(&path).await.expect_status(204);
    add_again(&mut harbour, json!([])).await;

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
    let mut harbour = Harbour::with_a_proxy(&[]).await;
    push(&harbour, "one", &Image::small(1)).await;
    harbour.until_current(0).await;
    let backup = Backup::of(&mut harbour).await;
    push(&harbour, "two", &Image::small(2)).await;
    harbour.until_current(0).await;
    backup.restore(&mut harbour).await;

    push(&harbour, "three", &Image::small(3)).await;

    let status = harbour.until_current(0).await;
    let oci = harbour.oci(0);
    assert_eq!(oci.tags(NAME, 100).await, ["one", "three"], "{status}");
    oci.assert_pullable(NAME, "three", &Image::small(3)).await;
}

#[tokio::test]
async fn what_gets_the_number_of_something_that_was_lost_in_a_restore_shows_nothing_of_it() {
    const LOST: &str = "default_organization/public/app";
    const NEW: &str = "default_organization/private/db";
    let mut harbour = Harbour::with_a_proxy(&[]).await;
    push(&harbour, "latest", &Image::small(1)).await;
    harbour.until_current(0).await;
    let backup = Backup::of(&mut harbour).await;
    let lost = Image::small(2);
    let pushed = harbour.main.oci().push(LOST, "latest", &lost).await;
    pushed.expect_status(201);
    let number = harbour.rest().repository(LOST).await["id"].clone();
    let public = "/organizations/Default_Organization/products/public";
    let open = json!({ "anonymous_pull": true });
    harbour.rest().patch(public, &open).await.expect_status(200);
    harbour.until_current(0).await;
    let anybody = OciClient::anonymous(&harbour.proxies[0].server.host());
    let pull = async |name: &str, of: &str| {
        let asked = anybody.request(Method::GET, &format!("/v2/{name}/manifests/{of}"));
        anybody.send(asked).await.status
    };
    wait::until("everybody pulls it", WITHIN, async || {
        (pull(LOST, "latest").await == 200).then_some(())
    })
    .await;
    backup.restore(&mut harbour).await;

    let new = Image::small(3);
    let pushed = harbour.main.oci().push(NEW, "latest", &new).await;
    pushed.expect_status(201);

    assert_eq!(harbour.rest().repository(NEW).await["id"], number);
    harbour.until_current(0).await;
    harbour.oci(0).assert_pullable(NEW, "latest", &new).await;
    for name in [LOST, NEW] {
        for of in ["latest", &lost.digest, &new.digest] {
            assert_eq!(pull(name, of).await, 401, "{name} {of} without a login");
        }
    }
    let asked = harbour.oci(0).manifest(NEW, &lost.digest).await;
    asked.expect_status(404);
}

#[tokio::test]
async fn an_environment_that_is_made_anew_under_its_label_comes_too() {
    let harbour = Harbour::with_a_proxy(&[]).await;
    let rest = harbour.rest();
    let environments = "/organizations/Default_Organization/environments";
    let production = json!({ "label": "production", "name": "p", "prior": "Library" });
    let both = json!([
        { "organization": "Default_Organization", "environment": "Library" },
        { "organization": "Default_Organization", "environment": "production" },
    ]);
    for round in 0..2 {
        push(&harbour, "latest", &Image::small(round)).await;
        let made = rest.post(environments, &production).await;
        made.expect_status(201);
        harbour.change(0, &json!({ "environments": both })).await;
        promote(&rest, NAME, 1, "production").await;
        let status = harbour.until_current(0).await;
        assert_eq!(
            status["repositories"].as_array().map(Vec::len),
            Some(2),
            "round {round}: {status}"
        );
        let library = json!([both[0]]);
        harbour.change(0, &json!({ "environments": library })).await;
        harbour.until_current(0).await;
        let repository = rest.path_of(NAME).await;
        rest.begun(rest.delete(&repository).await).await;
        rest.until_no_task_is_open(WITHIN).await;
        let deleted = rest.delete(&format!("{environments}/production")).await;
        assert!([202, 204].contains(&deleted.status), "{deleted}");
    }
}

#[tokio::test]
async fn a_proxy_of_another_main_server_says_so_and_serves_nothing_of_it() {
    let mut harbour = Harbour::with_a_proxy(&[]).await;
    push(&harbour, "latest", &Image::small(1)).await;
    harbour.until_current(0).await;
    open(&harbour).await;
    wait::until("everybody pulls it", WITHIN, async || {
        (pull(&harbour, None).await == 200).then_some(())
    })
    .await;
    harbour.main.kill().await;
    std::fs::remove_dir_all(harbour.main.data_dir()).expect("a folder of ours");
    harbour.main.restart().await;
    push(&harbour, "latest", &Image::small(2)).await;
    open(&harbour).await;

    let library = json!([{ "organization": "Default_Organization", "environment": "Library" }]);
    add_again(&mut harbour, library).await;

    let told = wait::until("the sync says why it does not go", WITHIN, async || {
        let status = harbour.status(0).await;
        status["error"].as_str().map(str::to_owned)
    })
    .await;
    assert!(
        told.contains("another main server") && told.contains("empty data folder"),
        "{told}"
    );
    let anybody = OciClient::anonymous(&harbour.proxies[0].server.host());
    let asked = anybody.request(Method::GET, &format!("/v2/{NAME}/manifests/latest"));
    let told = anybody.send(asked).await.expect_status(503).text();
    assert!(told.contains("empty data folder"), "{told}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_the_main_servers_fault() {
    let harbour = Harbour::with_a_proxy(&[]).await;
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
    let harbour = Harbour::with_a_proxy(&[]).await;
    let secret = harbour.proxies[0].secret.text();
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
    let harbour = Harbour::with_a_proxy(&[]).await;
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
    let free = json!({
        "name": "oslo", "kind": "wharfinger", "secret": "another-secret-of-oslo",
        "url": "http://127.0.0.1:9",
    });
    let added = harbour.rest().post("/smart_proxies", &free).await;
    let path = format!("/smart_proxies/{}", added.expect_status(201).json()["id"]);
    let there = json!({
        "url": format!("http://{}", harbour.proxies[0].server.host()),
        "secret": "another-secret-of-oslo",
    });
    let refused = harbour.rest().patch(&path, &there).await;
    let told = refused.expect_status(422).text();
    assert!(told.contains("berlin"), "{told}");
}

/// What a main server had in its data folder.
struct Backup(TempDir);

impl Backup {
    async fn of(harbour: &mut Harbour) -> Self {
        let backup = Self(tempfile::tempdir().expect("a temporary folder"));
        harbour.main.kill().await;
        copy(&harbour.main.data_dir(), &backup.folder());
        harbour.main.restart().await;
        backup
    }

    /// The main server is as it was then.
    async fn restore(&self, harbour: &mut Harbour) {
        let used = harbour.main.data_dir();
        harbour.main.kill().await;
        std::fs::remove_dir_all(&used).expect("a folder of ours");
        copy(&self.folder(), &used);
        harbour.main.restart().await;
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("kept")
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.expect("cp is there").success());
}
