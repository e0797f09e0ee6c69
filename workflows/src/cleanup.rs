//! Clearing up: what has had its time is deleted.
//!
//! ```text
//! expire_uploads -> sweep_destinations -> collect_deleted -> prune_versions -> collect_garbage
//! delete_tasks
//! ```
//!
//! Each step of the first row takes something away that the next one would find needed. Every run begins anew and looks at what
//! there is then: one that was cancelled, failed or died left nothing half done. A dry run looks at the same and deletes nothing,
//! and what one step would take away counts as gone for the next.

mod archive;
mod collect_deleted;
mod collect_garbage;
mod delete_tasks;
mod expire_uploads;
mod in_pulp;
mod prune_versions;
mod run;
mod sweep_destinations;

pub use collect_deleted::{CollectDeleted, CollectedDeleted};
pub use collect_garbage::{CollectGarbage, CollectedGarbage};
pub use delete_tasks::{DeleteTasks, DeletedTasks};
pub use expire_uploads::{ExpireUploads, ExpiredUploads};
pub use prune_versions::{PruneVersions, PrunedVersions};
pub use sweep_destinations::{SweepDestinations, SweptDestinations};

use crate::services::Services;
use engine::journal::Rescue;
use engine::step::Policy;
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cleanup {
    /// Only say what would be deleted.
    pub dry_run: bool,
}

impl Workflow for Cleanup {
    const NAME: &'static str = "cleanup";
    const VERSION: u32 = 1;
    type Services = Services;

    fn steps() -> Steps<Self> {
        Steps::first(ExpireUploads)
            .step(SweepDestinations, after::<ExpireUploads>())
            .step(CollectDeleted, after::<SweepDestinations>())
            .step(PruneVersions, after::<CollectDeleted>())
            .step(CollectGarbage, after::<PruneVersions>())
            .step(DeleteTasks, after::<()>())
    }

    fn action(&self) -> String {
        if self.dry_run {
            "Dry run of the cleanup".into()
        } else {
            "Cleanup".into()
        }
    }

    /// Of two that delete, one is enough. A dry run stands in nobody's way, and for nobody's run.
    fn open_key(&self) -> Option<String> {
        (!self.dry_run).then(|| "cleanup".into())
    }
}

/// It takes as long as there is something to delete. One that fails has failed: the next one comes by itself and finds the same,
/// while a paused one would stand for it until a person came.
const fn policy() -> Policy {
    Policy::idempotent()
        .timeout(Duration::from_hours(12))
        .rescue(Rescue::Fail)
}
