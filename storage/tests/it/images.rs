//! Manifests, what was read out of them, and what was pushed by digest.

use bytes::Bytes;
use storage::Digest;
use storage::catalog::images::{self, Image, ImageKind};
use storage::catalog::manifests::{self, Manifest, PartKind};
use storage::catalog::versions::{self, Cause, Changes};
use storage::catalog::{destinations, pushed};

use crate::house::{AT, House, image, plan};

#[tokio::test]
async fn a_manifest_comes_back_byte_for_byte_with_all_that_was_read() {
    let house = House::new().await;
    let manifest = image("a");
    let digest = house.manifest("a").await;
    house.manifest("a").await;

    let here = house.destination.id;
    let mut tx = house.read().await;
    let kept = manifests::get(&mut tx, here, &digest).await.unwrap();
    let parts = manifests::parts(&mut tx, here, &digest).await.unwrap();

    assert_eq!(kept, Some(manifest.clone()));
    assert_eq!(parts, manifest.parts);
    assert!(manifests::exists(&mut tx, &digest).await.unwrap());
    let other = Digest::of(b"other");
    assert_eq!(manifests::get(&mut tx, here, &other).await.unwrap(), None);
    let parts = manifests::parts(&mut tx, here, &other).await.unwrap();
    assert!(parts.is_empty());
}

