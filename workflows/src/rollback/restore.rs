//! The version that is to be published.

use super::Rollback;
use crate::destination::must_be_live;
use crate::error::Failed;
use engine::step::{Context, Declared, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::versions::{self, Cause};
use storage::catalog::{RepositoryId, pushed};
use storage::content::versions as backend;

/// The version that is to be published.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Restored {
    /// Its number: a new one in Library, the old one elsewhere.
    pub version: i64,
}

/// Finds the old version, and in Library makes a new one that is equal to it.
pub struct Restore;

impl Declared for Restore {
    const NAME: &'static str = "restore";
    type Workflow = Rollback;
    type Needs = ();
    type Output = Restored;
}

impl TransactionalStep for Restore {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &Context<Rollback>,
        rollback: &Rollback,
        (): (),
    ) -> Result<Restored, StepError> {
        Ok(restore(tx, cx, rollback).await?)
    }
}

async fn restore(
    tx: &mut Tx,
    cx: &Context<Rollback>,
    rollback: &Rollback,
) -> Result<Restored, Failed> {
    must_be_live(tx, &rollback.of).await?;
    let (of, number) = (rollback.of.id, rollback.version);
    let repository = RepositoryId::from(of);
    let old = versions::get(tx, repository, number)
        .await?
        .ok_or_else(|| {
            Failed::for_good(format!(
                "{} has no version {number} any more; choose another one",
                rollback.of
            ))
        })?;
    if !rollback.library {
        pushed::bring_back_blobs(tx, of, number).await?;
        return Ok(Restored { version: number });
    }
    let (plan, at) = (cx.plan(), cx.clock().now());
    let base = versions::base(tx, repository).await?;
    let restored = backend::restore(tx, of, plan, old.backend_version, at).await?;
    let changes = backend::changes(tx, of, base.recorded, restored).await?;
    let cause = Cause::Rollback;
    let version = versions::record(tx, repository, plan, restored, cause, &changes, at).await?;
    pushed::bring_back(tx, of, version).await?;
    Ok(Restored { version })
}
