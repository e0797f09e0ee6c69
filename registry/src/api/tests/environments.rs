//! Environments as their callers see them: paths that begin in Library, and who may change them.

use http::header::LOCATION;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::house::{ADMIN, Answer, Api, BOB};

const ENVIRONMENTS: &str = "/api/v1/organizations/acme/environments";
const LIBRARY: &str = "/api/v1/organizations/acme/environments/Library";
const PRODUCTS: &str = "/api/v1/organizations/acme/products";

fn new(label: &str, prior: &str) -> Value {
    json!({"label": label, "name": label, "prior": prior})
}

impl Api {
    async fn environment(&self, label: &str, prior: &str) -> Value {
        let made = self.post(&ADMIN, ENVIRONMENTS, new(label, prior)).await;
        assert_eq!(made.status(), StatusCode::CREATED, "{}", made.body);
        made.body
    }

    async fn deleted(&self, label: &str) -> Answer {
        let path = format!("{ENVIRONMENTS}/{label}");
        self.ask(&ADMIN, Method::DELETE, &path, None).await
    }
}

/// The field of the body that is refused, and why.
fn wrong(refused: &Answer) -> (&str, &str) {
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let wrong = &refused.body["errors"][0];
    (
        wrong["field"].as_str().unwrap(),
        wrong["message"].as_str().unwrap(),
    )
}

#[tokio::test]
async fn an_environment_is_shown_with_the_label_of_the_one_it_follows() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    let pattern = "<%= lifecycle_environment.label %>/<%= repository.label %>";
    let qa = json!({"label": "QA", "name": "Quality", "prior": "library", "registry_name_pattern": pattern,
        "anonymous_pull": true});

    let made = api.post(&ADMIN, ENVIRONMENTS, qa).await;

    assert_eq!(made.status(), StatusCode::CREATED, "{}", made.body);
    let location = made.response.headers()[LOCATION].to_str().unwrap();
    assert_eq!(location, "/api/v1/organizations/acme/environments/QA");
    let mut shown = api.get(&BOB, &format!("{ENVIRONMENTS}/qa")).await.body;
    assert_eq!(shown, made.body);
    let fields = shown.as_object_mut().unwrap();
    assert!(fields.remove("id").is_some() && fields.remove("created_at").is_some());
    assert_eq!(
        shown,
        json!({"label": "QA", "name": "Quality", "organization": "acme", "prior": "Library",
            "registry_name_pattern": pattern, "anonymous_pull": true})
    );
}

#[tokio::test]
async fn library_is_listed_first_and_follows_nothing() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    api.environment("dev", "Library").await;
    api.environment("prod", "dev").await;

    let listed = api.get(&BOB, ENVIRONMENTS).await.body;
    let first = api.get(&BOB, &format!("{ENVIRONMENTS}?per_page=2")).await;
    let next = first.body["next"].as_str().unwrap();
    let rest = format!("{ENVIRONMENTS}?per_page=2&cursor={next}");
    let rest = api.get(&BOB, &rest).await.body;

    let chain = |page: &Value| -> Vec<(Value, Value)> {
        let results = page["results"].as_array().unwrap().iter();
        results
            .map(|one| (one["label"].clone(), one["prior"].clone()))
            .collect()
    };
    assert_eq!(listed["total"], 3);
    assert_eq!(
        chain(&listed),
        [
            (json!("Library"), Value::Null),
            (json!("dev"), json!("Library")),
            (json!("prod"), json!("dev")),
        ]
    );
    assert_eq!(chain(&rest), [(json!("prod"), json!("dev"))]);
}

