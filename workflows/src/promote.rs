//! A promotion: the next environment on a path publishes a version, too.
//!
//! ```text
//! distribute -> sync_proxies
//! ```
//!
//! It moves a pointer, and copies nothing.

mod distribute;
mod submit;

pub use distribute::{Distribute, Distributed};
pub use submit::{PromoteError, submit};

use crate::destination::Destination;
use crate::services::Services;
use crate::sync_proxies::{Moved, Publishes, SyncProxies};
use engine::lock::{Lock, OnPause};
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::{CatalogError, EnvironmentId, UserId};

/// The input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Promote {
    /// Who promotes.
    pub user: UserId,
    /// His login, as it was then.
    pub login: String,
    /// The repository.
    pub of: Destination,
    /// The version.
    pub version: i64,
    /// The environment that it is promoted to.
    pub to_environment: EnvironmentId,
    /// Its label.
    pub to_environment_label: String,
}

impl Workflow for Promote {
    const NAME: &'static str = "promote";
    const VERSION: u32 = 1;
    const SAFE: &'static str = "The environment publishes what it did before.";
    type Services = Services;

    fn steps() -> Steps<Self> {
        Steps::first(Distribute).step(SyncProxies::new(), after::<Distribute>())
    }

    fn action(&self) -> String {
        format!(
            "Promotion of {} version {} to {}",
            self.of, self.version, self.to_environment_label
        )
    }

    fn locks(&self) -> Vec<Lock> {
        vec![
            Lock::exclusive(self.of.resource())
                .until::<Distribute>()
                .on_pause(OnPause::Release),
        ]
    }

    fn organization(&self) -> Option<String> {
        Some(self.of.organization_label.clone())
    }

    fn links(&self) -> Vec<(&'static str, String)> {
        vec![
            ("repository", self.of.label_form()),
            ("product", self.of.product_label.clone()),
        ]
    }

    /// Who wants the same again meanwhile waits for the same plan.
    fn open_key(&self) -> Option<String> {
        Some(format!(
            "promote {} {} {}",
            self.of.id, self.to_environment, self.version
        ))
    }
}

impl Publishes for Promote {
    type After = Distribute;

    async fn changed(&self, _: &mut Tx) -> Result<Moved, CatalogError> {
        Ok(Moved::of(self.to_environment, &self.of))
    }
}
