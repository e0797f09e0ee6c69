//! Tokens: what the token service gives, and what forged, old and misdirected ones are worth.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tests::forge::Token;
use tests::image::Image;
use tests::oci_client::OciClient;
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};
use tests::wait;

use crate::access::expect_challenge;
use crate::access::routes::routes;

const NAME: &str = "default_organization/tools/app";
const PASSWORD: &str = "pats-password-1";
const SCOPE: &str = "repository:default_organization/tools/app:pull,push";

#[tokio::test]
async fn the_token_service_gives_what_clients_need_and_no_more_than_the_user_may() {
    let server = Server::start().await;
    let rest = server.rest();
    rest.make_user("pat", PASSWORD, "reader", "Default_Organization")
        .await;
    let pat = OciClient::with_login(&server.host(), "pat", PASSWORD);
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
    let nobody = OciClient::with_login(&server.host(), "nobody", PASSWORD);
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
    rest.make_user("pat", PASSWORD, "reader", "Default_Organization")
        .await;
    let pat = OciClient::with_login(&server.host(), "pat", PASSWORD);
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
    let routes = routes(NAME, &image, &upload);

    let mut refused = 0;
    for (what, token) in &forged {
        let of_a_repository = routes.iter().map(|route| route.request(&oci));
        let others = [
            (Method::GET, "/v2/"),
            (Method::GET, "/api/v1/tasks"),
            (Method::POST, "/api/v1/users"),
        ];
        let others = others.map(|(method, path)| oci.request(method, path));
        for request in of_a_repository.chain(others) {
            let answer = oci.send(request.bearer_auth(token)).await;
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
    let (oci, image) = (server.oci(), Image::small(1));
    oci.push(NAME, "latest", &image).await.expect_status(201);
    let token = oci.token(&[SCOPE]).await;
    let ping = || oci.request(Method::GET, "/v2/").bearer_auth(&token);
    oci.send(ping()).await.expect_status(200);

    wait::until(
        "the token has expired",
        Duration::from_secs(20),
        async || (oci.send(ping()).await.status == 401).then_some(()),
    )
    .await;
    // One that was open before may go on.
    let upload = oci.open_upload(NAME).await;

    let routes = routes(NAME, &image, &upload);
    for route in &routes {
        let answer = oci.send(route.request(&oci).bearer_auth(&token)).await;
        expect_challenge(route, &answer, "");
    }
    let tasks = oci
        .request(Method::GET, "/api/v1/tasks")
        .bearer_auth(&token);
    oci.send(tasks).await.expect_status(401);
    println!("an expired token: refused on {} routes", routes.len() + 1);
    oci.assert_pullable(NAME, "latest", &image).await;
}

#[tokio::test]
async fn an_upload_outlives_the_token_that_began_it_but_not_its_user() {
    let server = Server::start_with(&["--token-lifetime=1s"]).await;
    server
        .rest()
        .make_user("pat", PASSWORD, "publisher", "Default_Organization")
        .await;
    let pat = OciClient::with_login(&server.host(), "pat", PASSWORD);
    let upload = pat.open_upload(NAME).await;
    let token = pat.token(&[SCOPE]).await;
    let ping = || pat.request(Method::GET, "/v2/").bearer_auth(&token);
    wait::until(
        "the token has expired",
        Duration::from_secs(20),
        async || (pat.send(ping()).await.status == 401).then_some(()),
    )
    .await;
    let append = || {
        let patch = pat.request(Method::PATCH, &upload).body("more");
        patch.bearer_auth(&token)
    };

    let in_time = pat.send(append()).await;
    let disabled = serde_json::json!({"enabled": false});
    let disabled = server.rest().patch("/users/pat", &disabled).await;
    let too_late = pat.send(append()).await;

    in_time.expect_status(202);
    disabled.expect_status(200);
    too_late.expect_refusal(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_right_that_is_taken_away_is_gone_at_once_whatever_tokens_say() {
    let server = Server::start().await;
    let rest = server.rest();
    let (oci, image) = (server.oci(), Image::small(1));
    oci.push(NAME, "latest", &image).await.expect_status(201);
    rest.make_user("pat", PASSWORD, "pusher", "Default_Organization")
        .await;
    let pat = OciClient::with_login(&server.host(), "pat", PASSWORD);
    pat.push(NAME, "by-pat", &image).await.expect_status(201);

    let grants = rest.all("/grants", "").await;
    let grant = grants.iter().find(|grant| grant["user"] == "pat").unwrap();
    rest.delete(&format!("/grants/{}", grant["id"]))
        .await
        .expect_status(204);

    let post = pat.of(Method::POST, NAME, "blobs/uploads/").await;
    pat.send(post).await.expect_refusal(403, "DENIED");
    pat.manifest(NAME, "latest")
        .await
        .expect_refusal(404, "NAME_UNKNOWN");
}

#[tokio::test]
async fn a_disabled_user_and_an_old_password_open_nothing() {
    let server = Server::start().await;
    let rest = server.rest();
    let (oci, image) = (server.oci(), Image::small(1));
    oci.push(NAME, "latest", &image).await.expect_status(201);
    rest.make_user("pat", PASSWORD, "pusher", "Default_Organization")
        .await;
    let pat = OciClient::with_login(&server.host(), "pat", PASSWORD);
    let service = pat.service().await.unwrap();
    let token = pat.token(&[SCOPE]).await;

    rest.patch("/users/pat", &json!({ "password": "another-password-2" }))
        .await
        .expect_status(200);
    pat.try_ask_token(&service, &[SCOPE])
        .await
        .unwrap()
        .expect_status(401);
    let renewed = OciClient::with_login(&server.host(), "pat", "another-password-2");
    renewed
        .try_ask_token(&service, &[SCOPE])
        .await
        .unwrap()
        .expect_status(200);

    rest.patch("/users/pat", &json!({ "enabled": false }))
        .await
        .expect_status(200);
    renewed
        .try_ask_token(&service, &[SCOPE])
        .await
        .unwrap()
        .expect_status(401);
    let tags = pat
        .request(Method::GET, &format!("/v2/{NAME}/tags/list"))
        .bearer_auth(&token);
    pat.send(tags).await.expect_status(401);
}
