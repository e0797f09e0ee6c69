//! Taking a wish to roll back.

use super::Rollback;
use crate::destination::Destination;
use crate::push::keys_of_destination;
use crate::services::{Node, Services};
use engine::clock::Timestamp;
use engine::journal::{Cause, PlanId};
use engine::node::{Desk, NodeError, Offer, Placed};
use engine::state::PlanState;
use engine::store::{Store, StoreError};
use storage::Tx;
use storage::catalog::audit::{self, NewEntry};
use storage::catalog::{CatalogError, RepositoryId, destinations, publications, versions};

/// Why nothing is rolled back. Nothing was written then.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// There is no such version.
    #[error("{of} has no version {version}")]
    NoVersion {
        /// The repository.
        of: Box<Destination>,
        /// The version.
        version: i64,
    },
    /// The environment shows nothing of the repository.
    #[error("{environment} publishes nothing of {of} that could be rolled back")]
    NotPublished {
        /// The repository.
        of: Box<Destination>,
        /// The environment's label.
        environment: String,
    },
    /// It would not go back.
    #[error(
        "{environment} publishes version {shown} of {of}: a rollback goes to an earlier one, and version {version} is none"
    )]
    NotEarlier {
        /// The repository.
        of: Box<Destination>,
        /// The environment's label.
        environment: String,
        /// What it publishes.
        shown: i64,
        /// What was asked for.
        version: i64,
    },
    /// The catalog did not do its part.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The engine did not do its part.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl From<StoreError> for RollbackError {
    fn from(error: StoreError) -> Self {
        Self::Node(error.into())
    }
}

/// Submits the plan that rolls back, for somebody who may. In Library, paused pushes to the repository are ended: they shall not
/// take it back.
pub async fn submit<St: Store<Tx = Tx>>(
    node: &Node<St>,
    rollback: Rollback,
    audited: NewEntry,
) -> Result<PlanId, RollbackError> {
    let offer = node.offer(&rollback, Some(rollback.login.clone()))?;
    let offer = offer.caused_by(Cause::Client);
    let at = node.clock().now();
    node.transact(move |tx, desk| Box::pin(record(tx, desk, rollback, offer, (audited, at))))
        .await?
}

async fn record<St: Store<Tx = Tx>>(
    tx: &mut Tx,
    desk: Desk<Services, St>,
    rollback: Rollback,
    offer: Offer<Services>,
    (audited, at): (NewEntry, Timestamp),
) -> Result<PlanId, RollbackError> {
    check(tx, &rollback).await?;
    let plan = match desk.submit(tx, offer).await? {
        Placed::Open(open) => return Ok(open),
        Placed::New(plan) => plan,
    };
    let task = Some(plan);
    audit::record(tx, &NewEntry { task, ..audited }, at).await?;
    if rollback.library {
        let open = desk.open(tx, keys_of_destination(&rollback.of)).await?;
        for paused in open.iter().filter(|it| it.state == PlanState::Paused) {
            desk.supersede(tx, paused.id, plan, &rollback.login).await?;
        }
    }
    Ok(plan)
}

async fn check(tx: &mut Tx, rollback: &Rollback) -> Result<(), RollbackError> {
    let (of, version) = (Box::new(rollback.of.clone()), rollback.version);
    if !destinations::is_live(tx, of.id).await? {
        return Err(RollbackError::NoVersion { of, version });
    }
    let repository = RepositoryId::from(of.id);
    let environment = rollback.environment_label.clone();
    let shown = publications::of(tx, rollback.environment, repository).await?;
    let Some(shown) = shown.map(|shown| shown.version) else {
        return Err(RollbackError::NotPublished { of, environment });
    };
    if versions::get(tx, repository, version).await?.is_none() {
        return Err(RollbackError::NoVersion { of, version });
    }
    if version >= shown {
        return Err(RollbackError::NotEarlier {
            of,
            environment,
            shown,
            version,
        });
    }
    Ok(())
}
