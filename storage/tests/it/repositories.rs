//! Repositories, and what is shown of them at a glance.

use bytes::Bytes;
use futures_util::stream;
use storage::Digest;
use storage::catalog::repositories::{self, Filter};
use storage::catalog::sizes::Sizes;
use storage::catalog::versions::{self, Cause, Changes};
use storage::catalog::{CatalogError, destinations, products, publications};

use crate::house::{AT, House, image, label, plan, tag};

#[tokio::test]
async fn a_repository_has_the_number_of_its_destination_and_the_plan_that_made_it() {
    let house = House::new().await;
    let (product, made) = house.repository().await;
    let destination = house.destination.clone();

    let again = house
        .write(move |tx| {
            Box::pin(async move {
                repositories::ensure(tx, &destination, product.id, plan(9), AT).await
            })
        })
        .await;

    assert_eq!(made.id.0, house.destination.id.0);
    assert_eq!(
        (made.name.as_str(), made.label.as_str()),
        ("busybox", "busybox")
    );
    assert!(!again.created_here);
    assert_eq!(again.found, made);
    let mut tx = house.read().await;
    let found = repositories::find(&mut tx, "ACME", "Tools", "busybox")
        .await
        .unwrap();
    assert_eq!(found, Some(made.clone()));
    assert_eq!(
        repositories::get(&mut tx, made.id).await.unwrap(),
        Some(made)
    );
    assert_eq!(
        repositories::find(&mut tx, "acme", "tools", "no")
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn a_repository_shows_what_library_publishes_and_counts_shared_blobs_once() {
    let house = House::new().await;
    let (_, repository) = house.repository().await;
    let library = house.library().await;
    let manifest = image("a");
    let digest = house.manifest("a").await;
    for part in ["config", "layer"] {
        let upload = house
            .content
            .open_upload(house.destination.id, house.user.id, AT)
            .await
            .unwrap();
        let bytes = Bytes::from(format!("a {part}"));
        let blob = Digest::of(&bytes);
        let body = stream::iter([Ok::<_, std::io::Error>(bytes)]);
        house
            .content
            .append(upload.id, None, body, AT)
            .await
            .unwrap();
        house.content.finish(upload.id, &blob, AT).await.unwrap();
    }
    let id = repository.id;

    let before = repositories::list(&mut house.read().await, Filter::default(), None, 10)
        .await
        .unwrap();
    house
        .write(move |tx| {
            Box::pin(async move {
                let changes = Changes {
                    tags_set: vec![(tag("latest"), digest), (tag("1.0"), digest)],
                    manifests_added: vec![digest],
                    ..Changes::default()
                };
                versions::record(tx, id, plan(1), 1, Cause::Push, &changes, AT).await?;
                publications::publish(tx, library, id, 1, plan(1), "ann", AT).await?;
                versions::record(tx, id, plan(2), 2, Cause::Push, &Changes::default(), AT).await
            })
        })
        .await;

    let after = repositories::list(&mut house.read().await, Filter::default(), None, 10)
        .await
        .unwrap();
    assert_eq!(before[0].published_version, None);

    assert_eq!(before[0].last_push, None);
    let shown = &after[0];
    assert_eq!(
        (shown.latest_version, shown.published_version),
        (Some(2), Some(1))
    );
    assert_eq!(
        (shown.organization.as_str(), shown.product.as_str()),
        ("Acme", "tools")
    );
    let tags = Sizes::default().tags(&mut house.read().await, id, 1).await;
    assert_eq!(tags.unwrap(), 2);
    let size = Sizes::default().bytes(&mut house.read().await, id, 1).await;
    let blobs = "a config".len() + "a layer".len();
    assert_eq!(size.unwrap(), (manifest.bytes.len() + blobs) as u64);
    let push = shown.last_push.as_ref().unwrap();
    assert_eq!(
        (push.plan, push.user.as_str(), push.at),
        (plan(1), "ann", AT)
    );
}

#[tokio::test]
async fn repositories_are_filtered_and_counted() {
    let house = House::new().await;
    let (product, first) = house.repository().await;
    let organization = house.organization.id;
    let second = house
        .write(move |tx| {
            Box::pin(async move {
                let there = destinations::make(tx, organization, &label("tools"), "b", AT).await?;
                let made = repositories::ensure(tx, &there, product.id, plan(0), AT).await?;
                Ok::<_, CatalogError>(made.found)
            })
        })
        .await;

    let mut tx = house.read().await;
    let mut ids = async |filter: Filter| -> Vec<i64> {
        let rows = repositories::list(&mut tx, filter, None, 10).await.unwrap();
        rows.iter().map(|row| row.id.0).collect()
    };

    let all = [first.id.0, second.id.0];
    assert_eq!(ids(Filter::default()).await, all);
    assert_eq!(
        ids(Filter {
            organization: Some(organization),
            product: Some(product.id),
            ..Filter::default()
        })
        .await,
        all
    );
    assert_eq!(
        ids(Filter {
            repository: Some(first.id),
            ..Filter::default()
        })
        .await,
        [first.id.0]
    );
    assert!(
        ids(Filter {
            organization: Some(storage::catalog::OrganizationId(99)),
            ..Filter::default()
        })
        .await
        .is_empty()
    );
    let page = repositories::list(&mut tx, Filter::default(), Some(first.id), 10)
        .await
        .unwrap();
    assert_eq!(page.len(), 1);
}

#[tokio::test]
async fn a_repository_that_a_person_made_is_made_once_and_found_by_a_push() {
    let house = House::new().await;
    let (organization, destination) = (house.organization.id, house.destination.clone());

    let (made, again, pushed) = house
        .write(move |tx| {
            Box::pin(async move {
                let tools = label("tools");
                let product = products::ensure(tx, organization, &tools, "Tools", plan(0), AT);
                let product = product.await?.found.id;
                let made = repositories::create(tx, &destination, product, AT).await?;
                let again = repositories::create(tx, &destination, product, AT).await;
                let pushed = repositories::ensure(tx, &destination, product, plan(1), AT).await?;
                Ok::<_, CatalogError>((made, again, pushed))
            })
        })
        .await;

    assert_eq!(made.id.0, house.destination.id.0);
    assert_eq!(made.created_by_plan, None);
    assert!(
        matches!(again, Err(CatalogError::Duplicate { .. })),
        "{again:?}"
    );
    assert_eq!((pushed.created_here, pushed.found), (false, made));
}
