//! Rules of retention: saved with a product, tried before that, and let run.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::house::{ADMIN, Answer, Api, BOB};

const PRODUCTS: &str = "/api/v1/organizations/Default_Organization/products";
const PRODUCT: &str = "/api/v1/organizations/Default_Organization/products/tools";

fn newest(kept: i64) -> Value {
    json!({"tags": [{"matching": ["*"], "keep_newest": kept}]})
}

/// A product of this name, with an image `latest`; answers the id of its repository and its digest.
async fn furnished(api: &Api) -> (String, String) {
    let tools = json!({"label": "tools", "name": "Tools"});
    let made = api.post(&ADMIN, PRODUCTS, tools).await;
    assert_eq!(made.status(), StatusCode::CREATED, "{}", made.body);
    let (repository, _, digest) = api.push("default_organization/tools/app").await;
    (repository, digest)
}

async fn preview(api: &Api, rules: Value) -> Answer {
    let path = format!("{PRODUCT}/retention");
    let asked = json!({"dry_run": true, "retention": rules});
    api.post(&ADMIN, &path, asked).await
}

#[tokio::test]
async fn rules_stay_until_others_are_given_and_null_takes_them_away() {
    let api = Api::start(&[]).await;
    let (first, second) = (newest(3), json!({"untagged_within": "7d"}));
    let tools = json!({"label": "tools", "name": "Tools", "retention": first});

    let made = api.post(&ADMIN, PRODUCTS, tools).await;
    let renamed = api.patch(&ADMIN, PRODUCT, json!({"name": "Box"})).await;
    let changed = json!({ "retention": second });
    let changed = api.patch(&ADMIN, PRODUCT, changed).await;
    let none = json!({"retention": null});
    let none = api.patch(&ADMIN, PRODUCT, none).await;

    assert_eq!(made.status(), StatusCode::CREATED, "{}", made.body);
    for (answer, rules) in [
        (made, first.clone()),
        (renamed, first.clone()),
        (changed, second.clone()),
        (none, Value::Null),
    ] {
        assert_eq!(answer.body["retention"], rules);
    }
    let search = "search=subject%20~%20tools";
    let audit = api.get(&ADMIN, &format!("/api/v1/audit?{search}")).await;
    let reasons = audit.body["results"].as_array().unwrap().iter();
    let reasons: Vec<&str> = reasons
        .map(|entry| entry["reason"].as_str().unwrap())
        .collect();
    assert_eq!((reasons[0], reasons[2]), ("retention none", "name Box"));
    for (reason, rules) in [(reasons[1], second), (reasons[3], first)] {
        let told = reason.strip_prefix("retention ").unwrap();
        assert_eq!(serde_json::from_str::<Value>(told).unwrap(), rules);
    }
}

