//! A push that ends the server whenever its step runs, among innocent ones.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::image::{self, Image};
use tests::rest::{Rest, text};
use tests::server::Server;
use tests::turn;
use tests::wait::{self, SOON};

const INNOCENT: u64 = 20;
const GUILTY: &str = "default_organization/tools/guilty";
/// Each start begins the guilty step once; the fourth time in vain it is poison. One more may be needed for the first.
const MOST_ENDS: usize = 8;

fn innocent(n: u64) -> String {
    format!("default_organization/tools/app-{n}")
}

fn at_copy(effect: &str, more: &Value) -> Value {
    let mut drill = json!({ "workflow": "push", "step": "copy", "effect": effect });
    for (name, value) in more.as_object().into_iter().flatten() {
        drill[name] = value.clone();
    }
    drill
}

async fn push_of(rest: &Rest, name: &str) -> Value {
    rest.until_push(name, "latest", "is there", |_| true).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_push_that_ends_the_server_is_poison_and_twenty_others_end_well() {
    let _turn = turn::heavy().await;
    let mut server = Server::start_with(&["--allow-drills", "--push-wait=0s"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    rest.begin_drill(&at_copy("crash", &json!({"repository": GUILTY})))
        .await;
    // Whoever is at work beside the guilty one is cut off with it, again and again.
    rest.begin_drill(&at_copy("stall", &json!({"stall_seconds": 1})))
        .await;
    let image = Image::small(1);
    let names: Vec<String> = (0..INNOCENT).map(innocent).collect();
    for name in names.iter().map(String::as_str).chain([GUILTY]) {
        oci.push_blobs(name, &image).await;
    }

    let puts = names
        .iter()
        .map(|name| oci.put_manifest(name, "latest", image::MANIFEST, &image.manifest));
    for answer in join_all(puts).await {
        answer.expect_status(201);
    }
    // It may end the server before it is answered.
    drop(
        oci.try_put_manifest(GUILTY, "latest", image::MANIFEST, &image.manifest)
            .await,
    );
    let mut ends = 0;
    let guilty = loop {
        let runs = wait::until("the server ends, or a push is paused", SOON, async || {
            let paused = rest.try_all_paused().await.unwrap_or_default();
            let runs = server.runs();
            (!runs || !paused.is_empty()).then_some(runs)
        })
        .await;
        if runs {
            break push_of(&rest, GUILTY).await;
        }
        ends += 1;
        server.ended().await;
        // Ready, whatever is still to be taken up; but the first step taken up may end it before that is seen.
        while !server.try_restart().await {
            ends += 1;
            assert!(ends < MOST_ENDS, "the server ends over and over");
        }
        assert!(ends < MOST_ENDS, "the server ends over and over");
    };

    let mut innocents = Vec::new();
    for name in &names {
        let id = text(&push_of(&rest, name).await["id"]).to_owned();
        innocents.push(rest.until_state(&id, "stopped").await);
    }

    assert_eq!(guilty["state"], "paused", "{guilty}");
    assert_eq!(guilty["reason"], "poison", "{guilty}");
    assert!(ends >= 3, "it was paused after {ends} ends");
    for push in &innocents {
        assert_eq!(push["result"], "success", "{push}");
    }
    let paused = rest.all("/tasks", "state = paused").await;
    assert_eq!(paused.len(), 1, "{paused:?}");
    let log = server.log();
    assert!(log.contains("times in a row"), "{log}");
    println!(
        "{ends} ends of the server, {} innocent pushes",
        innocents.len()
    );
}
