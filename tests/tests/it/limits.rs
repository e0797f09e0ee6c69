//! Limits: clients that take too much or too long, and the others, who do not notice.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use reqwest::{Body, Method};
use serde_json::json;
use tests::digest;
use tests::image::{self, Image};
use tests::noise::Long;
use tests::raw::{self, Connection};
use tests::rest::text;
use tests::server::Server;
use tests::turn;
use tests::wait::{self, SOON};
use tokio::task::JoinSet;

const NAME: &str = "default_organization/tools/app";
/// Larger than what sockets hold by themselves.
const LARGE: u64 = 64 << 20;

/// An address of loopback that is not the one the tests use.
fn elsewhere(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, n)
}

#[tokio::test]
async fn a_thousand_clients_that_trickle_hurt_nobody() {
    const ADDRESSES: u8 = 4;
    const HEADS: usize = 125;
    const UPLOADS: usize = 125;
    const PACE: Duration = Duration::from_millis(500);
    let _turn = turn::heavy().await;
    // So that it is only their number that could hurt, also on a slow machine.
    let server = Server::start_watched(&["--header-timeout=600s"]).await;
    let (oci, host) = (server.oci(), server.host());
    let mut slow = JoinSet::new();
    for address in (1..=ADDRESSES).map(elsewhere) {
        for n in 0..HEADS + UPLOADS {
            let mut connection = Connection::open_from(address, &host)
                .await
                .expect("there is a place for it");
            let begun = if n < HEADS {
                format!("GET /v2/ HTTP/1.1\r\nHost: {host}\r\nX-Slow: ")
            } else {
                let upload = oci.open_upload(NAME).await;
                let patch = raw::request("PATCH", &host, &upload, "");
                patch.replace("Content-Length: 0", "Content-Length: 1000000")
            };
            connection.send(begun.as_bytes()).await;
            slow.spawn(async move {
                let mut pace = tokio::time::interval(PACE);
                while connection.try_send(b"x").await {
                    pace.tick().await;
                }
            });
        }
    }
    wait::until("all of them are connected", SOON, async || {
        let connections = server.metrics().await.sum("wharfinger_connections", &[]);
        (connections >= 1000.0).then_some(())
    })
    .await;

    let image = Image::small(1);
    oci.push(NAME, "meanwhile", &image).await.expect_status(201);
    oci.assert_pullable(NAME, "meanwhile", &image).await;
    let large = Long::new(2, LARGE);
    let digest = large.digest();
    oci.push_long_blob(NAME, &large, &digest).await;
    assert_eq!(oci.pull_blob(NAME, &digest).await, (digest, LARGE));

    assert!(
        slow.try_join_next().is_none(),
        "a slow client has lost its connection"
    );
    let peak = server.peak_memory_mib();
    assert!(peak < 250, "{peak} MiB for a thousand slow clients");
    slow.shutdown().await;
}

