//! `kill -9` at the worst moments: nothing acknowledged is lost, nothing done is done again.

pub(crate) mod crew;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tests::image::{self, Image};
use tests::rest::{Rest, step, text};
use tests::server::Server;
use tests::turn;
use tests::wait::{self, SOON};

use crate::first_push::{STEPS, assert_all_steps_succeeded};
use crew::Crew;

const WORKERS: u64 = 4;
const RANDOM_KILLS: usize = 30;
const AIMED_KILLS: usize = 32;
/// On a slow disk more kills are needed until as much was acknowledged; past this the pushes get nowhere.
const MOST_KILLS: usize = 200;
/// Fewer would show that the pushes never got anywhere between two kills.
const MIN_ACKNOWLEDGED: usize = 60;
/// Fewer would show that the kills never met a push under way.
const MIN_TAKE_OVERS: usize = 10;
/// Every run kills at other moments; set to what a failed run printed to see it again.
const SEED: u64 = 20_260_101;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_forty_kills_at_random_and_aimed_moments() {
    let _turn = turn::heavy().await;
    let mut server = Server::start_with(&["--push-wait=60s"]).await;
    let rest = server.rest().with_token(server.oci().token(&[]).await);
    let crew = Crew::set_to_work(&server, WORKERS);
    let mut random = StdRng::seed_from_u64(SEED);
    let mut done_steps = BTreeMap::new();

    let (mut at_random, mut aimed) = (0, 0);
    while at_random < RANDOM_KILLS
        || aimed < AIMED_KILLS
        || (crew.acknowledged() < MIN_ACKNOWLEDGED && at_random + aimed < MOST_KILLS)
    {
        if at_random < RANDOM_KILLS && at_random <= aimed {
            let moment = Duration::from_millis(random.random_range(5..250));
            tokio::time::sleep(moment).await; // the moment itself is what is tried out
            at_random += 1;
        } else {
            crew.manifest_put_begun().await;
            let moment = Duration::from_micros(random.random_range(0..12_000));
            tokio::time::sleep(moment).await;
            if !crew.waits_for_an_answer() {
                continue;
            }
            aimed += 1;
        }
        server.kill().await;
        let found = server.doctor().await.said();
        let of_locks = ["held at once", "in the queue of"];
        let in_order = of_locks.iter().all(|wrong| !found.contains(wrong));
        assert!(
            in_order && found.contains("tasks: "),
            "as the kill has left it: {found}"
        );
        server.restart().await;
        remember_done_steps(&rest, &mut done_steps).await;
    }
    let acknowledged = crew.finish().await;
    rest.until_no_task_is_open(Duration::from_mins(2)).await;

    let oci = server.oci();
    let mut tags: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for push in &acknowledged {
        oci.assert_pullable(push.name, &push.tag, &push.image).await;
        tags.entry(push.name).or_default().push(push.tag.clone());
    }
    for (name, expected) in &mut tags {
        expected.sort_unstable();
        assert_eq!(&oci.tags(name, 50).await, expected, "the tags of {name}");
    }
    let take_overs = assert_nothing_ran_twice(&rest, &done_steps).await;
    server.doctor().await.expect_code(0);

    let (kills, pushes) = (at_random + aimed, acknowledged.len());
    println!(
        "{kills} kills ({aimed} between a manifest PUT and its answer), {pushes} pushes acknowledged, \
         {take_overs} take-overs, {} recorded steps compared",
        done_steps.len()
    );
    assert!(
        kills >= 40 && aimed * 2 >= kills,
        "{aimed} of {kills} kills were aimed"
    );
    assert!(
        pushes >= MIN_ACKNOWLEDGED,
        "only {pushes} pushes were acknowledged"
    );
    assert!(
        take_overs >= MIN_TAKE_OVERS,
        "only {take_overs} tasks were taken over"
    );
}

