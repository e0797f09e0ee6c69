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

/// A body that the test sends piece by piece.
fn by_hand() -> (
    tokio::sync::mpsc::Sender<Result<&'static str, std::io::Error>>,
    Body,
) {
    let (more, body) = tokio::sync::mpsc::channel(1);
    let body = stream::unfold(body, |mut body: tokio::sync::mpsc::Receiver<_>| async {
        Some((body.recv().await?, body))
    });
    (more, Body::from_stream(body))
}

#[tokio::test]
async fn a_second_writer_is_refused_while_bytes_come_to_the_first() {
    let world = World::new().await;
    let begun = begin(&world).await;
    let (more, body) = by_hand();
    more.send(Ok("01234")).await.unwrap();
    let first = world.send(patch(begun.location()).by("publisher").with(body));
    let second = async {
        // There is room for more only once the first request writes what came.
        drop(more.reserve().await.unwrap());
        let second = world.send(patch(begun.location()).by("publisher").with("x"));
        let mut second = std::pin::pin!(second);
        loop {
            tokio::select! {
                refused = &mut second => break refused,
                sent = more.send(Ok("5")) => sent.unwrap(),
            }
        }
    };

    let second = tokio::select! {
        first = first => panic!("its body has not ended: {first:?}"),
        second = second => second,
    };

    second.is_refused(409, "BLOB_UPLOAD_INVALID");
}

#[tokio::test]
async fn a_request_that_has_fallen_silent_gives_way_to_the_next_one() {
    let world = World::new().await;
    let begun = begin(&world).await;
    let (more, body) = by_hand();
    more.send(Ok("01234")).await.unwrap();
    let first = world.send(patch(begun.location()).by("publisher").with(body));
    let next = async {
        drop(more.reserve().await.unwrap());
        let status = world.send(get(begun.location()).by("publisher")).await;
        let next = patch(begun.location()).header("content-range", "5-6");
        let next = world.send(next.by("publisher").with("56")).await;
        (status, next)
    };

    let (first, (status, next)) = tokio::join!(first, next);

    first.is_refused(409, "BLOB_UPLOAD_INVALID");
    assert_eq!(status.header("range"), "0-4");
    next.is(StatusCode::ACCEPTED);
    assert_eq!(next.header("range"), "0-6");
}

#[tokio::test]
async fn a_body_without_a_length_must_fit_its_content_range_too() {
    let world = World::new().await;
    let begun = begin(&world).await;

    for range in ["0-1", "0-99"] {
        let pieces = stream::iter([Ok::<_, std::io::Error>("012"), Ok("34")]);
        let chunk = patch(begun.location()).header("content-range", range);
        let body = Body::from_stream(pieces);
        let refused = world.send(chunk.by("publisher").with(body)).await;

        refused.is_refused(400, "SIZE_INVALID");
        let status = world.send(get(begun.location()).by("publisher")).await;
        assert_eq!(status.header("range"), "0-0", "{range}");
    }
    let done = put(&format!("{}?digest={}", begun.location(), Digest::of(b"")));
    world
        .send(done.by("publisher"))
        .await
        .is(StatusCode::CREATED);
}

#[tokio::test]
async fn a_final_put_repeated_because_its_answer_was_lost_is_answered_as_it_was() {
    let world = World::new().await;
    let begun = begin(&world).await;
    let (digest, other) = (Digest::of(b"whole"), Digest::of(b"other"));
    let finish = |digest: &Digest| put(&format!("{}?digest={digest}", begun.location()));
    let first = world
        .send(finish(&digest).by("publisher").with("whole"))
        .await;

    let again = world
        .send(finish(&digest).by("publisher").with("whole"))
        .await;

    for done in [&first, &again] {
        done.is(StatusCode::CREATED);
        assert_eq!(done.location(), first.location());
        assert_eq!(done.header("docker-content-digest"), digest.to_string());
    }
    world
        .send(finish(&other).by("publisher"))
        .await
        .is_refused(404, "BLOB_UPLOAD_UNKNOWN");
    world
        .send(finish(&digest).by("reader"))
        .await
        .is_refused(403, "DENIED");
}
