//! `GET /tasks/{id}/events`: what happens to a task, as it happens.

use futures_util::StreamExt as _;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tests::image::Image;
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};

const NAME: &str = "default_organization/app";

/// An event as a browser reads it.
struct Event {
    id: i64,
    data: Value,
}

/// Asks for what follows the row with this number.
async fn connect(server: &Server, task: &str, after: i64) -> Response {
    let request = server
        .rest()
        .request(Method::GET, &format!("/api/v1/tasks/{task}/events"))
        .basic_auth(ADMIN, Some(ADMIN_PASSWORD))
        .header("Last-Event-ID", after.to_string());
    request.send().await.expect("the server answers")
}

/// The events of a stream, up to so many, or to its end.
async fn events(stream: Response, at_most: usize) -> Vec<Event> {
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut events = Vec::new();
    let mut text = String::new();
    let mut bytes = stream.bytes_stream();
    while events.len() < at_most {
        let Some(chunk) = bytes.next().await else {
            break;
        };
        text.push_str(&String::from_utf8_lossy(
            &chunk.expect("the stream is whole"),
        ));
        while let Some((event, rest)) = text.split_once("\n\n") {
            events.extend(read(event));
            text = rest.to_owned();
        }
    }
    events
}

/// None for a comment.
fn read(event: &str) -> Option<Event> {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
    Some(Event {
        id: field("id: ")?.parse().expect("an id is a number"),
        data: serde_json::from_str(field("data: ")?).expect("data is JSON"),
    })
}

/// The entries of the task's history in the rows up to this one.
async fn history(server: &Server, task: &str) -> Vec<Value> {
    server
        .rest()
        .all(&format!("/tasks/{task}/history"), "")
        .await
}

fn seq(entry: &Value) -> i64 {
    entry["seq"]
        .as_i64()
        .expect("an entry has its row's number")
}

#[tokio::test]
async fn a_client_that_comes_back_again_and_again_sees_each_row_once() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let rest = server.rest();
    let drill = json!({"workflow": "push", "step": "copy", "effect": "fail", "times": 1});
    rest.begin_drill(&drill).await;
    let refused = server.oci().push(NAME, "latest", &Image::small(1)).await;
    let task = refused.expect_status(424).named_task();
    let mut seen: Vec<Event> = Vec::new();
    let mut resumed = false;

    loop {
        let last = seen.last().map_or(0, |event| event.id);
        let known = history(&server, &task).await.last().map_or(0, seq);
        if last == known && !resumed {
            rest.post(&format!("/tasks/{task}/resume"), &json!({}))
                .await
                .expect_status(202);
            resumed = true;
        }
        let stream = connect(&server, &task, last).await;
        if stream.status() == 204 {
            break;
        }
        // One of what there is, then the connection breaks.
        seen.extend(events(stream, 1).await.into_iter().take(1));
    }

    let history = history(&server, &task).await;
    let mut rows: Vec<i64> = history.iter().map(seq).collect();
    rows.dedup();
    assert_eq!(seen.iter().map(|event| event.id).collect::<Vec<_>>(), rows);
    let told = seen
        .iter()
        .flat_map(|event| event.data["entries"].as_array().expect("entries"));
    assert_eq!(told.collect::<Vec<_>>(), history.iter().collect::<Vec<_>>());
    assert!(resumed);
}

#[tokio::test]
async fn a_stream_ends_with_the_row_that_stops_its_task() {
    let server = Server::start().await;
    let pushed = server.oci().push(NAME, "latest", &Image::small(1)).await;
    pushed.expect_status(201);
    let task = server.rest().only_push_of(NAME, "latest").await;
    let id = task["id"].as_str().expect("a task has an id");

    let seen = events(connect(&server, id, 0).await, usize::MAX).await;

    assert_eq!(
        seen.last().map(|event| json!(event.id)),
        Some(task["seq"].clone())
    );
    let nobody = server
        .rest()
        .request(Method::GET, &format!("/api/v1/tasks/{id}/events"));
    server.rest().send(nobody).await.expect_status(401);
}

#[tokio::test]
async fn an_open_stream_ends_when_the_server_stops() {
    let mut server = Server::start_with(&["--allow-drills"]).await;
    let drill = json!({"workflow": "push", "step": "copy", "effect": "fail", "times": 1});
    server.rest().begin_drill(&drill).await;
    let refused = server.oci().push(NAME, "latest", &Image::small(1)).await;
    let task = refused.expect_status(424).named_task();
    let stream = connect(&server, &task, 0).await;
    assert_eq!(stream.status(), 200);

    server.terminate().await;

    let seen = events(stream, usize::MAX).await;
    assert!(!seen.is_empty());
    assert_eq!(server.ended().await, 0);
}
