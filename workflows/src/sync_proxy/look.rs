//! What the proxy lacks.

use super::{SyncProxy, policy};
use crate::error::Failed;
use engine::step::{Context, Declared, Policy, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::SmartProxyId;
use storage::catalog::smart_proxies::contents::{Place, Wanted};
use storage::catalog::smart_proxies::{self, contents};

/// So many repositories are brought by one sync: its plan names them all. Another one brings the rest.
const AT_MOST: u32 = 500;

/// How it is looked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looks {
    /// In words.
    pub text: String,
}

/// What the proxy lacks. It is found where it is brought, at each attempt, because more may have been published since.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// What it shall have and has not.
    pub wanted: Vec<Wanted>,
    /// What it has and shall not have any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<Place>,
    /// All that it holds is to be looked at: somebody asked for that, or nothing is known of it.
    #[serde(default)]
    pub whole: bool,
}

/// Decides what is compared: what its last syncs have told of the proxy, or, in a whole sync, all that it has.
pub struct Look;

impl Declared for Look {
    const NAME: &'static str = "look";
    const POLICY: Policy = policy();
    type Workflow = SyncProxy;
    type Needs = ();
    type Output = Looks;
}

impl TransactionalStep for Look {
    async fn run(
        &self,
        tx: &mut Tx,
        _: &Context<SyncProxy>,
        sync: &SyncProxy,
        (): (),
    ) -> Result<Looks, StepError> {
        Ok(look(tx, sync).await?)
    }
}

async fn look(tx: &mut Tx, sync: &SyncProxy) -> Result<Looks, Failed> {
    let text = match smart_proxies::find(tx, &sync.name).await? {
        None => format!("there is no smart proxy {} any more", sync.name),
        Some(proxy) if !proxy.enabled => format!("smart proxy {} is disabled", proxy.name),
        Some(proxy) if sync.all => {
            contents::doubt(tx, proxy.id).await?;
            "all that it should have is looked at".to_owned()
        }
        Some(_) => "what has changed since its last sync is looked at".to_owned(),
    };
    Ok(Looks { text })
}

/// What the proxy lacks now.
pub(super) async fn lacks(
    tx: &mut Tx,
    sync: &SyncProxy,
    proxy: SmartProxyId,
) -> Result<Looked, Failed> {
    Ok(Looked {
        wanted: contents::behind(tx, proxy, sync.first, AT_MOST).await?,
        gone: contents::gone(tx, proxy, AT_MOST).await?,
        whole: sync.all || !contents::has_anything(tx, proxy).await?,
    })
}
