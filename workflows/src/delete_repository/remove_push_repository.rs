//! What was pushed.

use super::{DeleteRepository, RemoveContainerRepository, lift, undoable};
use crate::error::Failed;
use engine::step::{Context, Declared, Policy, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::pushed;
use storage::catalog::tombstones::{self, Part};

/// What is gone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemovedPushRepository {
    /// How many manifests were pushed and in no version yet.
    pub pending: usize,
}

/// Deletes the push repository: it is kept as a tombstone, and collected once the time for a revert is over.
pub struct RemovePushRepository;

impl Declared for RemovePushRepository {
    const NAME: &'static str = "remove_push_repository";
    const POLICY: Policy = undoable();
    type Workflow = DeleteRepository;
    type Needs = RemoveContainerRepository;
    type Output = RemovedPushRepository;
}

impl TransactionalStep for RemovePushRepository {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &Context<DeleteRepository>,
        delete: &DeleteRepository,
        _: super::RemovedContainerRepository,
    ) -> Result<RemovedPushRepository, StepError> {
        Ok(remove(tx, cx, delete).await?)
    }

    async fn compensate(
        &self,
        tx: &mut Tx,
        cx: &Context<DeleteRepository>,
        delete: &DeleteRepository,
        _: RemovedPushRepository,
    ) -> Result<(), StepError> {
        Ok(lift(tx, delete, Part::PushRepository, cx.plan()).await?)
    }
}

async fn remove(
    tx: &mut Tx,
    cx: &Context<DeleteRepository>,
    delete: &DeleteRepository,
) -> Result<RemovedPushRepository, Failed> {
    let (of, at) = (delete.repository.id, cx.clock().now());
    tombstones::set(tx, of, Part::PushRepository, cx.plan(), at).await?;
    Ok(RemovedPushRepository {
        pending: pushed::pending(tx, of).await?.len(),
    })
}
