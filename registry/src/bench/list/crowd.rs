//! A full house: one real push, and a hundred thousand like it, written through storage while no server runs.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use engine::clock::Timestamp;
use engine::journal::{Entry, Failure, PlanId, PlanResult, Reason, Row, Submitted};
use engine::plan::Plan;
use engine::store::{Accepted, Append, Head, Store as _, StoreError, Submission};
use serde_json::json;
use storage::catalog::images::{self, Image};
use storage::catalog::manifests::{self, Manifest};
use storage::catalog::versions::{self, Cause, Changes};
use storage::catalog::{
    CatalogError, EnvironmentId, OrganizationId, RepositoryId, UserId, destinations, environments,
    organizations, products, publications, pushed, repositories, repository_names, users,
};
use storage::journal::Journal;
use storage::{Database, Digest, Label, Tag, Tx};

use super::super::server::{PASSWORD, Server};
use super::{BenchError, push};
use crate::first_start::{ADMIN, DEFAULT_ORGANIZATION};
use crate::oci_client::OciClient;
use crate::sample_image::Image as SampleImage;

pub(super) const PLANS: u64 = 100_000;
pub(super) const REPOSITORIES: u64 = 10_000;
pub(super) const TAGS: u64 = 100_000;
const PRODUCTS: u64 = 100;
/// Versions of the full repository after its tags: pushes of one tag each.
const LATER_PUSHES: u64 = 200;
/// Rows of one transaction: a second or so, and the writer gives up at five.
const AT_ONCE: u64 = 250;
/// Between two plans: all of them took a month.
const BETWEEN_PLANS: Duration = Duration::from_secs(26);
const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// What lists are asked about.
pub(super) struct Crowd {
    /// The repository with very many tags.
    pub(super) full: RepositoryId,
    pub(super) full_name: String,
}

/// A tag of the full repository.
pub(super) fn tag(n: u64) -> String {
    format!("t{n:06}")
}

/// A repository's place in its product, and its product, by its number.
pub(super) fn name(n: u64) -> String {
    format!(
        "{}/p{}/box-{n}",
        DEFAULT_ORGANIZATION.to_lowercase(),
        n % PRODUCTS + 1
    )
}

/// The name behind which the catalog has only some hundred names.
pub(super) fn last_name() -> String {
    format!("{}/p98", DEFAULT_ORGANIZATION.to_lowercase())
}

/// Pushes an image, and answers with its plan.
pub(super) async fn model(server: &Server, http: &reqwest::Client) -> Result<PlanId, BenchError> {
    let name = format!("{}/model/app", DEFAULT_ORGANIZATION.to_lowercase());
    let to = OciClient::log_in(server.url(), &name, ADMIN, PASSWORD).await?;
    let image = SampleImage::of_noise(1, 4096);
    for blob in image.blobs() {
        to.push_blob(blob).await?;
    }
    to.push_manifest("latest", &image.manifest).await?;
    let url = format!("{}/api/v1/tasks?search=result%20=%20success", server.url());
    loop {
        let found = push::get(http, &url).await?;
        if let Some(id) = found["results"][0]["id"].as_str() {
            let id = id.parse();
            return id.map_err(|_| BenchError::Server("answered no id of a task".into()));
        }
    }
}

/// Fills the database of a server that does not run.
pub(super) async fn fill(path: &Path, model: PlanId) -> Result<Crowd, BenchError> {
    let database = Database::open(path).await?;
    let journal = Journal::new(database.clone());
    let model = Model::read(&journal, model).await?;
    let crowd = fill_catalog(&database, &model).await?;
    for first in (0..PLANS).step_by(usize::try_from(AT_ONCE).unwrap_or(1)) {
        let mut plans = Vec::new();
        for n in first..first + AT_ONCE {
            plans.push(model.like_it(n)?);
        }
        let work = journal.transact::<(), StoreError>(Box::new(move |tx| {
            Box::pin(async move {
                for plan in plans {
                    if let Accepted::OpenAlready(open) = Journal::submit_in(tx, plan).await? {
                        return Err(StoreError::Corrupt(format!("plan {open} has its key")));
                    }
                }
                Ok(())
            })
        }));
        work.await.and_then(|done| done).map_err(store)?;
    }
    database.close().await;
    Ok(crowd)
}

fn store(error: StoreError) -> BenchError {
    BenchError::Node(error.into())
}

/// A push that has ended well.
struct Model {
    row: Row,
    submitted: Submitted,
    entries: Vec<Entry>,
    copy: usize,
    begin: Timestamp,
}

impl Model {
    async fn read(journal: &Journal, plan: PlanId) -> Result<Self, BenchError> {
        let rows = journal.load(plan).await.map_err(store)?;
        let folded = Plan::fold(plan, &rows);
        let mut entries = rows.iter().flat_map(|row| row.entries.iter().cloned());
        let (Some(row), Some(Entry::Submitted(submitted)), Some(copy)) =
            (rows.first(), entries.next(), folded.index_of("copy"))
        else {
            return Err(BenchError::Plan("no readable journal".into()));
        };
        let month = BETWEEN_PLANS * u32::try_from(PLANS).unwrap_or(u32::MAX);
        Ok(Self {
            row: row.clone(),
            submitted: Submitted {
                locks: Vec::new(),
                ..*submitted
            },
            entries: entries.collect(),
            copy,
            begin: row.at - month,
        })
    }

