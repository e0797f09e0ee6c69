//! "Error Codes", and "Content Management", which is not offered yet and says so.

use super::checks;
use super::repository::Repository;
use bytes::Bytes;
use reqwest::Method;
use tests::answer::Answer;
use tests::digest;
use tests::image::{self, described};
use tests::oci_client::OciClient;

checks! {
    "Error Codes: a body in JSON MUST be errors with code, message and detail" => |it| {
        let refused = it.get("manifests/latest").await;
        let errors = refused.json()["errors"].as_array().cloned().expect("a list");
        assert_eq!(errors.len(), 1);
        assert!(errors[0]["code"].is_string() && errors[0]["message"].is_string(), "{refused}");
        assert!(errors[0].get("detail").is_some(), "{refused}");
        assert_eq!(refused.header("content-type"), "application/json");
    }
    "Error Codes: a code MUST be of upper-case letters and underscores" => |it| {
        let code = it.get("manifests/latest").await.code();
        assert!(code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{code}");
    }
    "Error Codes, code-1: BLOB_UNKNOWN" => |it| {
        it.blob("ware").await;
        it.get(&format!("blobs/{}", digest::of(b"other"))).await.expect_refusal(404, "BLOB_UNKNOWN");
    }
    "Error Codes, code-2: BLOB_UPLOAD_INVALID" => |it| {
        it.patch(&it.open().await, "7-8", "ab").await.expect_refusal(416, "BLOB_UPLOAD_INVALID");
    }
    "Error Codes, code-3: BLOB_UPLOAD_UNKNOWN" => |it| {
        it.get("blobs/uploads/none").await.expect_refusal(404, "BLOB_UPLOAD_UNKNOWN");
    }
    "Error Codes, code-4: DIGEST_INVALID" => |it| {
        it.post(&format!("?digest={}", digest::of(b"a")), "b").await.expect_refusal(400, "DIGEST_INVALID");
    }
    "Error Codes, code-5: MANIFEST_BLOB_UNKNOWN, which names what is missing" => |it| {
        it.blob("ware").await;
        let image = image::Image::with_layers(vec![], "amd64");
        let refused = it.put("latest", image::MANIFEST, &image.manifest).await;
        let refused = refused.expect_refusal(404, "MANIFEST_BLOB_UNKNOWN");
        assert!(refused.message().contains(&digest::of(&image.config)), "{refused}");
    }
    "Error Codes, code-6: MANIFEST_INVALID, for what is no manifest and only for that" => |it| {
        for body in ["", "not JSON", "[]", "\"text\"", "{\"config\":", "{\"schemaVersion\":2}"] {
            let refused = it.put("latest", image::MANIFEST, &Bytes::from_static(body.as_bytes())).await;
            refused.expect_refusal(400, "MANIFEST_INVALID");
        }
    }
    "Error Codes, code-6: MANIFEST_INVALID for docker's schema 1, which nobody should push" => |it| {
        let schema_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        it.put("latest", schema_1, &Bytes::from_static(b"{}")).await.expect_refusal(400, "MANIFEST_INVALID");
    }
    "Error Codes, code-7: MANIFEST_UNKNOWN" => |it| {
        it.image("latest").await;
        it.get("manifests/other").await.expect_refusal(404, "MANIFEST_UNKNOWN");
    }
    "Error Codes, code-8: NAME_INVALID for a name that breaks the grammar" => |it| {
        for name in ["default_organization/-x", "default_organization/x_", "default_organization/a..b", "default_organization/a//b"] {
            at(it, name).await.expect_refusal(400, "NAME_INVALID");
        }
        at(it, &format!("default_organization/{}", "x".repeat(250))).await.expect_refusal(400, "NAME_INVALID");
    }
    "Error Codes, code-8: NAME_INVALID for upper case, with the name as it would be right" => |it| {
        let refused = at(it, "default_organization/App").await.expect_refusal(400, "NAME_INVALID");
        assert!(refused.message().contains("`default_organization/app`"), "{refused}");
    }
    "Error Codes, code-9: NAME_UNKNOWN" => |it| {
        it.get("tags/list").await.expect_refusal(404, "NAME_UNKNOWN");
    }
    "Error Codes, code-10: SIZE_INVALID" => |it| {
        it.patch(&it.open().await, "0-7", "ab").await.expect_refusal(400, "SIZE_INVALID");
    }
    "Error Codes, code-11: UNAUTHORIZED, with the way to a token" => |it| {
        it.image("latest").await;
        let nobody = OciClient::anonymous(&it.host);
        let request = nobody.request(Method::GET, &format!("/v2/{}/manifests/latest", it.name));
        let refused = nobody.send(request).await.expect_refusal(401, "UNAUTHORIZED");
        let challenge = refused.header("www-authenticate");
        assert!(challenge.starts_with("Bearer realm=\"http://") && challenge.contains("/v2/token\""), "{challenge}");
    }
    "Error Codes, code-13: UNSUPPORTED, with the methods that there are" => |it| {
        it.image("latest").await;
        let refused = it.send(Method::POST, "manifests/latest", |request| request).await;
        let refused = refused.expect_refusal(405, "UNSUPPORTED");
        assert!(refused.header("allow").contains("GET"), "{refused}");
    }
    "Pushing Manifests: a descriptor that is none is MANIFEST_INVALID, with its place" => |it| {
        let mut config = described(image::CONFIG, b"{}");
        config["digest"] = "md5:1".into();
        let manifest = serde_json::json!({ "schemaVersion": 2, "config": config, "layers": [] });
        let refused = it.put("latest", image::MANIFEST, &Bytes::from(manifest.to_string())).await;
        let refused = refused.expect_refusal(400, "MANIFEST_INVALID");
        assert!(refused.message().contains("`config`"), "{refused}");
    }
}

/// The answer to a list of tags under any name.
async fn at(it: &Repository, name: &str) -> Answer {
    it.at(Method::GET, &format!("/v2/{name}/tags/list"), |request| {
        request
    })
    .await
}
