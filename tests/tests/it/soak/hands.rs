//! Writers: each changes repositories of its own, and one that all share, by everything that a client may do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IteratorRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};
use tests::answer::Answer;
use tests::oci_client::location;
use tests::rest::text;
use tests::wall_clock::{Millis, millis};

use super::images::{BlobNo, ImageNo, Images};
use super::ledger::{Content, Ledger, Place};
use super::wire::{Lost, stubbornly, until};
use super::{OWN, UNDO_WINDOW, World, end_of, readers};

const TAGS: usize = 5;
/// With more than so many something is deleted first, so that layers lose their last image again and again.
const MOST_IMAGES: usize = 6;
/// A writer waits so long for a collection to begin, if it wants to meet it.
const FOR_A_COLLECTION: Duration = Duration::from_secs(2);
/// Milliseconds that the look at the blobs takes: at some moment of it the push comes.
const WITHIN_A_COLLECTION: u64 = 20;
/// So many pushes wait between their blobs and their manifest…
const DAWDLES: f64 = 0.05;
/// …for nearly as many milliseconds as the grace lasts here.
const LONGEST_DAWDLE: u64 = 5_500;
/// Between two changes: as quick as they can be, no image would ever be as old as the grace.
const BETWEEN_CHANGES: Duration = Duration::from_millis(100);

/// A repository that was deleted and may be brought back.
struct Deleted {
    task: String,
    grave: usize,
    /// It is brought back, or its name is taken anew, then.
    until: Instant,
}

struct Hand {
    world: Arc<World>,
    writer: usize,
    random: StdRng,
    /// By the writer's places.
    deleted: Vec<(Place, Deleted)>,
}

/// Changes one thing after the other, until there was enough.
pub(super) async fn work(world: Arc<World>, writer: usize) {
    let mut hand = Hand {
        random: StdRng::seed_from_u64(super::SEED + writer as u64),
        deleted: Vec::new(),
        world,
        writer,
    };
    while hand.world.goes_on() {
        hand.change_something().await;
        tokio::time::sleep(BETWEEN_CHANGES).await;
    }
}

impl Hand {
    async fn change_something(&mut self) {
        let at = Ledger::of(self.writer, OWN)
            .choose(&mut self.random)
            .expect("there are some");
        let (name, content, is_shared) = {
            let ledger = self.world.ledger();
            (ledger.name(at), ledger.content(at), ledger.is_shared(at))
        };
        let Some(content) = content else {
            return self.begin_or_bring_back(at, &name).await;
        };
        let crowded = content.images.len() >= MOST_IMAGES;
        match self.random.random_range(0..100) {
            0..30 if crowded => self.delete_image(at, &name, &content).await,
            0..30 => self.push_any(at, &name).await,
            30..50 => self.push_what_is_collected(at, &name, &content).await,
            50..70 => self.delete_image(at, &name, &content).await,
            70..77 => self.delete_tag(at, &name, &content).await,
            77..82 if !is_shared => self.roll_back(at, &name, &content).await,
            82..87 if !is_shared => self.delete_repository(at, &name, &content).await,
            87..90 => self.leave_an_upload(&name).await,
            _ => self.pull_any(&name, &content).await,
        }
    }

    async fn push_any(&mut self, at: Place, name: &str) {
        let image = Images::of(self.writer)
            .choose(&mut self.random)
            .expect("there are some");
        let tag = self.any_tag();
        self.push(at, name, &tag, image).await;
    }

    fn any_tag(&mut self) -> String {
        let n = self.random.random_range(0..TAGS);
        format!("tag-{}-{n}", self.writer)
    }

