//! Undoing what a plan did: what is under way comes to a known end first, then each step that left something behind is undone
//! once all that came after it is.

use super::Writer;
use crate::clock::Timestamp;
use crate::journal::{Entry, Failure, StepIndex};
use crate::lock::LockState;
use crate::plan::{Plan, PlanLock, StepStatus};
use crate::state::{Refused, StepState};
use std::cmp::Reverse;

impl Writer {
    /// What the plan did shall be undone. A step that failed without telling how far it came runs once more for that.
    pub(super) fn revert(&mut self) -> Result<(), Refused> {
        for step in self.in_state(StepState::Error) {
            let undoable = self.next.graph().get(step).is_some_and(|it| it.undoable);
            if undoable && self.next.steps[step].unfinished {
                self.write(Entry::StepResumed { step })?;
            }
        }
        self.write(Entry::Reverting)
    }

    /// Begins to undo what may be undone now.
    pub(super) fn undo_ready(&mut self) -> Result<(), Refused> {
        for step in self.in_state(StepState::Pending) {
            if !self.next.is_to_finish(step) {
                self.write(Entry::StepCancelled { step })?;
            }
        }
        // Sub-tasks that are not submitted yet never will be, who is stuck may wait for this very plan, and what has not come is not
        // waited for.
        for step in self.in_state(StepState::Suspended) {
            let status = &self.next.steps[step];
            let wants = status.waits_for_children() && !status.waits_for_open_children();
            if wants || self.next.rests(status, self.at) {
                self.write(Entry::StepCancelled { step })?;
            }
        }
        if self.next.aborting {
            return Ok(()); // first ends what is under way
        }
        self.finish_the_unfinished()?;
        let under_way = |it: &StepStatus| it.state.is_under_way() || it.is_retrying();
        // One that is to be finished may still wait for a place, or at a gate.
        let to_finish = (0..self.next.steps.len()).any(|step| self.next.is_to_finish(step));
        if to_finish
            || self.next.steps.iter().any(under_way)
            || self.any(StepState::Interrupted)
            || self.has_unfinished()
            || !self.has_to_undo()
        {
            return Ok(());
        }
        if self.lacks_a_lock() {
            self.write(Entry::LocksAsked)?;
        }
        if self.next.waits_for_locks() || self.next.held.is_some() {
            return Ok(());
        }
        let mut steps: Vec<StepIndex> = (0..self.next.steps.len())
            .filter(|step| self.may_be_undone(*step))
            .collect();
        steps.sort_by_key(|step| Reverse(self.next.steps[*step].success));
        for step in steps {
            if self.may_begin(step)? {
                self.begin()?;
                self.write(Entry::Compensating { step })?;
            }
        }
        Ok(())
    }

    /// A body of which nobody knows how far it came runs once more: only what has come to a known end can be undone.
    fn finish_the_unfinished(&mut self) -> Result<(), Refused> {
        let to_finish: Vec<StepIndex> = (0..self.next.steps.len())
            .filter(|step| self.next.is_to_finish(*step) && !self.next.steps[*step].is_retrying())
            .collect();
        if to_finish.is_empty() || self.next.held.is_some() {
            return Ok(());
        }
        if self.lacks_a_lock() {
            // All are asked for together, and none is given up that something still needs.
            if self.next.steps.iter().any(|it| it.state.is_under_way()) {
                return Ok(());
            }
            self.write(Entry::LocksAsked)?;
        }
        if self.next.waits_for_locks() {
            return Ok(());
        }
        for step in to_finish {
            if self.next.steps[step].state == StepState::Cancelled {
                self.write(Entry::StepResumed { step })?;
            }
            if self.may_begin(step)? {
                self.start(step)?;
            }
        }
        Ok(())
    }

    /// Some lock is over, or was given up.
    fn lacks_a_lock(&self) -> bool {
        let unasked = |lock: &PlanLock| matches!(lock.state, LockState::Ended | LockState::GivenUp);
        self.next.locks.iter().any(unasked)
    }

    /// What was to come to an end before anything is undone did not: a person says how it goes on.
    pub(super) fn has_unfinished(&self) -> bool {
        (0..self.next.steps.len()).any(|step| self.next.is_unfinished(step))
    }

    fn has_to_undo(&self) -> bool {
        (0..self.next.steps.len()).any(|step| self.next.is_to_undo(step))
    }

    /// It is done or its undoing was interrupted, and nothing that came after it is left.
    fn may_be_undone(&self, step: StepIndex) -> bool {
        let status = &self.next.steps[step];
        let waits = status.is_being_undone() || status.is_retrying_undo();
        let now = status.state == StepState::Success
            || (status.state == StepState::Compensating && !waits);
        now && self.next.is_to_undo(step) && !is_built_upon(&self.next, step)
    }

    /// The revert goes on by itself, or when it is released.
    pub(super) fn undo_moves(&self) -> bool {
        let plan = &self.next;
        if plan.waits_for_place() {
            return true;
        }
        let waits = plan.waits_for_locks() || plan.held.is_some();
        let (mut steps, mut others) = (0..plan.steps.len(), 0..plan.steps.len());
        let compensating = |it: &StepStatus| it.state == StepState::Compensating;
        let may_undo = !self.any(StepState::Interrupted) && !self.has_unfinished();
        plan.steps.iter().any(compensating)
            || plan.waits_at_a_gate()
            || plan.steps.iter().any(StepStatus::is_retrying)
            || (waits
                && (steps.any(|step| plan.is_to_finish(step))
                    || (may_undo && others.any(|step| self.may_be_undone(step)))))
    }

    /// An attempt to undo a step failed: another one follows, or this was the last.
    pub(super) fn undo_failed(
        &mut self,
        step: StepIndex,
        error: Failure,
        retry_at: Timestamp,
    ) -> Result<(), Refused> {
        let undo = self.next.steps.get(step).and_then(|it| it.undo.as_ref());
        let failures = undo.map_or(0, |undo| undo.failures) + 1;
        let allowed = self.next.graph().get(step).map_or(0, |it| it.attempts);
        if error.transient && failures < allowed {
            self.write(Entry::CompensationAttemptFailed {
                step,
                error,
                wake_at: retry_at,
            })
        } else {
            self.write(Entry::CompensationFailed { step, error })
        }
    }
}

/// A step that came after this one, directly or through others, is still to be undone.
pub(crate) fn is_built_upon(plan: &Plan, step: StepIndex) -> bool {
    let graph = plan.graph();
    let mut after = vec![false; graph.len()];
    for (index, known) in graph.iter().enumerate().skip(step + 1) {
        after[index] = known
            .after
            .iter()
            .any(|before| *before == step || after[*before]);
        if after[index] && plan.is_to_undo(index) {
            return true;
        }
    }
    false
}

/// What a revert would undo now, in the order in which it would begin.
#[must_use]
pub fn would_undo(plan: &Plan) -> Vec<StepIndex> {
    let mut steps: Vec<StepIndex> = (0..plan.steps.len())
        .filter(|step| plan.is_to_undo(*step))
        .collect();
    steps.sort_by_key(|step| Reverse(plan.steps[*step].success));
    steps
}

/// What a revert would leave as it is: steps that are done and leave nothing behind.
#[must_use]
pub fn would_stay(plan: &Plan) -> Vec<StepIndex> {
    (0..plan.steps.len())
        .filter(|step| plan.steps[*step].state == StepState::Success && !plan.is_to_undo(*step))
        .collect()
}