#[tokio::test]
async fn paths_part_behind_library_only() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    api.environment("dev", "Library").await;
    api.environment("test", "Library").await;
    api.environment("prod", "dev").await;

    let branch = api.post(&ADMIN, ENVIRONMENTS, new("demo", "dev")).await;
    let nowhere = api.post(&ADMIN, ENVIRONMENTS, new("demo", "qa")).await;
    let first = api
        .post(&ADMIN, ENVIRONMENTS, json!({"label": "qa", "name": "qa"}))
        .await;

    assert_eq!(
        wrong(&branch),
        (
            "prior",
            "`dev` is followed by `prod` already, and only Library by more than one; choose the last environment of the path"
        )
    );
    assert_eq!(
        wrong(&nowhere),
        (
            "prior",
            "organization acme has no environment of this label"
        )
    );
    assert_eq!(wrong(&first), ("prior", "is missing"));
}

#[tokio::test]
async fn products_and_environments_of_an_organization_share_no_label() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    let tools = json!({"label": "tools", "name": "Tools"});
    let made = api.post(&ADMIN, PRODUCTS, tools).await;
    assert_eq!(made.status(), StatusCode::CREATED, "{}", made.body);
    api.environment("dev", "Library").await;

    let like_a_product = api.post(&ADMIN, ENVIRONMENTS, new("TOOLS", "dev")).await;
    let like_another = api.post(&ADMIN, ENVIRONMENTS, new("Dev", "dev")).await;
    let reserved = api.post(&ADMIN, ENVIRONMENTS, new("library", "dev")).await;
    let product = json!({"label": "DEV", "name": "Development"});
    let like_an_environment = api.post(&ADMIN, PRODUCTS, product).await;

    for refused in [like_a_product, like_another, reserved, like_an_environment] {
        assert_eq!(refused.status(), StatusCode::CONFLICT, "{}", refused.body);
    }
}

#[tokio::test]
async fn of_library_the_pattern_and_the_anonymous_pull_change_and_nothing_else() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    let pattern = "<%= repository.label %>";
    let both = json!({"name": "Library", "registry_name_pattern": pattern, "anonymous_pull": true});

    let changed = api.patch(&ADMIN, LIBRARY, both).await;
    let renamed = api.patch(&ADMIN, LIBRARY, json!({"name": "Shelf"})).await;
    let deleted = api.deleted("Library").await;

    assert_eq!(changed.status(), StatusCode::OK, "{}", changed.body);
    assert_eq!(changed.body["registry_name_pattern"], pattern);
    assert_eq!(changed.body["anonymous_pull"], true);
    assert_eq!(wrong(&renamed).0, "name");
    assert_eq!(deleted.status(), StatusCode::CONFLICT);
    assert_eq!(
        deleted.body["detail"],
        "environment `Library` cannot be deleted: every organization has it"
    );
    assert_eq!(api.get(&BOB, LIBRARY).await.body, changed.body);
}

#[tokio::test]
async fn a_pattern_is_taken_away_by_null_or_by_nothing_in_it() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    api.environment("dev", "Library").await;
    let dev = format!("{ENVIRONMENTS}/dev");
    for none in [Value::Null, json!(""), json!(" ")] {
        let pattern = json!({"registry_name_pattern": "<%= repository.label %>"});
        api.patch(&ADMIN, &dev, pattern).await;

        let other = api.patch(&ADMIN, &dev, json!({"name": "Dev"})).await;
        let away = json!({"registry_name_pattern": none});
        let away = api.patch(&ADMIN, &dev, away).await;

        assert_eq!(
            other.body["registry_name_pattern"],
            "<%= repository.label %>"
        );
        assert_eq!(away.status(), StatusCode::OK, "{}", away.body);
        assert_eq!(away.body["registry_name_pattern"], Value::Null);
    }
}