    /// The n-th plan: most end well; of a hundred one is paused and two warn.
    fn like_it(&self, n: u64) -> Result<Submission, BenchError> {
        let at = self.begin + BETWEEN_PLANS * u32::try_from(n).unwrap_or(u32::MAX);
        let id = id(at, n);
        // Neither its product nor its tag shall go with how it ended.
        let repository = (n.wrapping_mul(7_919) + n / 100) % REPOSITORIES;
        let tag = if (n / 3).is_multiple_of(2) {
            "latest".to_owned()
        } else {
            format!("build-{n}")
        };
        let submitted = Submitted {
            action: format!("Push of {}:{tag}", name(repository)),
            actor: Some(actor(n).to_owned()),
            links: vec![
                ("repository".into(), name(repository)),
                ("product".into(), format!("p{}", repository % PRODUCTS + 1)),
                ("tag".into(), tag),
                ("digest".into(), Digest::of(&n.to_be_bytes()).to_string()),
            ],
            ..self.submitted.clone()
        };
        let mut entries = vec![Entry::Submitted(Box::new(submitted))];
        match n % 100 {
            0 => entries.extend(self.paused()),
            1 | 2 => entries.extend(self.warned()),
            _ => entries.extend(self.entries.iter().cloned()),
        }
        let row = Row {
            seq: 1,
            nonce: i64::try_from(n).unwrap_or(0),
            at,
            entries,
            ..self.row.clone()
        };
        let plan = Plan::fold(id, [&row]);
        if let Some(why) = plan.unreadable {
            return Err(BenchError::Plan(format!("an unreadable journal: {why}")));
        }
        let took = Duration::from_millis(20 + n % 1_000 * 10);
        let head = Head {
            ended_at: plan.times.ended.map(|at| at + took),
            ..Head::of(&plan, row.node)
        };
        let append = Append {
            plan: id,
            entries: serde_json::to_string(&row.entries)
                .map_err(|error| BenchError::Plan(error.to_string()))?,
            row,
            head: Some(head),
            let_go: Vec::new(),
            asked_for: Vec::new(),
            notices: vec![],
            mail: None,
            gives_key_up: true,
        };
        Ok(Submission {
            queued: append.clone(),
            granted: append,
            open_key: None,
        })
    }

    /// The same push, paused by a second attempt of `copy`.
    fn paused(&self) -> Vec<Entry> {
        let copied = |entry: &Entry| matches!(entry, Entry::StepSucceeded { step, .. } if *step == self.copy);
        let before = self.entries.iter().take_while(|entry| !copied(entry));
        let mut entries: Vec<Entry> = before.cloned().collect();
        let error = Failure::new("backend", "it answered 503", true);
        entries.push(Entry::AttemptFailed {
            step: self.copy,
            error: error.clone(),
            wake_at: self.begin,
        });
        entries.push(Entry::StepStarted { step: self.copy });
        entries.push(Entry::StepFailed {
            step: self.copy,
            error,
        });
        entries.push(Entry::Paused {
            reason: Reason::Error,
        });
        entries
    }

    /// The same push, of which people should know something although it succeeded.
    fn warned(&self) -> Vec<Entry> {
        let mut entries = self.entries.clone();
        for entry in &mut entries {
            if let Entry::Stopped { result } = entry {
                *result = PlanResult::Warning;
            }
        }
        entries
    }
}

/// Most is pushed by machines.
fn actor(n: u64) -> &'static str {
    match n % 50 {
        0 | 1 => "ann",
        2..10 => "bob",
        _ => "ci",
    }
}

/// The id of a plan that was submitted then: a UUID of version 7.
fn id(at: Timestamp, n: u64) -> PlanId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    let milliseconds = u64::try_from(at.0).unwrap_or(0);
    PlanId(uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid())
}

async fn fill_catalog(database: &Database, model: &Model) -> Result<Crowd, BenchError> {
    let at = model.begin;
    let (organization, library, user) = write(database, move |tx| {
        Box::pin(async move {
            let missing = |what: &'static str, id: &str| CatalogError::Missing {
                what,
                id: id.to_owned(),
            };
            let there = organizations::find(tx, DEFAULT_ORGANIZATION).await?;
            let there = there.ok_or_else(|| missing("organization", DEFAULT_ORGANIZATION))?;
            let library = environments::library(tx, there.id).await?;
            let user = users::find(tx, ADMIN).await?;
            let user = user.ok_or_else(|| missing("user", ADMIN))?;
            Ok((there.id, library.id, user.id))
        })
    })
    .await?;
    let place = Place {
        organization,
        library,
        user,
        at,
    };
    let mut full = None;
    for first in (0..REPOSITORIES).step_by(usize::try_from(AT_ONCE).unwrap_or(1)) {
        let made = write(database, move |tx| {
            Box::pin(async move {
                let mut first_made = None;
                for n in first..first + AT_ONCE {
                    let made = place.repository(tx, n).await?;
                    first_made.get_or_insert(made);
                }
                Ok(first_made)
            })
        });
        full = full.or(made.await?);
    }
    let full = full.ok_or_else(|| BenchError::Plan("no repository".into()))?;
    for first in (0..TAGS).step_by(usize::try_from(AT_ONCE).unwrap_or(1)) {
        let tags = (first..first + AT_ONCE).map(tag).collect();
        write(database, move |tx| {
            Box::pin(place.push(tx, full, first + REPOSITORIES, tags))
        })
        .await?;
    }
    for n in 0..LATER_PUSHES {
        let number = n + REPOSITORIES + TAGS;
        write(database, move |tx| {
            Box::pin(place.push(tx, full, number, vec!["latest".to_owned()]))
        })
        .await?;
    }
    Ok(Crowd {
        full,
        full_name: name(0),
    })
}