    /// Deletes an old image, so that nothing needs some of its blobs, and pushes it again while a collection looks at them.
    async fn push_what_is_collected(&mut self, at: Place, name: &str, content: &Content) {
        let old = {
            let now = self.world.clock.at_least();
            let ledger = self.world.ledger();
            let unlisted = content.unlisted(&self.world.images);
            let old = unlisted.filter(|image| ledger.is_old(*image, now));
            old.choose(&mut self.random)
        };
        let Some(image) = old else {
            return self.push_any(at, name).await;
        };
        let mut collecting = self.world.collecting.subscribe();
        self.delete_this(at, name, content, image).await;
        // The version before has it still: one more change lets that go.
        let left = content.without(image);
        if left.tags.is_empty() {
            self.push_any(at, name).await;
        } else {
            self.delete_tag(at, name, &left).await;
        }
        collecting.mark_unchanged();
        // The one that comes to the blobs first looked at the versions before; the next one finds that nothing needs them.
        for _ in 0..2 {
            // It may be the last second of the soak, or the server is gone.
            let _ = tokio::time::timeout(FOR_A_COLLECTION, collecting.changed()).await;
        }
        let moment = self.random.random_range(0..WITHIN_A_COLLECTION);
        tokio::time::sleep(Duration::from_millis(moment)).await; // the moment is what is tried out
        let tag = self.any_tag();
        self.push(at, name, &tag, image).await;
    }

    /// Pushes until it is acknowledged.
    async fn push(&mut self, at: Place, name: &str, tag: &str, image: ImageNo) {
        let world = Arc::clone(&self.world);
        let since = world.clock.at_least();
        let candidate = {
            let mut ledger = world.ledger();
            ledger.begin_change(at);
            ledger.begin_push(image, since)
        };
        let warned = stubbornly("a push", async || {
            let told_at = world.clock.at_least();
            let answer = self.try_push(at, name, tag, image).await?;
            if answer.status == 201 {
                return Ok(!answer.header("warning").is_empty());
            }
            let late = world.clock.at_most() >= end_of(told_at);
            assert!(
                late && answer.status == 404,
                "told within the grace that its blobs are here: {answer}"
            );
            world.tally.add("push that came after its grace");
            Err(Lost)
        })
        .await;
        world.tally.add("push");
        if warned {
            // Taken while the server ended: the next one publishes it.
            until("the tag is published", async || {
                let missing = readers::pull(&world, name, tag, image).await?;
                Ok(missing.is_none().then_some(()))
            })
            .await;
            world.tally.add("push published after a restart");
        }
        let now = world.clock.at_most();
        {
            let mut ledger = world.ledger();
            let content = ledger.content(at).unwrap_or_default();
            let content = content.with(tag, image, &world.images);
            ledger.end_change(at, content, since);
            ledger.end_push(image, now);
        }
        if let Some(mut candidate) = candidate {
            candidate.ended = now;
            world.runs().candidate(candidate);
        }
    }

    /// The answer to the manifest, or to the blob that was refused.
    async fn try_push(
        &mut self,
        at: Place,
        name: &str,
        tag: &str,
        image: ImageNo,
    ) -> Result<Answer, Lost> {
        let world = Arc::clone(&self.world);
        let mut last = None;
        for part in world.images.with_children(image) {
            let made = &world.images.all[part];
            for blob in &made.blobs {
                if let Some(refused) = self.bring(at, name, *blob).await? {
                    return Ok(refused);
                }
            }
            if part == image && self.random.random_bool(DAWDLES) {
                // What was told of the blobs lasts for the whole of a slow push.
                let moment = self.random.random_range(0..LONGEST_DAWDLE);
                tokio::time::sleep(Duration::from_millis(moment)).await;
                world.tally.add("push that took its time");
            }
            let reference = if part == image { tag } else { &made.digest };
            let put = world
                .wire
                .of(Method::PUT, name, &format!("manifests/{reference}"));
            let put = put
                .header("content-type", made.media_type)
                .body(made.manifest.clone());
            let answer = world.wire.send(put).await?;
            assert!([201, 404].contains(&answer.status), "{answer}");
            if answer.status != 201 {
                return Ok(answer);
            }
            last = Some(answer);
        }
        Ok(last.expect("the image is the last of them"))
    }

