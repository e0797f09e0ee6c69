//! Cancels many tasks.

use super::{Bulk, Left, Verb, ask, policy};
use crate::services::Services;
use engine::journal::PlanId;
use engine::priority::Priority;
use engine::step::{Context, Declared, Policy, Step, StepError};
use engine::workflow::{Steps, Workflow};
use serde::{Deserialize, Serialize};

/// Cancels the tasks that were found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BulkCancel(pub Bulk);

impl Workflow for BulkCancel {
    const NAME: &'static str = "bulk_cancel";
    const VERSION: u32 = 1;
    type Services = Services;

    fn steps() -> Steps<Self> {
        Steps::first(Cancel)
    }

    fn action(&self) -> String {
        self.0.action("Cancel")
    }

    fn organization(&self) -> Option<String> {
        self.0.organization.clone()
    }

    fn priority(&self) -> Priority {
        Priority::Background
    }

    fn at_once() -> Option<usize> {
        Some(super::AT_ONCE)
    }
}

/// What came of each task.
#[derive(Debug, Serialize, Deserialize)]
pub struct Cancelled {
    /// These end.
    pub cancelled: Vec<PlanId>,
    /// These were left as they are.
    pub skipped: Vec<Left>,
    /// These were asked and did not.
    pub failed: Vec<Left>,
}

/// Asks each task to end, and looks at what came of that.
pub struct Cancel;

impl Declared for Cancel {
    const NAME: &'static str = "cancel";
    const POLICY: Policy = policy();
    type Workflow = BulkCancel;
    type Needs = ();
    type Output = Cancelled;
}

impl Step for Cancel {
    async fn run(
        &self,
        cx: &Context<BulkCancel>,
        input: &BulkCancel,
        (): (),
    ) -> Result<Cancelled, StepError> {
        let asked = ask::all(cx, &input.0, Verb::Cancel).await?;
        Ok(Cancelled {
            cancelled: asked.done,
            skipped: asked.skipped,
            failed: asked.failed,
        })
    }
}
