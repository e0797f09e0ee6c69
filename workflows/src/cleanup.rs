//! Clearing up: what has had its time is deleted.
//!
//! `delete_tasks`
//!
//! Every run begins anew and looks at what there is then: one that was cancelled, failed or died left nothing half done. A dry
//! run does the same and deletes nothing.

mod archive;
mod delete_tasks;

pub use delete_tasks::{DeleteTasks, DeletedTasks};

use crate::services::Services;
use engine::journal::Rescue;
use engine::step::Policy;
use engine::workflow::{Steps, Workflow};
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
        Steps::first(DeleteTasks)
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
