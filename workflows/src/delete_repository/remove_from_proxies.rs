//! From the smart proxies.

use super::{DeleteRepository, Unpublish, Unpublished};
use engine::journal::Rescue;
use engine::step::{Context, Declared, Policy, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;

/// The proxies that it was removed from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemovedFromProxies {
    /// Their names.
    pub proxies: Vec<String>,
    /// In words.
    pub text: String,
}

/// Removes the repository from every smart proxy that has one of its environments. This server has no smart proxies, and says so.
pub struct RemoveFromProxies;

impl Declared for RemoveFromProxies {
    const NAME: &'static str = "remove_from_proxies";
    const POLICY: Policy = Policy::idempotent().rescue(Rescue::Skip);
    type Workflow = DeleteRepository;
    type Needs = Unpublish;
    type Output = RemovedFromProxies;
}

impl TransactionalStep for RemoveFromProxies {
    async fn run(
        &self,
        _: &mut Tx,
        _: &Context<DeleteRepository>,
        _: &DeleteRepository,
        unpublished: Unpublished,
    ) -> Result<RemovedFromProxies, StepError> {
        let environments = unpublished.published.len();
        Ok(RemovedFromProxies {
            proxies: Vec::new(),
            text: format!("no smart proxy has any of the {environments} environments"),
        })
    }
}
