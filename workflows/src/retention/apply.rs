//! A sub-task for each repository.

use super::{Look, Looked, Retain};
use crate::apply_retention::ApplyRetention;
use engine::journal::{ChildState, ENGINE, Rescue};

use engine::step::{Child, Context, Declared, Policy, SpawningStep, StepError, Until};
use serde::{Deserialize, Serialize};

/// What came of the sub-tasks. What each has removed it tells itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// How many have done their part.
    pub done: u64,
    /// How many wait, for example for a push to their repository: they go on alone.
    pub go_on: u64,
    /// How many have failed or were cancelled; the next run tries again.
    pub failed: u64,
}

/// Lets each repository lose what goes: a few at once, and none waits for one that waits.
pub struct Apply;

impl Declared for Apply {
    const NAME: &'static str = "apply";
    const POLICY: Policy = Policy::idempotent().rescue(Rescue::Fail);
    type Workflow = Retain;
    type Needs = Look;
    type Output = Applied;
}

impl SpawningStep for Apply {
    type Child = ApplyRetention;
    const UNTIL: Until = Until::EndedOrStuck;
    const AT_ONCE: u32 = 4;

    async fn children(
        &self,
        cx: &Context<Retain>,
        input: &Retain,
        looked: Looked,
    ) -> Result<Vec<(String, ApplyRetention)>, StepError> {
        if input.dry_run {
            return Ok(Vec::new());
        }
        let by = cx.actor().unwrap_or(ENGINE);
        let of = looked.losing.into_iter().map(|losing| {
            let repository = losing.repository;
            let by = by.to_owned();
            (repository.id.to_string(), ApplyRetention { repository, by })
        });
        Ok(of.collect())
    }

    async fn gather(
        &self,
        cx: &Context<Retain>,
        _: &Retain,
        children: &[Child],
    ) -> Result<Applied, StepError> {
        let mut applied = Applied::default();
        for child in children {
            match child.state {
                _ if child.is_done() => applied.done += 1,
                ChildState::Ended(_) => applied.failed += 1,
                ChildState::Wanted | ChildState::Open | ChildState::Stuck => applied.go_on += 1,
            }
        }
        if applied.failed > 0 {
            cx.warn(format!(
                "{} of {} repositories could not be changed; their tasks say why, and the next run tries again",
                applied.failed,
                children.len()
            ));
        }
        Ok(applied)
    }
}
