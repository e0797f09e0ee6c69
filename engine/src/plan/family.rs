//! What a plan knows of its sub-tasks.

use super::{Child, Family, Plan};
use crate::journal::{ChildState, PlanId, PlanResult, StepIndex, Until, WantedChild};
use crate::state::StepEvent;

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
        Ok(())
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
                }),
                Some(known) => match known.state {
                    // It can be resumed: that is asked of it in the same decision.
                    ChildState::Ended(PlanResult::Error) => known.state = ChildState::Open,
                    ChildState::Ended(PlanResult::Success | PlanResult::Warning)
                    | ChildState::Wanted
                    | ChildState::Open
                    | ChildState::Stuck => {}
                    ChildState::Ended(_) => {
                        (known.state, known.plan) = (ChildState::Wanted, None);
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
            let mut children = family.children.iter_mut();
            let child = children
                .find(|child| child.wanted.key == *key && child.state == ChildState::Wanted)
                .ok_or_else(|| format!("no sub-task `{key}` is wanted"))?;
            (child.plan, child.state) = (Some(*plan), ChildState::Open);
        }
        Ok(())
    }
}
