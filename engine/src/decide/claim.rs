//! What a new owner makes of what the old one had under way.

use super::{MAX_RECOVERIES, Writer};
use crate::journal::{Entry, Failure, Reason, StepIndex};
use crate::plan::StepStatus;
use crate::state::{PlanState, Refused, StepState};

impl Writer {
    pub(super) fn claim(&mut self, how: Entry) -> Result<(), Refused> {
        self.write(how)?;
        if !self.next.state.is_driven() {
            return Ok(());
        }
        for step in self.in_state(StepState::Running) {
            self.interrupted(step)?;
        }
        for step in self.in_state(StepState::Suspended) {
            if self.aborts_revert() && !self.next.steps[step].has_open_children() {
                self.dropped(step)?;
            }
        }
        for step in self.in_state(StepState::Compensating) {
            if self.next.steps[step].is_being_undone() && self.aborts_revert() {
                self.aborted(step)?;
            } else if self.next.steps[step].is_being_undone() {
                self.write(Entry::CompensationInterrupted { step })?;
            }
        }
        let poison = self.next.recoveries > MAX_RECOVERIES && !self.next.cancelling;
        if poison && self.next.state == PlanState::Running {
            self.pause(Reason::Poison)?;
        }
        Ok(())
    }

    fn interrupted(&mut self, step: StepIndex) -> Result<(), Refused> {
        if self.is_once(step) {
            self.write(Entry::StepLost { step })
        } else if self.aborts_revert() {
            self.aborted(step)
        } else {
            self.write(Entry::StepInterrupted { step })
        }
    }

    /// A body was dropped because its plan is being cancelled, or because nobody would wait for its end before a revert.
    pub(super) fn dropped(&mut self, step: StepIndex) -> Result<(), Refused> {
        let undoes = self.next.steps.get(step).map(StepStatus::is_being_undone);
        if self.next.reverting && !self.next.aborting {
            Ok(()) // all that was to be dropped has ended, and this has begun since: it runs again
        } else if self.is_once(step) && undoes == Some(false) {
            self.write(Entry::StepLost { step })
        } else if self.next.reverting {
            self.aborted(step)
        } else {
            self.write(Entry::StepCancelled { step })
        }
    }

    /// A person says how it goes on.
    fn aborted(&mut self, step: StepIndex) -> Result<(), Refused> {
        let error = Failure::aborted();
        let undoes = self.next.steps.get(step).map(StepStatus::is_being_undone);
        self.write(match undoes {
            Some(true) => Entry::CompensationFailed { step, error },
            Some(false) | None => Entry::StepFailed { step, error },
        })
    }

    pub(super) fn aborts_revert(&self) -> bool {
        self.next.reverting && self.next.aborting
    }

    pub(super) fn is_once(&self, step: StepIndex) -> bool {
        self.next.graph().get(step).is_some_and(|known| known.once)
    }
}
