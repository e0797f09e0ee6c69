//! The duty that catches smart proxies up: whatever was missed, and for whatever reason, comes without a person.

use super::submit::{SyncError, submit};
use super::{PROXY, SyncProxy};
use crate::services::Node;
use engine::clock::Timestamp;
use engine::journal::PlanId;
use engine::store::Store;
use engine::workflow::Workflow as _;
use std::collections::BTreeMap;
use std::time::Duration;
use storage::Tx;
use storage::catalog::smart_proxies::{self, SmartProxy, contents};
use storage::catalog::{CatalogError, SmartProxyId, settings};
use storage::journal::open;
use tokio_util::sync::CancellationToken;

/// How often is looked.
const ROUND: Duration = Duration::from_secs(2);
/// A sync that failed before it could write down when to try again is not followed by another at once.
const AT_LEAST: Duration = Duration::from_secs(10);

/// Catches proxies up until `stop` fires.
pub async fn keep_current<St: Store<Tx = Tx>>(node: Node<St>, stop: CancellationToken) {
    let mut submitted = BTreeMap::new();
    while stop
        .run_until_cancelled(tokio::time::sleep(ROUND))
        .await
        .is_some()
    {
        let now = node.clock().now();
        if let Err(error) = submit_what_is_due(&node, &mut submitted, now).await {
            tracing::warn!(%error, "smart proxies were not looked at; the next round does");
        }
    }
}

/// Submits a sync for each proxy that lacks something and for which none is under way; answers with their plans. `submitted` says when
/// this was done last.
pub async fn submit_what_is_due<St: Store<Tx = Tx>>(
    node: &Node<St>,
    submitted: &mut BTreeMap<SmartProxyId, Timestamp>,
    now: Timestamp,
) -> Result<Vec<PlanId>, SyncError> {
    let mut due = Vec::new();
    {
        let database = &node.services().database;
        let mut tx = database.read().await.map_err(CatalogError::from)?;
        if !settings::sync_smart_proxies(&mut tx).await? {
            return Ok(Vec::new());
        }
        for proxy in smart_proxies::all(&mut tx).await? {
            let last = submitted.get(&proxy.id);
            if last.is_none_or(|last| now.since(*last) >= AT_LEAST)
                && is_due(&mut tx, &proxy, now).await?
            {
                due.push(proxy);
            }
        }
    }
    let mut plans = Vec::with_capacity(due.len());
    for proxy in due {
        let sync = SyncProxy {
            name: proxy.name,
            all: false,
            first: None,
        };
        plans.push(submit(node, sync, None).await?);
        submitted.insert(proxy.id, now);
    }
    Ok(plans)
}

async fn is_due(tx: &mut Tx, proxy: &SmartProxy, now: Timestamp) -> Result<bool, CatalogError> {
    Ok(proxy.enabled
        && proxy.try_again_at.is_none_or(|at| at <= now)
        && open(tx, SyncProxy::NAME, (PROXY, &proxy.name))
            .await?
            .is_none()
        && contents::is_behind(tx, proxy.id).await?)
}
