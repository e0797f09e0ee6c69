//! Schedules, from outside: what is refused, by whom they are seen, and how the command line says so.

use serde_json::json;
use tests::rest::Rest;
use tests::server::Server;

const PASSWORD: &str = "many-hands-on-deck-3";

#[tokio::test]
async fn a_schedule_that_could_not_run_is_refused_field_by_field() {
    let server = Server::start().await;
    let new =
        json!({"name": "nightly", "workflow": "push", "cron": "30 2 * *", "time_zone": "Berlin"});

    let refused = server.rest().post("/schedules", &new).await;

    let refused = refused.expect_status(422).json();
    let told: Vec<_> = refused["errors"]
        .as_array()
        .expect("fields")
        .iter()
        .map(|wrong| &wrong["field"])
        .collect();
    assert_eq!(told, ["workflow", "input", "cron", "time_zone"]);
}

#[tokio::test]
async fn schedules_are_seen_by_who_may_manage_them() {
    let server = Server::start().await;
    let rest = server.rest();
    rest.make_organization("acme").await;
    rest.make_user("ana", PASSWORD, "admin", "acme").await;
    let ana = Rest::with_login(&server.host(), "ana", PASSWORD);

    rest.get("/schedules").await.expect_status(200);
    ana.get("/schedules").await.expect_status(403);
    rest.get("/schedules/7").await.expect_status(404);
    rest.post("/schedules/7/run_now", &json!({}))
        .await
        .expect_status(404);
    rest.get("/schedules/7/next_runs?n=0")
        .await
        .expect_status(422);
}

#[tokio::test]
async fn the_command_line_has_schedules_too() {
    let server = Server::start().await;

    let list = server.cli(&["schedule", "list"]).await;
    let refused = server
        .cli(&[
            "schedule",
            "create",
            "nightly",
            "--workflow",
            "push",
            "--cron",
            "0 25 * * *",
        ])
        .await;
    let none = server.cli(&["schedule", "run-now", "7"]).await;

    let list = list.expect_code(0).stdout;
    assert!(
        ["cleanup", "retention", "verify"]
            .iter()
            .all(|it| list.contains(it))
            && list.lines().count() == 4,
        "{list}"
    );
    let said = format!("{refused}");
    assert!(
        said.contains("has \"25\" as hour, which must be 0 to 23"),
        "{said}"
    );
    assert!(
        format!("{none}").contains("there is no schedule 7"),
        "{none}"
    );
}
