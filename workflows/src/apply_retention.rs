//! Retention in one repository.
//!
//! ```text
//! remove
//! ```
//!
//! It makes a new version without what goes and publishes it, in one commit. A rollback to the version before brings everything back.

mod remove;

pub use remove::{Remove, Removed};

use crate::destination::Destination;
use crate::services::Services;
use engine::lock::{Lock, OnPause};
use engine::priority::Priority;
use engine::workflow::{Steps, Workflow};
use serde::{Deserialize, Serialize};

/// The input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApplyRetention {
    /// Where.
    pub repository: Destination,
    /// The login of who wanted it.
    pub by: String,
}

impl Workflow for ApplyRetention {
    const NAME: &'static str = "apply_retention";
    const VERSION: u32 = 1;
    const SAFE: &'static str =
        "What goes lies in the version before, and a rollback brings it back.";
    type Services = Services;

    fn steps() -> Steps<Self> {
        Steps::first(Remove)
    }

    fn action(&self) -> String {
        format!("Retention of {}", self.repository)
    }

    /// It comes after the pushes that were there before it.
    fn locks(&self) -> Vec<Lock> {
        vec![Lock::exclusive(self.repository.resource()).on_pause(OnPause::Release)]
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

    fn priority(&self) -> Priority {
        Priority::Background
    }
}
