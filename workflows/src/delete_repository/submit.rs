//! Taking a wish to delete a repository.

use super::unpublish::unpublish;
use super::{DeleteRepository, FOR_EVER, Unpublish};
use crate::destination::Destination;
use crate::push::keys_of_destination;
use crate::services::{Node, Services};
use engine::clock::Timestamp;
use engine::journal::{Cause, PlanId};
use engine::node::{Desk, NodeError, Offer, Placed};
use engine::state::PlanState;
use engine::step::StepError;
use engine::store::{Store, StoreError};
use serde::Serialize;
use storage::Tx;
use storage::catalog::audit::{self, NewEntry};
use storage::catalog::{
    CatalogError, RepositoryId, destinations, publications, settings, versions,
};

/// Why nothing is deleted. Nothing was written then.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// It is not there any more.
    #[error("repository {0} does not exist any more")]
    Gone(Box<Destination>),
    /// It could not be unpublished.
    #[error("{0}")]
    Step(String),
    /// The catalog did not do its part.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The engine did not do its part.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl From<StoreError> for DeleteError {
    fn from(error: StoreError) -> Self {
        Self::Node(error.into())
    }
}

/// What a delete would take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deleting {
    /// How many versions it has.
    pub versions: u64,
    /// How many tags Library publishes.
    pub tags: u64,
    /// How many environments publish something of it.
    pub environments: usize,
}

/// What a delete of the repository would take.
pub async fn look(tx: &mut Tx, repository: RepositoryId) -> Result<Deleting, CatalogError> {
    let tags = match publications::library(tx, repository).await? {
        Some(shown) => versions::count_tags(tx, repository, shown.version).await?,
        None => 0,
    };
    Ok(Deleting {
        versions: versions::count(tx, repository).await?,
        tags,
        environments: publications::everywhere(tx, repository).await?.len(),
    })
}

/// Submits the plan that deletes it, for somebody who may: from now on nobody pulls from it, and its name leads elsewhere. Paused
/// pushes to it are ended.
pub async fn submit<St: Store<Tx = Tx>>(
    node: &Node<St>,
    delete: DeleteRepository,
    audited: NewEntry,
) -> Result<PlanId, DeleteError> {
    let offer = node.offer(&delete, Some(delete.login.clone()))?;
    let offer = offer.caused_by(Cause::Client);
    let at = node.clock().now();
    node.transact(move |tx, desk| Box::pin(record(tx, desk, delete, offer, (audited, at))))
        .await?
}

async fn record<St: Store<Tx = Tx>>(
    tx: &mut Tx,
    desk: Desk<Services, St>,
    delete: DeleteRepository,
    offer: Offer<Services>,
    (audited, at): (NewEntry, Timestamp),
) -> Result<PlanId, DeleteError> {
    let of = &delete.repository;
    if !destinations::is_live(tx, of.id).await? {
        return Err(DeleteError::Gone(Box::new(of.clone())));
    }
    let unpublished = unpublish(tx, &delete, at).await;
    let unpublished =
        unpublished.map_err(|failed| DeleteError::Step(StepError::from(failed).0.message))?;
    let window = settings::undo_window(tx).await?.unwrap_or(FOR_EVER);
    let offer = offer
        .revertible_for(window)
        .with_recorded::<Unpublish>(&unpublished)
        .map_err(NodeError::from)?;
    let plan = match desk.submit(tx, offer).await? {
        Placed::Open(open) => return Ok(open),
        Placed::New(plan) => plan,
    };
    end_what_is_paused(tx, &desk, of, (plan, &delete.login)).await?;
    let task = Some(plan);
    audit::record(tx, &NewEntry { task, ..audited }, at).await?;
    Ok(plan)
}

/// What is paused at the destination has no place any more: the plan takes it.
pub(crate) async fn end_what_is_paused<St: Store<Tx = Tx>>(
    tx: &mut Tx,
    desk: &Desk<Services, St>,
    of: &Destination,
    (plan, login): (PlanId, &str),
) -> Result<(), StoreError> {
    let others = ["delete", "rollback", "promote"].map(|verb| format!("{verb} {} ", of.id));
    for keys in others.into_iter().chain([keys_of_destination(of)]) {
        let open = desk.open(tx, keys).await?;
        for paused in open.iter().filter(|it| it.state == PlanState::Paused) {
            desk.supersede(tx, paused.id, plan, login).await?;
        }
    }
    Ok(())
}
