//! What a new owner makes of what the old one had under way.

use super::{MAX_RECOVERIES, Writer};
use crate::journal::{Entry, Reason, StepIndex};
use crate::state::{PlanState, Refused, StepState};

impl Writer {
    pub(super) fn claim(&mut self) -> Result<(), Refused> {
        self.write(Entry::Claimed)?;
        if !self.next.state.is_driven() {
            return Ok(());
        }
        for step in self.in_state(StepState::Running) {
            self.interrupted(step)?;
        }
        for step in self.in_state(StepState::Compensating) {
            if self.next.steps[step].is_being_undone() {
                self.write(Entry::CompensationInterrupted { step })?;
            }
        }
        let poison = self.next.recoveries > MAX_RECOVERIES && !self.next.cancelling;
        if poison && self.next.state == PlanState::Running {
            self.write(Entry::Paused {
                reason: Reason::Poison,
            })?;
        }
        Ok(())
    }

    fn interrupted(&mut self, step: StepIndex) -> Result<(), Refused> {
        if self.is_once(step) {
            self.write(Entry::StepLost { step })
        } else {
            self.write(Entry::StepInterrupted { step })
        }
    }

    /// A body was dropped because its plan is being cancelled.
    pub(super) fn dropped(&mut self, step: StepIndex) -> Result<(), Refused> {
        if self.is_once(step) {
            self.write(Entry::StepLost { step })
        } else {
            self.write(Entry::StepCancelled { step })
        }
    }

    fn is_once(&self, step: StepIndex) -> bool {
        self.next.graph().get(step).is_some_and(|known| known.once)
    }
}
