//! What the proxy lacks.

use super::{SyncProxy, policy};
use crate::error::Failed;
use engine::step::{Context, Declared, Policy, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::smart_proxies::contents::{Place, Wanted};
use storage::catalog::smart_proxies::{self, contents};

/// So many repositories are brought by one sync: its plan names them all. Another one brings the rest.
const AT_MOST: u32 = 500;

/// What the proxy lacked when the turn of the sync came.
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
    /// In words.
    pub text: String,
}

/// Compares what the environments of the proxy publish with what it has, as its last syncs have told.
pub struct Look;

impl Declared for Look {
    const NAME: &'static str = "look";
    const POLICY: Policy = policy();
    type Workflow = SyncProxy;
    type Needs = ();
    type Output = Looked;
}

impl TransactionalStep for Look {
    async fn run(
        &self,
        tx: &mut Tx,
        _: &Context<SyncProxy>,
        sync: &SyncProxy,
        (): (),
    ) -> Result<Looked, StepError> {
        Ok(look(tx, sync).await?)
    }
}

async fn look(tx: &mut Tx, sync: &SyncProxy) -> Result<Looked, Failed> {
    let found = smart_proxies::find(tx, &sync.name).await?;
    if let Some(proxy) = found.filter(|proxy| sync.all && proxy.enabled) {
        contents::doubt(tx, proxy.id).await?;
    }
    lacks(tx, sync).await
}

/// What the proxy lacks now.
pub(super) async fn lacks(tx: &mut Tx, sync: &SyncProxy) -> Result<Looked, Failed> {
    let nothing = |text: String| Looked {
        text,
        ..Looked::default()
    };
    let Some(proxy) = smart_proxies::find(tx, &sync.name).await? else {
        return Ok(nothing(format!(
            "there is no smart proxy {} any more",
            sync.name
        )));
    };
    if !proxy.enabled {
        return Ok(nothing(format!("smart proxy {} is disabled", proxy.name)));
    }
    let wanted = contents::behind(tx, proxy.id, sync.first, AT_MOST).await?;
    let gone = contents::gone(tx, proxy.id, AT_MOST).await?;
    let text = match (wanted.as_slice(), gone.len()) {
        ([], 0) => "it has everything".to_owned(),
        ([one], 0) => format!("{} is to be brought", one.title()),
        (wanted, 0) => format!("{} repositories are to be brought", wanted.len()),
        (wanted, gone) => format!(
            "{} repositories are to be brought, and {gone} to be removed",
            wanted.len()
        ),
    };
    let whole = sync.all || !contents::has_anything(tx, proxy.id).await?;
    Ok(Looked {
        wanted,
        gone,
        whole,
        text,
    })
}
