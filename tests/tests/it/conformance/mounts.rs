//! "Mounting a blob from another repository".
//!
//! The tokens of the checks are good for their own repository only, so that a mount is asked for with Basic.

use super::checks;
use super::repository::Repository;
use reqwest::Method;
use tests::answer::Answer;
use tests::digest;
use tests::oci_client::{OciClient, location};
use tests::server::{ADMIN, ADMIN_PASSWORD};

checks! {
    "Mounting a blob: the response to a successful mount MUST be 201 with the blob's Location" => |it| {
        let blob = it.other().blob("ware").await;
        let mounted = mount(it, &format!("?mount={blob}&from={}", it.other().name)).await.expect_status(201);
        assert_eq!(mounted.header("location"), format!("/v2/{}/blobs/{blob}", it.name));
        assert_eq!(mounted.header("docker-content-digest"), blob);
    }
    "Mounting a blob: what was mounted is pulled from here" => |it| {
        let blob = it.other().blob("ware").await;
        mount(it, &format!("?mount={blob}&from={}", it.other().name)).await.expect_status(201);
        assert_eq!(it.get(&format!("blobs/{blob}")).await.expect_status(200).body, "ware");
    }
    "Mounting a blob: what cannot be mounted is answered 202 with a session, by which it is uploaded" => |it| {
        it.other().blob("other").await;
        let wanted = digest::of(b"ware");
        let opened = mount(it, &format!("?mount={wanted}&from={}", it.other().name)).await.expect_status(202);
        it.finish(&location(&opened), &wanted, "ware").await.expect_status(201);
    }
    "Mounting a blob: a source that does not exist is 202" => |it| {
        let wanted = digest::of(b"ware");
        for from in ["default_organization/nowhere", "nobody/nothing", "..", "UPPER/case"] {
            mount(it, &format!("?mount={wanted}&from={from}")).await.expect_status(202);
        }
    }
    "Mounting a blob: the registry MAY treat from as optional and cross-mount the blob if it can be found" => |it| {
        let unique = format!("ware of {}", it.name);
        let blob = it.other().blob(unique.clone()).await;
        mount(it, &format!("?mount={blob}")).await.expect_status(201);
        assert_eq!(it.get(&format!("blobs/{blob}")).await.expect_status(200).body, unique);
    }
    "Mounting a blob: without from, a blob that is here already is 201 for every token, and one that is nowhere is 202" => |it| {
        let blob = it.blob(format!("ware of {}", it.name)).await;
        it.post(&format!("?mount={blob}"), "").await.expect_status(201);
        it.post(&format!("?mount={}", digest::of(b"nowhere")), "").await.expect_status(202);
    }
    "Mounting a blob: a token that is not good for the source mounts nothing, and learns nothing" => |it| {
        let blob = it.other().blob(format!("ware of {}", it.name)).await;
        it.post(&format!("?mount={blob}&from={}", it.other().name), "").await.expect_status(202);
        it.post(&format!("?mount={blob}"), "").await.expect_status(202);
        it.head(&format!("blobs/{blob}")).await.expect_status(404);
    }
    "Mounting a blob: a digest that is none is 400" => |it| {
        let refused = mount(it, &format!("?mount=sha256:1&from={}", it.other().name)).await;
        refused.expect_refusal(400, "DIGEST_INVALID");
    }
    "Mounting a blob: a sha512 blob is mounted too" => |it| {
        let digest = digest::of_sha512(b"ware");
        it.other().post(&format!("?digest={digest}"), "ware").await.expect_status(201);
        mount(it, &format!("?mount={digest}&from={}", it.other().name)).await.expect_status(201);
    }
}

async fn mount(it: &Repository, query: &str) -> Answer {
    let client = OciClient::anonymous(&it.host);
    let path = format!("/v2/{}/blobs/uploads/{query}", it.name);
    let request = client.request(Method::POST, &path);
    client
        .send(request.basic_auth(ADMIN, Some(ADMIN_PASSWORD)))
        .await
}
