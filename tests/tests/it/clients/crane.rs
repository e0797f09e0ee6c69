//! crane, ko, kaniko and cosign (go-containerregistry): HEAD by tag, POST as JSON, PATCH, PUT; catalog and copies.

use bytes::Bytes;
use reqwest::Method;
use serde_json::json;
use tests::answer::Answer;
use tests::digest;
use tests::image::{self, Image, described};
use tests::oci_client::{OciClient, location};
use tests::server::Server;

const NAME: &str = "default_organization/crane/app";
const COPY: &str = "default_organization/crane/copy";

#[tokio::test]
async fn crane_pushes_lists_and_copies_with_mounts() {
    let server = Server::start().await;
    let (oci, image) = (server.oci(), Image::small(41));
    let scopes = [NAME, COPY].map(|name| format!("repository:{name}:push,pull"));
    let token = oci.token(&scopes.each_ref().map(String::as_str)).await;
    let client = Crane { oci: &oci, token };

    client.push(NAME, "1.0", &image, None).await;
    client.push(COPY, "1.0", &image, Some(NAME)).await;

    for name in [NAME, COPY] {
        oci.assert_pullable(name, "1.0", &image).await;
        let digest = client
            .ask(Method::HEAD, &format!("/v2/{name}/manifests/1.0"))
            .await;
        assert_eq!(digest.header("docker-content-digest"), image.digest);
    }
    let listed = client
        .ask(Method::GET, &format!("/v2/{COPY}/tags/list?n=1000"))
        .await;
    assert_eq!(listed.expect_status(200).json()["tags"], json!(["1.0"]));
    let token = oci.token(&["registry:catalog:*"]).await;
    let catalog = Crane { oci: &oci, token };
    let names = catalog.ask(Method::GET, "/v2/_catalog?n=1000").await;
    assert_eq!(
        names.expect_status(200).json(),
        json!({ "repositories": [NAME, COPY] })
    );
}

#[tokio::test]
async fn kaniko_tests_its_right_with_an_upload_that_it_cancels_and_leaves_nothing() {
    let server = Server::start().await;
    let oci = server.oci();

    let session = oci.open_upload(NAME).await;
    let cancelled = oci.send(oci.at(Method::DELETE, NAME, &session).await).await;

    cancelled.expect_status(204);
    let repositories = server.rest().get("/repositories").await;
    assert_eq!(repositories.expect_status(200).json()["total"], 0);
}

#[tokio::test]
async fn cosign_signs_by_digest_and_finds_the_signature_among_the_referrers() {
    let server = Server::start().await;
    let (oci, image) = (server.oci(), Image::small(42));
    oci.push(NAME, "signed", &image).await.expect_status(201);
    let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
    for blob in ["{}", "{\"bundle\":true}"] {
        let blob = Bytes::from_static(blob.as_bytes());
        oci.try_push_blob(NAME, &blob).await.unwrap();
    }
    let signature = json!({
        "schemaVersion": 2,
        "mediaType": image::MANIFEST,
        "artifactType": bundle,
        "config": described("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [described(bundle, b"{\"bundle\":true}")],
        "subject": described(image::MANIFEST, &image.manifest),
    });
    let signature = Bytes::from(signature.to_string());

    let by_digest = digest::of(&signature);
    let put = oci
        .put_manifest(NAME, &by_digest, image::MANIFEST, &signature)
        .await;

    // Without this header it would keep a fallback index under a tag.
    assert_eq!(put.expect_status(201).header("oci-subject"), image.digest);
    let rest = format!("referrers/{}?artifactType={bundle}", image.digest);
    // Some write its plus as it is, which a query has for a blank; no media type has one.
    for rest in [rest.replace('+', "%2B"), rest] {
        let found = oci.send(oci.of(Method::GET, NAME, &rest).await).await;
        let found = found.expect_status(200).json();
        assert_eq!(found["manifests"][0]["digest"], json!(by_digest), "{rest}");
    }
    assert_eq!(oci.tags(NAME, 10).await, ["signed"]);
}

/// The client with the token that it asked for at the beginning.
struct Crane<'a> {
    oci: &'a OciClient,
    token: String,
}

impl Crane<'_> {
    async fn ask(&self, method: Method, path: &str) -> Answer {
        let request = self.oci.request(method, path).bearer_auth(&self.token);
        self.oci.send(request).await
    }

    async fn push(&self, name: &str, tag: &str, image: &Image, from: Option<&str>) {
        let manifest = format!("/v2/{name}/manifests/{tag}");
        assert_eq!(self.ask(Method::HEAD, &manifest).await.status, 404);
        for blob in image.blobs() {
            self.push_blob(name, blob, from).await;
        }
        let put = self.oci.request(Method::PUT, &manifest);
        let put = put
            .bearer_auth(&self.token)
            .header("content-type", image::MANIFEST)
            .body(image.manifest.clone());
        self.oci.send(put).await.expect_status(201);
    }

    async fn push_blob(&self, name: &str, blob: &Bytes, from: Option<&str>) {
        let digest = digest::of(blob);
        let head = format!("/v2/{name}/blobs/{digest}");
        assert_eq!(self.ask(Method::HEAD, &head).await.status, 404);
        let mut post = self
            .oci
            .request(Method::POST, &format!("/v2/{name}/blobs/uploads/"));
        if let Some(from) = from {
            post = post.query(&[("mount", digest.as_str()), ("from", from)]);
        }
        let post = post
            .bearer_auth(&self.token)
            .header("content-type", "application/json");
        let opened = self.oci.send(post).await;
        if from.is_some() {
            opened.expect_status(201);
            return;
        }
        let session = location(&opened.expect_status(202));
        let patch = self.oci.request(Method::PATCH, &session);
        let patch = patch.bearer_auth(&self.token).body(blob.clone());
        let patched = self.oci.send(patch).await.expect_status(202);
        let put = self.oci.request(Method::PUT, &location(&patched));
        let put = put.bearer_auth(&self.token).query(&[("digest", digest)]);
        self.oci.send(put).await.expect_status(201);
    }
}