#[tokio::test]
async fn rules_that_say_nothing_or_nonsense_are_refused_and_the_field_is_named() {
    let api = Api::start(&[]).await;
    let product = format!("{PRODUCTS}/container_push");
    let rule = |rule: Value| json!({ "tags": [rule] });
    for (rules, field) in [
        (json!({}), "retention"),
        (json!({"tag": []}), "tag"),
        (rule(json!({"matching": ["*"]})), "retention.tags[0]"),
        (
            rule(json!({"matching": [], "keep_newest": 1})),
            "retention.tags[0]",
        ),
        (
            rule(json!({"matching": ["v*", "[a]"], "keep_newest": 1})),
            "retention.tags[0].matching[1]",
        ),
        (
            rule(json!({"matching": ["*"], "keep_newest": 0})),
            "retention.tags[0].keep_newest",
        ),
        (
            rule(json!({"matching": ["*"], "keep_newest": "ten"})),
            "retention.tags[0].keep_newest",
        ),
        (
            rule(json!({"matching": ["*"], "keep_pushed_within": "-1d"})),
            "retention.tags[0].keep_pushed_within",
        ),
        (
            rule(json!({"matching": ["*"], "keep_pulled_within": "soon"})),
            "retention.tags[0].keep_pulled_within",
        ),
        (
            json!({"untagged_within": "forever"}),
            "retention.untagged_within",
        ),
        (json!("30d"), "retention"),
    ] {
        let refused = api
            .patch(&ADMIN, &product, json!({ "retention": rules }))
            .await;

        assert_eq!(
            refused.status(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "{rules}"
        );
        assert_eq!(
            refused.body["errors"][0]["field"], field,
            "{}",
            refused.body
        );
    }
}

#[tokio::test]
async fn rules_are_tried_before_they_are_saved_and_then_take_what_the_trial_said() {
    let api = Api::start(&[]).await;
    let (repository, digest) = furnished(&api).await;
    let other = format!("/v2/default_organization/tools/app/manifests/{digest}");
    let manifest = api.get(&ADMIN, &other).await.body;
    let put = "/v2/default_organization/tools/app/manifests/older";
    let put = api.ask(&ADMIN, Method::PUT, put, Some(manifest)).await;
    assert_eq!(put.status(), StatusCode::CREATED, "{}", put.body);

    let all = preview(&api, newest(9)).await;
    let one = preview(&api, newest(1)).await;
    api.patch(&ADMIN, PRODUCT, json!({"retention": newest(1)}))
        .await;
    let saved = json!({"dry_run": true});
    let saved = api
        .post(&ADMIN, &format!("{PRODUCT}/retention"), saved)
        .await;
    let begun = json!({"reason": "to make room"});
    let begun = api
        .post(&ADMIN, &format!("{PRODUCT}/retention"), begun)
        .await;

    assert_eq!(all.status(), StatusCode::OK, "{}", all.body);
    assert_eq!(all.body["repositories"], json!([]));
    assert_eq!(one.body, saved.body);
    let losing = &one.body["repositories"][0];
    assert_eq!(losing["id"].to_string(), repository);
    assert_eq!(losing["repository"], "default_organization/tools/app");
    assert_eq!(losing["tags"][0]["name"], "latest");
    let why = losing["tags"][0]["why"].as_str().unwrap();
    assert!(
        why.starts_with("rule 1 (*: keeps the 1 newest); it was set "),
        "{why}"
    );
    assert_eq!(one.body["tags_count"], 1);
    assert_eq!(begun.status(), StatusCode::ACCEPTED, "{}", begun.body);
    let task = begun.body["task_id"].as_str().unwrap();
    let path = format!("/api/v1/tasks/{task}/wait?timeout=30");
    let ended = api.get(&ADMIN, &path).await.body;
    assert_eq!(
        (&ended["label"], &ended["result"]),
        (&json!("retention"), &json!("success"))
    );
    let tags = format!("/api/v1/repositories/{repository}/tags");
    let tags = api.get(&ADMIN, &tags).await.body;
    assert_eq!(tags["total"], 1);
    assert_eq!(tags["results"][0]["name"], "older");
    let search = "search=action%20%3D%20run_now";
    let audit = api
        .get(&ADMIN, &format!("/api/v1/audit?{search}"))
        .await
        .body;
    let entry = &audit["results"][0];
    assert_eq!(
        (&entry["task"], &entry["reason"]),
        (&json!(task), &json!("to make room"))
    );
}

#[tokio::test]
async fn without_rules_nothing_runs_and_unsaved_ones_are_for_a_trial_only() {
    let api = Api::start(&[]).await.with_bob("publisher").await;
    furnished(&api).await;
    let path = format!("{PRODUCT}/retention");

    let none = api.post(&ADMIN, &path, json!({})).await;
    let unsaved = api
        .post(&ADMIN, &path, json!({"retention": newest(1)}))
        .await;
    let acme = json!({"label": "tools", "name": "Tools"});
    api.post(&ADMIN, "/api/v1/organizations/acme/products", acme)
        .await;
    let path = "/api/v1/organizations/acme/products/tools/retention";
    let refused = api.post(&BOB, path, json!({"dry_run": true})).await;

    assert_eq!(none.status(), StatusCode::CONFLICT);
    let detail = none.body["detail"].as_str().unwrap();
    assert!(
        detail.contains("product tools has no rules of retention"),
        "{detail}"
    );
    assert_eq!(unsaved.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(unsaved.body["errors"][0]["field"], "retention");
    assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{}", refused.body);
}

#[tokio::test]
async fn a_tag_shows_when_it_was_pulled_last_by_its_name_or_its_digest() {
    let api = Api::start(&[]).await;
    let (repository, digest) = furnished(&api).await;
    let tag = format!("/api/v1/repositories/{repository}/tags/latest");
    let pulled = async || api.get(&ADMIN, &tag).await.body["last_pulled_at"].clone();
    let pull = async |method: Method, reference: &str| {
        let path = format!("/v2/default_organization/tools/app/manifests/{reference}");
        api.ask(&ADMIN, method, &path, None).await.status()
    };

    let before = pulled().await;
    let absent = pull(Method::GET, "absent").await;
    let after_absent = pulled().await;
    assert_eq!(pull(Method::HEAD, &digest).await, StatusCode::OK);
    let by_digest = pulled().await;
    assert_eq!(pull(Method::GET, "latest").await, StatusCode::OK);
    let by_tag = pulled().await;
    api.write_pulls_down().await;
    let written = pulled().await;

    assert_eq!(
        (before, absent, after_absent),
        (Value::Null, StatusCode::NOT_FOUND, Value::Null)
    );
    assert!(by_digest.is_string(), "{by_digest}");
    assert!(by_tag.as_str() >= by_digest.as_str());
    assert_eq!(written, by_tag);
    let tags = format!("/api/v1/repositories/{repository}/tags");
    let tags = api.get(&ADMIN, &tags).await.body;
    assert_eq!(tags["results"][0]["last_pulled_at"], by_tag);
}
