//! "Pull": manifests, blobs, and whether they exist.

use super::checks;
use bytes::Bytes;
use tests::{digest, image};

checks! {
    "Pulling manifests: <tag-or-digest> MUST be a digest or a tag; a GET of an existing manifest MUST be 200 (by tag)" => |it| {
        let image = it.image("latest").await;
        assert_eq!(it.get("manifests/latest").await.expect_status(200).body, image.manifest);
    }
    "Pulling manifests: a GET of an existing manifest MUST be 200 (by digest)" => |it| {
        let image = it.image("latest").await;
        let answer = it.get(&format!("manifests/{}", image.digest)).await.expect_status(200);
        assert_eq!(answer.body, image.manifest);
    }
    "Pulling manifests: a tag MUST match [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}, and every such tag is taken" => |it| {
        it.blobs_of_an_image().await;
        let longest = format!("Z_{}", "9".repeat(126));
        for tag in ["a", "_", "0", "V1.2-rc_3", &longest] {
            it.image(tag).await;
            it.get(&format!("manifests/{tag}")).await.expect_status(200);
        }
    }
    "Pulling manifests: the Content-Type of the answer indicates the type of the manifest" => |it| {
        it.image("latest").await;
        assert_eq!(it.get("manifests/latest").await.header("content-type"), image::MANIFEST);
    }
    "Pulling manifests: the registry SHOULD NOT include parameters on the Content-Type" => |it| {
        it.image("latest").await;
        assert!(!it.get("manifests/latest").await.header("content-type").contains(';'));
    }
    "Pulling manifests: an Accept header does not change what is stored under a digest or tag" => |it| {
        let image = it.image("latest").await;
        let answer = it.get_with("manifests/latest", "accept", "application/vnd.docker.distribution.manifest.v2+json").await;
        assert_eq!(answer.expect_status(200).body, image.manifest);
    }
    "Pulling manifests: a successful response MUST contain Docker-Content-Digest" => |it| {
        let image = it.image("latest").await;
        assert_eq!(it.get("manifests/latest").await.header("docker-content-digest"), image.digest);
    }
    "Pulling manifests: if the manifest is not found, the response MUST be 404 (tag)" => |it| {
        it.image("latest").await;
        it.get("manifests/none").await.expect_refusal(404, "MANIFEST_UNKNOWN");
    }
    "Pulling manifests: if the manifest is not found, the response MUST be 404 (digest)" => |it| {
        it.image("latest").await;
        let missing = digest::of(b"never pushed");
        it.get(&format!("manifests/{missing}")).await.expect_refusal(404, "MANIFEST_UNKNOWN");
    }
    "Pulling manifests: <tag-or-digest> MUST NOT be in any other format" => |it| {
        it.image("latest").await;
        it.get("manifests/.latest").await.expect_status(404);
        it.get("manifests/sha256:123").await.expect_refusal(400, "DIGEST_INVALID");
    }
    "Pulling blobs: a GET of an existing blob MUST provide it with 200" => |it| {
        let blob = it.blob("ware").await;
        assert_eq!(it.get(&format!("blobs/{blob}")).await.expect_status(200).body, "ware");
    }
    "Pulling blobs: a successful response MUST contain Docker-Content-Digest, matching the body" => |it| {
        let blob = it.blob("ware").await;
        assert_eq!(it.get(&format!("blobs/{blob}")).await.header("docker-content-digest"), blob);
    }
    "Pulling blobs: if the blob is not found in the repository, the response MUST be 404" => |it| {
        it.blob("ware").await;
        let missing = digest::of(b"never pushed");
        it.get(&format!("blobs/{missing}")).await.expect_refusal(404, "BLOB_UNKNOWN");
    }
    "Pulling blobs: a blob of another repository is not found in this one" => |it| {
        it.blob("here").await;
        let there = it.other().blob("there").await;
        it.get(&format!("blobs/{there}")).await.expect_refusal(404, "BLOB_UNKNOWN");
    }
    "Pulling blobs: Range SHOULD be supported, RFC 9110 section 14 (first and last byte)" => |it| {
        let blob = it.blob("0123456789").await;
        let part = it.get_with(&format!("blobs/{blob}"), "range", "bytes=2-4").await.expect_status(206);
        assert_eq!((&part.body[..], part.header("content-range")), (&b"234"[..], "bytes 2-4/10"));
    }
    "Pulling blobs: Range, RFC 9110 section 14.1.2 (open end, suffix)" => |it| {
        let blob = it.blob("0123456789").await;
        for (range, part) in [("bytes=7-", "789"), ("bytes=-2", "89"), ("bytes=-99", "0123456789")] {
            let answer = it.get_with(&format!("blobs/{blob}"), "range", range).await;
            assert_eq!(answer.expect_status(206).body, part, "{range}");
        }
    }
    "Pulling blobs: Range, RFC 9110 section 15.5.17 (unsatisfiable is 416 with the size)" => |it| {
        let blob = it.blob("0123456789").await;
        let refused = it.get_with(&format!("blobs/{blob}"), "range", "bytes=10-").await.expect_status(416);
        assert_eq!(refused.header("content-range"), "bytes */10");
    }
    "Pulling blobs: Range, RFC 9110 section 14.2 (several ranges may be answered with the whole)" => |it| {
        let blob = it.blob("0123456789").await;
        let whole = it.get_with(&format!("blobs/{blob}"), "range", "bytes=0-1,4-5").await;
        assert_eq!(whole.expect_status(200).body, "0123456789");
    }
    "Pulling blobs: If-None-Match, RFC 9110 section 13.1.2 (304 for what the client has)" => |it| {
        let blob = it.blob("ware").await;
        let rest = format!("blobs/{blob}");
        let tag = it.get(&rest).await.header("etag").to_owned();
        let unchanged = it.get_with(&rest, "if-none-match", &tag).await.expect_status(304);
        assert_eq!((unchanged.body.len(), unchanged.header("etag")), (0, tag.as_str()));
        it.get_with(&rest, "if-none-match", "\"other\"").await.expect_status(200);
    }
    "Pulling manifests: If-None-Match, RFC 9110 section 13.1.2, follows a tag that has moved" => |it| {
        it.image("latest").await;
        let tag = it.get("manifests/latest").await.header("etag").to_owned();
        it.get_with("manifests/latest", "if-none-match", &tag).await.expect_status(304);
        let (moved, _) = it.artifact(serde_json::json!({ "artifactType": "text/moved" })).await;
        let bytes = it.get(&format!("manifests/{moved}")).await.body;
        it.put("latest", image::MANIFEST, &bytes).await.expect_status(201);
        it.get_with("manifests/latest", "if-none-match", &tag).await.expect_status(200);
    }
    "Checking if content exists: a HEAD of an existing blob MUST be 200 with digest and Content-Length" => |it| {
        let blob = it.blob("ware").await;
        let head = it.head(&format!("blobs/{blob}")).await.expect_status(200);
        assert_eq!((head.header("docker-content-digest"), head.header("content-length")), (blob.as_str(), "4"));
    }
    "Pull: no browser takes content for a page of the registry's own" => |it| {
        it.blob("ware").await;
        let page = Bytes::from_static(b"{\"schemaVersion\":2}");
        it.put("page", "text/html", &page).await.expect_status(201);
        for rest in [format!("blobs/{}", digest::of(b"ware")), "manifests/page".to_owned()] {
            let answer = it.get(&rest).await.expect_status(200);
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert_eq!(answer.header("content-security-policy"), "default-src 'none'; sandbox");
        }
        assert_eq!(it.get("manifests/page").await.header("content-type"), "text/html");
    }
    "Checking if content exists: a HEAD of an existing manifest MUST be 200 with digest and Content-Length" => |it| {
        let image = it.image("latest").await;
        for reference in ["latest", &image.digest] {
            let head = it.head(&format!("manifests/{reference}")).await.expect_status(200);
            assert_eq!(head.header("docker-content-digest"), image.digest);
            assert_eq!(head.header("content-length"), image.manifest.len().to_string());
            assert!(head.body.is_empty());
        }
    }
    "Checking if content exists: if the blob is not found, the response MUST be 404" => |it| {
        it.blob("ware").await;
        it.head(&format!("blobs/{}", digest::of(b"never pushed"))).await.expect_status(404);
    }
    "Checking if content exists: if the manifest is not found, the response MUST be 404" => |it| {
        it.image("latest").await;
        it.head("manifests/none").await.expect_status(404);
        it.head(&format!("manifests/{}", digest::of(b"never pushed"))).await.expect_status(404);
    }
    "Pushing Manifests: an attempt to pull a nonexistent repository MUST return 404" => |it| {
        it.get("manifests/latest").await.expect_refusal(404, "NAME_UNKNOWN");
        it.head("manifests/latest").await.expect_status(404);
        it.head(&format!("blobs/{}", digest::of(b"ware"))).await.expect_status(404);
    }
}
