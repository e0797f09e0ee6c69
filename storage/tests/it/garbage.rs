//! What nothing needs any more goes, and nothing else, whenever it is interrupted.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use engine::clock::Timestamp;
use proptest::prelude::*;
use storage::catalog::destinations::{self, Destination};
use storage::catalog::environments::{self, NewEnvironment};
use storage::catalog::manifests::Manifest;
use storage::catalog::publications::{self, Published};
use storage::catalog::settings::{self, Key};
use storage::catalog::versions::{self, Cause};
use storage::catalog::{
    CatalogError, DestinationId, RepositoryId, manifests, products, pushed, repositories,
};
use storage::content::versions::Brought;
use storage::content::{self, ContentError, blobs, delete_expired, inventory};
use storage::garbage::{self, Left, Rules, rules};
use storage::{Digest, Tag, Tx};

use crate::house::{House, OCI_IMAGE, label, plan, tag};

/// Later than any object was written.
const BEGIN: Timestamp = Timestamp(4_000_000_000_000);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const KEPT: u64 = 2;

/// A house whose clock stands where it was set.
struct Yard {
    house: House,
    now: Timestamp,
    plans: u128,
}

/// What a run has deleted, or would delete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Figures {
    sessions: u64,
    destinations: u64,
    repositories: u64,
    versions: u64,
    manifests: u64,
    manifest_bytes: u64,
    blobs: u64,
    blob_bytes: u64,
    objects: u64,
}

/// Ends a run after so many transactions, as a crash does.
struct Transactions(u32);

/// It has crashed.
struct Crashed;

impl Transactions {
    fn step(&mut self) -> Result<(), Crashed> {
        self.0 = self.0.checked_sub(1).ok_or(Crashed)?;
        Ok(())
    }
}

/// An image whose config is its own; it shares one layer with the image before and one with the one after it.
fn image(number: u8) -> (Manifest, [Vec<u8>; 3]) {
    let parts = [
        format!("config {number}").into_bytes(),
        format!("layer {}", number % 4).into_bytes(),
        format!("layer {}", (number + 1) % 4).into_bytes(),
    ];
    let descriptor = |bytes: &[u8]| serde_json::json!({"digest": Digest::of(bytes), "size": bytes.len(), "mediaType": "text"});
    let document = serde_json::json!({
        "schemaVersion": 2, "config": descriptor(&parts[0]),
        "layers": [descriptor(&parts[1]), descriptor(&parts[2])], "annotations": {"number": number.to_string()},
    });
    let bytes = Bytes::from(document.to_string());
    (
        Manifest::read(Digest::of(&bytes), OCI_IMAGE, bytes).unwrap(),
        parts,
    )
}

impl Yard {
    async fn new() -> Self {
        let house = House::new().await;
        house
            .write(|tx| {
                Box::pin(async move {
                    let kept = serde_json::json!(KEPT);
                    settings::set(tx, Key::VersionRetention, &kept, "ann", BEGIN).await
                })
            })
            .await;
        Self {
            house,
            now: BEGIN,
            plans: 100,
        }
    }

    fn later(&mut self, by: Duration) {
        self.now = self.now + by;
    }

    async fn rules(&self) -> Rules {
        let mut tx = self.house.read().await;
        Rules::read(&mut tx, DAY, self.now).await.unwrap()
    }

    /// The destination of this name, made if it is not there.
    async fn destination(&self, name: &'static str) -> Destination {
        let (organization, now) = (self.house.organization.id, self.now);
        self.house
            .write(move |tx| {
                Box::pin(async move {
                    destinations::make(tx, organization, &label("tools"), name, now).await
                })
            })
            .await
    }

