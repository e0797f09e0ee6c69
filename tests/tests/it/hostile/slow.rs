//! Clients that begin and do not go on.

use std::time::Duration;

use reqwest::Method;
use tests::oci_client::location;
use tests::raw::{self, Connection};
use tests::server::Server;
use tests::wait::{self, SOON};
use tests::{digest, image::Image};

use super::{NAME, assert_unharmed};

/// Begins a PATCH of `size` bytes, sends the first ones and then nothing more.
pub(super) async fn begun_patch(
    server: &Server,
    upload: &str,
    size: usize,
    first: &[u8],
) -> Connection {
    let request = raw::request("PATCH", &server.host(), upload, "");
    let request = request.replace("Content-Length: 0", &format!("Content-Length: {size}"));
    let mut connection = Connection::open(&server.host()).await;
    connection.send(request.as_bytes()).await;
    connection.send(first).await;
    connection
}

#[tokio::test]
async fn a_client_that_stops_sending_is_let_go_and_may_continue_where_it_stopped() {
    let server = Server::start_with(&["--body-idle-timeout=1s"]).await;
    let oci = server.oci();
    let upload = oci.open_upload(NAME).await;
    let stopped = begun_patch(&server, &upload, 1000, b"0123456789").await;

    let other = Image::small(1);
    oci.push(NAME, "meanwhile", &other).await.expect_status(201);
    let said = stopped.all_until_closed(Duration::from_secs(30)).await;

    let said = said.expect("the connection is closed after body_idle_timeout");
    assert!(!said.starts_with("HTTP/1.1 2"), "{said}");
    let status = wait::until("the session is free again", SOON, async || {
        let answer = oci.send(oci.at(Method::GET, NAME, &upload).await).await;
        (answer.status == 204 && answer.header("range") == "0-9").then_some(answer)
    })
    .await;
    let rest = oci
        .at(Method::PATCH, NAME, &location(&status))
        .await
        .header("content-range", "10-13")
        .body("ware");
    let patched = oci.send(rest).await.expect_status(202);
    let put = oci.at(Method::PUT, NAME, &location(&patched)).await;
    let digest = digest::of(b"0123456789ware");
    oci.send(put.query(&[("digest", &digest)]))
        .await
        .expect_status(201);
    assert_eq!(oci.pull_blob(NAME, &digest).await, (digest, 14));
    assert_unharmed(&server).await;
}

#[tokio::test]
async fn a_client_that_stops_sending_gives_way_to_its_next_request() {
    let server = Server::start().await;
    let oci = server.oci();
    let upload = oci.open_upload(NAME).await;
    let mut stopped = begun_patch(&server, &upload, 1000, b"0123456789").await;
    let status = wait::until("the first bytes are kept", SOON, async || {
        let answer = oci.send(oci.at(Method::GET, NAME, &upload).await).await;
        (answer.status == 204 && answer.header("range") == "0-9").then_some(answer)
    })
    .await;

    let rest = oci
        .at(Method::PATCH, NAME, &location(&status))
        .await
        .header("content-range", "10-13")
        .body("ware");
    let patched = oci.send(rest).await.expect_status(202);

    assert_eq!(patched.header("range"), "0-13");
    let said = stopped.until("\r\n\r\n", Duration::from_secs(30)).await;
    assert_eq!(raw::status(&said), 409, "{said}");
    assert_unharmed(&server).await;
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_of_a_manifest_is_told_to_push_it_again() {
    let server = Server::start_with(&["--body-idle-timeout=1s"]).await;
    let path = format!("/v2/{NAME}/manifests/latest");
    let request = raw::request("PUT", &server.host(), &path, "");
    let request = request.replace("Content-Length: 0", "Content-Length: 50");
    let mut stopped = Connection::open(&server.host()).await;
    stopped.send(request.as_bytes()).await;
    stopped.send(b"{").await;

    let said = stopped.all_until_closed(Duration::from_secs(30)).await;

    let said = said.expect("the connection is closed after body_idle_timeout");
    assert_eq!(raw::status(&said), 408, "{said}");
    assert!(said.contains("push it again"), "{said}");
    assert!(!said.contains("session"), "{said}");
}

#[tokio::test]
async fn a_client_that_vanishes_in_the_middle_of_a_layer_may_continue() {
    let server = Server::start().await;
    let oci = server.oci();
    let upload = oci.open_upload(NAME).await;

    drop(begun_patch(&server, &upload, 1_000_000, b"0123456789").await);

    let status = wait::until("the session is free again", SOON, async || {
        let answer = oci.send(oci.at(Method::GET, NAME, &upload).await).await;
        (answer.status == 204 && answer.header("range") == "0-9").then_some(answer)
    })
    .await;
    let put = oci
        .at(Method::PUT, NAME, &location(&status))
        .await
        .body("ware");
    let digest = digest::of(b"0123456789ware");
    oci.send(put.query(&[("digest", &digest)]))
        .await
        .expect_status(201);
    assert_unharmed(&server).await;
}

#[tokio::test]
async fn a_tls_hello_on_the_plain_port_is_closed_at_once() {
    let server = Server::start().await;
    let mut connection = Connection::open(&server.host()).await;

    connection
        .send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        .await;

    let said = connection.all_until_closed(Duration::from_secs(5)).await;
    assert!(said.is_some(), "the connection stays open");
    assert_unharmed(&server).await;
}

#[tokio::test]
async fn many_connections_that_say_nothing_keep_nobody_out() {
    let server = Server::start().await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(Connection::open(&server.host()).await);
    }

    assert_unharmed(&server).await;

    assert_eq!(silent.len(), 200);
}

#[tokio::test]
async fn a_rest_client_that_stops_sending_is_told_so_and_let_go() {
    let server = Server::start_with(&["--body-idle-timeout=1s"]).await;
    let request = raw::request("POST", &server.host(), "/api/v1/users", "");
    let request = request.replace("Content-Length: 0", "Content-Length: 50");
    let mut stopped = Connection::open(&server.host()).await;
    stopped.send(request.as_bytes()).await;
    stopped.send(b"{").await;

    let said = stopped.all_until_closed(Duration::from_secs(30)).await;

    let said = said.expect("the connection is closed after body_idle_timeout");
    assert_eq!(raw::status(&said), 408, "{said}");
    assert!(said.contains("application/problem+json"), "{said}");
    assert_unharmed(&server).await;
}
