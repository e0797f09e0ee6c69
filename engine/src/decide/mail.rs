//! What comes of a message that is read out of the mailbox.

use super::actions::fits_from;
use super::{Writer, needs_a_person};
use crate::journal::{Action, ChildState, Entry, Failure, Json, Message, Reason};
use crate::plan::Child;
use crate::state::{PlanState, Refused, StepState};

impl Writer {
    /// Consumes the message; answers why nothing came of it, if so.
    pub(super) fn read(&mut self, n: i64, message: &Message) -> Result<Option<Refused>, Refused> {
        let refused = fits_from(&self.next, message, self.at).err();
        self.write(Entry::Operator {
            mail: n,
            message: message.clone(),
            refused: refused.as_ref().map(ToString::to_string),
        })?;
        if refused.is_some() {
            return Ok(refused);
        }
        let by = message.by.clone();
        match message.action.clone() {
            Action::Resume if self.next.state.is_driven() => {
                self.tell_children(&Action::Resume, message, |child| {
                    child.state == ChildState::Stuck
                });
            }
            Action::Resume | Action::ResumeEdited { .. } => self.resume()?,
            Action::Abort if self.next.reverting => {
                self.tell_children(&Action::Abort, message, Child::is_open);
            }
            Action::Cancel | Action::Abort => self.cancel(Reason::Operator, message)?,
            Action::Supersede { .. } => self.cancel(Reason::Superseded, message)?,
            Action::ChildMoved { .. } if self.next.reverting => self.undo_stuck_children(None),
            // What they say is in the entry.
            Action::Event { .. } | Action::ChildMoved { .. } | Action::Unreadable { .. } => {}
            Action::Revert => {
                self.revert()?;
                self.undo_stuck_children(Some(message));
            }
            Action::Hold => self.write(Entry::Held)?,
            Action::Release => self.release()?,
            Action::Skip { step, output } => self.skip(&step, output, &by)?,
            Action::Resolve { step, output } => self.resolve(&step, output)?,
            Action::RetryNow { step } => {
                if let Some(index) = self.next.index_of(&step) {
                    self.woken(index)?;
                }
            }
        }
        Ok(None)
    }

    /// Consumes the message, of which nothing comes.
    pub(super) fn refuse(
        &mut self,
        n: i64,
        message: Message,
        why: String,
    ) -> Result<Refused, Refused> {
        let refused = Refused {
            what: "task",
            state: self.next.state.to_string(),
            event: why,
            can: super::names_of_possible(&self.next, self.at),
        };
        self.write(Entry::Operator {
            mail: n,
            message,
            refused: Some(refused.to_string()),
        })?;
        Ok(refused)
    }

    fn cancel(&mut self, reason: Reason, message: &Message) -> Result<(), Refused> {
        if !self.next.cancelling {
            self.write(Entry::Cancelling { reason })?;
        } // else it is aborted: its bodies are dropped sooner
        let action = if message.action == Action::Abort {
            Action::Abort
        } else {
            Action::Cancel
        };
        self.tell_children(&action, message, Child::is_open);
        Ok(())
    }

    /// The plan goes on: what failed is wanted again.
    fn resume(&mut self) -> Result<(), Refused> {
        let stopped = self.next.state == PlanState::Stopped;
        self.write(Entry::Resumed)?;
        for step in 0..self.next.steps.len() {
            let state = self.next.steps[step].state;
            let failed = state == StepState::Error
                && (!self.next.reverting || self.next.is_unfinished(step));
            if failed || (stopped && state == StepState::Cancelled) {
                self.write(Entry::StepResumed { step })?;
            } else if state == StepState::CompensationError && self.next.is_to_undo(step) {
                self.write(Entry::CompensationResumed { step })?;
            }
        }
        Ok(())
    }

    /// What became due meanwhile begins now.
    fn release(&mut self) -> Result<(), Refused> {
        self.write(Entry::Released)?;
        self.wake_what_is_due()
    }

    fn skip(&mut self, step: &str, output: Option<Json>, by: &str) -> Result<(), Refused> {
        let Some(index) = self.next.index_of(step) else {
            return Ok(());
        };
        let state = self.next.steps[index].state;
        if state == StepState::Compensating {
            let why = "it was under way each time when its node ended";
            self.write(Entry::CompensationFailed {
                step: index,
                error: Failure::new("poison", why, false),
            })?;
        }
        if matches!(
            state,
            StepState::Compensating | StepState::CompensationError
        ) {
            self.write(Entry::CompensationAccepted { step: index })?;
        } else {
            self.write(Entry::StepSkipped {
                step: index,
                output,
                because: format!("step {step} was skipped by {by}"),
            })?;
        }
        self.go_on()
    }

    fn resolve(&mut self, step: &str, output: Option<Json>) -> Result<(), Refused> {
        let Some(step) = self.next.index_of(step) else {
            return Ok(());
        };
        match output {
            Some(output) => self.write(Entry::StepResolved { step, output })?,
            None => self.write(Entry::StepResumed { step })?,
        }
        self.go_on()
    }

    /// A paused plan goes on as soon as nothing of it needs a person any more.
    fn go_on(&mut self) -> Result<(), Refused> {
        let paused = self.next.state == PlanState::Paused;
        if paused && !(0..self.next.steps.len()).any(|step| needs_a_person(&self.next, step)) {
            self.write(Entry::Resumed)?;
        }
        Ok(())
    }
}
