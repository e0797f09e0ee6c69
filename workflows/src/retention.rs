//! Retention: what a product's rules do not keep goes out of its repositories.
//!
//! ```text
//! look -> apply
//! ```
//!
//! `apply` has a sub-task `apply_retention` for each repository that has something to lose. It judges again under the lock of its
//! repository, so that what was pushed meanwhile stays. A dry run looks at the same and has no sub-tasks.

mod apply;
mod judge;
mod look;

pub use apply::{Applied, Apply};
pub use judge::{JudgeError, going, judge_all};
pub use look::{Look, Looked, Losing};

use crate::services::Services;
use engine::priority::Priority;
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};

/// The input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retain {
    /// Only say what would go.
    pub dry_run: bool,
    /// Only of this product; none: of all that have rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<OfProduct>,
}

/// A product by its labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfProduct {
    /// That of its organization.
    pub organization: String,
    /// Its own.
    pub label: String,
}

impl Workflow for Retain {
    const NAME: &'static str = "retention";
    const VERSION: u32 = 1;
    const SAFE: &'static str =
        "What goes lies in the versions before, and a rollback of its repository brings it back.";
    type Services = Services;

    fn steps() -> Steps<Self> {
        Steps::first(Look).step(Apply, after::<Look>())
    }

    fn action(&self) -> String {
        let what = if self.dry_run {
            "Dry run of retention"
        } else {
            "Retention"
        };
        match &self.product {
            None => what.to_owned(),
            Some(of) => format!("{what} in {}/{}", of.organization, of.label),
        }
    }

    fn organization(&self) -> Option<String> {
        self.product.as_ref().map(|of| of.organization.clone())
    }

    fn links(&self) -> Vec<(&'static str, String)> {
        let product = self.product.iter();
        product.map(|of| ("product", of.label.clone())).collect()
    }

    fn priority(&self) -> Priority {
        Priority::Background
    }

    /// Of two that do the same one is enough. A dry run stands in nobody's way, and for nobody's run.
    fn open_key(&self) -> Option<String> {
        let of = self.product.as_ref().map_or_else(String::new, |of| {
            format!(" {}/{}", of.organization, of.label).to_ascii_lowercase()
        });
        (!self.dry_run).then(|| format!("retention{of}"))
    }
}
