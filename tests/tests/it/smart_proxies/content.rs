//! What comes to a proxy, and what goes from it.

use serde_json::{Value, json};
use tests::harbour::Harbour;
use tests::image::{Image, Index};
use tests::noise;
use tests::podman::Podman;
use tests::rest::{Rest, text};
use tests::server::{ADMIN, ADMIN_PASSWORD};
use tests::wait::{self, SOON};

const NAME: &str = "default_organization/tools/app";

async fn push_task(rest: &Rest, tag: &str) -> Value {
    rest.until_push(NAME, tag, "has ended", |push| push["state"] == "stopped")
        .await
}

#[tokio::test]
async fn what_podman_pushes_is_pulled_by_podman_from_both_proxies() {
    let mut harbour = Harbour::with_a_proxy(&[]).await;
    harbour.add("hamburg", &json!({})).await;
    let podman = Podman::new();
    let main = harbour.main.host();
    podman
        .login(&main, ADMIN, ADMIN_PASSWORD)
        .await
        .expect_code(0);
    let image = podman.make_image("localhost/app:1", 1).await;
    podman
        .tag("localhost/app:1", &format!("{main}/{NAME}:latest"))
        .await;
    podman
        .push(&format!("{main}/{NAME}:latest"))
        .await
        .expect_code(0);

    let push = push_task(&harbour.rest(), "latest").await;

    assert_eq!(push["result"], "success", "{push}");
    assert_eq!(push["children"]["stopped"], 2, "{push}");
    for proxy in &harbour.proxies {
        let host = proxy.server.host();
        podman.remove_all_images().await;
        podman
            .login(&host, ADMIN, ADMIN_PASSWORD)
            .await
            .expect_code(0);
        podman
            .pull(&format!("{host}/{NAME}:latest"))
            .await
            .expect_code(0);
        let pulled = podman.image_id(&format!("{host}/{NAME}:latest")).await;
        assert_eq!(pulled, image, "{}", proxy.name);
    }
}

#[tokio::test]
async fn indexes_referrers_moved_and_deleted_tags_are_there_as_at_the_main_server() {
    let harbour = Harbour::with_a_proxy(&[]).await;
    let (oci, proxy, rest) = (harbour.main.oci(), harbour.oci(0), harbour.rest());
    let index = Index::two_platforms(7);
    oci.push_index(NAME, "both", &index)
        .await
        .expect_status(201);
    let first = Image::small(1);
    oci.push(NAME, "moved", &first).await.expect_status(201);
    oci.push(NAME, "gone", &first).await.expect_status(201);
    let signature = Image::small(2).about(&first);
    oci.push_blobs(NAME, &signature).await;
    let put = oci
        .put_manifest(
            NAME,
            &signature.digest,
            tests::image::MANIFEST,
            &signature.manifest,
        )
        .await;
    put.expect_status(201);
    let second = Image::small(3);
    oci.push(NAME, "moved", &second).await.expect_status(201);
    oci.delete(NAME, "manifests/gone").await.expect_status(202);
    wait::until("the signature is filed", SOON, async || {
        let repository = rest.repository(NAME).await;
        repository["push_repository"]["pending"]
            .as_array()?
            .is_empty()
            .then_some(())
    })
    .await;
    rest.until_no_task_is_open(SOON).await;
    harbour.until_current(0).await;

    proxy.assert_pullable(NAME, "moved", &second).await;
    assert_eq!(proxy.tags(NAME, 100).await, ["both", "moved"]);
    for image in &index.images {
        proxy.manifest(NAME, &image.digest).await.expect_status(200);
    }
    let referrers = proxy
        .of(
            reqwest::Method::GET,
            NAME,
            &format!("referrers/{}", first.digest),
        )
        .await;
    let referrers = proxy.send(referrers).await.expect_status(200).json();
    assert_eq!(text(&referrers["manifests"][0]["digest"]), signature.digest);
}