    /// Uploads bytes, unless a HEAD says that they are there.
    async fn blob(&self, to: DestinationId, bytes: &[u8]) -> Digest {
        let (content, digest) = (&self.house.content, Digest::of(bytes));
        if content.promise(to, &digest, self.now).await.unwrap() {
            return digest;
        }
        let upload = content.open_upload(to, self.house.user.id, self.now);
        let upload = upload.await.unwrap();
        let body =
            futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::copy_from_slice(bytes))]);
        content
            .append(upload.id, None, body, self.now)
            .await
            .unwrap();
        content.finish(upload.id, &digest, self.now).await.unwrap();
        digest
    }

    /// Pushes an image, as the workflow does it.
    async fn push(&mut self, name: &'static str, at: &str, number: u8) -> Digest {
        let to = self.destination(name).await;
        let (manifest, parts) = image(number);
        for part in &parts {
            self.blob(to.id, part).await;
        }
        let digest = manifest.digest;
        self.plans += 1;
        let (by, now, user) = (plan(self.plans), self.now, self.house.user.id);
        let (tag, library) = (tag(at), self.house.library().await);
        self.house
            .write::<_, ContentError>(move |tx| {
                Box::pin(async move {
                    let parts: Vec<Digest> = manifest.required().map(|part| part.digest).collect();
                    assert_eq!(blobs::first_missing(tx, to.id, &parts).await?, None);
                    manifests::put(tx, &manifest, now).await?;
                    pushed::add(tx, to.id, &manifest, user, now).await?;
                    let tools = label("tools");
                    let product = products::ensure(tx, to.organization, &tools, "Tools", by, now);
                    let product = product.await?.found;
                    repositories::ensure(tx, &to, product.id, by, now).await?;
                    let repository = RepositoryId::from(to.id);
                    let brought = Brought {
                        plan: by,
                        tag: Some((&tag, &digest)),
                        manifests: &[],
                    };
                    let base = versions::base(tx, repository).await?;
                    let copied = content::versions::copy(tx, to.id, brought, base, now).await?;
                    let changes = content::versions::changes(tx, to.id, base.recorded, copied);
                    let changes = changes.await?;
                    let made =
                        versions::record(tx, repository, by, copied, Cause::Push, &changes, now);
                    let made = made.await?;
                    pushed::file(tx, to.id, &[digest], by).await?;
                    publications::publish(tx, library, repository, made, by, "ann", now).await?;
                    Ok(())
                })
            })
            .await;
        digest
    }

    /// Deletes an image by its digest, as the workflow does it.
    async fn delete(&mut self, name: &'static str, number: u8) {
        let from = self.destination(name).await;
        let digest = image(number).0.digest;
        self.plans += 1;
        let (by, now, library) = (plan(self.plans), self.now, self.house.library().await);
        self.house
            .write::<_, ContentError>(move |tx| {
                Box::pin(async move {
                    let repository = RepositoryId::from(from.id);
                    if !pushed::delete(tx, from.id, &digest, now).await? {
                        return Ok(());
                    }
                    let Some(newest) = versions::latest(tx, repository).await? else {
                        return Ok(());
                    };
                    if !versions::has_manifest(tx, repository, newest.number, &digest).await? {
                        return Ok(());
                    }
                    let tags = versions::tags_at(tx, repository, &digest).await?;
                    let base = versions::base(tx, repository).await?;
                    let manifests = [digest];
                    let gone = (tags.as_slice(), manifests.as_slice());
                    let made = content::versions::remove(tx, from.id, by, gone, base, now).await?;
                    let changes = content::versions::changes(tx, from.id, base.recorded, made);
                    let changes = changes.await?;
                    let made =
                        versions::record(tx, repository, by, made, Cause::Delete, &changes, now);
                    let made = made.await?;
                    publications::publish(tx, library, repository, made, by, "ann", now).await?;
                    Ok(())
                })
            })
            .await;
    }

    /// Mounts the layers of an image of one destination into another, as far as they are there.
    async fn mount(&self, from: &'static str, to: &'static str, number: u8) {
        let (from, to) = (
            self.destination(from).await.id,
            self.destination(to).await.id,
        );
        for part in image(number).1 {
            let digest = Digest::of(&part);
            let content = &self.house.content;
            content.mount(from, to, digest, self.now).await.unwrap();
        }
    }

    async fn begin_upload(&self, to: &'static str, bytes: &'static [u8]) {
        let to = self.destination(to).await.id;
        let content = &self.house.content;
        let upload = content.open_upload(to, self.house.user.id, self.now);
        let upload = upload.await.unwrap();
        let body = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(bytes))]);
        content
            .append(upload.id, None, body, self.now)
            .await
            .unwrap();
    }

    /// Deletes the repository, as far as this has to do with it: nothing of it is published, and it is under tombstones.
    async fn bury(&self, name: &'static str) {
        let (id, now) = (self.destination(name).await.id, self.now);
        for sql in [
            "DELETE FROM published WHERE repository_id = $1",
            "INSERT INTO tombstones (destination_id, part, plan_id, since)
             SELECT $1, value, zeroblob(16), $2 FROM json_each('[\"container_repository\",\"push_repository\",\"catalog\"]')",
            "UPDATE destinations SET retired_at = $2 WHERE id = $1",
        ] {
            self.house
                .write::<_, sqlx::Error>(move |tx| {
                    Box::pin(async move {
                        let done = sqlx::query(sql).bind(id).bind(now.0);
                        done.execute(&mut *tx).await.map(drop)
                    })
                })
                .await;
        }
    }

    /// All that the steps of a cleanup do, one after the other; ends early after so many transactions.
    async fn collect(&self, crash_after: u32) -> Result<Figures, Crashed> {
        let (rules, now, house) = (self.rules().await, self.now, &self.house);
        let (mut done, mut left) = (Figures::default(), Transactions(crash_after));
        let before = rules.touched_before;
        let idle = house.content.idle_uploads(before, None).await.unwrap();
        let sessions = idle.sessions.clone();
        left.step()?;
        let (expired, objects) = house
            .write(move |tx| {
                Box::pin(async move { delete_expired(tx, &sessions, before, now).await })
            })
            .await;
        done.sessions = expired.sessions;
        left.step()?;
        let gone = house.content.discard_uploads(objects).await;
        drop(idle);
        left.step()?;
        house
            .write(move |tx| Box::pin(async move { garbage::objects::forget(tx, &gone).await }))
            .await;

        let unused = garbage::destinations::unused(&mut house.read().await, &rules, None).await;
        for unused in unused.unwrap().found {
            loop {
                left.step()?;
                let swept = house
                    .write(move |tx| {
                        Box::pin(
                            async move { garbage::destinations::sweep(tx, &rules, unused).await },
                        )
                    })
                    .await;
                if swept.left != Left::More {
                    done.destinations += u64::from(swept.left == Left::Nothing);
                    break;
                }
            }
        }
        let ripe = garbage::deleted::ripe(&mut house.read().await, &rules, None).await;
        for ripe in ripe.unwrap().found {
            loop {
                left.step()?;
                let some = house
                    .write(move |tx| {
                        Box::pin(async move { garbage::deleted::collect(tx, &rules, ripe).await })
                    })
                    .await;
                done.versions += some.versions;
                done.manifest_bytes += some.bytes;
                if some.left != Left::More {
                    done.repositories += u64::from(some.left == Left::Nothing);
                    break;
                }
            }
        }
        let all = garbage::destinations::all(&mut house.read().await, None).await;
        for destination in all.unwrap().found {
            self.prune(destination, &rules, &mut done, &mut left)
                .await?;
        }

        self.finish(&mut left).await?;
        let look = garbage::blobs::unlinked(&mut house.read().await, &rules, "").await;
        let going = look.unwrap().found;
        left.step()?;
        let collected = house
            .write(move |tx| {
                Box::pin(async move { garbage::blobs::collect(tx, &rules, &going, now).await })
            })
            .await;
        done.blobs = collected.blobs;
        done.blob_bytes = collected.bytes;
        left.step()?;
        house.content.delete_objects(collected.objects).await;
        self.finish(&mut left).await?;
        let old = house.content.objects_before("", rules.used_before).await;
        let old = old.unwrap();
        left.step()?;
        let doomed = house
            .write(move |tx| Box::pin(async move { garbage::objects::doom(tx, &old, now).await }))
            .await;
        done.objects = doomed.len() as u64;
        self.finish(&mut left).await?;
        Ok(done)
    }

    async fn finish(&self, left: &mut Transactions) -> Result<(), Crashed> {
        let house = &self.house;
        let doomed = garbage::objects::doomed(&mut house.read().await, None).await;
        left.step()?;
        let gone = house.content.delete_objects(doomed.unwrap()).await;
        left.step()?;
        house
            .write(move |tx| Box::pin(async move { garbage::objects::forget(tx, &gone).await }))
            .await;
        Ok(())
    }

    async fn prune(
        &self,
        destination: DestinationId,
        rules: &Rules,
        done: &mut Figures,
        left: &mut Transactions,
    ) -> Result<(), Crashed> {
        use garbage::versions::Table;
        let (house, rules) = (&self.house, *rules);
        let repository = RepositoryId::from(destination);
        let old = garbage::versions::old(&mut house.read().await, &rules, repository).await;
        let old = old.unwrap();
        left.step()?;
        done.versions += house
            .write(move |tx| {
                Box::pin(
                    async move { garbage::versions::drop_old(tx, &rules, repository, &old).await },
                )
            })
            .await;
        for table in [
            Table::Content,
            Table::BackendVersions,
            Table::BackendContent,
        ] {
            let mut tx = house.read().await;
            let rows = garbage::versions::rows(&mut tx, &rules, table, destination).await;
            let rows = rows.unwrap();
            drop(tx);
            left.step()?;
            house
                .write(move |tx| {
                    Box::pin(async move {
                        garbage::versions::delete_rows(tx, &rules, table, destination, &rows).await
                    })
                })
                .await;
        }
        let mut tx = house.read().await;
        let look = garbage::manifests::unneeded(&mut tx, &rules, destination, "").await;
        let going = look.unwrap().found;
        drop(tx);
        left.step()?;
        let (manifests, bytes) = house
            .write(move |tx| {
                Box::pin(async move {
                    garbage::manifests::drop_unneeded(tx, &rules, destination, &going).await
                })
            })
            .await;
        done.manifests += manifests;
        done.manifest_bytes += bytes;
        let mut tx = house.read().await;
        let look = garbage::manifests::unneeded_links(&mut tx, &rules, destination, "").await;
        let going = look.unwrap().found;
        drop(tx);
        left.step()?;
        house
            .write(move |tx| {
                Box::pin(async move {
                    garbage::manifests::drop_unneeded_links(tx, &rules, destination, &going).await
                })
            })
            .await;
        Ok(())
    }

    async fn collect_all(&self) -> Figures {
        let collected = self.collect(u32::MAX).await;
        collected.unwrap_or_else(|_| panic!("nothing crashes it"))
    }

    /// The same figures without deleting anything.
    async fn would_collect(&self) -> Figures {
        let (rules, house) = (self.rules().await, &self.house);
        let mut would = Figures::default();
        let expired = house.content.expired_uploads(rules.touched_before).await;
        would.sessions = expired.unwrap().sessions;
        let mut tx = house.read().await;
        let in_use = rules::all_in_use(&mut tx).await.unwrap();
        let in_use: Vec<DestinationId> = in_use.into_iter().collect();
        let unused = garbage::destinations::unused(&mut tx, &rules, None).await;
        would.destinations = unused.unwrap().found.len() as u64;
        let ripe = garbage::deleted::ripe(&mut tx, &rules, None).await;
        for ripe in ripe.unwrap().found {
            let more = garbage::deleted::would_collect(&mut tx, &rules, ripe, &in_use).await;
            let more = more.unwrap();
            would.repositories += 1;
            would.versions += more.versions;
            would.manifest_bytes += more.bytes;
        }
        let all = garbage::destinations::all(&mut tx, None).await.unwrap();
        for id in all.found {
            if !rules::may_be_pruned(&mut tx, id).await.unwrap()
                || garbage::destinations::is_unused(&mut tx, &rules, id)
                    .await
                    .unwrap()
            {
                continue;
            }
            let old = garbage::versions::count_old(&mut tx, &rules, id.into()).await;
            would.versions += old.unwrap();
            let look = garbage::manifests::unneeded(&mut tx, &rules, id, "").await;
            let found = look.unwrap().found;
            would.manifests += found.len() as u64;
            let bytes = garbage::manifests::would_free(&mut tx, &rules, id, &found, &in_use).await;
            would.manifest_bytes += bytes.unwrap();
        }
        let look = garbage::blobs::would_be_unlinked(&mut tx, &rules, &in_use, "").await;
        let look = look.unwrap();
        would.blobs = look.found.len() as u64;
        would.blob_bytes = look.bytes;
        let old = house.content.objects_before("", rules.used_before).await;
        let without = garbage::objects::without_row(&mut tx, &old.unwrap()).await;
        would.objects = without.unwrap().len() as u64;
        would
    }

    /// The manifests that can be reached: those of all versions that are there. Each is whole, with all its blobs.
    async fn reachable(&self) -> BTreeSet<Digest> {
        let mut tx = self.house.read().await;
        let all = garbage::destinations::all(&mut tx, None).await.unwrap();
        let mut reachable = BTreeSet::new();
        for destination in all.found {
            let repository = RepositoryId::from(destination);
            let there = versions::list(&mut tx, repository, None, 1000).await;
            for version in there.unwrap() {
                let held = versions::manifests(&mut tx, repository, version.number).await;
                for digest in held.unwrap() {
                    self.is_whole(&mut tx, destination, &digest).await;
                    reachable.insert(digest);
                }
                let tags = versions::tags(&mut tx, repository, version.number, None, 1000).await;
                for (name, digest) in tags.unwrap() {
                    let held = versions::has_manifest(&mut tx, repository, version.number, &digest);
                    assert!(held.await.unwrap(), "{name} of version {}", version.number);
                }
            }
            let pending = pushed::pending(&mut tx, destination).await.unwrap();
            for digest in pending {
                self.is_whole(&mut tx, destination, &digest).await;
            }
        }
        reachable
    }

    async fn is_whole(&self, tx: &mut Tx, destination: DestinationId, digest: &Digest) {
        let manifest = manifests::get(tx, destination, digest).await.unwrap();
        let manifest = manifest.unwrap_or_else(|| panic!("manifest {digest} is lost"));
        for part in manifest.required() {
            let linked: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM blob_links WHERE destination_id = $1 AND digest = $2)",
            )
            .bind(destination)
            .bind(part.digest.to_string())
            .fetch_one(&mut *tx)
            .await
            .unwrap();
            assert!(linked, "{} of {digest} is not linked any more", part.digest);
        }
    }

    /// Each blob has its object, and the digests of all blobs.
    async fn blobs(&self) -> BTreeSet<Digest> {
        let mut tx = self.house.read().await;
        let stored = inventory::blobs(&mut tx, None, 1000).await.unwrap();
        let objects = inventory::objects(&self.house.folder.path().join("content"));
        let objects = objects.unwrap().unwrap();
        for stored in &stored {
            let found = objects.size(&stored.object).await.unwrap();
            assert_eq!(found, Some(stored.blob.size_bytes), "{stored:?}");
        }
        stored.iter().map(|stored| stored.blob.digest).collect()
    }

    async fn objects(&self) -> usize {
        let objects = inventory::objects(&self.house.folder.path().join("content"));
        objects.unwrap().unwrap().list("").await.unwrap().len()
    }

    async fn count(&self, sql: &'static str) -> i64 {
        let mut tx = self.house.read().await;
        sqlx::query_scalar(sql).fetch_one(&mut tx).await.unwrap()
    }

    async fn numbers(&self, name: &'static str) -> Vec<i64> {
        let id = RepositoryId::from(self.destination(name).await.id);
        let mut tx = self.house.read().await;
        let all = versions::list(&mut tx, id, None, 100).await.unwrap();
        all.iter().map(|version| version.number).collect()
    }
}

