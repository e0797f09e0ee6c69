//! What each entry of the journal changes. An entry that does not fit says why.

use super::step::{INTERRUPTED, end};
use super::{Awaited, Edit, Held, Plan, PlanLock, StepStatus, Try};
use crate::clock::Timestamp;
use crate::edit;
use crate::journal::{Action, Entry, Failure, Json, Message, NodeId, Reason, StepIndex, Submitted};
use crate::lock::LockState;
use crate::state::{PlanEvent, StepEvent, StepState};
use std::sync::Arc;

/// The form of an output that an operator gave: he was told when the code could not read it.
const AS_THE_CODE_READS_IT: u32 = u32::MAX;

impl Plan {
    /// Applies one entry, or says why it does not fit.
    pub(crate) fn apply(
        &mut self,
        entry: &Entry,
        at: Timestamp,
        node: NodeId,
    ) -> Result<(), String> {
        if self.submitted.is_none() && !matches!(entry, Entry::Submitted(_)) {
            return Err("something happened before the plan was submitted".into());
        }
        match entry {
            Entry::Submitted(submitted) => self.submit(submitted, at),
            Entry::Claimed => {
                self.note_cut_off(at);
                self.claim(at)
            }
            Entry::HandedOver => self.claim(at),
            Entry::LocksGranted => {
                self.change_locks(|lock| {
                    (lock.state == LockState::Queued).then_some(LockState::Held)
                });
                Ok(())
            }
            Entry::Started => {
                self.on(PlanEvent::Start)?;
                self.times.started = Some(at);
                Ok(())
            }
            Entry::Operator {
                message, refused, ..
            } => {
                if refused.is_none() {
                    self.message(message, at)?;
                }
                Ok(())
            }
            Entry::Resumed => self.resume(at),
            Entry::Cancelling { reason } => {
                self.on(PlanEvent::Cancel)?;
                (self.cancelling, self.reason, self.times.paused) = (true, Some(*reason), None);
                self.place_asked = None;
                Ok(())
            }
            Entry::Reverting => self.revert(at),
            Entry::PlaceAsked => {
                self.place_asked = Some(at);
                Ok(())
            }
            Entry::PlaceGranted => {
                self.place_asked = None;
                Ok(())
            }
            Entry::LocksAsked => {
                self.place_asked = None;
                let over = |lock: &PlanLock, _: &[StepStatus]| {
                    matches!(lock.state, LockState::Ended | LockState::GivenUp)
                };
                self.ask_again(over);
                Ok(())
            }
            Entry::Held => {
                self.place_asked = None;
                let by = self.last_message.as_ref();
                self.held = Some(Held {
                    by: by.map(|message| message.by.clone()).unwrap_or_default(),
                    reason: by.and_then(|message| message.reason.clone()),
                    since: at,
                });
                Ok(())
            }
            Entry::Released => {
                self.held = None;
                Ok(())
            }
            Entry::Abandoned { .. } => {
                self.abandon(at);
                Ok(())
            }
            Entry::Paused {
                reason,
                keeps_locks,
            } => self.pause(*reason, *keeps_locks, at),
            Entry::Stopped { result } => self.stop(*result, at),
            Entry::AtGate { step, gate } => self.waits_at(*step, gate, at),
            Entry::TurnedBack { step, gate, error } => self.turned_back(*step, gate, error, at),
            Entry::StepStarted { .. }
            | Entry::StepSucceeded { .. }
            | Entry::AttemptFailed { .. }
            | Entry::StepFailed { .. }
            | Entry::Suspended { .. }
            | Entry::Awaiting { .. }
            | Entry::Spawning { .. }
            | Entry::ChildrenSubmitted { .. }
            | Entry::StepInterrupted { .. }
            | Entry::StepResumed { .. }
            | Entry::StepCancelled { .. }
            | Entry::StepLost { .. }
            | Entry::StepResolved { .. }
            | Entry::StepSkipped { .. } => self.apply_to_step(entry, at, node),
            Entry::Compensating { .. }
            | Entry::Compensated { .. }
            | Entry::CompensationAttemptFailed { .. }
            | Entry::CompensationFailed { .. }
            | Entry::CompensationInterrupted { .. }
            | Entry::CompensationResumed { .. }
            | Entry::CompensationAccepted { .. } => self.apply_to_undo(entry, at, node),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "`apply` has chosen the entries"
    )]
    fn apply_to_step(&mut self, entry: &Entry, at: Timestamp, node: NodeId) -> Result<(), String> {
        let reverting = self.reverting;
        match entry {
            Entry::StepStarted { step } => {
                let step = self.step_on(*step, StepEvent::Start)?;
                step.tries.push(Try::begun(at, node));
                step.wake_at = None;
                // What a revert runs once more is owed an end.
                step.unfinished &= reverting;
            }
            Entry::StepSucceeded {
                step,
                output,
                warning,
                form,
            } => {
                let success = self.next_success();
                let status = self.step_on(*step, StepEvent::Succeed)?;
                end(&mut status.tries, at, None, None);
                (status.output, status.warning) = (Some(output.clone()), warning.clone());
                (status.error, status.ticket, status.wake_at) = (None, None, None);
                (status.success, status.awaits, status.form) = (Some(success), None, *form);
                status.unfinished = false;
                self.progressed(*step);
            }
            Entry::StepResolved { step, output } => {
                let success = self.next_success();
                let status = self.step_on(*step, StepEvent::Resolve)?;
                (status.output, status.error) = (Some(output.clone()), None);
                status.form = AS_THE_CODE_READS_IT;
                (status.success, status.unfinished) = (Some(success), false);
                self.progressed(*step);
                self.interruption_is_over();
            }
            Entry::AttemptFailed {
                step,
                error,
                wake_at,
            } => {
                let step = self.step_on(*step, StepEvent::Retry)?;
                end(&mut step.tries, at, Some(error.clone()), Some(*wake_at));
                (step.error, step.wake_at, step.awaits) =
                    (Some(error.clone()), Some(*wake_at), None);
                step.failures = step.failures.saturating_add(1);
                step.unfinished |= error.tells_nothing();
            }
            Entry::StepFailed { step, error } => {
                let once = self.graph().get(*step).is_some_and(|known| known.once);
                let step = self.step_on(*step, StepEvent::Fail)?;
                end(&mut step.tries, at, Some(error.clone()), None);
                (step.error, step.wake_at, step.awaits) = (Some(error.clone()), None, None);
                step.failures = step.failures.saturating_add(1);
                step.unfinished |= error.tells_nothing();
                if once && !error.transient && !error.tells_nothing() {
                    step.ticket = None; // a person who resumes it knows that its work has failed
                }
            }
            Entry::StepInterrupted { step } => {
                let step = self.step_on(*step, StepEvent::Interrupt)?;
                end(&mut step.tries, at, Some(gone()), None);
                step.unfinished = true;
            }
            Entry::StepLost { step } => {
                let step = self.step_on(*step, StepEvent::Lose)?;
                let lost = Failure::new(
                    INTERRUPTED,
                    "it was interrupted and must not run twice: nobody knows whether it happened",
                    false,
                );
                end(&mut step.tries, at, Some(lost.clone()), None);
                (step.error, step.awaits, step.wake_at) = (Some(lost), None, None);
            }
            Entry::StepResumed { step } => self.resume_step(*step)?,
            Entry::StepSkipped {
                step,
                output,
                because,
            } => {
                let status = self.step_on(*step, StepEvent::Skip)?;
                (status.output, status.warning) = (output.clone(), Some(because.clone()));
                status.form = AS_THE_CODE_READS_IT;
                status.wake_at = None;
                status.unfinished &= reverting;
                self.progressed(*step);
                self.interruption_is_over();
            }
            Entry::StepCancelled { step } => self.cancel_step(*step, at)?,
            other => return self.apply_to_wait(other),
        }
        self.abort_is_over();
        Ok(())
    }

