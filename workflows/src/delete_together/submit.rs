//! Taking a wish to delete many repositories with what they belong to.

use super::unpublish::unpublish_all;
use super::{DeletesTogether, MOST_REPOSITORIES, Unpublish};
use crate::delete_repository::{FOR_EVER, end_what_is_paused};
use crate::error::Failed;
use crate::services::{Node, Services};
use engine::clock::Timestamp;
use engine::journal::{Cause, PlanId};
use engine::node::{Desk, NodeError, Offer, Placed};
use engine::step::StepError;
use engine::store::{Store, StoreError};
use storage::catalog::audit::{self, NewEntry};
use storage::catalog::users::User;
use storage::catalog::{CatalogError, settings};
use storage::{DatabaseError, Tx};

/// So often it looks again at what is there, where somebody makes more of it meanwhile.
const LOOKS: u32 = 5;

/// Why nothing is deleted. Nothing was written then.
#[derive(Debug, thiserror::Error)]
pub enum DeleteTogetherError {
    /// It is not there any more.
    #[error("{0} does not exist any more")]
    Gone(String),
    /// One task would have too many sub-tasks.
    #[error(
        "{what} has {repositories} repositories; at most {MOST_REPOSITORIES} are deleted at once, so delete some of them first"
    )]
    TooMany {
        /// What was to be deleted.
        what: String,
        /// How many repositories it has.
        repositories: usize,
    },
    /// A delete of it has begun before and has not ended.
    #[error("{0} is being deleted already by task {1}: wait for its end, resume it or revert it")]
    UnderWay(String, PlanId),
    /// Somebody keeps on pushing new repositories to it.
    #[error("repositories are being pushed to {0} all the time; try again")]
    Busy(String),
    /// They could not be looked at or unpublished.
    #[error("{0}")]
    Step(String),
    /// The catalog did not do its part.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The engine did not do its part.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl From<StoreError> for DeleteTogetherError {
    fn from(error: StoreError) -> Self {
        Self::Node(error.into())
    }
}

impl From<DatabaseError> for DeleteTogetherError {
    fn from(error: DatabaseError) -> Self {
        Self::Catalog(error.into())
    }
}

impl From<StepError> for DeleteTogetherError {
    fn from(error: StepError) -> Self {
        Self::Step(error.0.message)
    }
}

impl From<Failed> for DeleteTogetherError {
    fn from(failed: Failed) -> Self {
        StepError::from(failed).into()
    }
}

/// Submits the plan that deletes them, for somebody who may: from now on nobody pulls from them, and their names lead elsewhere. What is
/// paused there is ended.
pub async fn submit<W: DeletesTogether, St: Store<Tx = Tx>>(
    node: &Node<St>,
    delete: W,
    by: &User,
    audited: NewEntry,
) -> Result<PlanId, DeleteTogetherError> {
    let mut delete = delete;
    for _ in 0..LOOKS {
        let repositories = delete.together().repositories.len();
        if repositories > MOST_REPOSITORIES {
            let what = delete.owner();
            return Err(DeleteTogetherError::TooMany { what, repositories });
        }
        let offer = node.offer(&delete, Some(by.login.clone()))?;
        let offer = offer.caused_by(Cause::Client);
        let (at, by, audited) = (node.clock().now(), by.clone(), audited.clone());
        let tried = node.transact(move |tx, desk| {
            Box::pin(async move {
                let now = delete.again(tx, &by).await?;
                let now = now.ok_or_else(|| DeleteTogetherError::Gone(delete.owner()))?;
                if now.together().repositories != delete.together().repositories {
                    return Ok(Err(now));
                }
                let plan = record(tx, &desk, &now, offer, at).await?;
                let task = Some(plan);
                audit::record(tx, &NewEntry { task, ..audited }, at).await?;
                Ok::<_, DeleteTogetherError>(Ok(plan))
            })
        });
        match tried.await?? {
            Ok(plan) => return Ok(plan),
            Err(now) => delete = now,
        }
    }
    Err(DeleteTogetherError::Busy(delete.owner()))
}

async fn record<W: DeletesTogether, St: Store<Tx = Tx>>(
    tx: &mut Tx,
    desk: &Desk<Services, St>,
    delete: &W,
    offer: Offer<Services>,
    at: Timestamp,
) -> Result<PlanId, DeleteTogetherError> {
    if let Some(above) = delete.above()
        && let Some(open) = desk.open(tx, above).await?.first()
    {
        return Err(DeleteTogetherError::UnderWay(delete.owner(), open.id));
    }
    let together = delete.together();
    let unpublished = unpublish_all(tx, together, at).await?;
    let window = settings::undo_window(tx).await?.unwrap_or(FOR_EVER);
    let offer = offer
        .revertible_for(window)
        .with_recorded::<Unpublish<W>>(&unpublished)
        .map_err(NodeError::from)?;
    let plan = match desk.submit(tx, offer).await? {
        Placed::New(plan) => plan,
        // Somebody is at it since before: what was pushed since then is not that plan's to delete.
        Placed::Open(open) => return Err(DeleteTogetherError::UnderWay(delete.owner(), open)),
    };
    for of in &together.repositories {
        end_what_is_paused(tx, desk, of, (plan, &together.login)).await?;
    }
    Ok(plan)
}
