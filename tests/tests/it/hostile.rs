//! Requests that no honest client sends: a clear refusal, nothing broken, nobody else harmed.

mod paths;
mod slow;

use bytes::Bytes;
use reqwest::Method;
use serde_json::json;
use tests::image::{self, Image};
use tests::oci_client::location;
use tests::server::Server;
use tests::wait::SOON;
use tests::{digest, noise};

pub(crate) const NAME: &str = "default_organization/tools/app";

#[tokio::test]
async fn a_blob_that_does_not_match_its_digest_is_refused_and_not_stored() {
    let server = Server::start().await;
    let oci = server.oci();
    let claimed = digest::of(b"what was promised");

    let refused = oci
        .try_upload(NAME, "what came".into(), &claimed)
        .await
        .unwrap();

    refused.expect_refusal(400, "DIGEST_INVALID");
    for digest in [claimed, digest::of(b"what came")] {
        let head = oci.of(Method::HEAD, NAME, &format!("blobs/{digest}")).await;
        assert_eq!(oci.send(head).await.status, 404);
    }
    assert_unharmed(&server).await;
}

#[tokio::test]
async fn a_piece_out_of_order_is_416_and_says_where_to_go_on() {
    let server = Server::start().await;
    let oci = server.oci();
    let upload = oci.open_upload(NAME).await;
    let send = async |at: &str, range: &str, body: &'static str| {
        let request = oci.at(Method::PATCH, NAME, at).await;
        oci.send(request.header("content-range", range).body(body))
            .await
    };
    let first = send(&upload, "0-9", "0123456789").await.expect_status(202);
    assert_eq!(first.header("range"), "0-9");

    for range in ["20-29", "0-9", "5-14"] {
        let refused = send(&location(&first), range, "0123456789").await;
        let refused = refused.expect_refusal(416, "BLOB_UPLOAD_INVALID");
        assert_eq!(refused.header("range"), "0-9", "{refused}");
    }

    let second = send(&location(&first), "10-19", "abcdefghij")
        .await
        .expect_status(202);
    let put = oci.at(Method::PUT, NAME, &location(&second)).await;
    let digest = digest::of(b"0123456789abcdefghij");
    oci.send(put.query(&[("digest", &digest)]))
        .await
        .expect_status(201);
    assert_eq!(oci.pull_blob(NAME, &digest).await, (digest, 20));
}

