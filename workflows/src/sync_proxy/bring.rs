//! Bringing it there, in the way of the proxy's kind.

use super::{Look, Looked, Looks, SyncProxy, lacks, policy};
use crate::error::Failed;
use crate::proxy::{self, Brought, Trouble};
use engine::step::{Begun, Context, Declared, Policy, Polled, PollingStep, StepError};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use storage::catalog::CatalogError;
use storage::catalog::smart_proxies::{self, Kind, SmartProxy};

/// What was begun.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ticket {
    looked: Looked,
    work: Work,
}

/// What the proxy is asked with how far it is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// A sync that the proxy does itself.
    Wharfinger(proxy::wharfinger::Ticket),
    /// Tasks of a Pulp.
    Pulp(Box<proxy::pulp::Ticket>),
}

/// Brings what is missing to the proxy, and removes what it shall not have. What is there already is not sent again: one that was
/// interrupted goes on where it was.
pub struct Bring;

impl Declared for Bring {
    const NAME: &'static str = "bring";
    const POLICY: Policy = Policy {
        // Who does not answer twice in a row is down, and is waited for at the gate.
        tolerated: 1,
        ..policy()
            .timeout(Duration::from_hours(24))
            .polled(Duration::from_millis(20), Duration::from_secs(1))
    };
    type Workflow = SyncProxy;
    type Needs = Look;
    type Output = Brought;
}

impl PollingStep for Bring {
    type Ticket = Ticket;

    async fn start(
        &self,
        cx: &Context<SyncProxy>,
        sync: &SyncProxy,
        _: Looks,
    ) -> Result<Begun<Brought, Ticket>, StepError> {
        let Some((proxy, looked)) = look_again(cx, sync).await? else {
            return Ok(Begun::Done(Brought::default()));
        };
        let has_its_own_eyes = looked.whole && proxy.kind == Kind::Wharfinger;
        if looked.wanted.is_empty() && looked.gone.is_empty() && !has_its_own_eyes {
            return Ok(Begun::Done(Brought::default()));
        }
        let begun = match proxy.kind {
            Kind::Wharfinger => proxy::wharfinger::begin(cx, &proxy, &looked)
                .await
                .map(|begun| begun.map(Work::Wharfinger)),
            Kind::Oci => proxy::oci::bring(cx, sync, &proxy, &looked)
                .await
                .map(proxy::Begun::Done),
            Kind::Pulp => proxy::pulp::begin(cx, &proxy, &looked)
                .await
                .map(|begun| begun.map(|ticket| Work::Pulp(Box::new(ticket)))),
        };
        match begun {
            Ok(proxy::Begun::Done(brought)) => Ok(Begun::Done(Brought { looked, ..brought })),
            Ok(proxy::Begun::Ticket(work)) => Ok(Begun::Ticket(Ticket { looked, work })),
            Err(trouble) => {
                let brought = told(cx, &proxy, trouble)?;
                Ok(Begun::Done(Brought { looked, ..brought }))
            }
        }
    }

    async fn poll(
        &self,
        cx: &Context<SyncProxy>,
        sync: &SyncProxy,
        ticket: &Ticket,
    ) -> Result<Polled<Brought>, StepError> {
        let Some(proxy) = find(cx, sync).await? else {
            return Ok(Polled::Done(Brought::default()));
        };
        let Ticket { looked, work } = ticket;
        let asked = match work {
            Work::Wharfinger(ticket) => proxy::wharfinger::ask(cx, &proxy, ticket, looked).await,
            Work::Pulp(ticket) => proxy::pulp::ask(cx, &proxy, ticket).await,
        };
        let brought = match asked {
            Ok(Some(brought)) => brought,
            Ok(None) => return Ok(Polled::NotYet),
            Err(trouble) => told(cx, &proxy, trouble)?,
        };
        let looked = looked.clone();
        Ok(Polled::Done(Brought { looked, ..brought }))
    }
}

/// Who does not answer is waited for, at the gate. Who answers that it will not is not asked again and again: that is written down, and
/// the next sync tries again.
fn told(
    cx: &Context<SyncProxy>,
    proxy: &SmartProxy,
    trouble: Trouble,
) -> Result<Brought, StepError> {
    let about = |text: String| format!("smart proxy {} at {}: {text}", proxy.name, proxy.url);
    match trouble {
        Trouble::Unreachable(why) => Err(StepError::transient(about(why)).class("smart_proxy")),
        Trouble::NotNow(why) if cx.attempt() < policy().attempts => {
            Err(StepError::transient(about(why)).class("smart_proxy"))
        }
        Trouble::NotNow(why) | Trouble::Refused(why) => Ok(Brought {
            error: Some(why),
            ..Brought::default()
        }),
        Trouble::Here(failed) => Err(failed.into()),
    }
}

/// The proxy, and what it lacks by now: more may have been published since the sync waited for its turn.
async fn look_again(
    cx: &Context<SyncProxy>,
    sync: &SyncProxy,
) -> Result<Option<(SmartProxy, Looked)>, Failed> {
    let Some(proxy) = find(cx, sync).await? else {
        return Ok(None);
    };
    let mut tx = cx.services.database.read().await?;
    let lacks = lacks(&mut tx, sync, proxy.id).await?;
    Ok(Some((proxy, lacks)))
}

async fn find(cx: &Context<SyncProxy>, sync: &SyncProxy) -> Result<Option<SmartProxy>, Failed> {
    let database = &cx.services.database;
    let mut tx = database.read().await.map_err(CatalogError::from)?;
    let found = smart_proxies::find(&mut tx, &sync.name).await?;
    Ok(found.filter(|proxy| proxy.enabled))
}
