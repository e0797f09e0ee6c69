//! How long tasks are kept, what is deleted, and what is written down of it.

use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::house::{ADMIN, Api, BOB, SERVICE, Who};

const SETTING: &str = "/api/v1/settings/task_retention";

/// The lines of an export.
async fn exported(api: &Api, who: &Who<'_>, query: &str) -> Vec<Value> {
    let request = Request::builder()
        .uri(format!("/api/v1/tasks/export{query}"))
        .header(HOST, SERVICE)
        .header(AUTHORIZATION, who.authorization().unwrap());
    let answer = api.open(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/x-ndjson");
    let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await;
    let text = String::from_utf8(bytes.unwrap().to_vec()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn an_export_holds_each_task_with_its_whole_history_in_a_line() {
    let api = Api::start(&[]).await.with_bob("publisher").await;
    let (_, first, digest) = api.push("acme/one").await;
    let (_, second, _) = api.push("acme/two").await;
    let ended = |task: &str| format!("/api/v1/tasks/{task}/wait?timeout=30");
    for task in [&first, &second] {
        assert_eq!(
            api.get(&ADMIN, &ended(task)).await.body["result"],
            "success"
        );
    }

    let all = exported(&api, &ADMIN, "").await;
    let found = exported(&api, &ADMIN, "?search=repository%20%3D%20acme%2Fone").await;
    let history = format!("/api/v1/tasks/{first}/history?per_page=500");
    let history = api.get(&ADMIN, &history).await.body;
    let shown = api
        .get(&ADMIN, &format!("/api/v1/tasks/{first}"))
        .await
        .body;

    let ids: Vec<&Value> = all.iter().map(|line| &line["id"]).collect();
    assert_eq!(ids, [&json!(first), &json!(second)], "the oldest first");
    assert_eq!(found.len(), 1);
    let line = &found[0];
    assert_eq!(line["history"], history["results"]);
    assert_eq!(line["digest"], digest);
    for (field, value) in shown.as_object().unwrap() {
        // What it says of others and of itself as of now changes with the time.
        if !["answered", "client"].contains(&field.as_str()) {
            assert_eq!(&line[field], value, "{field}");
        }
    }
}

#[tokio::test]
async fn an_export_holds_only_what_one_may_see_and_takes_no_other_parameter() {
    let api = Api::start(&[]).await.with_bob("pusher").await;
    api.push("acme/one").await;

    let of_bob = exported(&api, &BOB, "").await;
    let slip = api.get(&ADMIN, "/api/v1/tasks/export?serach=x").await;
    let wrong = api.get(&ADMIN, "/api/v1/tasks/export?search=%28").await;

    assert!(of_bob.is_empty(), "the task is the administrator's");
    assert_eq!(slip.status(), StatusCode::BAD_REQUEST, "{}", slip.body);
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST, "{}", wrong.body);
}

#[tokio::test]
async fn a_cleanup_is_a_task_that_says_what_it_deleted() {
    let api = Api::start(&[]).await.with_bob("publisher").await;
    let body = json!({"dry_run": true, "reason": "to see"});

    let begun = api.post(&ADMIN, "/api/v1/tasks/cleanup", body).await;
    let refused = api.post(&BOB, "/api/v1/tasks/cleanup", json!({})).await;

    assert_eq!(begun.status(), StatusCode::ACCEPTED, "{}", begun.body);
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let task = begun.body["id"].as_str().unwrap();
    let ended = api
        .get(&ADMIN, &format!("/api/v1/tasks/{task}/wait?timeout=30"))
        .await
        .body;
    assert_eq!(
        (&ended["label"], &ended["result"]),
        (&json!("cleanup"), &json!("success"))
    );
    assert_eq!(
        (&ended["input"], &ended["cause"]),
        (&json!({"dry_run": true}), &json!("client"))
    );
    assert_eq!(
        ended["output"]["delete_tasks"],
        json!({"tasks": 0, "by_label": {}, "complete": true})
    );
    let audit = api
        .get(&ADMIN, "/api/v1/audit?search=action%20%3D%20run_now")
        .await
        .body;
    let entry = &audit["results"][0];
    assert_eq!(
        (&entry["subject"], &entry["task"]),
        (&json!("dry run of the cleanup"), &json!(task))
    );
    assert_eq!(entry["reason"], "to see");
}

#[tokio::test]
async fn a_retention_that_does_not_read_is_refused_with_what_is_wrong() {
    let api = Api::start(&[]).await;
    let usual = api.get(&ADMIN, SETTING).await.body;

    let rules =
        json!({"success": "7d", "other": "forever", "workflows": {"cleanup": {"other": "1h"}}});
    let set = api.patch(&ADMIN, SETTING, json!({"value": rules})).await;
    let unknown = api
        .patch(&ADMIN, SETTING, json!({"value": {"successs": "7d"}}))
        .await;
    let too_short = api
        .patch(&ADMIN, SETTING, json!({"value": {"other": "5m"}}))
        .await;
    let number = api.patch(&ADMIN, SETTING, json!({"value": 30})).await;
    let slip = json!({"other": "1h", "workflows": {"psuh": {"other": "forever"}}});
    let slip = api.patch(&ADMIN, SETTING, json!({"value": slip})).await;

    assert_eq!(
        (&usual["type"], &usual["value"]),
        (
            &json!("retention"),
            &json!({"success": "30d", "other": "90d"})
        )
    );
    assert_eq!(set.status(), StatusCode::OK, "{}", set.body);
    assert_eq!(set.body["value"], rules);
    for (refused, why) in [
        (unknown, "unknown variant `successs`"),
        (too_short, "`5m` is not a time from 1h to 3650d"),
        (number, "must be times by how a task ended"),
        (
            slip,
            "there is no workflow `psuh`; the ones of this version are ",
        ),
    ] {
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let told = refused.body["errors"][0]["message"].as_str().unwrap();
        assert!(told.contains(why), "{told}");
    }
}

#[tokio::test]
async fn whoever_asks_for_a_task_that_is_not_there_is_told_that_it_may_have_been_deleted() {
    let api = Api::start(&[]).await;
    let task = uuid::Uuid::now_v7();

    let gone = api.get(&ADMIN, &format!("/api/v1/tasks/{task}")).await;

    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        gone.body["detail"],
        format!(
            "there is no task {task} (what ended long ago is deleted, as the setting task_retention says), or none that you may see"
        )
    );
}

#[tokio::test]
async fn a_cleanup_can_be_scheduled_with_an_input_of_ones_own() {
    let api = Api::start(&[]).await;
    let schedule = |input: Value| json!({"name": "weekly", "workflow": "cleanup", "input": input, "cron": "@weekly"});

    let wrong = api
        .post(
            &ADMIN,
            "/api/v1/schedules",
            schedule(json!({"dryrun": true})),
        )
        .await;
    let made = api
        .post(
            &ADMIN,
            "/api/v1/schedules",
            schedule(json!({"dry_run": true})),
        )
        .await;
    let id = made.body["id"].to_string();
    let run = api
        .post(
            &ADMIN,
            &format!("/api/v1/schedules/{id}/run_now"),
            json!({}),
        )
        .await;

    assert_eq!(
        wrong.status(),
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        wrong.body
    );
    assert_eq!(made.status(), StatusCode::CREATED, "{}", made.body);
    let task = run.body["task_id"].as_str().unwrap();
    let ended = api
        .get(&ADMIN, &format!("/api/v1/tasks/{task}/wait?timeout=30"))
        .await
        .body;
    assert_eq!(
        (&ended["result"], &ended["input"]),
        (&json!("success"), &json!({"dry_run": true}))
    );
}
