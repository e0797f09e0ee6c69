//! Pulls as clients do them: in part, by HEAD, in pages, and over old HTTP.

use bytes::Bytes;
use reqwest::Method;
use tests::answer::Answer;
use tests::image::{self, Image};
use tests::oci_client::OciClient;
use tests::raw::{self, Connection};
use tests::server::Server;
use tests::wait::SOON;
use tests::{digest, noise};

const NAME: &str = "default_organization/tools/app";

#[tokio::test]
async fn a_part_of_a_blob_comes_as_it_was_asked_for() {
    let server = Server::start().await;
    let oci = server.oci();
    let blob = noise::bytes(1, 3_000_000);
    oci.try_push_blob(NAME, &blob).await.unwrap();
    let last = blob.len() - 1;

    for (range, part) in [
        ("bytes=0-0", 0..1),
        ("bytes=1000000-1999999", 1_000_000..2_000_000),
        ("bytes=2999000-", 2_999_000..blob.len()),
        ("bytes=-500", blob.len() - 500..blob.len()),
        ("bytes=2999999-9999999", last..blob.len()),
    ] {
        let answer = ranged(&oci, &blob, range).await.expect_status(206);
        assert_eq!(answer.body, blob[part.clone()], "{range}");
        let shown = format!("bytes {}-{}/{}", part.start, part.end - 1, blob.len());
        assert_eq!(answer.header("content-range"), shown, "{range}");
    }
    let beyond = ranged(&oci, &blob, "bytes=3000000-")
        .await
        .expect_status(416);
    assert_eq!(
        beyond.header("content-range"),
        format!("bytes */{}", blob.len())
    );
    let several = ranged(&oci, &blob, "bytes=0-1,5-6")
        .await
        .expect_status(200);
    assert_eq!(several.body, blob);
}

#[tokio::test]
async fn a_head_tells_what_a_get_would_bring() {
    let server = Server::start().await;
    let (oci, image) = (server.oci(), Image::small(1));
    oci.push(NAME, "latest", &image).await.expect_status(201);
    let layer = digest::of(&image.layers[0]);

    for reference in ["latest", image.digest.as_str()] {
        let head = oci
            .send(
                oci.of(Method::HEAD, NAME, &format!("manifests/{reference}"))
                    .await,
            )
            .await;
        let head = head.expect_status(200);
        assert_eq!(
            head.header("content-length"),
            image.manifest.len().to_string()
        );
        assert_eq!(head.header("content-type"), image::MANIFEST);
        assert_eq!(head.header("docker-content-digest"), image.digest);
        assert!(head.body.is_empty());
    }
    let head = oci
        .send(oci.of(Method::HEAD, NAME, &format!("blobs/{layer}")).await)
        .await
        .expect_status(200);
    assert_eq!(head.header("content-length"), "4096");
    assert_eq!(head.header("docker-content-digest"), layer);
    let missing = digest::of(b"never pushed");
    for rest in [
        format!("blobs/{missing}"),
        format!("manifests/{missing}"),
        "manifests/none".to_owned(),
    ] {
        assert_eq!(
            oci.send(oci.of(Method::HEAD, NAME, &rest).await)
                .await
                .status,
            404,
            "{rest}"
        );
    }
}

#[tokio::test]
async fn what_is_not_there_has_the_code_of_its_kind() {
    let server = Server::start().await;
    let (oci, image) = (server.oci(), Image::small(1));
    oci.push(NAME, "latest", &image).await.expect_status(201);
    let missing = digest::of(b"never pushed");
    let nowhere = "default_organization/tools/nowhere";

    for (name, rest, code) in [
        (NAME, format!("blobs/{missing}"), "BLOB_UNKNOWN"),
        (NAME, format!("manifests/{missing}"), "MANIFEST_UNKNOWN"),
        (NAME, "manifests/none".to_owned(), "MANIFEST_UNKNOWN"),
        (nowhere, "manifests/latest".to_owned(), "NAME_UNKNOWN"),
        (nowhere, "tags/list".to_owned(), "NAME_UNKNOWN"),
    ] {
        oci.send(oci.of(Method::GET, name, &rest).await)
            .await
            .expect_refusal(404, code);
    }
    let head = oci
        .send(
            oci.of(Method::HEAD, nowhere, &format!("blobs/{missing}"))
                .await,
        )
        .await;
    assert_eq!(head.status, 404, "podman asks so before the first push");
}

