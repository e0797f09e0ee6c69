//! docker with its old store: mounts first, PATCH with the whole layer, PUT, and a manifest of schema 2 by tag.

use bytes::Bytes;
use reqwest::{Body, Method};
use serde_json::json;
use tests::image::described;
use tests::oci_client::{OciClient, location};
use tests::server::Server;
use tests::{digest, noise};

const BASE: &str = "default_organization/docker/base";
const NAME: &str = "default_organization/docker/app";
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

#[tokio::test]
async fn docker_mounts_the_layers_of_its_base_and_pushes_the_others() {
    let server = Server::start().await;
    let oci = server.oci();
    let (shared, own) = (noise::bytes(31, 9000), noise::bytes(32, 5000));
    let config = Bytes::from_static(b"{\"architecture\":\"amd64\",\"os\":\"linux\"}");
    push(&oci, BASE, &[&shared], &config).await;
    // docker asks for both repositories in one token before it mounts.
    let scopes = [
        format!("repository:{NAME}:pull,push"),
        format!("repository:{BASE}:pull"),
    ];
    let token = oci.token(&scopes.each_ref().map(String::as_str)).await;

    let mount = format!(
        "/v2/{NAME}/blobs/uploads/?from={}&mount={}",
        BASE.replace('/', "%2F"),
        digest::of(&shared)
    );
    let mounted = oci
        .send(oci.request(Method::POST, &mount).bearer_auth(&token))
        .await;

    mounted.expect_status(201);
    let manifest = push(&oci, NAME, &[&shared, &own], &config).await;
    let pulled = oci.manifest(NAME, "latest").await.expect_status(200);
    assert_eq!(pulled.body, manifest);
    assert_eq!(pulled.header("content-type"), MANIFEST);
    // A second push finds every layer by HEAD and the tag as it was.
    push(&oci, NAME, &[&shared, &own], &config).await;
}

/// Pushes what is missing, then the manifest; answers the manifest.
async fn push(oci: &OciClient, name: &str, layers: &[&Bytes], config: &Bytes) -> Bytes {
    for blob in layers.iter().copied().chain([config]) {
        let digest = digest::of(blob);
        let head = oci.of(Method::HEAD, name, &format!("blobs/{digest}")).await;
        let head = oci.send(head).await;
        if head.status == 200 {
            assert_eq!(head.header("content-length"), blob.len().to_string());
            continue;
        }
        let opened = oci.open_upload(name).await;
        // Compressed on the way, so that the length is not known.
        let halves = blob
            .chunks(blob.len().div_ceil(2))
            .map(Bytes::copy_from_slice);
        let halves: Vec<_> = halves.map(Ok::<_, std::io::Error>).collect();
        let body = Body::wrap_stream(futures_util::stream::iter(halves));
        let patch = oci.at(Method::PATCH, name, &opened).await.body(body);
        let patched = oci.send(patch).await.expect_status(202);
        let put = oci.at(Method::PUT, name, &location(&patched)).await;
        let put = oci.send(put.query(&[("digest", digest)])).await;
        put.expect_status(201);
    }
    let layers: Vec<_> = layers.iter().map(|layer| described(LAYER, layer)).collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(CONFIG, config),
        "layers": layers,
    });
    // docker indents it by three spaces: the bytes are what counts.
    let manifest = Bytes::from(format!("{manifest:#}"));
    let put = oci.put_manifest(name, "latest", MANIFEST, &manifest).await;
    put.expect_status(201);
    manifest
}