/// As after an update whose rules are stricter.
#[tokio::test]
async fn of_a_manifest_that_cannot_be_read_any_more_all_but_its_parts_is_known() {
    const UNREADABLE: &[u8] = b"no manifest by any rule";
    let house = House::new().await;
    let here = house.destination.id;
    let bytes = Bytes::from(r#"{"artifactType": "text/note", "annotations": {"of": "old"}}"#);
    let note = Manifest::read(Digest::of(&bytes), "application/vnd.note", bytes).unwrap();
    let digest = house.push(here, note.clone()).await;
    let change = "UPDATE manifests SET bytes = $1";
    house
        .write(move |tx| Box::pin(sqlx::query(change).bind(UNREADABLE).execute(tx)))
        .await;

    let mut tx = house.read().await;
    let kept = manifests::get(&mut tx, here, &digest).await.unwrap();
    let content = manifests::content(&mut tx, here, &digest).await.unwrap();

    let written_down = Manifest {
        bytes: Bytes::from_static(UNREADABLE),
        parts: Vec::new(),
        ..note
    };
    assert_eq!(content.unwrap().bytes, written_down.bytes);
    assert_eq!(kept, Some(written_down));
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

    let here = house.destination.id;
    house.push(here, index.clone()).await;

    house
        .write(move |tx| {
            Box::pin(async move {
                for child in [&image("amd"), &image("arm")] {
                    images::upsert(tx, here, &Image::read(child, None)).await?;
                }
                images::upsert(tx, here, &Image::read(&index, None)).await
            })
        })
        .await;

    let mut tx = house.read().await;
    let read = images::get(&mut tx, here, &digest).await.unwrap().unwrap();
    let children = image("amd").bytes.len() as u64 + image("arm").bytes.len() as u64 + 4 * 10;
    assert_eq!(read.kind, ImageKind::Index);
    assert_eq!(read.platforms, ["linux/amd64", "linux/arm64"]);
    assert_eq!(read.size_bytes, own + children);
    let parts = manifests::parts(&mut tx, here, &digest).await.unwrap();
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
    let (wanted, here) = (better.clone(), house.destination.id);

    house
        .write(move |tx| {
            Box::pin(async move {
                images::upsert(tx, here, &image).await?;
                images::upsert(tx, here, &better).await
            })
        })
        .await;

    let mut tx = house.read().await;
    let kept = images::get(&mut tx, here, &digest).await.unwrap();
    assert_eq!(kept, Some(wanted));
}

#[tokio::test]
async fn what_was_pushed_is_pending_until_it_is_filed_and_stays_filed() {
    let house = House::new().await;
    let destination = house.destination.id;
    let (_, repository) = house.repository().await;
    let (first, second) = (house.manifest("1").await, house.manifest("2").await);
    let change = |added: &[Digest], removed: &[Digest]| Changes {
        manifests_added: added.to_vec(),
        manifests_removed: removed.to_vec(),
        ..Changes::default()
    };
    let (with, without) = (change(&[first], &[]), change(&[], &[first]));
    let pending = async || {
        let mut tx = house.read().await;
        pushed::pending(&mut tx, destination).await.unwrap()
    };

    house
        .write(move |tx| {
            Box::pin(async move {
                let filed = versions::record(tx, repository.id, plan(1), 1, Cause::Push, &with, AT);
                filed.await?;
                pushed::file(tx, destination, &[first], plan(1)).await
            })
        })
        .await;
    house.manifest("1").await;
    let again = pending().await;
    house
        .write(move |tx| {
            Box::pin(async move {
                let cause = Cause::Rollback;
                versions::record(tx, repository.id, plan(2), 2, cause, &without, AT).await
            })
        })
        .await;
    let left_out = pending().await;
    house.manifest("1").await;

    assert_eq!((again, left_out), (vec![second], vec![second]));
    let mut both = vec![first, second];
    both.sort_by_key(ToString::to_string);
    assert_eq!(pending().await, both, "the newest version does not have it");
    let mut tx = house.read().await;
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

/// The same bytes as an image and as something else.
fn twice(name: &str) -> (Manifest, Manifest) {
    let plain = image(name);
    let other = Manifest::read(plain.digest, "application/vnd.other", plain.bytes.clone());
    (plain, other.unwrap())
}

#[tokio::test]
async fn what_a_manifest_is_counts_only_where_it_was_pushed_as_that() {
    let house = House::new().await;
    let (plain, other) = twice("a");
    let (here, organization) = (house.destination.id, house.organization.id);
    let there = house.write(move |tx| {
        Box::pin(async move {
            let tools = crate::house::label("tools");
            destinations::make(tx, organization, &tools, "other", AT).await
        })
    });
    let there = there.await.id;

    house.push(there, other.clone()).await;
    house.push(here, plain.clone()).await;

    let mut tx = house.read().await;
    let digest = plain.digest;
    for (place, wanted) in [(here, plain), (there, other)] {
        let kept = manifests::get(&mut tx, place, &digest).await.unwrap();
        assert_eq!(kept, Some(wanted));
    }
}

#[tokio::test]
async fn a_manifest_pushed_as_something_else_is_that_from_then_on_and_pending_again() {
    let house = House::new().await;
    let (plain, other) = twice("a");
    let (here, digest) = (house.destination.id, plain.digest);
    house.push(here, other).await;
    house
        .write(move |tx| {
            Box::pin(async move {
                let manifest = manifests::get(tx, here, &digest).await?.unwrap();
                images::upsert(tx, here, &Image::read(&manifest, None)).await?;
                pushed::file(tx, here, &[digest], plan(1)).await
            })
        })
        .await;

    house.push(here, plain.clone()).await;

    let mut tx = house.read().await;
    let kept = manifests::get(&mut tx, here, &digest).await.unwrap();
    assert_eq!(kept, Some(plain));
    assert_eq!(images::get(&mut tx, here, &digest).await.unwrap(), None);
    let unread = images::unread(&mut tx, here, &[digest]).await.unwrap();
    assert_eq!(unread, [digest]);
    assert_eq!(pushed::pending(&mut tx, here).await.unwrap(), [digest]);
}

#[tokio::test]
async fn a_part_named_many_times_is_written_down_once_and_the_first_that_is_missing_is_told() {
    let house = House::new().await;
    let layer = serde_json::json!({"digest": Digest::of(b"l"), "size": 1, "mediaType": "l"});
    let document = serde_json::json!({"layers": vec![layer; 1000]});
    let bytes = Bytes::from(document.to_string());
    let many = Manifest::read(Digest::of(&bytes), "application/vnd.other", bytes).unwrap();
    let here = house.destination.id;

    let digest = house.push(here, many).await;

    let mut tx = house.read().await;
    let parts = manifests::parts(&mut tx, here, &digest).await.unwrap();
    assert_eq!(parts.len(), 1);
    let (first, second) = (Digest::of(b"1"), Digest::of(b"2"));
    for (asked, wanted) in [
        (vec![digest, second, first], Some(second)),
        (vec![digest], None),
        (Vec::new(), None),
    ] {
        let missing = pushed::first_missing(&mut tx, here, &asked).await;
        assert_eq!(missing.unwrap(), wanted);
    }
}
