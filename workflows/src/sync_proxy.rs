//! A sync of a smart proxy: what it lacks is brought there, and what it shall not have any more is removed.
//!
//! ```text
//! look -> bring -> settle
//! ```
//!
//! It looks when its turn comes, not when it is wished for: of many wishes that wait for a proxy, the first brings all that was
//! missed. While the proxy is down, its gate keeps the sync from looking.

mod bring;
mod keep_current;
mod look;
mod settle;
mod submit;

pub use bring::{Bring, Ticket, Work};
pub use keep_current::{keep_current, submit_what_is_due};
use look::lacks;
pub use look::{Look, Looked, Looks};
pub use settle::{Settle, Settled};
pub use submit::{SyncError, submit};

use crate::gate::smart_proxy;
use crate::services::Services;
use engine::journal::Rescue;
use engine::lock::{Lock, OnPause};
use engine::step::Policy;
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use storage::catalog::RepositoryId;

/// The input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncProxy {
    /// The name of the smart proxy.
    pub name: String,
    /// Look at all that it should have, whatever is known of it.
    #[serde(default)]
    pub all: bool,
    /// The repository that is brought before others: that of the push whose sub-task it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<RepositoryId>,
}

impl Workflow for SyncProxy {
    const NAME: &'static str = "sync_proxy";
    const VERSION: u32 = 1;
    const SAFE: &'static str = "The proxy serves what it has, as of its last whole sync.";
    const ELSE: &'static str = "Another sync begins by itself, and brings all that is missing.";
    type Services = Services;

    fn steps() -> Steps<Self> {
        Steps::first(Look)
            .step(Bring, after::<Look>())
            .step(Settle, after::<Bring>())
    }

    fn action(&self) -> String {
        let what = if self.all { "Whole sync" } else { "Sync" };
        format!("{what} of smart proxy {}", self.name)
    }

    /// One after the other. What is published meanwhile comes with the next.
    fn locks(&self) -> Vec<Lock> {
        vec![Lock::exclusive(format!("smart_proxy {}", self.name)).on_pause(OnPause::Release)]
    }

    fn links(&self) -> Vec<(&'static str, String)> {
        vec![(PROXY, self.name.clone())]
    }

    fn gate(&self, step: &str) -> Option<String> {
        use engine::step::Declared as _;
        (step != Settle::NAME).then(|| smart_proxy(&self.name))
    }
}

/// What its plans are found by.
pub(crate) const PROXY: &str = "smart_proxy";

/// One that fails has failed: the next one comes by itself and finds the same, while a paused one would need a person.
const fn policy() -> Policy {
    Policy::idempotent().attempts(2).rescue(Rescue::Fail)
}
