//! Versions of repositories, in the catalog and in the embedded backend, and what is published of them.

use storage::catalog::versions::{self, Base, Cause, Changes};
use storage::catalog::{RepositoryId, publications};
use storage::content::versions::Brought;
use storage::content::{self, ContentError, push_repository};
use storage::{Digest, Tag};

use crate::house::{AT, House, plan, tag};

async fn record(house: &House, by: u128, changes: Changes) -> i64 {
    let repository = RepositoryId::from(house.destination.id);
    house
        .write(move |tx| {
            Box::pin(async move {
                versions::record(tx, repository, plan(by), 1, Cause::Push, &changes, AT).await
            })
        })
        .await
}

fn set(name: &str, digest: Digest) -> Changes {
    Changes {
        tags_set: vec![(tag(name), digest)],
        manifests_added: vec![digest],
        ..Changes::default()
    }
}

#[tokio::test]
async fn every_version_shows_its_tags_as_they_were() {
    let house = House::new().await;
    let (_, repository) = house.repository().await;
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));

    let first = record(&house, 1, set("latest", a)).await;
    let second = record(&house, 2, set("latest", b)).await;
    let again = record(&house, 1, set("other", b)).await;
    let third = record(
        &house,
        3,
        Changes {
            tags_removed: vec![tag("latest")],
            manifests_removed: vec![b],
            ..Changes::default()
        },
    )
    .await;
    let fourth = record(&house, 4, set("latest", b)).await;

    assert_eq!((first, second, again, third, fourth), (1, 2, 1, 3, 4));
    let mut tx = house.read().await;
    let mut seen = Vec::new();
    for number in 1..=4 {
        seen.push(
            versions::tag(&mut tx, repository.id, number, &tag("latest"))
                .await
                .unwrap(),
        );
    }
    assert_eq!(seen, [Some(a), Some(b), None, Some(b)]);
    assert_eq!(
        versions::manifests(&mut tx, repository.id, 3)
            .await
            .unwrap(),
        [a]
    );
    assert!(
        versions::has_manifest(&mut tx, repository.id, 3, &a)
            .await
            .unwrap()
    );
    let other = Digest::of(b"c");
    assert!(
        !versions::has_manifest(&mut tx, repository.id, 4, &other)
            .await
            .unwrap()
    );
    let latest = versions::latest(&mut tx, repository.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((latest.number, latest.plan), (4, plan(4)));
    assert_eq!(
        versions::of_plan(&mut tx, repository.id, plan(2))
            .await
            .unwrap(),
        Some(2)
    );
}

#[tokio::test]
async fn versions_are_listed_newest_first_with_what_they_changed() {
    let house = House::new().await;
    let (_, repository) = house.repository().await;
    let library = house.library().await;
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
    record(&house, 1, set("latest", a)).await;
    record(&house, 2, set("latest", b)).await;
    record(&house, 3, set("1.0", b)).await;
    house
        .write(move |tx| {
            Box::pin(publications::publish(
                tx,
                library,
                repository.id,
                2,
                plan(2),
                "ann",
                AT,
            ))
        })
        .await;

    let mut tx = house.read().await;
    let newest = versions::list(&mut tx, repository.id, None, 2)
        .await
        .unwrap();
    let rest = versions::list(&mut tx, repository.id, Some(2), 2)
        .await
        .unwrap();

    let numbers: Vec<i64> = newest
        .iter()
        .chain(&rest)
        .map(|version| version.number)
        .collect();
    assert_eq!(numbers, [3, 2, 1]);
    assert_eq!(newest[0].added.tags, [(tag("1.0"), b)]);
    assert!(newest[0].added.manifests.is_empty(), "it was there already");
    assert_eq!(newest[1].added.tags, [(tag("latest"), b)]);
    assert_eq!(newest[1].removed.tags, [(tag("latest"), a)]);
    assert_eq!(newest[1].added.manifests, [b]);
    assert_eq!(newest[1].published_in, ["Library"]);
    assert_eq!(rest[0].added.tags, [(tag("latest"), a)]);
    let second = versions::get(&mut tx, repository.id, 2).await.unwrap();
    assert_eq!(second.as_ref(), Some(&newest[1]));
    assert_eq!(
        versions::get(&mut tx, repository.id, 9).await.unwrap(),
        None
    );
    assert_eq!(versions::count(&mut tx, repository.id).await.unwrap(), 3);
}