#[tokio::test]
async fn an_unknown_upload_is_404_for_every_method() {
    let server = Server::start().await;
    let oci = server.oci();
    oci.push(NAME, "latest", &Image::small(1))
        .await
        .expect_status(201);
    let finished = oci.open_upload(NAME).await;
    let put = oci
        .at(Method::PUT, NAME, &finished)
        .await
        .query(&[("digest", digest::of(b"ware"))])
        .body("ware");
    oci.send(put).await.expect_status(201);

    for session in [
        uuid::Uuid::from_u128(7).to_string(),
        "not-a-session".to_owned(),
    ] {
        for method in [Method::PATCH, Method::PUT, Method::GET, Method::DELETE] {
            let request = oci
                .of(method, NAME, &format!("blobs/uploads/{session}"))
                .await;
            let request = request
                .query(&[("digest", digest::of(b"other"))])
                .body("other");
            oci.send(request)
                .await
                .expect_refusal(404, "BLOB_UPLOAD_UNKNOWN");
        }
    }
    let again = oci.at(Method::PATCH, NAME, &finished).await.body("more");
    oci.send(again)
        .await
        .expect_refusal(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn a_manifest_of_five_mib_is_413_and_one_of_just_under_four_is_taken() {
    let server = Server::start().await;
    let (oci, image) = (server.oci(), Image::small(1));
    oci.push_blobs(NAME, &image).await;
    let padded = |size: usize| {
        let mut manifest: serde_json::Value = serde_json::from_slice(&image.manifest).unwrap();
        manifest["annotations"] =
            json!({ "padding": "x".repeat(size - image.manifest.len() - 100) });
        Bytes::from(manifest.to_string())
    };

    let refused = oci
        .put_manifest(NAME, "large", image::MANIFEST, &padded(5 << 20))
        .await;

    refused.expect_refusal(413, "SIZE_INVALID");
    let large = padded(4 << 20);
    oci.put_manifest(NAME, "large", image::MANIFEST, &large)
        .await
        .expect_status(201);
    assert_eq!(
        oci.manifest(NAME, "large").await.expect_status(200).body,
        large
    );
}

#[tokio::test]
async fn a_manifest_that_names_what_is_not_there_is_refused_naming_it() {
    let server = Server::start().await;
    let (oci, image) = (server.oci(), Image::small(1));
    for blob in image.blobs().skip(1) {
        oci.try_push_blob(NAME, blob).await.unwrap();
    }
    let missing = digest::of(&image.layers[0]);

    let refused = oci
        .put_manifest(NAME, "latest", image::MANIFEST, &image.manifest)
        .await;

    let refused = refused.expect_refusal(404, "MANIFEST_BLOB_UNKNOWN");
    assert!(refused.message().contains(&missing), "{refused}");
    let index = image::Index::two_platforms(5);
    let childless = oci
        .put_manifest(NAME, "latest", image::INDEX, &index.manifest)
        .await;
    let refused = childless.expect_refusal(404, "MANIFEST_BLOB_UNKNOWN");
    assert!(
        refused.message().contains(&index.images[0].digest),
        "{refused}"
    );
    assert_unharmed(&server).await;
}

#[tokio::test]
async fn a_manifest_that_is_none_is_400_whatever_it_is() {
    let server = Server::start().await;
    let oci = server.oci();
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let deep = json!({ "schemaVersion": 2, "mediaType": image::MANIFEST }).to_string();
    let deep = format!(
        "{},\"annotations\":{}}}",
        deep.trim_end_matches('}'),
        nested(200_000)
    );
    for body in [
        String::new(),
        "tally-ho".to_owned(),
        "{".to_owned(),
        "[]".to_owned(),
        "\u{0}\u{1}\u{2}".to_owned(),
        nested(1_000_000),
        deep,
    ] {
        let shown: String = body.chars().take(30).collect();
        let answer = oci
            .put_manifest(NAME, "latest", image::MANIFEST, &Bytes::from(body))
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "MANIFEST_INVALID"),
            "{shown}: {answer}"
        );
    }
    let image = Image::small(1);
    oci.push_blobs(NAME, &image).await;
    let other = Image::small(2).digest;
    let mismatched = oci
        .put_manifest(NAME, &other, image::MANIFEST, &image.manifest)
        .await;
    mismatched.expect_refusal(400, "DIGEST_INVALID");
    assert_unharmed(&server).await;
}

#[tokio::test]
async fn a_config_of_garbage_or_of_great_depth_does_not_hold_up_a_push() {
    let server = Server::start().await;
    let oci = server.oci();
    let deep = Bytes::from(format!("{}{}", "[".repeat(300_000), "]".repeat(300_000)));
    for (tag, config) in [
        ("garbage", noise::bytes(3, 5000)),
        ("deep", deep),
        ("large", noise::bytes(4, 5 << 20)),
    ] {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": image::MANIFEST,
            "config": image::described(image::CONFIG, &config),
            "layers": [],
        });
        oci.try_push_blob(NAME, &config).await.unwrap();

        let answer = oci
            .put_manifest(
                NAME,
                tag,
                image::MANIFEST,
                &Bytes::from(manifest.to_string()),
            )
            .await;

        assert_eq!(answer.header("warning"), "", "{answer}");
        answer.expect_status(201);
    }
    assert_eq!(oci.tags(NAME, 10).await, ["deep", "garbage", "large"]);
    assert_unharmed(&server).await;
}

