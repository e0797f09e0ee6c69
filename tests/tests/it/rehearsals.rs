//! Rehearsals with everything that the engine can do, while the server is killed, stands still, and people do what they like.

mod company;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tests::rest::{Rest, step, text};
use tests::server::Server;
use tests::turn;
use tests::wait::{self, SOON};

use crate::kills::crew::Crew;
use company::{Company, Remembered};

const KILLS: usize = 200;
/// After so many kills the process stands still once, longer than its lease.
const KILLS_PER_STOP: usize = 40;
const KILLS_PER_REST: usize = 10;
/// After so many kills everything that is kept is examined beside the running server.
const KILLS_PER_LOOK: usize = 50;
const LEASE: Duration = Duration::from_secs(1);
const SCHEDULES: usize = 5;
/// Every run kills at other moments; set to what a failed run printed to see it again.
const SEED: u64 = 20_260_501;

/// What was seen in the histories of all tasks.
#[derive(Debug, Default)]
struct Seen {
    tasks: usize,
    sub_tasks: usize,
    take_overs: usize,
    events: usize,
    reverted: usize,
    cancelled: usize,
    compensations: usize,
    interrupted: usize,
    nominal_times: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_kills_among_rehearsals_and_pushes_lose_nothing_and_repeat_nothing() {
    let _turn = turn::heavy().await;
    let lease = format!("--lease-ttl={}s", LEASE.as_secs());
    let options = ["--allow-drills", "--push-wait=60s", lease.as_str()];
    let mut server = Server::start_with(&options).await;
    let rest = server.rest().with_token(server.oci().token(&[]).await);
    let admin = server.rest();
    make_schedules(&admin).await;
    let crew = Crew::set_to_work(&server, 1);
    let company = Company::set_to_work(&admin, SEED);
    let mut random = StdRng::seed_from_u64(SEED);

    let mut stops = 0;
    for kill in 1..=KILLS {
        // The moment itself is what is tried out. Now and then there is time for something to end.
        let at_most = if kill % KILLS_PER_REST == 0 {
            2000
        } else {
            250
        };
        let moment = Duration::from_millis(random.random_range(5..at_most));
        tokio::time::sleep(moment).await;
        if kill % KILLS_PER_STOP == 0 {
            stand_still(&mut server).await;
            stops += 1;
        }
        server.kill().await;
        server.restart().await;
        if kill % KILLS_PER_LOOK == 0 {
            server.doctor().await.expect_code(0);
        }
    }
    let pushes = crew.finish().await;
    let remembered = company.finish().await;
    let lingering = end_all(&admin, Duration::from_mins(3)).await;

    server.doctor().await.expect_code(0);
    let oci = server.oci();
    for push in &pushes {
        oci.assert_pullable(push.name, &push.tag, &push.image).await;
    }
    let seen = look_at_all(&rest, &remembered).await;
    println!(
        "{KILLS} kills, {stops} times longer than a lease without a sign; acknowledged: {} rehearsals, {} actions, {} pushes; \
         refused: {:?}; {} times taken for poison; afterwards needed a person: {lingering:?}; {seen:?}",
        remembered.begun.len(),
        remembered.did.len(),
        pushes.len(),
        remembered.refused,
        remembered.mended,
    );
    assert!(remembered.begun.len() >= 60, "too few rehearsals");
    assert!(remembered.did.len() >= 60, "too few actions");
    assert!(pushes.len() >= 5, "too few pushes");
    assert!(seen.take_overs >= 100, "the kills met too little under way");
    assert!(seen.events >= 15 && seen.sub_tasks >= 60, "{seen:?}");
    assert!(seen.reverted >= 5 && seen.compensations >= 15, "{seen:?}");
    assert!(
        seen.interrupted >= 3 && seen.nominal_times >= SCHEDULES,
        "{seen:?}"
    );
}

async fn make_schedules(rest: &Rest) {
    for n in 0..SCHEDULES {
        let schedule = json!({
            "name": format!("every minute {n}"), "workflow": "rehearsal", "cron": "* * * * *", "missed": "all",
            "input": {"parts": 2, "work_ms": 50},
        });
        rest.post("/schedules", &schedule).await.expect_status(201);
    }
}

/// The process stands still longer than its lease. A second one on the same folder is refused all the while.
async fn stand_still(server: &mut Server) {
    server.signal("STOP").await;
    let lapsed = tokio::time::sleep(LEASE + LEASE / 2);
    let second = server.serve_to_its_end(&[]).await.expect_code(2);
    assert!(second.said().contains("another"), "{second}");
    lapsed.await;
    server.signal("CONT").await;
    let rest = server.rest();
    wait::until("the server answers again", SOON, async || {
        let answer = rest.try_get("/readyz").await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await;
}

/// Does for every task that is open what it needs, until none is; answers with the reasons for which they needed a person.
async fn end_all(rest: &Rest, limit: Duration) -> BTreeMap<String, usize> {
    let mut reasons = BTreeMap::new();
    for schedule in rest.all("/schedules", "").await {
        if schedule["built_in"] == false {
            let path = format!("/schedules/{}", schedule["id"]);
            rest.delete(&path).await.expect_status(204);
        }
    }
    wait::until("no task is open", limit, async || {
        let open = rest.open_tasks().await;
        for task in &open {
            let id = text(&task["id"]);
            if let Some(reason) = task["reason"]
                .as_str()
                .filter(|_| task["state"] == "paused")
            {
                *reasons.entry(reason.to_owned()).or_default() += 1;
                let (path, body) = match reason {
                    "interrupted" => resolution(rest, id).await,
                    _ => ("resume".to_owned(), json!({})),
                };
                let answer = rest.post(&format!("/tasks/{id}/{path}"), &body).await;
                assert!([202, 409].contains(&answer.status), "{answer}");
            } else if !task["held"].is_null() {
                let answer = rest.post(&format!("/tasks/{id}/release"), &json!({})).await;
                assert!([202, 409].contains(&answer.status), "{answer}");
            }
        }
        open.is_empty().then_some(())
    })
    .await;
    reasons
}

/// What a person says who looks whether the step happened that must not run twice.
async fn resolution(rest: &Rest, id: &str) -> (String, Value) {
    let path = format!("/drills/rehearsals/{id}");
    let left = rest.get(&path).await.expect_status(200).json();
    let marks = left["marks"].as_array().map_or(&[][..], Vec::as_slice);
    let happened = marks.iter().any(|mark| mark["step"] == "only_once");
    let body = if happened {
        json!({"happened": true, "output": {"receipt": "seen by a person"}})
    } else {
        json!({"happened": false})
    };
    ("steps/only_once/resolve".to_owned(), body)
}

/// Looks at every task: what was acknowledged is there, and nothing happened twice that must happen once.
async fn look_at_all(rest: &Rest, remembered: &Remembered) -> Seen {
    let mut seen = Seen::default();
    let mut histories = BTreeMap::new();
    let mut nominal_times = BTreeSet::new();
    for listed in rest.all("/tasks", "").await {
        let id = text(&listed["id"]).to_owned();
        assert_eq!(listed["state"], "stopped", "{listed}");
        let history = rest.all(&format!("/tasks/{id}/history"), "").await;
        seen.tasks += 1;
        seen.sub_tasks += usize::from(!listed["parent"].is_null());
        seen.reverted += usize::from(listed["result"] == "reverted");
        seen.cancelled += usize::from(listed["result"] == "cancelled");
        let count = |event: &str| history.iter().filter(|it| it["event"] == event).count();
        seen.take_overs += usize::from(count("claimed") > 0);
        seen.compensations += count("compensated");
        seen.interrupted += count("step_lost");
        assert_once_in_its_history(&id, &history);
        if let Some(nominal) = nominal_time(&history[0]) {
            assert!(
                nominal_times.insert(nominal.clone()),
                "{nominal:?} fired twice"
            );
            seen.nominal_times += 1;
        }
        histories.insert(id, history);
    }
    for id in &remembered.begun {
        assert!(
            histories.contains_key(id),
            "task {id} was acknowledged and is lost"
        );
    }
    for did in &remembered.did {
        let history = histories
            .get(&did.task)
            .expect("of a task that was acknowledged");
        let told = |entry: &&Value| entry["detail"]["message"]["reason"] == did.reason.as_str();
        let times = history.iter().filter(told).count();
        assert_eq!(
            times, 1,
            "`{}` of task {} ({})",
            did.action, did.task, did.reason
        );
        seen.events += usize::from(did.action == "event");
    }
    seen
}

/// No step succeeds twice, and none is undone twice.
fn assert_once_in_its_history(id: &str, history: &[Value]) {
    let mut once = BTreeSet::new();
    for entry in history {
        let event = text(&entry["event"]);
        if matches!(event, "step_succeeded" | "step_resolved" | "compensated") {
            let which = if event == "compensated" {
                event
            } else {
                "succeeded"
            };
            let step = text(&entry["step"]);
            assert!(
                once.insert((which, step)),
                "step {step} of task {id} {which} twice"
            );
        }
    }
}

/// The schedule and the time for which it submitted the task, of one that it did.
fn nominal_time(submitted: &Value) -> Option<(String, String)> {
    let links = submitted["detail"]["links"].as_array()?;
    let link = |name: &str| {
        let found = links.iter().find(|link| link[0] == name)?;
        Some(text(&found[1]).to_owned())
    };
    Some((link("schedule")?, link("scheduled_for")?))
}

#[tokio::test]
async fn a_rehearsal_is_practised_on_over_rest_and_leaves_its_marks() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let rest = server.rest();
    let wanted = json!({"parts": 2, "event_ms": 60_000, "event_needed": true, "pause_ms": 1,
        "faults": [{"step": "finish", "attempts": 1}]});

    let begun = rest.post("/drills/rehearsals", &wanted).await;
    let begun = begun.expect_status(202).json();
    let id = text(&begun["id"]);
    let go = json!({"payload": {"tide": "in"}});
    rest.post(&format!("/tasks/{id}/events/go"), &go)
        .await
        .expect_status(202);
    let paused = rest.until_state(id, "paused").await;
    rest.post(&format!("/tasks/{id}/resume"), &json!({}))
        .await
        .expect_status(202);
    let ended = rest.until_state(id, "stopped").await;
    let marks = rest.get(&format!("/drills/rehearsals/{id}")).await;

    assert_eq!(step(&paused, "finish")["state"], "error", "{paused}");
    assert_eq!(ended["result"], "success", "{ended}");
    assert_eq!(
        step(&ended, "wait_for_event")["output"],
        json!({"payload": {"tide": "in"}})
    );
    assert_eq!(ended["children"], json!({"stopped": 2}), "{ended}");
    let left: Vec<(String, u64)> = marks.expect_status(200).json()["marks"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|mark| {
            (
                text(&mark["step"]).to_owned(),
                mark["runs"].as_u64().unwrap_or(0),
            )
        })
        .collect();
    let once = |step: &str| (step.to_owned(), 1);
    assert_eq!(
        left,
        ["begin", "finish", "only_once", "work_elsewhere"].map(once)
    );
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn without_drills_nobody_rehearses_and_no_schedule_does() {
    let server = Server::start().await;
    let rest = server.rest();
    let schedule =
        json!({"name": "nightly", "workflow": "rehearsal", "input": {}, "cron": "@daily"});

    let refused = rest.post("/drills/rehearsals", &json!({})).await;
    let unscheduled = rest.post("/schedules", &schedule).await;

    refused.expect_status(403);
    let told = unscheduled.expect_status(422).json();
    assert_eq!(told["errors"][0]["field"], "workflow", "{told}");
    assert!(told.to_string().contains("--allow-drills"), "{told}");
}
