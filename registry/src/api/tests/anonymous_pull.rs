//! What everybody may pull is shown to everybody who has logged in, and nothing else of its organization.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::house::{ADMIN, Api, BOB};

const PRODUCT: &str = "/api/v1/organizations/globex/products/open";
const SETTING: &str = "/api/v1/settings/anonymous_pull";

/// Organization `globex`, of which Bob knows nothing, with an image in an open product and one in another. Answers their
/// repositories.
async fn globex() -> (Api, String, String) {
    let api = Api::start(&[]).await.with_bob("reader").await;
    let globex = json!({"label": "globex", "name": "Globex"});
    api.post(&ADMIN, "/api/v1/organizations", globex).await;
    let (open, _, _) = api.push("globex/open/app").await;
    let (shut, _, _) = api.push("globex/shut/app").await;
    let opened = api
        .patch(&ADMIN, PRODUCT, json!({"anonymous_pull": true}))
        .await;
    assert_eq!(opened.status(), StatusCode::OK, "{}", opened.body);
    (api, open, shut)
}

async fn labels(api: &Api, path: &str) -> (Vec<Value>, Value) {
    let listed = api.get(&BOB, path).await;
    assert_eq!(listed.status(), StatusCode::OK, "{}", listed.body);
    let label = |one: &Value| one["label"].clone();
    let results = listed.body["results"].as_array().unwrap();
    (
        results.iter().map(label).collect(),
        listed.body["total"].clone(),
    )
}

#[tokio::test]
async fn what_everybody_may_pull_is_listed_and_nothing_else_of_its_organization() {
    let (api, open, shut) = globex().await;

    let repositories = api.get(&BOB, "/api/v1/repositories").await.body;
    assert_eq!(repositories["total"], 1, "{repositories}");
    let repository = &repositories["results"][0];
    assert_eq!(repository["pushed_names"], json!(["globex/open/app"]));
    assert_eq!(repository["tags_count"], 1);
    assert_eq!(
        repository["last_push"],
        Value::Null,
        "who pushed is not for everybody"
    );
    for of_it in ["", "/tags", "/tags/latest", "/versions", "/versions/1"] {
        let path = |id: &str| format!("/api/v1/repositories/{id}{of_it}");
        let seen = api.get(&BOB, &path(&open)).await;
        let hidden = api.get(&BOB, &path(&shut)).await;
        assert_eq!(seen.status(), StatusCode::OK, "{of_it}: {}", seen.body);
        assert_eq!(hidden.status(), StatusCode::NOT_FOUND, "{of_it}");
    }

    let products = "/api/v1/organizations/globex/products";
    assert_eq!(
        labels(&api, products).await,
        (vec![json!("open")], json!(1))
    );
    let of_product = format!("{PRODUCT}/repositories");
    assert_eq!(labels(&api, &of_product).await.1, 1);
    assert_eq!(
        labels(&api, "/api/v1/organizations").await.0,
        [json!("acme")]
    );
    let unknown = api.get(&BOB, "/api/v1/organizations/nobody/products/shut");
    let (unknown, shut) = (unknown.await.body, format!("{products}/shut"));
    let hidden = api.get(&BOB, &shut).await.body;
    assert_eq!(
        hidden["detail"]
            .as_str()
            .unwrap()
            .replace("globex", "nobody"),
        unknown["detail"].as_str().unwrap(),
        "a closed product does not tell that its organization is there"
    );
}

#[tokio::test]
async fn what_everybody_may_pull_is_not_theirs_to_change() {
    let (api, _, _) = globex().await;

    let renamed = api.patch(&BOB, PRODUCT, json!({"name": "Mine"})).await;
    let made = api
        .post(
            &BOB,
            &format!("{PRODUCT}/repositories"),
            json!({"name": "b"}),
        )
        .await;

    assert_eq!(renamed.status(), StatusCode::FORBIDDEN);
    assert_eq!(made.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_setting_closes_the_lists_as_it_closes_the_pulls() {
    let (api, open, _) = globex().await;

    api.patch(&ADMIN, SETTING, json!({"value": false})).await;

    let repositories = api.get(&BOB, "/api/v1/repositories").await.body;
    assert_eq!(repositories["total"], 0, "{repositories}");
    for path in [
        format!("/api/v1/repositories/{open}"),
        PRODUCT.to_owned(),
        "/api/v1/organizations/globex/products".to_owned(),
    ] {
        let hidden = api.ask(&BOB, Method::GET, &path, None).await;
        assert_eq!(hidden.status(), StatusCode::NOT_FOUND, "{path}");
    }
}
