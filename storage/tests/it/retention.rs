//! Rules of retention in a repository with very many tags: one look and one version, whatever goes.

use std::time::Instant;

use engine::clock::Timestamp;
use engine::journal::PlanId;
use serde_json::json;
use storage::catalog::versions::{self, Base, Cause};
use storage::catalog::{DestinationId, pushed, shelves};
use storage::content::versions as backend;
use storage::retention::{Going, Retention};
use storage::{Digest, Tag, Tx};
use uuid::Uuid;

use crate::house::House;

const OF: DestinationId = DestinationId(1001);
/// After everything that happened.
const NOW: Timestamp = Timestamp(20_000_000);

/// A repository with a version for each of 10,000 images, the first at 1 s, the next at 2 s: each with a tag, a layer of its own, and
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

async fn filled() -> House {
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
    house
}

/// What goes, with how many bytes; and how long each part of the look took.
async fn look(house: &House, rules: &Retention) -> (Going, u64) {
    let mut tx = house.read().await;
    let begun = Instant::now();
    let shelf = shelves::newest(&mut tx, OF.into(), NOW).await.unwrap();
    let read = begun.elapsed();
    let begun = Instant::now();
    let going = Going::of(&shelf, rules, &[], NOW);
    let judged = begun.elapsed();
    let begun = Instant::now();
    let manifests: Vec<_> = going.manifests.iter().map(|(digest, _)| *digest).collect();
    let bytes = shelves::bytes(&mut tx, OF, &manifests).await.unwrap();
    let weighed = begun.elapsed();
    println!(
        "{} tags: read within {read:?}, judged {judged:?}, weighed {weighed:?}",
        shelf.tags.len()
    );
    (going, bytes)
}

/// Records what the backend has made of it as the next version.
async fn record(tx: &mut Tx, plan: PlanId, base: Base, version: i64, cause: Cause) -> i64 {
    let changes = backend::changes(tx, OF, base.recorded, version);
    let changes = changes.await.unwrap();
    let number = versions::record(tx, OF.into(), plan, version, cause, &changes, NOW);
    number.await.unwrap()
}

async fn take_away(house: &House, going: &Going) -> i64 {
    let tags: Vec<Tag> = going.tags.iter().map(|(tag, _, _)| tag.clone()).collect();
    let manifests: Vec<Digest> = going.manifests.iter().map(|it| it.0).collect();
    let begun = Instant::now();
    let number = house.write(move |tx| {
        Box::pin(async move {
            let plan = PlanId(Uuid::from_u128(1 << 64));
            let base = versions::base(tx, OF.into()).await.unwrap();
            let gone = (&*tags, &*manifests);
            let version = backend::remove(tx, OF, plan, gone, base, NOW);
            let version = version.await.unwrap();
            let number = record(tx, plan, base, version, Cause::Retention).await;
            pushed::delete_unfiled(tx, OF, &manifests, NOW)
                .await
                .unwrap();
            Ok::<_, sqlx::Error>(number)
        })
    });
    let number = number.await;
    println!("taken away within {:?}", begun.elapsed());
    number
}

async fn bring_back(house: &House, old: i64) {
    let back = house.write(move |tx| {
        Box::pin(async move {
            let plan = PlanId(Uuid::from_u128(2 << 64));
            let base = versions::base(tx, OF.into()).await.unwrap();
            let version = backend::restore(tx, OF, plan, old, NOW).await.unwrap();
            let number = record(tx, plan, base, version, Cause::Rollback).await;
            pushed::bring_back(tx, OF, number).await.unwrap();
            Ok::<_, sqlx::Error>(())
        })
    });
    back.await;
}

#[tokio::test]
async fn nine_thousand_tags_go_with_one_version_and_come_back_as_old_as_they_were() {
    let house = filled().await;
    let rules = json!({"tags": [{"matching": ["pr-*"], "keep_newest": 1000}]});
    let rules: Retention = serde_json::from_value(rules).unwrap();

    let (going, bytes) = look(&house, &rules).await;
    let number = take_away(&house, &going).await;
    let (left, _) = look(&house, &rules).await;
    let mut tx = house.read().await;
    let tags = versions::count_tags(&mut tx, OF.into(), number).await;
    drop(tx);
    bring_back(&house, number - 1).await;
    let (again, _) = look(&house, &rules).await;

    assert_eq!((going.tags.len(), going.manifests.len()), (9000, 9000));
    assert_eq!(bytes, 9000 * (10 + 100), "the layer of all is needed");
    assert_eq!((number, tags.unwrap()), (10_001, 1000));
    assert!(left.is_nothing());
    let names = |going: &Going| {
        let tags = going.tags.iter().map(|(tag, _, _)| tag.to_string());
        tags.collect::<Vec<_>>()
    };
    assert_eq!(names(&again), names(&going));
}
