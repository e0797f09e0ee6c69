//! `/v2/`, `/v2/token`, and what tokens open.

use super::*;

/// A token with these scopes for this user.
async fn token(world: &World, login: &str, scopes: &str) -> String {
    let path = format!("/v2/token?service={SERVICE}{scopes}");
    let answer = world.send(get(&path).by(login)).await;
    answer.is(StatusCode::OK).json()["token"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn without_credentials_a_client_is_sent_to_the_token_service() {
    let world = World::new().await;

    let answer = world.send(get("/v2/").by("")).await;

    answer.is_refused(401, "UNAUTHORIZED");
    assert_eq!(
        answer.header("www-authenticate"),
        "Bearer realm=\"http://127.0.0.1:5000/v2/token\",service=\"127.0.0.1:5000\""
    );
    assert_eq!(
        answer.header("docker-distribution-api-version"),
        "registry/2.0"
    );
}

#[tokio::test]
async fn a_login_is_a_token_without_a_scope_which_opens_v2_and_no_repository() {
    let world = World::new().await;

    let answer = world
        .send(get(&format!("/v2/token?service={SERVICE}&account=reader")).by("reader"))
        .await;
    let token = answer.json()["token"].as_str().unwrap().to_owned();

    assert_eq!(answer.json()["access_token"], token.as_str());
    assert_eq!(answer.json()["expires_in"], 900);
    assert!(answer.json().get("issued_at").is_none());
    world
        .send(get("/v2/").with_token(&token))
        .await
        .is(StatusCode::OK);
    let refused = world
        .send(get("/v2/acme/busybox/tags/list").with_token(&token))
        .await;
    refused.is_refused(401, "UNAUTHORIZED");
    assert!(
        refused
            .header("www-authenticate")
            .ends_with("scope=\"repository:acme/busybox:pull\",error=\"insufficient_scope\"")
    );
}

#[tokio::test]
async fn basic_is_accepted_on_v2_itself() {
    let world = World::new().await;

    world
        .send(get("/v2/").by("reader"))
        .await
        .is(StatusCode::OK);
    world
        .send(get("/v2/acme/busybox/tags/list").by("reader"))
        .await
        .is_refused(404, "NAME_UNKNOWN");
}

#[tokio::test]
async fn a_wrong_password_an_unknown_login_and_a_disabled_user_are_told_the_same() {
    let world = World::new().await;
    let wrong = get("/v2/token").header(
        AUTHORIZATION,
        format!("Basic {}", BASE64_STANDARD.encode("admin:wrong")),
    );
    let changes = users::UserChanges {
        enabled: Some(false),
        ..users::UserChanges::default()
    };
    let disable = world.app.services.database.transact(move |tx| {
        Box::pin(async move {
            let reader = users::find(tx, "reader").await?.expect("made above");
            users::update(tx, reader.id, &changes).await
        })
    });
    disable.await.unwrap().unwrap();

    let answers = [
        world.send(wrong.body(Body::empty()).unwrap()).await,
        world.send(get("/v2/token").by("nobody")).await,
        world.send(get("/v2/token").by("reader")).await,
    ];

    for answer in answers {
        answer.is_refused(401, "UNAUTHORIZED");
        assert_eq!(answer.message(), "the login or the password is wrong");
    }
}

#[tokio::test]
async fn a_token_is_cut_down_to_what_its_user_may() {
    let world = World::new().await;
    let scope = "&scope=repository:acme/busybox:pull,push&scope=repository:other/busybox:pull";

    let token = token(&world, "reader", scope).await;

    let claims = world
        .app
        .tokens
        .check(&token, SERVICE, world.app.services.clock.now())
        .unwrap();
    let crate::auth::scope::Scope::Only(accesses) = claims.scope() else {
        panic!("asked for with a scope")
    };
    assert_eq!(
        serde_json::to_value(accesses).unwrap(),
        json!([{ "type": "repository", "name": "acme/busybox", "actions": ["pull"] }])
    );
}

#[tokio::test]
async fn the_right_with_a_too_narrow_token_is_401_and_no_right_is_403_whatever_the_token_says() {
    let world = World::new().await;
    let publisher = token(&world, "publisher", "&scope=repository:acme/busybox:pull").await;
    let reader = token(&world, "reader", "&scope=repository:acme/busybox:pull,push").await;
    let uploads = "/v2/acme/busybox/blobs/uploads/";

    let narrow = world.send(post(uploads).with_token(&publisher)).await;
    let denied = world.send(post(uploads).with_token(&reader)).await;

    narrow.is_refused(401, "UNAUTHORIZED");
    assert!(
        narrow
            .header("www-authenticate")
            .ends_with("scope=\"repository:acme/busybox:pull,push\",error=\"insufficient_scope\"")
    );
    denied.is_refused(403, "DENIED");
}

#[tokio::test]
async fn a_token_for_one_repository_does_not_open_another() {
    let world = World::new().await;
    let token = token(
        &world,
        "publisher",
        "&scope=repository:acme/busybox:pull,push",
    )
    .await;

    world
        .send(post("/v2/acme/busybox/blobs/uploads/").with_token(&token))
        .await
        .is(StatusCode::ACCEPTED);
    world
        .send(post("/v2/acme/alpine/blobs/uploads/").with_token(&token))
        .await
        .is_refused(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn another_service_gets_no_token_and_a_token_gets_no_token() {
    let world = World::new().await;
    let login = token(&world, "admin", "").await;

    world
        .send(get("/v2/token?service=elsewhere").by("admin"))
        .await
        .is_refused(403, "DENIED");
    world
        .send(get("/v2/token").with_token(&login))
        .await
        .is_refused(403, "DENIED");
}

#[tokio::test]
async fn a_token_shown_to_another_name_of_the_server_is_refused() {
    let world = World::new().await;
    let token = token(&world, "admin", "").await;
    let elsewhere = Request::builder()
        .uri("/v2/")
        .header(HOST, "localhost:5000");

    let refused = world.send(elsewhere.with_token(&token)).await;

    refused.is_refused(401, "UNAUTHORIZED");
    assert!(
        refused
            .header("www-authenticate")
            .ends_with("error=\"invalid_token\"")
    );
}

#[tokio::test]
async fn an_anonymous_token_is_signed_and_opens_nothing() {
    let world = World::new().await;

    let token = token(&world, "", "&scope=repository:acme/busybox:pull").await;

    world
        .send(get("/v2/acme/busybox/tags/list").with_token(&token))
        .await
        .is_refused(401, "UNAUTHORIZED");
}