#[tokio::test]
async fn tags_come_in_pages_in_order_of_their_bytes() {
    let server = Server::start().await;
    let (oci, image) = (server.oci(), Image::small(1));
    for tag in ["b", "a", "B", "_", "1.10", "1.9", "a-b", "a.b"] {
        oci.push(NAME, tag, &image).await.expect_status(201);
    }
    let sorted = ["1.10", "1.9", "B", "_", "a", "a-b", "a.b", "b"];

    for per_page in [1, 3, 8, 100] {
        assert_eq!(oci.tags(NAME, per_page).await, sorted, "{per_page} a page");
    }

    let list = async |query: &str| {
        oci.send(
            oci.of(Method::GET, NAME, &format!("tags/list{query}"))
                .await,
        )
        .await
    };
    let whole = list("").await.expect_status(200);
    assert_eq!(whole.json()["name"], NAME);
    assert_eq!(whole.json()["tags"].as_array().map(Vec::len), Some(8));
    assert_eq!(
        list("?last=a.b").await.expect_status(200).json()["tags"],
        serde_json::json!(["b"])
    );
    assert_eq!(
        list("?n=0").await.expect_status(200).json()["tags"],
        serde_json::json!([])
    );
    for query in ["?n=-1", "?n=many"] {
        assert_eq!(list(query).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_whole_blob_may_come_with_the_closing_put() {
    let server = Server::start().await;
    let oci = server.oci();
    let blob = noise::bytes(2, 100_000);
    let session = oci.open_upload(NAME).await;

    let put = oci
        .at(Method::PUT, NAME, &session)
        .await
        .query(&[("digest", digest::of(&blob))]);
    let stored = oci.send(put.body(blob.clone())).await.expect_status(201);

    assert_eq!(stored.header("docker-content-digest"), digest::of(&blob));
    assert!(
        stored.header("location").ends_with(&digest::of(&blob)),
        "{stored}"
    );
    assert_eq!(oci.pull_blob(NAME, &digest::of(&blob)).await.1, 100_000);
}

#[tokio::test]
async fn an_upload_that_is_cancelled_is_gone() {
    let server = Server::start().await;
    let oci = server.oci();
    let session = oci.open_upload(NAME).await;

    oci.send(oci.at(Method::DELETE, NAME, &session).await)
        .await
        .expect_status(204);

    let patch = oci.at(Method::PATCH, NAME, &session).await.body("ware");
    oci.send(patch)
        .await
        .expect_refusal(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn a_client_of_http_1_0_is_answered_and_let_go() {
    let server = Server::start().await;
    let image = Image::small(1);
    server
        .oci()
        .push(NAME, "latest", &image)
        .await
        .expect_status(201);
    let mut connection = Connection::open(&server.host()).await;
    let request = raw::request(
        "GET",
        &server.host(),
        &format!("/v2/{NAME}/manifests/latest"),
        "",
    );

    connection
        .send(request.replace("HTTP/1.1", "HTTP/1.0").as_bytes())
        .await;

    let answer = connection
        .all_until_closed(SOON)
        .await
        .expect("the server closes");
    assert_eq!(raw::status(&answer), 200, "{answer}");
    assert!(
        answer.ends_with(std::str::from_utf8(&image.manifest).unwrap()),
        "{answer}"
    );
}

async fn ranged(oci: &OciClient, blob: &Bytes, range: &str) -> Answer {
    let request = oci
        .of(Method::GET, NAME, &format!("blobs/{}", digest::of(blob)))
        .await;
    oci.send(request.header("range", range)).await
}
