//! Schedules over REST. No workflow of this version may be scheduled, so those here are put there beside REST.

use http::StatusCode;
use serde_json::{Value, json};

use super::house::{ADMIN, Api, BOB};

const SCHEDULES: &str = "/api/v1/schedules";

/// An API with a schedule and one that is built in; their paths.
async fn house() -> (Api, String, String) {
    let api = Api::start(&[]).await.with_bob("operator").await;
    let (_, task, _) = api.push("acme/app").await;
    let own = api.schedule("nightly", &task, false).await;
    let built_in = api.schedule("yearly", &task, true).await;
    (
        api,
        format!("{SCHEDULES}/{own}"),
        format!("{SCHEDULES}/{built_in}"),
    )
}

fn wrong(body: &Value) -> Vec<&str> {
    let errors = body["errors"].as_array().unwrap().iter();
    errors
        .map(|wrong| wrong["field"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn every_wrong_field_of_a_schedule_is_told_at_once_with_an_example() {
    let api = Api::start(&[]).await;
    let new = json!({"name": "n", "workflow": "dance", "cron": "30 25 * * *", "time_zone": "europe/berlin",
        "end_at": "yesterday", "max_runs": 0});

    let answer = api.post(&ADMIN, SCHEDULES, new).await;

    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        wrong(&answer.body),
        ["workflow", "cron", "time_zone", "end_at", "max_runs"]
    );
    let told = |n: usize| answer.body["errors"][n]["message"].as_str().unwrap();
    assert_eq!(
        told(1),
        "has \"25\" as hour, which must be 0 to 23, a range as 8-17, a step as */2, a list of these, or *; write for example \"0 8-17 * * *\""
    );
    assert!(
        told(2).ends_with("write for example \"Europe/Berlin\""),
        "{}",
        told(2)
    );
    assert!(
        told(3).ends_with("write for example \"2030-01-31T12:00:00Z\""),
        "{}",
        told(3)
    );
}

#[tokio::test]
async fn a_push_is_not_schedulable_and_an_input_that_does_not_fit_is_told() {
    let api = Api::start(&[]).await;
    let push = json!({"name": "n", "workflow": "push", "input": {}, "cron": "@daily"});

    let answer = api.post(&ADMIN, SCHEDULES, push).await;

    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(wrong(&answer.body), ["workflow", "input"]);
    let told = answer.body["errors"][0]["message"].as_str().unwrap();
    assert!(
        told.starts_with("cannot be scheduled: push runs when a client asks for it"),
        "{told}"
    );
}

#[tokio::test]
async fn a_schedule_is_shown_with_its_next_runs_and_changed_from_now_on() {
    let (api, own, _) = house().await;

    let before = api.get(&ADMIN, &own).await.body;
    let changes = json!({"cron": "0 4 * * *", "time_zone": "UTC", "missed": "all", "end_at": "2100-01-01T00:00:00Z", "max_runs": 9});
    let after = api.patch(&ADMIN, &own, changes).await;
    let runs = api.get(&ADMIN, &format!("{own}/next_runs?n=20")).await.body;
    let endless = json!({"end_at": null, "max_runs": null, "enabled": false, "reason": "too loud"});
    let off = api.patch(&ADMIN, &own, endless).await.body;
    let audit = api.get(&ADMIN, "/api/v1/audit").await.body;

    assert_eq!(
        before["next_run_at"].as_str().map(|at| &at[4..]),
        Some("-01-01T01:30:00.000Z")
    );
    assert_eq!(
        (&before["saved_by"], &before["runs"]),
        (&Value::Null, &json!(0))
    );
    assert_eq!(after.status(), StatusCode::OK, "{}", after.body);
    assert_eq!(
        (
            &after.body["missed"],
            &after.body["end_at"],
            &after.body["saved_by"]
        ),
        (
            &json!("all"),
            &json!("2100-01-01T00:00:00.000Z"),
            &json!("admin")
        )
    );
    let runs = runs["next_runs"].as_array().unwrap();
    assert_eq!(runs.len(), 9, "it has nine left");
    assert!(
        runs.iter()
            .all(|at| at.as_str().unwrap().ends_with("T04:00:00.000Z"))
    );
    assert_eq!(
        (&off["end_at"], &off["max_runs"], &off["next_run_at"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let entry = &audit["results"][0];
    assert_eq!(
        (&entry["action"], &entry["subject"]),
        (&json!("change"), &json!("schedule nightly"))
    );
    assert_eq!(
        entry["reason"],
        "end_at none, max_runs none, enabled false (too loud)"
    );
}

#[tokio::test]
async fn a_schedule_that_had_ended_makes_no_times_good_when_it_may_run_again() {
    let (api, own, _) = house().await;
    let ended = api.ended_schedule("over").await; // since long, with `missed: all`
    let path = format!("{SCHEDULES}/{ended}");

    let before = api.get(&ADMIN, &path).await.body;
    let after = api.patch(&ADMIN, &path, json!({"max_runs": 12})).await;

    assert_eq!(before["next_run_at"], Value::Null, "{before}");
    assert_eq!(after.status(), StatusCode::OK, "{}", after.body);
    let next = after.body["next_run_at"].as_str().unwrap();
    let other = api.get(&ADMIN, &own).await.body;
    assert!(next > other["created_at"].as_str().unwrap(), "{next}");
}

#[tokio::test]
async fn a_schedule_of_somebody_who_may_make_none_is_passed_over_and_says_why() {
    let api = Api::start(&[]).await.with_bob("operator").await;
    let of_bob = api.due_schedule("of bob", "bob").await; // an operator, but of one organization
    let of_admin = api.due_schedule("of the administrator", "admin").await;
    let path = |id: &str| format!("{SCHEDULES}/{id}");

    // They are fired in the order of their ids.
    let ran = loop {
        let shown = api.get(&ADMIN, &path(&of_admin)).await.body;
        if shown["runs"] != 0 {
            break shown;
        }
        tokio::task::yield_now().await;
    };
    let passed_over = api.get(&ADMIN, &path(&of_bob)).await.body;

    assert_eq!(ran["passed_over_because"], Value::Null);
    assert_eq!(passed_over["runs"], 0, "{passed_over}");
    let why = passed_over["passed_over_because"].as_str().unwrap();
    assert!(
        why.starts_with("user `bob`, who saved it, lacks the permission `manage_schedules`"),
        "{why}"
    );
    let next = passed_over["next_run_at"].as_str().unwrap();
    assert!(next > ran["last_run_at"].as_str().unwrap(), "{passed_over}");
}

#[tokio::test]
async fn a_built_in_schedule_can_be_changed_but_neither_renamed_nor_deleted() {
    let (api, own, built_in) = house().await;

    let changed = api
        .patch(
            &ADMIN,
            &built_in,
            json!({"cron": "@weekly", "enabled": false}),
        )
        .await;
    let renamed = api.patch(&ADMIN, &built_in, json!({"name": "other"})).await;
    let deleted = api.ask(&ADMIN, http::Method::DELETE, &built_in, None).await;
    let own_deleted = api.ask(&ADMIN, http::Method::DELETE, &own, None).await;
    let gone = api.get(&ADMIN, &own).await;

    assert_eq!(changed.status(), StatusCode::OK, "{}", changed.body);
    assert_eq!(renamed.status(), StatusCode::CONFLICT);
    assert_eq!(deleted.status(), StatusCode::CONFLICT);
    assert_eq!(
        deleted.body["detail"],
        "schedule `yearly` is built in and would come back; disable it: PATCH {\"enabled\": false}"
    );
    assert_eq!(own_deleted.status(), StatusCode::NO_CONTENT);
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn two_schedules_do_not_have_one_name() {
    let (api, own, _) = house().await;

    let taken = api.patch(&ADMIN, &own, json!({"name": "yearly"})).await;

    assert_eq!(taken.status(), StatusCode::CONFLICT);
    assert_eq!(taken.body["type"], "urn:wharfinger:problem:duplicate");
}

#[tokio::test]
async fn a_run_besides_its_times_is_a_task_of_who_wanted_it() {
    let (api, own, _) = house().await;

    let why = json!({"reason": "the disk was full at night"});
    let run = api.post(&ADMIN, &format!("{own}/run_now"), why).await;
    let slip = json!({"raeson": "x"});
    let slip = api.post(&ADMIN, &format!("{own}/run_now"), slip).await;

    assert_eq!(
        slip.status(),
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        slip.body
    );
    assert_eq!(run.status(), StatusCode::ACCEPTED, "{}", run.body);
    let task = run.body["task_id"].as_str().unwrap();
    let task = api.get(&ADMIN, &format!("/api/v1/tasks/{task}")).await.body;
    assert_eq!(
        (&task["cause"], &task["user"]),
        (&json!("schedule"), &json!("admin"))
    );
    assert_eq!(
        api.get(&ADMIN, &own).await.body["runs"],
        0,
        "it is none of its times"
    );
    let audit = api.get(&ADMIN, "/api/v1/audit").await.body;
    let entry = &audit["results"][0];
    assert_eq!(
        (&entry["action"], &entry["reason"]),
        (&json!("run_now"), &json!("the disk was full at night"))
    );
}

#[tokio::test]
async fn schedules_are_for_who_manages_them_everywhere() {
    let (api, own, _) = house().await;

    let refused = api.get(&BOB, &own).await; // an operator, but of one organization
    let grant = json!({"user": "bob", "role": "operator"});
    let granted = api.post(&ADMIN, "/api/v1/grants", grant).await;
    let allowed = api.get(&BOB, &own).await;

    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(granted.status(), StatusCode::CREATED, "{}", granted.body);
    assert_eq!(allowed.status(), StatusCode::OK);
}
