//! Tokens, robots, roles, the audit and the settings, as those see them who use and who manage them.

use http::header::LOCATION;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::house::{ADMIN, Api, BOB, Who};

const TOKENS: &str = "/api/v1/tokens";
const ROBOTS: &str = "/api/v1/robots";
const ROLES: &str = "/api/v1/roles";
const GRANTS: &str = "/api/v1/grants";
const USERS: &str = "/api/v1/users";
const ORGANIZATIONS: &str = "/api/v1/organizations";

impl Api {
    /// What the caller gets who makes this; it must be made.
    async fn made(&self, who: &Who<'_>, path: &str, body: Value) -> Value {
        let answer = self.post(who, path, body).await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{}", answer.body);
        answer.body
    }

    async fn delete(&self, who: &Who<'_>, path: &str) -> StatusCode {
        self.ask(who, Method::DELETE, path, None).await.status()
    }

    async fn status(&self, who: &Who<'_>, path: &str) -> StatusCode {
        self.get(who, path).await.status()
    }

    /// The newest entry of the audit.
    async fn last_entry(&self) -> Value {
        let audit = self.get(&ADMIN, "/api/v1/audit?per_page=1").await;
        audit.body["results"][0].clone()
    }
}

/// Who shows this token alone.
fn bearer(made: &Value) -> Who<'static> {
    Who::Token(made["token"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_personal_token_is_its_user_alone_and_in_place_of_the_password() {
    let api = Api::start(&[]).await.with_bob("reader").await;

    let made = api.made(&BOB, TOKENS, json!({"name": "laptop"})).await;

    let token = made["token"].as_str().unwrap();
    assert!(token.starts_with("wft_"));
    for who in [
        bearer(&made),
        Who::Login("bob", token),
        Who::Login("BOB", token),
    ] {
        assert_eq!(api.get(&who, "/api/v1/users/me").await.body["login"], "bob");
    }
    let by_another = Who::Login("admin", token);
    assert_eq!(
        api.status(&by_another, "/api/v1/users/me").await,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_token_is_shown_once_with_its_last_use_and_only_to_its_user() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    let made = api.made(&BOB, TOKENS, json!({"name": "laptop"})).await;
    assert_eq!(made["last_used_at"], Value::Null);

    api.get(&bearer(&made), "/api/v1/users/me").await;

    let listed = api.get(&BOB, TOKENS).await.body;
    assert_eq!(listed["total"], 1);
    assert_eq!(listed["results"][0]["name"], "laptop");
    assert!(listed["results"][0].get("token").is_none());
    assert!(listed["results"][0]["last_used_at"].is_string());
    assert_eq!(api.get(&ADMIN, TOKENS).await.body["total"], 0);
    let path = format!("{TOKENS}/{}", made["id"]);
    assert_eq!(api.status(&ADMIN, &path).await, StatusCode::NOT_FOUND);
    assert_eq!(api.delete(&ADMIN, &path).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_revoked_token_does_not_count_from_the_next_request_on() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    let made = api.made(&BOB, TOKENS, json!({"name": "laptop"})).await;
    let path = format!("{TOKENS}/{}", made["id"]);
    assert_eq!(api.status(&bearer(&made), TOKENS).await, StatusCode::OK);

    assert_eq!(api.delete(&BOB, &path).await, StatusCode::NO_CONTENT);
    let revoked = api.last_entry().await;
    let after = api.status(&bearer(&made), TOKENS).await;

    assert_eq!(revoked["subject"], "token laptop of user bob");
    assert_eq!(after, StatusCode::UNAUTHORIZED);
    let tried = api.last_entry().await;
    assert_eq!(
        (&tried["action"], &tried["subject"]),
        (&json!("log_in"), &json!("a personal token"))
    );
}

#[tokio::test]
async fn a_token_gives_no_more_than_its_scope_and_makes_no_other_token() {
    let api = Api::start(&[]).await;
    let narrow = json!({"name": "narrow", "scope": ["pull", "view_tasks"]});
    let narrow = bearer(&api.made(&ADMIN, TOKENS, narrow).await);
    let wide = bearer(&api.made(&ADMIN, TOKENS, json!({"name": "wide"})).await);
    let acme = json!({"label": "acme", "name": "Acme"});

    let refused = api.post(&narrow, ORGANIZATIONS, acme.clone()).await;

    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(
        refused.body["detail"],
        "the personal token does not give `admin`"
    );
    api.made(&wide, ORGANIZATIONS, acme).await;
    let another = api.post(&wide, TOKENS, json!({"name": "child"})).await;
    assert_eq!(another.status(), StatusCode::FORBIDDEN);
    let password = json!({"password": "taken over"});
    let password = api.patch(&wide, "/api/v1/users/admin", password).await;
    assert_eq!(password.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_token_ends_in_time_to_come_and_as_early_as_the_setting_says() {
    let api = Api::start(&[]).await;
    let token = |end: Value| json!({"name": "short", "expires_at": end});
    let setting = "/api/v1/settings/personal_token_max_days";
    let set = api.patch(&ADMIN, setting, json!({"value": 7})).await;
    assert_eq!(set.status(), StatusCode::OK, "{}", set.body);

    for wrong in [
        json!("2001-01-01T00:00:00Z"),
        json!("tomorrow"),
        json!("2999-01-01T00:00:00Z"),
        json!(null),
    ] {
        let refused = api.post(&ADMIN, TOKENS, token(wrong.clone())).await;

        assert_eq!(
            refused.status(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "{wrong}"
        );
        assert_eq!(refused.body["errors"][0]["field"], "expires_at");
    }
}

#[tokio::test]
async fn a_robot_logs_in_with_its_token_and_has_roles_in_its_organization_only() {
    let api = Api::start(&[]).await.with_bob("admin").await;
    let robot = json!({"name": "ci", "organization": "acme"});

    let made = api.made(&BOB, ROBOTS, robot.clone()).await;

    assert_eq!(made["login"], "acme+ci");
    let ci = Who::Login("acme+ci", made["token"].as_str().unwrap());
    assert_eq!(
        api.get(&ci, "/api/v1/users/me").await.body["login"],
        "acme+ci"
    );
    assert_eq!(api.get(&ci, ORGANIZATIONS).await.body["total"], 0);
    let here = json!({"robot": "acme+ci", "role": "pusher", "organization": "acme"});
    let grant = api.made(&BOB, GRANTS, here).await;
    assert_eq!(
        (&grant["robot"], &grant["user"]),
        (&json!("acme+ci"), &Value::Null)
    );
    assert_eq!(api.get(&ci, ORGANIZATIONS).await.body["total"], 1);
    let elsewhere =
        json!({"robot": "acme+ci", "role": "pusher", "organization": "Default_Organization"});
    let elsewhere = api.post(&ADMIN, GRANTS, elsewhere).await;
    assert_eq!(elsewhere.body["errors"][0]["field"], "robot");
    let as_a_user = json!({"user": "acme+ci", "role": "pusher", "organization": "acme"});
    let as_a_user = api.post(&ADMIN, GRANTS, as_a_user).await;
    assert_eq!(as_a_user.body["errors"][0]["field"], "user");
    assert_eq!(
        api.get(&ADMIN, USERS).await.body["total"],
        2,
        "robots are no users"
    );
    assert_eq!(
        api.post(&BOB, ROBOTS, robot).await.status(),
        StatusCode::CONFLICT
    );
}

#[tokio::test]
async fn a_robot_gets_a_new_token_is_disabled_and_deleted_and_each_counts_at_once() {
    let api = Api::start(&[]).await.with_bob("admin").await;
    let robot = json!({"name": "ci", "organization": "acme"});
    let made = api.made(&BOB, ROBOTS, robot.clone()).await;
    let path = format!("{ROBOTS}/{}", made["id"]);
    let me = "/api/v1/users/me";

    let renewed = api
        .patch(&BOB, &path, json!({"renew_token": true}))
        .await
        .body;
    assert_eq!(
        api.status(&bearer(&made), me).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(api.status(&bearer(&renewed), me).await, StatusCode::OK);

    let disabled = api.patch(&BOB, &path, json!({"enabled": false})).await.body;
    assert_eq!(disabled["enabled"], false);
    assert_eq!(
        api.status(&bearer(&renewed), me).await,
        StatusCode::UNAUTHORIZED
    );

    api.patch(&BOB, &path, json!({"enabled": true})).await;
    assert_eq!(api.status(&bearer(&renewed), me).await, StatusCode::OK);
    assert_eq!(api.delete(&BOB, &path).await, StatusCode::NO_CONTENT);
    assert_eq!(
        api.status(&bearer(&renewed), me).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(api.status(&BOB, &path).await, StatusCode::NOT_FOUND);
    let again = api.post(&BOB, ROBOTS, robot).await;
    assert_eq!(
        again.status(),
        StatusCode::CONFLICT,
        "its name stays its own"
    );
}

#[tokio::test]
async fn a_role_of_ones_own_gives_what_it_says_also_after_a_change() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    let role = json!({"name": "packer", "permissions": ["manage_products"]});
    let tools = |label: &str| json!({"label": label, "name": "Tools"});
    let products = "/api/v1/organizations/acme/products";

    let answer = api.post(&ADMIN, ROLES, role.clone()).await;
    let grant = json!({"user": "bob", "role": "packer", "organization": "acme"});
    api.made(&ADMIN, GRANTS, grant).await;

    assert_eq!(answer.response.headers()[LOCATION], "/api/v1/roles/packer");
    assert_eq!(
        answer.body,
        json!({"name": "packer", "permissions": ["manage_products"], "built_in": false})
    );
    api.made(&BOB, products, tools("one")).await;
    let path = "/api/v1/roles/packer";
    let changed = api
        .patch(&ADMIN, path, json!({"permissions": ["pull"]}))
        .await;
    assert_eq!(changed.body["permissions"], json!(["pull"]));
    let refused = api.post(&BOB, products, tools("two")).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(
        api.post(&ADMIN, ROLES, role).await.status(),
        StatusCode::CONFLICT
    );
}

#[tokio::test]
async fn a_role_in_use_and_a_built_in_one_are_not_deleted() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    let role = json!({"name": "packer", "permissions": ["pull"]});
    api.made(&ADMIN, ROLES, role).await;
    let grant = json!({"user": "bob", "role": "packer", "organization": "acme"});
    let grant = api.made(&ADMIN, GRANTS, grant).await;

    let used = api.delete(&ADMIN, "/api/v1/roles/packer").await;
    let built_in = api.delete(&ADMIN, "/api/v1/roles/reader").await;
    let changed = api
        .patch(&ADMIN, "/api/v1/roles/admin", json!({"permissions": []}))
        .await;

    assert_eq!(used, StatusCode::CONFLICT);
    assert_eq!(built_in, StatusCode::CONFLICT);
    assert_eq!(changed.status(), StatusCode::CONFLICT);
    api.delete(&ADMIN, &format!("{GRANTS}/{}", grant["id"]))
        .await;
    let unused = api.delete(&ADMIN, "/api/v1/roles/packer").await;
    assert_eq!(unused, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn who_manages_access_gets_by_it_no_right_they_do_not_have() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    let clerk = json!({"name": "clerk", "permissions": ["manage_access", "pull"]});
    api.made(&ADMIN, ROLES, clerk).await;
    api.made(&ADMIN, GRANTS, json!({"user": "bob", "role": "clerk"}))
        .await;
    let admin = "/api/v1/users/admin";

    let refused = [
        api.post(
            &BOB,
            ROLES,
            json!({"name": "all", "permissions": ["admin"]}),
        )
        .await,
        api.patch(
            &BOB,
            "/api/v1/roles/clerk",
            json!({"permissions": ["admin"]}),
        )
        .await,
        api.post(&BOB, GRANTS, json!({"user": "bob", "role": "admin"}))
            .await,
        api.patch(&BOB, admin, json!({"password": "mine"})).await,
        api.patch(&BOB, admin, json!({"enabled": false})).await,
        api.ask(&BOB, Method::DELETE, admin, None).await,
        api.ask(&BOB, Method::DELETE, "/api/v1/grants/1", None)
            .await,
    ];

    for answer in refused {
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{}", answer.body);
    }
    api.made(&BOB, USERS, json!({"login": "eve", "password": "x"}))
        .await;
    api.made(&BOB, GRANTS, json!({"user": "eve", "role": "reader"}))
        .await;
    let eve = api
        .patch(&BOB, "/api/v1/users/eve", json!({"password": "y"}))
        .await;
    assert_eq!(eve.status(), StatusCode::OK);
}

#[tokio::test]
async fn who_may_everything_by_a_role_made_here_leaves_an_administrator() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    let all = api.get(&ADMIN, "/api/v1/roles/admin").await.body["permissions"].clone();
    let owner = json!({"name": "owner", "permissions": all});
    api.made(&ADMIN, ROLES, owner).await;
    let grant = json!({"user": "bob", "role": "owner"});
    api.made(&ADMIN, GRANTS, grant).await;
    let admin = "/api/v1/users/admin";

    let deleted = api.delete(&BOB, admin).await;
    let disabled = api.patch(&BOB, admin, json!({"enabled": false})).await;

    assert_eq!(deleted, StatusCode::CONFLICT);
    assert_eq!(disabled.status(), StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_deleted_user_is_gone_with_roles_and_tokens_and_the_login_is_not_given_again() {
    let api = Api::start(&[]).await.with_bob("admin").await;
    let token = bearer(&api.made(&BOB, TOKENS, json!({"name": "laptop"})).await);

    let deleted = api.delete(&ADMIN, "/api/v1/users/bob").await;

    assert_eq!(deleted, StatusCode::NO_CONTENT);
    for who in [BOB, token] {
        assert_eq!(api.status(&who, TOKENS).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(
        api.status(&ADMIN, "/api/v1/users/bob").await,
        StatusCode::NOT_FOUND
    );
    assert_eq!(api.get(&ADMIN, GRANTS).await.body["total"], 1);
    let again = api
        .post(&ADMIN, USERS, json!({"login": "Bob", "password": "x"}))
        .await;
    assert_eq!(again.status(), StatusCode::CONFLICT);
    let oneself = api.delete(&ADMIN, "/api/v1/users/admin").await;
    assert_eq!(oneself, StatusCode::CONFLICT);
}

#[tokio::test]
async fn the_audit_tells_who_changed_what_and_who_was_refused() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    api.patch(&BOB, "/api/v1/users/bob", json!({"name": "Bobby"}))
        .await;
    api.post(
        &BOB,
        USERS,
        json!({"login": "eve", "password": "secret of eve"}),
    )
    .await;
    api.get(&Who::Login("bob", "wrong"), USERS).await;

    let audit = api.get(&ADMIN, "/api/v1/audit").await.body;

    let lines: Vec<String> = audit["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let part = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
            format!(
                "{} {} {} {} ({})",
                part("actor"),
                part("action"),
                part("subject"),
                part("result"),
                part("reason")
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "- log_in user bob refused (the login or the password is wrong)",
            "bob ask POST /api/v1/users refused (you lack the permission `manage_access` everywhere; \
             an administrator can grant a role that has it)",
            "bob change user bob done (name)",
            "admin create grant to user bob done (role reader, organization acme)",
            "admin create user bob done (-)",
            "admin create organization acme done (-)",
        ]
    );
    for (search, found) in [
        ("actor%20%3D%20bob%20and%20result%20%3D%20refused", 1),
        ("subject%20~%20bob", 4),
        (
            "at%20%3E%20%221%20day%20ago%22%20and%20not%20action%20%3D%20create",
            3,
        ),
    ] {
        let path = format!("/api/v1/audit?search={search}");
        assert_eq!(
            api.get(&ADMIN, &path).await.body["total"],
            found,
            "{search}"
        );
    }
    let wrong = api
        .get(&ADMIN, "/api/v1/audit?search=action%20%3D%20dance")
        .await;
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    assert_eq!(
        api.status(&BOB, "/api/v1/audit").await,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn the_audit_is_read_page_by_page_from_the_newest() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    let first = api.get(&ADMIN, "/api/v1/audit?per_page=2").await.body;
    let cursor = first["next"].as_str().unwrap();

    let second = api
        .get(&ADMIN, &format!("/api/v1/audit?per_page=2&cursor={cursor}"))
        .await
        .body;

    assert_eq!(second["results"][0]["subject"], "organization acme");
    assert_eq!(second["next"], Value::Null);
}

#[tokio::test]
async fn a_setting_has_a_type_a_default_and_who_changed_it() {
    let api = Api::start(&[]).await;
    let path = "/api/v1/settings/anonymous_pull";
    let before = api.get(&ADMIN, path).await.body;

    let wrong = api.patch(&ADMIN, path, json!({"value": "no"})).await;
    let changed = api.patch(&ADMIN, path, json!({"value": false})).await;

    assert_eq!(
        (&before["type"], &before["value"], &before["changed_by"]),
        (&json!("bool"), &json!(true), &Value::Null)
    );
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        (
            &changed.body["value"],
            &changed.body["default"],
            &changed.body["changed_by"]
        ),
        (&json!(false), &json!(true), &json!("admin"))
    );
    assert_eq!(api.last_entry().await["reason"], "value false");
    let unknown = api.status(&ADMIN, "/api/v1/settings/colour").await;
    assert_eq!(unknown, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn too_many_failed_logins_are_not_looked_at_until_their_time_has_come() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    for _ in 0..5 {
        api.get(&Who::Login("bob", "wrong"), TOKENS).await;
    }
    api.get(&Who::Login("admin", "wrong"), TOKENS).await;

    let slowed = api.get(&Who::Login("bob", "wrong"), TOKENS).await;

    assert_eq!(slowed.status(), StatusCode::UNAUTHORIZED);
    let detail = slowed.body["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("too many logins have failed"),
        "{detail}"
    );
    assert_eq!(api.status(&ADMIN, TOKENS).await, StatusCode::OK);
}
