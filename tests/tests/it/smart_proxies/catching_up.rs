//! Proxies that are down, slow or full: nobody waits for them, and nobody has to look after them.

use serde_json::json;
use tests::harbour::Harbour;
use tests::image::Image;
use tests::noise;
use tests::rest::text;
use tests::small_disk::SmallDisk;
use tests::turn;
use tests::wait::{self, SOON};

const NAME: &str = "default_organization/tools/app";

#[tokio::test]
async fn a_push_does_not_wait_for_a_proxy_that_is_down_and_one_sync_brings_all_it_missed() {
    let mut harbour = Harbour::with_a_proxy(&[]).await;
    let (oci, rest) = (harbour.main.oci(), harbour.rest());
    oci.push(NAME, "before", &Image::small(0))
        .await
        .expect_status(201);
    rest.until_no_task_is_open(SOON).await;
    harbour.until_current(0).await;
    harbour.proxies[0].server.kill().await;
    let syncs = harbour.syncs().await.len();

    for n in 1..=5 {
        let tag = format!("t{n}");
        let told = oci
            .push(NAME, &tag, &Image::small(n))
            .await
            .expect_status(201);
        assert!(
            !told.text().contains("berlin"),
            "nobody is made to wait: {}",
            told.text()
        );
        let push = rest
            .until_push(NAME, &tag, "has ended", |push| push["state"] == "stopped")
            .await;
        assert_eq!(push["result"], "warning", "{push}");
        assert!(text(&push["headline"]).contains("berlin"), "{push}");
    }
    let gate = "/gates/smart_proxy.berlin";
    wait::until("its gate is closed", SOON, async || {
        let gate = rest.get(gate).await.json();
        (gate["state"] == "closed").then_some(())
    })
    .await;
    let behind = harbour.status(0).await;
    assert_eq!(behind["current"], false);
    assert_eq!(behind["gate"], "closed");
    assert_eq!(behind["lag_versions"], 5, "{behind}");
    assert_eq!(behind["repositories"][0]["version_there"], 1);
    assert_eq!(behind["repositories"][0]["version_here"], 6);

    harbour.proxies[0].server.restart().await;

    let caught_up = harbour.until_current(0).await;
    assert_eq!(caught_up["lag_versions"], 0);
    assert_eq!(caught_up["lag_seconds"], 0);
    for n in 1..=5 {
        let tag = format!("t{n}");
        harbour
            .oci(0)
            .assert_pullable(NAME, &tag, &Image::small(n))
            .await;
    }
    rest.until_no_task_is_open(SOON).await;
    let brought: Vec<_> = harbour.syncs().await;
    assert_eq!(
        brought.len() - syncs,
        1,
        "one sync for all that was missed: {brought:?}"
    );
    assert_eq!(brought[0]["result"], "success", "{}", brought[0]);
}

#[tokio::test]
async fn a_slow_proxy_delays_no_push_and_its_progress_is_seen_in_bytes() {
    let harbour = Harbour::with_a_proxy(&[]).await;
    harbour
        .change(0, &json!({ "bytes_per_second": 400_000 }))
        .await;
    let (oci, rest) = (harbour.main.oci(), harbour.rest());
    let large = Image::with_layers(vec![noise::bytes(1, 2 << 20)], "amd64");

    oci.push(NAME, "large", &large).await.expect_status(201);

    let seen = wait::until("the sync is under way", SOON, async || {
        let status = harbour.status(0).await;
        let done = status["syncing"]["bytes_done"]
            .as_u64()
            .filter(|bytes| *bytes > 0)?;
        (done < 2 << 20).then_some(status)
    })
    .await;
    assert!(
        seen["syncing"]["bytes_total"].as_u64() >= Some(2 << 20),
        "{seen}"
    );
    for n in 1..=3 {
        let tag = format!("t{n}");
        oci.push(NAME, &tag, &Image::small(n))
            .await
            .expect_status(201);
        oci.assert_pullable(NAME, &tag, &Image::small(n)).await;
    }
    let still = harbour.status(0).await;
    assert_eq!(
        still["current"], false,
        "the large image was there too soon: {still}"
    );
    let half = harbour.oci(0).manifest(NAME, "large").await;
    half.expect_status(404);
    harbour
        .change(0, &json!({ "bytes_per_second": null }))
        .await;
    harbour.until_current(0).await;
    harbour.oci(0).assert_pullable(NAME, "large", &large).await;
    rest.until_no_task_is_open(SOON).await;
}

