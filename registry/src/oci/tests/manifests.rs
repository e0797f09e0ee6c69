//! Manifests: from the PUT to the pull.

use super::*;

/// An image whose parts are in the repository already.
async fn image(world: &World, name: &str) -> Vec<u8> {
    let config = world.upload("publisher", name, b"{}").await;
    let layer = world.upload("publisher", name, b"layer").await;
    manifest(config, layer)
}

#[tokio::test]
async fn a_tag_is_pullable_once_its_put_is_answered() {
    let world = World::new().await;
    let bytes = image(&world, "acme/busybox").await;
    let digest = Digest::of(&bytes);

    let pushed = world
        .send(
            put_manifest("acme/busybox", "latest")
                .by("publisher")
                .with(bytes.clone()),
        )
        .await;

    pushed.is(StatusCode::CREATED);
    assert_eq!(
        pushed.location(),
        format!("/v2/acme/busybox/manifests/{digest}")
    );
    assert_eq!(pushed.header("docker-content-digest"), digest.to_string());
    assert!(!pushed.headers.contains_key("warning"), "{pushed:?}");
    for reference in ["latest", &digest.to_string()] {
        let pulled = world
            .send(get(&format!("/v2/acme/busybox/manifests/{reference}")).by("reader"))
            .await;
        pulled.is(StatusCode::OK);
        assert_eq!(pulled.body, bytes);
        assert_eq!(pulled.header("content-type"), MANIFEST_TYPE);
        assert_eq!(pulled.header("docker-content-digest"), digest.to_string());
    }
    let tags = world
        .send(get("/v2/acme/busybox/tags/list").by("reader"))
        .await;
    assert_eq!(
        tags.json(),
        json!({ "name": "acme/busybox", "tags": ["latest"] })
    );
}

#[tokio::test]
async fn tags_are_listed_by_pages_in_the_order_of_their_bytes() {
    let world = World::new().await;
    let bytes = image(&world, "acme/busybox").await;
    for tag in ["b", "B", "a"] {
        world
            .send(
                put_manifest("acme/busybox", tag)
                    .by("publisher")
                    .with(bytes.clone()),
            )
            .await
            .is(StatusCode::CREATED);
    }

    let first = world
        .send(get("/v2/acme/busybox/tags/list?n=2").by("reader"))
        .await;
    let link = first.header("link").to_owned();
    let next = link.trim_start_matches('<').split_once('>').unwrap().0;
    let second = world.send(get(next).by("reader")).await;

    assert_eq!(first.json()["tags"], json!(["B", "a"]));
    assert_eq!(second.json()["tags"], json!(["b"]));
    assert!(!second.headers.contains_key("link"));
}

#[tokio::test]
async fn a_manifest_pushed_by_digest_is_pullable_by_it_at_once_and_has_no_tag() {
    let world = World::new().await;
    let bytes = image(&world, "acme/busybox").await;
    let digest = Digest::of(&bytes).to_string();

    world
        .send(
            put_manifest("acme/busybox", &digest)
                .by("publisher")
                .with(bytes.clone()),
        )
        .await
        .is(StatusCode::CREATED);

    let pulled = world
        .send(get(&format!("/v2/acme/busybox/manifests/{digest}")).by("reader"))
        .await;
    assert_eq!(pulled.body, bytes);
    let latest = world
        .send(get("/v2/acme/busybox/manifests/latest").by("reader"))
        .await;
    latest.is_refused(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn what_cannot_be_a_manifest_is_refused_by_what_is_wrong_with_it() {
    let world = World::new().await;
    let bytes = image(&world, "acme/busybox").await;
    let missing = Digest::of(b"missing");
    let incomplete = manifest(Digest::of(b"{}"), missing);
    let too_large = vec![b' '; world.app.config.max_manifest_bytes + 1];
    let other_digest = missing.to_string();
    let rows = [
        ("latest", b"no json".to_vec(), 400, "MANIFEST_INVALID"),
        ("latest", too_large, 413, "SIZE_INVALID"),
        ("latest", incomplete, 404, "MANIFEST_BLOB_UNKNOWN"),
        (&other_digest, bytes.clone(), 400, "DIGEST_INVALID"),
        ("-latest", bytes, 400, "NAME_INVALID"),
    ];
    for (reference, bytes, status, code) in rows {
        let answer = world
            .send(
                put_manifest("acme/busybox", reference)
                    .by("publisher")
                    .with(bytes),
            )
            .await;
        answer.is_refused(status, code);
    }
}

#[tokio::test]
async fn a_manifest_of_another_repository_is_not_there() {
    let world = World::new().await;
    let bytes = image(&world, "acme/busybox").await;
    let digest = Digest::of(&bytes).to_string();
    world
        .send(
            put_manifest("acme/busybox", &digest)
                .by("publisher")
                .with(bytes.clone()),
        )
        .await
        .is(StatusCode::CREATED);
    world.upload("publisher", "acme/alpine", b"{}").await;

    let read = world
        .send(get(&format!("/v2/acme/alpine/manifests/{digest}")).by("reader"))
        .await;
    let pushed = world
        .send(
            put_manifest("acme/alpine", "latest")
                .by("publisher")
                .with(bytes),
        )
        .await;

    read.is_refused(404, "MANIFEST_UNKNOWN");
    pushed.is_refused(404, "MANIFEST_BLOB_UNKNOWN");
}

#[tokio::test]
async fn what_a_manifest_is_in_one_repository_says_nothing_of_it_in_another() {
    let world = World::new().await;
    image(&world, "acme/poisoned").await;
    let (config, layer) = (Digest::of(b"{}"), Digest::of(b"layer"));
    let part = |digest: Digest| json!({ "mediaType": "x", "digest": digest, "size": 2 });
    let bytes = json!({ "schemaVersion": 2, "config": part(config), "layers": [part(layer)] });
    let bytes = serde_json::to_vec(&bytes).unwrap();
    image(&world, "acme/busybox").await;
    let sent_as = |name: &str, media_type: &str| {
        put(&format!("/v2/{name}/manifests/latest"))
            .header(CONTENT_TYPE, media_type)
            .by("publisher")
            .with(bytes.clone())
    };

    for (name, media_type) in [
        ("acme/poisoned", "application/vnd.evil"),
        ("acme/busybox", MANIFEST_TYPE),
    ] {
        let pushed = world.send(sent_as(name, media_type)).await;
        pushed.is(StatusCode::CREATED);
        let pulled = get(&format!("/v2/{name}/manifests/latest"));
        let pulled = world.send(pulled.by("reader")).await;
        assert_eq!(pulled.header("content-type"), media_type, "{name}");
    }
    let mended = world.send(sent_as("acme/poisoned", MANIFEST_TYPE)).await;
    mended.is(StatusCode::CREATED);
    let pulled = get("/v2/acme/poisoned/manifests/latest").by("reader");
    let pulled = world.send(pulled).await;
    assert_eq!(pulled.header("content-type"), MANIFEST_TYPE);
}
