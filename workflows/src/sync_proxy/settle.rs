//! Writing down what the proxy has now.

use super::{Bring, SyncProxy, policy};
use crate::error::Failed;
use crate::proxy::Brought;
use engine::step::{Context, Declared, Policy, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::Duration;
use storage::Tx;
use storage::catalog::smart_proxies::contents::{self, Place};
use storage::catalog::smart_proxies::{self, SmartProxy};

/// The first and the longest wait before a sync begins by itself after one that did not bring all; it doubles in between.
const AGAIN_AFTER: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(10));

/// What the sync came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settled {
    /// How many repositories the proxy has now as it should.
    pub brought: usize,
    /// How many were removed there.
    pub removed: usize,
    /// How many could not be brought.
    pub failed: usize,
    /// How many bytes of blobs went there.
    pub bytes: u64,
}

/// Writes down what the proxy has now, and what it could not be given.
pub struct Settle;

impl Declared for Settle {
    const NAME: &'static str = "settle";
    const POLICY: Policy = policy();
    type Workflow = SyncProxy;
    type Needs = Bring;
    type Output = Settled;
}

impl TransactionalStep for Settle {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &Context<SyncProxy>,
        sync: &SyncProxy,
        brought: Brought,
    ) -> Result<Settled, StepError> {
        Ok(settle(tx, cx, sync, &brought).await?)
    }
}

async fn settle(
    tx: &mut Tx,
    cx: &Context<SyncProxy>,
    sync: &SyncProxy,
    brought: &Brought,
) -> Result<Settled, Failed> {
    let (plan, at) = (cx.plan(), cx.clock().now());
    let mut settled = Settled {
        brought: 0,
        removed: 0,
        failed: 0,
        bytes: brought.bytes,
    };
    let Some(proxy) = smart_proxies::find(tx, &sync.name).await? else {
        return Ok(settled);
    };
    let ends: HashMap<Place, Option<&str>> = brought
        .ended
        .iter()
        .map(|end| (end.place, end.error.as_deref()))
        .collect();
    let mut trouble = brought.error.clone();
    for wanted in &brought.looked.wanted {
        match ends.get(&wanted.place) {
            Some(None) => {
                contents::brought(tx, proxy.id, wanted, plan, at).await?;
                settled.brought += 1;
            }
            Some(Some(error)) => {
                contents::failed(tx, proxy.id, wanted.place, plan, error).await?;
                trouble.get_or_insert_with(|| format!("{}: {error}", wanted.title()));
                settled.failed += 1;
            }
            None => {
                if let Some(error) = &brought.error {
                    contents::failed(tx, proxy.id, wanted.place, plan, error).await?;
                    settled.failed += 1;
                }
            }
        }
    }
    for gone in &brought.looked.gone {
        match ends.get(gone) {
            Some(None) => {
                contents::removed(tx, proxy.id, *gone).await?;
                settled.removed += 1;
            }
            Some(Some(error)) => {
                contents::failed(tx, proxy.id, *gone, plan, error).await?;
                trouble.get_or_insert_with(|| (*error).to_owned());
                settled.failed += 1;
            }
            None => {}
        }
    }
    for warning in &brought.warnings {
        cx.warn(format!("smart proxy {}: {warning}", proxy.name));
    }
    if let Some(trouble) = &trouble {
        cx.warn(format!(
            "smart proxy {} does not have all: {trouble}",
            proxy.name
        ));
    }
    let again_at = trouble.is_some().then(|| at + again_after(&proxy));
    smart_proxies::ended(tx, proxy.id, trouble.as_deref(), again_at, at).await?;
    Ok(settled)
}

fn again_after(proxy: &SmartProxy) -> Duration {
    let (first, longest) = AGAIN_AFTER;
    first
        .saturating_mul(1 << proxy.failures.min(16))
        .min(longest)
}
