//! What is deleted after its time: by schedule, by hand, and whatever kills the server meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tests::image::Image;
use tests::rest::{Rest, text};
use tests::server::Server;
use tests::turn;
use tests::wait::{self, SOON};

const NAME: &str = "default_organization/model/app";

/// The schedule of this name.
pub(crate) async fn schedule(rest: &Rest, name: &str) -> Value {
    let all = rest.all("/schedules", "").await;
    let found = all.into_iter().find(|it| it["name"] == name);
    found.unwrap_or_else(|| panic!("there is no schedule {name}"))
}

/// A server with old tasks like one push: one of a hundred is paused.
async fn with_old_tasks(options: &[&str], tasks: u32) -> Server {
    let mut server = Server::start_with(options).await;
    let image = Image::small(1);
    server
        .oci()
        .push(NAME, "latest", &image)
        .await
        .expect_status(201);
    server.rest().only_push_of(NAME, "latest").await;
    server.terminate().await;
    assert_eq!(server.ended().await, 0);
    let folder = server.data_dir();
    let folder = folder.to_str().expect("a path of ours is text");
    let tasks = tasks.to_string();
    let fill = [
        "bench",
        "fill",
        "--data-dir",
        folder,
        "--tasks",
        &tasks,
        "--days",
        "400",
    ];
    let filled = server.cli(&fill).await.expect_code(0).stdout;
    assert_eq!(filled.trim(), tasks);
    server.restart().await;
    let keep = json!({"value": {"other": "1h"}});
    let kept = server.rest().patch("/settings/task_retention", &keep).await;
    kept.expect_status(200);
    server
}

async fn tasks(rest: &Rest) -> u64 {
    let found = rest.search("/tasks", &[("per_page", "1")]).await;
    found.json()["total"].as_u64().expect("a number")
}

fn exported(folder: &Path) -> Vec<Value> {
    let mut lines = Vec::new();
    for file in std::fs::read_dir(folder).expect("something was exported") {
        let path = file.expect("a file").path();
        let text = std::fs::read_to_string(path).expect("it is text");
        // A kill in the middle of a line leaves half of it; its task was not deleted then.
        lines.extend(
            text.lines()
                .filter_map(|line| serde_json::from_str(line).ok()),
        );
    }
    lines
}

