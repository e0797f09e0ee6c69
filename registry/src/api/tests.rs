//! The API as its callers see it: who is told what.

mod access;
mod anonymous_pull;
mod environments;
pub(super) mod house;
mod keeping;
mod matrix;
mod operating;
mod pictures;
mod reach;
mod refusals;
mod retention;
mod schedules;

use http::header::{LOCATION, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::scope::{Access, RepositoryAction, Scope};
use house::{ADMIN, Answer, Api, BOB, Who};

#[tokio::test]
async fn whoever_has_not_logged_in_is_told_how_to() {
    let api = Api::start(&[]).await;

    for path in [
        "/tasks",
        "/tasks/summary",
        "/organizations",
        "/repositories",
        "/users/me",
        "/roles",
        "/grants",
        "/drills",
    ] {
        let answer = api.get(&Who::Nobody, &format!("/api/v1{path}")).await;

        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        let challenge = answer.response.headers()[WWW_AUTHENTICATE]
            .to_str()
            .unwrap();
        assert!(
            challenge.starts_with("Bearer realm=\"http://127.0.0.1:5000/v2/token\""),
            "{challenge}"
        );
    }
    assert_eq!(
        api.get(&Who::Login("admin", "wrong"), "/api/v1/tasks")
            .await
            .status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn what_one_may_not_see_does_not_exist_and_what_one_may_not_do_is_forbidden() {
    let api = Api::start(&[]).await.with_bob("publisher").await;

    let other = api
        .get(&BOB, "/api/v1/organizations/Default_Organization")
        .await;
    let own = api.get(&BOB, "/api/v1/organizations/ACME").await;
    let all = api.get(&BOB, "/api/v1/organizations").await;
    let changed = api
        .patch(&BOB, "/api/v1/organizations/acme", json!({"name": "Mine"}))
        .await;
    let other_changed = api
        .patch(
            &BOB,
            "/api/v1/organizations/Default_Organization",
            json!({"name": "Mine"}),
        )
        .await;
    let user_seen = api.get(&BOB, "/api/v1/users/admin").await;
    let user_made = api
        .post(
            &BOB,
            "/api/v1/users",
            json!({"login": "eve", "password": "x"}),
        )
        .await;

    assert_eq!(other.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        (own.status(), &own.body["label"]),
        (StatusCode::OK, &json!("acme"))
    );
    assert_eq!(
        (&all.body["total"], &all.body["results"][0]["label"]),
        (&json!(1), &json!("acme"))
    );
    assert_eq!(changed.status(), StatusCode::FORBIDDEN);
    assert_eq!(other_changed.status(), StatusCode::NOT_FOUND);
    assert_eq!(user_seen.status(), StatusCode::NOT_FOUND);
    assert_eq!(user_made.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn nobody_gives_a_role_at_a_place_where_they_do_not_manage_access() {
    let api = Api::start(&[]).await.with_bob("admin").await;
    let grant = |more: Value| {
        let mut body = json!({"user": "bob", "role": "operator"});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };

    let at_home = api
        .post(
            &BOB,
            "/api/v1/grants",
            grant(json!({"organization": "acme"})),
        )
        .await;
    let again = api
        .post(
            &BOB,
            "/api/v1/grants",
            grant(json!({"organization": "ACME"})),
        )
        .await;
    let everywhere = api.post(&BOB, "/api/v1/grants", grant(json!({}))).await;
    let elsewhere = api
        .post(
            &BOB,
            "/api/v1/grants",
            grant(json!({"organization": "Default_Organization"})),
        )
        .await;
    let seen = api.get(&BOB, "/api/v1/grants").await;

    assert_eq!(at_home.status(), StatusCode::CREATED, "{}", at_home.body);
    assert_eq!(again.status(), StatusCode::CONFLICT);
    assert_eq!(everywhere.status(), StatusCode::FORBIDDEN);
    assert_eq!(
        elsewhere.status(),
        StatusCode::UNPROCESSABLE_ENTITY,
        "as if that organization did not exist"
    );
    assert_eq!(
        seen.body["total"], 2,
        "the administrator's grant everywhere is not Bob's to see"
    );
}

#[tokio::test]
async fn a_grant_that_is_refused_does_not_tell_what_there_is_elsewhere() {
    let api = Api::start(&[]).await.with_bob("admin").await;
    let refused = async |place: Value| {
        let mut body = json!({"user": "bob", "role": "reader"});
        body.as_object_mut()
            .unwrap()
            .extend(place.as_object().unwrap().clone());
        let answer = api.post(&BOB, "/api/v1/grants", body).await;
        (answer.status(), answer.body)
    };
    let elsewhere =
        |product: &str| json!({"organization": "Default_Organization", "product": product});

    let there = refused(elsewhere("container_push")).await;
    let not_there = refused(elsewhere("nothing")).await;
    let no_organization = refused(json!({"organization": "nowhere", "product": "nothing"})).await;

    assert_eq!(there.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(there, not_there);
    assert_eq!(there, no_organization);
}

#[tokio::test]
async fn a_wrong_password_is_not_called_a_token() {
    let api = Api::start(&[]).await;

    let guessed = api
        .get(&Who::Login("admin", "guess"), "/api/v1/tasks")
        .await;
    let forged = api
        .get(&Who::Token("a.b.c".to_owned()), "/api/v1/tasks")
        .await;

    let challenge = |answer: &Answer| {
        let header = &answer.response.headers()[http::header::WWW_AUTHENTICATE];
        header.to_str().unwrap().to_owned()
    };
    assert!(
        !challenge(&guessed).contains("error="),
        "{}",
        challenge(&guessed)
    );
    assert!(
        challenge(&forged).ends_with("error=\"invalid_token\""),
        "{}",
        challenge(&forged)
    );
}

#[tokio::test]
async fn the_last_administrator_stays_one() {
    let api = Api::start(&[]).await;

    let grant = api
        .ask(&ADMIN, Method::DELETE, "/api/v1/grants/1", None)
        .await;
    let disabled = api
        .patch(&ADMIN, "/api/v1/users/admin", json!({"enabled": false}))
        .await;

    assert_eq!(
        (grant.status(), disabled.status()),
        (StatusCode::CONFLICT, StatusCode::CONFLICT)
    );
}

#[tokio::test]
async fn a_token_is_its_user_without_the_management_of_access() {
    let api = Api::start(&[]).await;
    let login = api.token("admin", Scope::Login);
    let access = Access::to_repository("acme/busybox".to_owned(), vec![RepositoryAction::Pull]);
    let narrow = api.token("admin", Scope::Only(vec![access]));

    let read = api.get(&login, "/api/v1/organizations").await;
    let managed = api
        .post(
            &login,
            "/api/v1/users",
            json!({"login": "eve", "password": "x"}),
        )
        .await;
    let administered = api
        .post(
            &login,
            "/api/v1/organizations",
            json!({"label": "a", "name": "A"}),
        )
        .await;
    let password = api
        .patch(&login, "/api/v1/users/admin", json!({"password": "new"}))
        .await;
    let for_a_repository = api.get(&narrow, "/api/v1/organizations").await;

    assert_eq!(read.status(), StatusCode::OK);
    assert_eq!(managed.status(), StatusCode::FORBIDDEN);
    assert_eq!(administered.status(), StatusCode::FORBIDDEN);
    assert_eq!(password.status(), StatusCode::FORBIDDEN);
    assert_eq!(for_a_repository.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_user_changes_their_own_password_but_not_whether_they_are_enabled() {
    let api = Api::start(&[]).await.with_bob("reader").await;

    let enabled = api
        .patch(&BOB, "/api/v1/users/bob", json!({"enabled": true}))
        .await;
    let changed = api
        .patch(&BOB, "/api/v1/users/bob", json!({"password": "another"}))
        .await;

    assert_eq!(enabled.status(), StatusCode::FORBIDDEN);
    assert_eq!(changed.status(), StatusCode::OK);
    assert_eq!(
        api.get(&BOB, "/api/v1/users/me").await.status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        api.get(&Who::Login("bob", "another"), "/api/v1/users/me")
            .await
            .body["login"],
        "bob"
    );
}

#[tokio::test]
async fn what_is_made_has_a_location_and_cannot_be_made_twice() {
    let api = Api::start(&[]).await;
    let products = "/api/v1/organizations/Default_Organization/products";
    let tools = json!({"label": "Tools", "name": "Tools"});

    let made = api.post(&ADMIN, products, tools.clone()).await;
    let twice = api
        .post(&ADMIN, products, json!({"label": "tools", "name": "Other"}))
        .await;
    let like_an_environment = api
        .post(&ADMIN, products, json!({"label": "library", "name": "L"}))
        .await;
    let bad = api
        .post(
            &ADMIN,
            products,
            json!({"label": "no label", "name": "x", "colour": "red"}),
        )
        .await;

    assert_eq!(made.status(), StatusCode::CREATED);
    let location = made.response.headers()[LOCATION]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(api.get(&ADMIN, &location).await.body, made.body);
    assert_eq!(twice.status(), StatusCode::CONFLICT);
    assert_eq!(like_an_environment.status(), StatusCode::CONFLICT);
    assert_eq!(bad.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(bad.body["errors"][0]["field"], "colour");
}

#[tokio::test]
async fn a_product_keeps_its_immutable_tags_until_others_are_given() {
    let api = Api::start(&[]).await;
    let products = "/api/v1/organizations/Default_Organization/products";
    let tools = json!({"label": "tools", "name": "Tools", "immutable_tags": ["v*", "?.0"]});
    let path = format!("{products}/tools");

    let made = api.post(&ADMIN, products, tools).await;
    let renamed = api.patch(&ADMIN, &path, json!({"name": "Toolbox"})).await;
    let changed = json!({"immutable_tags": ["latest"]});
    let changed = api.patch(&ADMIN, &path, changed).await;
    let none = json!({"immutable_tags": []});
    let none = api.patch(&ADMIN, &path, none).await;

    assert_eq!(made.status(), StatusCode::CREATED, "{}", made.body);
    for (answer, globs) in [
        (made, json!(["v*", "?.0"])),
        (renamed, json!(["v*", "?.0"])),
        (changed, json!(["latest"])),
        (none, json!([])),
    ] {
        assert_eq!(answer.body["immutable_tags"], globs);
    }
    let search = "search=subject%20~%20tools";
    let audit = api.get(&ADMIN, &format!("/api/v1/audit?{search}")).await;
    let reasons = audit.body["results"].as_array().unwrap().iter();
    let reasons: Vec<&Value> = reasons.map(|entry| &entry["reason"]).collect();
    assert_eq!(
        reasons,
        [
            "immutable_tags none",
            "immutable_tags latest",
            "name Toolbox",
            "immutable_tags v* ?.0"
        ]
    );
}

#[tokio::test]
async fn immutable_tags_that_are_no_globs_or_too_many_are_refused() {
    let api = Api::start(&[]).await;
    let product = "/api/v1/organizations/Default_Organization/products/container_push";
    for (globs, field) in [
        (json!(["v*", "[0-9]"]), "immutable_tags[1]"),
        (json!([""]), "immutable_tags[0]"),
        (json!(["*".repeat(129)]), "immutable_tags[0]"),
        (json!(vec!["v*"; 33]), "immutable_tags"),
        (Value::Null, "immutable_tags"),
        (json!("v*"), "immutable_tags"),
    ] {
        let changes = json!({"immutable_tags": globs});

        let refused = api.patch(&ADMIN, product, changes).await;

        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(refused.body["errors"][0]["field"], field);
    }
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let api = Api::start(&[]).await;
    for label in ["a", "b", "c"] {
        api.post(
            &ADMIN,
            "/api/v1/organizations",
            json!({"label": label, "name": label}),
        )
        .await;
    }

    let first = api
        .get(&ADMIN, "/api/v1/organizations?per_page=3")
        .await
        .body;
    let next = first["next"].as_str().unwrap();
    let second = api
        .get(
            &ADMIN,
            &format!("/api/v1/organizations?per_page=3&cursor={next}"),
        )
        .await
        .body;

    assert_eq!(
        (&first["total"], first["results"].as_array().unwrap().len()),
        (&json!(4), 3)
    );
    assert_eq!(
        (&second["results"][0]["label"], &second["next"]),
        (&json!("c"), &Value::Null)
    );
}

#[tokio::test]
async fn drills_are_forbidden_unless_the_server_allows_them() {
    let (off, on) = (Api::start(&[]).await, Api::start(&["--allow-drills"]).await);
    let drill = json!({"workflow": "push", "step": "copy", "effect": "fail", "times": 1});

    let refused = off.post(&ADMIN, "/api/v1/drills", drill.clone()).await;
    let made = on.post(&ADMIN, "/api/v1/drills", drill).await;
    let ended = on
        .ask(&ADMIN, Method::DELETE, "/api/v1/drills/1", None)
        .await;

    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(
        (made.status(), &made.body["times_left"]),
        (StatusCode::CREATED, &json!(1))
    );
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    assert_eq!(on.get(&ADMIN, "/readyz").await.body["allow_drills"], true);
    assert_eq!(off.get(&ADMIN, "/readyz").await.body["allow_drills"], false);
}

#[tokio::test]
async fn a_task_that_does_not_exist_is_404_whatever_is_asked_of_it() {
    let api = Api::start(&[]).await;
    let nobody = Uuid::now_v7();

    for path in [
        "",
        "/history",
        "/graph.svg",
        "/graph.dot",
        "/graph.mmd",
        "/graph.txt",
    ] {
        let answer = api
            .get(&ADMIN, &format!("/api/v1/tasks/{nobody}{path}"))
            .await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
    for action in ["resume", "cancel", "steps/copy/retry_now"] {
        let answer = api
            .post(
                &ADMIN,
                &format!("/api/v1/tasks/{nobody}/{action}"),
                json!({}),
            )
            .await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{action}");
    }
    assert_eq!(
        api.get(&ADMIN, "/api/v1/tasks/seven").await.status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_search_that_cannot_be_read_is_told_with_its_position() {
    let api = Api::start(&[]).await;

    let tasks = api
        .get(&ADMIN, "/api/v1/tasks?search=state%20%3D%20paused%20or")
        .await;
    let word = api
        .get(
            &ADMIN,
            "/api/v1/tasks?search=tag%20%3D%20%C3%A9%20and%20state%20%3D%20dancing",
        )
        .await;
    let repositories = api
        .get(&ADMIN, "/api/v1/repositories?search=colour%20%3D%20red")
        .await;

    assert_eq!(
        (tasks.status(), &tasks.body["position"]),
        (StatusCode::BAD_REQUEST, &json!(17))
    );
    assert_eq!(
        (
            word.status(),
            &word.body["position"],
            &word.body["expected"]
        ),
        (
            StatusCode::BAD_REQUEST,
            &json!(20),
            &json!("one of pending, running, paused, stopped")
        )
    );
    assert_eq!(
        (repositories.status(), &repositories.body["position"]),
        (StatusCode::BAD_REQUEST, &json!(0))
    );
}