#[tokio::test]
async fn tags_come_in_the_order_of_their_bytes_in_pages() {
    let house = House::new().await;
    let (_, repository) = house.repository().await;
    let digest = Digest::of(b"a");
    let names = ["b", "B", "a", "_", "10", "9"];
    let changes = Changes {
        tags_set: names.iter().map(|name| (tag(name), digest)).collect(),
        ..Changes::default()
    };
    record(&house, 1, changes).await;

    let mut tx = house.read().await;
    let mut seen: Vec<String> = Vec::new();
    loop {
        let after = seen.last().cloned();
        let page = versions::tags(&mut tx, repository.id, 1, after.as_deref(), 4)
            .await
            .unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page.iter().map(|(tag, _)| tag.to_string()));
    }

    assert_eq!(seen, ["10", "9", "B", "_", "a", "b"]);
    assert_eq!(
        versions::count_tags(&mut tx, repository.id, 1)
            .await
            .unwrap(),
        6
    );
}

#[tokio::test]
async fn library_never_moves_back() {
    let house = House::new().await;
    let (_, repository) = house.repository().await;
    let library = house.library().await;
    let digest = Digest::of(b"a");
    for number in 1..=3 {
        record(&house, number, set("latest", digest)).await;
    }
    let publish = |version: i64, by: u128| {
        house.write(move |tx| {
            Box::pin(publications::publish(
                tx,
                library,
                repository.id,
                version,
                plan(by),
                "ann",
                AT,
            ))
        })
    };

    assert_eq!(publish(2, 2).await, 2);
    assert_eq!(publish(1, 1).await, 2, "a push that was overtaken");
    assert_eq!(publish(2, 9).await, 2, "a repeat");
    assert_eq!(publish(3, 3).await, 3);

    let shown = publications::library(&mut house.read().await, repository.id)
        .await
        .unwrap();
    let shown = shown.unwrap();
    assert_eq!(
        (shown.version, shown.plan, shown.by.as_str()),
        (3, plan(3), "ann")
    );
}

#[tokio::test]
async fn a_copy_makes_one_version_per_plan_with_the_children_of_an_index() {
    let house = House::new().await;
    let destination = house.destination.id;
    let child = house.manifest("child").await;
    let document = serde_json::json!({"manifests": [
        {"digest": child, "size": 1, "mediaType": crate::house::OCI_IMAGE},
    ]});
    let bytes = bytes::Bytes::from(document.to_string());
    let index = storage::catalog::manifests::Manifest::read(
        Digest::of(&bytes),
        "application/vnd.oci.image.index.v1+json",
        bytes,
    )
    .unwrap();
    let digest = index.digest;
    house.push(destination, index).await;
    let copy = |by: u128, name: &'static str, digest: Digest| {
        house.write(move |tx| {
            Box::pin(async move {
                let tagged = Some((&tag(name), &digest));
                push_repository::forward(tx, destination, tagged, &[digest]).await?;
                push_repository::forward(tx, destination, tagged, &[digest]).await?;
                push_repository::locate(tx, destination, tagged, &[digest]).await?;
                let brought = Brought {
                    plan: plan(by),
                    tag: tagged,
                    manifests: &[],
                };
                content::versions::copy(tx, destination, brought, Base::default(), AT).await
            })
        })
    };

    let first = copy(1, "latest", digest).await;
    let again = copy(1, "latest", digest).await;
    let second = copy(2, "latest", child).await;

    assert_eq!((first, again, second), (1, 1, 2));
    let mut tx = house.read().await;
    let fresh = content::versions::changes(&mut tx, destination, 0, 1)
        .await
        .unwrap();
    assert_eq!(fresh.tags_set, [(tag("latest"), digest)]);
    let mut manifests = fresh.manifests_added;
    manifests.sort();
    let mut wanted = [child, digest];
    wanted.sort();
    assert_eq!(manifests, wanted);
    let next = content::versions::changes(&mut tx, destination, 1, 2)
        .await
        .unwrap();
    assert_eq!(
        next,
        Changes {
            tags_set: vec![(tag("latest"), child)],
            ..Changes::default()
        }
    );
    let back = content::versions::changes(&mut tx, destination, 2, 2)
        .await
        .unwrap();
    assert_eq!(back, Changes::default());
    let name: Tag = tag("latest");
    content::versions::check(&mut tx, destination, 1, Some((&name, &digest)), &[child])
        .await
        .unwrap();
    let wrong = content::versions::check(&mut tx, destination, 2, Some((&name, &digest)), &[]);
    let wrong = wrong.await.unwrap_err();
    assert!(matches!(wrong, ContentError::Absent { .. }));
    assert!(wrong.to_string().contains("version 2"), "{wrong}");
    assert_eq!(
        content::versions::latest(&mut tx, destination)
            .await
            .unwrap(),
        Some(2)
    );
}

#[tokio::test]
async fn what_was_never_forwarded_is_missed_by_name() {
    let house = House::new().await;
    let destination = house.destination.id;
    let digest = house.manifest("a").await;

    let mut tx = house.read().await;
    let missing = push_repository::locate(&mut tx, destination, None, &[digest]).await;

    assert_eq!(
        missing.unwrap_err().to_string(),
        format!("the push repository of destination {destination} has no manifest {digest}")
    );
}
