//! Bytes on their way: passed on as they come, for as long as it takes.

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use reqwest::{Body, Method, Response};
use serde_json::json;
use tests::image::Image;
use tests::noise::Long;
use tests::proxy::{DEFAULT_TIMEOUT, Kind};
use tests::rest::text;
use tests::server::{ADMIN, ADMIN_PASSWORD};
use tests::wait::{self, SOON};
use tests::{digest, turn};
use tokio::sync::Notify;

use super::{Front, MIB, NAME};

pub(super) async fn a_layer_streams_both_ways(kind: Kind) {
    let _turn = turn::heavy().await;
    let front = Front::start(kind, &[]).await;
    let oci = front.proxy.oci();
    let layer = Long::new(1, 256 * MIB);
    let digest = layer.digest();
    let go_on = Arc::new(Notify::new());
    let body = Body::wrap_stream(held_after(64, &layer, &go_on));

    let as_podman = front.proxy.oci_over_http_1();
    let upload = as_podman.try_upload(NAME, body, &digest);
    let watch = async {
        let content = front.server.data_dir().join("content");
        wait::until(
            "half of what was sent lies at the server",
            SOON,
            async || (bytes_below(&content) >= 32 * MIB).then_some(()),
        )
        .await;
        let on_disk = front.proxy.bytes_on_disk();
        go_on.notify_one();
        on_disk
    };
    let (uploaded, on_disk) = tokio::join!(upload, watch);
    uploaded.expect("the server answers").expect_status(201);
    assert!(
        on_disk < MIB,
        "an upload has {on_disk} bytes on the proxy's disk"
    );

    let request = oci.of(Method::GET, NAME, &format!("blobs/{digest}")).await;
    let response = request.send().await.expect("the server answers");
    assert_eq!(response.status().as_u16(), 200);
    let mut running = digest::Running::default();
    let mut read = 0;
    let mut pieces = response.bytes_stream();
    while read < 16 * MIB {
        let piece = pieces.next().await.expect("more to come").expect("whole");
        read += piece.len() as u64;
        running.feed(&piece);
    }
    // While this one does not read on, the proxy has time to run ahead.
    let small = Image::small(2);
    oci.push(NAME, "meanwhile", &small).await.expect_status(201);
    let on_disk = front.proxy.bytes_on_disk();
    while let Some(piece) = pieces.next().await {
        running.feed(&piece.expect("whole"));
    }
    assert_eq!(running.end(), (digest, layer.size()));
    assert!(
        on_disk < MIB,
        "a download has {on_disk} bytes on the proxy's disk"
    );
    let peak = front.server.peak_memory_mib();
    assert!(peak < 120, "the server's peak memory was {peak} MiB");
}

pub(super) async fn a_push_that_waits_and_a_layer_that_stands_still_are_not_cut(kind: Kind) {
    let front = Front::start(kind, &["--allow-drills", "--push-wait=60s"]).await;
    let (oci, rest) = (front.proxy.oci(), front.server.rest());
    let seconds = 3 * DEFAULT_TIMEOUT.as_secs();
    let drill = json!({
        "workflow": "push", "step": "copy", "tag": "late",
        "effect": "stall", "times": 1, "stall_seconds": seconds,
    });
    rest.begin_drill(&drill).await;
    let (first, second) = (Long::new(1, 4 * MIB), Long::new(2, 4 * MIB));
    let go_on = [(); 2].map(|()| Arc::new(Notify::new()));
    // One does not even begin, the other stands still on its way.
    let held = |layer: &Long, n: usize| Body::wrap_stream(held_after(2 * n, layer, &go_on[n]));
    let (of_first, of_second) = (first.digest(), second.digest());
    let older = front.proxy.oci_over_http_1();

    let over_http_1 = older.try_upload(NAME, held(&first, 0), &of_first);
    let over_http_2 = oci.try_upload(NAME, held(&second, 1), &of_second);
    let image = Image::small(1);
    let waiting = async {
        let pushed = oci.push(NAME, "late", &image).await;
        for held in &go_on {
            held.notify_one();
        }
        pushed
    };
    let (first, second, pushed) = tokio::join!(over_http_1, over_http_2, waiting);

    let pushed = pushed.expect_status(201);
    assert_eq!(pushed.header("warning"), "", "it was answered early");
    for layer in [first, second] {
        layer.expect("the server answers").expect_status(201);
    }
    oci.assert_pullable(NAME, "late", &image).await;
}

pub(super) async fn events_of_a_task_come_as_they_happen(kind: Kind) {
    let front = Front::start(kind, &["--allow-drills"]).await;
    let rest = front.server.rest();
    let drill = json!({"workflow": "push", "step": "copy", "effect": "fail", "times": 1});
    rest.begin_drill(&drill).await;
    let refused = front
        .server
        .oci()
        .push(NAME, "latest", &Image::small(1))
        .await;
    let task = refused.expect_status(424).named_task();

    let mut stream = events(&front, &task).await.bytes_stream();
    let mut said = String::new();
    let mut until = async |words: &str| {
        wait::until(&format!("`{words}` is told"), SOON, async || {
            let piece = stream.next().await.expect("more events").expect("whole");
            said.push_str(&String::from_utf8_lossy(&piece));
            said.contains(words).then_some(())
        })
        .await;
    };
    until("\"step_failed\"").await;
    assert_eq!(rest.task(&task).await["state"], "paused");
    let resumed = rest
        .post(&format!("/tasks/{task}/resume"), &json!({}))
        .await;
    resumed.expect_status(202);
    until("\"stopped\"").await;

    let ended = rest.task(&task).await;
    assert_eq!(text(&ended["result"]), "success");
}

async fn events(front: &Front, task: &str) -> Response {
    let request = front
        .proxy
        .rest()
        .request(Method::GET, &format!("/api/v1/tasks/{task}/events"))
        .basic_auth(ADMIN, Some(ADMIN_PASSWORD))
        .header("accept-encoding", "gzip");
    let response = request.send().await.expect("the server answers");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response
}

/// The chunks of a layer, with a halt after so many until somebody says to go on.
fn held_after(
    chunks: usize,
    layer: &Long,
    go_on: &Arc<Notify>,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
    let go_on = Arc::clone(go_on);
    futures_util::stream::iter(layer.chunks().enumerate()).then(move |(n, chunk)| {
        let go_on = Arc::clone(&go_on);
        async move {
            if n == chunks {
                go_on.notified().await;
            }
            Ok(chunk)
        }
    })
}

/// The size of all files in a folder and its folders.
fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let about = entry.metadata().ok()?;
            Some(if about.is_dir() {
                bytes_below(&entry.path())
            } else {
                about.len()
            })
        })
        .sum()
}
