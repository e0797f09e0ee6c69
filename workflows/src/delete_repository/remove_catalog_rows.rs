//! What people see of it.

use super::{DeleteRepository, RemovePushRepository, lift, undoable};
use crate::error::Failed;
use engine::clock::Timestamp;
use engine::step::{Context, Declared, Policy, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::tombstones::{self, Part};
use storage::catalog::{RepositoryId, repository_names};

/// What is gone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemovedCatalogRows {
    /// Since when: the time for a revert is counted from here.
    pub at: Timestamp,
}

/// Deletes the rows of the catalog: they are kept as a tombstone, and collected once the time for a revert is over.
pub struct RemoveCatalogRows;

impl Declared for RemoveCatalogRows {
    const NAME: &'static str = "remove_catalog_rows";
    const POLICY: Policy = undoable();
    type Workflow = DeleteRepository;
    type Needs = RemovePushRepository;
    type Output = RemovedCatalogRows;
}

impl TransactionalStep for RemoveCatalogRows {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &Context<DeleteRepository>,
        delete: &DeleteRepository,
        _: super::RemovedPushRepository,
    ) -> Result<RemovedCatalogRows, StepError> {
        Ok(remove(tx, cx, delete).await?)
    }

    async fn compensate(
        &self,
        tx: &mut Tx,
        cx: &Context<DeleteRepository>,
        delete: &DeleteRepository,
        _: RemovedCatalogRows,
    ) -> Result<(), StepError> {
        Ok(lift(tx, delete, Part::Catalog, cx.plan()).await?)
    }
}

async fn remove(
    tx: &mut Tx,
    cx: &Context<DeleteRepository>,
    delete: &DeleteRepository,
) -> Result<RemovedCatalogRows, Failed> {
    let (of, at) = (delete.repository.id, cx.clock().now());
    let repository = RepositoryId::from(of);
    // A push that was queued before may have left some.
    repository_names::remove(tx, repository).await?;
    tombstones::set(tx, of, Part::Catalog, cx.plan(), at).await?;
    Ok(RemovedCatalogRows { at })
}
