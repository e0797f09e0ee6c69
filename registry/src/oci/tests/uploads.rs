//! Blobs on their way in.

use futures_util::stream;

use super::*;

async fn begin(world: &World) -> Answer {
    world
        .send(post("/v2/acme/busybox/blobs/uploads/").by("publisher"))
        .await
}

#[tokio::test]
async fn a_session_begins_with_nothing_and_counts_what_is_durable() {
    let world = World::new().await;

    let begun = begin(&world).await;
    let sent = world
        .send(patch(begun.location()).by("publisher").with("0123456789"))
        .await;
    let status = world.send(get(sent.location()).by("publisher")).await;

    begun.is(StatusCode::ACCEPTED);
    assert!(
        begun
            .location()
            .starts_with("/v2/acme/busybox/blobs/uploads/"),
        "{}",
        begun.location()
    );
    assert!(
        begun
            .location()
            .ends_with(begun.header("docker-upload-uuid"))
    );
    assert_eq!(begun.header("range"), "0-0");
    sent.is(StatusCode::ACCEPTED);
    assert_eq!(sent.header("range"), "0-9");
    status.is(StatusCode::NO_CONTENT);
    assert_eq!(status.header("range"), "0-9");
}

#[tokio::test]
async fn a_blob_may_come_in_one_request_or_with_its_last_bytes_in_the_put() {
    let world = World::new().await;
    let (whole, rest) = (Digest::of(b"whole"), Digest::of(b"first and last"));

    let at_once = post(&format!("/v2/acme/busybox/blobs/uploads/?digest={whole}"));
    let at_once = world.send(at_once.by("publisher").with("whole")).await;
    let begun = begin(&world).await;
    world
        .send(patch(begun.location()).by("publisher").with("first "))
        .await
        .is(StatusCode::ACCEPTED);
    let finish = put(&format!("{}?digest={rest}", begun.location()));
    let finished = world.send(finish.by("publisher").with("and last")).await;

    at_once.is(StatusCode::CREATED);
    assert_eq!(
        at_once.location(),
        format!("/v2/acme/busybox/blobs/{whole}")
    );
    finished.is(StatusCode::CREATED);
    assert_eq!(finished.header("docker-content-digest"), rest.to_string());
    let blob = world.send(get(finished.location()).by("reader")).await;
    assert_eq!(blob.body, "first and last");
}

#[tokio::test]
async fn bytes_out_of_order_are_refused_with_the_range_that_is_there() {
    let world = World::new().await;
    let begun = begin(&world).await;
    world
        .send(patch(begun.location()).by("publisher").with("01234"))
        .await
        .is(StatusCode::ACCEPTED);
    let chunk = |range: &str| patch(begun.location()).header("content-range", range);

    let again = world.send(chunk("0-4").by("publisher").with("01234")).await;
    let gap = world.send(chunk("9-9").by("publisher").with("9")).await;
    let next = world.send(chunk("5-9").by("publisher").with("56789")).await;

    for refused in [again, gap] {
        refused.is_refused(416, "BLOB_UPLOAD_INVALID");
        assert_eq!(refused.header("range"), "0-4");
        assert_eq!(refused.location(), begun.location());
    }
    next.is(StatusCode::ACCEPTED);
    assert_eq!(next.header("range"), "0-9");
}

#[tokio::test]
async fn a_content_range_must_be_one_and_fit_the_length() {
    let world = World::new().await;
    let begun = begin(&world).await;
    let chunk = |range: &str| patch(begun.location()).header("content-range", range);

    let unreadable = world.send(chunk("all").by("publisher").with("x")).await;
    let other_length = chunk("0-4").header("content-length", "1");
    let other_length = world.send(other_length.by("publisher").with("x")).await;

    unreadable.is_refused(400, "BLOB_UPLOAD_INVALID");
    other_length.is_refused(400, "SIZE_INVALID");
    assert_eq!(
        world
            .send(get(begun.location()).by("publisher"))
            .await
            .header("range"),
        "0-0"
    );
}

#[tokio::test]
async fn a_wrong_digest_ends_the_session_and_makes_no_blob() {
    let world = World::new().await;
    let begun = begin(&world).await;
    world
        .send(patch(begun.location()).by("publisher").with("right"))
        .await
        .is(StatusCode::ACCEPTED);
    let (right, wrong) = (Digest::of(b"right"), Digest::of(b"wrong"));

    let refused = world
        .send(put(&format!("{}?digest={wrong}", begun.location())).by("publisher"))
        .await;

    refused.is_refused(400, "DIGEST_INVALID");
    assert!(
        refused.message().contains(&right.to_string()),
        "{}",
        refused.message()
    );
    for digest in [right, wrong] {
        let blob = world
            .send(get(&format!("/v2/acme/busybox/blobs/{digest}")).by("reader"))
            .await;
        blob.is_refused(404, "BLOB_UNKNOWN");
    }
    world
        .send(get(begun.location()).by("publisher"))
        .await
        .is_refused(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn a_session_is_only_there_for_who_opened_it_and_where() {
    let world = World::new().await;
    let begun = begin(&world).await;
    let elsewhere = begun.location().replace("busybox", "alpine");
    let never = format!("/v2/acme/busybox/blobs/uploads/{}", Uuid::new_v4());

    for (path, login) in [
        (begun.location(), "admin"),
        (&elsewhere, "publisher"),
        (&never, "publisher"),
    ] {
        for method in [Method::GET, Method::PATCH, Method::DELETE] {
            world
                .send(request(method, path).by(login))
                .await
                .is_refused(404, "BLOB_UPLOAD_UNKNOWN");
        }
    }
    world
        .send(get(begun.location()).by("publisher"))
        .await
        .is(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_cancelled_session_is_gone() {
    let world = World::new().await;
    let begun = begin(&world).await;

    world
        .send(delete(begun.location()).by("publisher"))
        .await
        .is(StatusCode::NO_CONTENT);

    world
        .send(patch(begun.location()).by("publisher"))
        .await
        .is_refused(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn a_body_that_breaks_off_keeps_what_came() {
    let world = World::new().await;
    let begun = begin(&world).await;
    let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let body = Body::from_stream(stream::iter([Ok("01234"), Err(broken)]));

    let refused = world
        .send(patch(begun.location()).by("publisher").with(body))
        .await;

    refused.is_refused(400, "BLOB_UPLOAD_INVALID");
    assert_eq!(
        world
            .send(get(begun.location()).by("publisher"))
            .await
            .header("range"),
        "0-4"
    );
}

#[tokio::test]
async fn a_second_writer_is_refused() {
    let world = World::new().await;
    let begun = begin(&world).await;
    let (more, body) = tokio::sync::mpsc::channel::<Result<&str, std::io::Error>>(1);
    let body = Body::from_stream(stream::unfold(body, |mut body| async {
        Some((body.recv().await?, body))
    }));
    more.send(Ok("01234")).await.unwrap();
    let first = world.send(patch(begun.location()).by("publisher").with(body));
    let second = async {
        // There is room for more only once the first request writes what came.
        drop(more.reserve().await.unwrap());
        let refused = world
            .send(patch(begun.location()).by("publisher").with("x"))
            .await;
        drop(more);
        refused
    };

    let (first, second) = tokio::join!(first, second);

    second.is_refused(409, "BLOB_UPLOAD_INVALID");
    first.is(StatusCode::ACCEPTED);
    assert_eq!(first.header("range"), "0-4");
}