#[tokio::test]
async fn a_pattern_that_cannot_be_one_is_refused() {
    let api = Api::start(&[]).await.with_bob("reader").await;

    for pattern in [
        "a".repeat(256),
        "two\nlines".to_owned(),
        "<%= repository.size %>".to_owned(),
        "<%= product.name %>/x".to_owned(),
    ] {
        let mut dev = new("dev", "Library");
        dev["registry_name_pattern"] = json!(pattern);
        let made = api.post(&ADMIN, ENVIRONMENTS, dev).await;
        let changed = api
            .patch(&ADMIN, LIBRARY, json!({"registry_name_pattern": pattern}))
            .await;

        for refused in [made, changed] {
            assert_eq!(wrong(&refused).0, "registry_name_pattern");
        }
    }
}

#[tokio::test]
async fn an_environment_is_deleted_from_the_end_of_its_path() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    api.environment("dev", "Library").await;
    api.environment("prod", "dev").await;

    let followed = api.deleted("dev").await;
    let last = api.deleted("prod").await;
    let again = api.deleted("prod").await;
    let then = api.deleted("dev").await;

    assert_eq!(followed.status(), StatusCode::CONFLICT);
    assert_eq!(
        followed.body["detail"],
        "environment `dev` cannot be deleted: `prod` follows it; delete that one first"
    );
    assert_eq!(last.status(), StatusCode::NO_CONTENT);
    assert_eq!(again.status(), StatusCode::NOT_FOUND);
    assert_eq!(then.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn who_manages_products_makes_environments_and_opens_them_only_with_the_right_to_pull() {
    let api = Api::start(&[]).await;
    let role = json!({"name": "his", "permissions": ["manage_products"]});
    api.post(&ADMIN, "/api/v1/roles", role).await;
    let api = api.with_bob("his").await;
    let mut open = new("open", "Library");
    open["anonymous_pull"] = json!(true);
    let path = format!("{ENVIRONMENTS}/closed");
    let opens = json!({"anonymous_pull": true});

    let made_closed = api.post(&BOB, ENVIRONMENTS, new("closed", "Library")).await;
    let made_open = api.post(&BOB, ENVIRONMENTS, open.clone()).await;
    let opened = api.patch(&BOB, &path, opens.clone()).await;

    assert_eq!(made_closed.status(), StatusCode::CREATED);
    for refused in [made_open, opened] {
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{}", refused.body);
        let detail = refused.body["detail"].as_str().unwrap();
        assert!(detail.contains("`pull`"), "{detail}");
    }
    let pull = json!({"permissions": ["manage_products", "pull"]});
    api.patch(&ADMIN, "/api/v1/roles/his", pull).await;
    let opened = api.patch(&BOB, &path, opens).await;
    assert_eq!(opened.status(), StatusCode::OK, "{}", opened.body);
    let made_open = api.post(&BOB, ENVIRONMENTS, open).await;
    assert_eq!(made_open.status(), StatusCode::CREATED);
    let deleted = api.ask(&BOB, Method::DELETE, &path, None).await;
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn the_audit_tells_what_was_done_to_environments() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    let mut dev = new("dev", "Library");
    dev["registry_name_pattern"] = json!("<%= product.label %>");
    api.post(&ADMIN, ENVIRONMENTS, dev).await;
    let path = format!("{ENVIRONMENTS}/DEV");
    let changes =
        json!({"name": "Development", "registry_name_pattern": null, "anonymous_pull": true});
    api.patch(&ADMIN, &path, changes).await;
    api.patch(&ADMIN, &path, json!({})).await;
    api.deleted("dev").await;

    let search = "search=subject%20~%20environment";
    let audit = api.get(&ADMIN, &format!("/api/v1/audit?{search}")).await;

    let told = audit.body["results"].as_array().unwrap().iter();
    let told: Vec<String> = told
        .map(|entry| {
            let part = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
            format!("{} {}: {}", part("action"), part("subject"), part("reason"))
        })
        .collect();
    assert_eq!(
        told,
        [
            "delete environment dev of organization acme: -",
            "change environment dev of organization acme: name Development, registry_name_pattern none, anonymous_pull true",
            "create environment dev of organization acme: prior Library, registry_name_pattern <%= product.label %>",
        ]
    );
}
