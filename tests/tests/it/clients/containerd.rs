//! containerd's pusher, which docker 29, nerdctl and BuildKit use: HEAD, HEAD by tag, POST, one PUT with the body.

use bytes::Bytes;
use reqwest::Method;
use serde_json::json;
use tests::digest;
use tests::image::{self, Image, described};
use tests::oci_client::{OciClient, location};
use tests::server::Server;

const NAME: &str = "default_organization/containerd/app";
/// What containerd accepts when it resolves a name.
const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";

#[tokio::test]
async fn containerd_pushes_pulls_and_pushes_again_without_a_byte() {
    let server = Server::start().await;
    let (oci, image) = (server.oci(), Image::small(21));

    for blob in image.blobs() {
        assert!(push_blob(&oci, blob).await, "it is not there yet");
    }
    assert!(push_manifest(&oci, "latest", image::MANIFEST, &image.manifest).await);

    for blob in image.blobs() {
        assert!(!push_blob(&oci, blob).await, "it is there already");
    }
    assert!(!push_manifest(&oci, "latest", image::MANIFEST, &image.manifest).await);
    let resolved = head(&oci, "manifests/latest").await.expect("the tag");
    assert_eq!(resolved, image.digest);
    let fetched = oci.manifest(NAME, &resolved).await.expect_status(200);
    assert_eq!(fetched.body, image.manifest);
    for blob in image.blobs() {
        let digest = digest::of(blob);
        assert_eq!(oci.pull_blob(NAME, &digest).await.0, digest);
    }
}

#[tokio::test]
async fn buildkit_pushes_a_cache_and_an_image_under_several_tags() {
    let server = Server::start().await;
    let (oci, image) = (server.oci(), Image::small(22));
    let config = Bytes::from_static(b"{\"layers\":[{\"blob\":\"x\"}],\"records\":[]}");
    for blob in image.blobs().chain([&config]) {
        push_blob(&oci, blob).await;
    }
    let parts: Vec<_> = image
        .layers
        .iter()
        .map(|layer| described("application/vnd.oci.image.layer.v1.tar+gzip", layer))
        .chain([described(
            "application/vnd.buildkit.cacheconfig.v0",
            &config,
        )])
        .collect();
    let cache = json!({ "schemaVersion": 2, "mediaType": image::INDEX, "manifests": parts });
    let cache = Bytes::from(cache.to_string());

    push_manifest(&oci, "buildcache", image::INDEX, &cache).await;
    for tag in ["1.2.3", "1.2", "latest"] {
        assert!(push_manifest(&oci, tag, image::MANIFEST, &image.manifest).await);
    }

    assert_eq!(
        oci.tags(NAME, 100).await,
        ["1.2", "1.2.3", "buildcache", "latest"]
    );
    let pulled = oci.manifest(NAME, "buildcache").await.expect_status(200);
    assert_eq!(pulled.body, cache);
    server.doctor().await.expect_code(0);
}

/// The digest that a HEAD tells, if there is something.
async fn head(oci: &OciClient, rest: &str) -> Option<String> {
    let request = oci.of(Method::HEAD, NAME, rest).await;
    let answer = oci.send(request.header("accept", ACCEPT)).await;
    match answer.status {
        200 => Some(answer.header("docker-content-digest").to_owned()),
        404 => None,
        other => panic!("a HEAD answered {other} ends the push: {answer}"),
    }
}

/// Pushes a blob; false if it was there.
async fn push_blob(oci: &OciClient, blob: &Bytes) -> bool {
    let digest = digest::of(blob);
    if head(oci, &format!("blobs/{digest}")).await.is_some() {
        return false;
    }
    let post = oci.of(Method::POST, NAME, "blobs/uploads/").await;
    let opened = oci.send(post).await.expect_status(202);
    let put = oci.at(Method::PUT, NAME, &location(&opened)).await;
    let put = put
        .query(&[("digest", digest)])
        .header("content-type", "application/octet-stream")
        .body(blob.clone());
    // 202 would be an error to it.
    oci.send(put).await.expect_status(201);
    true
}

/// Pushes a manifest by tag; false if the tag had it.
async fn push_manifest(oci: &OciClient, tag: &str, media_type: &str, manifest: &Bytes) -> bool {
    let digest = digest::of(manifest);
    if head(oci, &format!("manifests/{tag}")).await == Some(digest) {
        return false;
    }
    let put = oci.put_manifest(NAME, tag, media_type, manifest).await;
    put.expect_status(201);
    true
}