#[tokio::test]
async fn bad_names_tags_and_digests_are_refused_with_the_rule() {
    let server = Server::start().await;
    let (oci, image) = (server.oci(), Image::small(1));
    oci.push(NAME, "latest", &image).await.expect_status(201);
    let login = (tests::server::ADMIN, Some(tests::server::ADMIN_PASSWORD));
    let send = async |method: Method, path: &str, body: Bytes| {
        let request = oci.request(method, path).basic_auth(login.0, login.1);
        oci.send(request.header("content-type", image::MANIFEST).body(body))
            .await
    };
    let long = format!("default_organization/{}", "a".repeat(250));
    for name in [
        "default_organization/-app",
        "default_organization/app.",
        "default_organization/a___b",
        "default_organization/a..b",
        "default_organization/ship%20shape",
        "default_organization/caf%C3%A9",
        long.as_str(),
    ] {
        let path = format!("/v2/{name}/blobs/uploads/");
        send(Method::POST, &path, Bytes::new())
            .await
            .expect_refusal(400, "NAME_INVALID");
    }
    let upper = send(
        Method::POST,
        "/v2/Default_Organization/App/blobs/uploads/",
        Bytes::new(),
    )
    .await;
    let upper = upper.expect_refusal(400, "NAME_INVALID");
    assert!(
        upper.message().contains("default_organization/app"),
        "shows no lower-case form: {upper}"
    );
    let long = "t".repeat(129);
    for tag in [
        ".hidden",
        "-dash",
        "a+b",
        "ship%20shape",
        "caf%C3%A9",
        long.as_str(),
    ] {
        let path = format!("/v2/{NAME}/manifests/{tag}");
        send(Method::PUT, &path, image.manifest.clone())
            .await
            .expect_refusal(400, "NAME_INVALID");
    }
    let upper = digest::of(b"ware").to_uppercase();
    for digest in [
        "sha256:",
        "sha256:abc",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "sha256:zz",
        upper.as_str(),
    ] {
        let path = format!("/v2/{NAME}/blobs/{digest}");
        send(Method::GET, &path, Bytes::new())
            .await
            .expect_refusal(400, "DIGEST_INVALID");
        let session = oci.open_upload(NAME).await;
        let put = oci
            .at(Method::PUT, NAME, &session)
            .await
            .query(&[("digest", digest)])
            .body("ware");
        oci.send(put).await.expect_refusal(400, "DIGEST_INVALID");
    }
    assert_unharmed(&server).await;
}

#[tokio::test]
async fn a_second_writer_of_one_upload_is_409_while_bytes_come_to_the_first() {
    let server = Server::start().await;
    let oci = server.oci();
    let upload = oci.open_upload(NAME).await;
    let mut first = slow::begun_patch(&server, &upload, 100_000_000, b"the first part").await;
    let refused = tests::wait::until("the second is refused", SOON, async || {
        let second = oci.send(oci.at(Method::PATCH, NAME, &upload).await.body(""));
        let mut second = std::pin::pin!(second);
        let second = loop {
            tokio::select! {
                answer = &mut second => break answer,
                () = first.send(b"more") => {}
            }
        };
        (second.status == 409).then_some(second)
    });

    refused.await.expect_refusal(409, "BLOB_UPLOAD_INVALID");

    drop(first);
    assert_unharmed(&server).await;
}

/// Fails the test unless others can still push and pull, and the server has written only into its data folder.
pub(crate) async fn assert_unharmed(server: &Server) {
    let (oci, image) = (server.oci(), Image::small(77));
    oci.push("default_organization/others/app", "latest", &image)
        .await
        .expect_status(201);
    oci.assert_pullable("default_organization/others/app", "latest", &image)
        .await;
    let beside: Vec<_> = std::fs::read_dir(server.home())
        .expect("a folder of ours")
        .map(|entry| entry.expect("a folder of ours").file_name())
        .filter(|name| name != "data" && name != "server.log")
        .collect();
    assert!(
        beside.is_empty(),
        "written outside the data folder: {beside:?}"
    );
}
