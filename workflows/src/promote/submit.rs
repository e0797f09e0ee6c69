//! Taking a wish to promote.

use super::Promote;
use crate::destination::Destination;
use crate::error::Failed;
use crate::services::Node;
use engine::journal::{Cause, PlanId};
use engine::node::{NodeError, Placed};
use engine::store::{Store, StoreError};
use storage::Tx;
use storage::catalog::audit::{self, NewEntry};
use storage::catalog::environments::{self, Environment};
use storage::catalog::{CatalogError, RepositoryId, destinations, publications, versions};

/// Why nothing is promoted. Nothing was written then.
#[derive(Debug, thiserror::Error)]
pub enum PromoteError {
    /// There is no such version.
    #[error("{of} has no version {version}")]
    NoVersion {
        /// The repository.
        of: Box<Destination>,
        /// The version.
        version: i64,
    },
    /// There is no such environment any more.
    #[error("environment {label} does not exist any more")]
    NoEnvironment {
        /// Its label.
        label: String,
    },
    /// Library is pushed to, and rolled back.
    #[error(
        "nothing is promoted to {label}: what is pushed is published there, and a rollback brings an earlier version back"
    )]
    Library {
        /// Its label.
        label: String,
    },
    /// A path is gone along step by step.
    #[error(
        "version {version} of {of} cannot be promoted to {to} yet: {prior}, which comes before it, does not publish that version{}",
        shown.map(|shown| format!(" but version {shown}")).unwrap_or_default()
    )]
    NotInPrior {
        /// The repository.
        of: Box<Destination>,
        /// The version.
        version: i64,
        /// The label of the environment that it is promoted to.
        to: String,
        /// The label of the one before.
        prior: String,
        /// What that one publishes.
        shown: Option<i64>,
    },
    /// The catalog did not do its part.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The engine did not do its part.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl From<StoreError> for PromoteError {
    fn from(error: StoreError) -> Self {
        Self::Node(error.into())
    }
}

impl From<PromoteError> for Failed {
    fn from(error: PromoteError) -> Self {
        match error {
            PromoteError::Catalog(error) => error.into(),
            error @ (PromoteError::NoVersion { .. }
            | PromoteError::NoEnvironment { .. }
            | PromoteError::Library { .. }
            | PromoteError::NotInPrior { .. }
            | PromoteError::Node(_)) => Self::for_good(error),
        }
    }
}

/// Submits the plan that promotes, for somebody who may.
pub async fn submit<St: Store<Tx = Tx>>(
    node: &Node<St>,
    promote: Promote,
    audited: NewEntry,
) -> Result<PlanId, PromoteError> {
    let offer = node.offer(&promote, Some(promote.login.clone()))?;
    let offer = offer.caused_by(Cause::Client);
    let at = node.clock().now();
    node.transact(move |tx, desk| {
        Box::pin(async move {
            check(tx, &promote).await?;
            let placed = desk.submit(tx, offer).await?;
            if let Placed::New(plan) = placed {
                let task = Some(plan);
                audit::record(tx, &NewEntry { task, ..audited }, at).await?;
            }
            Ok(placed.plan())
        })
    })
    .await?
}

/// Whether the version may be promoted there as of now: the environment before it on the path publishes it. Library has published
/// all that there is.
pub(super) async fn check(tx: &mut Tx, promote: &Promote) -> Result<(), PromoteError> {
    let (of, version) = (Box::new(promote.of.clone()), promote.version);
    if !destinations::is_live(tx, of.id).await? {
        return Err(PromoteError::NoVersion { of, version });
    }
    let repository = RepositoryId::from(of.id);
    let to = environment(tx, promote.to_environment, &promote.to_environment_label).await?;
    let Some(prior) = to.prior else {
        return Err(PromoteError::Library { label: to.label });
    };
    let prior = environment(tx, prior, &to.label).await?;
    if versions::get(tx, repository, version).await?.is_none() {
        return Err(PromoteError::NoVersion { of, version });
    }
    let shown = publications::of(tx, prior.id, repository).await?;
    let shown = shown.map(|shown| shown.version);
    let is_there = if prior.prior.is_none() {
        shown >= Some(version)
    } else {
        shown == Some(version)
    };
    if is_there {
        return Ok(());
    }
    Err(PromoteError::NotInPrior {
        of,
        version,
        to: to.label,
        prior: prior.label,
        shown,
    })
}

async fn environment(
    tx: &mut Tx,
    id: storage::catalog::EnvironmentId,
    label: &str,
) -> Result<Environment, PromoteError> {
    let found = environments::get(tx, id).await?;
    found.ok_or_else(|| PromoteError::NoEnvironment {
        label: label.to_owned(),
    })
}