#[tokio::test]
async fn promoted_rolled_back_and_deleted_images_come_and_go() {
    let mut harbour = Harbour::new(&[]).await;
    let (oci, rest) = (harbour.main.oci(), harbour.rest());
    let environments = "/organizations/Default_Organization/environments";
    let new = json!({ "label": "prod", "name": "Production", "prior": "Library" });
    rest.post(environments, &new).await.expect_status(201);
    let held = json!([
        { "organization": "Default_Organization", "environment": "Library" },
        { "organization": "Default_Organization", "environment": "prod" },
    ]);
    harbour
        .add("berlin", &json!({ "environments": held }))
        .await;
    let proxy = harbour.oci(0);
    let published = "default_organization/prod/tools/app";
    for (tag, seed) in [("v1", 1), ("v2", 2)] {
        oci.push(NAME, tag, &Image::small(seed))
            .await
            .expect_status(201);
    }
    rest.until_no_task_is_open(SOON).await;
    let path = rest.path_of(NAME).await;

    let to = json!({ "version": 1, "to_environment": "prod" });
    let promoted = rest.post(&format!("{path}/promote"), &to).await;
    let promoted = rest.begun(promoted).await;
    assert_eq!(promoted["result"], "success", "{promoted}");
    harbour.until_current(0).await;
    assert_eq!(proxy.tags(published, 10).await, ["v1"]);
    proxy
        .assert_pullable(published, "v1", &Image::small(1))
        .await;

    let to = json!({ "environment": "Library", "version": 1 });
    let back = rest.post(&format!("{path}/rollback"), &to).await;
    rest.begun(back).await;
    harbour.until_current(0).await;
    assert_eq!(proxy.tags(NAME, 10).await, ["v1"]);

    let deleted = rest.begun(rest.delete(&path).await).await;
    assert_eq!(deleted["result"], "success", "{deleted}");
    harbour.until_current(0).await;
    for name in [NAME, published] {
        proxy
            .manifest(name, "v1")
            .await
            .expect_refusal(404, "NAME_UNKNOWN");
    }
    rest.revert(text(&deleted["id"])).await;
    harbour.until_current(0).await;
    proxy.assert_pullable(NAME, "v1", &Image::small(1)).await;
    proxy
        .assert_pullable(published, "v1", &Image::small(1))
        .await;
}

#[tokio::test]
async fn of_an_environment_that_is_taken_from_a_proxy_nothing_stays_there() {
    let harbour = Harbour::with_a_proxy(&[]).await;
    let oci = harbour.main.oci();
    let layer = noise::bytes(1, 1 << 20);
    let image = Image::with_layers(vec![layer], "amd64");
    oci.push(NAME, "latest", &image).await.expect_status(201);
    harbour.rest().until_no_task_is_open(SOON).await;
    harbour.oci(0).assert_pullable(NAME, "latest", &image).await;
    let objects = || bytes_below(&harbour.proxies[0].server.data_dir().join("content/objects"));
    assert!(objects() > 1 << 20, "{} bytes", objects());

    harbour.change(0, &json!({ "environments": [] })).await;

    harbour.until_current(0).await;
    let refused = harbour.oci(0).manifest(NAME, "latest").await;
    refused.expect_refusal(404, "NAME_UNKNOWN");
    wait::until("its bytes are gone", SOON, async || {
        (objects() == 0).then_some(())
    })
    .await;
    let held = json!([{ "organization": "Default_Organization", "environment": "Library" }]);
    harbour.change(0, &json!({ "environments": held })).await;
    harbour.until_current(0).await;
    harbour.oci(0).assert_pullable(NAME, "latest", &image).await;
}

fn bytes_below(folder: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => bytes_below(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

#[tokio::test]
async fn names_by_a_pattern_move_at_the_proxy_too() {
    let harbour = Harbour::with_a_proxy(&[]).await;
    let (oci, rest) = (harbour.main.oci(), harbour.rest());
    let image = Image::small(1);
    oci.push(NAME, "latest", &image).await.expect_status(201);
    rest.until_no_task_is_open(SOON).await;
    let library = "/organizations/Default_Organization/environments/Library";
    let pattern = json!({ "registry_name_pattern": "shop/<%= repository.label %>" });

    let changed = rest.patch(library, &pattern).await;
    rest.begun(changed).await;

    harbour.until_current(0).await;
    let proxy = harbour.oci(0);
    proxy.assert_pullable("shop/app", "latest", &image).await;
    proxy.assert_pullable(NAME, "latest", &image).await;
    let listed = proxy
        .send(
            proxy
                .request(reqwest::Method::GET, "/v2/_catalog")
                .basic_auth(ADMIN, Some(ADMIN_PASSWORD)),
        )
        .await;
    assert_eq!(
        listed.expect_status(200).json()["repositories"],
        json!([NAME, "shop/app"])
    );
}
