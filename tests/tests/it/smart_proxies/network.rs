//! A main server and its proxy on two hosts, and the line between them.

use serde_json::json;
use tests::harbour::{Harbour, Secret};
use tests::image::Image;
use tests::network::Network;
use tests::noise;
use tests::server::Server;
use tests::turn;
use tests::wait::{self, SOON};

const NAME: &str = "default_organization/tools/app";

async fn across(network: &Network) -> Harbour {
    let main = Server::start_at(network.here(), &[], &[]).await;
    let mut harbour = Harbour {
        main,
        proxies: Vec::new(),
    };
    let secret = Secret::new();
    let options = secret.options(&harbour.main.host());
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let proxy = Server::start_at(network.there(), &network.words(), &options).await;
    harbour.know("berlin", &json!({}), proxy, secret).await;
    harbour
}

#[tokio::test]
async fn a_line_that_is_cut_in_a_sync_delays_no_push_and_once_mended_all_comes() {
    let _turn = turn::heavy().await;
    let network = Network::new();
    let harbour = across(&network).await;
    harbour
        .change(0, &json!({ "bytes_per_second": 1_000_000 }))
        .await;
    let oci = harbour.main.oci();
    let large = Image::with_layers(vec![noise::bytes(1, 4 << 20)], "amd64");
    oci.push(NAME, "large", &large).await.expect_status(201);
    wait::until("a megabyte has come", SOON, async || {
        let status = harbour.status(0).await;
        let done = status["syncing"]["bytes_done"].as_u64()?;
        (done >= 1 << 20).then_some(())
    })
    .await;

    network.cut();

    oci.push(NAME, "small", &Image::small(1))
        .await
        .expect_status(201);
    wait::until("the gate is closed", SOON * 2, async || {
        let gate = harbour.rest().get("/gates/smart_proxy.berlin").await.json();
        (gate["state"] == "closed").then_some(())
    })
    .await;
    network.mend();
    harbour
        .change(0, &json!({ "bytes_per_second": null }))
        .await;
    harbour.until_current(0).await;
    harbour.oci(0).assert_pullable(NAME, "large", &large).await;
    harbour
        .oci(0)
        .assert_pullable(NAME, "small", &Image::small(1))
        .await;
    harbour.rest().until_no_task_is_open(SOON).await;
}

#[tokio::test]
async fn a_connection_that_only_one_side_still_has_is_given_up() {
    let _turn = turn::heavy().await;
    let network = Network::new();
    let mut harbour = across(&network).await;
    harbour
        .change(0, &json!({ "bytes_per_second": 1_000_000 }))
        .await;
    let large = Image::with_layers(vec![noise::bytes(1, 4 << 20)], "amd64");
    harbour
        .main
        .oci()
        .push(NAME, "large", &large)
        .await
        .expect_status(201);
    wait::until("something has come", SOON, async || {
        let status = harbour.status(0).await;
        status["syncing"]["bytes_done"]
            .as_u64()
            .filter(|done| *done > 0)
    })
    .await;

    // The proxy dies while nothing of it can be heard: the main server keeps connections that nobody has any more.
    network.cut();
    harbour.proxies[0].server.kill().await;
    network.mend();
    harbour.proxies[0].server.restart().await;

    harbour
        .change(0, &json!({ "bytes_per_second": null }))
        .await;
    harbour.until_current(0).await;
    harbour.oci(0).assert_pullable(NAME, "large", &large).await;
    harbour.rest().until_no_task_is_open(SOON).await;
}