fn parts_of(manifests: &BTreeSet<Digest>) -> BTreeSet<Digest> {
    let images = (0..8).map(image);
    let held = images.filter(|(manifest, _)| manifests.contains(&manifest.digest));
    held.flat_map(|(_, parts)| parts.map(|part| Digest::of(&part)))
        .collect()
}

#[tokio::test]
async fn old_versions_go_with_what_only_they_had_and_the_newest_and_published_stay() {
    let mut yard = Yard::new().await;
    for number in 0..4 {
        yard.push("busybox", "latest", number).await;
        yard.delete("busybox", number).await;
    }
    yard.push("busybox", "latest", 4).await;
    let of = RepositoryId::from(yard.destination("busybox").await.id);
    let (organization, library) = (yard.house.organization.id, yard.house.library().await);
    let now = yard.now;
    yard.house
        .write(move |tx| {
            Box::pin(async move {
                let dev = NewEnvironment {
                    label: label("dev"),
                    name: "Dev".into(),
                    prior: library,
                    registry_name_pattern: None,
                    anonymous_pull: false,
                };
                let dev = environments::create(tx, organization, &dev, now).await?;
                let first = Published {
                    environment: dev.id,
                    repository: of,
                    version: 3,
                    plan: plan(1),
                    by: "ann".into(),
                    since: now,
                };
                publications::point(tx, &first).await
            })
        })
        .await;
    assert_eq!(yard.numbers("busybox").await, [9, 8, 7, 6, 5, 4, 3, 2, 1]);
    yard.later(2 * DAY);

    let would = yard.would_collect().await;
    let did = yard.collect_all().await;

    assert_eq!(did, would);
    assert_eq!((did.versions, did.manifests), (6, 3));
    assert_eq!(yard.numbers("busybox").await, [9, 8, 3]);
    let reachable = yard.reachable().await;
    assert_eq!(
        reachable,
        [1, 4].map(|number| image(number).0.digest).into()
    );
    assert_eq!(yard.blobs().await, parts_of(&reachable));
    let next = yard.push("busybox", "next", 5).await;
    assert_eq!(
        yard.numbers("busybox").await[0],
        10,
        "no number comes again"
    );
    assert!(yard.reachable().await.contains(&next));
    let mut tx = yard.house.read().await;
    let all = versions::list(&mut tx, of, None, 10).await.unwrap();
    let of_third = &all[3];
    assert_eq!(
        (of_third.number, of_third.added.manifests.as_slice()),
        (3, [image(1).0.digest].as_slice()),
        "what dropped versions had added is told of the next one"
    );
    assert_eq!(all[2].removed.manifests, [image(1).0.digest]);
}

