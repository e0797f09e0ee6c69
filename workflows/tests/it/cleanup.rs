//! What a cleanup deletes, what it keeps, and that nothing is lost whenever it ends.

use crate::house::{FOR_EVER, House, HouseNode};
use engine::clock::{Clock, Timestamp};
use engine::journal::{Action, Cause, Json, Message, PlanId, PlanResult};
use engine::node::BuiltIn;
use engine::schedule::Missed;
use engine::search::Search;
use engine::store::{Page, Store as _};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use storage::catalog::settings::{self, Key};
use storage::catalog::{audit, tallies};
use workflows::cleanup::{Cleanup, DeletedTasks};

const DAY: Duration = Duration::from_hours(24);
const DRY: Cleanup = Cleanup { dry_run: true };
const FOR_REAL: Cleanup = Cleanup { dry_run: false };

/// A clock that runs as many days behind.
fn days_ago(days: u32) -> Clock {
    Clock::of_runtime(Clock::system().now() - DAY * days)
}

/// A node of this house, whose clock is then so many days behind.
async fn node_of(house: &mut House, days: u32) -> HouseNode {
    house.services.clock = days_ago(days);
    house.node(None).await
}

/// As many tasks that have ended well, by a node that is gone then.
async fn old_tasks(house: &mut House, days: u32, tasks: usize) -> BTreeSet<PlanId> {
    let node = node_of(house, days).await;
    let mut old = BTreeSet::new();
    for _ in 0..tasks {
        old.insert(node.submit(&DRY, None).await.unwrap());
    }
    for plan in &old {
        let ended = node.wait(*plan, FOR_EVER).await.unwrap();
        assert_eq!(ended.result, PlanResult::Success);
    }
    node.drain(FOR_EVER).await;
    old
}

async fn run(node: &HouseNode, cleanup: Cleanup) -> (PlanId, DeletedTasks) {
    let id = node.submit(&cleanup, None).await.unwrap();
    (id, ended(node, id).await)
}

/// What the run has told when it was over.
async fn ended(node: &HouseNode, id: PlanId) -> DeletedTasks {
    let plan = node.wait(id, FOR_EVER).await.unwrap();
    let output = plan.output_of("delete_tasks");
    output
        .unwrap_or_else(|| panic!("{plan:?}"))
        .decode()
        .unwrap()
}

async fn kept(house: &House) -> BTreeSet<PlanId> {
    let page = Page {
        limit: 10_000,
        ..Page::default()
    };
    let found = house.journal().list(Search::default(), page).await;
    found.unwrap().plans.into_iter().collect()
}

/// Who deleted what, as the audit tells it.
async fn audited(house: &House) -> Vec<(String, Option<PlanId>)> {
    let mut tx = house.services.database.read().await.unwrap();
    let search = Search::parse("action = delete", Timestamp(0)).unwrap();
    let entries = audit::list(&mut tx, &search, None, 100).await.unwrap();
    let entries = entries.into_iter();
    entries.map(|it| (it.what.actor, it.what.task)).collect()
}

