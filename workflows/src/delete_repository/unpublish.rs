//! Nobody pulls from it any more.

use super::name::taken;
use super::{DeleteRepository, undoable};
use crate::destination::label_form;
use crate::error::Failed;
use crate::published_names::{self, PublishedNameError};
use engine::clock::Timestamp;
use engine::journal::PlanId;
use engine::step::{Context, Declared, Policy, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::publications::{self, Published};
use storage::catalog::{
    EnvironmentId, RepositoryId, destinations, repositories, repository_names, tombstones,
};

/// What an environment showed of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WasPublished {
    /// The environment.
    pub environment: EnvironmentId,
    /// The version.
    pub version: i64,
    /// The task that published it.
    pub plan: PlanId,
    /// The login of whose push or action that was.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
}

impl From<Published> for WasPublished {
    fn from(shown: Published) -> Self {
        Self {
            environment: shown.environment,
            version: shown.version,
            plan: shown.plan,
            by: shown.by,
            since: shown.since,
        }
    }
}

/// What is not published any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unpublished {
    /// What each environment showed.
    pub published: Vec<WasPublished>,
}

/// Retires the name: whatever an environment shows of the repository, nobody finds it any more. What pushes stand on that were queued
/// before is left until they have ended. Recorded with the submit.
pub struct Unpublish;

impl Declared for Unpublish {
    const NAME: &'static str = "unpublish";
    const POLICY: Policy = undoable();
    type Workflow = DeleteRepository;
    type Needs = ();
    type Output = Unpublished;
}

impl TransactionalStep for Unpublish {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &Context<DeleteRepository>,
        delete: &DeleteRepository,
        (): (),
    ) -> Result<Unpublished, StepError> {
        Ok(unpublish(tx, delete, cx.clock().now()).await?)
    }

    async fn compensate(
        &self,
        tx: &mut Tx,
        cx: &Context<DeleteRepository>,
        delete: &DeleteRepository,
        _: Unpublished,
    ) -> Result<(), StepError> {
        let other = tombstones::restored_as(tx, cx.plan()).await;
        let other = other.map_err(Failed::from)?;
        let name = other.as_deref().unwrap_or(&delete.repository.name);
        Ok(publish_again(tx, delete, name, cx.clock().now()).await?)
    }
}

pub(crate) async fn unpublish(
    tx: &mut Tx,
    delete: &DeleteRepository,
    at: Timestamp,
) -> Result<Unpublished, Failed> {
    let repository = RepositoryId::from(delete.repository.id);
    let shown = publications::everywhere(tx, repository).await?;
    destinations::retire(tx, delete.repository.id, at).await?;
    repositories::bury(tx, repository, at).await?;
    repository_names::remove(tx, repository).await?;
    Ok(Unpublished {
        published: shown.into_iter().map(WasPublished::from).collect(),
    })
}

/// The last that a revert does, under this name: everything else is there again.
pub(crate) async fn publish_again(
    tx: &mut Tx,
    delete: &DeleteRepository,
    name: &str,
    at: Timestamp,
) -> Result<(), Failed> {
    let of = &delete.repository;
    match taken(tx, delete, name).await? {
        (_, Some(in_the_way)) => return Err(Failed::for_good(in_the_way.of_one())),
        (Some(unused), None) => {
            destinations::retire(tx, unused, at).await?;
        }
        (None, None) => {}
    }
    let repository = RepositoryId::from(of.id);
    destinations::revive(tx, of.id, name).await?;
    repositories::unbury(tx, repository, name).await?;
    let path = label_form(&of.organization_label, &of.product_label, name);
    repository_names::ensure(tx, &path, repository).await?;
    for shown in publications::everywhere(tx, repository).await? {
        let named = published_names::publish(tx, shown.environment, repository).await;
        match named {
            Ok(_) => {}
            Err(PublishedNameError::Catalog(error)) => return Err(error.into()),
            // Somebody has that name by now: it is published again, and named with the next push or promotion.
            Err(taken) => tracing::warn!(
                "repository {path} is back, but not under its name in every environment: {taken}"
            ),
        }
    }
    Ok(())
}