    /// Sees to it that the repository has the blob; what refused it, if something did.
    async fn bring(&mut self, at: Place, name: &str, blob: BlobNo) -> Result<Option<Answer>, Lost> {
        let world = Arc::clone(&self.world);
        let (digest, _) = &world.images.blobs[blob];
        let path = format!("blobs/{digest}");
        let way = self.random.random_range(0..20);
        if way > 1 {
            let asked_at = world.clock.at_least();
            let head = world
                .wire
                .send(world.wire.of(Method::HEAD, name, &path))
                .await?;
            world.tally.add("blob asked for");
            if head.status == 200 {
                if way == 2 {
                    let again = world.wire.of(Method::HEAD, name, &path);
                    let again = world.wire.send(again).await?;
                    let late = world.clock.at_most() >= end_of(asked_at);
                    assert!(
                        again.status == 200 || late,
                        "it was here a moment ago: {again}"
                    );
                    world.tally.add("blob asked for");
                }
                return Ok(None);
            }
            assert_eq!(head.status, 404, "{head}");
        }
        if way % 3 == 1 {
            let from = world.ledger().has_blob(blob, at + 1);
            if let Some(from) = from {
                return self.mount(name, blob, &from).await;
            }
        }
        self.upload(name, blob).await
    }

    async fn mount(
        &mut self,
        name: &str,
        blob: BlobNo,
        from: &str,
    ) -> Result<Option<Answer>, Lost> {
        let world = Arc::clone(&self.world);
        let (digest, _) = &world.images.blobs[blob];
        let path = format!("blobs/uploads/?mount={digest}&from={from}");
        let answer = world
            .wire
            .send(world.wire.of(Method::POST, name, &path))
            .await?;
        if answer.status == 201 {
            world.tally.add("blob mounted");
            return Ok(None);
        }
        // It is not there any more: then it is an upload.
        let opened = answer.expect_status(202);
        world.tally.add("mount that became an upload");
        self.end_upload(&location(&opened), blob).await
    }

    async fn upload(&mut self, name: &str, blob: BlobNo) -> Result<Option<Answer>, Lost> {
        let world = Arc::clone(&self.world);
        let (_, bytes) = &world.images.blobs[blob];
        let post = world.wire.of(Method::POST, name, "blobs/uploads/");
        let opened = world.wire.send(post).await?.expect_status(202);
        let mut place = location(&opened);
        if self.random.random_bool(0.5) {
            let half = bytes.slice(..bytes.len() / 2);
            let patch = world.wire.oci(Method::PATCH, &place).body(half);
            let patched = world.wire.send(patch).await?;
            if patched.status != 202 {
                return Ok(Some(patched));
            }
            place = location(&patched);
            let rest = bytes.slice(bytes.len() / 2..);
            let patch = world.wire.oci(Method::PATCH, &place).body(rest);
            let patched = world.wire.send(patch).await?;
            if patched.status != 202 {
                return Ok(Some(patched));
            }
            return self.put_upload(&location(&patched), blob, false).await;
        }
        self.end_upload(&place, blob).await
    }

    async fn end_upload(&mut self, place: &str, blob: BlobNo) -> Result<Option<Answer>, Lost> {
        self.put_upload(place, blob, true).await
    }

    async fn put_upload(
        &mut self,
        place: &str,
        blob: BlobNo,
        with_bytes: bool,
    ) -> Result<Option<Answer>, Lost> {
        let world = Arc::clone(&self.world);
        let (digest, bytes) = &world.images.blobs[blob];
        let mut put = world
            .wire
            .oci(Method::PUT, place)
            .query(&[("digest", digest)]);
        if with_bytes {
            put = put.body(bytes.clone());
        }
        let answer = world.wire.send(put).await?;
        if answer.status != 201 {
            return Ok(Some(answer));
        }
        world.tally.add("blob uploaded");
        Ok(None)
    }

    /// Begins an upload and never goes on with it.
    async fn leave_an_upload(&mut self, name: &str) {
        let world = Arc::clone(&self.world);
        let left = async || {
            let post = world.wire.of(Method::POST, name, "blobs/uploads/");
            let opened = world.wire.send(post).await?.expect_status(202);
            let patch = world.wire.oci(Method::PATCH, &location(&opened));
            world
                .wire
                .send(patch.body("left"))
                .await?
                .expect_status(202);
            Ok::<_, Lost>(())
        };
        if left().await.is_ok() {
            world.tally.add("upload left");
        }
    }

    async fn pull_any(&mut self, name: &str, content: &Content) {
        let tag = content.tags.iter().choose(&mut self.random);
        if let Some((tag, image)) = tag {
            readers::assert_whole(&self.world, name, tag, *image).await;
        }
    }