/// The body of a manifest of megabytes, made on the way.
fn large_manifest(n: usize, config: &serde_json::Value) -> Body {
    const FILLING: usize = 58;
    static FILLER: [u8; 64 * 1024] = [b'x'; 64 * 1024];
    let begin = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{config},"layers":[],"annotations":{{"n":"{n}","long":""#,
        image::MANIFEST
    );
    let filling = std::iter::repeat_n(Bytes::from_static(&FILLER), FILLING);
    let pieces = std::iter::once(Bytes::from(begin))
        .chain(filling)
        .chain([Bytes::from_static(b"\"}}")]);
    Body::wrap_stream(stream::iter(pieces.map(Ok::<_, Infallible>)))
}

#[tokio::test]
async fn a_flood_of_large_manifests_waits_for_its_turn_in_little_memory_while_slow_ones_hurt_nobody()
 {
    const CLIENTS: usize = 160;
    const SLOW: usize = 100;
    let _turn = turn::heavy().await;
    let server = Server::start().await;
    let oci = server.oci();
    let config = image::Image::small(1).config;
    oci.try_push_blob(NAME, &config).await.expect("it answers");
    let config = json!({
        "mediaType": image::CONFIG, "digest": digest::of(&config), "size": config.len(),
    });
    let mut slow = Vec::new();
    for n in 0..SLOW {
        let mut connection = Connection::open(&server.host()).await;
        let path = format!("/v2/{NAME}/manifests/slow{n}");
        let put = raw::request("PUT", &server.host(), &path, "");
        let put = put.replace("Content-Length: 0", "Content-Length: 4000000");
        connection.send(put.as_bytes()).await;
        connection.send(&b" ".repeat(200_000)).await;
        slow.push(connection);
    }

    let mut puts = JoinSet::new();
    for n in 0..CLIENTS {
        let (oci, body) = (oci.clone(), large_manifest(n, &config));
        puts.spawn(async move {
            let put = oci.of(Method::PUT, NAME, &format!("manifests/t{n}")).await;
            let put = put.header("content-type", image::MANIFEST).body(body);
            oci.send(put).await
        });
    }

    while let Some(answer) = puts.join_next().await {
        answer.expect("no panic").expect_status(201);
    }
    let peak = server.peak_memory_mib();
    println!("{CLIENTS} manifests of 3.8 MB at once: peak memory {peak} MiB");
    assert!(peak < 300, "{peak} MiB for {CLIENTS} manifests at once");
    drop(slow);
}

#[tokio::test]
async fn an_address_that_takes_too_many_connections_keeps_nobody_else_out() {
    let server = Server::start_watched(&["--max-connections-per-address=20"]).await;
    let mut greedy = Vec::new();
    for _ in 0..50 {
        // Closed at once or not at all.
        greedy.extend(Connection::open_from(elsewhere(9), &server.host()).await);
    }

    let image = Image::small(1);
    let oci = server.oci();
    oci.push(NAME, "latest", &image).await.expect_status(201);

    wait::until("the others are refused", SOON, async || {
        let metrics = server.metrics().await;
        let refused = metrics.sum("wharfinger_connections_refused_total", &["address"]);
        (refused >= 30.0).then_some(())
    })
    .await;
    assert!(server.log().contains("max_connections_per_address"));
}

#[tokio::test]
async fn a_download_that_is_not_read_ends_and_one_that_is_read_slowly_does_not() {
    let server = Server::start_watched(&["--answer-idle-timeout=1s"]).await;
    let oci = server.oci();
    let large = Long::new(1, LARGE);
    let digest = large.digest();
    oci.push_long_blob(NAME, &large, &digest).await;
    let path = format!("/v2/{NAME}/blobs/{digest}");
    let get = raw::request("GET", &server.host(), &path, "");
    let mut unread = Connection::open(&server.host()).await;
    let mut slow = Connection::open(&server.host()).await;
    for connection in [&mut unread, &mut slow] {
        connection.send(get.as_bytes()).await;
    }

    let one_is_closed = wait::until("the one is closed", SOON, async || {
        slow.read_at_most(256 * 1024).await;
        let metrics = server.metrics().await;
        let closed = metrics.sum("wharfinger_connections_refused_total", &["not_reading"]);
        (closed > 0.0).then_some(closed)
    })
    .await;

    assert!((one_is_closed - 1.0).abs() < f64::EPSILON);
    let rest = slow.all_until_closed(SOON).await.expect("it comes whole");
    assert!(rest.len() > 1 << 20, "the slow one was closed too");
}

#[tokio::test]
async fn a_busy_server_sends_requests_without_a_body_away_and_lets_those_with_one_wait() {
    let server = Server::start_watched(&["--max-requests=1"]).await;
    let oci = server.oci();
    let large = Long::new(1, LARGE);
    let digest = large.digest();
    oci.push_long_blob(NAME, &large, &digest).await;
    let upload = oci.open_upload(NAME).await;
    let blob = format!("/v2/{NAME}/blobs/{digest}");
    let mut busy = Connection::open(&server.host()).await;
    busy.send(raw::request("GET", &server.host(), &blob, "").as_bytes())
        .await;
    busy.until("\r\n\r\n", SOON).await;

    let refused = oci.send(oci.request(Method::GET, "/v2/")).await;
    let mut patch = Connection::open(&server.host()).await;
    let request = raw::request("PATCH", &server.host(), &upload, "cargo");
    patch.send(request.as_bytes()).await;
    let healthy = oci.send(oci.request(Method::GET, "/healthz")).await;

    let refused = refused.expect_refusal(429, "TOOMANYREQUESTS");
    assert_eq!(refused.header("retry-after"), "1");
    healthy.expect_status(200);
    drop(busy);
    let said = patch.all_until_closed(SOON).await;
    assert_eq!(raw::status(&said.expect("it is answered")), 202);
}

#[tokio::test]
async fn only_a_trusted_proxy_is_believed_who_asks() {
    let told = |trusted: &'static [&'static str]| async move {
        let server = Server::start_with(trusted).await;
        let oci = server.oci();
        let image = Image::small(1);
        oci.push_blobs(NAME, &image).await;
        let put = oci.of(Method::PUT, NAME, "manifests/latest").await;
        let put = put
            .header("content-type", image::MANIFEST)
            .header("x-forwarded-for", "198.51.100.1, 203.0.113.5")
            .body(image.manifest.clone());
        oci.send(put).await.expect_status(201);
        let push = server.rest().only_push_of(NAME, "latest").await;
        text(&push["client"]["address"]).to_owned()
    };

    assert_eq!(told(&[]).await, "127.0.0.1");
    assert_eq!(
        told(&["--trusted-proxies=127.0.0.0/8"]).await,
        "203.0.113.5"
    );
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = Server::start_with(&["--max-header-bytes=8KiB"]).await;
    let rest = server.rest();

    let request = rest.request(Method::GET, "/healthz");
    let answer = rest
        .send(request.header("x-long", "x".repeat(10_000)))
        .await;

    answer.expect_status(431);
    let organizations = rest.get("/organizations").await.expect_status(200).json();
    assert_eq!(organizations["total"], json!(1));
}
