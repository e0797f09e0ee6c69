//! What follows at gates: a step that could begin waits, is turned back, or passes.

use super::Writer;
use crate::clock::Timestamp;
use crate::gate::GateId;
use crate::journal::{Entry, Failure, StepIndex};
use crate::state::{Refused, StepState};

impl Writer {
    /// True if no gate keeps the step from beginning, or undoing it; otherwise it waits there from now on.
    pub(super) fn may_pass(&mut self, step: StepIndex) -> Result<bool, Refused> {
        let Some(gate) = self.admission.closed.before(&self.next, step, self.node) else {
            return Ok(true);
        };
        let known = self.next.steps.get(step).and_then(|it| it.at_gate.as_ref());
        if known.is_none_or(|known| known.gate != gate) {
            self.write(Entry::AtGate { step, gate })?;
        }
        Ok(false)
    }

    /// A step has passed its gates.
    pub(super) fn passed(&mut self, step: StepIndex) -> Result<(), Refused> {
        let waits = self.next.waits_for_locks() || self.next.held.is_some();
        let at_gate = |it: &&crate::plan::StepStatus| it.at_gate.is_some();
        let Some(status) = self.next.steps.get(step).filter(at_gate) else {
            return Ok(()); // it does not want to begin any more
        };
        let undoes = status.state != StepState::Pending;
        if waits || !self.has_place()? {
            Ok(())
        } else if undoes {
            self.begin()?;
            self.write(Entry::Compensating { step })
        } else {
            self.start(step)
        }
    }

    /// An attempt failed at a gate that is not open. A plan that shall end does not wait there.
    pub(super) fn turned_back(
        &mut self,
        step: StepIndex,
        gate: GateId,
        error: Failure,
        retry_at: Timestamp,
    ) -> Result<(), Refused> {
        let undoes = |it: &crate::plan::StepStatus| it.state == StepState::Compensating;
        let undoes = self.next.steps.get(step).is_some_and(undoes);
        let ends = self.next.cancelling || (self.next.reverting && !undoes);
        if ends {
            return self.failed(step, error, retry_at);
        }
        if self.aborts_revert() {
            return self.undo_failed(step, error, retry_at); // it would pass and begin again
        }
        self.write(Entry::TurnedBack { step, gate, error })
    }
}
