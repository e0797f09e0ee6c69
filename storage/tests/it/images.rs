//! Manifests, what was read out of them, and what was pushed by digest.

use bytes::Bytes;
use storage::Digest;
use storage::catalog::images::{self, Image, ImageKind};
use storage::catalog::manifests::{self, Manifest, PartKind};
use storage::catalog::pushed;

use crate::house::{AT, House, image, plan};

#[tokio::test]
async fn a_manifest_comes_back_byte_for_byte_with_all_that_was_read() {
    let house = House::new().await;
    let manifest = image("a");
    let digest = house.manifest("a").await;
    house.manifest("a").await;

    let mut tx = house.read().await;
    let kept = manifests::get(&mut tx, &digest).await.unwrap();
    let parts = manifests::parts(&mut tx, &digest).await.unwrap();

    assert_eq!(kept, Some(manifest.clone()));
    assert_eq!(parts, manifest.parts);
    assert!(manifests::exists(&mut tx, &digest).await.unwrap());
    let other = Digest::of(b"other");
    assert_eq!(manifests::get(&mut tx, &other).await.unwrap(), None);
    assert!(manifests::parts(&mut tx, &other).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_index_weighs_what_its_images_weigh() {
    let house = House::new().await;
    let (amd, arm) = (house.manifest("amd").await, house.manifest("arm").await);
    let child = |digest: &Digest, architecture: &str| {
        serde_json::json!({
            "digest": digest, "size": 1, "mediaType": crate::house::OCI_IMAGE,
            "platform": {"os": "linux", "architecture": architecture},
        })
    };
    let document = serde_json::json!({"manifests": [child(&amd, "amd64"), child(&arm, "arm64")]});
    let bytes = Bytes::from(document.to_string());
    let index = Manifest::read(
        Digest::of(&bytes),
        "application/vnd.oci.image.index.v1+json",
        bytes,
    )
    .unwrap();
    let (digest, own) = (index.digest, index.bytes.len() as u64);

    house
        .write(move |tx| {
            Box::pin(async move {
                manifests::put(tx, &index, AT).await?;
                for child in [&image("amd"), &image("arm")] {
                    images::upsert(tx, &Image::read(child, None)).await?;
                }
                images::upsert(tx, &Image::read(&index, None)).await
            })
        })
        .await;

    let mut tx = house.read().await;
    let read = images::get(&mut tx, &digest).await.unwrap().unwrap();
    let children = image("amd").bytes.len() as u64 + image("arm").bytes.len() as u64 + 4 * 10;
    assert_eq!(read.kind, ImageKind::Index);
    assert_eq!(read.platforms, ["linux/amd64", "linux/arm64"]);
    assert_eq!(read.size_bytes, own + children);
    let parts = manifests::parts(&mut tx, &digest).await.unwrap();
    assert!(parts.iter().all(|part| part.kind == PartKind::Manifest));
}

#[tokio::test]
async fn an_image_read_again_replaces_what_was_read_before() {
    let house = House::new().await;
    let digest = house.manifest("a").await;
    let image = Image::read(&image("a"), None);
    let better = Image {
        labels: [("vendor".to_owned(), "acme".to_owned())].into(),
        created: Some("2026-01-01T00:00:00Z".to_owned()),
        ..image.clone()
    };
    let wanted = better.clone();

    house
        .write(move |tx| {
            Box::pin(async move {
                images::upsert(tx, &image).await?;
                images::upsert(tx, &better).await
            })
        })
        .await;

    let kept = images::get(&mut house.read().await, &digest).await.unwrap();
    assert_eq!(kept, Some(wanted));
}

#[tokio::test]
async fn what_was_pushed_is_pending_until_it_is_filed_and_stays_filed() {
    let house = House::new().await;
    let (destination, user) = (house.destination.id, house.user.id);
    let (first, second) = (house.manifest("1").await, house.manifest("2").await);
    let add = |digest: Digest| {
        house.write(move |tx| {
            Box::pin(async move { pushed::add(tx, destination, &digest, user, AT).await })
        })
    };
    add(first).await;
    add(second).await;

    house
        .write(move |tx| {
            Box::pin(async move { pushed::file(tx, destination, &[first], plan(1)).await })
        })
        .await;
    add(first).await;

    let mut tx = house.read().await;
    assert_eq!(
        pushed::pending(&mut tx, destination).await.unwrap(),
        [second]
    );
    assert!(
        pushed::contains(&mut tx, destination, &first)
            .await
            .unwrap()
    );
    let other = Digest::of(b"other");
    assert!(
        !pushed::contains(&mut tx, destination, &other)
            .await
            .unwrap()
    );
}
