//! "Content Management": tags, manifests and blobs are deleted.

use super::checks;

checks! {
    "Deleting tags: MUST respond 202, and the tag is 404 from then on" => |it| {
        it.image("latest").await;
        it.delete("manifests/latest").await.expect_status(202);
        it.get("manifests/latest").await.expect_refusal(404, "MANIFEST_UNKNOWN");
        it.head("manifests/latest").await.expect_status(404);
    }
    "Deleting tags: the manifest stays" => |it| {
        let image = it.image("latest").await;
        it.delete("manifests/latest").await.expect_status(202);
        it.get(&format!("manifests/{}", image.digest)).await.expect_status(200);
    }
    "Deleting tags: other tags of the manifest stay, and the list has the others" => |it| {
        it.image("latest").await;
        it.image("stable").await;
        it.delete("manifests/latest").await.expect_status(202);
        it.get("manifests/stable").await.expect_status(200);
        let tags = it.get("tags/list").await.expect_status(200).json();
        assert_eq!(tags["tags"], serde_json::json!(["stable"]), "{tags}");
    }
    "Deleting tags: one that is not there MUST be 404" => |it| {
        it.image("latest").await;
        it.delete("manifests/other").await.expect_refusal(404, "MANIFEST_UNKNOWN");
        it.delete("manifests/latest").await.expect_status(202);
        it.delete("manifests/latest").await.expect_refusal(404, "MANIFEST_UNKNOWN");
    }
    "Deleting Manifests: MUST respond 202, and GET of the digest and of its tags is 404 from then on" => |it| {
        let image = it.image("latest").await;
        it.delete(&format!("manifests/{}", image.digest)).await.expect_status(202);
        for reference in ["latest", &image.digest] {
            let gone = it.get(&format!("manifests/{reference}")).await;
            gone.expect_refusal(404, "MANIFEST_UNKNOWN");
        }
    }
    "Deleting Manifests: one that is not there MUST be 404" => |it| {
        let image = it.image("latest").await;
        let path = format!("manifests/{}", image.digest);
        it.delete(&path).await.expect_status(202);
        it.delete(&path).await.expect_refusal(404, "MANIFEST_UNKNOWN");
    }
    "Deleting Manifests: pushed again it is there again" => |it| {
        let image = it.image("latest").await;
        it.delete(&format!("manifests/{}", image.digest)).await.expect_status(202);
        it.image("latest").await;
        it.get("manifests/latest").await.expect_status(200);
        it.get(&format!("manifests/{}", image.digest)).await.expect_status(200);
    }
    "Deleting Blobs: MUST respond 202, and GET of it is 404 from then on" => |it| {
        let blob = it.blob("ware").await;
        it.delete(&format!("blobs/{blob}")).await.expect_status(202);
        it.get(&format!("blobs/{blob}")).await.expect_refusal(404, "BLOB_UNKNOWN");
        it.head(&format!("blobs/{blob}")).await.expect_status(404);
    }
    "Deleting Blobs: one that is not there MUST be 404" => |it| {
        let blob = it.blob("ware").await;
        it.delete(&format!("blobs/{blob}")).await.expect_status(202);
        it.delete(&format!("blobs/{blob}")).await.expect_refusal(404, "BLOB_UNKNOWN");
    }
    "Deleting Blobs: one that a manifest needs is kept with it" => |it| {
        let image = it.image("latest").await;
        let config = tests::digest::of(&image.config);
        let refused = it.delete(&format!("blobs/{config}")).await;
        let refused = refused.expect_refusal(405, "UNSUPPORTED");
        assert!(refused.message().contains(&image.digest), "{refused}");
        it.get(&format!("blobs/{config}")).await.expect_status(200);
        it.delete(&format!("manifests/{}", image.digest)).await.expect_status(202);
        it.delete(&format!("blobs/{config}")).await.expect_status(202);
    }
}
