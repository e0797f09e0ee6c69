//! A delete of a repository, which a revert takes back as long as nothing of it was collected.
//!
//! ```text
//! unpublish -> remove_from_proxies -> remove_container_repository -> remove_push_repository -> remove_catalog_rows
//! ```
//!
//! `unpublish` is recorded with the submit: from then on nobody pulls from it, and its name leads to another repository. Pushes
//! that were queued before run first.

mod name;
mod remove_catalog_rows;
mod remove_container_repository;
mod remove_push_repository;
mod submit;
mod unpublish;

pub use name::{InTheWay, in_the_way};
pub(crate) use name::{is_used, name_taken, without_product};
pub use remove_catalog_rows::{RemoveCatalogRows, RemovedCatalogRows};
pub use remove_container_repository::{RemoveContainerRepository, RemovedContainerRepository};
pub use remove_push_repository::{RemovePushRepository, RemovedPushRepository};
pub(crate) use submit::end_what_is_paused;
pub use submit::{DeleteError, Deleting, look, submit};
pub use unpublish::{Unpublish, Unpublished, WasPublished};
pub(crate) use unpublish::{publish_again, unpublish};

use crate::destination::Destination;
use crate::error::Failed;
use crate::services::Services;
use crate::sync_proxies::{Moved, Publishes, SyncProxies};
use engine::journal::{PlanId, Rescue};
use engine::lock::{Lock, OnPause};
use engine::step::Policy;
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use storage::Tx;
use storage::catalog::tombstones::{self, Part};
use storage::catalog::{CatalogError, UserId, environments};

/// The input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteRepository {
    /// Who deletes.
    pub user: UserId,
    /// His login, as it was then.
    pub login: String,
    /// The repository, by where pushes to it went.
    pub repository: Destination,
}

/// Where the setting says for ever.
pub(crate) const FOR_EVER: Duration = Duration::from_hours(24 * 3650);

impl Workflow for DeleteRepository {
    const NAME: &'static str = "delete_repository";
    const VERSION: u32 = 1;
    const SAFE: &'static str =
        "What was pushed is kept, and a revert brings it back until it is collected.";
    type Services = Services;

    fn steps() -> Steps<Self> {
        Steps::first(Unpublish)
            .step(SyncProxies::new(), after::<Unpublish>())
            .step(RemoveContainerRepository, after::<SyncProxies<Self>>())
            .step(RemovePushRepository, after::<RemoveContainerRepository>())
            .step(RemoveCatalogRows, after::<RemovePushRepository>())
    }

    fn action(&self) -> String {
        format!("Delete of repository {}", self.repository)
    }

    /// It comes after the pushes that were there before it.
    fn locks(&self) -> Vec<Lock> {
        vec![
            Lock::exclusive(self.repository.resource())
                .until::<RemoveCatalogRows>()
                .on_pause(OnPause::Release),
        ]
    }

    fn organization(&self) -> Option<String> {
        Some(self.repository.organization_label.clone())
    }

    fn links(&self) -> Vec<(&'static str, String)> {
        vec![
            ("repository", self.repository.label_form()),
            ("product", self.repository.product_label.clone()),
        ]
    }

    /// As the setting says when nobody has changed it; each plan has what it said then.
    fn revertible_for() -> Option<Duration> {
        Some(Duration::from_hours(24 * 7))
    }

    fn open_key(&self) -> Option<String> {
        Some(format!("delete repository {}", self.repository.id))
    }
}

impl Publishes for DeleteRepository {
    type After = Unpublish;
    const STEP: &'static str = "remove_from_proxies";
    // A proxy that is down keeps nobody from deleting: what it has is removed once it is back.
    const POLICY: Policy = Policy::idempotent().rescue(Rescue::Skip);

    async fn changed(&self, tx: &mut Tx) -> Result<Moved, CatalogError> {
        let all = environments::all(tx, self.repository.organization).await?;
        Ok(Moved {
            environments: all.iter().map(|environment| environment.id).collect(),
            repository: Some(self.repository.id.into()),
        })
    }
}

/// Each of its steps only says in the catalog what is gone, and can take that back.
const fn undoable() -> Policy {
    Policy::idempotent().undoable()
}

/// Takes back that the part is gone.
async fn lift(
    tx: &mut Tx,
    delete: &DeleteRepository,
    part: Part,
    plan: PlanId,
) -> Result<(), Failed> {
    if tombstones::lift(tx, delete.repository.id, part, plan).await? {
        return Ok(());
    }
    Err(Failed::for_good(format!(
        "repository {} was collected meanwhile, because its time was over: nothing of it can be brought back",
        delete.repository
    )))
}
