//! A change of how an environment names what it publishes.
//!
//! ```text
//! rename -> sync_proxies
//! ```
//!
//! All names move in one switch: whoever pulls finds the old name or the new one, never neither.

mod rename;
mod submit;

pub use rename::Rename;
pub use submit::{ChangeError, Changed, submit};

use crate::services::Services;
use crate::sync_proxies::{Moved, Publishes, SyncProxies};
use engine::lock::Lock;
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::{CatalogError, EnvironmentId, UserId};

/// The input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangeNaming {
    /// Who changes it.
    pub user: UserId,
    /// His login, as it was then.
    pub login: String,
    /// The label of the organization.
    pub organization_label: String,
    /// The environment.
    pub environment: EnvironmentId,
    /// Its label.
    pub environment_label: String,
    /// What people call it from now on.
    pub name: String,
    /// How it names what it publishes; none: by labels, and Library by the pushed path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_name_pattern: Option<String>,
}

impl Workflow for ChangeNaming {
    const NAME: &'static str = "change_naming";
    const VERSION: u32 = 1;
    const SAFE: &'static str = "Everything is pulled by the names it had, and by its pushed path.";
    type Services = Services;

    fn steps() -> Steps<Self> {
        Steps::first(Rename).step(SyncProxies::new(), after::<Rename>())
    }

    fn action(&self) -> String {
        format!(
            "Change of names in {} of {}",
            self.environment_label, self.organization_label
        )
    }

    /// One after the other, in the order in which they were asked for.
    fn locks(&self) -> Vec<Lock> {
        let (label, organization) = (&self.environment_label, &self.organization_label);
        let resource = format!("environment {} ({organization}/{label})", self.environment);
        vec![Lock::exclusive(resource).until::<Rename>()]
    }

    fn organization(&self) -> Option<String> {
        Some(self.organization_label.clone())
    }
}

impl Publishes for ChangeNaming {
    type After = Rename;

    async fn changed(&self, _: &mut Tx) -> Result<Moved, CatalogError> {
        Ok(Moved {
            environments: vec![self.environment],
            repository: None,
        })
    }
}