async fn set_retention(house: &House, value: Value) {
    Key::TaskRetention.check(&value).unwrap();
    let at = house.services.clock.now();
    house
        .write(move |tx| {
            Box::pin(
                async move { settings::set(tx, Key::TaskRetention, &value, "admin", at).await },
            )
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_counts_what_the_run_then_deletes() {
    let mut house = House::new().await;
    let node = node_of(&mut house, 40).await;
    let to = house.destination("acme/tools/busybox").await;
    let image = house.image(&to, "the image").await;
    let push = house.plan(&node, &to, "latest", &image).await;
    node.wait(push, FOR_EVER).await.unwrap();
    node.drain(FOR_EVER).await;
    old_tasks(&mut house, 31, 3).await;
    let young = old_tasks(&mut house, 29, 2).await;
    let node = node_of(&mut house, 0).await;

    let (dry, would) = run(&node, DRY).await;
    let before = kept(&house).await;
    let (real, deleted) = run(&node, FOR_REAL).await;
    let (again, nothing) = run(&node, FOR_REAL).await;

    assert_eq!(before.len(), 1 + 3 + 2 + 1, "a dry run deletes nothing");
    assert_eq!(deleted, would);
    let by_label = json!({"push": {"success": 1}, "cleanup": {"success": 3}});
    let expected = json!({"tasks": 4, "by_label": by_label, "complete": true});
    assert_eq!(serde_json::to_value(&deleted).unwrap(), expected);
    assert_eq!(nothing.tasks, 0);
    let left: BTreeSet<PlanId> = young.into_iter().chain([dry, real, again]).collect();
    assert_eq!(kept(&house).await, left);
    assert_eq!(audited(&house).await, [("engine".to_owned(), Some(real))]);
    assert_eq!(
        house.pulled(&to, "latest").await,
        Some(image.digest),
        "what a forgotten push has published stays"
    );
    node.drain(FOR_EVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_setting_keeps_is_kept() {
    let mut house = House::new().await;
    let old = old_tasks(&mut house, 300, 2).await;
    let node = node_of(&mut house, 0).await;

    set_retention(
        &house,
        json!({"other": "1h", "workflows": {"cleanup": {"other": "400d"}}}),
    )
    .await;
    let (_, longer) = run(&node, DRY).await;
    set_retention(&house, json!({})).await;
    let (_, forever) = run(&node, DRY).await;
    set_retention(&house, json!({"success": "299d"})).await;
    let (_, all) = run(&node, FOR_REAL).await;

    assert_eq!((longer.tasks, forever.tasks, all.tasks), (0, 0, 2));
    assert!(kept(&house).await.is_disjoint(&old));
    node.drain(FOR_EVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cleanup_whose_node_dies_goes_on_and_counts_every_task_once() {
    const TASKS: u64 = 400;
    let mut house = House::new().await;
    let old = old_tasks(&mut house, 40, 400).await;
    let node = node_of(&mut house, 0).await;

    let id = node.submit(&FOR_REAL, None).await.unwrap();
    loop {
        let mut tx = house.services.database.read().await.unwrap();
        if !tallies::of(&mut tx, id).await.unwrap().is_empty() {
            break;
        }
        drop(tx);
        tokio::task::yield_now().await;
    }
    node.kill().await;
    let left = kept(&house).await.intersection(&old).count();
    let node = house.node(None).await;
    let deleted = ended(&node, id).await;

    println!("{left} of {TASKS} tasks were left when the node died");
    assert_eq!((deleted.tasks, deleted.complete), (TASKS, true));
    assert_eq!(kept(&house).await, BTreeSet::from([id]));
    assert_eq!(audited(&house).await.len(), 1, "it is one run");
    node.drain(FOR_EVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_cleanup_ends_between_two_tasks_and_the_next_one_does_the_rest() {
    const TASKS: u64 = 400;
    let mut house = House::new().await;
    old_tasks(&mut house, 40, 400).await;
    let node = node_of(&mut house, 0).await;

    let id = node.submit(&FOR_REAL, None).await.unwrap();
    let cancel = Message {
        action: Action::Cancel,
        by: "admin".into(),
        reason: None,
    };
    node.act(id, cancel).await.unwrap();
    let plan = node.wait(id, FOR_EVER).await.unwrap();
    let first = ended(&node, id).await;
    let (_, second) = run(&node, FOR_REAL).await;

    println!(
        "{} of {TASKS} were deleted by the cancelled run",
        first.tasks
    );
    assert_eq!(
        plan.result,
        PlanResult::Cancelled,
        "what it has done is told"
    );
    assert_eq!(first.tasks + second.tasks, TASKS);
    assert!(!first.complete && second.complete);
    node.drain(FOR_EVER).await;
}

fn lines(folder: &Path) -> Vec<Value> {
    let mut lines = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        lines.extend(text.lines().map(|line| serde_json::from_str(line).unwrap()));
    }
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_are_exported_with_their_whole_history_before_they_are_deleted() {
    let mut house = House::new().await;
    let old = old_tasks(&mut house, 40, 70).await;
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("deleted").join("tasks");
    house.services.task_export_dir = Some(Arc::from(archive.as_path()));
    let node = node_of(&mut house, 0).await;

    let (_, deleted) = run(&node, FOR_REAL).await;

    let lines = lines(&archive);
    let ids: BTreeSet<PlanId> = lines
        .iter()
        .map(|line| line["id"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!((ids, lines.len()), (old, 70));
    for line in &lines {
        let history = line["history"].as_array().unwrap();
        assert_eq!(history.first().unwrap()["event"], "submitted");
        assert_eq!(history.last().unwrap()["event"], "stopped");
        assert_eq!(
            (&line["label"], &line["result"]),
            (&json!("cleanup"), &json!("success"))
        );
    }
    assert!(deleted.exported_to.unwrap().starts_with(&archive));
    node.drain(FOR_EVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_deleted_that_cannot_be_exported() {
    let mut house = House::new().await;
    let old = old_tasks(&mut house, 40, 3).await;
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("file");
    std::fs::write(&in_the_way, "no folder").unwrap();
    house.services.task_export_dir = Some(Arc::from(in_the_way.as_path()));
    let node = node_of(&mut house, 0).await;

    let id = node.submit(&FOR_REAL, None).await.unwrap();
    let plan = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(
        plan.result,
        PlanResult::Error,
        "it has failed, and the next one tries again"
    );
    assert!(kept(&house).await.is_superset(&old));
    node.drain(FOR_EVER).await;
}

/// Schedules of a dry run once a day, never within the next hours; one for each way to treat missed runs.
fn each_day() -> Vec<BuiltIn> {
    let hour = Clock::system().now().0 / 3_600_000 % 24;
    let cron = if (6..18).contains(&hour) {
        "0 0 * * *"
    } else {
        "0 12 * * *"
    };
    let every = [
        ("skip", Missed::Skip),
        ("once", Missed::Once),
        ("all", Missed::All),
    ];
    let schedule = |(name, missed)| BuiltIn {
        name,
        workflow: "cleanup",
        input: Json::of(&DRY).unwrap(),
        cron,
        time_zone: "UTC",
        missed,
    };
    every.into_iter().map(schedule).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_were_missed_while_no_node_ran_are_made_good_as_the_schedule_says() {
    let mut house = House::new().await;
    let node = node_of(&mut house, 3).await;
    node.make_built_in(each_day()).await.unwrap();
    node.kill().await;
    let since = house.services.clock.now();
    let node = node_of(&mut house, 0).await;
    node.make_built_in(each_day()).await.unwrap();

    let schedules = loop {
        let all = house.journal().schedules().await.unwrap();
        if all.iter().all(|it| it.handled_until.since(since) > 2 * DAY) {
            break all;
        }
        tokio::task::yield_now().await;
    };
    node.kill().await;
    let node = house.node(None).await;
    let kept = kept(&house).await;
    let mut fired: Vec<(String, String)> = Vec::new();
    for plan in kept {
        let plan = node.wait(plan, FOR_EVER).await.unwrap();
        assert_eq!(
            plan.submitted.as_ref().unwrap().cause,
            Some(Cause::Schedule)
        );
        let link = |name| plan.link(name).unwrap().to_owned();
        fired.push((link("schedule"), link("scheduled_for")));
    }

    let runs = |name: &str| schedules.iter().find(|it| it.name == name).unwrap().runs;
    assert_eq!([runs("skip"), runs("once"), runs("all")], [0, 1, 3]);
    let of = |name: &str| fired.iter().filter(|(by, _)| by == name).count();
    assert_eq!([of("skip"), of("once"), of("all")], [0, 1, 3]);
    let times: BTreeSet<&String> = fired.iter().map(|(_, at)| at).collect();
    assert_eq!(times.len(), 3, "the one run is that of the latest time");
    node.drain(FOR_EVER).await;
}
