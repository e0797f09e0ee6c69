//! How far what somebody shows reaches: no further than it says, and no longer than it counts.

use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use storage::Digest;

use super::house::{ADMIN, Answer, Api, BOB, SERVICE, Who};
use crate::auth::scope::Scope;

/// Nothing here takes as long, but for a bug.
const SOON: Duration = Duration::from_secs(30);

impl Api {
    /// A new personal token of this user.
    async fn personal_token(&self, who: &Who<'_>, scope: Value) -> Who<'static> {
        let new = json!({"name": format!("token {scope}"), "scope": scope});
        let made = self.post(who, "/api/v1/tokens", new).await;
        assert_eq!(made.status(), StatusCode::CREATED, "{}", made.body);
        Who::Token(made.body["token"].as_str().unwrap().to_owned())
    }

    /// Bob with a role of his own in `acme`, and everywhere if `everywhere`.
    async fn with_bob_who_may(self, permissions: Value, everywhere: bool) -> Self {
        let role = json!({"name": "his", "permissions": permissions});
        self.post(&ADMIN, "/api/v1/roles", role).await;
        let api = self.with_bob("his").await;
        if everywhere {
            let grant = json!({"user": "bob", "role": "his"});
            api.post(&ADMIN, "/api/v1/grants", grant).await;
        }
        api
    }

    /// A task of the administrator in `acme` that is paused.
    async fn paused_push(&self) -> String {
        let drill = json!({"workflow": "push", "step": "copy", "effect": "fail"});
        self.post(&ADMIN, "/api/v1/drills", drill).await;
        let config = Digest::of(b"{}");
        let blob = format!("/v2/acme/app/blobs/uploads/?digest={config}");
        self.ask(&ADMIN, Method::POST, &blob, Some(json!({}))).await;
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
            "layers": [],
        });
        let put = self
            .send(asked(
                &ADMIN,
                Method::PUT,
                "/v2/acme/app/manifests/latest",
                Some(&manifest),
            ))
            .await;
        assert_eq!(put.status(), StatusCode::FAILED_DEPENDENCY, "{}", put.body);
        let tasks = self.get(&ADMIN, "/api/v1/tasks").await.body;
        tasks["results"][0]["id"].as_str().unwrap().to_owned()
    }
}

fn asked(who: &Who<'_>, method: Method, path: &str, manifest: Option<&Value>) -> Request<Body> {
    let body = manifest.map_or_else(Body::empty, |manifest| Body::from(manifest.to_string()));
    Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, SERVICE)
        .header(AUTHORIZATION, who.authorization().unwrap())
        .header(CONTENT_TYPE, "application/vnd.oci.image.manifest.v1+json")
        .body(body)
        .unwrap()
}

fn detail(answer: &Answer) -> &str {
    answer.body["detail"].as_str().unwrap()
}

