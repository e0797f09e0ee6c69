//! What a plan knows of its sub-tasks.

use super::{Child, Family, Plan, StepStatus};
use crate::journal::{ChildState, PlanId, PlanResult, RefusedChild, StepIndex, Until, WantedChild};
use crate::state::{PlanState, StepEvent};

impl Plan {
    pub(super) fn child_moved(&mut self, plan: PlanId, state: ChildState) -> Result<(), String> {
        let families = self
            .steps
            .iter_mut()
            .filter_map(|step| step.family.as_mut());
        let mut children = families.flat_map(|family| &mut family.children);
        let child = children
            .find(|child| child.plan == Some(plan))
            .ok_or_else(|| format!("task {plan} is no sub-task of it"))?;
        child.state = state;
        if self.state == PlanState::Paused && !self.lends_locks() {
            self.gives_locks_up();
        }
        Ok(())
    }

    /// Sub-tasks are at work that have no locks but its own.
    #[must_use]
    pub fn lends_locks(&self) -> bool {
        self.steps.iter().any(StepStatus::lends_its_locks)
    }

    /// The sub-tasks that a step wants. One that it knows already stays what it is, unless it has ended without being done.
    pub(super) fn spawn(
        &mut self,
        step: StepIndex,
        wanted: &[WantedChild],
        until: Until,
        at_once: u32,
        told: &[PlanId],
    ) -> Result<(), String> {
        let step = self.step_on(step, StepEvent::Suspend)?;
        let family = step.family.get_or_insert_with(|| {
            Box::new(Family {
                children: Vec::new(),
                until,
                at_once,
            })
        });
        (family.until, family.at_once) = (until, at_once.max(1));
        let is_told = |child: &&mut Child| child.plan.is_some_and(|plan| told.contains(&plan));
        for child in family.children.iter_mut().filter(is_told) {
            child.state = ChildState::Open;
        }
        for wanted in wanted {
            let mut known = family.children.iter_mut();
            match known.find(|child| child.wanted.key == wanted.key) {
                None => family.children.push(Child {
                    wanted: wanted.clone(),
                    plan: None,
                    state: ChildState::Wanted,
                    refused: None,
                }),
                Some(known) => match known.state {
                    // It can be resumed: that is asked of it in the same decision.
                    ChildState::Ended(PlanResult::Error) if known.plan.is_some() => {
                        known.state = ChildState::Open;
                    }
                    ChildState::Ended(PlanResult::Success | PlanResult::Warning)
                    | ChildState::Wanted
                    | ChildState::Open
                    | ChildState::Stuck => {}
                    ChildState::Ended(_) => {
                        (known.state, known.plan, known.refused) = (ChildState::Wanted, None, None);
                    }
                },
            }
        }
        Ok(())
    }

    pub(super) fn children_submitted(
        &mut self,
        step: StepIndex,
        submitted: &[(String, PlanId)],
        refused: &[RefusedChild],
    ) -> Result<(), String> {
        let count = self.steps.len();
        let step = self
            .steps
            .get_mut(step)
            .ok_or_else(|| format!("there is no step {step} among {count}"))?;
        let family = step
            .family
            .as_mut()
            .ok_or("a step without sub-tasks submits some")?;
        for (key, plan) in submitted {
            let child = family.wanted(key)?;
            (child.plan, child.state) = (Some(*plan), ChildState::Open);
        }
        for RefusedChild { key, why } in refused {
            let child = family.wanted(key)?;
            (child.refused, child.state) =
                (Some(why.clone()), ChildState::Ended(PlanResult::Error));
        }
        Ok(())
    }
}

impl Family {
    /// The sub-task of this key, which is not submitted yet.
    fn wanted(&mut self, key: &str) -> Result<&mut Child, String> {
        let mut children = self.children.iter_mut();
        children
            .find(|child| child.wanted.key == *key && child.state == ChildState::Wanted)
            .ok_or_else(|| format!("no sub-task `{key}` is wanted"))
    }
}
