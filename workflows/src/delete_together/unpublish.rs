//! Nobody pulls from any of the repositories any more.

use super::{DeletesTogether, Together, undo};
use crate::delete_repository::unpublish;
use crate::error::Failed;
use engine::clock::Timestamp;
use engine::step::{Context, Declared, Policy, Step, StepError};
use serde::{Deserialize, Serialize};
use std::marker::PhantomData;
use std::time::Duration;
use storage::Tx;

/// What is not published any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unpublished {
    /// How many repositories.
    pub repositories: usize,
}

/// Retires the names of all the repositories. Recorded with the submit. It is undone last, and brings the repositories back: those that
/// sub-tasks have deleted, and those that none had come to.
pub struct Unpublish<W>(pub(crate) PhantomData<fn() -> W>);

impl<W: DeletesTogether> Declared for Unpublish<W> {
    const NAME: &'static str = "unpublish_repositories";
    const POLICY: Policy = Policy::idempotent()
        .undoable()
        .timeout(Duration::from_hours(1));
    type Workflow = W;
    type Needs = ();
    type Output = Unpublished;
}

impl<W: DeletesTogether> Step for Unpublish<W> {
    async fn run(&self, cx: &Context<W>, delete: &W, (): ()) -> Result<Unpublished, StepError> {
        let (together, at) = (delete.together().clone(), cx.clock().now());
        let unpublished = cx
            .services
            .database
            .transact(move |tx| Box::pin(async move { unpublish_all(tx, &together, at).await }));
        Ok(unpublished.await.map_err(Failed::from)??)
    }

    async fn compensate(
        &self,
        cx: &Context<W>,
        delete: &W,
        _: Unpublished,
    ) -> Result<(), StepError> {
        Ok(undo::bring_back(cx, delete.together()).await?)
    }
}

pub(super) async fn unpublish_all(
    tx: &mut Tx,
    together: &Together,
    at: Timestamp,
) -> Result<Unpublished, Failed> {
    for (_, delete) in together.sub_tasks() {
        unpublish(tx, &delete, at).await?;
    }
    Ok(Unpublished {
        repositories: together.repositories.len(),
    })
}
