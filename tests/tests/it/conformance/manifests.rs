//! "Pushing Manifests", of images, indexes, artifacts and whatever else is one.

use super::checks;
use super::repository::{EMPTY, Repository, SBOM};
use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};
use tests::image::{self, Index, described};
use tests::oci_client::location;
use tests::{digest, noise};

const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

checks! {
    "Pushing Manifests: upon success, the response MUST be 201 with a Location (by tag)" => |it| {
        let image = it.blobs_of_an_image().await;
        let created = it.put("latest", image::MANIFEST, &image.manifest).await.expect_status(201);
        assert!(created.header("location").starts_with(&format!("/v2/{}/manifests/", it.name)));
    }
    "Pushing Manifests: upon success, the response MUST be 201 with a Location (by digest)" => |it| {
        let image = it.blobs_of_an_image().await;
        let created = it.put(&image.digest, image::MANIFEST, &image.manifest).await.expect_status(201);
        assert_eq!(created.header("location"), format!("/v2/{}/manifests/{}", it.name, image.digest));
    }
    "Pushing Manifests: the location is a pullable manifest URL" => |it| {
        let image = it.blobs_of_an_image().await;
        let created = it.put("latest", image::MANIFEST, &image.manifest).await;
        let pulled = it.at(Method::GET, &location(&created), |request| request).await;
        assert_eq!(pulled.expect_status(200).body, image.manifest);
    }
    "Pushing Manifests: Docker-Content-Digest MUST be equal to the client provided digest" => |it| {
        let image = it.blobs_of_an_image().await;
        for reference in ["latest", &image.digest] {
            let created = it.put(reference, image::MANIFEST, &image.manifest).await;
            assert_eq!(created.header("docker-content-digest"), image.digest);
        }
    }
    "Pushing Manifests: the registry MUST store the exact byte representation" => |it| {
        it.blob("{}").await;
        let odd = format!("\n {{ \"schemaVersion\" : 2,\t\"config\":{},\"layers\":[ ] , \"x\": 1e2}}  \n", described(EMPTY, b"{}"));
        let odd = Bytes::from(odd);
        it.put("odd", image::MANIFEST, &odd).await.expect_status(201);
        assert_eq!(it.get("manifests/odd").await.body, odd);
    }
    "Pushing Manifests: the registry SHOULD ignore parameters on the Content-Type" => |it| {
        let image = it.blobs_of_an_image().await;
        let with_parameter = format!("{}; charset=utf-8", image::MANIFEST);
        it.put("latest", &with_parameter, &image.manifest).await.expect_status(201);
        assert_eq!(it.get("manifests/latest").await.header("content-type"), image::MANIFEST);
    }
    "Pushing Manifests: what could be taken for an image and for an index is refused" => |it| {
        it.blob("{}").await;
        let both = json!({ "schemaVersion": 2, "config": described(EMPTY, b"{}"), "layers": [], "manifests": [] });
        let both = Bytes::from(both.to_string());
        for media_type in [image::MANIFEST, image::INDEX, DOCKER_IMAGE, DOCKER_LIST] {
            it.put("both", media_type, &both).await.expect_refusal(400, "MANIFEST_INVALID");
        }
    }
    "Pushing Manifests: a key that some clients take for another is refused" => |it| {
        it.blob("{}").await;
        let odd = json!({ "schemaVersion": 2, "config": described(EMPTY, b"{}"), "layers": [], "Layers": [] });
        it.put("odd", image::MANIFEST, &Bytes::from(odd.to_string())).await.expect_refusal(400, "MANIFEST_INVALID");
    }
    "Pulling manifests: the Content-Type is that of the push to this repository" => |it| {
        let bytes = Bytes::from(json!({ "schemaVersion": 2, "manifests": [], "of": it.name }).to_string());
        let (other, odd) = (it.other(), "application/vnd.example.unheard.of+json");
        other.put("latest", odd, &bytes).await.expect_status(201);
        it.put("latest", image::INDEX, &bytes).await.expect_status(201);
        assert_eq!(it.get("manifests/latest").await.header("content-type"), image::INDEX);
        assert_eq!(other.get("manifests/latest").await.header("content-type"), odd);
        other.put("latest", image::INDEX, &bytes).await.expect_status(201);
        assert_eq!(other.get("manifests/latest").await.header("content-type"), image::INDEX);
    }
    "Pulling manifests: the Content-Type SHOULD match what the client pushed" => |it| {
        let bytes = Bytes::from_static(b"{\"schemaVersion\":2,\"unheard\":\"of\"}");
        it.put("odd", "application/vnd.example.unheard.of+json", &bytes).await.expect_status(201);
        assert_eq!(it.get("manifests/odd").await.header("content-type"), "application/vnd.example.unheard.of+json");
    }
    "Pushing Manifests: a mediaType that contradicts the Content-Type is refused" => |it| {
        let image = it.blobs_of_an_image().await;
        it.put("latest", image::INDEX, &image.manifest).await.expect_refusal(400, "MANIFEST_INVALID");
    }
    "Pushing Manifests: the list of blobs MAY be empty" => |it| {
        it.blob("{}").await;
        let empty = json!({ "schemaVersion": 2, "config": described(EMPTY, b"{}"), "layers": [] });
        it.put("empty", image::MANIFEST, &Bytes::from(empty.to_string())).await.expect_status(201);
    }
    "Pushing Manifests: a digest that is not that of the body is 400" => |it| {
        let image = it.blobs_of_an_image().await;
        it.put(&digest::of(b"other"), image::MANIFEST, &image.manifest).await.expect_refusal(400, "DIGEST_INVALID");
    }
    "Push: a manifest with a missing blob MUST result in MANIFEST_BLOB_UNKNOWN" => |it| {
        let image = image::Image::with_layers(vec![noise::bytes(99, 10)], "amd64");
        it.blob("something else").await;
        it.put("latest", image::MANIFEST, &image.manifest).await.expect_refusal(404, "MANIFEST_BLOB_UNKNOWN");
        it.get("manifests/latest").await.expect_status(404);
    }
    "Push: an index with a missing manifest MUST result in MANIFEST_BLOB_UNKNOWN" => |it| {
        it.blob("something else").await;
        let index = Index::two_platforms(5);
        it.put("latest", image::INDEX, &index.manifest).await.expect_refusal(404, "MANIFEST_BLOB_UNKNOWN");
    }
    "Push: an index is pushed after its children, which are pushed by digest" => |it| {
        let index = Index::two_platforms(6);
        push_index(it, &index).await;
        it.put("multi", image::INDEX, &index.manifest).await.expect_status(201);
        let pulled = it.get("manifests/multi").await;
        assert_eq!((&pulled.body, pulled.header("content-type")), (&index.manifest, image::INDEX));
    }
    "Push: an index of indexes is an index" => |it| {
        let inner = Index::two_platforms(7);
        push_index(it, &inner).await;
        it.put(&inner.digest, image::INDEX, &inner.manifest).await.expect_status(201);
        let child = described(image::INDEX, &inner.manifest);
        let outer = Bytes::from(json!({ "schemaVersion": 2, "mediaType": image::INDEX, "manifests": [child] }).to_string());
        it.put("outer", image::INDEX, &outer).await.expect_status(201);
        it.get(&format!("manifests/{}", inner.images[0].digest)).await.expect_status(200);
    }
    "Push: a manifest pushed by digest is pulled by digest at once, and is under no tag" => |it| {
        let image = it.blobs_of_an_image().await;
        it.put(&image.digest, image::MANIFEST, &image.manifest).await.expect_status(201);
        assert_eq!(it.get(&format!("manifests/{}", image.digest)).await.expect_status(200).body, image.manifest);
        it.get("manifests/latest").await.expect_status(404);
    }
    "Push: docker's image manifest of schema 2 is taken byte for byte" => |it| {
        let bytes = docker_image(it).await;
        it.put("latest", DOCKER_IMAGE, &bytes).await.expect_status(201);
        let pulled = it.get("manifests/latest").await;
        assert_eq!((&pulled.body, pulled.header("content-type")), (&bytes, DOCKER_IMAGE));
    }
    "Push: docker's manifest list is taken byte for byte" => |it| {
        let child = docker_image(it).await;
        it.put(&digest::of(&child), DOCKER_IMAGE, &child).await.expect_status(201);
        let mut described = described(DOCKER_IMAGE, &child);
        described["platform"] = json!({ "os": "linux", "architecture": "arm", "variant": "v7" });
        let list = Bytes::from(json!({ "schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [described] }).to_string());
        it.put("list", DOCKER_LIST, &list).await.expect_status(201);
        let pulled = it.get("manifests/list").await;
        assert_eq!((&pulled.body, pulled.header("content-type")), (&list, DOCKER_LIST));
    }
    "Push: BuildKit's cache, an index of layers and a config, is taken" => |it| {
        let config = "application/vnd.buildkit.cacheconfig.v0";
        it.blob("layer").await;
        it.blob("{\"layers\":[]}").await;
        let parts = json!([described("application/vnd.oci.image.layer.v1.tar+gzip", b"layer"), described(config, b"{\"layers\":[]}")]);
        let cache = Bytes::from(json!({ "schemaVersion": 2, "mediaType": image::INDEX, "manifests": parts }).to_string());
        it.put("cache", image::INDEX, &cache).await.expect_status(201);
        assert_eq!(it.get("manifests/cache").await.body, cache);
        let missing = Bytes::from(json!({ "schemaVersion": 2, "mediaType": image::INDEX, "manifests": [described(config, b"gone")] }).to_string());
        it.put("cache", image::INDEX, &missing).await.expect_refusal(404, "MANIFEST_BLOB_UNKNOWN");
    }
    "Push: a layer with urls, which is to be had elsewhere, need not be here" => |it| {
        it.blob("{}").await;
        let mut layer = described("application/vnd.oci.image.layer.nondistributable.v1.tar", b"elsewhere");
        layer["urls"] = json!(["https://example.com/layer"]);
        let bytes = json!({ "schemaVersion": 2, "mediaType": image::MANIFEST, "config": described(EMPTY, b"{}"), "layers": [layer] });
        it.put("foreign", image::MANIFEST, &Bytes::from(bytes.to_string())).await.expect_status(201);
    }
    "Push: an artifact with artifactType and an empty config is taken" => |it| {
        let (digest, answer) = it.artifact(json!({ "artifactType": SBOM })).await;
        answer.expect_status(201);
        it.get(&format!("manifests/{digest}")).await.expect_status(200);
    }
    "Pushing Manifests: a registry SHOULD support at least 10 tags per request, and MUST name each in OCI-Tag" => |it| {
        let image = it.blobs_of_an_image().await;
        let tags: Vec<_> = (0..12).map(|n| format!("1.{n}")).collect();
        let query: Vec<_> = tags.iter().map(|tag| format!("tag={tag}")).collect();
        let created = it.put(&format!("{}?{}", image.digest, query.join("&")), image::MANIFEST, &image.manifest).await;
        assert_eq!(created.expect_status(201).header("oci-tag"), tags.join(", "));
        for tag in &tags {
            assert_eq!(it.get(&format!("manifests/{tag}")).await.header("docker-content-digest"), image.digest);
        }
    }
    "Pushing Manifests: too many tags MAY be answered 414" => |it| {
        let image = it.blobs_of_an_image().await;
        let query: Vec<_> = (0..40).map(|n| format!("tag=v{n}")).collect();
        let refused = it.put(&format!("{}?{}", image.digest, query.join("&")), image::MANIFEST, &image.manifest).await;
        refused.expect_refusal(414, "SIZE_INVALID");
    }
    "Pushing Manifests: a tag in the query that cannot be one is 400, and nothing is tagged" => |it| {
        let image = it.blobs_of_an_image().await;
        let refused = it.put(&format!("{}?tag=good&tag=-bad", image.digest), image::MANIFEST, &image.manifest).await;
        refused.expect_refusal(400, "NAME_INVALID");
        it.get("manifests/good").await.expect_status(404);
    }
    "Pushing Manifests: a manifest is pushed and pulled by its sha512, and tagged with it" => |it| {
        let image = it.blobs_of_an_image().await;
        let digest = digest::of_sha512(&image.manifest);
        let created = it.put(&format!("{digest}?tag=strong"), image::MANIFEST, &image.manifest).await.expect_status(201);
        assert_eq!(created.header("docker-content-digest"), digest);
        assert_eq!(it.get(&format!("manifests/{digest}")).await.expect_status(200).body, image.manifest);
        assert_eq!(it.head("manifests/strong").await.expect_status(200).header("docker-content-digest"), digest);
    }
    "Pushing Manifests: an image may consist of sha512 blobs" => |it| {
        let parts = ["{}", "layer"];
        for part in parts {
            let digest = digest::of_sha512(part.as_bytes());
            it.post(&format!("?digest={digest}"), part).await.expect_status(201);
        }
        let part = |media_type: &str, part: &str| {
            json!({ "mediaType": media_type, "digest": digest::of_sha512(part.as_bytes()), "size": part.len() })
        };
        let manifest = json!({ "schemaVersion": 2, "mediaType": image::MANIFEST, "config": part(image::CONFIG, parts[0]), "layers": [part(image::LAYER, parts[1])] });
        it.put("latest", image::MANIFEST, &Bytes::from(manifest.to_string())).await.expect_status(201);
    }
    "Pushing Manifests: manifests of at least 4 megabytes are taken" => |it| {
        let bytes = padded(it, 4_000_000).await;
        it.put("large", image::MANIFEST, &bytes).await.expect_status(201);
        assert_eq!(it.get("manifests/large").await.body.len(), bytes.len());
    }
    "Pushing Manifests: a manifest over the limit SHOULD be answered 413" => |it| {
        let bytes = padded(it, 5_000_000).await;
        it.put("large", image::MANIFEST, &bytes).await.expect_refusal(413, "SIZE_INVALID");
    }
    "Pushing Manifests: a tag moves to what was pushed last, and the one before stays under its digest" => |it| {
        let before = it.image("latest").await;
        let (after, _) = it.artifact(json!({ "artifactType": SBOM })).await;
        let bytes = it.get(&format!("manifests/{after}")).await.body;
        it.put("latest", image::MANIFEST, &bytes).await.expect_status(201);
        assert_eq!(it.head("manifests/latest").await.header("docker-content-digest"), after);
        it.get(&format!("manifests/{}", before.digest)).await.expect_status(200);
    }
    "Pushing Manifests: the same manifest again under the same tag is 201" => |it| {
        let image = it.image("latest").await;
        it.put("latest", image::MANIFEST, &image.manifest).await.expect_status(201);
    }
    "Pushing Manifests with Subject: the response MUST have OCI-Subject" => |it| {
        let image = it.image("latest").await;
        let subject = described(image::MANIFEST, &image.manifest);
        let (_, answer) = it.artifact(json!({ "artifactType": SBOM, "subject": subject })).await;
        assert_eq!(answer.expect_status(201).header("oci-subject"), image.digest);
    }
    "Push: a subject that does not exist MUST be accepted, and is answered with OCI-Subject too" => |it| {
        let subject = described(image::MANIFEST, b"not pushed yet");
        let (_, answer) = it.artifact(json!({ "artifactType": SBOM, "subject": subject })).await;
        assert_eq!(answer.expect_status(201).header("oci-subject"), digest::of(b"not pushed yet"));
    }
    "Pushing Manifests with Subject: an index and a tagged manifest are answered with OCI-Subject too" => |it| {
        let subject = described(image::MANIFEST, b"not pushed yet");
        let index = Bytes::from(json!({ "schemaVersion": 2, "mediaType": image::INDEX, "manifests": [], "subject": subject }).to_string());
        for reference in ["about", &digest::of(&index)] {
            let answer = it.put(reference, image::INDEX, &index).await.expect_status(201);
            assert_eq!(answer.header("oci-subject"), digest::of(b"not pushed yet"));
        }
    }
    "Pushing Manifests with Subject: a manifest without one is not answered with OCI-Subject" => |it| {
        let (_, answer) = it.artifact(json!({ "artifactType": SBOM, "subject": Value::Null })).await;
        assert_eq!(answer.expect_status(201).header("oci-subject"), "");
    }
}

async fn push_index(it: &Repository, index: &Index) {
    for child in &index.images {
        for blob in child.blobs() {
            it.blob(blob.clone()).await;
        }
        let put = it
            .put(&child.digest, image::MANIFEST, &child.manifest)
            .await;
        put.expect_status(201);
    }
}

/// An image as docker writes it, whose blobs are pushed.
async fn docker_image(it: &Repository) -> Bytes {
    let config = r#"{"architecture":"arm","os":"linux"}"#;
    it.blob(config).await;
    it.blob("layer").await;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": DOCKER_IMAGE,
        "config": described(DOCKER_CONFIG, config.as_bytes()),
        "layers": [described(DOCKER_LAYER, b"layer")],
    });
    Bytes::from(manifest.to_string())
}

/// A manifest of exactly `size` bytes, whose blobs are pushed.
async fn padded(it: &Repository, size: usize) -> Bytes {
    it.blob("{}").await;
    let with = |padding: usize| {
        json!({
            "schemaVersion": 2,
            "config": described(EMPTY, b"{}"),
            "layers": [],
            "annotations": { "padding": "x".repeat(padding) },
        })
        .to_string()
    };
    Bytes::from(with(size - with(0).len()))
}
