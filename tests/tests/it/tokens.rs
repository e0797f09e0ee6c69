//! Tokens: what the token service gives, and what forged, old and misdirected ones are worth.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tests::forge::Token;
use tests::image::Image;
use tests::oci_client::OciClient;
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};
use tests::wait;

const NAME: &str = "default_organization/tools/app";
const SCOPE: &str = "repository:default_organization/tools/app:pull,push";

#[tokio::test]
async fn the_token_service_gives_what_clients_need_and_no_more_than_the_user_may() {
    let server = Server::start().await;
    let rest = server.rest();
    rest.make_user("pat", "pats-password-1", "reader", "Default_Organization")
        .await;
    let pat = OciClient::with_login(&server.host(), "pat", "pats-password-1");
    let service = pat.service().await.unwrap();

    let answer = pat
        .try_ask_token(&service, &[SCOPE])
        .await
        .unwrap()
        .expect_status(200);

    let body = answer.json();
    assert_eq!(body["token"], body["access_token"]);
    assert_eq!(body["expires_in"], 900);
    assert!(body.get("issued_at").is_none(), "{answer}");
    let claims = Token::read(body["token"].as_str().unwrap()).claims();
    assert_eq!(claims["sub"], "pat", "{claims}");
    assert_eq!(claims["aud"], service.as_str(), "{claims}");
    assert_eq!(claims["access"][0]["actions"], json!(["pull"]), "{claims}");
    let wrong = OciClient::with_login(&server.host(), "pat", "not-his-password");
    wrong
        .try_ask_token(&service, &[SCOPE])
        .await
        .unwrap()
        .expect_status(401);
    let nobody = OciClient::with_login(&server.host(), "nobody", "pats-password-1");
    nobody
        .try_ask_token(&service, &[SCOPE])
        .await
        .unwrap()
        .expect_status(401);
}

#[tokio::test]
async fn two_scopes_come_in_one_token() {
    let server = Server::start().await;
    let oci = server.oci();

    let token = oci
        .token(&[SCOPE, "repository:default_organization/other:pull"])
        .await;

    let claims = Token::read(&token).claims();
    assert_eq!(
        claims["access"].as_array().map(Vec::len),
        Some(2),
        "{claims}"
    );
}

#[tokio::test]
async fn a_token_for_another_service_is_neither_given_nor_taken() {
    let server = Server::start().await;
    let oci = server.oci();

    let refused = oci
        .try_ask_token("registry.elsewhere.example", &[SCOPE])
        .await
        .unwrap();
    assert!((400..=403).contains(&refused.status), "{refused}");
    assert!(!refused.text().contains("\"token\""), "{refused}");

    let token = oci.token(&[SCOPE]).await;
    let elsewhere = Token::read(&token).with_claim("aud", json!("registry.elsewhere.example"));
    let request = oci.request(Method::GET, "/v2/").bearer_auth(elsewhere);
    oci.send(request).await.expect_status(401);
}

#[tokio::test]
async fn forged_tokens_open_no_route() {
    let server = Server::start().await;
    let (oci, image) = (server.oci(), Image::small(1));
    oci.push(NAME, "latest", &image).await.expect_status(201);
    let rest = server.rest();
    rest.make_user("pat", "pats-password-1", "reader", "Default_Organization")
        .await;
    let pat = OciClient::with_login(&server.host(), "pat", "pats-password-1");
    let real = pat.token(&[SCOPE]).await;
    let parts = Token::read(&real);
    let more = json!([{ "type": "repository", "name": NAME, "actions": ["pull", "push"] }]);
    let forged = [
        ("alg none", parts.unsigned()),
        ("a foreign key", parts.signed_by_a_foreign_key()),
        ("another subject", parts.with_claim("sub", json!(ADMIN))),
        ("more access", parts.with_claim("access", more)),
        (
            "a later end",
            parts.with_claim("exp", json!(4_000_000_000_u64)),
        ),
        ("an unknown key id", parts.with_unknown_key_id()),
        ("half a signature", parts.cut_short()),
        ("no token at all", "tally-ho".to_owned()),
        ("an empty one", String::new()),
    ];
    let upload = oci.open_upload(NAME).await;
    let tag = format!("/v2/{NAME}/manifests/latest");
    let routes = [
        (Method::GET, "/v2/".to_owned()),
        (Method::GET, tag.clone()),
        (Method::HEAD, tag.clone()),
        (
            Method::GET,
            format!("/v2/{NAME}/blobs/{}", tests::digest::of(&image.config)),
        ),
        (Method::GET, format!("/v2/{NAME}/tags/list")),
        (Method::POST, format!("/v2/{NAME}/blobs/uploads/")),
        (Method::PATCH, upload.clone()),
        (
            Method::PUT,
            format!("{upload}?digest={}", tests::digest::of(b"{}")),
        ),
        (Method::PUT, tag),
        (Method::GET, "/api/v1/tasks".to_owned()),
        (Method::POST, "/api/v1/users".to_owned()),
    ];

    let mut refused = 0;
    for (what, token) in &forged {
        for (method, path) in &routes {
            let request = oci
                .request(method.clone(), path)
                .bearer_auth(token)
                .body("{}");
            let answer = oci.send(request).await;
            assert_eq!(answer.status, 401, "{what}: {answer}");
            assert!(
                token.len() < 20 || !answer.text().contains(token),
                "{what} is told back: {answer}"
            );
            refused += 1;
        }
    }

    println!("{} forged tokens: {refused} refusals", forged.len());
    let valid = oci.request(Method::GET, "/v2/").bearer_auth(&real);
    oci.send(valid).await.expect_status(200);
    oci.assert_pullable(NAME, "latest", &image).await;
    assert!(!server.log().contains(&real), "a token stands in the log");
    assert!(
        !server.log().contains(ADMIN_PASSWORD),
        "a password stands in the log"
    );
}

#[tokio::test]
async fn a_token_is_worth_nothing_after_its_time() {
    let server = Server::start_with(&["--token-lifetime=1s"]).await;
    let oci = server.oci();
    let token = oci.token(&[SCOPE]).await;
    let ask = |method: Method, path: &str| oci.request(method, path).bearer_auth(&token);
    oci.send(ask(Method::GET, "/v2/")).await.expect_status(200);
    let upload = oci
        .send(ask(Method::POST, &format!("/v2/{NAME}/blobs/uploads/")))
        .await
        .expect_status(202);

    wait::until(
        "the token has expired",
        Duration::from_secs(20),
        async || {
            let answer = oci.send(ask(Method::GET, "/v2/")).await;
            (answer.status == 401).then_some(())
        },
    )
    .await;

    for (method, path) in [
        (Method::GET, format!("/v2/{NAME}/tags/list")),
        (Method::GET, format!("/v2/{NAME}/manifests/latest")),
        (Method::POST, format!("/v2/{NAME}/blobs/uploads/")),
        (Method::PATCH, tests::oci_client::location(&upload)),
        (Method::PUT, format!("/v2/{NAME}/manifests/latest")),
        (Method::GET, "/api/v1/tasks".to_owned()),
    ] {
        let answer = oci.send(ask(method, &path)).await.expect_status(401);
        assert!(!answer.header("www-authenticate").is_empty(), "{answer}");
    }
}
