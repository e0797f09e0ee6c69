//! The document of the API: what it says is what is answered, whoever asks.

use serde_json::json;
use tests::image::Image;
use tests::schemathesis::{self, Report};
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};

const NAME: &str = "acme/tools/app";
const PASSWORD: &str = "a-tally-of-barrels-12";

/// A server that has something of everything, and a user with that role in the organization.
async fn furnished(role: &str) -> Server {
    let server = Server::start_with(&["--allow-drills"]).await;
    let (rest, oci) = (server.rest(), server.oci());
    let make = async |path: &str, body| rest.post(path, &body).await.expect_status(201);
    make("/organizations", json!({"label": "acme", "name": "Acme"})).await;
    make(
        "/organizations/acme/products",
        json!({"label": "tools", "name": "Tools"}),
    )
    .await;
    make("/users", json!({"login": "ana", "password": PASSWORD})).await;
    make(
        "/grants",
        json!({"user": "ana", "role": role, "organization": "acme"}),
    )
    .await;
    make("/robots", json!({"name": "ci", "organization": "acme"})).await;
    make(
        "/roles",
        json!({"name": "watcher", "permissions": ["view_tasks"]}),
    )
    .await;
    make("/tokens", json!({"name": "laptop"})).await;
    oci.push(NAME, "latest", &Image::small(1))
        .await
        .expect_status(201);
    let drill =
        json!({"workflow": "push", "step": "copy", "effect": "fail", "tag": "paused", "times": 1});
    make("/drills", drill).await;
    oci.push(NAME, "paused", &Image::small(2))
        .await
        .expect_status(424);
    server
}

fn assert_it_asked_enough(report: &Report) {
    assert!(report.operations >= 58, "{report:?}");
    assert!(report.cases >= 2000, "{report:?}");
}

#[tokio::test]
async fn whatever_an_administrator_asks_is_answered_as_documented() {
    let server = furnished("admin").await;

    let report = schemathesis::run(&server, ADMIN, ADMIN_PASSWORD).await;

    assert_it_asked_enough(&report);
}

#[tokio::test]
async fn whatever_an_operator_asks_is_answered_as_documented() {
    let server = furnished("operator").await;

    let report = schemathesis::run(&server, "ana", PASSWORD).await;

    assert_it_asked_enough(&report);
}

#[tokio::test]
async fn whatever_a_reader_asks_is_answered_as_documented() {
    let server = furnished("reader").await;

    let report = schemathesis::run(&server, "ana", PASSWORD).await;

    assert_it_asked_enough(&report);
}
