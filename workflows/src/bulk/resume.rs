//! Resumes many tasks.

use super::{Bulk, Left, Verb, ask, policy};
use crate::services::Services;
use engine::journal::PlanId;
use engine::priority::Priority;
use engine::step::{Context, Declared, Policy, Step, StepError};
use engine::workflow::{Steps, Workflow};
use serde::{Deserialize, Serialize};

/// Resumes the tasks that were found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BulkResume(pub Bulk);

impl Workflow for BulkResume {
    const NAME: &'static str = "bulk_resume";
    const VERSION: u32 = 1;
    type Services = Services;

    fn steps() -> Steps<Self> {
        Steps::first(Resume)
    }

    fn action(&self) -> String {
        self.0.action("Resume")
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
pub struct Resumed {
    /// These go on.
    pub resumed: Vec<PlanId>,
    /// These were left as they are.
    pub skipped: Vec<Left>,
    /// These were asked and did not.
    pub failed: Vec<Left>,
}

/// Asks each task to go on, and looks at what came of that.
pub struct Resume;

impl Declared for Resume {
    const NAME: &'static str = "resume";
    const POLICY: Policy = policy();
    type Workflow = BulkResume;
    type Needs = ();
    type Output = Resumed;
}

impl Step for Resume {
    async fn run(
        &self,
        cx: &Context<BulkResume>,
        input: &BulkResume,
        (): (),
    ) -> Result<Resumed, StepError> {
        let asked = ask::all(cx, &input.0, Verb::Resume).await?;
        Ok(Resumed {
            resumed: asked.done,
            skipped: asked.skipped,
            failed: asked.failed,
        })
    }
}
