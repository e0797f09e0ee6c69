//! On to the smart proxies: a step of all that changes what environments publish.

use crate::destination::Destination;
use crate::error::Failed;
use crate::services::Services;
use crate::sync_proxy::{PROXY, SyncProxy};
use engine::step::{Child, Context, Declared, Outputs, Policy, SpawningStep, StepError, Until};
use engine::workflow::Workflow;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::marker::PhantomData;
use storage::Tx;
use storage::catalog::smart_proxies::{self, SmartProxy, contents, contents::Place};
use storage::catalog::{CatalogError, EnvironmentId, RepositoryId, environments, settings};
use storage::journal::waiting;

/// A workflow that changes what environments publish.
pub trait Publishes: Workflow<Services = Services> {
    /// The step that has changed it.
    type After: Declared<Workflow = Self>;
    /// What the step is called that brings it to the proxies; never changed.
    const STEP: &'static str = "sync_proxies";
    /// How that is tried.
    const POLICY: Policy = Policy::idempotent();

    /// What has changed.
    fn changed(&self, tx: &mut Tx) -> impl Future<Output = Result<Moved, CatalogError>> + Send;
}

/// What environments publish in another way than before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// The environments.
    pub environments: Vec<EnvironmentId>,
    /// The repository; none: of all of them.
    pub repository: Option<RepositoryId>,
}

impl Moved {
    /// Library publishes the repository of this destination in another way.
    pub(crate) async fn in_library(tx: &mut Tx, of: &Destination) -> Result<Self, CatalogError> {
        let library = environments::library(tx, of.organization).await?;
        Ok(Self::of(library.id, of))
    }

    /// The environment publishes the repository of this destination in another way.
    pub(crate) fn of(environment: EnvironmentId, of: &Destination) -> Self {
        Self {
            environments: vec![environment],
            repository: Some(of.id.into()),
        }
    }
}

/// What became of it at the proxies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SyncedProxies {
    /// The names of those that have it.
    pub proxies: Vec<String>,
    /// In words.
    pub text: String,
}

const NO_PROXY: &str = "no smart proxy has the environment";

/// Brings what was published to every smart proxy that has the environment, by a sub-task for each. Nobody waits for a proxy that is
/// down, or busy with another sync: its sub-task goes on alone.
pub struct SyncProxies<W>(PhantomData<fn() -> W>);

impl<W> SyncProxies<W> {
    /// The step.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<W> Default for SyncProxies<W> {
    fn default() -> Self {
        Self::new()
    }
}

impl<W: Publishes> Declared for SyncProxies<W> {
    const NAME: &'static str = W::STEP;
    const POLICY: Policy = W::POLICY;
    type Workflow = W;
    type Needs = W::After;
    type Output = SyncedProxies;
}

impl<W: Publishes> SpawningStep for SyncProxies<W> {
    type Child = SyncProxy;
    const UNTIL: Until = Until::EndedOrStuck;

    async fn children(
        &self,
        cx: &Context<W>,
        input: &W,
        _: Outputs<Self>,
    ) -> Result<Vec<(String, SyncProxy)>, StepError> {
        Ok(wanted(cx, input).await?)
    }

    async fn gather(
        &self,
        cx: &Context<W>,
        input: &W,
        _: &[Child],
    ) -> Result<SyncedProxies, StepError> {
        Ok(told(cx, input).await?)
    }
}

/// A sub-task for each proxy that lacks something, and for which no sync waits already: that one will bring this, too.
async fn wanted<W: Publishes>(
    cx: &Context<W>,
    input: &W,
) -> Result<Vec<(String, SyncProxy)>, Failed> {
    let mut tx = read(cx).await?;
    if !smart_proxies::is_any(&mut tx).await? || !settings::sync_smart_proxies(&mut tx).await? {
        return Ok(Vec::new());
    }
    let changed = input.changed(&mut tx).await?;
    let mut wanted = Vec::new();
    for proxy in smart_proxies::with_environments(&mut tx, &changed.environments).await? {
        if !has(&mut tx, &proxy, &changed).await?
            && waiting(&mut tx, SyncProxy::NAME, (PROXY, &proxy.name))
                .await?
                .is_none()
        {
            let sync = SyncProxy {
                name: proxy.name.clone(),
                all: false,
                first: changed.repository,
            };
            wanted.push((proxy.name, sync));
        }
    }
    Ok(wanted)
}

/// Which of them have it by now.
async fn told<W: Publishes>(cx: &Context<W>, input: &W) -> Result<SyncedProxies, Failed> {
    let mut tx = read(cx).await?;
    if !smart_proxies::is_any(&mut tx).await? {
        return Ok(SyncedProxies {
            proxies: Vec::new(),
            text: NO_PROXY.to_owned(),
        });
    }
    let changed = input.changed(&mut tx).await?;
    let (mut proxies, mut others) = (Vec::new(), Vec::new());
    for proxy in smart_proxies::with_environments(&mut tx, &changed.environments).await? {
        if has(&mut tx, &proxy, &changed).await? {
            proxies.push(proxy.name);
        } else {
            others.push(proxy.name);
        }
    }
    let text = match (proxies.as_slice(), others.as_slice()) {
        ([], []) => NO_PROXY.to_owned(),
        (some, []) => format!("{} is up to date", some.join(", ")),
        _ if !settings::sync_smart_proxies(&mut tx).await? => {
            "smart proxies are synced by hand and by schedule only, as the setting sync_smart_proxies says"
                .to_owned()
        }
        (_, missing) => {
            let missing = missing.join(", ");
            cx.warn(format!(
                "smart proxy {missing} is not up to date yet; that comes by itself"
            ));
            format!("{missing} is not up to date yet")
        }
    };
    Ok(SyncedProxies { proxies, text })
}

async fn has(tx: &mut Tx, proxy: &SmartProxy, changed: &Moved) -> Result<bool, CatalogError> {
    let Some(repository) = changed.repository else {
        return Ok(!contents::is_behind(tx, proxy.id).await?);
    };
    for environment in &changed.environments {
        let place = Place {
            environment: *environment,
            repository,
        };
        if !contents::has(tx, proxy.id, place).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn read<W: Publishes>(cx: &Context<W>) -> Result<storage::Tx, Failed> {
    Ok(cx.services.database.read().await?)
}