#[tokio::test]
async fn a_blob_that_a_client_was_told_of_stays_for_the_grace() {
    let mut yard = Yard::new().await;
    yard.push("other", "latest", 0).await;
    let to = yard.destination("busybox").await.id;
    let digest = yard.blob(to, b"a layer").await;
    yard.later(20 * HOUR);
    assert!(
        yard.house
            .content
            .promise(to, &digest, yard.now)
            .await
            .unwrap()
    );
    yard.later(20 * HOUR);

    let young = yard.collect_all().await;
    yard.later(7 * HOUR);
    let would = yard.would_collect().await;
    let old = yard.collect_all().await;

    assert_eq!(young, Figures::default());
    assert_eq!(old, would);
    assert_eq!((old.destinations, old.blobs, old.blob_bytes), (1, 1, 7));
    let content = &yard.house.content;
    let told = content.promise(to, &digest, yard.now).await.unwrap();
    assert!(!told, "it is not here any more");
    let again = yard.destination("busybox").await.id;
    assert_ne!(again, to);
    yard.blob(again, b"a layer").await;
    assert!(yard.blobs().await.contains(&digest), "it has a new object");
}

#[tokio::test]
async fn a_blob_of_a_dropped_image_stays_in_its_repository_for_who_was_told_of_it() {
    let mut yard = Yard::new().await;
    yard.push("busybox", "latest", 0).await;
    yard.delete("busybox", 0).await;
    yard.push("busybox", "latest", 4).await;
    yard.push("busybox", "latest", 5).await;
    yard.later(2 * DAY);
    let to = yard.destination("busybox").await.id;
    let told_of = Digest::of(&image(0).1[0]);
    let content = yard.house.content.clone();
    assert!(content.promise(to, &told_of, yard.now).await.unwrap());

    let would = yard.would_collect().await;
    let did = yard.collect_all().await;
    let kept = content.blob(to, &told_of).await.unwrap();
    yard.later(2 * DAY);
    let would_then = yard.would_collect().await;
    let then = yard.collect_all().await;

    assert_eq!((did, then), (would, would_then));
    assert_eq!((did.manifests, did.blobs), (1, 0), "{did:?}");
    assert!(kept.is_some(), "its manifest may be about to come");
    assert_eq!((then.manifests, then.blobs), (0, 1), "{then:?}");
}

