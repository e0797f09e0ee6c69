//! What was acknowledged: which images and tags each repository has, and since when nothing needs a blob.

use std::collections::{BTreeMap, BTreeSet};

use tests::wall_clock::{Millis, millis};

use super::collector::{Candidate, Due};
use super::images::{BlobNo, ImageNo, Images};
use super::{BLOB_GRACE, UNDO_WINDOW, VERSIONS_KEPT};

/// The repository that all writers push to, each with tags of its own.
const SHARED: &str = "default_organization/commons/app";

/// A repository by its place; of the shared one each writer has a place of its own, for its own tags.
pub(super) type Place = usize;

/// What a repository has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) tags: BTreeMap<String, ImageNo>,
    /// By their digests, with a tag or without.
    pub(super) images: BTreeSet<ImageNo>,
}

impl Content {
    /// The same without an image and every tag of it.
    pub(super) fn without(&self, image: ImageNo) -> Self {
        let mut content = self.clone();
        content.images.remove(&image);
        content.tags.retain(|_, of| *of != image);
        content
    }

    /// The same with a tag, its image, and what that lists.
    pub(super) fn with(&self, tag: &str, image: ImageNo, all: &Images) -> Self {
        let mut content = self.clone();
        content.images.extend(all.with_children(image));
        content.tags.insert(tag.to_owned(), image);
        content
    }

    /// What can be deleted: no index lists it.
    pub(super) fn unlisted<'a>(&'a self, all: &'a Images) -> impl Iterator<Item = ImageNo> + 'a {
        let is_listed = |image: &ImageNo| {
            let mut here = self.images.iter();
            here.any(|it| all.all[*it].children.contains(image))
        };
        let images = self.images.iter().copied();
        images.filter(move |image| !is_listed(image))
    }

    pub(super) fn without_tag(&self, tag: &str) -> Self {
        let mut content = self.clone();
        content.tags.remove(tag);
        content
    }
}

/// A repository as its writer knows it.
#[derive(Debug)]
struct Repository {
    name: String,
    /// Odd while its writer changes something of it.
    epoch: u64,
    /// The newest versions, the newest last; none: it is not there.
    versions: Vec<Content>,
}

/// A deleted repository.
#[derive(Debug)]
struct Grave {
    versions: Vec<Content>,
    deleted_at: (Millis, Millis),
}

/// What is known of a blob.
#[derive(Clone, Debug, Default)]
struct Blob {
    /// It was uploaded once.
    is_stored: bool,
    /// How many versions, deleted repositories and pushes under way need it.
    holders: u32,
    /// Since nobody does.
    unneeded_since: Millis,
    /// When somebody was last told that it is here.
    used_at: Millis,
}

/// All of it.
pub(super) struct Ledger {
    of_images: Vec<Vec<BlobNo>>,
    blobs: Vec<Blob>,
    repositories: Vec<Repository>,
    graves: Vec<Option<Grave>>,
}

impl Ledger {
    pub(super) fn new(images: &Images, writers: usize, own: usize) -> Self {
        let mut repositories = Vec::new();
        for writer in 0..writers {
            let names = (0..own).map(|n| format!("default_organization/wharf-{writer}/app-{n}"));
            repositories.extend(names.chain([SHARED.to_owned()]).map(|name| Repository {
                name,
                epoch: 0,
                versions: Vec::new(),
            }));
        }
        let blobs_of = |image| {
            let all = images.with_children(image);
            let blobs = all.flat_map(|image| images.all[image].blobs.clone());
            blobs.collect::<BTreeSet<_>>().into_iter().collect()
        };
        Self {
            of_images: (0..images.all.len()).map(blobs_of).collect(),
            blobs: vec![Blob::default(); images.blobs.len()],
            repositories,
            graves: Vec::new(),
        }
    }

    /// The places of a writer.
    pub(super) fn of(writer: usize, own: usize) -> std::ops::Range<Place> {
        writer * (own + 1)..(writer + 1) * (own + 1)
    }

    pub(super) fn places(&self) -> usize {
        self.repositories.len()
    }

    pub(super) fn name(&self, at: Place) -> String {
        self.repositories[at].name.clone()
    }

    pub(super) fn is_shared(&self, at: Place) -> bool {
        self.repositories[at].name == SHARED
    }

    /// What the repository has; none: it is not there.
    pub(super) fn content(&self, at: Place) -> Option<Content> {
        self.repositories[at].versions.last().cloned()
    }

    /// Raised before and after each change; odd in between.
    pub(super) fn epoch(&self, at: Place) -> u64 {
        self.repositories[at].epoch
    }

    pub(super) fn begin_change(&mut self, at: Place) {
        self.repositories[at].epoch += 1;
        assert_eq!(self.epoch(at) % 2, 1, "a repository has one writer");
    }

    /// The change was acknowledged, which began at `since`. Where nothing has changed, there is no version of it.
    pub(super) fn end_change(&mut self, at: Place, content: Content, since: Millis) {
        self.repositories[at].epoch += 1;
        if self.repositories[at].versions.last() == Some(&content) {
            return;
        }
        self.hold(&content);
        let versions = &mut self.repositories[at].versions;
        versions.push(content);
        let gone = versions.len().saturating_sub(VERSIONS_KEPT);
        for old in versions.drain(..gone).collect::<Vec<_>>() {
            self.release(&old, since);
        }
    }

