//! A full house: one real push, and a hundred thousand like it, written through storage while no server runs.

mod plans;
pub(in crate::bench) mod repositories;

use std::path::Path;
use std::time::Duration;

use engine::clock::Timestamp;
use engine::journal::PlanId;
use engine::search::Search;
use engine::store::{Page, Store as _, StoreError};
use serde_json::{Value, json};
use storage::Database;
use storage::catalog::{CatalogError, RepositoryId};
use storage::journal::Journal;

use super::super::server::{PASSWORD, Server};
use super::{BenchError, push};
use crate::first_start::{ADMIN, DEFAULT_ORGANIZATION};
use crate::oci_client::OciClient;
use crate::sample_image::Image;
use plans::Model;

pub(super) const PLANS: u64 = 100_000;
pub(super) const REPOSITORIES: u64 = 10_000;
pub(super) const TAGS: u64 = 100_000;
const PRODUCTS: u64 = 100;
/// Versions of the full repository after its tags: pushes of one tag each.
const LATER_PUSHES: u64 = 200;
/// Tags of one version of the full repository.
const TAGS_OF_A_VERSION: u64 = 250;
/// Rows of one transaction: half a second or so, and the writer gives up at five.
const AT_ONCE: u64 = 2_000;
/// All plans of a full house took so long.
const MONTH: Duration = Duration::from_hours(24 * 30);

/// What lists are asked about.
pub(super) struct Crowd {
    /// The repository with very many tags.
    pub(super) full: RepositoryId,
    pub(super) full_name: String,
    plans: Vec<PlanId>,
}

impl Crowd {
    /// All that a list has to come to the end of.
    pub(super) fn json(&self) -> Value {
        let own = ["latest".to_owned(), "only-0".to_owned()];
        json!({
            "plans": self.plans.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "names": (0..REPOSITORIES).map(name).collect::<Vec<_>>(),
            "full": {
                "id": self.full,
                "name": self.full_name,
                "tags": own.into_iter().chain((0..TAGS).map(tag)).collect::<Vec<_>>(),
                "versions": 1 + TAGS / TAGS_OF_A_VERSION + LATER_PUSHES,
            },
        })
    }
}

/// A tag of the full repository.
pub(in crate::bench) fn tag(n: u64) -> String {
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

/// Pushes an image, and waits until that has ended.
pub(in crate::bench) async fn model(
    server: &Server,
    http: &reqwest::Client,
) -> Result<(), BenchError> {
    let name = format!("{}/model/app", DEFAULT_ORGANIZATION.to_lowercase());
    let to = OciClient::log_in(server.url(), &name, ADMIN, PASSWORD).await?;
    let image = Image::of_noise(1, 4096);
    for blob in image.blobs() {
        to.push_blob(blob).await?;
    }
    to.push_manifest("latest", &image.manifest).await?;
    let url = format!("{}/api/v1/tasks?search=result%20=%20success", server.url());
    loop {
        let found = push::get(http, &url).await?;
        if found["total"].as_u64() > Some(0) {
            return Ok(());
        }
    }
}

/// Fills the database of a server that does not run, and to which something was pushed.
pub(super) async fn fill(path: &Path) -> Result<Crowd, BenchError> {
    let database = Database::open_to_fill(path).await?;
    let journal = Journal::new(database.clone());
    let model = Model::read(&journal, newest_push(&journal).await?, PLANS, MONTH).await?;
    let full = repositories::fill(&database, model.begin()).await?;
    let plans = plans::fill(&database, &model).await?;
    database.close().await;
    Ok(Crowd {
        full,
        full_name: name(0),
        plans,
    })
}

/// Fills it with tasks alone, the oldest of which is so many days old; answers with their number.
pub(in crate::bench) async fn fill_tasks(
    path: &Path,
    tasks: u64,
    days: u32,
) -> Result<usize, BenchError> {
    let database = Database::open_to_fill(path).await?;
    let journal = Journal::new(database.clone());
    let span = Duration::from_hours(24) * days;
    let model = Model::read(&journal, newest_push(&journal).await?, tasks, span).await?;
    let plans = plans::fill(&database, &model).await?;
    database.close().await;
    Ok(plans.len())
}

async fn newest_push(journal: &Journal) -> Result<PlanId, BenchError> {
    let search = Search::parse("label = push and result = success", Timestamp::default());
    let search = search.map_err(|error| BenchError::Plan(error.to_string()))?;
    let page = Page {
        limit: 1,
        ..Page::default()
    };
    let found = journal.list(search, page).await.map_err(store)?;
    let newest = found.plans.first().copied();
    newest.ok_or_else(|| BenchError::Plan("no push to take as a model".into()))
}

pub(in crate::bench) async fn write<T: Send + 'static>(
    database: &Database,
    work: impl for<'t> FnOnce(
        &'t mut storage::Tx,
    ) -> storage::database::BoxFuture<'t, Result<T, CatalogError>>
    + Send
    + 'static,
) -> Result<T, BenchError> {
    let written = database.transact(work).await?;
    written.map_err(|error| BenchError::Plan(error.to_string()))
}

fn store(error: StoreError) -> BenchError {
    BenchError::Node(error.into())
}
