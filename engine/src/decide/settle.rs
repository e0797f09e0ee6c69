//! Starts what may start, and ends or pauses the plan when nothing can move any more.

use super::Writer;
use crate::clock::Timestamp;
use crate::journal::{Entry, Failure, PlanResult, Reason, Rescue, StepIndex};
use crate::plan::StepStatus;
use crate::state::{PlanState, Refused, StepState};

/// What becomes of a plan in which nothing moves any more.
enum End {
    Pause(Reason),
    Stop(PlanResult),
    Revert,
    /// These failed steps are skipped.
    Skip(Vec<StepIndex>),
}

impl Writer {
    /// A person says how it goes on; those of its locks that sub-tasks rely on are kept until they have ended.
    pub(super) fn pause(&mut self, reason: Reason) -> Result<(), Refused> {
        let keeps_locks = self.next.lends_locks();
        self.write(Entry::Paused {
            reason,
            keeps_locks,
        })
    }

    pub(super) fn settle(&mut self) -> Result<(), Refused> {
        // Each round either ends, or skips steps or begins the revert: both happen only so often.
        loop {
            if !self.next.state.is_driven() {
                return Ok(());
            }
            if self.next.reverting {
                self.undo_ready()?;
            } else if self.next.cancelling {
                self.cancel_pending()?;
            } else if !self.next.waits_for_locks() && self.next.held.is_none() {
                self.start_ready()?;
            }
            if self.moves() {
                return Ok(());
            }
            match self.end() {
                End::Pause(reason) => return self.pause(reason),
                End::Stop(result) => {
                    self.cancel_pending()?;
                    return self.write(Entry::Stopped { result });
                }
                End::Revert => self.revert()?,
                End::Skip(steps) => {
                    for step in steps {
                        let because = self.why_skipped(step);
                        self.write(Entry::StepSkipped {
                            step,
                            output: None,
                            because,
                        })?;
                    }
                }
            }
        }
    }

    /// Something is under way, or will begin by itself, or when it is released.
    fn moves(&self) -> bool {
        let plan = &self.next;
        if plan.steps.iter().any(|step| step.state.is_under_way()) {
            return true;
        }
        if plan.reverting {
            return self.undo_moves();
        }
        if plan.cancelling {
            return false;
        }
        plan.waits_for_locks()
            || plan.waits_at_a_gate()
            || plan.waits_for_place()
            || plan.steps.iter().any(StepStatus::is_retrying)
            || (plan.held.is_some() && self.ready().next().is_some())
    }

    fn end(&self) -> End {
        let plan = &self.next;
        let interrupted = self.any(StepState::Interrupted);
        if plan.reverting {
            let failed = |step: usize| {
                let left = plan.steps[step].state == StepState::CompensationError;
                (left && plan.is_to_undo(step)) || plan.is_unfinished(step)
            };
            return if interrupted {
                End::Pause(Reason::Interrupted)
            } else if (0..plan.steps.len()).any(failed) {
                End::Pause(Reason::CompensationError)
            } else {
                End::Stop(PlanResult::Reverted)
            };
        }
        if plan.steps.iter().all(|step| step.state.is_done()) {
            let warned = plan.steps.iter().any(|step| step.warning.is_some());
            let result = if warned {
                PlanResult::Warning
            } else {
                PlanResult::Success
            };
            return End::Stop(result);
        }
        if plan.cancelling {
            return End::Stop(PlanResult::Cancelled);
        }
        if interrupted {
            return End::Pause(Reason::Interrupted);
        }
        self.rescue()
    }

    /// What the failed steps want, together.
    fn rescue(&self) -> End {
        let failed = self.in_state(StepState::Error);
        let wants = |rescue: Rescue| {
            let graph = self.next.graph();
            failed.iter().any(|step| graph[*step].rescue == rescue)
        };
        if failed.is_empty() || wants(Rescue::Pause) {
            End::Pause(Reason::Error)
        } else if wants(Rescue::Revert) {
            End::Revert
        } else if wants(Rescue::Fail) {
            End::Stop(PlanResult::Error)
        } else {
            End::Skip(failed)
        }
    }

    fn why_skipped(&self, step: StepIndex) -> String {
        let name = &self.next.graph()[step].name;
        let error = self.next.steps[step].error.as_ref();
        let why = error.map_or("it failed", |error| error.message.as_str());
        format!("step {name} was skipped: {why}")
    }

