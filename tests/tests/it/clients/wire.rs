//! Habits of clients that no specification has, each of which has cost somebody a push.

use std::path::Path;
use std::{fs, io};

use futures_util::{StreamExt as _, stream};
use reqwest::{Body, Method};
use serde_json::json;
use tests::digest;
use tests::image::{self, Image};
use tests::noise;
use tests::oci_client::{OciClient, location};
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};
use tests::wait::{self, SOON};
use tokio::task::JoinSet;

const NAME: &str = "default_organization/wire/app";

#[tokio::test]
async fn podman_measures_a_token_by_its_own_clock_and_has_at_least_five_minutes() {
    let server = Server::start().await;
    let oci = server.oci();
    let service = oci.service().await.unwrap();

    let answer = oci
        .try_ask_token(&service, &[&format!("repository:{NAME}:pull,push")])
        .await
        .unwrap()
        .expect_status(200);

    let token = answer.json();
    assert_eq!(token["token"], token["access_token"]);
    assert!(token["expires_in"].as_u64() >= Some(300), "{answer}");
    assert_eq!(token.get("issued_at"), None, "{answer}");
}

#[tokio::test]
async fn podman_is_shown_the_way_to_a_token_by_v2_alone() {
    let server = Server::start().await;
    let nobody = OciClient::anonymous(&server.host());

    let answer = nobody.send(nobody.request(Method::GET, "/v2/")).await;

    let answer = answer.expect_status(401);
    let expected = format!(
        "Bearer realm=\"http://{host}/v2/token\",service=\"{host}\"",
        host = server.host()
    );
    assert_eq!(answer.header("www-authenticate"), expected);
}

#[tokio::test]
async fn podman_s_first_head_in_a_repository_that_does_not_exist_is_404() {
    let server = Server::start().await;
    let oci = server.oci();
    let rest = format!("blobs/{}", digest::of(b"anything"));

    let head = oci.send(oci.of(Method::HEAD, NAME, &rest).await).await;

    assert_eq!(head.status, 404, "anything else ends its push");
    assert!(head.body.is_empty());
}

#[tokio::test]
async fn every_location_and_link_is_relative_whatever_host_the_client_calls() {
    let server = Server::start().await;
    let (oci, image) = (server.oci(), Image::small(51));
    let mut locations = Vec::new();
    let opened = oci
        .send(
            oci.of(Method::POST, NAME, "blobs/uploads/")
                .await
                .header("x-forwarded-host", "hub.example.com"),
        )
        .await;
    locations.push(opened.header("location").to_owned());
    let pushed = oci.push(NAME, "a", &image).await.expect_status(201);
    locations.push(pushed.header("location").to_owned());
    oci.push(NAME, "b", &image).await.expect_status(201);

    let page = oci
        .send(oci.of(Method::GET, NAME, "tags/list?n=1").await)
        .await;

    let link = page.header("link").trim_start_matches('<').to_owned();
    for location in locations.iter().chain([&link]) {
        assert!(location.starts_with("/v2/"), "{location}");
    }
}

#[tokio::test]
async fn a_tag_whose_push_is_not_published_is_not_told_so_that_containerd_pushes_it_again() {
    let server = Server::start_with(&["--allow-drills", "--push-wait", "1s"]).await;
    let (oci, image) = (server.oci(), Image::small(52));
    let drill = json!({ "workflow": "push", "step": "copy", "effect": "fail", "times": 1 });
    server.rest().begin_drill(&drill).await;

    let refused = oci.push(NAME, "latest", &image).await;

    refused.expect_refusal(424, "UNKNOWN").expect_warning();
    let head = oci.of(Method::HEAD, NAME, "manifests/latest").await;
    assert_eq!(oci.send(head).await.status, 404);
    let by_digest = oci.manifest(NAME, &image.digest).await;
    assert_eq!(by_digest.expect_status(200).body, image.manifest);
}

#[tokio::test]
async fn oras_go_may_ask_for_the_referrers_of_the_digest_of_zeros() {
    let server = Server::start().await;
    let oci = server.oci();
    let rest = format!("referrers/sha256:{}", "0".repeat(64));

    let before = oci.send(oci.of(Method::GET, NAME, &rest).await).await;
    oci.push(NAME, "latest", &Image::small(53))
        .await
        .expect_status(201);
    let after = oci.send(oci.of(Method::GET, NAME, &rest).await).await;

    for answer in [before, after] {
        let answer = answer.expect_status(200);
        assert_eq!(answer.header("content-type"), image::INDEX);
        assert_eq!(answer.json()["manifests"], json!([]));
    }
}

#[tokio::test]
async fn docker_and_oras_py_show_the_message_and_crane_the_detail_of_a_refusal() {
    let server = Server::start().await;
    let oci = server.oci();
    oci.open_upload(NAME).await;
    let image = Image::small(54);

    let refused = oci
        .put_manifest(NAME, "latest", image::MANIFEST, &image.manifest)
        .await
        .expect_refusal(404, "MANIFEST_BLOB_UNKNOWN");

    let detail = refused.json()["errors"][0]["detail"].clone();
    let missing = detail["digest"].as_str().unwrap_or_default();
    assert!(refused.message().contains(missing), "{refused}");
    assert!(!missing.is_empty(), "{refused}");
}

