//! Sub-tasks: what a parent wants of them, and what a sub-task tells its parent.

use super::Writer;
use crate::journal::{
    Action, ChildState, ENGINE, Entry, Message, PlanId, PlanResult, StepIndex, Until, WantedChild,
};
use crate::plan::{Child, Plan, StepStatus};
use crate::search::Waits;
use crate::state::{PlanState, Refused};

impl Writer {
    /// A step wants sub-tasks. Those that it knows and that failed are resumed, and when a person wants the step again also those
    /// that are stuck.
    pub(super) fn spawn(
        &mut self,
        step: StepIndex,
        children: Vec<WantedChild>,
        until: Until,
        at_once: u32,
    ) -> Result<(), Refused> {
        let status = self.next.steps.get(step);
        let by_a_person = status.is_some_and(|it| it.failures == 0);
        let family = status.and_then(|it| it.family.as_ref());
        let in_state = |state: ChildState| {
            let is_meant = |child: &&Child| {
                child.state == state && children.iter().any(|it| it.key == child.wanted.key)
            };
            let known = family.map_or(&[][..], |family| &family.children);
            let meant = known.iter().filter(is_meant);
            meant.filter_map(|child| child.plan).collect::<Vec<_>>()
        };
        let mut told = in_state(ChildState::Stuck);
        told.retain(|_| by_a_person);
        let failed = in_state(ChildState::Ended(PlanResult::Error));
        self.write(Entry::Spawning {
            step,
            children,
            until,
            at_once,
            told: told.clone(),
        })?;
        for child in failed.into_iter().chain(told) {
            self.tell(child, Action::Resume, None);
        }
        Ok(())
    }

    /// Sends the same to every sub-task of which this is true.
    pub(super) fn tell_children(
        &mut self,
        action: &Action,
        from: &Message,
        which: impl Fn(&Child) -> bool,
    ) {
        let children: Vec<PlanId> = self
            .next
            .children()
            .filter(|child| which(child))
            .filter_map(|child| child.plan)
            .collect();
        for child in children {
            self.tell(child, action.clone(), Some(from));
        }
    }

    /// Of a plan that is reverted: a sub-task whose end is waited for and that needs a person is undone instead, and has ended then.
    pub(super) fn undo_stuck_children(&mut self, from: Option<&Message>) {
        let waiting = self.next.steps.iter().filter(|it| it.waits_for_children());
        let families = waiting.filter_map(|step| step.family.as_ref());
        let stuck: Vec<PlanId> = families
            .filter(|family| family.until == Until::Ended)
            .flat_map(|family| &family.children)
            .filter(|child| child.state == ChildState::Stuck)
            .filter_map(|child| child.plan)
            .collect();
        for child in stuck {
            self.tell(child, Action::Revert, from);
        }
    }

    fn tell(&mut self, plan: PlanId, action: Action, from: Option<&Message>) {
        let by = from.map_or_else(|| ENGINE.to_owned(), |from| from.by.clone());
        let reason = from.and_then(|from| from.reason.clone());
        let parent = format!("its parent, task {}, wants it", self.next.id);
        let message = Message {
            action,
            by,
            reason: Some(reason.unwrap_or(parent)),
        };
        self.notices.push((plan, message));
    }

    /// A sub-task that came to stand differently tells its parent; also one that was told to go on, whatever came of it, because
    /// its parent waits for what it says.
    pub(super) fn tell_parent(&mut self, before: &Plan) {
        let submitted = self.next.submitted.as_ref();
        let Some(parent) = submitted.and_then(|it| it.parent) else {
            return;
        };
        let (was, is) = (
            stands(before, parent.until),
            stands(&self.next, parent.until),
        );
        let answers = self.entries.iter().any(|entry| {
            matches!(entry, Entry::Operator { message, .. } if message.action == Action::Resume)
        });
        if was != is || answers {
            let child = self.next.id;
            let message = Message {
                action: Action::ChildMoved { child, state: is },
                by: ENGINE.to_owned(),
                reason: None,
            };
            self.notices.push((parent.plan, message));
        }
    }
}

/// Where a sub-task is, as its parent is told who waits like this.
fn stands(plan: &Plan, until: Until) -> ChildState {
    let waits = until == Until::EndedOrStuck
        && Waits::of(plan).stands_still()
        && !plan.steps.iter().any(StepStatus::works_elsewhere);
    match plan.state {
        PlanState::Stopped => ChildState::Ended(plan.result),
        PlanState::Paused => ChildState::Stuck,
        PlanState::Pending | PlanState::Running if waits => ChildState::Stuck,
        PlanState::Pending | PlanState::Running => ChildState::Open,
    }
}