async fn write<T: Send + 'static>(
    database: &Database,
    work: impl for<'t> FnOnce(&'t mut Tx) -> storage::database::BoxFuture<'t, Result<T, CatalogError>>
    + Send
    + 'static,
) -> Result<T, BenchError> {
    let written = database.transact(work).await?;
    written.map_err(|error| BenchError::Plan(error.to_string()))
}

/// Where all of it lies.
#[derive(Clone, Copy)]
struct Place {
    organization: OrganizationId,
    library: EnvironmentId,
    user: UserId,
    at: Timestamp,
}

impl Place {
    /// The n-th repository, with an image that has two tags.
    async fn repository(self, tx: &mut Tx, n: u64) -> Result<RepositoryId, CatalogError> {
        let label = format!("p{}", n % PRODUCTS + 1);
        let label = Label::parse(&label).expect("a letter and a number are a label");
        let plan = id(self.at, n);
        let box_ = format!("box-{n}");
        let there = destinations::make(tx, self.organization, &label, &box_, self.at).await?;
        let product =
            products::ensure(tx, self.organization, &label, label.as_str(), plan, self.at).await?;
        let product = product.found.id;
        let made = repositories::ensure(tx, &there, product, plan, self.at).await?;
        let made = made.found.id;
        repository_names::ensure(tx, &name(n), made).await?;
        let tags = vec!["latest".to_owned(), format!("only-{n}")];
        self.push(tx, made, n, tags).await?;
        Ok(made)
    }

    /// A version with an image for each of the tags, published.
    async fn push(
        self,
        tx: &mut Tx,
        to: RepositoryId,
        n: u64,
        tags: Vec<String>,
    ) -> Result<(), CatalogError> {
        let (plan, mut changes) = (id(self.at, n), Changes::default());
        for (place, tag) in (n..).zip(tags) {
            let tag: Tag = tag.parse().expect("letters and numbers are a tag");
            let (manifest, image) = image(place, tag.as_str());
            manifests::put(tx, &manifest, self.at).await?;
            pushed::add(tx, to.into(), &manifest, self.user, self.at).await?;
            images::upsert(tx, to.into(), &image).await?;
            changes.tags_set.push((tag, manifest.digest));
            changes.manifests_added.push(manifest.digest);
        }
        let version = i64::try_from(n).unwrap_or(0);
        let version =
            versions::record(tx, to, plan, version, Cause::Push, &changes, self.at).await?;
        pushed::file(tx, to.into(), &changes.manifests_added, plan).await?;
        publications::publish(tx, self.library, to, version, plan, ADMIN, self.at).await?;
        Ok(())
    }
}

/// An image of a config and three layers, two of them its own, and what is read of it.
fn image(n: u64, tag: &str) -> (Manifest, Image) {
    let blob = |what: &str, size: u64| {
        let digest = Digest::of(format!("{what} of {n} {tag}").as_bytes());
        json!({ "digest": digest, "size": size, "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip" })
    };
    let base = Digest::of(b"the base of all images");
    let mut config = blob("config", 2_000);
    config["mediaType"] = json!("application/vnd.oci.image.config.v1+json");
    let document = json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "config": config,
        "layers": [
            { "digest": base, "size": 30_000_000, "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip" },
            blob("libraries", 5_000_000),
            blob("program", 1_000_000),
        ],
    });
    let bytes = Bytes::from(document.to_string());
    let manifest = Manifest::read(Digest::of(&bytes), OCI_IMAGE, bytes)
        .expect("an image made a moment ago can be read");
    let image = Image {
        platforms: vec!["linux/amd64".to_owned()],
        warning: None,
        ..Image::read(&manifest, None)
    };
    (manifest, image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_plans_sort_by_the_time_of_their_submission() {
        let early = id(Timestamp(1_000), 2);
        let late = id(Timestamp(2_000), 1);

        assert!(early < late);
        assert_eq!(late.0.get_version_num(), 7);
    }

    #[test]
    fn every_image_is_another_one() {
        let digest = |n, tag| image(n, tag).0.digest;

        assert_ne!(digest(1, "a"), digest(2, "a"));
        assert_ne!(digest(1, "a"), digest(1, "b"));
    }
}