    /// Steps that may begin now, in graph order.
    fn ready(&self) -> impl Iterator<Item = StepIndex> {
        let plan = &self.next;
        (0..plan.steps.len()).filter(|step| {
            let status = &plan.steps[*step];
            status.state == StepState::Pending && !status.is_retrying() && plan.is_ready(*step)
        })
    }

    fn start_ready(&mut self) -> Result<(), Refused> {
        // In graph order, so that skipping a step is known to those after it.
        for step in 0..self.next.steps.len() {
            let status = &self.next.steps[step];
            if status.state != StepState::Pending
                || status.is_retrying()
                || !self.next.is_ready(step)
            {
                continue;
            }
            match self.next.lacks(step) {
                None => {
                    if self.may_begin(step)? {
                        self.start(step)?;
                    }
                }
                Some(lacking) => {
                    let (graph, lacking) = (self.next.graph(), lacking);
                    let because = format!(
                        "step {} was skipped: it needs the output of step {}, which was skipped without one",
                        graph[step].name, graph[lacking].name
                    );
                    self.write(Entry::StepSkipped {
                        step,
                        output: None,
                        because,
                    })?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn start(&mut self, step: StepIndex) -> Result<(), Refused> {
        self.begin()?;
        self.write(Entry::StepStarted { step })
    }

    /// The plan has begun.
    pub(super) fn begin(&mut self) -> Result<(), Refused> {
        if self.next.state == PlanState::Pending {
            self.write(Entry::Started)?;
        }
        Ok(())
    }

    /// Steps that have not begun will not run.
    pub(super) fn cancel_pending(&mut self) -> Result<(), Refused> {
        for step in 0..self.next.steps.len() {
            let status = &self.next.steps[step];
            let suspended = status.state == StepState::Suspended;
            let receives = suspended && status.awaits.is_some();
            if receives && self.is_once(step) && !self.next.rests(status, self.at) {
                self.write(Entry::StepLost { step })?; // what it waited for is there, and its body is dropped
            } else if status.state == StepState::Pending
                // Open sub-tasks were told, and their ends are waited for.
                || (suspended && !status.has_open_children())
            {
                self.write(Entry::StepCancelled { step })?;
            }
        }
        Ok(())
    }

    /// An attempt failed: another one follows, or this was the last.
    pub(super) fn failed(
        &mut self,
        step: StepIndex,
        error: Failure,
        retry_at: Timestamp,
    ) -> Result<(), Refused> {
        let plan = &self.next;
        let failures = plan.steps.get(step).map_or(0, |it| it.failures) + 1;
        let allowed = plan.graph().get(step).map_or(0, |it| it.attempts);
        let unfinished = plan.steps.get(step).is_some_and(|it| it.unfinished);
        let undoable = plan.graph().get(step).is_some_and(|it| it.undoable);
        // Before a revert undoes anything, this step is to come to an end of which somebody knows.
        let is_owed_an_end = plan.reverting && undoable && (unfinished || error.tells_nothing());
        let ends = (plan.cancelling || plan.reverting) && !is_owed_an_end;
        let polled = plan.steps.get(step).is_some_and(|it| it.ticket.is_some());
        if error.transient && polled && self.is_once(step) {
            // Its work may go on elsewhere, and nobody can be asked for it any more.
            self.write(Entry::StepLost { step })
        } else if error.transient && failures < allowed && !ends {
            self.write(Entry::AttemptFailed {
                step,
                error,
                wake_at: retry_at,
            })
        } else {
            self.write(Entry::StepFailed { step, error })
        }
    }

    /// A back-off is over.
    pub(super) fn woken(&mut self, step: StepIndex) -> Result<(), Refused> {
        let waits = self.next.waits_for_locks()
            || self.next.held.is_some()
            || self.next.waits_for_place()
            || self.aborts_revert();
        let Some(status) = self.next.steps.get(step).filter(|_| !waits) else {
            return Ok(());
        };
        let (again, undo_again) = (status.is_retrying(), status.is_retrying_undo());
        if (again || undo_again) && self.may_begin(step)? {
            if again {
                self.start(step)?;
            } else {
                self.write(Entry::Compensating { step })?;
            }
        }
        Ok(())
    }

    /// What became due while nothing might begin, begins now.
    pub(super) fn wake_what_is_due(&mut self) -> Result<(), Refused> {
        for step in 0..self.next.steps.len() {
            let wake_at = self.next.steps[step].wake_at;
            if wake_at.is_some_and(|at| at <= self.at) {
                self.woken(step)?;
            }
        }
        Ok(())
    }
}
