//! Layers of gigabytes through little memory, byte for byte.

use bytes::Bytes;
use tests::image::{self, Image};
use tests::noise::Long;
use tests::server::Server;
use tests::{digest, turn};
use tokio::task::JoinSet;

const MIB: u64 = 1 << 20;
const NAME: &str = "default_organization/freight/heavy";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_of_one_gib_passes_through_less_than_120_mib_of_memory() {
    let _turn = turn::heavy().await;
    let server = Server::start().await;
    let oci = server.oci();
    let layer = Long::new(1, 1024 * MIB);
    let digest = layer.digest();

    oci.push_long_blob(NAME, &layer, &digest).await;
    let manifest = manifest_of(&oci, &[(digest.clone(), layer.size())]).await;
    oci.put_manifest(NAME, "latest", image::MANIFEST, &manifest)
        .await
        .expect_status(201);
    let pulled = oci.pull_blob(NAME, &digest).await;

    assert_eq!(pulled, (digest, layer.size()));
    let peak = server.peak_memory_mib();
    println!("one layer of 1 GiB there and back: peak memory {peak} MiB");
    assert!(peak < 120, "the server's peak memory was {peak} MiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_layers_of_256_mib_at_once_pass_through_less_than_200_mib_of_memory() {
    let _turn = turn::heavy().await;
    let server = Server::start_with(&["--push-wait=60s"]).await;
    let oci = server.oci();
    let layers: Vec<_> = (0..10)
        .map(|n| Long::new(10 + n, 256 * MIB))
        .map(|layer| (layer.digest(), layer))
        .collect();

    let mut uploads = JoinSet::new();
    for (digest, layer) in layers.clone() {
        let oci = oci.clone();
        uploads.spawn(async move { oci.push_long_blob(NAME, &layer, &digest).await });
    }
    uploads.join_all().await;
    let peak_of_uploads = server.peak_memory_mib();
    let parts: Vec<_> = layers
        .iter()
        .map(|(digest, layer)| (digest.clone(), layer.size()))
        .collect();
    let manifest = manifest_of(&oci, &parts).await;
    oci.put_manifest(NAME, "latest", image::MANIFEST, &manifest)
        .await
        .expect_status(201);
    let mut pulls = JoinSet::new();
    for part in parts {
        let oci = oci.clone();
        pulls.spawn(async move { (oci.pull_blob(NAME, &part.0).await, part) });
    }

    let pulled = pulls.join_all().await;
    assert_eq!(pulled.len(), 10);
    for (pulled, pushed) in pulled {
        assert_eq!(pulled, pushed);
    }
    let peak = server.peak_memory_mib();
    println!(
        "ten layers of 256 MiB at once: peak memory {peak_of_uploads} MiB there, {peak} MiB there and back"
    );
    assert!(peak < 200, "the server's peak memory was {peak} MiB");
}

/// The manifest of an image with these layers, whose config has been uploaded.
async fn manifest_of(oci: &tests::oci_client::OciClient, layers: &[(String, u64)]) -> Bytes {
    let config = Image::with_layers(Vec::new(), "amd64").config;
    oci.try_push_blob(NAME, &config)
        .await
        .expect("the server answers");
    let layers: Vec<_> = layers
        .iter()
        .map(|(digest, size)| serde_json::json!({ "mediaType": image::LAYER, "digest": digest, "size": size }))
        .collect();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": image::MANIFEST,
        "config": { "mediaType": image::CONFIG, "digest": digest::of(&config), "size": config.len() },
        "layers": layers,
    });
    Bytes::from(manifest.to_string())
}
