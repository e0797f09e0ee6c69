//! On to the smart proxies.

use super::{Distribute, Push};
use engine::step::{Context, Declared, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;

/// The proxies that were synced.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SyncedProxies {
    /// Their names.
    pub proxies: Vec<String>,
    /// In words.
    pub text: String,
}

/// Brings what was published to every smart proxy that has the environment. This server has no smart proxies, and says so.
pub struct SyncProxies;

impl Declared for SyncProxies {
    const NAME: &'static str = "sync_proxies";
    type Workflow = Push;
    type Needs = Distribute;
    type Output = SyncedProxies;
}

impl TransactionalStep for SyncProxies {
    async fn run(
        &self,
        _: &mut Tx,
        _: &Context<Push>,
        _: &Push,
        published: super::Distributed,
    ) -> Result<SyncedProxies, StepError> {
        let text = format!("no smart proxy has environment {}", published.environment);
        Ok(SyncedProxies {
            proxies: Vec::new(),
            text,
        })
    }
}
