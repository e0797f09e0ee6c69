//! "Pushing a blob in chunks", its status, and its cancellation.

use super::checks;
use super::uploads::assert_session;
use reqwest::Method;
use tests::digest;
use tests::oci_client::location;

checks! {
    "Pushing a blob in chunks: the response for each chunk MUST be 202 with Location and Range" => |it| {
        let session = it.open().await;
        let first = it.patch(&session, "0-3", "abcd").await.expect_status(202);
        assert_session(&first, 4);
        let second = it.patch(&location(&first), "4-5", "ef").await.expect_status(202);
        assert_session(&second, 6);
    }
    "Pushing a blob in chunks: the session MUST be closed with a PUT, which is answered 201 with the blob's Location" => |it| {
        let last = it.patch(&it.open().await, "0-3", "abcd").await;
        let created = it.finish(&location(&last), &digest::of(b"abcd"), "").await.expect_status(201);
        assert_eq!(created.header("location"), format!("/v2/{}/blobs/{}", it.name, digest::of(b"abcd")));
    }
    "Pushing a blob in chunks: the final chunk MAY be uploaded in the closing PUT" => |it| {
        let last = it.patch(&it.open().await, "0-3", "abcd").await;
        let with = |request: reqwest::RequestBuilder| {
            request.query(&[("digest", digest::of(b"abcdef"))]).header("content-range", "4-5").body("ef")
        };
        it.at(Method::PUT, &location(&last), with).await.expect_status(201);
        assert_eq!(it.get(&format!("blobs/{}", digest::of(b"abcdef"))).await.body, "abcdef");
    }
    "Pushing a blob in chunks: the digest MUST be that of the whole blob, not of the final chunk" => |it| {
        let last = it.patch(&it.open().await, "0-3", "abcd").await;
        it.finish(&location(&last), &digest::of(b"ef"), "ef").await.expect_refusal(400, "DIGEST_INVALID");
    }
    "Pushing a blob in chunks: the first chunk's range MUST begin with 0" => |it| {
        it.patch(&it.open().await, "1-4", "abcd").await.expect_refusal(416, "BLOB_UPLOAD_INVALID");
    }
    "Pushing a blob in chunks: a chunk after a gap MUST be answered 416" => |it| {
        let first = it.patch(&it.open().await, "0-3", "abcd").await;
        let refused = it.patch(&location(&first), "6-7", "gh").await.expect_refusal(416, "BLOB_UPLOAD_INVALID");
        assert_session(&refused, 4);
    }
    "Pushing a blob in chunks: a chunk without a length that is not of its range is 400, and leaves nothing" => |it| {
        let session = it.open().await;
        for range in ["0-1", "0-99"] {
            let with = |request: reqwest::RequestBuilder| {
                let pieces = ["abc", "de"].map(Ok::<_, std::io::Error>);
                let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
                request.header("content-range", range).body(body)
            };
            it.at(Method::PATCH, &session, with).await.expect_refusal(400, "SIZE_INVALID");
            let status = it.at(Method::GET, &session, |request| request).await.expect_status(204);
            assert_session(&status, 0);
        }
    }
    "Pushing a blob in chunks: a chunk that overlaps MUST be answered 416" => |it| {
        let first = it.patch(&it.open().await, "0-3", "abcd").await;
        for range in ["0-3", "2-5", "3-6"] {
            it.patch(&location(&first), range, "cdef").await.expect_refusal(416, "BLOB_UPLOAD_INVALID");
        }
    }
    "Pushing a blob in chunks: a final chunk out of order MUST be answered 416, and the session goes on" => |it| {
        let first = it.patch(&it.open().await, "0-3", "abcd").await;
        let closing = |range: &'static str| move |request: reqwest::RequestBuilder| {
            request.query(&[("digest", digest::of(b"abcdef"))]).header("content-range", range).body("ef")
        };
        it.at(Method::PUT, &location(&first), closing("5-6")).await.expect_refusal(416, "BLOB_UPLOAD_INVALID");
        it.at(Method::PUT, &location(&first), closing("4-5")).await.expect_status(201);
    }
    "Pushing a blob in chunks: after a 416 the bytes sent before are still there" => |it| {
        let first = it.patch(&it.open().await, "0-3", "abcd").await;
        it.patch(&location(&first), "9-9", "x").await.expect_status(416);
        it.finish(&location(&first), &digest::of(b"abcd"), "").await.expect_status(201);
    }
    "Pushing a blob in chunks: a range MUST match ^[0-9]+-[0-9]+$" => |it| {
        let session = it.open().await;
        for range in ["3-0", "a-b", "0", "-3", "0-"] {
            it.patch(&session, range, "abcd").await.expect_refusal(400, "BLOB_UPLOAD_INVALID");
        }
    }
    "Pushing a blob in chunks: the length is the content-length of the chunk" => |it| {
        it.patch(&it.open().await, "0-9", "abcd").await.expect_refusal(400, "SIZE_INVALID");
    }
    "Pushing a blob in chunks: a chunk without Content-Range follows what is there (streamed upload)" => |it| {
        let session = it.open().await;
        for chunk in ["ab", "cd"] {
            it.at(Method::PATCH, &session, |request| request.body(chunk)).await.expect_status(202);
        }
        it.finish(&session, &digest::of(b"abcd"), "").await.expect_status(201);
    }
    "Pushing a blob in chunks: an empty chunk changes nothing" => |it| {
        let first = it.patch(&it.open().await, "0-3", "abcd").await;
        let same = it.at(Method::PATCH, &location(&first), |request| request.body("")).await.expect_status(202);
        assert_session(&same, 4);
    }
    "Pushing a blob in chunks: the digest-algorithm parameter names the algorithm" => |it| {
        let session = location(&it.post("?digest-algorithm=sha512", "").await.expect_status(202));
        let session = location(&it.patch(&session, "0-3", "abcd").await.expect_status(202));
        let session = location(&it.patch(&session, "4-5", "ef").await.expect_status(202));
        let created = it.finish(&session, &digest::of_sha512(b"abcdef"), "").await.expect_status(201);
        assert_eq!(created.header("docker-content-digest"), digest::of_sha512(b"abcdef"));
        assert_eq!(it.get(&format!("blobs/{}", digest::of_sha512(b"abcdef"))).await.body, "abcdef");
    }
    "Pushing a blob in chunks: such a session is finished with sha256 all the same" => |it| {
        let session = location(&it.post("?digest-algorithm=sha512", "").await.expect_status(202));
        let session = location(&it.patch(&session, "0-3", "abcd").await.expect_status(202));
        it.finish(&session, &digest::of(b"abcd"), "").await.expect_status(201);
    }
    "Pushing a blob in chunks: an algorithm that is not known is 400" => |it| {
        it.post("?digest-algorithm=md5", "").await.expect_refusal(400, "DIGEST_INVALID");
    }
    "Pushing a blob in chunks: a GET of an active upload MUST be 204 with Location and Range" => |it| {
        let opened = it.open().await;
        let status = async || it.at(Method::GET, &opened, |request| request).await.expect_status(204);
        assert_session(&status().await, 0);
        it.patch(&opened, "0-3", "abcd").await.expect_status(202);
        assert_session(&status().await, 4);
    }
    "Cancel a blob upload: if successful, the response SHOULD be 204" => |it| {
        let session = it.open().await;
        it.at(Method::DELETE, &session, |request| request).await.expect_status(204);
    }
    "Cancel a blob upload: what was cancelled is gone for every method" => |it| {
        let session = it.open().await;
        it.at(Method::DELETE, &session, |request| request).await.expect_status(204);
        for method in [Method::GET, Method::PATCH, Method::DELETE] {
            let refused = it.at(method, &session, |request| request).await;
            refused.expect_refusal(404, "BLOB_UPLOAD_UNKNOWN");
        }
    }
    "Endpoints, end-5: PATCH of an unknown session is 404" => |it| {
        it.blob("ware").await;
        let unknown = format!("/v2/{}/blobs/uploads/{}", it.name, uuid::Uuid::from_u128(5));
        it.patch(&unknown, "0-3", "abcd").await.expect_refusal(404, "BLOB_UPLOAD_UNKNOWN");
    }
    "Endpoints, end-5: a session belongs to the repository it was opened in" => |it| {
        let other = it.other();
        let session = other.open().await.replace(&other.name, &it.name);
        it.patch(&session, "0-3", "abcd").await.expect_refusal(404, "BLOB_UPLOAD_UNKNOWN");
    }
}
