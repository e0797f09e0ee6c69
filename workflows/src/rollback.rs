//! A rollback of what an environment publishes.
//!
//! ```text
//! restore -> distribute -> sync_proxies
//! ```
//!
//! In Library it makes a new version equal to the old one, so that the newest is what is published. Other environments are
//! pointed to the old one.

mod distribute;
mod restore;
mod submit;

pub use distribute::{Distribute, Distributed};
pub use restore::{Restore, Restored};
pub use submit::{RollbackError, submit};

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
pub struct Rollback {
    /// Who wants it.
    pub user: UserId,
    /// His login, as it was then.
    pub login: String,
    /// The repository.
    pub of: Destination,
    /// The environment.
    pub environment: EnvironmentId,
    /// Its label.
    pub environment_label: String,
    /// It is Library.
    pub library: bool,
    /// The version that it shall show again.
    pub version: i64,
}

impl Workflow for Rollback {
    const NAME: &'static str = "rollback";
    const VERSION: u32 = 1;
    const SAFE: &'static str =
        "The version that was published before is kept, and can be rolled back to.";
    type Services = Services;

    fn steps() -> Steps<Self> {
        Steps::first(Restore)
            .step(Distribute, after::<Restore>())
            .step(SyncProxies::new(), after::<Distribute>())
    }

    fn action(&self) -> String {
        format!(
            "Rollback of {} in {} to version {}",
            self.of, self.environment_label, self.version
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
            "rollback {} {} {}",
            self.of.id, self.environment, self.version
        ))
    }
}

impl Publishes for Rollback {
    type After = Distribute;

    async fn changed(&self, _: &mut Tx) -> Result<Moved, CatalogError> {
        Ok(Moved::of(self.environment, &self.of))
    }
}
