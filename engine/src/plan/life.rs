//! How a plan goes on, pauses and ends.

use super::step::end;
use super::{Plan, PlanLock, StepStatus};
use crate::clock::Timestamp;
use crate::journal::{PlanResult, Reason, StepIndex};
use crate::lock::{LockState, OnPause};
use crate::state::{PlanEvent, PlanState, StepEvent, StepState};

impl Plan {
    pub(super) fn resume(&mut self, at: Timestamp) -> Result<(), String> {
        let stopped = self.state == PlanState::Stopped;
        self.on(PlanEvent::Resume)?;
        self.goes_on(at);
        self.ask_again(|lock, steps| {
            let until = lock.request.until.and_then(|until| steps.get(until));
            let is_over = until.is_some_and(|step| step.state.is_done());
            lock.state == LockState::GivenUp
                || (stopped && lock.state == LockState::Ended && !is_over)
        });
        Ok(())
    }

    /// Asks for these locks again, and with them for all that it holds or waits for: all at once in one order, so that two plans
    /// never wait for each other.
    pub(super) fn ask_again(&mut self, which: impl Fn(&PlanLock, &[StepStatus]) -> bool) {
        let steps = &self.steps;
        if !self.locks.iter().any(|lock| which(lock, steps)) {
            return;
        }
        for lock in &mut self.locks {
            if which(lock, steps) || matches!(lock.state, LockState::Held | LockState::Queued) {
                (lock.state, lock.asked) = (LockState::Queued, lock.asked.saturating_add(1));
            }
        }
    }

    pub(super) fn revert(&mut self, at: Timestamp) -> Result<(), String> {
        self.on(PlanEvent::Revert)?;
        self.leaves_the_gates();
        self.reverting = true;
        self.cancelling = false;
        self.place_asked = None;
        for step in &mut self.steps {
            match step.state {
                // It runs once more without waiting for its time, and has all its attempts for that.
                StepState::Pending if step.unfinished => (step.wake_at, step.failures) = (None, 0),
                // What shall come to a known end first was resumed before: this one left nothing.
                StepState::Error => step.unfinished = false,
                StepState::Pending
                | StepState::Running
                | StepState::Suspended
                | StepState::Success
                | StepState::Interrupted
                | StepState::Skipped
                | StepState::Cancelled
                | StepState::Compensating
                | StepState::Compensated
                | StepState::CompensationError => {}
            }
        }
        self.goes_on(at);
        Ok(())
    }

    /// Neither paused nor stopped any more.
    pub(super) fn goes_on(&mut self, at: Timestamp) {
        if self.times.paused.is_some() || self.times.ended.is_some() {
            self.times.resumed = Some(at);
        }
        (self.reason, self.result) = (None, PlanResult::Pending);
        (self.times.paused, self.times.ended) = (None, None);
        (self.recoveries, self.aborting) = (0, false);
    }

    pub(super) fn pause(
        &mut self,
        reason: Reason,
        keeps_locks: bool,
        at: Timestamp,
    ) -> Result<(), String> {
        self.on(PlanEvent::Pause)?;
        self.leaves_the_gates();
        (self.reason, self.result) = (Some(reason), PlanResult::Error);
        (self.times.paused, self.place_asked) = (Some(at), None);
        if !keeps_locks {
            self.gives_locks_up();
        }
        Ok(())
    }

    /// Those that are not to be kept while it is paused.
    pub(super) fn gives_locks_up(&mut self) {
        self.change_locks(|lock| {
            let given_up = lock.request.on_pause == OnPause::Release;
            (given_up && matches!(lock.state, LockState::Held | LockState::Queued))
                .then_some(LockState::GivenUp)
        });
    }

    /// It ends wherever it is, because nobody can tell where that is.
    pub(super) fn abandon(&mut self, at: Timestamp) {
        (self.state, self.result) = (PlanState::Stopped, PlanResult::Cancelled);
        (self.reason, self.held, self.cancelling) = (Some(Reason::Operator), None, true);
        (self.times.ended, self.times.paused) = (Some(at), None);
        self.place_asked = None;
        self.leaves_the_gates();
        self.change_locks(|_| Some(LockState::Ended));
        for step in &mut self.steps {
            match step.state {
                StepState::Pending | StepState::Running | StepState::Suspended => {
                    step.unfinished |= step.state != StepState::Pending;
                    step.state = StepState::Cancelled;
                }
                StepState::Compensating => step.state = StepState::CompensationError,
                StepState::Success
                | StepState::Error
                | StepState::Interrupted
                | StepState::Skipped
                | StepState::Cancelled
                | StepState::Compensated
                | StepState::CompensationError => {}
            }
            (step.wake_at, step.ticket, step.awaits) = (None, None, None);
        }
    }

    /// The step is wanted again.
    pub(super) fn resume_step(&mut self, step: StepIndex) -> Result<(), String> {
        let was = self.steps.get(step).map(|it| it.state);
        let status = self.step_on(step, StepEvent::Resume)?;
        (status.failures, status.wake_at) = (0, None);
        if was == Some(StepState::Interrupted) {
            // Of what a person says did not happen there is nothing to ask for, and nothing to finish.
            (status.ticket, status.unfinished) = (None, false);
        }
        self.interruption_is_over();
        Ok(())
    }

    /// Nobody wants the step any more.
    pub(super) fn cancel_step(&mut self, step: StepIndex, at: Timestamp) -> Result<(), String> {
        let was = self.steps.get(step);
        let waits = was.is_some_and(|it| it.waits_for_children() || self.rests(it, at));
        let status = self.step_on(step, StepEvent::Cancel)?;
        let last = status.tries.last();
        let begun = last.is_some_and(|last| last.ended_at.is_none());
        status.unfinished |= begun && status.family.is_none();
        // What its sub-tasks did is theirs, and who waits has come to an end: it has nothing of its own to finish.
        status.unfinished &= !waits;
        end(&mut status.tries, at, None, None);
        // Its ticket is kept: work elsewhere may go on, and is asked for before any is begun anew.
        (status.wake_at, status.awaits) = (None, None);
        Ok(())
    }

    /// Of an aborted revert nothing is under way any more: it goes on with what is left.
    pub(super) fn abort_is_over(&mut self) {
        let under_way = |it: &StepStatus| it.state.is_under_way() || it.is_being_undone();
        self.aborting &= !self.reverting || self.steps.iter().any(under_way);
    }

    pub(super) fn stop(&mut self, result: PlanResult, at: Timestamp) -> Result<(), String> {
        self.on(PlanEvent::Stop)?;
        self.leaves_the_gates();
        self.result = result;
        if matches!(result, PlanResult::Success | PlanResult::Warning) {
            self.reason = None; // it was done before the cancel could stop it
        }
        (self.times.ended, self.held, self.place_asked) = (Some(at), None, None);
        self.change_locks(|_| Some(LockState::Ended));
        Ok(())
    }
}
