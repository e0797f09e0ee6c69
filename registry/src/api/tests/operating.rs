//! What operators tell tasks, and what of it is refused.

use http::StatusCode;
use serde_json::{Value, json};

use super::house::{ADMIN, Api};

/// A server on which every push pauses at `copy`, and such a push.
async fn paused_push() -> (Api, String) {
    let api = Api::start(&["--allow-drills", "--push-wait=0s"]).await;
    let drill = json!({"workflow": "push", "step": "copy", "effect": "fail"});
    let begun = api.post(&ADMIN, "/api/v1/drills", drill).await;
    assert_eq!(begun.status(), StatusCode::CREATED, "{}", begun.body);
    let (_, task, _) = api.push("default_organization/app").await;
    let waited = api
        .get(&ADMIN, &format!("/api/v1/tasks/{task}/wait?timeout=30"))
        .await;
    assert_eq!(waited.body["state"], "paused", "{}", waited.body);
    (api, task)
}

async fn operator_entries(api: &Api, task: &str) -> Vec<Value> {
    let history = api
        .get(&ADMIN, &format!("/api/v1/tasks/{task}/history"))
        .await;
    let entries = history.body["results"].as_array().unwrap().iter();
    let told = entries.filter(|row| row["event"] == "operator");
    told.map(|row| row["detail"].clone()).collect()
}

async fn audited(api: &Api, search: &str) -> Vec<Value> {
    let path = format!("/api/v1/audit?search={}", search.replace(' ', "%20").replace('=', "%3D"));
    let found = api.get(&ADMIN, &path).await;
    found.body["results"].as_array().unwrap().clone()
}

#[tokio::test]
async fn an_event_is_kept_for_the_step_that_will_ask_and_stands_in_history_and_audit() {
    let (api, task) = paused_push().await;
    let path = format!("/api/v1/tasks/{task}/events/approved");

    let first = api
        .post(&ADMIN, &path, json!({"payload": {"by": "the board"}, "reason": "they met"}))
        .await;
    let again = api.post(&ADMIN, &path, json!({"payload": 2})).await;
    let bare = api
        .post(&ADMIN, &format!("/api/v1/tasks/{task}/events/other"), json!({}))
        .await;
    let long = format!("/api/v1/tasks/{task}/events/{}", "x".repeat(101));
    let too_long = api.post(&ADMIN, &long, json!({})).await;
    let unknown_field = api.post(&ADMIN, &path, json!({"payloads": 1})).await;

    for answer in [&first, &again, &bare] {
        assert_eq!(answer.status(), StatusCode::ACCEPTED, "{}", answer.body);
        assert_eq!(answer.body["state"], "paused");
    }
    assert_eq!(too_long.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(too_long.body["errors"][0]["field"], "name");
    assert_eq!(unknown_field.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let told = operator_entries(&api, &task).await;
    let payloads: Vec<&Value> = told
        .iter()
        .map(|entry| &entry["message"]["action"]["event"]["payload"])
        .collect();
    assert_eq!(payloads, [&json!({"by": "the board"}), &json!(2), &Value::Null]);
    let audited = audited(&api, "action = event").await;
    assert_eq!(audited.len(), 3, "{audited:?}");
    assert_eq!(audited[2]["reason"], "they met");
    assert_eq!(audited[2]["task"], json!(task));
}

#[tokio::test]
async fn an_action_that_does_not_fit_is_in_the_audit_as_refused() {
    let (api, task) = paused_push().await;

    let held = api
        .post(&ADMIN, &format!("/api/v1/tasks/{task}/hold"), json!({"reason": "a freeze"}))
        .await;
    let retried = api
        .post(&ADMIN, &format!("/api/v1/tasks/{task}/steps/copy/retry_now"), json!({}))
        .await;
    let cancelled = api
        .post(&ADMIN, &format!("/api/v1/tasks/{task}/cancel"), json!({}))
        .await;
    let resumed = api
        .post(&ADMIN, &format!("/api/v1/tasks/{task}/resume"), json!({}))
        .await;

    assert_eq!(held.status(), StatusCode::CONFLICT);
    assert_eq!(retried.status(), StatusCode::CONFLICT);
    assert_eq!(cancelled.status(), StatusCode::ACCEPTED);
    assert_eq!(resumed.status(), StatusCode::CONFLICT);
    let refused = audited(&api, "result = refused").await;
    let told: Vec<(&str, &str)> = refused
        .iter()
        .map(|entry| (entry["action"].as_str().unwrap(), entry["task"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [("resume", &*task), ("retry_now", &*task), ("hold", &*task)],
        "the newest first"
    );
    let why = refused[2]["reason"].as_str().unwrap();
    assert!(why.contains("cannot be held"), "{why}");
    assert_eq!(refused[2]["actor"], "admin");
}

#[tokio::test]
async fn the_input_of_a_push_is_nothing_for_an_operator_to_change() {
    let (api, task) = paused_push().await;
    let path = format!("/api/v1/tasks/{task}/resume");

    let other_tag = api
        .post(&ADMIN, &path, json!({"input": {"tag": "latest2"}}))
        .await;
    let preview = api
        .post(&ADMIN, &path, json!({"input": {"login": "eve"}, "dry_run": true}))
        .await;
    let nothing = api
        .post(&ADMIN, &path, json!({"input": {}, "dry_run": true}))
        .await;
    let no_object = api.post(&ADMIN, &path, json!({"input": 7})).await;

    for (answer, field) in [(&other_tag, "input.tag"), (&preview, "input.login"), (&no_object, "input")] {
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.body);
        assert_eq!(answer.body["errors"][0]["field"], field, "{}", answer.body);
    }
    assert_eq!(nothing.status(), StatusCode::OK, "{}", nothing.body);
    assert_eq!(nothing.body["input_changes"], json!([]));
    let seen = api.get(&ADMIN, &format!("/api/v1/tasks/{task}")).await;
    assert_eq!(seen.body["state"], "paused");
    assert_eq!(seen.body["priority"], "normal");
    assert_eq!(seen.body["held"], Value::Null);
    assert_eq!(seen.body["input_changes"], json!([]));
}
