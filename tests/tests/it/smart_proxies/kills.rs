//! `kill -9` of the main server and of the proxy, at any point of a sync: it goes on where it was.

use serde_json::json;
use tests::harbour::Harbour;
use tests::image::{self, Image};
use tests::noise;
use tests::rest::text;
use tests::turn;
use tests::wait::{self, SOON};

const NAME: &str = "default_organization/tools/app";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_main_server_that_is_killed_in_any_step_of_a_sync_ends_it_when_it_is_back() {
    let _turn = turn::heavy().await;
    let mut harbour = Harbour::with_a_proxy(&["--allow-drills", "--push-wait=0s"]).await;
    let mut kills = 0;
    for step in ["look", "bring", "settle"] {
        for when in ["before", "after"] {
            let (oci, rest) = (harbour.main.oci(), harbour.rest());
            let drill = json!({
                "workflow": "sync_proxy", "step": step, "effect": "crash", "when": when, "times": 1,
            });
            let tag = format!("{step}-{when}");
            let image = Image::small(noise::unique());
            oci.push_blobs(NAME, &image).await;
            rest.begin_drill(&drill).await;
            drop(
                oci.try_put_manifest(NAME, &tag, image::MANIFEST, &image.manifest)
                    .await,
            );
            harbour.main.ended().await;
            kills += 1;

            harbour.main.restart().await;

            harbour.until_current(0).await;
            harbour.oci(0).assert_pullable(NAME, &tag, &image).await;
            let rest = harbour.rest();
            rest.until_no_task_is_open(SOON).await;
            let push = rest.only_push_of(NAME, &tag).await;
            // Its sub-task went on alone, if that was not done when its parent looked.
            assert!(
                ["success", "warning"].contains(&text(&push["result"])),
                "{tag}: {push}"
            );
        }
    }
    println!("{kills} kills of the main server, each sync ended well");
    assert!(kills >= 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_is_killed_while_it_fetches_goes_on_where_it_was() {
    const LAYER: u64 = 3 << 20;
    let mut harbour = Harbour::with_a_proxy(&[]).await;
    harbour
        .change(
            0,
            &json!({ "bytes_per_second": 1_500_000, "concurrency": 1 }),
        )
        .await;
    let oci = harbour.main.oci();
    let layers: Vec<_> = (0..2).map(|n| noise::bytes(n, 3 << 20)).collect();
    let large = Image::with_layers(layers, "amd64");
    oci.push(NAME, "large", &large).await.expect_status(201);
    let mut fetched = 0;
    for at_least in [LAYER / 2, LAYER / 2] {
        let done = wait::until("half a layer has come", SOON, async || {
            let status = harbour.status(0).await;
            let done = status["syncing"]["bytes_done"].as_u64()?;
            (done >= at_least).then_some(done)
        })
        .await;
        fetched += done;
        harbour.proxies[0].server.kill().await;
        harbour.proxies[0].server.restart().await;
    }

    harbour
        .change(0, &json!({ "bytes_per_second": null }))
        .await;
    harbour.until_current(0).await;

    harbour.oci(0).assert_pullable(NAME, "large", &large).await;
    let syncs = harbour.syncs().await;
    println!(
        "two kills after {fetched} bytes of {}; syncs: {}",
        2 * LAYER,
        syncs.len()
    );
    let sent: u64 = bytes_sent(&harbour);
    // What was on its way when the proxy died is sent again, and nothing that it had written down.
    println!("the main server sent {sent} bytes of blobs");
    assert!(
        sent < 2 * LAYER + fetched,
        "as much as if all had begun anew: {sent}"
    );
}

/// The bytes of blobs that the main server sent to its proxy, as its log says.
fn bytes_sent(harbour: &Harbour) -> u64 {
    let log = harbour.main.log();
    let blobs = log
        .lines()
        .filter(|line| line.contains("/api/v1/mirror/") && line.contains("blobs"));
    blobs
        .filter_map(|line| {
            let rest = line.split("sent_bytes=").nth(1)?;
            rest.split(' ').next()?.parse::<u64>().ok()
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_killed_again_and_again_lose_nothing() {
    let _turn = turn::heavy().await;
    let mut harbour = Harbour::with_a_proxy(&["--push-wait=0s"]).await;
    let mut kills = 0;
    let mut images = Vec::new();
    for round in 0..8_u64 {
        let image = Image::with_layers(vec![noise::bytes(round, 300_000)], "amd64");
        let tag = format!("t{round}");
        harbour
            .main
            .oci()
            .push(NAME, &tag, &image)
            .await
            .expect_status(201);
        images.push((tag, image));
        if round % 2 == 0 {
            harbour.proxies[0].server.kill().await;
            harbour.proxies[0].server.restart().await;
        } else {
            harbour.main.kill().await;
            harbour.main.restart().await;
        }
        kills += 1;
    }

    harbour.until_current(0).await;

    for (tag, image) in &images {
        harbour.oci(0).assert_pullable(NAME, tag, image).await;
        harbour.main.oci().assert_pullable(NAME, tag, image).await;
    }
    harbour.rest().until_no_task_is_open(SOON).await;
    harbour.main.terminate().await;
    assert_eq!(harbour.main.ended().await, 0);
    harbour.main.doctor().await.expect_code(0);
    println!("{kills} kills, {} images there and here", images.len());
    assert!(kills >= 8);
}
