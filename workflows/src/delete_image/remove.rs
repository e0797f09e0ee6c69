//! A version without it.

use super::submit::may_change;
use super::{DeleteError, DeleteImage, Image};
use crate::destination::{Destination, must_be_live};
use crate::error::Failed;
use engine::step::{Context, Declared, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::catalog::versions::{self, Cause};
use storage::catalog::{DestinationId, RepositoryId, pushed};
use storage::content::versions as backend;
use storage::{Digest, Tag, Tx};

/// What is gone, and since which version.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Removed {
    /// The version that does not have it; none: it was in none any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// The tags that it does not have any more.
    pub tags: Vec<Tag>,
    /// The manifests that it does not have any more.
    pub manifests: Vec<Digest>,
}

/// Makes the version without what is deleted. A manifest is gone by its digest from then on, too.
pub struct Remove;

impl Declared for Remove {
    const NAME: &'static str = "remove";
    type Workflow = DeleteImage;
    type Needs = ();
    type Output = Removed;
}

impl TransactionalStep for Remove {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &Context<DeleteImage>,
        delete: &DeleteImage,
        (): (),
    ) -> Result<Removed, StepError> {
        let removed = remove(tx, cx, delete).await?;
        Ok(removed)
    }
}

async fn remove(
    tx: &mut Tx,
    cx: &Context<DeleteImage>,
    delete: &DeleteImage,
) -> Result<Removed, Failed> {
    must_be_live(tx, &delete.from).await?;
    let (from, at) = (delete.from.id, cx.clock().now());
    let mut removed = in_newest(tx, from, &delete.image).await?;
    // Pushes that ran before it may have set some that it was not asked about.
    must_be_changeable(tx, &delete.from, &removed).await?;
    // With the version: whoever pushes it from now on has pushed it after the delete.
    if let Image::Digest(digest) = &delete.image {
        pushed::delete(tx, from, digest, at).await?;
    }
    if removed.tags.is_empty() && removed.manifests.is_empty() {
        return Ok(removed);
    }
    let repository = RepositoryId::from(from);
    let base = versions::base(tx, repository).await?;
    let gone = (removed.tags.as_slice(), removed.manifests.as_slice());
    let version = backend::remove(tx, from, cx.plan(), gone, base, at).await?;
    let changes = backend::changes(tx, from, base.recorded, version).await?;
    let cause = Cause::Delete;
    let number = versions::record(tx, repository, cx.plan(), version, cause, &changes, at).await?;
    removed.version = Some(number);
    Ok(removed)
}

async fn must_be_changeable(
    tx: &mut Tx,
    from: &Destination,
    removed: &Removed,
) -> Result<(), Failed> {
    match may_change(tx, from, &removed.tags, &removed.manifests).await {
        Ok(()) => Ok(()),
        Err(DeleteError::Catalog(error)) => Err(error.into()),
        Err(refused) => Err(Failed::for_good(refused)),
    }
}

/// What of it is in the newest version.
async fn in_newest(tx: &mut Tx, from: DestinationId, image: &Image) -> Result<Removed, Failed> {
    let repository = RepositoryId::from(from);
    let Some(newest) = versions::latest(tx, repository).await? else {
        return Ok(Removed::default());
    };
    Ok(match image {
        Image::Tag(tag) => {
            let points_to = versions::tag(tx, repository, newest.number, tag).await?;
            Removed {
                tags: points_to.map(|_| tag.clone()).into_iter().collect(),
                ..Removed::default()
            }
        }
        Image::Digest(digest) => {
            let held = versions::has_manifest(tx, repository, newest.number, digest).await?;
            Removed {
                tags: versions::tags_at(tx, repository, digest).await?,
                manifests: held.then_some(*digest).into_iter().collect(),
                ..Removed::default()
            }
        }
    })
}
