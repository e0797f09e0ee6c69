//! What the audit tells of who was refused, and of what was given: nobody fills it so that others are not seen in it.

use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::house::{ADMIN, Api, BOB, SERVICE, Who};
use crate::auth::scope::{Access, RepositoryAction, Scope};

impl Api {
    /// Action, subject and reason of what the search finds in the audit, the newest first.
    async fn told(&self, search: &str) -> Vec<String> {
        let search = search.replace(' ', "%20").replace('=', "%3D");
        let audit = self
            .get(&ADMIN, &format!("/api/v1/audit?search={search}"))
            .await;
        let entries = audit.body["results"].as_array().unwrap().iter();
        let told = entries.map(|entry| {
            let part = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
            format!("{} {}: {}", part("action"), part("subject"), part("reason"))
        });
        told.collect()
    }

    async fn made_by_admin(&self, path: &str, body: Value) -> Value {
        let made = self.post(&ADMIN, &format!("/api/v1{path}"), body).await;
        assert_eq!(made.status(), StatusCode::CREATED, "{path}: {}", made.body);
        made.body
    }
}

const REFUSED_LOGIN: &str = "log_in user admin: the login or the password is wrong";

#[tokio::test]
async fn an_anonymous_token_is_told_to_log_in_and_fills_no_audit() {
    let api = Api::start(&[]).await;
    let access = Access::to_repository("a/b".to_owned(), vec![RepositoryAction::Pull]);
    for token in [
        api.token("", Scope::Only(vec![access])),
        api.token("", Scope::Login),
    ] {
        for n in 0..61 {
            let refused = api.get(&token, &format!("/api/v1/settings/x{n}")).await;

            assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
            assert!(refused.response.headers().contains_key(WWW_AUTHENTICATE));
        }
    }

    api.get(&Who::Login("admin", "wrong"), "/api/v1/tasks")
        .await;

    assert_eq!(api.told("result = refused").await, [REFUSED_LOGIN]);
}

#[tokio::test]
async fn who_tries_one_thing_after_the_other_does_not_hide_others_in_the_audit() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    for n in 0..61 {
        api.get(&BOB, &format!("/api/v1/settings/x{n}")).await;
        let product = format!("/api/v1/organizations/acme/products/x{n}");
        api.patch(&BOB, &product, json!({"name": "Mine"})).await;
        let upload = format!("/v2/acme/tools/x{n}/blobs/uploads/");
        api.ask(&BOB, Method::POST, &upload, None).await;
    }

    api.get(&Who::Login("admin", "wrong"), "/api/v1/tasks")
        .await;

    let told = api.told("result = refused").await;
    assert_eq!(told[0], REFUSED_LOGIN);
    assert_eq!(told.len(), 11, "ten of Bob's: {told:?}");
    let alike = told.iter().filter(|entry| entry.contains("/settings/"));
    assert_eq!(alike.count(), 1);
}

#[tokio::test]
async fn the_audit_tells_what_was_given_and_no_secrets() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    let tools = json!({"label": "tools", "name": "Tools", "anonymous_pull": true});
    api.made_by_admin("/organizations/acme/products", tools)
        .await;
    let role = json!({"name": "packer", "permissions": ["push", "pull"]});
    api.made_by_admin("/roles", role).await;
    let token = json!({"name": "laptop", "scope": [], "expires_at": "2999-01-01T00:00:00Z"});
    api.made_by_admin("/tokens", token).await;
    let robot = json!({"name": "ci", "organization": "acme"});
    let robot = api.made_by_admin("/robots", robot).await["id"].clone();
    for (path, changes) in [
        (
            "/roles/packer".to_owned(),
            json!({"permissions": ["delete"]}),
        ),
        (
            "/organizations/acme/products/tools".to_owned(),
            json!({"name": "Tool box", "anonymous_pull": false}),
        ),
        (
            "/users/bob".to_owned(),
            json!({"enabled": false, "email": "bob@example.org", "password": "secret"}),
        ),
        (
            format!("/robots/{robot}"),
            json!({"enabled": false, "renew_token": true}),
        ),
    ] {
        let changed = api.patch(&ADMIN, &format!("/api/v1{path}"), changes).await;
        assert_eq!(changed.status(), StatusCode::OK, "{path}: {}", changed.body);
    }

    let mut told = api.told("actor = ADMIN").await;

    told.truncate(8);
    assert_eq!(
        told,
        [
            "change robot acme+ci: enabled false, token",
            "change user bob: email, enabled false, password",
            "change product tools of organization acme: name Tool box, anonymous_pull false",
            "change role packer: permissions delete",
            "create robot acme+ci: -",
            "create token laptop of user admin: scope none, expires_at 2999-01-01T00:00:00.000Z",
            "create role packer: permissions pull push",
            "create product tools of organization acme: anonymous_pull true",
        ]
    );
}

#[tokio::test]
async fn null_is_no_place_and_no_text_of_a_program_is_told() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    for (field, value) in [
        ("organization", Value::Null),
        ("product", Value::Null),
        ("repository", Value::Null),
        ("robot", Value::Null),
        ("repository", json!(true)),
        ("repository", json!(1.5)),
    ] {
        let mut grant = json!({"user": "bob", "role": "admin"});
        grant[field] = value;

        let refused = api.post(&ADMIN, "/api/v1/grants", grant).await;

        assert_eq!(
            refused.status(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "{field}"
        );
        let wrong = &refused.body["errors"][0];
        assert_eq!(wrong["field"], field);
        let message = wrong["message"].as_str().unwrap();
        assert!(message.starts_with("must "), "{message}");
    }
    let everywhere = api.get(&ADMIN, "/api/v1/grants?per_page=10").await.body;
    assert_eq!(everywhere["total"], 2);
}

#[tokio::test]
async fn a_body_that_is_said_to_be_no_json_is_not_read() {
    let api = Api::start(&[]).await;
    let send = async |media_type: &str, body: &'static str| {
        let request = Request::post("/api/v1/organizations")
            .header(HOST, SERVICE)
            .header(AUTHORIZATION, ADMIN.authorization().unwrap())
            .header(CONTENT_TYPE, media_type)
            .body(Body::from(body));
        api.send(request.unwrap()).await
    };
    let acme = r#"{"label": "acme", "name": "Acme"}"#;

    for media_type in ["application/x-www-form-urlencoded", "text/plain", ""] {
        let refused = send(media_type, acme).await;

        assert_eq!(refused.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(refused.body["type"], "urn:wharfinger:problem:not_json");
    }
    let nothing = send("text/plain", "").await;
    assert_eq!(nothing.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let made = send("Application/JSON; charset=utf-8", acme).await;
    assert_eq!(made.status(), StatusCode::CREATED, "{}", made.body);
}
