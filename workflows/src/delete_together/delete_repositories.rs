//! The repositories, each by a sub-task.

use super::{DeletesTogether, Unpublish, Unpublished};
use crate::delete_repository::DeleteRepository;
use engine::step::{Child, Context, Declared, Policy, SpawningStep, StepError, all_done};
use serde::{Deserialize, Serialize};
use std::marker::PhantomData;

/// What was deleted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeletedRepositories {
    /// How many repositories.
    pub repositories: usize,
}

/// Deletes each repository as a sub-task. `unpublish_repositories` brings them back, because it is undone even where this step was stopped
/// half-way.
pub struct DeleteRepositories<W>(pub(crate) PhantomData<fn() -> W>);

impl<W: DeletesTogether> Declared for DeleteRepositories<W> {
    const NAME: &'static str = "delete_repositories";
    const POLICY: Policy = Policy::idempotent();
    type Workflow = W;
    type Needs = Unpublish<W>;
    type Output = DeletedRepositories;
}

impl<W: DeletesTogether> SpawningStep for DeleteRepositories<W> {
    type Child = DeleteRepository;

    async fn children(
        &self,
        _: &Context<W>,
        delete: &W,
        _: Unpublished,
    ) -> Result<Vec<(String, DeleteRepository)>, StepError> {
        Ok(delete.together().sub_tasks())
    }

    async fn gather(
        &self,
        _: &Context<W>,
        _: &W,
        children: &[Child],
    ) -> Result<DeletedRepositories, StepError> {
        all_done(children)?;
        Ok(DeletedRepositories {
            repositories: children.len(),
        })
    }
}