#[tokio::test]
async fn a_blob_that_is_asked_for_again_and_again_is_written_down_now_and_then() {
    let mut yard = Yard::new().await;
    let to = yard.destination("busybox").await.id;
    let digest = yard.blob(to, b"a layer").await;
    let used_at = "SELECT max(used_at) FROM blobs";
    let mut written = BTreeSet::new();

    for _ in 0..240 {
        yard.later(Duration::from_mins(6));
        assert!(
            yard.house
                .content
                .promise(to, &digest, yard.now)
                .await
                .unwrap()
        );
        written.insert(yard.count(used_at).await);
    }

    assert_eq!(written.len(), 10 + 1, "every tenth of the grace");
}

#[tokio::test]
async fn uploads_that_nobody_goes_on_with_go_with_their_bytes_and_others_stay() {
    let mut yard = Yard::new().await;
    yard.begin_upload("busybox", b"an old beginning").await;
    yard.later(25 * HOUR);
    yard.begin_upload("alpine", b"a young beginning").await;
    assert_eq!(yard.objects().await, 2);

    let would = yard.would_collect().await;
    let did = yard.collect_all().await;

    assert_eq!(did, would);
    assert_eq!((did.sessions, did.destinations, did.objects), (1, 1, 0));
    assert_eq!(yard.objects().await, 1);
    assert_eq!(yard.count("SELECT count(*) FROM uploads").await, 1);
}