#[tokio::test]
async fn who_may_not_pull_from_a_product_does_not_open_it_to_everybody() {
    let api = Api::start(&[])
        .await
        .with_bob_who_may(json!(["manage_products"]), false)
        .await;
    let products = "/api/v1/organizations/acme/products";
    let open = json!({"label": "open", "name": "Open", "anonymous_pull": true});
    let closed = json!({"label": "closed", "name": "Closed", "anonymous_pull": false});

    let made_open = api.post(&BOB, products, open.clone()).await;
    let made_closed = api.post(&BOB, products, closed).await;
    let path = format!("{products}/closed");
    let opened = api
        .patch(&BOB, &path, json!({"anonymous_pull": true}))
        .await;

    assert_eq!(made_closed.status(), StatusCode::CREATED);
    for refused in [made_open, opened] {
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{}", refused.body);
        assert!(detail(&refused).contains("`pull`"), "{}", refused.body);
    }
    let pull = json!({"permissions": ["manage_products", "pull"]});
    api.patch(&ADMIN, "/api/v1/roles/his", pull).await;
    let opened = api
        .patch(&BOB, &path, json!({"anonymous_pull": true}))
        .await;
    assert_eq!(opened.status(), StatusCode::OK, "{}", opened.body);
    let made_open = api.post(&BOB, products, open).await;
    assert_eq!(made_open.status(), StatusCode::CREATED);
    let closed = api
        .patch(&BOB, &path, json!({"anonymous_pull": false}))
        .await;
    assert_eq!(closed.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_token_that_gives_less_than_its_user_may_does_not_change_the_user() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    let pull = api.personal_token(&BOB, json!(["pull"])).await;
    let nothing = api.personal_token(&BOB, json!([])).await;
    let whole = api.personal_token(&BOB, Value::Null).await;
    let clients = api.token("bob", Scope::Login);
    let email = json!({"email": "thief@example.org", "name": "Thief"});

    for token in [pull, nothing, clients] {
        let refused = api.patch(&token, "/api/v1/users/bob", email.clone()).await;

        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{}", refused.body);
    }
    let by_whole = api.patch(&whole, "/api/v1/users/bob", email.clone()).await;
    assert_eq!(by_whole.status(), StatusCode::OK);
    let by_password = api.patch(&BOB, "/api/v1/users/bob", email).await;
    assert_eq!(by_password.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_token_of_an_empty_scope_sees_nothing_but_itself() {
    let api = Api::start(&["--allow-drills"])
        .await
        .with_bob("reader")
        .await;
    let task = api.paused_push().await;
    let nothing = api.personal_token(&ADMIN, json!([])).await;
    api.personal_token(&ADMIN, json!(["pull"])).await;

    for (path, total) in [
        ("/organizations", 0),
        ("/grants", 0),
        ("/tasks", 0),
        ("/tasks/summary", 0),
        ("/repositories", 0),
        ("/robots", 0),
        ("/tokens", 1),
    ] {
        let seen = api.get(&nothing, &format!("/api/v1{path}")).await;

        assert_eq!(seen.body["total"], total, "{path}: {}", seen.body);
    }
    for path in [
        format!("/api/v1/tasks/{task}"),
        "/api/v1/organizations/acme".to_owned(),
        "/api/v1/organizations/acme/products".to_owned(),
    ] {
        let hidden = api.get(&nothing, &path).await;
        assert_eq!(hidden.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_token_to_pull_sees_the_roles_that_give_it_something() {
    let api = Api::start(&[]).await.with_bob("operator").await;
    let grant = json!({"user": "bob", "role": "reader", "organization": "Default_Organization"});
    api.post(&ADMIN, "/api/v1/grants", grant).await;
    let pull = api.personal_token(&BOB, json!(["pull"])).await;

    let organizations = api.get(&pull, "/api/v1/organizations").await.body;
    let grants = api.get(&pull, "/api/v1/grants").await.body;

    assert_eq!(organizations["total"], 1);
    assert_eq!(organizations["results"][0]["label"], "Default_Organization");
    assert_eq!(grants["total"], 1);
    assert_eq!(api.get(&BOB, "/api/v1/grants").await.body["total"], 2);
}

#[tokio::test]
async fn who_manages_access_changes_nothing_of_who_may_more() {
    let api = Api::start(&[])
        .await
        .with_bob_who_may(json!(["manage_access"]), true)
        .await;

    let email = json!({"email": "bob@example.org"});
    let refused = api.patch(&BOB, "/api/v1/users/admin", email.clone()).await;

    assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{}", refused.body);
    let eve = json!({"login": "eve", "password": "x"});
    api.post(&BOB, "/api/v1/users", eve).await;
    let changed = api.patch(&BOB, "/api/v1/users/eve", email).await;
    assert_eq!(changed.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_robot_does_not_renew_its_own_token() {
    let api = Api::start(&[]).await.with_bob("admin").await;
    let new = json!({"name": "ci", "organization": "acme"});
    let robot = api.post(&BOB, "/api/v1/robots", new).await.body;
    let grant = json!({"robot": "acme+ci", "role": "admin", "organization": "acme"});
    api.post(&BOB, "/api/v1/grants", grant).await;
    let itself = Who::Token(robot["token"].as_str().unwrap().to_owned());
    let path = format!("/api/v1/robots/{}", robot["id"]);
    let renew = json!({"renew_token": true});

    let refused = api.patch(&itself, &path, renew.clone()).await;

    assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{}", refused.body);
    assert_eq!(
        api.get(&itself, "/api/v1/users/me").await.status(),
        StatusCode::OK
    );
    assert_eq!(api.patch(&BOB, &path, renew).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_changed_password_ends_the_tokens_that_were_got_with_the_one_before() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    let (got, me) = (api.token("bob", Scope::Login), "/api/v1/users/me");
    let personal = api.personal_token(&BOB, Value::Null).await;
    assert_eq!(api.get(&got, me).await.status(), StatusCode::OK);
    api.patch(&ADMIN, "/api/v1/users/bob", json!({"name": "Bobby"}))
        .await;
    assert_eq!(
        api.get(&got, me).await.status(),
        StatusCode::OK,
        "it is another name only"
    );

    let password = json!({"password": "another"});
    api.patch(&BOB, "/api/v1/users/bob", password).await;

    let refused = api.get(&got, me).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(detail(&refused).contains("password has been changed"));
    let personal = api.get(&personal, me).await;
    assert_eq!(personal.status(), StatusCode::OK, "it is revoked by itself");
}

#[tokio::test]
async fn a_token_ends_in_a_year_that_can_be_written() {
    let api = Api::start(&[]).await;
    let token = |end: &str| json!({"name": end, "expires_at": end});

    let last = api
        .post(&ADMIN, "/api/v1/tokens", token("9999-12-31T23:59:59Z"))
        .await;
    let leap = api
        .post(&ADMIN, "/api/v1/tokens", token("9999-12-31T23:59:60Z"))
        .await;

    assert_eq!(last.status(), StatusCode::CREATED, "{}", last.body);
    assert_eq!(leap.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(leap.body["errors"][0]["field"], "expires_at");
}

#[tokio::test]
async fn the_events_of_a_task_end_for_who_may_not_see_it_any_more() {
    let api = Api::start(&["--allow-drills"])
        .await
        .with_bob("operator")
        .await;
    let task = api.paused_push().await;
    let path = format!("/api/v1/tasks/{task}/events");
    let opened = api.open(asked(&BOB, Method::GET, &path, None)).await;
    assert_eq!(opened.status(), StatusCode::OK);
    let mut events = opened.into_body().into_data_stream();
    let first = tokio::time::timeout(SOON, events.next())
        .await
        .unwrap()
        .unwrap();
    assert!(first.unwrap().starts_with(b"id: "));

    let grant = api.get(&BOB, "/api/v1/grants").await.body["results"][0]["id"].clone();
    let path = format!("/api/v1/grants/{grant}");
    let taken = api.ask(&ADMIN, Method::DELETE, &path, None).await;
    assert_eq!(taken.status(), StatusCode::NO_CONTENT);
    let why = json!({"reason": "not for Bob's eyes"});
    let cancelled = api
        .post(&ADMIN, &format!("/api/v1/tasks/{task}/cancel"), why)
        .await;
    assert_eq!(
        cancelled.status(),
        StatusCode::ACCEPTED,
        "{}",
        cancelled.body
    );

    let rest = tokio::time::timeout(SOON, events.collect::<Vec<_>>()).await;
    let rest: Vec<u8> = rest.unwrap().into_iter().flat_map(Result::unwrap).collect();
    let rest = String::from_utf8(rest).unwrap();
    assert!(!rest.contains("not for Bob's eyes"), "{rest}");
}
