//! Blobs on their way out, and from one repository to another.

use super::*;

const LAYER: &[u8] = b"0123456789";

#[tokio::test]
async fn a_blob_is_told_by_head_and_read_by_get() {
    let world = World::new().await;
    let digest = world.upload("publisher", "acme/busybox", LAYER).await;
    let path = format!("/v2/acme/busybox/blobs/{digest}");

    let told = world.send(head(&path).by("reader")).await;
    let read = world.send(get(&path).by("reader")).await;

    for answer in [&told, &read] {
        answer.is(StatusCode::OK);
        assert_eq!(answer.header("content-length"), "10");
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        assert_eq!(answer.header("content-type"), "application/octet-stream");
    }
    assert_eq!(told.body, "");
    assert_eq!(read.body, LAYER);
}

#[tokio::test]
async fn a_range_of_a_blob_is_read_alone() {
    let world = World::new().await;
    let digest = world.upload("publisher", "acme/busybox", LAYER).await;
    let range =
        |range: &str| get(&format!("/v2/acme/busybox/blobs/{digest}")).header("range", range);

    let part = world.send(range("bytes=2-4").by("reader")).await;
    let rest = world.send(range("bytes=7-").by("reader")).await;
    let beyond = world.send(range("bytes=10-").by("reader")).await;
    let of_another = world
        .send(
            range("bytes=2-4")
                .header("if-range", "\"sha256:other\"")
                .by("reader"),
        )
        .await;

    part.is(StatusCode::PARTIAL_CONTENT);
    assert_eq!(
        (part.header("content-range"), &part.body[..]),
        ("bytes 2-4/10", &b"234"[..])
    );
    assert_eq!(
        (rest.header("content-range"), &rest.body[..]),
        ("bytes 7-9/10", &b"789"[..])
    );
    beyond.is_refused(416, "RANGE_INVALID");
    assert_eq!(beyond.header("content-range"), "bytes */10");
    of_another.is(StatusCode::OK);
    assert_eq!(of_another.body, LAYER);
}

#[tokio::test]
async fn a_blob_of_another_repository_is_not_there_until_it_is_mounted() {
    let world = World::new().await;
    let digest = world.upload("publisher", "acme/busybox", LAYER).await;
    let there = format!("/v2/acme/alpine/blobs/{digest}");
    world
        .send(post("/v2/acme/alpine/blobs/uploads/").by("publisher"))
        .await
        .is(StatusCode::ACCEPTED);
    world
        .send(get(&there).by("reader"))
        .await
        .is_refused(404, "BLOB_UNKNOWN");

    let mount = format!("/v2/acme/alpine/blobs/uploads/?mount={digest}&from=acme/busybox");
    let mounted = world.send(post(&mount).by("publisher")).await;

    mounted.is(StatusCode::CREATED);
    assert_eq!(mounted.location(), there);
    world
        .send(get(&there).by("reader"))
        .await
        .is(StatusCode::OK);
}

#[tokio::test]
async fn a_mount_from_where_one_may_not_pull_is_an_upload_like_any_other() {
    let world = World::new().await;
    let digest = world.upload("publisher", "acme/busybox", LAYER).await;

    for from in [
        "&from=acme/busybox",
        "&from=acme/nothing",
        "&from=nowhere/x",
        "&from=..",
        "",
    ] {
        let mount = format!("/v2/other/tools/x/blobs/uploads/?mount={digest}{from}");
        let begun = world.send(post(&mount).by("stranger")).await;
        assert_eq!(begun.status, StatusCode::ACCEPTED, "{from}");
    }
    let stolen = world
        .send(head(&format!("/v2/other/tools/x/blobs/{digest}")).by("stranger"))
        .await;
    assert_eq!(stolen.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_head_in_a_repository_that_does_not_exist_yet_is_404() {
    let world = World::new().await;

    let answer = world
        .send(head(&format!("/v2/acme/new/blobs/{}", Digest::of(LAYER))).by("publisher"))
        .await;

    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_blob_that_the_disk_has_lost_is_not_here_until_it_is_pushed_again() {
    let world = World::new().await;
    let digest = world.upload("publisher", "acme/busybox", LAYER).await;
    let path = format!("/v2/acme/busybox/blobs/{digest}");
    let objects = world.folder.path().join("content/objects");
    std::fs::remove_dir_all(&objects).unwrap();

    let told = world.send(head(&path).by("reader")).await;
    let read = world.send(get(&path).by("reader")).await;
    world.upload("publisher", "acme/busybox", LAYER).await;
    let again = world.send(get(&path).by("reader")).await;

    assert_eq!(told.status, StatusCode::NOT_FOUND);
    read.is_refused(404, "BLOB_UNKNOWN");
    assert_eq!(again.is(StatusCode::OK).body, LAYER);
}

#[tokio::test]
async fn no_browser_takes_content_for_a_page() {
    let world = World::new().await;
    let digest = world.upload("publisher", "acme/busybox", LAYER).await;
    let page = put("/v2/acme/busybox/manifests/page")
        .header(CONTENT_TYPE, "text/html")
        .by("publisher");
    world
        .send(page.with(r#"{"x":"<script>alert(1)</script>"}"#))
        .await
        .is(StatusCode::CREATED);

    for path in [
        &format!("/v2/acme/busybox/blobs/{digest}"),
        "/v2/acme/busybox/manifests/page",
        "/v2/acme/busybox/manifests/nothing",
    ] {
        let answer = world.send(get(path).by("reader")).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(
            answer.header("content-security-policy"),
            "default-src 'none'; sandbox"
        );
    }
    let page = world.send(get("/v2/acme/busybox/manifests/page").by("reader"));
    assert_eq!(page.await.header("content-type"), "text/html");
}
