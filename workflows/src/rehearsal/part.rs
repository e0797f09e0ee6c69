//! A sub-task of a rehearsal.

use super::{Fault, fault, marks};
use crate::services::Services;
use engine::step::{Context, Declared, Policy, Step, StepError};
use engine::workflow::{Steps, Workflow};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The input of a sub-task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Which one it is, from 1.
    pub number: u32,
    /// How long it works.
    pub work_ms: u64,
    /// What goes wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

impl Workflow for Part {
    const NAME: &'static str = "rehearsal_part";
    const VERSION: u32 = 1;
    type Services = Services;

    fn steps() -> Steps<Self> {
        Steps::first(Play)
    }

    fn action(&self) -> String {
        format!("Part {} of a rehearsal", self.number)
    }

    fn revertible_for() -> Option<Duration> {
        Some(Duration::from_hours(1))
    }
}

/// Nothing but that it happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PartDone {}

/// Leaves its mark and works for a while.
pub struct Play;

impl Declared for Play {
    const NAME: &'static str = "play";
    const POLICY: Policy = Policy::idempotent().undoable();
    type Workflow = Part;
    type Needs = ();
    type Output = PartDone;
}

impl Step for Play {
    async fn run(&self, cx: &Context<Part>, part: &Part, (): ()) -> Result<PartDone, StepError> {
        fault::part::<Self>(part, cx)?;
        marks::leave(cx, Self::NAME).await?;
        marks::work(cx, part.work_ms).await;
        Ok(PartDone {})
    }

    async fn compensate(
        &self,
        cx: &Context<Part>,
        part: &Part,
        _: PartDone,
    ) -> Result<(), StepError> {
        fault::undo_part::<Self>(part, cx)?;
        marks::take_away(cx, Self::NAME).await
    }
}
