//! What people see of it.

use super::{DeleteRepository, RemovePushRepository, WasPublished, lift, undoable};
use crate::error::Failed;
use engine::clock::Timestamp;
use engine::step::{Context, Declared, Policy, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::publications::{self, Published};
use storage::catalog::tombstones::{self, Part};
use storage::catalog::{RepositoryId, environments};

/// What is gone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemovedCatalogRows {
    /// Since when: the time for a revert is counted from here.
    pub at: Timestamp,
    /// What each environment showed of it.
    pub published: Vec<WasPublished>,
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
        removed: RemovedCatalogRows,
    ) -> Result<(), StepError> {
        lift(tx, delete, Part::Catalog, cx.plan()).await?;
        Ok(put_back(tx, delete, removed).await?)
    }
}

async fn remove(
    tx: &mut Tx,
    cx: &Context<DeleteRepository>,
    delete: &DeleteRepository,
) -> Result<RemovedCatalogRows, Failed> {
    let (of, at) = (delete.repository.id, cx.clock().now());
    let repository = RepositoryId::from(of);
    let shown = publications::everywhere(tx, repository).await?;
    publications::remove(tx, repository).await?;
    tombstones::set(tx, of, Part::Catalog, cx.plan(), at).await?;
    Ok(RemovedCatalogRows {
        at,
        published: shown.into_iter().map(WasPublished::from).collect(),
    })
}

/// What every environment showed, as far as there is that environment still.
async fn put_back(
    tx: &mut Tx,
    delete: &DeleteRepository,
    removed: RemovedCatalogRows,
) -> Result<(), Failed> {
    let repository = RepositoryId::from(delete.repository.id);
    for was in removed.published {
        if environments::get(tx, was.environment).await?.is_none() {
            continue;
        }
        let now = publications::of(tx, was.environment, repository).await?;
        if now.is_some_and(|now| now.version >= was.version) {
            continue;
        }
        let again = Published {
            environment: was.environment,
            repository,
            version: was.version,
            plan: was.plan,
            by: was.by,
            since: was.since,
        };
        publications::point(tx, &again).await?;
    }
    Ok(())
}