#[tokio::test]
async fn an_upload_goes_on_after_a_kill_from_the_offset_that_a_get_tells() {
    let mut server = Server::start().await;
    let blob = noise::bytes(55, 5_000_000);
    for (algorithm, digest) in [
        ("sha256", digest::of(&blob)),
        ("sha512", digest::of_sha512(&blob)),
    ] {
        let oci = server.oci();
        let post = format!("blobs/uploads/?digest-algorithm={algorithm}");
        let opened = oci.send(oci.of(Method::POST, NAME, &post).await).await;
        let session = location(&opened.expect_status(202));
        let first = oci.at(Method::PATCH, NAME, &session).await;
        let first = first.body(blob.slice(..1_000_000));
        oci.send(first).await.expect_status(202);
        // A second piece that stands still when the server is killed.
        let standing = stream::iter([Ok::<_, io::Error>(blob.slice(1_000_000..3_500_000))]);
        let standing = Body::wrap_stream(standing.chain(stream::pending()));
        let second = oci.at(Method::PATCH, NAME, &session).await.body(standing);
        let content = server.data_dir().join("content");
        let before = size_of(&content);
        let mut sending = JoinSet::new();
        sending.spawn(second.send());
        wait::until("a part of the second piece is written", SOON, async || {
            (size_of(&content) > before + 400_000).then_some(())
        })
        .await;

        server.kill().await;
        server.restart().await;

        sending.abort_all();
        let status = oci.send(oci.at(Method::GET, NAME, &session).await).await;
        let range = status.expect_status(204).header("range").to_owned();
        let last: usize = range.strip_prefix("0-").unwrap().parse().unwrap();
        assert!(last + 1 >= 1_000_000, "what was answered is kept: {range}");
        let rest = oci.at(Method::PATCH, NAME, &session).await;
        let rest = rest
            .header("content-range", format!("{}-4999999", last + 1))
            .body(blob.slice(last + 1..));
        oci.send(rest).await.expect_status(202);
        let put = oci.at(Method::PUT, NAME, &session).await;
        let put = oci.send(put.query(&[("digest", &digest)])).await;
        put.expect_status(201);
        let pulled = oci.of(Method::GET, NAME, &format!("blobs/{digest}")).await;
        assert!(oci.send(pulled).await.expect_status(200).body == blob);
    }
    server.doctor().await.expect_code(0);
}

/// How many bytes lie in a folder.
fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder of the server's");
    let sizes = entries.map(|entry| {
        let entry = entry.expect("nothing is removed meanwhile");
        let known = entry.metadata().expect("nothing is removed meanwhile");
        if known.is_dir() {
            size_of(&entry.path())
        } else {
            known.len()
        }
    });
    sizes.sum()
}

#[tokio::test]
async fn the_catalog_shows_nobody_a_name_they_may_not_pull() {
    let server = Server::start().await;
    let oci = server.oci();
    for name in [
        "default_organization/open/app",
        "default_organization/own/app",
    ] {
        let put = oci.push(name, "latest", &Image::small(56)).await;
        put.expect_status(201);
    }
    let rest = server.rest();
    let user = json!({ "login": "una", "password": "one product is enough" });
    rest.post("/users", &user).await.expect_status(201);
    let grant = json!({
        "user": "una", "role": "reader",
        "organization": "Default_Organization", "product": "open",
    });
    rest.post("/grants", &grant).await.expect_status(201);

    let list = async |login: &str, password: &str| {
        let client = OciClient::with_login(&server.host(), login, password);
        let token = client.token(&["registry:catalog:*"]).await;
        let request = client.request(Method::GET, "/v2/_catalog");
        let answer = client.send(request.bearer_auth(token)).await;
        answer.expect_status(200).json()["repositories"].clone()
    };

    let all = [
        "default_organization/open/app",
        "default_organization/own/app",
    ];
    assert_eq!(list(ADMIN, ADMIN_PASSWORD).await, json!(all));
    let hers = list("una", "one product is enough").await;
    assert_eq!(hers, json!(["default_organization/open/app"]));
    let nobody = OciClient::anonymous(&server.host());
    let token = nobody.token(&["registry:catalog:*"]).await;
    let request = nobody.request(Method::GET, "/v2/_catalog");
    let answer = nobody.send(request.bearer_auth(token)).await;
    assert_eq!(answer.expect_status(200).json()["repositories"], json!([]));
}

#[tokio::test]
async fn a_head_of_a_blob_leads_to_a_token_that_is_good_for_the_push_it_begins() {
    let server = Server::start().await;
    let nobody = OciClient::anonymous(&server.host());
    let path =
        |method: &Method, rest: &str| nobody.request(method.clone(), &format!("/v2/{NAME}/{rest}"));
    let blob = format!("blobs/{}", digest::of(b"ware"));

    // oras-py keeps the first token it gets.
    for (method, rest, scope) in [
        (Method::HEAD, blob.as_str(), "pull,push"),
        (Method::GET, blob.as_str(), "pull"),
        (Method::GET, "manifests/latest", "pull"),
        (Method::POST, "blobs/uploads/", "pull,push"),
    ] {
        let refused = nobody.send(path(&method, rest)).await.expect_status(401);
        let scope = format!("scope=\"repository:{NAME}:{scope}\"");
        let challenge = refused.header("www-authenticate");
        assert!(challenge.contains(&scope), "{method} {rest}: {challenge}");
    }
}
