//! Taking a wish for a sync.

use super::{PROXY, SyncProxy};
use crate::services::Node;
use engine::journal::{Cause, PlanId};
use engine::node::{NodeError, Placed};
use engine::store::{Store, StoreError};
use engine::workflow::Workflow as _;
use storage::Tx;
use storage::catalog::CatalogError;
use storage::catalog::audit::{self, NewEntry};
use storage::catalog::smart_proxies;
use storage::journal::waiting;

/// Why no sync was submitted.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The catalog did not do its part.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The engine did not do its part.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl From<StoreError> for SyncError {
    fn from(error: StoreError) -> Self {
        Self::Node(error.into())
    }
}

/// Submits a sync; answers with its plan. One that waits already and looks at as much does for this wish, too.
pub async fn submit<St: Store<Tx = Tx>>(
    node: &Node<St>,
    sync: SyncProxy,
    by: Option<(String, NewEntry)>,
) -> Result<PlanId, SyncError> {
    let (login, audited) = by.unzip();
    let cause = if login.is_some() {
        Cause::Client
    } else {
        Cause::Duty
    };
    let offer = node.offer(&sync, login)?.caused_by(cause);
    let at = node.clock().now();
    let submitted = node.transact::<PlanId, SyncError, _>(move |tx, desk| {
        Box::pin(async move {
            if !sync.all
                && let Some(waits) = waiting(tx, SyncProxy::NAME, (PROXY, &sync.name)).await?
            {
                return Ok(waits);
            }
            if audited.is_some()
                && let Some(proxy) = smart_proxies::find(tx, &sync.name).await?
            {
                smart_proxies::begin_again(tx, proxy.id).await?;
            }
            let (Placed::New(plan) | Placed::Open(plan)) = desk.submit(tx, offer).await?;
            if let Some(audited) = audited {
                let task = Some(plan);
                audit::record(tx, &NewEntry { task, ..audited }, at).await?;
            }
            Ok(plan)
        })
    });
    submitted.await?
}
