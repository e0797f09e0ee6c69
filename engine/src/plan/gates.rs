//! What entries about gates change.

use super::step::end;
use super::{AtGate, Plan};
use crate::clock::Timestamp;
use crate::gate::GateId;
use crate::journal::{Failure, StepIndex};
use crate::state::{StepEvent, StepState};

impl Plan {
    /// A step that could begin, or be undone, waits at a gate.
    pub(super) fn waits_at(
        &mut self,
        step: StepIndex,
        gate: &GateId,
        at: Timestamp,
    ) -> Result<(), String> {
        let (count, driven, reverting) = (self.steps.len(), self.state.is_driven(), self.reverting);
        let step = self
            .steps
            .get_mut(step)
            .ok_or_else(|| format!("there is no step {step} among {count}"))?;
        let fits = match step.state {
            StepState::Pending => true,
            StepState::Success => reverting,
            StepState::Compensating => !step.is_being_undone(),
            StepState::Running
            | StepState::Suspended
            | StepState::Error
            | StepState::Interrupted
            | StepState::Skipped
            | StepState::Cancelled
            | StepState::Compensated
            | StepState::CompensationError => false,
        };
        if !fits || !driven {
            return Err(format!("a step that is `{}` waits at no gate", step.state));
        }
        step.wake_at = None;
        step.at_gate = Some(Box::new(AtGate {
            gate: gate.clone(),
            since: at,
        }));
        Ok(())
    }

    /// What an attempt cost at a gate that is not open does not count.
    pub(super) fn turned_back(
        &mut self,
        step: StepIndex,
        gate: &GateId,
        error: &Failure,
        at: Timestamp,
    ) -> Result<(), String> {
        let status = self.step_on(step, StepEvent::Retry)?;
        if status.state == StepState::Compensating {
            let undo = status.undo.get_or_insert_default();
            end(&mut undo.tries, at, Some(error.clone()), None);
            undo.error = Some(error.clone());
        } else {
            end(&mut status.tries, at, Some(error.clone()), None);
            (status.error, status.awaits) = (Some(error.clone()), None);
            status.unfinished |= error.tells_nothing();
        }
        self.waits_at(step, gate, at)
    }

    /// What waited at a gate would not begin any more, or will be looked at again.
    pub(super) fn leaves_the_gates(&mut self) {
        for step in &mut self.steps {
            step.at_gate = None;
        }
    }
}
