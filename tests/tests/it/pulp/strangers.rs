//! What others have in the same Pulp: never touched, never believed.

use reqwest::{Method, StatusCode};
use serde_json::json;
use tests::image::{Image, MANIFEST};
use tests::pulp::Which;
use tests::rest::text;
use tests::server::Server;
use tests::{digest, noise};

const NAME: &str = "default_organization/tools/app";

async fn on(which: Which, prefix: &str) -> Server {
    let options = which.shared().await.options_with(prefix);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    Server::start_with(&options).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_of_somebody_else_in_the_way_is_named_and_left_alone() {
    for which in Which::ALL {
        let pulp = which.shared().await;
        for kind in ["", "-push"] {
            let prefix = format!("f{:x}", noise::unique());
            let theirs = format!("{prefix}{kind}/1");
            let body = json!({"name": theirs, "pulp_labels": {"owner": "somebody"}});
            let path = "repositories/container/container/";
            let (status, made) = pulp.ask(Method::POST, path, Some(&body)).await;
            assert_eq!(status, StatusCode::CREATED, "{made}");
            let server = on(which, &prefix).await;
            let (oci, image) = (server.oci(), Image::small(noise::unique()));

            oci.push_blobs(NAME, &image).await;
            let refused = oci
                .put_manifest(NAME, "latest", MANIFEST, &image.manifest)
                .await
                .expect_status(424);

            let told = refused.text();
            assert!(told.contains(&theirs), "{told}");
            assert!(told.contains("not of this registry"), "{told}");
            let found = pulp.list(&format!("repositories/?name={theirs}")).await;
            assert_eq!(found[0]["pulp_labels"], json!({"owner": "somebody"}));
            assert!(text(&found[0]["latest_version_href"]).ends_with("/versions/0/"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_registries_with_one_prefix_on_one_pulp_do_not_mix() {
    let prefix = format!("f{:x}", noise::unique());
    let (first, second) = (
        on(Which::Newest, &prefix).await,
        on(Which::Newest, &prefix).await,
    );
    let image = Image::small(noise::unique());
    first
        .oci()
        .push(NAME, "latest", &image)
        .await
        .expect_status(201);

    let oci = second.oci();
    oci.push_blobs(NAME, &image).await;
    let refused = oci
        .put_manifest(NAME, "latest", MANIFEST, &image.manifest)
        .await
        .expect_status(424);

    let told = refused.text();
    assert!(told.contains("not of this registry"), "{told}");
    first.oci().assert_pullable(NAME, "latest", &image).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_bytes_under_a_digest_are_never_published() {
    for which in Which::ALL {
        let pulp = which.shared().await;
        let prefix = format!("f{:x}", noise::unique());
        let server = on(which, &prefix).await;
        let (oci, image) = (server.oci(), Image::small(noise::unique()));
        let poisoned = digest::of(&image.layers[1]);
        let elsewhere = format!("p{:x}/app", noise::unique());
        pulp.put_unchecked(&elsewhere, &poisoned, b"not these")
            .await;

        oci.push_blobs(NAME, &image).await;
        let refused = oci
            .put_manifest(NAME, "latest", MANIFEST, &image.manifest)
            .await
            .expect_status(424);

        let told = refused.text();
        assert!(told.contains("keeps other bytes"), "{told}");
        assert!(told.contains(&poisoned), "{told}");
        assert_eq!(oci.manifest(NAME, "latest").await.status, 404);
        // What was taken is not lost: until it is mended the bytes are given from here.
        let pulled = oci.pull_blob(NAME, &poisoned).await;
        assert_eq!(pulled.0, poisoned);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_not_those_of_their_digest_do_not_reach_pulp() {
    let pulp = Which::Newest.shared().await;
    let server = pulp.server(&[]).await;
    let oci = server.oci();
    let (right, wrong) = (
        noise::bytes(noise::unique(), 300),
        noise::bytes(noise::unique(), 300),
    );
    let claimed = digest::of(&right);

    let location = oci.open_upload(NAME).await;
    let sent = oci.at(Method::PATCH, NAME, &location).await.body(wrong);
    oci.send(sent).await.expect_status(202);
    let closed = format!("{location}?digest={claimed}");
    let closed = oci.at(Method::PUT, NAME, &closed).await;

    oci.send(closed).await.expect_refusal(400, "DIGEST_INVALID");
    let known = pulp
        .list(&format!("content/container/blobs/?digest={claimed}"))
        .await;
    assert!(known.is_empty(), "{known:?}");
}
