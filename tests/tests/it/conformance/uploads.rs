//! "Pushing a blob monolithically", in two requests and in one.

use super::checks;
use reqwest::Method;
use tests::answer::Answer;
use tests::oci_client::location;
use tests::{digest, noise};

checks! {
    "POST then PUT: upon success, the response to POST MUST be 202 with a Location" => |it| {
        let opened = it.post("", "").await.expect_status(202);
        assert!(opened.header("location").starts_with(&format!("/v2/{}/blobs/uploads/", it.name)));
    }
    "POST then PUT: the location MUST contain a UUID representing a unique session" => |it| {
        let (first, second) = (session_id(&it.open().await), session_id(&it.open().await));
        assert_ne!(first, second);
    }
    "POST then PUT: the location MAY be relative, and is, so that it fits behind every proxy" => |it| {
        assert!(it.open().await.starts_with('/'));
    }
    "POST then PUT: a path without its last slash begins a session too" => |it| {
        it.send(Method::POST, "blobs/uploads", |request| request).await.expect_status(202);
    }
    "POST then PUT: upon successful completion, the response MUST be 201 with the blob's Location" => |it| {
        let digest = digest::of(b"ware");
        let created = it.finish(&it.open().await, &digest, "ware").await.expect_status(201);
        assert_eq!(created.header("location"), format!("/v2/{}/blobs/{digest}", it.name));
    }
    "POST then PUT: the blob location is a pullable URL" => |it| {
        let created = it.finish(&it.open().await, &digest::of(b"ware"), "ware").await;
        let pulled = it.at(Method::GET, &location(&created), |request| request).await;
        assert_eq!(pulled.expect_status(200).body, "ware");
    }
    "POST then PUT: the answer names what was stored in Docker-Content-Digest" => |it| {
        let digest = digest::of(b"ware");
        let created = it.finish(&it.open().await, &digest, "ware").await;
        assert_eq!(created.header("docker-content-digest"), digest);
    }
    "POST then PUT: a body of unknown length is taken as well (chunked transfer coding)" => |it| {
        let bytes = noise::bytes(3, 70_000);
        let pieces: Vec<_> = bytes.chunks(1000).map(|it| Ok::<_, std::io::Error>(bytes::Bytes::copy_from_slice(it))).collect();
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        it.finish(&it.open().await, &digest::of(&bytes), body).await.expect_status(201);
        assert_eq!(it.get(&format!("blobs/{}", digest::of(&bytes))).await.body, bytes);
    }
    "POST then PUT: an empty blob is a blob" => |it| {
        let digest = digest::of(b"");
        it.finish(&it.open().await, &digest, "").await.expect_status(201);
        assert_eq!(it.head(&format!("blobs/{digest}")).await.expect_status(200).header("content-length"), "0");
    }
    "POST then PUT: what was finished is no session any more" => |it| {
        let session = it.open().await;
        it.finish(&session, &digest::of(b"ware"), "ware").await.expect_status(201);
        for method in [Method::GET, Method::PATCH, Method::DELETE] {
            it.at(method, &session, |request| request).await.expect_refusal(404, "BLOB_UPLOAD_UNKNOWN");
        }
    }
    "POST then PUT: a session may be finished by another query beside the digest, which is not looked at" => |it| {
        let session = format!("{}?state=1", it.open().await);
        it.finish(&session, &digest::of(b"ware"), "ware").await.expect_status(201);
    }
    "Pushing blobs: a blob that is there already is taken again" => |it| {
        it.blob("ware").await;
        it.blob("ware").await;
    }
    "Single POST: successful completion MUST be 201 with the blob's Location" => |it| {
        let digest = digest::of(b"ware");
        let created = it.post(&format!("?digest={digest}"), "ware").await.expect_status(201);
        assert_eq!(created.header("location"), format!("/v2/{}/blobs/{digest}", it.name));
    }
    "Single POST: the blob location is a pullable URL" => |it| {
        let created = it.post(&format!("?digest={}", digest::of(b"ware")), "ware").await;
        let pulled = it.at(Method::GET, &location(&created), |request| request).await;
        assert_eq!(pulled.expect_status(200).body, "ware");
    }
    "Single POST: the digest MUST match the blob's digest" => |it| {
        let refused = it.post(&format!("?digest={}", digest::of(b"other")), "ware").await;
        refused.expect_refusal(400, "DIGEST_INVALID");
        it.head(&format!("blobs/{}", digest::of(b"ware"))).await.expect_status(404);
    }
    "Pushing blobs: if the digest is invalid, the registry SHOULD respond 400" => |it| {
        for wrong in ["sha256:123", "latest", "sha256:", &digest::of(b"").to_uppercase()] {
            it.post(&format!("?digest={wrong}"), "ware").await.expect_refusal(400, "DIGEST_INVALID");
        }
    }
    "Pushing blobs: if the digest uses an unsupported algorithm, the registry SHOULD respond 400" => |it| {
        let md5 = "md5:d41d8cd98f00b204e9800998ecf8427e";
        it.post(&format!("?digest={md5}"), "ware").await.expect_refusal(400, "DIGEST_INVALID");
        it.finish(&it.open().await, md5, "ware").await.expect_refusal(400, "DIGEST_INVALID");
    }
    "Pushing blobs: if the digest does not match the content, the registry SHOULD respond 400" => |it| {
        let refused = it.finish(&it.open().await, &digest::of(b"other"), "ware").await;
        refused.expect_refusal(400, "DIGEST_INVALID");
    }
    "POST then PUT: a PUT without a digest is 400" => |it| {
        let session = it.open().await;
        it.at(Method::PUT, &session, |request| request.body("ware")).await.expect_refusal(400, "DIGEST_INVALID");
    }
    "Pulling blobs: a sha512 blob is pushed in one request and pulled by its digest" => |it| {
        let digest = digest::of_sha512(b"ware");
        it.post(&format!("?digest={digest}"), "ware").await.expect_status(201);
        let pulled = it.get(&format!("blobs/{digest}")).await.expect_status(200);
        assert_eq!((&pulled.body[..], pulled.header("docker-content-digest")), (&b"ware"[..], digest.as_str()));
        it.head(&format!("blobs/{}", digest::of(b"ware"))).await.expect_status(404);
    }
    "POST then PUT: a session that was not told the algorithm is finished with sha512 all the same" => |it| {
        let bytes = noise::bytes(4, 2_000_000);
        let session = location(&it.patch(&it.open().await, "0-1999999", bytes.clone()).await.expect_status(202));
        it.finish(&session, &digest::of_sha512(&bytes), "").await.expect_status(201);
        assert_eq!(it.get(&format!("blobs/{}", digest::of_sha512(&bytes))).await.body, bytes);
    }
    "POST then PUT: such a session is refused a sha512 that is not its own" => |it| {
        let refused = it.finish(&it.open().await, &digest::of_sha512(b"other"), "ware").await;
        refused.expect_refusal(400, "DIGEST_INVALID");
    }
    "POST then PUT: the closing PUT repeated is answered 201 again, if the blob is here" => |it| {
        let session = it.open().await;
        for _ in 0..2 {
            let created = it.finish(&session, &digest::of(b"ware"), "ware").await.expect_status(201);
            assert_eq!(created.header("location"), format!("/v2/{}/blobs/{}", it.name, digest::of(b"ware")));
        }
        it.finish(&session, &digest::of(b"other"), "").await.expect_refusal(404, "BLOB_UPLOAD_UNKNOWN");
    }
}

/// The id of a session, as the answer that opened it also says in a header.
fn session_id(session: &str) -> uuid::Uuid {
    let last = session.rsplit('/').next().unwrap_or_default();
    last.parse().expect("a UUID at the location's end")
}

/// Fails unless an answer about a session names it everywhere alike.
pub(super) fn assert_session(answer: &Answer, bytes: u64) {
    let id = session_id(&location(answer)).to_string();
    assert_eq!(answer.header("docker-upload-uuid"), id, "{answer}");
    assert_eq!(
        answer.header("range"),
        format!("0-{}", bytes.saturating_sub(1)),
        "{answer}"
    );
}
