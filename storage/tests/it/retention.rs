//! Rules of retention in a repository with very many tags: one look and one version, whatever goes.

use std::time::Instant;

use engine::clock::Timestamp;
use engine::journal::PlanId;
use serde_json::json;
use storage::catalog::versions::{self, Cause};
use storage::catalog::{DestinationId, RepositoryId, pushed, shelves};
use storage::content::versions as backend;
use storage::retention::{Going, Retention};
use uuid::Uuid;

use crate::house::House;

const IMAGES: usize = 10_000;
const OF: DestinationId = DestinationId(1001);

/// A repository with a version for each of so many images, the first at 1 s, the next at 2 s: each with a tag, a layer of its own, and
/// one that all have.
const FILLED: &[&str] = &[
    "INSERT INTO products (organization_id, label, label_key, name, created_at)
     SELECT id, 'tools', 'tools', 'Tools', 0 FROM organizations",
    "INSERT INTO destinations (id, organization_id, product_label, product_key, name, created_at)
     SELECT 1001, id, 'tools', 'tools', 'box', 0 FROM organizations",
    "INSERT INTO repositories (id, product_id, name, label, created_at)
     SELECT 1001, id, 'box', 'box', 0 FROM products WHERE label = 'tools'",
    "CREATE TEMP TABLE n AS WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 10000)
     SELECT n, 'sha256:' || printf('%064x', n) AS digest FROM n",
    "INSERT INTO manifests (digest, size_bytes, bytes, created_at) SELECT digest, 10, x'00', 0 FROM n",
    "INSERT INTO pushed_manifests (id, destination_id, digest, media_type, annotations, pushed_by, pushed_at, filed_by_plan)
     SELECT n, 1001, digest, 'm', '{}', (SELECT min(id) FROM users), n * 1000, zeroblob(16) FROM n",
    "INSERT INTO manifest_parts (pushed_id, position, destination_id, kind, digest, media_type, size_bytes)
     SELECT n, 0, 1001, 'layer', 'sha256:' || printf('%064x', n + 100000), 'l', 100 FROM n
     UNION ALL SELECT n, 1, 1001, 'layer', 'sha256:' || printf('%064x', 0), 'l', 1000 FROM n",
    "INSERT INTO versions (repository_id, number, plan_id, backend_version, cause, created_at)
     SELECT 1001, n, unhex(printf('%032x', n)), n, 'push', n * 1000 FROM n",
    "INSERT INTO embedded_versions (destination_id, number, plan_id, created_at)
     SELECT 1001, n, unhex(printf('%032x', n)), n * 1000 FROM n",
    "INSERT INTO content_in (repository_id, kind, name, digest, added)
     SELECT 1001, 'tag', 'pr-' || n, digest, n FROM n UNION ALL SELECT 1001, 'manifest', digest, digest, n FROM n",
    "INSERT INTO embedded_content (destination_id, kind, name, digest, added)
     SELECT 1001, 'tag', 'pr-' || n, digest, n FROM n UNION ALL SELECT 1001, 'manifest', digest, digest, n FROM n",
    "INSERT INTO published (environment_id, repository_id, version, plan_id, published_by, since)
     SELECT id, 1001, 10000, zeroblob(16), 'ann', 0 FROM environments WHERE prior_id IS NULL",
];

#[tokio::test]
async fn nine_thousand_tags_go_with_one_version_and_come_back_with_one() {
    let house = House::new().await;
    house
        .write(|tx| {
            Box::pin(async move {
                for statement in FILLED {
                    sqlx::query(*statement).execute(&mut *tx).await?;
                }
                Ok::<_, sqlx::Error>(())
            })
        })
        .await;
    let rules = json!({"tags": [{"matching": ["pr-*"], "keep_newest": 1000}]});
    let rules: Retention = serde_json::from_value(rules).unwrap();
    let (repository, now) = (RepositoryId::from(OF), Timestamp(20_000_000));

    let begun = Instant::now();
    let mut tx = house.read().await;
    let shelf = shelves::newest(&mut tx, repository, now).await.unwrap();
    let read = begun.elapsed();
    let going = Going::of(&shelf, &rules, &[], now);
    let judged = begun.elapsed();
    let manifests: Vec<_> = going.manifests.iter().map(|(digest, _)| *digest).collect();
    let tags: Vec<_> = going.tags.iter().map(|(tag, _, _)| tag.clone()).collect();
    let bytes = shelves::bytes(&mut tx, OF, &manifests).await.unwrap();
    let weighed = begun.elapsed();
    drop(tx);

    assert_eq!(
        (tags.len(), manifests.len()),
        (IMAGES - 1000, IMAGES - 1000)
    );
    assert_eq!(bytes, 9000 * (10 + 100), "the layer of all is needed");

    let begun = Instant::now();
    let number = house
        .write(move |tx| {
            Box::pin(async move {
                let plan = PlanId(Uuid::from_u128(1 << 64));
                let base = versions::base(tx, repository).await.unwrap();
                let gone = (&*tags, &*manifests);
                let version = backend::remove(tx, OF, plan, gone, base, now)
                    .await
                    .unwrap();
                let changes = backend::changes(tx, OF, base.recorded, version)
                    .await
                    .unwrap();
                let cause = Cause::Retention;
                let number = versions::record(tx, repository, plan, version, cause, &changes, now);
                let number = number.await.unwrap();
                pushed::delete_unfiled(tx, OF, &manifests, now)
                    .await
                    .unwrap();
                Ok::<_, sqlx::Error>(number)
            })
        })
        .await;
    let removed = begun.elapsed();
    println!(
        "of {IMAGES} images: read within {read:?}, judged {:?}, weighed {:?}, removed {removed:?}",
        judged - read,
        weighed - judged
    );

    let mut tx = house.read().await;
    assert_eq!(number, 10_001);
    assert_eq!(
        versions::count_tags(&mut tx, repository, number)
            .await
            .unwrap(),
        1000
    );
    let all = versions::count_tags(&mut tx, repository, number - 1).await;
    assert_eq!(all.unwrap(), 10_000);
    let left = shelves::newest(&mut tx, repository, now).await.unwrap();
    assert!(Going::of(&left, &rules, &[], now).is_nothing());
    drop(tx);

    house
        .write(move |tx| {
            Box::pin(async move {
                let plan = PlanId(Uuid::from_u128(2 << 64));
                let base = versions::base(tx, repository).await.unwrap();
                let version = backend::restore(tx, OF, plan, 10_000, now).await.unwrap();
                let changes = backend::changes(tx, OF, base.recorded, version)
                    .await
                    .unwrap();
                let cause = Cause::Rollback;
                let number = versions::record(tx, repository, plan, version, cause, &changes, now);
                let number = number.await.unwrap();
                pushed::bring_back(tx, OF, number).await.unwrap();
                Ok::<_, sqlx::Error>(())
            })
        })
        .await;
    let mut tx = house.read().await;
    let back = shelves::newest(&mut tx, repository, now).await.unwrap();
    let again = Going::of(&back, &rules, &[], now);
    let names = |going: &Going| {
        let tags = going.tags.iter();
        tags.map(|(tag, _, _)| tag.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        names(&again),
        names(&going),
        "they are as old among others as they were"
    );
}
