//! What of a repository goes, by the rules of its product.

use crate::destination::Destination;
use crate::error::Failed;
use crate::push::keys_of_destination;
use engine::clock::Timestamp;
use engine::node::NodeError;
use engine::store::{Store as _, StoreError};
use std::collections::HashSet;
use storage::catalog::products::Product;
use storage::catalog::repositories::{self, Filter};
use storage::catalog::{CatalogError, RepositoryId, publications, shelves};
use storage::journal::Journal;
use storage::retention::{Going, Retention};
use storage::{Database, TagGlob, Tx};

/// Why nothing was judged.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// The catalog did not do its part.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The engine did not do its part.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl From<StoreError> for JudgeError {
    fn from(error: StoreError) -> Self {
        Self::Node(error.into())
    }
}

impl From<JudgeError> for Failed {
    fn from(error: JudgeError) -> Self {
        match error {
            JudgeError::Catalog(error) => error.into(),
            JudgeError::Node(error) => Failed::later(error),
        }
    }
}

/// What goes of the repository now: of what its newest version has, where Library publishes something of it. A tag that somebody is
/// pushing stays, also where that push waits for a person: whoever resumes it finds what it was pushed beside.
pub async fn going(
    tx: &mut Tx,
    of: &Destination,
    rules: &Retention,
    immutable: &[TagGlob],
    now: Timestamp,
) -> Result<Going, JudgeError> {
    let repository = RepositoryId::from(of.id);
    if publications::library(tx, repository).await?.is_none() {
        return Ok(Going::default());
    }
    let mut shelf = shelves::newest(tx, repository, now).await?;
    let pushed = being_pushed(tx, of).await?;
    for tagged in &mut shelf.tags {
        tagged.is_being_pushed = pushed.contains(tagged.tag.as_str());
    }
    Ok(Going::of(&shelf, rules, immutable, now))
}

/// The tags that open pushes are about: their keys name them.
async fn being_pushed(tx: &mut Tx, of: &Destination) -> Result<HashSet<String>, StoreError> {
    let keys = keys_of_destination(of);
    let open = Journal::open_in(tx, keys.clone()).await?;
    let tags = open.iter().filter_map(|plan| {
        let (tag, _) = plan.key.strip_prefix(&keys)?.split_once(' ')?;
        Some(tag.to_owned())
    });
    Ok(tags.collect())
}

/// Repositories are read so many at a time.
const PAGE: u32 = 100;

/// Judges every repository of the product by these rules, each in a look of its own, and shows `losing` those that lose something;
/// answers how many it has looked at. It ends early when `goes_on` says so.
pub async fn judge_all(
    database: &Database,
    product: &Product,
    rules: &Retention,
    now: Timestamp,
    goes_on: impl Fn() -> bool,
    mut losing: impl FnMut(&Destination, Going, u64),
) -> Result<u64, JudgeError> {
    let filter = Filter {
        product: Some(product.id),
        ..Filter::default()
    };
    let (mut looked_at, mut after) = (0, None);
    loop {
        let mut tx = database.read().await.map_err(CatalogError::from)?;
        let page = repositories::list(&mut tx, filter, after, PAGE).await?;
        drop(tx);
        let Some(last) = page.last() else {
            return Ok(looked_at);
        };
        after = Some(last.id);
        for row in &page {
            if !goes_on() {
                return Ok(looked_at);
            }
            // A snapshot of its own: nobody's writes have to wait for all that is looked at.
            let mut tx = database.read().await.map_err(CatalogError::from)?;
            let of = Destination::from(row);
            let going = going(&mut tx, &of, rules, &product.immutable_tags, now).await?;
            looked_at += 1;
            if going.is_nothing() {
                continue;
            }
            let digests: Vec<_> = going.manifests.iter().map(|(digest, _)| *digest).collect();
            let bytes = shelves::bytes(&mut tx, of.id, &digests).await?;
            losing(&of, going, bytes);
        }
    }
}
