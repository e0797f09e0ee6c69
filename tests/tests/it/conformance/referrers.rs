//! "Listing Referrers".

use super::checks;
use super::repository::{EMPTY, SBOM, next};
use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};
use tests::image::{self, described};
use tests::{digest, noise};

const SIGNATURE: &str = "application/vnd.example.signature.v1";

checks! {
    "Listing Referrers: upon success, the response MUST be an image index with 200" => |it| {
        let image = it.image("latest").await;
        let list = it.get(&format!("referrers/{}", image.digest)).await.expect_status(200).json();
        assert_eq!(list["schemaVersion"], 2);
        assert_eq!(list["mediaType"], image::INDEX);
    }
    "Listing Referrers: the Content-Type MUST be exactly that of an image index" => |it| {
        let image = it.image("latest").await;
        let list = it.get(&format!("referrers/{}", image.digest)).await;
        assert_eq!(list.header("content-type"), image::INDEX);
    }
    "Listing Referrers: if there are none, an empty list MUST be returned" => |it| {
        let image = it.image("latest").await;
        assert_eq!(it.referrers(&image.digest, "").await, [Value::Null; 0]);
    }
    "Listing Referrers: the registry MUST NOT return a 404, also for a digest that was never pushed" => |it| {
        it.image("latest").await;
        assert_eq!(it.referrers(&format!("sha256:{}", "0".repeat(64)), "").await.len(), 0);
    }
    "Listing Referrers: the registry MUST NOT return a 404, also where nothing was pushed yet" => |it| {
        assert_eq!(it.referrers(&digest::of(b"any"), "").await.len(), 0);
    }
    "Listing Referrers: an invalid digest MUST be answered 400" => |it| {
        it.image("latest").await;
        for wrong in ["latest", "sha256:12", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
            it.get(&format!("referrers/{wrong}")).await.expect_refusal(400, "DIGEST_INVALID");
        }
    }
    "Listing Referrers: each descriptor is of a manifest whose subject is the digest, with media type, size and digest" => |it| {
        let image = it.image("latest").await;
        let referrer = it.referrer(&image.digest, SBOM).await;
        let bytes = it.get(&format!("manifests/{referrer}")).await.body;
        let expected = json!([{ "mediaType": image::MANIFEST, "digest": referrer, "size": bytes.len(), "artifactType": SBOM }]);
        assert_eq!(json!(it.referrers(&image.digest, "").await), expected);
    }
    "Listing Referrers: what was pushed by digest is listed as soon as its push is answered" => |it| {
        let image = it.image("latest").await;
        for n in 1..=3 {
            it.referrer(&image.digest, &format!("text/x{n}")).await;
            assert_eq!(it.referrers(&image.digest, "").await.len(), n);
        }
    }
    "Listing Referrers: what was pushed with a tag is listed too" => |it| {
        let subject = described(image::MANIFEST, b"image");
        it.blob("{}").await;
        let manifest = json!({ "schemaVersion": 2, "mediaType": image::MANIFEST, "config": described(EMPTY, b"{}"), "layers": [], "subject": subject });
        it.put("about", image::MANIFEST, &Bytes::from(manifest.to_string())).await.expect_status(201);
        assert_eq!(it.referrers(&digest::of(b"image"), "").await.len(), 1);
    }
    "Listing Referrers: a subject may be pushed after what refers to it" => |it| {
        let image = it.blobs_of_an_image().await;
        let referrer = it.referrer(&image.digest, SBOM).await;
        it.put("latest", image::MANIFEST, &image.manifest).await.expect_status(201);
        assert_eq!(it.referrers(&image.digest, "").await[0]["digest"], json!(referrer));
    }
    "Listing Referrers: without artifactType the value MUST be the media type of the config" => |it| {
        it.blob("{\"config\":1}").await;
        let config = described("application/vnd.example.config.v1+json", b"{\"config\":1}");
        let fields = json!({ "config": config, "subject": described(image::MANIFEST, b"image") });
        it.artifact(fields).await.1.expect_status(201);
        assert_eq!(it.referrers(&digest::of(b"image"), "").await[0]["artifactType"], "application/vnd.example.config.v1+json");
    }
    "Listing Referrers: an empty artifactType counts as none" => |it| {
        let fields = json!({ "artifactType": "", "subject": described(image::MANIFEST, b"image") });
        it.artifact(fields).await.1.expect_status(201);
        assert_eq!(it.referrers(&digest::of(b"image"), "").await[0]["artifactType"], EMPTY);
    }
    "Listing Referrers: an index without artifactType MUST be listed without one" => |it| {
        let index = json!({ "schemaVersion": 2, "mediaType": image::INDEX, "manifests": [], "subject": described(image::MANIFEST, b"image") });
        let index = Bytes::from(index.to_string());
        it.put(&digest::of(&index), image::INDEX, &index).await.expect_status(201);
        let listed = it.referrers(&digest::of(b"image"), "").await;
        assert_eq!(json!(listed), json!([{ "mediaType": image::INDEX, "digest": digest::of(&index), "size": index.len() }]));
    }
    "Listing Referrers: the descriptors MUST include the annotations" => |it| {
        let annotations = json!({ "org.opencontainers.image.created": "2026-01-01T00:00:00Z", "key": "värde \"x\"" });
        let fields = json!({ "artifactType": SBOM, "subject": described(image::MANIFEST, b"image"), "annotations": annotations });
        it.artifact(fields).await.1.expect_status(201);
        assert_eq!(it.referrers(&digest::of(b"image"), "").await[0]["annotations"], annotations);
    }
    "Listing Referrers: referrers are those of the same repository" => |it| {
        let image = it.image("latest").await;
        it.other().referrer(&image.digest, SBOM).await;
        assert_eq!(it.referrers(&image.digest, "").await.len(), 0);
    }
    "Listing Referrers: a filter on artifactType SHOULD be supported" => |it| {
        let subject = digest::of(b"image");
        it.referrer(&subject, SBOM).await;
        let signature = it.referrer(&subject, SIGNATURE).await;
        let listed = it.referrers(&subject, &format!("?artifactType={SIGNATURE}")).await;
        assert_eq!((listed.len(), &listed[0]["digest"]), (1, &json!(signature)));
        assert_eq!(it.referrers(&subject, "?artifactType=text%2Fnone").await.len(), 0);
    }
    "Listing Referrers: if a filter is applied, the response MUST have OCI-Filters-Applied, and else not" => |it| {
        let subject = digest::of(b"image");
        it.referrer(&subject, SBOM).await;
        let filtered = it.get(&format!("referrers/{subject}?artifactType={SBOM}")).await;
        assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
        assert_eq!(it.get(&format!("referrers/{subject}")).await.header("oci-filters-applied"), "");
    }
    "Listing Referrers: a list that is not whole MUST have a Link with rel=next" => |it| {
        let subject = digest::of(b"image");
        for n in 0..5 {
            it.referrer(&subject, &format!("text/x; n={n}")).await;
        }
        let whole = it.referrers(&subject, "").await;
        let mut path = format!("/v2/{}/referrers/{subject}?n=2", it.name);
        let mut paged = Vec::new();
        for left in [true, true, false] {
            let page = it.at(Method::GET, &path, |request| request).await.expect_status(200);
            paged.extend(page.json()["manifests"].as_array().cloned().expect("an index"));
            let following = next(&page);
            assert_eq!(following.is_some(), left, "{page}");
            path = following.unwrap_or_default();
        }
        assert_eq!(paged, whole);
    }
    "Listing Referrers: a page of a filtered list leads to the next one of the same filter" => |it| {
        let subject = digest::of(b"image");
        it.referrer(&subject, SIGNATURE).await;
        for n in 0..3 {
            let fields = json!({ "artifactType": SBOM, "subject": described(image::MANIFEST, b"image"), "annotations": { "n": n.to_string() } });
            it.artifact(fields).await.1.expect_status(201);
        }
        let mut path = format!("/v2/{}/referrers/{subject}?artifactType={SBOM}&n=2", it.name);
        let mut count = 0;
        loop {
            let page = it.at(Method::GET, &path, |request| request).await.expect_status(200);
            assert_eq!(page.header("oci-filters-applied"), "artifactType");
            count += page.json()["manifests"].as_array().map_or(0, Vec::len);
            let Some(following) = next(&page) else { break };
            path = following;
        }
        assert_eq!(count, 3);
    }
    "Listing Referrers: no page is larger than an index that clients read" => |it| {
        let subject = digest::of(b"image");
        for n in 0..3 {
            let padding = hex::encode(noise::bytes(n, 450_000));
            let fields = json!({ "artifactType": SBOM, "subject": described(image::MANIFEST, b"image"), "annotations": { "padding": padding } });
            it.artifact(fields).await.1.expect_status(201);
        }
        let first = it.get(&format!("referrers/{subject}")).await.expect_status(200);
        assert!(first.body.len() < 4 << 20, "{} bytes", first.body.len());
        assert!(next(&first).is_some(), "the others are on another page");
    }
    "Listing Referrers: the subject may be called by its sha512" => |it| {
        let subject = digest::of_sha512(b"image");
        it.referrer(&subject, SBOM).await;
        assert_eq!(it.referrers(&subject, "").await.len(), 1);
        assert_eq!(it.referrers(&digest::of(b"image"), "").await.len(), 0);
    }
    "Listing Referrers: referrers stay listed once a later push has filed them" => |it| {
        let image = it.image("latest").await;
        it.referrer(&image.digest, SBOM).await;
        it.put("again", image::MANIFEST, &image.manifest).await.expect_status(201);
        assert_eq!(it.referrers(&image.digest, "").await.len(), 1);
    }
}
