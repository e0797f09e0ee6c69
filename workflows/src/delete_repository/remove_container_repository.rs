//! The versions.

use super::{DeleteRepository, lift, undoable};
use crate::error::Failed;
use crate::sync_proxies::{SyncProxies, SyncedProxies};
use engine::step::{Context, Declared, Policy, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::tombstones::{self, Part};
use storage::catalog::{RepositoryId, versions};

/// What is gone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemovedContainerRepository {
    /// How many versions it had.
    pub versions: u64,
    /// How many tags the newest of them had.
    pub tags: u64,
}

/// Deletes the versions: they are kept as a tombstone, and collected once the time for a revert is over.
pub struct RemoveContainerRepository;

impl Declared for RemoveContainerRepository {
    const NAME: &'static str = "remove_container_repository";
    const POLICY: Policy = undoable();
    type Workflow = DeleteRepository;
    type Needs = Option<SyncProxies<DeleteRepository>>;
    type Output = RemovedContainerRepository;
}

impl TransactionalStep for RemoveContainerRepository {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &Context<DeleteRepository>,
        delete: &DeleteRepository,
        _: Option<SyncedProxies>,
    ) -> Result<RemovedContainerRepository, StepError> {
        Ok(remove(tx, cx, delete).await?)
    }

    async fn compensate(
        &self,
        tx: &mut Tx,
        cx: &Context<DeleteRepository>,
        delete: &DeleteRepository,
        _: RemovedContainerRepository,
    ) -> Result<(), StepError> {
        Ok(lift(tx, delete, Part::ContainerRepository, cx.plan()).await?)
    }
}

async fn remove(
    tx: &mut Tx,
    cx: &Context<DeleteRepository>,
    delete: &DeleteRepository,
) -> Result<RemovedContainerRepository, Failed> {
    let (of, at) = (delete.repository.id, cx.clock().now());
    let repository = RepositoryId::from(of);
    let tags = match versions::latest(tx, repository).await? {
        Some(newest) => versions::count_tags(tx, repository, newest.number).await?,
        None => 0,
    };
    tombstones::set(tx, of, Part::ContainerRepository, cx.plan(), at).await?;
    Ok(RemovedContainerRepository {
        versions: versions::count(tx, repository).await?,
        tags,
    })
}