#[tokio::test]
async fn a_deleted_repository_is_collected_once_it_cannot_be_brought_back() {
    let mut yard = Yard::new().await;
    for number in 0..3 {
        yard.push("busybox", "latest", number).await;
    }
    yard.push("alpine", "latest", 2).await;
    yard.bury("busybox").await;
    yard.later(6 * DAY);

    let early = yard.collect_all().await;
    yard.later(2 * DAY);
    let would = yard.would_collect().await;
    let did = yard.collect_all().await;

    assert_eq!(early, Figures::default(), "nothing of it goes before");
    assert_eq!(did, would);
    assert_eq!((did.repositories, did.versions, did.manifests), (1, 3, 0));
    let bytes = [0, 1].map(|number| image(number).0.bytes.len() as u64);
    assert_eq!(did.manifest_bytes, bytes.iter().sum::<u64>());
    let reachable = yard.reachable().await;
    assert_eq!(reachable, [image(2).0.digest].into());
    assert_eq!(yard.blobs().await, parts_of(&reachable));
    assert_eq!(yard.count("SELECT count(*) FROM tombstones").await, 0);
}

#[tokio::test]
async fn a_deleted_repository_is_not_collected_while_a_task_is_at_work_on_it() {
    let mut yard = Yard::new().await;
    yard.push("busybox", "latest", 0).await;
    yard.bury("busybox").await;
    yard.later(30 * DAY);
    let lock = "
        INSERT INTO lock (resource, mode, plan_id, since)
        SELECT 'destination ' || max(destination_id) || ' (acme/tools/busybox)', 'exclusive', zeroblob(16), 0 FROM tombstones";
    let open = "
        INSERT INTO plan (id, workflow, state, result, created_at) VALUES (zeroblob(16), 'undo', 'running', 'pending', 0)";
    for sql in [open, lock] {
        yard.house
            .write::<_, sqlx::Error>(move |tx| {
                Box::pin(async move { sqlx::query(sql).execute(&mut *tx).await.map(drop) })
            })
            .await;
    }

    let would = yard.would_collect().await;
    let did = yard.collect_all().await;

    assert_eq!((did, would), (Figures::default(), Figures::default()));
}