#[tokio::test]
async fn a_crash_before_or_after_any_steps_record_is_finished_by_the_next_start() {
    let _turn = turn::heavy().await;
    let mut server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let name = "default_organization/tools/app";
    let mut crashes = 0;

    for (n, crashing) in (0..).zip(STEPS.iter().filter(|&&step| step != "authorize")) {
        for when in ["before", "after"] {
            let (tag, image) = (
                format!("{crashing}-{when}"),
                Image::small(2 * n + u64::from(when == "after")),
            );
            let drill = json!({
                "workflow": "push", "step": crashing, "repository": name, "tag": tag,
                "effect": "crash", "when": when, "times": 1,
            });
            rest.begin_drill(&drill).await;
            oci.push_blobs(name, &image).await;
            let answer = oci
                .try_put_manifest(name, &tag, image::MANIFEST, &image.manifest)
                .await;
            assert!(
                answer.is_err() || *crashing == "sync_proxies",
                "{tag}: the server answered {answer:?}"
            );
            server.ended().await;
            crashes += 1;

            server.restart().await;

            rest.until_no_task_is_open(Duration::from_mins(1)).await;
            let push = rest.only_push_of(name, &tag).await;
            assert_all_steps_succeeded(&push);
            let attempts = if when == "before" { 2 } else { 1 };
            assert_eq!(step(&push, crashing)["attempts"], attempts, "{tag}: {push}");
            oci.assert_pullable(name, &tag, &image).await;
        }
    }

    println!("{crashes} crashes beside the record of a step");
    assert_eq!(crashes, 16);
    assert_eq!(
        rest.version_numbers(name).await,
        (1..=16).collect::<Vec<_>>()
    );
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_push_that_kills_every_server_pauses_as_poison_and_the_server_stays_up() {
    let _turn = turn::heavy().await;
    let mut server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let (name, image) = ("default_organization/tools/app", Image::small(1));
    let drill = json!({ "workflow": "push", "step": "copy", "repository": name, "effect": "crash", "when": "before" });
    let drill = rest.begin_drill(&drill).await;
    oci.push_blobs(name, &image).await;
    oci.try_put_manifest(name, "latest", image::MANIFEST, &image.manifest)
        .await
        .unwrap_err();
    server.ended().await;

    let mut starts = 1;
    let paused = loop {
        assert!(starts < 10, "{starts} servers were killed by one push");
        starts += 1;
        if !server.try_restart().await {
            continue;
        }
        let settled = wait::until(
            "the push is paused or the server has died",
            SOON,
            async || {
                if !server.runs() {
                    return Some(None);
                }
                let paused = rest.try_all_paused().await.ok()?;
                paused.into_iter().next().map(Some)
            },
        )
        .await;
        match settled {
            Some(paused) => break paused,
            None => drop(server.ended().await),
        }
    };

    println!("one push killed {} servers, then it was paused", starts - 1);
    assert_eq!(paused["reason"], "poison", "{paused}");
    let id = text(&paused["id"]);
    let history = rest.all(&format!("/tasks/{id}/history"), "").await;
    let take_overs = history.iter().filter(|it| it["event"] == "claimed").count();
    assert_eq!(
        (starts - 1, take_overs),
        (4, 4),
        "the first server, and those of three restarts, die; the fourth restart pauses it"
    );
    let other = "default_organization/tools/other";
    oci.push(other, "latest", &image).await.expect_status(201);
    assert!(server.runs(), "the server stays up for others");
    rest.end_drill(&drill).await;
    rest.post(&format!("/tasks/{id}/resume"), &json!({}))
        .await
        .expect_status(202);
    assert_all_steps_succeeded(&rest.until_state(id, "stopped").await);
    oci.assert_pullable(name, "latest", &image).await;
    server.doctor().await.expect_code(0);
}

/// What is written of a step that succeeded, by task and step.
type DoneSteps = BTreeMap<(String, String), Value>;

/// Notes the steps that open tasks have done so far: whatever happens next, they must stay as they are.
async fn remember_done_steps(rest: &Rest, done: &mut DoneSteps) {
    for listed in rest.open_tasks().await {
        let task = rest.task(text(&listed["id"])).await;
        for step in task["steps"].as_array().into_iter().flatten() {
            if step["state"] == "success" {
                let key = (text(&task["id"]).to_owned(), text(&step["name"]).to_owned());
                done.insert(key, record_of(step));
            }
        }
    }
}

fn record_of(step: &Value) -> Value {
    json!([
        step["attempts"],
        step["started_at"],
        step["ended_at"],
        step["output"]
    ])
}

/// Fails the test when a task is not published, or a step ran after its success was recorded; answers with
/// the number of tasks that were taken over.
async fn assert_nothing_ran_twice(rest: &Rest, done: &DoneSteps) -> usize {
    let mut take_overs = 0;
    for listed in rest.all("/tasks", "label = push").await {
        let id = text(&listed["id"]);
        let task = rest.task(id).await;
        assert!(
            task["result"] == "success" || task["result"] == "warning",
            "{task}"
        );
        for step in task["steps"].as_array().into_iter().flatten() {
            assert_eq!(step["state"], "success", "{task}");
            let key = (id.to_owned(), text(&step["name"]).to_owned());
            let now = record_of(step);
            assert_eq!(done.get(&key).unwrap_or(&now), &now, "{key:?} ran again");
        }
        let history = rest
            .get(&format!("/tasks/{id}/history"))
            .await
            .expect_status(200)
            .text();
        if history.contains("claimed") {
            take_overs += 1;
        }
    }
    take_overs
}
