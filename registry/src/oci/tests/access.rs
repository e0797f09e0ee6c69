//! Who is refused what.

use super::*;

#[tokio::test]
async fn every_route_is_closed_to_those_without_a_right() {
    let world = World::new().await;
    let digest = world.upload("publisher", "acme/busybox", b"{}").await;
    let begun = world
        .send(post("/v2/acme/busybox/blobs/uploads/").by("publisher"))
        .await;
    let session = begun.location();
    let finish = format!("{session}?digest={digest}");
    let blob = format!("/v2/acme/busybox/blobs/{digest}");
    let (latest, uploads) = (
        "/v2/acme/busybox/manifests/latest",
        "/v2/acme/busybox/blobs/uploads/",
    );
    let tags = "/v2/acme/busybox/tags/list";
    // (request, anonymous, a reader, a user of another organization)
    let (no, unknown) = (StatusCode::FORBIDDEN, StatusCode::NOT_FOUND);
    let rows = [
        (Method::GET, tags, unknown, unknown),
        (Method::GET, latest, unknown, unknown),
        (Method::HEAD, latest, unknown, unknown),
        (Method::GET, blob.as_str(), StatusCode::OK, unknown),
        (Method::HEAD, blob.as_str(), StatusCode::OK, unknown),
        (Method::POST, uploads, no, no),
        (Method::GET, session, no, no),
        (Method::PATCH, session, no, no),
        (Method::PUT, finish.as_str(), no, no),
        (Method::DELETE, session, no, no),
        (Method::PUT, latest, no, no),
    ];
    for (method, path, reader, stranger) in rows {
        for (login, expected) in [
            ("", StatusCode::UNAUTHORIZED),
            ("reader", reader),
            ("stranger", stranger),
        ] {
            let answer = world.send(request(method.clone(), path).by(login)).await;
            assert_eq!(answer.status, expected, "{method} {path} by `{login}`");
        }
    }
}

#[tokio::test]
async fn a_push_that_is_denied_says_which_right_is_missing_and_where() {
    let world = World::new().await;

    let no_push = world
        .send(post("/v2/acme/tools/busybox/blobs/uploads/").by("reader"))
        .await;
    let no_product = world
        .send(post("/v2/acme/tools/busybox/blobs/uploads/").by("pusher"))
        .await;
    let no_repository = world
        .send(post("/v2/acme/busybox/blobs/uploads/").by("pusher"))
        .await;

    for (answer, words) in [
        (
            no_push,
            "`reader` lacks the permission `push` on repository `busybox` in product `tools` of organization `acme`",
        ),
        (
            no_product,
            "`pusher` lacks the permission `create_products` in organization `acme`, which has no product `tools`",
        ),
        (
            no_repository,
            "`pusher` lacks the permission `create_repositories` in product `container_push` of organization `acme`",
        ),
    ] {
        answer.is_refused(403, "DENIED");
        assert!(answer.message().contains(words), "{}", answer.message());
    }
}

#[tokio::test]
async fn a_foreign_organization_and_an_unknown_one_look_the_same_to_those_who_may_see_neither() {
    let world = World::new().await;
    let push =
        |organization: &str| post(&format!("/v2/{organization}/x/blobs/uploads/")).by("stranger");

    let foreign = world.send(push("acme")).await;
    let unknown = world.send(push("nowhere")).await;

    foreign.is_refused(403, "DENIED");
    unknown.is_refused(403, "DENIED");
    assert_eq!(
        foreign.message().replace("acme", "nowhere"),
        unknown.message()
    );
}

#[tokio::test]
async fn an_unknown_organization_is_unknown_to_who_could_see_it() {
    let world = World::new().await;

    world
        .send(post("/v2/nowhere/x/blobs/uploads/").by("admin"))
        .await
        .is_refused(404, "NAME_UNKNOWN");
    world
        .send(get("/v2/nowhere/x/tags/list").by("admin"))
        .await
        .is_refused(404, "NAME_UNKNOWN");
    world
        .send(get("/v2/nowhere/x/tags/list").by("stranger"))
        .await
        .is_refused(404, "NAME_UNKNOWN");
}

#[tokio::test]
async fn a_product_named_by_an_unknown_id_is_unknown_and_not_made() {
    let world = World::new().await;

    world
        .send(post("/v2/id/1/99/x/blobs/uploads/").by("publisher"))
        .await
        .is_refused(404, "NAME_UNKNOWN");
    world
        .send(post("/v2/id/1/99/x/blobs/uploads/").by("stranger"))
        .await
        .is_refused(403, "DENIED");
    world
        .send(post("/v2/id/2/1/x/blobs/uploads/").by("admin"))
        .await
        .is_refused(404, "NAME_UNKNOWN");
}

#[tokio::test]
async fn all_forms_of_a_name_are_one_place() {
    let world = World::new().await;

    let digest = world.upload("publisher", "acme/busybox", b"layer").await;

    for name in [
        "acme/busybox",
        "acme/container_push/busybox",
        "id/1/1/busybox",
    ] {
        let found = world
            .send(head(&format!("/v2/{name}/blobs/{digest}")).by("reader"))
            .await;
        assert_eq!(found.status, StatusCode::OK, "{name}");
    }
}

#[tokio::test]
async fn a_product_with_the_label_of_an_environment_is_refused_before_a_byte_is_sent() {
    let world = World::new().await;

    world
        .send(post("/v2/acme/library/x/blobs/uploads/").by("publisher"))
        .await
        .is_refused(400, "NAME_INVALID");
    world
        .send(post("/v2/acme/library/x/blobs/uploads/").by("reader"))
        .await
        .is_refused(403, "DENIED");
}
