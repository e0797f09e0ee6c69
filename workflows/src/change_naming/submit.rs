//! Taking a wish for other names.

use super::ChangeNaming;
use crate::published_names::{Preview, preview};
use crate::services::Node;
use engine::journal::{Cause, PlanId};
use engine::node::{NodeError, Placed};
use engine::store::{Store, StoreError};
use storage::Tx;
use storage::catalog::CatalogError;
use storage::catalog::audit::{self, NewEntry};
use storage::catalog::environments::{self, Environment, EnvironmentChanges};

/// Why nothing is changed. Nothing was written then.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Names are taken, or are none.
    #[error("{}", .0.refusal().unwrap_or_default())]
    Refused(Box<Preview>),
    /// It does not exist any more.
    #[error("environment {0} does not exist any more")]
    Gone(String),
    /// The catalog did not do its part.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The engine did not do its part.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        Self::Node(error.into())
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum Changed {
    /// No name moves: it is changed.
    Now(Box<Environment>),
    /// Names move: the plan that does it.
    By(PlanId),
}

/// Changes the environment for somebody who may: at once where no name moves, else by a plan.
pub async fn submit<St: Store<Tx = Tx>>(
    node: &Node<St>,
    change: ChangeNaming,
    audited: NewEntry,
) -> Result<Changed, ChangeError> {
    let offer = node.offer(&change, Some(change.login.clone()))?;
    let offer = offer.caused_by(Cause::Client);
    let at = node.clock().now();
    node.transact(move |tx, desk| {
        Box::pin(async move {
            let found = environments::get(tx, change.environment).await?;
            let gone = || ChangeError::Gone(change.environment_label.clone());
            let now = found.ok_or_else(gone)?;
            let then = Environment {
                name: change.name.clone(),
                registry_name_pattern: change.registry_name_pattern.clone(),
                ..now
            };
            let preview = preview(tx, &then).await?;
            if preview.refusal().is_some() {
                return Err(ChangeError::Refused(Box::new(preview)));
            }
            if preview.moved == 0 {
                let changes = EnvironmentChanges {
                    name: Some(change.name),
                    registry_name_pattern: Some(change.registry_name_pattern),
                    ..EnvironmentChanges::default()
                };
                let after = environments::update(tx, then.id, &changes).await?;
                audit::record(tx, &audited, at).await?;
                return Ok(Changed::Now(Box::new(after.unwrap_or(then))));
            }
            let placed = desk.submit(tx, offer).await?;
            if let Placed::New(plan) = placed {
                let task = Some(plan);
                audit::record(tx, &NewEntry { task, ..audited }, at).await?;
            }
            Ok(Changed::By(placed.plan()))
        })
    })
    .await?
}