#[tokio::test]
async fn what_was_marked_for_collecting_is_collected_whatever_the_setting_says_then() {
    let mut yard = Yard::new().await;
    yard.push("busybox", "latest", 0).await;
    yard.bury("busybox").await;
    yard.later(8 * DAY);
    let rules = yard.rules().await;
    let mut tx = yard.house.read().await;
    let ripe = garbage::deleted::ripe(&mut tx, &rules, None).await.unwrap();
    let [ripe] = ripe.found.as_slice() else {
        panic!("one was deleted")
    };
    let id = *ripe;
    drop(tx);
    let marked = yard
        .house
        .write(move |tx| {
            Box::pin(async move {
                let begun = garbage::deleted::collect(tx, &rules, id).await?;
                let forever = serde_json::json!("forever");
                settings::set(tx, Key::UndoWindow, &forever, "ann", BEGIN).await?;
                Ok::<_, CatalogError>(begun)
            })
        })
        .await;
    assert_eq!(marked.left, Left::More);

    let would = yard.would_collect().await;
    let did = yard.collect_all().await;

    assert_eq!(did, would);
    assert_eq!(did.repositories, 1);
}

#[tokio::test]
async fn an_object_that_no_row_names_goes_and_so_does_what_a_crash_has_doomed() {
    let mut yard = Yard::new().await;
    let to = yard.destination("busybox").await.id;
    yard.blob(to, b"a layer").await;
    let upload = yard
        .house
        .content
        .open_upload(to, yard.house.user.id, yard.now);
    let id = upload.await.unwrap().id;
    let body = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"lost"))]);
    yard.house
        .content
        .append(id, None, body, yard.now)
        .await
        .unwrap();
    yard.house
        .write::<_, sqlx::Error>(move |tx| {
            Box::pin(async move {
                let lost = sqlx::query("DELETE FROM uploads");
                lost.execute(&mut *tx).await.map(drop)
            })
        })
        .await;
    yard.later(2 * DAY);
    let mut crashes = 0;
    while yard.collect(crashes).await.is_err() {
        crashes += 1;
        yard.blobs().await;
    }

    assert!(crashes >= 8, "{crashes}");
    assert_eq!((yard.objects().await, yard.blobs().await.len()), (0, 0));
    assert_eq!(yard.count("SELECT count(*) FROM doomed").await, 0);
}

