//! What a sync costs, counted.

use bytes::Bytes;
use tests::harbour::Harbour;
use tests::image::Image;
use tests::noise;
use tests::wait::SOON;

const NAME: &str = "default_organization/tools/app";

#[tokio::test]
async fn a_hundred_new_tags_that_share_layers_send_each_blob_once() {
    let mut harbour = Harbour::with_a_proxy(&[]).await;
    let (oci, rest) = (harbour.main.oci(), harbour.rest());
    harbour.proxies[0].server.kill().await;
    let shared: Vec<Bytes> = (0..3).map(|n| noise::bytes(n, 100_000)).collect();
    let mut blobs = std::collections::BTreeSet::new();
    for n in 0..100 {
        let mut layers = shared.clone();
        layers.push(noise::bytes(1000 + n, 1_000));
        let image = Image::with_layers(layers, "amd64");
        oci.push(NAME, &format!("t{n}"), &image)
            .await
            .expect_status(201);
        blobs.extend(image.blobs().map(|blob| tests::digest::of(blob)));
    }

    harbour.proxies[0].server.restart().await;
    harbour.until_current(0).await;

    rest.until_no_task_is_open(SOON).await;
    let sent = requests(&harbour, "blobs/");
    println!(
        "{} blobs of 100 tags were sent in {sent} requests",
        blobs.len()
    );
    assert_eq!(sent, blobs.len());
    assert!(
        blobs.len() >= 103,
        "100 layers of their own, and three that all share"
    );
    assert_eq!(requests(&harbour, "manifests/"), 100);
}

#[tokio::test]
async fn a_sync_with_nothing_to_do_costs_three_requests_at_most() {
    let harbour = Harbour::with_a_proxy(&[]).await;
    for n in 0..10 {
        let name = format!("default_organization/tools/app{n}");
        harbour
            .main
            .oci()
            .push(&name, "latest", &Image::small(n))
            .await
            .expect_status(201);
    }
    harbour.rest().until_no_task_is_open(SOON).await;
    harbour.until_current(0).await;
    // The proxy asks for the state every 20 s besides; of those one belongs to the sync.
    let count = || requests(&harbour, "") - requests(&harbour, "/state");
    let before = count();
    let asked = requests(&harbour, "/state");

    let sync = harbour.sync(0).await;

    assert_eq!(sync["result"], "success", "{sync}");
    assert!(requests(&harbour, "/state") > asked);
    let cost = count() - before + 1;
    println!("a sync of 10 repositories with nothing to do cost {cost} requests");
    assert!(cost <= 3, "{cost} requests");
}

/// How many requests between the main server and its proxy hold this in their path.
fn requests(harbour: &Harbour, part: &str) -> usize {
    let log = harbour.main.log() + &harbour.proxies[0].server.log();
    let answered = log.lines().filter(|line| line.contains(" answered "));
    answered
        .filter(|line| line.contains("/api/v1/mirror/") && line.contains(part))
        .count()
}
