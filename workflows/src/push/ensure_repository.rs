//! The repository of the destination.

use super::{CopyContent, EnsureProduct, Push};
use crate::error::Failed;
use engine::step::{Context, Declared, Policy, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::{RepositoryId, destinations, repositories, repository_names};

/// The repository, and whether this plan made it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnsuredRepository {
    /// The repository: it has the destination's number.
    pub repository: RepositoryId,
    /// This plan made it, and its undo removes it if nobody else uses it.
    pub created_here: bool,
}

/// Finds or creates the repository of the destination in its product.
pub struct EnsureRepository;

impl Declared for EnsureRepository {
    const NAME: &'static str = "ensure_repository";
    const POLICY: Policy = Policy::idempotent().undoable();
    type Workflow = Push;
    type Needs = (CopyContent, EnsureProduct);
    type Output = EnsuredRepository;
}

impl TransactionalStep for EnsureRepository {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &Context<Push>,
        push: &Push,
        (_, product): (super::Copied, super::EnsuredProduct),
    ) -> Result<EnsuredRepository, StepError> {
        let destination = destinations::get(tx, push.to.id)
            .await
            .map_err(Failed::from)?;
        let destination = destination.ok_or_else(|| {
            StepError::permanent(format!(
                "destination {} ({}) is gone; push again",
                push.to.id, push.to
            ))
        })?;
        let repository = repositories::ensure(
            tx,
            &destination,
            product.product,
            cx.plan(),
            cx.clock().now(),
        )
        .await
        .map_err(Failed::from)?;
        repositories::note_use(tx, repository.found.id, cx.plan())
            .await
            .map_err(Failed::from)?;
        // Of a repository that is being deleted another one may have the name by now.
        if destination.retired_at.is_none() {
            repository_names::ensure(tx, &push.to.label_form(), repository.found.id)
                .await
                .map_err(Failed::from)?;
        }
        Ok(EnsuredRepository {
            repository: repository.found.id,
            created_here: repository.created_here,
        })
    }

    async fn compensate(
        &self,
        tx: &mut Tx,
        cx: &Context<Push>,
        _: &Push,
        done: EnsuredRepository,
    ) -> Result<(), StepError> {
        repositories::forget(tx, done.repository, cx.plan())
            .await
            .map_err(Failed::from)?;
        Ok(())
    }
}