/// What may happen in a yard.
#[derive(Clone, Copy, Debug)]
enum Event {
    Push(&'static str, bool, u8),
    Delete(&'static str, u8),
    Mount(&'static str, &'static str, u8),
    Upload(&'static str, u8),
    BeginUpload(&'static str),
    Hours(u16),
    Collect,
    CrashWhileCollecting(u8),
}

fn event() -> impl Strategy<Value = Event> {
    let name = prop_oneof![Just("busybox"), Just("alpine"), Just("debian")];
    let other = name.clone();
    prop_oneof![
        4 => (name.clone(), any::<bool>(), 0..8_u8).prop_map(|(name, latest, image)| Event::Push(name, latest, image)),
        2 => (name.clone(), 0..8_u8).prop_map(|(name, image)| Event::Delete(name, image)),
        2 => (name.clone(), other, 0..8_u8).prop_map(|(from, to, image)| Event::Mount(from, to, image)),
        1 => (name.clone(), 0..8_u8).prop_map(|(name, image)| Event::Upload(name, image)),
        1 => name.prop_map(Event::BeginUpload),
        3 => (1..40_u16).prop_map(Event::Hours),
        2 => Just(Event::Collect),
        2 => (0..60_u8).prop_map(Event::CrashWhileCollecting),
    ]
}

impl Yard {
    async fn befall(&mut self, event: Event) {
        match event {
            Event::Push(name, latest, image) => {
                let tag = if latest { "latest" } else { "other" };
                self.push(name, tag, image).await;
            }
            Event::Delete(name, image) => self.delete(name, image).await,
            Event::Mount(from, to, image) => self.mount(from, to, image).await,
            Event::Upload(name, number) => {
                let to = self.destination(name).await.id;
                for part in image(number).1 {
                    self.blob(to, &part).await;
                }
                // Whoever has just uploaded pushes the manifest next, and finds its blobs whatever is collected in between.
                self.collect_all().await;
                for part in image(number).1 {
                    let digest = Digest::of(&part);
                    let there = self.house.content.blob(to, &digest).await.unwrap();
                    assert!(there.is_some(), "{digest} was promised");
                }
            }
            Event::BeginUpload(name) => self.begin_upload(name, b"a beginning").await,
            Event::Hours(hours) => self.later(HOUR * u32::from(hours)),
            Event::Collect => {
                let would = self.would_collect().await;
                assert_eq!(self.collect_all().await, would);
                assert_eq!(self.collect_all().await, Figures::default());
            }
            Event::CrashWhileCollecting(after) => drop(self.collect(u32::from(after)).await),
        }
    }
}

/// The tags of each destination as published, which nothing may change but a push or a delete.
async fn published(yard: &Yard) -> Vec<(DestinationId, Vec<(Tag, Digest)>)> {
    let mut tx = yard.house.read().await;
    let mut all = Vec::new();
    for id in garbage::destinations::all(&mut tx, None)
        .await
        .unwrap()
        .found
    {
        let repository = RepositoryId::from(id);
        if let Some(shown) = publications::library(&mut tx, repository).await.unwrap() {
            let tags = versions::tags(&mut tx, repository, shown.version, None, 100).await;
            all.push((id, tags.unwrap()));
        }
    }
    all
}

async fn play(events: Vec<Event>) {
    let mut yard = Yard::new().await;
    for event in events {
        let before = published(&yard).await;
        yard.befall(event).await;
        if matches!(event, Event::Collect | Event::CrashWhileCollecting(_)) {
            assert_eq!(published(&yard).await, before);
        }
        let reachable = yard.reachable().await;
        let there = yard.blobs().await;
        assert!(there.is_superset(&parts_of(&reachable)));
    }

    yard.later(10 * DAY);
    yard.collect_all().await;

    let reachable = yard.reachable().await;
    let there = yard.blobs().await;
    assert_eq!(there, parts_of(&reachable));
    assert_eq!(yard.objects().await, there.len());
    let manifests = yard.count("SELECT count(*) FROM manifests").await;
    assert_eq!(manifests, i64::try_from(reachable.len()).unwrap());
    for (table, left) in [
        ("uploads", "SELECT count(*) FROM uploads"),
        ("doomed", "SELECT count(*) FROM doomed"),
        (
            "destinations",
            "SELECT count(*) FROM destinations d WHERE NOT EXISTS (SELECT 1 FROM repositories r WHERE r.id = d.id)",
        ),
        (
            "versions",
            "SELECT count(*) FROM (SELECT 1 FROM versions GROUP BY repository_id HAVING count(*) > 2)",
        ),
        (
            "content_in",
            "SELECT count(*) FROM content_in c WHERE NOT EXISTS (SELECT 1 FROM versions v
             WHERE v.repository_id = c.repository_id AND v.number >= c.added AND (c.removed IS NULL OR v.number < c.removed))",
        ),
    ] {
        assert_eq!(yard.count(left).await, 0, "{table}");
    }
}

/// Each is a database and some dozens of commits.
const CASES: u32 = 8;

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_nothing_that_can_be_reached_is_lost_and_nothing_else_is_left(events in prop::collection::vec(event(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(play(events));
    }
}