    async fn delete_image(&mut self, at: Place, name: &str, content: &Content) {
        let unlisted = content.unlisted(&self.world.images);
        let Some(image) = unlisted.choose(&mut self.random) else {
            return;
        };
        self.delete_this(at, name, content, image).await;
    }

    async fn delete_this(&mut self, at: Place, name: &str, content: &Content, image: ImageNo) {
        let since = self.begin(at);
        let digest = self.world.images.all[image].digest.clone();
        self.delete(name, &digest).await;
        self.world.tally.add("manifest deleted");
        self.end(at, content.without(image), since);
    }

    async fn delete_tag(&mut self, at: Place, name: &str, content: &Content) {
        let Some(tag) = content.tags.keys().choose(&mut self.random).cloned() else {
            return;
        };
        let since = self.begin(at);
        self.delete(name, &tag).await;
        self.world.tally.add("tag deleted");
        self.end(at, content.without_tag(&tag), since);
    }

    fn begin(&self, at: Place) -> Millis {
        self.world.ledger().begin_change(at);
        self.world.clock.at_least()
    }

    fn end(&self, at: Place, content: Content, since: Millis) {
        self.world.ledger().end_change(at, content, since);
    }

    /// Deletes what is there: afterwards nobody pulls it.
    async fn delete(&self, name: &str, reference: &str) {
        let world = &self.world;
        let path = format!("manifests/{reference}");
        let mut had_no_answer = false;
        let deleted = stubbornly("a delete", async || {
            let delete = world.wire.of(Method::DELETE, name, &path);
            let answer = world.wire.send(delete).await;
            had_no_answer |= answer.is_err();
            answer
        });
        let deleted = deleted.await;
        assert!(
            deleted.status == 202 || deleted.status == 404 && had_no_answer,
            "{deleted}"
        );
        let get = async || {
            world
                .wire
                .send(world.wire.of(Method::GET, name, &path))
                .await
        };
        stubbornly("a pull", get).await.expect_status(404);
    }

    /// The repository as REST shows it.
    async fn shown(&self, name: &str) -> Value {
        let search = format!("pushed_name = \"{name}\"");
        let ask = async || self.world.wire.search("/repositories", &search).await;
        let found = stubbornly("a repository", ask).await;
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        found[0].clone()
    }

    /// Changes the repository, and takes the change back by a rollback to the version before.
    async fn roll_back(&mut self, at: Place, name: &str, content: &Content) {
        let shown = self.shown(name).await;
        let version = shown["latest_version"].as_u64().expect("a number");
        if self.random.random_bool(0.5) {
            self.delete_image(at, name, content).await;
        } else {
            self.push_any(at, name).await;
        }
        if self.world.ledger().content(at).as_ref() == Some(content) {
            return; // nothing was changed
        }
        let since = self.begin(at);
        let world = Arc::clone(&self.world);
        let path = format!("/repositories/{}", shown["id"]);
        let wanted = json!({ "environment": "Library", "version": version });
        let mut had_no_answer = false;
        until("a rollback", async || {
            let rollback = world.wire.post(&format!("{path}/rollback"), &wanted).await;
            had_no_answer |= rollback.is_err();
            let rollback = rollback?;
            if rollback.status == 202 {
                let ended = self.ended(text(&rollback.json()["task_id"])).await;
                assert_eq!(ended["result"], "success", "{ended}");
                return Ok(Some(()));
            }
            // The one before, that had no answer, was done; and a collection has come since.
            assert!(had_no_answer, "{rollback}");
            let now = world.wire.get(&path).await?.expect_status(200).json();
            Ok((now["latest_version"].as_u64() >= Some(version + 2)).then_some(()))
        })
        .await;
        world.tally.add("rollback");
        self.end(at, content.clone(), since);
        self.assert_all_whole(name, content).await;
    }

    async fn assert_all_whole(&self, name: &str, content: &Content) {
        for (tag, image) in &content.tags {
            readers::assert_whole(&self.world, name, tag, *image).await;
        }
    }

