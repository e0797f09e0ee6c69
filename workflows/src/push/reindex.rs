//! From the backend's version into the catalog's.

use super::{Copied, CopyContent, EnsureRepository, EnsuredRepository, Push};
use crate::error::Failed;
use crate::services::Services;
use engine::step::{Context, Declared, Step, StepError};
use serde::{Deserialize, Serialize};
use storage::Digest;
use storage::catalog::images::{self, Image};
use storage::catalog::versions::{self, Cause, Changes};
use storage::catalog::{DestinationId, RepositoryId, manifests, pushed};
use storage::content::versions as backend;

/// A config larger than this is not read: its image is shown as an artifact with a warning.
const MAX_CONFIG_BYTES: u64 = 4 * 1024 * 1024;

/// The version of the repository that has everything the push brought.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reindexed {
    /// Its number.
    pub version: i64,
    /// How many manifests were read.
    pub manifests: usize,
}

/// Brings everything since the last indexed version into the catalog.
///
/// Total: whatever a manifest or its config contains, at worst it is an `artifact` with a warning.
pub struct Reindex;

impl Declared for Reindex {
    const NAME: &'static str = "reindex";
    type Workflow = Push;
    type Needs = (CopyContent, EnsureRepository);
    type Output = Reindexed;
}

impl Step for Reindex {
    async fn run(
        &self,
        cx: &Context<Push>,
        push: &Push,
        (copied, ensured): (Copied, EnsuredRepository),
    ) -> Result<Reindexed, StepError> {
        let (destination, repository) = (push.to.id, ensured.repository);
        let indexed = indexed_until(&cx.services, repository).await?;
        if let Some((version, backend_version)) = indexed
            && backend_version >= copied.backend_version
        {
            // A later push has brought this one's content along.
            return Ok(Reindexed {
                version,
                manifests: 0,
            });
        }
        let since = indexed.map_or(0, |(_, backend_version)| backend_version);
        let changes = {
            let mut tx = cx.services.database.read().await.map_err(Failed::from)?;
            let to = copied.backend_version;
            backend::changes(&mut tx, destination, since, to)
                .await
                .map_err(Failed::from)?
        };
        if let Some((version, _)) = indexed
            && changes == Changes::default()
        {
            // Another push has filed all of it meanwhile: what changes nothing makes no version.
            return Ok(Reindexed {
                version,
                manifests: 0,
            });
        }
        let images = read(&cx.services, destination, &changes.manifests_added).await?;
        let (plan, at, count) = (cx.plan(), cx.clock().now(), images.len());
        let version = cx
            .services
            .database
            .transact::<i64, Failed>(move |tx| {
                Box::pin(async move {
                    for image in &images {
                        images::upsert(tx, image).await?;
                    }
                    let cause = Cause::Push;
                    let number = versions::record(
                        tx,
                        repository,
                        plan,
                        copied.backend_version,
                        cause,
                        &changes,
                        at,
                    )
                    .await?;
                    pushed::file(tx, destination, &changes.manifests_added, plan).await?;
                    Ok(number)
                })
            })
            .await
            .map_err(Failed::from)??;
        Ok(Reindexed {
            version,
            manifests: count,
        })
    }
}

/// The newest version of the catalog, and the backend's that it was read from.
async fn indexed_until(
    services: &Services,
    repository: RepositoryId,
) -> Result<Option<(i64, i64)>, Failed> {
    let mut tx = services.database.read().await?;
    let latest = versions::latest(&mut tx, repository).await?;
    Ok(latest.map(|version| (version.number, version.backend_version)))
}

async fn read(
    services: &Services,
    destination: DestinationId,
    digests: &[Digest],
) -> Result<Vec<Image>, Failed> {
    let mut images = Vec::with_capacity(digests.len());
    for digest in digests {
        let manifest = {
            let mut tx = services.database.read().await?;
            manifests::get(&mut tx, digest).await?
        };
        let Some(manifest) = manifest else {
            return Err(Failed::for_good(format!(
                "the bytes of manifest {digest} are missing; run `wharfinger doctor`"
            )));
        };
        let config = match manifest.config() {
            Some(config) => {
                services
                    .content
                    .read_small_blob(destination, &config.digest, MAX_CONFIG_BYTES)
                    .await?
            }
            None => None,
        };
        images.push(Image::read(&manifest, config.as_deref()));
    }
    Ok(images)
}
