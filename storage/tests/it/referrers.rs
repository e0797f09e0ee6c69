//! Referrers, and the names that repositories are pulled by.

use bytes::Bytes;
use engine::journal::PlanId;
use serde_json::json;
use storage::catalog::manifests::Manifest;
use storage::catalog::referrers::{self, Filter, Limit, Page};
use storage::catalog::versions::{self, Cause, Changes};
use storage::catalog::{CatalogError, RepositoryId, destinations, pushed};
use storage::catalog::{repositories, repository_names};
use storage::{Algorithm, Digest};

use crate::house::{AT, House, OCI_IMAGE, label, plan};

const ALL: Limit = Limit {
    referrers: 1000,
    annotation_bytes: 1_000_000,
};

/// A manifest about the image, with a note of some length.
fn about(subject: &Digest, artifact_type: &str, note: &str) -> Manifest {
    let empty = json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::of(b"{}"), "size": 2 });
    let document = json!({
        "schemaVersion": 2, "artifactType": artifact_type, "config": empty, "layers": [],
        "subject": { "mediaType": OCI_IMAGE, "digest": subject, "size": 1 },
        "annotations": { "note": note },
    });
    let bytes = Bytes::from(document.to_string());
    Manifest::read(Digest::of(&bytes), OCI_IMAGE, bytes).unwrap()
}

async fn list(house: &House, filter: Filter<'_>, after: Option<&Digest>, limit: Limit) -> Page {
    let mut tx = house.read().await;
    let page = referrers::list(&mut tx, house.destination.id, filter, after, limit);
    page.await.unwrap()
}

fn of(subject: &Digest) -> Filter<'_> {
    Filter {
        subject,
        artifact_type: None,
        version: None,
    }
}

#[tokio::test]
async fn what_was_pushed_about_a_manifest_is_listed_at_once_and_only_where_it_was_pushed() {
    let house = House::new().await;
    let (image, here) = (Digest::of(b"image"), house.destination.id);
    let organization = house.organization.id;
    let there = house
        .write(move |tx| {
            Box::pin(async move {
                let tools = label("tools");
                let made = destinations::make(tx, organization, &tools, "other", AT);
                Ok::<_, CatalogError>(made.await?.id)
            })
        })
        .await;
    let signature = house.push(here, about(&image, "text/signature", "a")).await;
    house
        .push(there, about(&image, "text/signature", "b"))
        .await;
    house
        .push(here, about(&Digest::of(b"x"), "text/x", "c"))
        .await;

    let page = list(&house, of(&image), None, ALL).await;

    assert!(!page.more);
    let [referrer] = &page.referrers[..] else {
        panic!("{page:?}")
    };
    assert_eq!(referrer.digest, signature);
    assert_eq!(referrer.artifact_type.as_deref(), Some("text/signature"));
    assert_eq!(referrer.annotations["note"], "a");
    let sha512 = Digest::with(Algorithm::Sha512, b"image");
    assert!(
        list(&house, of(&sha512), None, ALL)
            .await
            .referrers
            .is_empty()
    );
}

#[tokio::test]
async fn a_filter_and_pages_bring_each_referrer_once() {
    let house = House::new().await;
    let (image, here) = (Digest::of(b"image"), house.destination.id);
    let mut wanted = Vec::new();
    for n in 0..7 {
        house
            .push(here, about(&image, "text/other", &n.to_string()))
            .await;
        let manifest = about(&image, "text/wanted", &"x".repeat(n * 10));
        wanted.push(house.push(here, manifest).await);
    }
    wanted.sort_by_key(Digest::to_string);
    let filter = Filter {
        subject: &image,
        artifact_type: Some("text/wanted"),
        version: None,
    };

    for limit in [
        Limit {
            referrers: 3,
            ..ALL
        },
        Limit {
            annotation_bytes: 40,
            ..ALL
        },
        ALL,
    ] {
        let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = list(&house, filter, after.as_ref(), limit).await;
            pages += 1;
            seen.extend(page.referrers.iter().map(|it| it.digest));
            after = seen.last().copied();
            assert!(!page.referrers.is_empty(), "no page is empty");
            if !page.more {
                break;
            }
        }
        assert_eq!(seen, wanted, "{limit:?}");
        assert_eq!(
            pages > 1,
            limit.referrers == 3 || limit.annotation_bytes == 40
        );
    }
}

#[tokio::test]
async fn a_referrer_that_was_filed_is_listed_while_the_newest_version_has_it() {
    let house = House::new().await;
    let (image, here) = (Digest::of(b"image"), house.destination.id);
    let (_, repository) = house.repository().await;
    let signature = house.push(here, about(&image, "text/signature", "a")).await;
    let record = async |by: PlanId, backend_version: i64, changes: Changes| {
        let repository = repository.id;
        house
            .write(move |tx| {
                Box::pin(async move {
                    let cause = Cause::Push;
                    versions::record(tx, repository, by, backend_version, cause, &changes, AT)
                        .await?;
                    pushed::file(tx, here, &[signature], by).await
                })
            })
            .await;
    };

    let added = Changes {
        manifests_added: vec![signature],
        ..Changes::default()
    };
    record(plan(1), 1, added).await;

    assert_eq!(list(&house, of(&image), None, ALL).await.referrers.len(), 1);
    let removed = Changes {
        manifests_removed: vec![signature],
        ..Changes::default()
    };
    record(plan(2), 2, removed).await;
    assert!(
        list(&house, of(&image), None, ALL)
            .await
            .referrers
            .is_empty()
    );
}

#[tokio::test]
async fn names_are_listed_in_the_order_of_their_bytes_and_may_be_given_twice() {
    let house = House::new().await;
    let (product, repository) = house.repository().await;
    let (organization, product) = (house.organization.id, product.id);
    let second = house
        .write(move |tx| {
            Box::pin(async move {
                let tools = label("tools");
                let to = destinations::make(tx, organization, &tools, "a-b", AT).await?;
                let made = repositories::ensure(tx, &to, product, plan(0), AT).await?;
                Ok::<RepositoryId, CatalogError>(made.found.id)
            })
        })
        .await;
    let first = repository.id;
    house
        .write(move |tx| {
            Box::pin(async move {
                for name in ["acme/tools/busybox", "acme/tools/busybox", "acme/tools/a/c"] {
                    repository_names::ensure(tx, name, first).await?;
                }
                repository_names::ensure(tx, "acme/tools/a-b", second).await
            })
        })
        .await;

    let names = async |after: &str, limit: u32| {
        let mut tx = house.read().await;
        let listed = repository_names::list(&mut tx, after, limit).await.unwrap();
        listed.into_iter().map(|it| (it.name, it.place.repository))
    };

    let whole: Vec<_> = names("", 10).await.collect();
    let expected = [
        ("acme/tools/a-b".to_owned(), Some(second)),
        ("acme/tools/a/c".to_owned(), Some(first)),
        ("acme/tools/busybox".to_owned(), Some(first)),
    ];
    assert_eq!(whole, expected);
    let after: Vec<_> = names("acme/tools/a-b", 1).await.collect();
    assert_eq!(after, expected[1..2]);
}