    /// A task once it has stopped.
    async fn ended(&self, id: &str) -> Value {
        let path = format!("/tasks/{id}");
        until("the end of a task", async || {
            let task = self.world.wire.get(&path).await?;
            let task = task.expect_status(200).json();
            Ok((task["state"] == "stopped").then_some(task))
        })
        .await
    }

    async fn delete_repository(&mut self, at: Place, name: &str, content: &Content) {
        let path = format!("/repositories/{}", self.shown(name).await["id"]);
        let world = Arc::clone(&self.world);
        let since = self.begin(at);
        let mut had_no_answer = false;
        let id = until("a delete of a repository", async || {
            let answer = world.wire.delete(&path).await;
            had_no_answer |= answer.is_err();
            let answer = answer?;
            if answer.status == 202 {
                return Ok(Some(text(&answer.json()["task_id"]).to_owned()));
            }
            assert!(answer.status == 404 && had_no_answer, "{answer}");
            let search = format!("label = delete_repository and repository = \"{name}\"");
            let mut tasks = world.wire.search("/tasks", &search).await?;
            tasks.sort_by_key(|task| text(&task["id"]).to_owned());
            let last = tasks.last().expect("somebody has deleted it");
            Ok(Some(text(&last["id"]).to_owned()))
        })
        .await;
        let ended = self.ended(&id).await;
        assert_eq!(ended["result"], "success", "{ended}");
        let deleted_at = (since, world.clock.at_most());
        if let Some(tag) = content.tags.keys().next() {
            let pull = world
                .wire
                .of(Method::GET, name, &format!("manifests/{tag}"));
            if let Ok(answer) = world.wire.send(pull).await {
                answer.expect_status(404);
            }
        }
        world.tally.add("repository deleted");
        let grave = world.ledger().end_with_delete(at, deleted_at);
        let seconds = self.random.random_range(0..12);
        let until = Instant::now() + Duration::from_secs(seconds);
        let deleted = Deleted {
            task: id,
            grave,
            until,
        };
        self.deleted.push((at, deleted));
    }

    /// The repository is not there: it is made, or brought back.
    async fn begin_or_bring_back(&mut self, at: Place, name: &str) {
        let deleted = self.deleted.iter().position(|(of, _)| *of == at);
        let Some(deleted) = deleted else {
            return self.push_any(at, name).await;
        };
        if Instant::now() < self.deleted[deleted].1.until {
            return;
        }
        let (_, deleted) = self.deleted.swap_remove(deleted);
        if self.random.random_bool(0.3) {
            // Its name is taken anew, and nobody brings the old one back.
            return self.push_any(at, name).await;
        }
        self.bring_back(at, name, &deleted).await;
    }

    async fn bring_back(&mut self, at: Place, name: &str, deleted: &Deleted) {
        let world = Arc::clone(&self.world);
        let ends = {
            let ledger = world.ledger();
            let ends = ledger.deleted_at(deleted.grave);
            ends.map(|deleted_at| deleted_at + millis(UNDO_WINDOW))
        };
        let content = world.ledger().buried(deleted.grave);
        let (Some(ends), Some(content)) = (ends, content) else {
            return; // forgotten by everybody
        };
        world.ledger().begin_change(at);
        let path = format!("/tasks/{}", deleted.task);
        let is_back = until("a revert", async || {
            let task = world.wire.get(&path).await?;
            if task.status == 404 {
                assert!(world.clock.at_most() >= ends, "{task}");
                return Ok(Some(false));
            }
            let task = task.expect_status(200).json();
            if task["result"] == "reverted" {
                return Ok(Some(true));
            }
            if task["state"] != "stopped" {
                return Ok(None);
            }
            let revert = world
                .wire
                .post(&format!("{path}/revert"), &json!({}))
                .await?;
            if revert.status == 202 {
                return Ok(None);
            }
            let late = world.clock.at_most() >= ends;
            assert!(late && revert.status == 409, "{revert} of {task}");
            Ok(Some(false))
        })
        .await;
        if is_back {
            world.ledger().end_with_revert(at, deleted.grave);
            world.tally.add("repository brought back");
            self.assert_all_whole(name, &content).await;
        } else {
            world.ledger().end_without_change(at);
            world.tally.add("revert that came too late");
        }
    }
}