    /// The change came to nothing.
    pub(super) fn end_without_change(&mut self, at: Place) {
        self.repositories[at].epoch += 1;
    }

    /// The repository was deleted, between these times.
    pub(super) fn end_with_delete(&mut self, at: Place, deleted_at: (Millis, Millis)) -> usize {
        self.repositories[at].epoch += 1;
        let versions = std::mem::take(&mut self.repositories[at].versions);
        self.graves.push(Some(Grave {
            versions,
            deleted_at,
        }));
        self.graves.len() - 1
    }

    /// It was brought back.
    pub(super) fn end_with_revert(&mut self, at: Place, grave: usize) {
        self.repositories[at].epoch += 1;
        let back = self.graves[grave].take().expect("it is not collected yet");
        assert_eq!(self.repositories[at].versions, [], "its name was free");
        self.repositories[at].versions = back.versions;
    }

    /// When it was deleted, at the earliest.
    pub(super) fn deleted_at(&self, grave: usize) -> Option<Millis> {
        Some(self.graves[grave].as_ref()?.deleted_at.0)
    }

    /// What it had.
    pub(super) fn buried(&self, grave: usize) -> Option<Content> {
        self.graves[grave].as_ref()?.versions.last().cloned()
    }

    /// What nobody can bring back any more needs nothing.
    pub(super) fn forget_the_deleted(&mut self, now: Millis) {
        for n in 0..self.graves.len() {
            let over = |grave: &Grave| grave.deleted_at.1 + millis(UNDO_WINDOW);
            if let Some(gone) = self.graves[n].take_if(|grave| over(grave) < now) {
                for version in &gone.versions {
                    self.release(version, over(&gone));
                }
            }
        }
    }

    /// A push begins. Answers with those of its blobs that nothing needs and whose grace has passed: the next collection takes
    /// each of them, unless the push comes first.
    pub(super) fn begin_push(&mut self, image: ImageNo, now: Millis) -> Option<Candidate> {
        let blobs: Vec<_> = self.of_images[image]
            .iter()
            .map(|blob| &self.blobs[*blob])
            .filter(|blob| blob.is_stored && blob.holders == 0)
            .map(|blob| {
                let maybe = blob.used_at + millis(BLOB_GRACE);
                // A tenth more of the grace: so exactly does the registry write down when a blob was used.
                let surely = blob.used_at + millis(BLOB_GRACE) * 11 / 10;
                Due {
                    maybe_since: maybe.max(blob.unneeded_since),
                    surely_since: surely.max(blob.unneeded_since),
                }
            })
            .filter(|due| due.maybe_since <= now)
            .collect();
        for blob in self.of_images[image].clone() {
            self.blobs[blob].holders += 1;
        }
        (!blobs.is_empty()).then_some(Candidate {
            blobs,
            begun: now,
            ended: now,
        })
    }

    /// The push was acknowledged, and with it that all its blobs are here.
    pub(super) fn end_push(&mut self, image: ImageNo, now: Millis) {
        for blob in self.of_images[image].clone() {
            let blob = &mut self.blobs[blob];
            blob.is_stored = true;
            blob.used_at = now;
            blob.holders -= 1;
            blob.unneeded_since = now;
        }
    }

    /// Whether the grace of one of its blobs has passed: once nothing needs it, it is collected.
    pub(super) fn is_old(&self, image: ImageNo, now: Millis) -> bool {
        self.of_images[image].iter().any(|blob| {
            let blob = &self.blobs[*blob];
            blob.is_stored && blob.used_at + millis(BLOB_GRACE) <= now
        })
    }

    /// A repository that has this blob, if there is one.
    pub(super) fn has_blob(&self, blob: BlobNo, from: Place) -> Option<String> {
        let all = self.repositories.len();
        let mut places = (0..all).map(|n| &self.repositories[(from + n) % all]);
        let found = places.find(|repository| {
            let newest = repository.versions.last();
            newest.is_some_and(|newest| {
                let mut images = newest.images.iter();
                images.any(|image| self.of_images[*image].contains(&blob))
            })
        });
        found.map(|repository| repository.name.clone())
    }

    /// All tags that must be there, by the repository's name.
    pub(super) fn tags_by_name(&self) -> BTreeMap<String, BTreeMap<String, ImageNo>> {
        let mut names: BTreeMap<String, BTreeMap<String, ImageNo>> = BTreeMap::new();
        for repository in &self.repositories {
            let tags = names.entry(repository.name.clone()).or_default();
            tags.extend(
                repository
                    .versions
                    .last()
                    .into_iter()
                    .flat_map(|it| it.tags.clone()),
            );
        }
        names
    }

    fn hold(&mut self, content: &Content) {
        for image in &content.images {
            for blob in &self.of_images[*image] {
                self.blobs[*blob].holders += 1;
            }
        }
    }

    fn release(&mut self, content: &Content, since: Millis) {
        for image in &content.images {
            for blob in &self.of_images[*image] {
                let blob = &mut self.blobs[*blob];
                blob.holders -= 1;
                blob.unneeded_since = blob.unneeded_since.max(since);
            }
        }
    }
}