/// A main server, and a proxy that keeps its content on this disk.
async fn with_a_proxy_on(disk: &SmallDisk) -> Harbour {
    let mut harbour = Harbour::new(&[]).await;
    let content = disk.content_option();
    harbour
        .add_through("berlin", &json!({}), &disk.words(), &[&content])
        .await;
    harbour
}

/// What the proxy says once its disk is full.
async fn until_its_disk_is_full(harbour: &Harbour) -> String {
    wait::until("it says that its disk is full", SOON, async || {
        let status = harbour.status(0).await;
        let error = status["error"].as_str()?.to_owned();
        error.contains("full").then_some(error)
    })
    .await
}

#[tokio::test]
async fn a_proxy_whose_disk_is_full_says_so_and_is_caught_up_once_there_is_space() {
    let _turn = turn::heavy().await;
    let disk = SmallDisk::new(24, 16);
    let mut harbour = with_a_proxy_on(&disk).await;
    let (oci, rest) = (harbour.main.oci(), harbour.rest());
    let small = Image::small(1);
    oci.push(NAME, "small", &small).await.expect_status(201);
    harbour.until_current(0).await;
    let large = Image::with_layers(vec![noise::bytes(1, 12 << 20)], "amd64");

    oci.push(NAME, "large", &large).await.expect_status(201);

    let told = until_its_disk_is_full(&harbour).await;
    assert!(told.contains("free some space"), "{told}");
    assert!(harbour.proxies[0].server.runs(), "the proxy ended");
    harbour.oci(0).assert_pullable(NAME, "small", &small).await;
    harbour
        .oci(0)
        .manifest(NAME, "large")
        .await
        .expect_status(404);

    disk.free_space(harbour.proxies[0].server.pid());
    harbour.until_current(0).await;
    harbour.oci(0).assert_pullable(NAME, "large", &large).await;
    rest.until_no_task_is_open(SOON).await;
}

#[tokio::test]
async fn a_proxy_whose_disk_is_full_gets_room_from_what_is_deleted() {
    let _turn = turn::heavy().await;
    let disk = SmallDisk::new(24, 1);
    let harbour = with_a_proxy_on(&disk).await;
    let (oci, rest) = (harbour.main.oci(), harbour.rest());
    let first = Image::with_layers(vec![noise::bytes(1, 14 << 20)], "amd64");
    oci.push(NAME, "latest", &first).await.expect_status(201);
    harbour.until_current(0).await;
    let second = Image::with_layers(vec![noise::bytes(2, 14 << 20)], "amd64");
    let other = "default_organization/tools/other";
    oci.push(other, "latest", &second).await.expect_status(201);
    until_its_disk_is_full(&harbour).await;

    let deleted = rest.delete(&rest.path_of(NAME).await).await;
    rest.begun(deleted).await;

    harbour.until_current(0).await;
    harbour
        .oci(0)
        .assert_pullable(other, "latest", &second)
        .await;
}

#[tokio::test]
async fn without_the_setting_proxies_are_synced_by_hand_and_by_schedule_only() {
    let harbour = Harbour::with_a_proxy(&[]).await;
    let (oci, rest) = (harbour.main.oci(), harbour.rest());
    let off = json!({ "value": false });
    rest.patch("/settings/sync_smart_proxies", &off)
        .await
        .expect_status(200);
    let before = harbour.syncs().await.len();
    oci.push(NAME, "one", &Image::small(1))
        .await
        .expect_status(201);
    rest.until_no_task_is_open(SOON).await;
    let push = rest.only_push_of(NAME, "one").await;
    assert_eq!(push["result"], "success", "{push}");
    assert_eq!(harbour.syncs().await.len(), before);
    assert_eq!(harbour.status(0).await["current"], false);

    let by_hand = harbour.sync(0).await;

    assert_eq!(by_hand["result"], "success", "{by_hand}");
    harbour
        .oci(0)
        .assert_pullable(NAME, "one", &Image::small(1))
        .await;
    oci.push(NAME, "two", &Image::small(2))
        .await
        .expect_status(201);
    let schedule = json!({
        "name": "berlin every minute", "workflow": "sync_proxy", "cron": "* * * * *",
        "time_zone": "UTC", "missed": "skip", "input": { "name": "berlin" },
    });
    let made = rest
        .post("/schedules", &schedule)
        .await
        .expect_status(201)
        .json();
    let run = rest
        .post(&format!("/schedules/{}/run_now", made["id"]), &json!({}))
        .await;
    let by_schedule = rest.begun(run).await;
    assert_eq!(by_schedule["result"], "success", "{by_schedule}");
    harbour
        .oci(0)
        .assert_pullable(NAME, "two", &Image::small(2))
        .await;
}