    /// What is elsewhere: work with a ticket, an event, a time, sub-tasks.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "`apply` has chosen the entries"
    )]
    fn apply_to_wait(&mut self, entry: &Entry) -> Result<(), String> {
        match entry {
            Entry::Suspended {
                step,
                ticket,
                wake_at,
                form,
            } => {
                let step = self.step_on(*step, StepEvent::Suspend)?;
                (step.ticket, step.wake_at) = (Some(ticket.clone()), Some(*wake_at));
                step.form = *form;
            }
            Entry::Awaiting { step, event, until } => {
                let step = self.step_on(*step, StepEvent::Suspend)?;
                step.awaits = Some(Awaited {
                    event: event.clone(),
                });
                step.wake_at = *until;
            }
            Entry::Spawning {
                step,
                children,
                until,
                at_once,
                told,
            } => self.spawn(*step, children, *until, *at_once, told)?,
            Entry::ChildrenSubmitted {
                step,
                children,
                refused,
            } => self.children_submitted(*step, children, refused)?,
            other => return Err(format!("this is no entry about a step: {other:?}")),
        }
        Ok(())
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "`apply` has chosen the entries"
    )]
    fn apply_to_undo(&mut self, entry: &Entry, at: Timestamp, node: NodeId) -> Result<(), String> {
        match entry {
            Entry::Compensating { step } => {
                let step = self.step_on(*step, StepEvent::Compensate)?;
                step.wake_at = None;
                let undo = step.undo.get_or_insert_default();
                undo.tries.push(Try::begun(at, node));
            }
            Entry::Compensated { step } => {
                let step = self.step_on(*step, StepEvent::Undo)?;
                step.wake_at = None;
                let undo = step.undo.get_or_insert_default();
                end(&mut undo.tries, at, None, None);
                undo.error = None;
                self.recoveries = 0;
            }
            Entry::CompensationAttemptFailed {
                step,
                error,
                wake_at,
            } => {
                let step = self.step_on(*step, StepEvent::Retry)?;
                step.wake_at = Some(*wake_at);
                let undo = step.undo.get_or_insert_default();
                end(&mut undo.tries, at, Some(error.clone()), Some(*wake_at));
                undo.error = Some(error.clone());
                undo.failures = undo.failures.saturating_add(1);
            }
            Entry::CompensationFailed { step, error } => {
                let step = self.step_on(*step, StepEvent::Fail)?;
                step.wake_at = None;
                let undo = step.undo.get_or_insert_default();
                end(&mut undo.tries, at, Some(error.clone()), None);
                undo.error = Some(error.clone());
                undo.failures = undo.failures.saturating_add(1);
            }
            Entry::CompensationInterrupted { step } => {
                let step = self.step_on(*step, StepEvent::Interrupt)?;
                let undo = step.undo.get_or_insert_default();
                end(&mut undo.tries, at, Some(gone()), None);
            }
            Entry::CompensationResumed { step } => {
                let step = self.step_on(*step, StepEvent::Resume)?;
                step.undo.get_or_insert_default().failures = 0;
            }
            Entry::CompensationAccepted { step } => {
                let step = self.step_on(*step, StepEvent::Accept)?;
                step.undo.get_or_insert_default().accepted = true;
            }
            other => return Err(format!("this is no entry about undoing: {other:?}")),
        }
        self.abort_is_over();
        Ok(())
    }

    fn submit(&mut self, submitted: &Submitted, at: Timestamp) -> Result<(), String> {
        if self.submitted.is_some() {
            return Err("submitted twice".into());
        }
        let count = submitted.graph.len();
        let points_forward = |(place, step): (usize, &crate::journal::GraphStep)| {
            let mut before = step.after.iter().chain(step.needed());
            before.any(|before| *before >= place)
        };
        if submitted.graph.iter().enumerate().any(points_forward) {
            return Err("an edge of the graph points forward".into());
        }
        if submitted
            .locks
            .iter()
            .any(|lock| lock.until.is_some_and(|until| until >= count))
        {
            return Err("a lock ends with a step that the graph does not have".into());
        }
        let forms = submitted.graph.iter().map(|step| step.form);
        self.steps = forms.map(StepStatus::fresh).collect();
        self.locks = submitted
            .locks
            .iter()
            .map(|request| PlanLock {
                request: request.clone(),
                state: LockState::Queued,
                asked: 1,
            })
            .collect();
        self.times.created = at;
        self.submitted = Some(Arc::new(submitted.clone()));
        Ok(())
    }

    fn claim(&mut self, at: Timestamp) -> Result<(), String> {
        if self.state.is_driven() {
            self.on(PlanEvent::TakeOver)?;
        }
        self.epoch = self.epoch.saturating_add(1);
        self.times.claimed = Some(at);
        Ok(())
    }

    /// What was under way of it when its owner was gone may be what has ended that.
    fn note_cut_off(&mut self, at: Timestamp) {
        let cut_off = |step: &StepStatus| {
            step.state == StepState::Running || step.is_being_undone() || self.is_due(step, at)
        };
        if self.steps.iter().any(cut_off) {
            self.recoveries = self.recoveries.saturating_add(1);
        }
    }

    fn message(&mut self, message: &Message, at: Timestamp) -> Result<(), String> {
        if let Action::ChildMoved { child, state } = &message.action {
            return self.child_moved(*child, *state);
        }
        if let Action::Event { name, payload } = &message.action
            && self.event(name).is_none()
        {
            self.events.push((name.clone(), payload.clone()));
        }
        if let Action::ResumeEdited { change } = &message.action {
            self.edit(message, change, at)?;
        }
        if let Action::Supersede { by } = &message.action {
            self.superseded_by = Some(*by);
        }
        if message.action == Action::Abort {
            self.aborting = true;
            self.leaves_the_gates(); // nothing begins before all that is under way has ended
        }
        self.last_message = Some(Arc::new(message.clone()));
        Ok(())
    }

    fn edit(&mut self, message: &Message, change: &Json, at: Timestamp) -> Result<(), String> {
        let Some(submitted) = &self.submitted else {
            return Err("its input is changed before it was submitted".into());
        };
        let input = edit::apply(&submitted.input, change)?;
        let submitted = Submitted {
            input,
            ..Submitted::clone(submitted)
        };
        self.submitted = Some(Arc::new(submitted));
        self.edits.push(Edit {
            by: message.by.clone(),
            reason: message.reason.clone(),
            at,
            change: change.clone(),
        });
        Ok(())
    }

    /// A step is done: its plan makes progress, and a lock may end with it.
    fn progressed(&mut self, step: StepIndex) {
        self.recoveries = 0;
        self.change_locks(|lock| (lock.request.until == Some(step)).then_some(LockState::Ended));
    }

    /// What pauses the plan now is another failure, once every interrupted step has an answer.
    pub(super) fn interruption_is_over(&mut self) {
        let any = |state: StepState| self.steps.iter().any(|step| step.state == state);
        if self.reason == Some(Reason::Interrupted) && !any(StepState::Interrupted) {
            self.reason = Some(Reason::Error);
        }
    }

    fn next_success(&mut self) -> u32 {
        self.successes = self.successes.saturating_add(1);
        self.successes
    }

    pub(super) fn change_locks(&mut self, to: impl Fn(&PlanLock) -> Option<LockState>) {
        for lock in &mut self.locks {
            if let Some(state) = to(lock) {
                lock.state = state;
            }
        }
    }

    pub(super) fn on(&mut self, event: PlanEvent) -> Result<(), String> {
        self.state = self
            .state
            .on(event)
            .map_err(|refused| refused.to_string())?;
        Ok(())
    }

    pub(super) fn step_on(
        &mut self,
        index: StepIndex,
        event: StepEvent,
    ) -> Result<&mut StepStatus, String> {
        let count = self.steps.len();
        let step = self
            .steps
            .get_mut(index)
            .ok_or_else(|| format!("there is no step {index} among {count}"))?;
        step.state = step
            .state
            .on(event)
            .map_err(|refused| refused.to_string())?;
        step.at_gate = None;
        Ok(step)
    }
}

/// Why an attempt ended whose owner is gone.
fn gone() -> Failure {
    Failure::new(
        INTERRUPTED,
        "the node that ran it is gone; it runs again",
        true,
    )
}