#[tokio::test]
async fn the_built_in_cleanup_runs_when_asked_and_keeps_what_was_changed_of_it() {
    let mut server = Server::start().await;
    let rest = server.rest();
    let made = schedule(&rest, "cleanup").await;
    let path = format!("/schedules/{}", made["id"]);

    let changes = json!({"cron": "0 4 * * *", "time_zone": "Europe/Berlin", "missed": "skip"});
    rest.patch(&path, &changes).await.expect_status(200);
    server.kill().await;
    server.restart().await;
    let kept = schedule(&rest, "cleanup").await;
    rest.delete(&path).await.expect_status(409);
    let run = rest.post(&format!("{path}/run_now"), &json!({})).await;
    let run = run.expect_status(202).json();
    let ended = rest.until_state(text(&run["task_id"]), "stopped").await;

    assert_eq!(
        (
            &made["built_in"],
            &made["cron"],
            &made["time_zone"],
            &made["missed"]
        ),
        (
            &json!(true),
            &json!("30 2 * * *"),
            &json!("UTC"),
            &json!("once")
        )
    );
    assert_eq!(
        (&kept["id"], &kept["built_in"]),
        (&made["id"], &json!(true))
    );
    for (field, value) in changes.as_object().expect("it is one") {
        assert_eq!(&kept[field], value, "{field}");
    }
    assert_eq!(
        (&ended["result"], &ended["cause"]),
        (&json!("success"), &json!("schedule"))
    );
    assert_eq!(ended["output"]["delete_tasks"]["tasks"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cleanup_is_killed_again_and_again_and_deletes_every_task_once() {
    const TASKS: u32 = 3_000;
    const PAUSED: u32 = TASKS / 100;
    /// With the next one it would be taken for what kills the server, and paused as `poison`.
    const KILLS: u32 = 3;
    let _turn = turn::heavy().await;
    let archive = tempfile::tempdir().expect("a temporary folder");
    let folder = archive.path().to_str().expect("a path of ours is text");
    let mut server = with_old_tasks(&["--task-export-dir", folder], TASKS).await;
    let rest = server.rest();
    let old: BTreeSet<String> = rest
        .all("/tasks", "state = stopped and ended_at < \"1 hour ago\"")
        .await
        .iter()
        .map(|task| text(&task["id"]).to_owned())
        .collect();

    let dry = server
        .cli(&["task", "cleanup", "--dry-run", "--wait"])
        .await;
    let begun = rest.post("/tasks/cleanup", &json!({})).await;
    let begun = begun.expect_status(202).json();
    let id = text(&begun["id"]);
    let mut left = Vec::new();
    for _ in 0..KILLS {
        let before = tasks(&rest).await;
        let fewer = async || {
            (tasks(&rest).await < before || rest.task(id).await["state"] == "stopped").then_some(())
        };
        wait::until("some more tasks are deleted", SOON, fewer).await;
        server.kill().await;
        server.restart().await;
        left.push(tasks(&rest).await);
    }
    let ended = rest.until_state(id, "stopped").await;

    println!("{KILLS} kills, after which were left: {left:?}");
    assert!(
        dry.expect_code(0)
            .stdout
            .contains(&format!("tasks would be deleted: {}", TASKS - PAUSED)),
        "a dry run tells the same"
    );
    let deleted = &ended["output"]["delete_tasks"];
    assert_eq!(deleted["tasks"], TASKS - PAUSED, "{ended}");
    assert_eq!(old.len(), (TASKS - PAUSED) as usize);
    let stopped = rest.all("/tasks", "state = stopped").await;
    assert_eq!(stopped.len(), 3, "the push, the dry run, and the cleanup");
    let paused = rest.all("/tasks", "state = paused").await;
    assert_eq!(paused.len(), PAUSED as usize, "nobody has ended those");
    let lines = exported(archive.path());
    let ids: BTreeSet<String> = lines
        .iter()
        .map(|line| text(&line["id"]).to_owned())
        .collect();
    assert_eq!(
        ids, old,
        "each is exported before it is deleted, some of them twice"
    );
    assert!(
        lines
            .iter()
            .all(|line| line["history"][0]["event"] == "submitted")
    );
    let gone = old.first().expect("there were some");
    let gone = rest
        .get(&format!("/tasks/{gone}"))
        .await
        .expect_status(404)
        .json();
    assert!(text(&gone["detail"]).contains("task_retention"), "{gone}");
    let found = server.doctor().await.to_string();
    assert!(
        !found.contains("there is no such task") && !found.contains("its parent"),
        "{found}"
    );
    server
        .oci()
        .assert_pullable(NAME, "latest", &Image::small(1))
        .await;
    let audit = rest.all("/audit", "action = delete").await;
    assert_eq!(audit.len(), 1, "{audit:?}");
    assert_eq!(audit[0]["task"], id);
}

/// The nominal times of the tasks that this schedule began, each with the tasks of it.
pub(crate) async fn fired(server: &Server, name: &str) -> BTreeMap<String, Vec<String>> {
    let export = ["task", "export", "--search", "label = cleanup"];
    let text_of_all = server.cli(&export).await.expect_code(0).stdout;
    let mut fired: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text_of_all.lines() {
        let task: Value = serde_json::from_str(line).expect("a line is JSON");
        let links = &task["history"][0]["detail"]["links"];
        let link = |name: &str| {
            let mut links = links.as_array().expect("links").iter();
            let found = links.find(|link| link[0] == name);
            found.map(|link| text(&link[1]).to_owned())
        };
        if link("schedule").as_deref() == Some(name) {
            let nominal = link("scheduled_for").expect("it has a time");
            fired
                .entry(nominal)
                .or_default()
                .push(text(&task["id"]).to_owned());
        }
    }
    fired
}

/// Waits for two minutes of the real clock to begin: the times at which a schedule fires are its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_fires_once_for_each_of_its_times_however_often_the_server_is_killed() {
    let _turn = turn::heavy().await;
    let mut server = Server::start().await;
    let rest = server.rest();
    let new = json!({
        "name": "minutely", "workflow": "cleanup", "input": {"dry_run": true}, "cron": "* * * * *",
    });
    let made = rest
        .post("/schedules", &new)
        .await
        .expect_status(201)
        .json();
    let path = format!("/schedules/{}", made["id"]);

    let mut kills = 0;
    let runs = wait::until(
        "two of its times have come",
        Duration::from_mins(4),
        async || {
            // The moment is what is tried out: a start takes a second, so that each time comes at another place of one.
            tokio::time::sleep(Duration::from_millis(300 + kills * 37 % 900)).await;
            server.kill().await;
            server.restart().await;
            kills += 1;
            let shown = rest.get(&path).await.expect_status(200).json();
            shown["runs"].as_u64().filter(|runs| *runs >= 2)
        },
    )
    .await;
    rest.until_no_task_is_open(SOON).await;

    let fired = fired(&server, "minutely").await;
    println!("{kills} kills, {runs} runs for {:?}", fired.keys());
    assert_eq!(fired.len() as u64, runs);
    assert!(fired.values().all(|tasks| tasks.len() == 1), "{fired:?}");
    assert!(kills > 20);
}
