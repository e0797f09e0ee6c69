//! The server is killed in each step of a push into a Pulp, before and after its record; Pulp's own parts are killed and stopped.

use std::time::Duration;

use serde_json::json;
use tests::image::{self, Image};
use tests::noise;
use tests::pulp::{Pulp, Which};
use tests::server::Server;
use tests::turn;
use tests::wait::{self, SOON};

const NAME: &str = "default_organization/tools/app";

/// The steps that ask Pulp something, and the one that publishes.
const STEPS: [&str; 5] = [
    "forward",
    "locate_push_repository",
    "copy",
    "reindex",
    "distribute",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_in_any_step_ends_the_push_when_it_is_back() {
    let _turn = turn::heavy().await;
    let mut kills = 0;
    for which in Which::ALL {
        let mut server = which
            .shared()
            .await
            .server(&["--allow-drills", "--push-wait=0s"])
            .await;
        for step in STEPS {
            for when in ["before", "after"] {
                let (oci, rest) = (server.oci(), server.rest());
                let tag = format!("{step}-{when}");
                rest.begin_drill(&json!({
                    "workflow": "push", "step": step, "effect": "crash", "when": when,
                    "times": 1, "tag": tag, "repository": NAME,
                }))
                .await;
                let image = Image::small(noise::unique());
                oci.push_blobs(NAME, &image).await;
                drop(
                    oci.try_put_manifest(NAME, &tag, image::MANIFEST, &image.manifest)
                        .await,
                );
                server.ended().await;
                kills += 1;
                server.restart().await;

                let (oci, rest) = (server.oci(), server.rest());
                let push = rest
                    .until_push(NAME, &tag, "has ended", |push| {
                        push["state"] == "stopped" || push["state"] == "paused"
                    })
                    .await;
                assert_eq!(push["result"], "success", "{tag}: {push}");
                oci.assert_pullable(NAME, &tag, &image).await;
            }
        }
        let versions = server.rest().version_numbers(NAME).await;
        assert_eq!(versions.len(), STEPS.len() * 2, "one for each push");
        server.doctor().await.expect_code(0);
    }
    println!("{kills} kills of the server, each push ended well");
    assert!(kills >= 20);
}

/// Short enough that a killed worker's task is given up within the test.
const WORKERS: &str = "WORKER_TTL = 3";

async fn breakable(name: &str, ports: u16) -> Pulp {
    let settings = [
        ("WHARFINGER_PULP_EXTRA_SETTINGS", WORKERS),
        ("WHARFINGER_PULP_WORKERS", "1"),
    ];
    Pulp::start(name, Which::Newest, ports, &settings).await
}

/// Pushes images one after the other until told to end; what each client was answered.
async fn push_some(server: &Server, from: usize, count: usize) -> Vec<(String, Image, u16)> {
    let oci = server.oci();
    let mut pushed = Vec::new();
    for n in from..from + count {
        let (tag, image) = (format!("t{n}"), Image::small(noise::unique()));
        oci.push_blobs(NAME, &image).await;
        let answer = oci
            .put_manifest(NAME, &tag, image::MANIFEST, &image.manifest)
            .await;
        pushed.push((tag, image, answer.status));
    }
    pushed
}

async fn all_end_well(server: &Server, pushed: &[(String, Image, u16)], limit: Duration) {
    let (oci, rest) = (server.oci(), server.rest());
    for (tag, image, status) in pushed {
        assert!([201, 424].contains(status), "{tag} was answered {status}");
        let push = wait::until("the push has ended", limit, async || {
            let push = rest.pushes_of(NAME, tag).await.pop()?;
            (push["state"] == "stopped" || push["state"] == "paused").then_some(push)
        })
        .await;
        assert_eq!(push["result"], "success", "{tag}: {push}");
        oci.assert_pullable(NAME, tag, image).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_parts_of_pulp_lose_no_push_and_need_nobody() {
    let _turn = turn::heavy().await;
    let pulp = breakable("killed", 19_830).await;
    let server = pulp.server(&["--push-wait=2s"]).await;
    let mut pushed = push_some(&server, 0, 2).await;
    for part in ["api", "content", "worker1"] {
        for _ in 0..2 {
            let from = pushed.len();
            let (more, ()) = tokio::join!(push_some(&server, from, 4), async {
                let some = format!("t{}", from + 1);
                let rest = server.rest();
                wait::until("a push is under way", SOON, async || {
                    let begun = rest.pushes_of(NAME, &some).await;
                    (!begun.is_empty()).then_some(())
                })
                .await;
                pulp.part("kill", part).await;
                pulp.part("start", part).await;
            });
            pushed.extend(more);
        }
    }

    all_end_well(&server, &pushed, Duration::from_mins(3)).await;
    println!("{} pushes, 6 kills of parts of Pulp", pushed.len());
    pulp.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pulp_that_is_stopped_for_two_minutes_under_pushes_delays_them_and_loses_none() {
    let pulp = breakable("stopped", 19_840).await;
    let server = pulp.server(&["--push-wait=2s"]).await;
    let mut pushed = push_some(&server, 0, 3).await;

    let (more, ()) = tokio::join!(push_some(&server, 3, 6), pulp.stop());
    pushed.extend(more);
    let down_since = std::time::Instant::now();
    let rest = server.rest();
    wait::until("the gate has closed", SOON, async || {
        let gates = rest.get("/gates").await.expect_status(200);
        gates.text().contains("closed").then_some(())
    })
    .await;
    let ready = rest.try_get("/readyz").await.unwrap();
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("Pulp at"), "{}", ready.text());
    while down_since.elapsed() < Duration::from_mins(2) {
        let from = pushed.len();
        pushed.extend(push_some(&server, from, 2).await);
    }
    pulp.start_again().await;

    all_end_well(&server, &pushed, Duration::from_mins(4)).await;
    let answered = |status| pushed.iter().filter(|(_, _, told)| *told == status).count();
    println!(
        "{} pushes around two minutes without Pulp: {} answered 201, {} answered 424; all published",
        pushed.len(),
        answered(201),
        answered(424)
    );
    let resumed = rest.get("/audit?search=action%20%3D%20resume").await;
    assert_eq!(resumed.json()["total"], 0, "nobody had to: {resumed}");
    pulp.stop().await;
}
