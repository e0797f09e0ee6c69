//! What follows when something happens to a plan: a pure function, no I/O, no clock of its own.
//!
//! There is no list of effects. What to run is read off the next plan (running, suspended, waiting for a time), so that a
//! take-over and normal running are one code path and nothing can disagree with the journal.

use crate::clock::Timestamp;
use crate::journal::{
    Action, Entry, Failure, Json, Message, NodeId, PlanId, PlanResult, Reason, Rescue, StepIndex,
};
use crate::lock::LockState;
use crate::plan::Plan;
use crate::state::{PlanState, Refused, StepState};

/// A plan that was taken over more often than this without any progress in between is paused as `poison`.
pub const MAX_RECOVERIES: u32 = 3;

/// Something that happened to a plan.
#[derive(Clone, Debug)]
pub enum Happening {
    /// This node becomes its owner.
    Claimed,
    /// The store says that it is first in the queue of each of its locks.
    LocksGranted,
    /// A step's body or poll ended with an output.
    Succeeded {
        /// Which step.
        step: StepIndex,
        /// Its output.
        output: Json,
        /// What a person should know.
        warning: Option<String>,
    },
    /// A step's work goes on elsewhere.
    Suspended {
        /// Which step.
        step: StepIndex,
        /// What to ask with.
        ticket: Json,
        /// When to ask first.
        wake_at: Timestamp,
    },
    /// An attempt failed.
    Failed {
        /// Which step.
        step: StepIndex,
        /// Why.
        error: Failure,
        /// When another attempt would begin.
        retry_at: Timestamp,
    },
    /// A step's back-off is over.
    Woken {
        /// Which step.
        step: StepIndex,
    },
    /// The body of a step was dropped, because its plan is being cancelled.
    Dropped {
        /// Which step.
        step: StepIndex,
    },
    /// A message is read out of the mailbox.
    Mail {
        /// Its number.
        n: i64,
        /// What it says.
        message: Message,
    },
}

/// What becomes of the plan: the entries of its next row, and the plan as it is after them.
#[derive(Clone, Debug)]
pub struct Decision {
    /// In order; empty when nothing follows.
    pub entries: Vec<Entry>,
    /// The plan with these entries applied and `seq` one higher.
    pub next: Plan,
    /// The time of the row.
    pub at: Timestamp,
    /// Why a message had no effect.
    pub refused: Option<Refused>,
}

struct Writer {
    entries: Vec<Entry>,
    next: Plan,
    at: Timestamp,
    node: NodeId,
}

impl Writer {
    fn write(&mut self, entry: Entry) -> Result<(), Refused> {
        self.next
            .apply(&entry, self.at, self.node)
            .map_err(|why| Refused {
                what: "plan",
                state: self.next.state.to_string(),
                event: why,
                can: Vec::new(),
            })?;
        self.entries.push(entry);
        Ok(())
    }

    /// Starts what may start, and ends the plan when nothing can move any more.
    fn settle(&mut self) -> Result<(), Refused> {
        if !self.next.state.is_driven() {
            return Ok(());
        }
        if self.next.cancelling {
            self.cancel_pending()?;
        } else if !self.next.waits_for_locks() {
            self.start_ready()?;
        }
        if self.moves() {
            return Ok(());
        }
        if self
            .next
            .steps
            .iter()
            .all(|step| step.state == StepState::Success)
        {
            let warned = self.next.steps.iter().any(|step| step.warning.is_some());
            let result = if warned {
                PlanResult::Warning
            } else {
                PlanResult::Success
            };
            return self.write(Entry::Stopped { result });
        }
        if self.next.cancelling {
            return self.write(Entry::Stopped {
                result: PlanResult::Cancelled,
            });
        }
        let failed_for_good =
            |(step, status): (&crate::journal::GraphStep, &crate::plan::StepStatus)| {
                status.state == StepState::Error && step.rescue == Rescue::Fail
            };
        if self
            .next
            .graph()
            .iter()
            .zip(&self.next.steps)
            .any(failed_for_good)
        {
            self.cancel_pending()?;
            return self.write(Entry::Stopped {
                result: PlanResult::Error,
            });
        }
        self.write(Entry::Paused {
            reason: Reason::Error,
        })
    }

    /// Something is under way, or will begin by itself.
    fn moves(&self) -> bool {
        self.next.waits_for_locks() && !self.next.cancelling
            || self
                .next
                .steps
                .iter()
                .any(|step| step.state.is_under_way() || step.is_retrying())
    }

    fn start_ready(&mut self) -> Result<(), Refused> {
        for step in 0..self.next.steps.len() {
            let status = &self.next.steps[step];
            if status.state == StepState::Pending
                && !status.is_retrying()
                && self.next.is_ready(step)
            {
                self.start(step)?;
            }
        }
        Ok(())
    }

    fn start(&mut self, step: StepIndex) -> Result<(), Refused> {
        if self.next.state == PlanState::Pending {
            self.write(Entry::Started)?;
        }
        self.write(Entry::StepStarted { step })
    }

    fn cancel_pending(&mut self) -> Result<(), Refused> {
        for step in 0..self.next.steps.len() {
            if matches!(
                self.next.steps[step].state,
                StepState::Pending | StepState::Suspended
            ) {
                self.write(Entry::StepCancelled { step })?;
            }
        }
        Ok(())
    }

    /// The plan goes on: what failed is wanted again.
    fn resume(&mut self) -> Result<(), Refused> {
        self.write(Entry::Resumed)?;
        for step in 0..self.next.steps.len() {
            if self.next.steps[step].state == StepState::Error {
                self.write(Entry::StepResumed { step })?;
            }
        }
        Ok(())
    }

    fn claim(&mut self) -> Result<(), Refused> {
        self.write(Entry::Claimed)?;
        if !self.next.state.is_driven() {
            return Ok(());
        }
        for step in 0..self.next.steps.len() {
            if self.next.steps[step].state == StepState::Running {
                self.write(Entry::StepInterrupted { step })?;
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
}

/// The first row of a plan: submitted, with the outputs that the request itself has made recorded as steps, and begun when it
/// needs to wait for nothing.
pub fn submit(
    id: PlanId,
    submitted: crate::journal::Submitted,
    recorded: Vec<(StepIndex, Json)>,
    locks_granted: bool,
    at: Timestamp,
    node: NodeId,
) -> Result<Decision, Refused> {
    let mut to = Writer {
        entries: Vec::new(),
        next: Plan::empty(id),
        at,
        node,
    };
    to.write(Entry::Submitted(Box::new(submitted)))?;
    for (step, output) in recorded {
        to.write(Entry::StepStarted { step })?;
        to.write(Entry::StepSucceeded {
            step,
            output,
            warning: None,
        })?;
    }
    if locks_granted && !to.next.locks.is_empty() {
        to.write(Entry::LocksGranted)?;
    }
    to.settle()?;
    Ok(decision(to, None))
}

/// What follows when `happening` happens to `plan` on `node` at the time `at`.
///
/// Refused when it cannot happen to a plan in this state. A message is never refused so: what came of it is an entry, and
/// [`Decision::refused`] holds the reason.
pub fn decide(
    plan: &Plan,
    happening: Happening,
    at: Timestamp,
    node: NodeId,
) -> Result<Decision, Refused> {
    readable(plan)?;
    let mut to = Writer {
        entries: Vec::new(),
        next: plan.clone(),
        at,
        node,
    };
    let mut refused = None;
    match happening {
        Happening::Claimed => to.claim()?,
        Happening::LocksGranted => {
            if plan.waits_for_locks() {
                to.write(Entry::LocksGranted)?;
            }
        }
        Happening::Succeeded {
            step,
            output,
            warning,
        } => to.write(Entry::StepSucceeded {
            step,
            output,
            warning,
        })?,
        Happening::Suspended {
            step,
            ticket,
            wake_at,
        } => to.write(Entry::Suspended {
            step,
            ticket,
            wake_at,
        })?,
        Happening::Failed {
            step,
            error,
            retry_at,
        } => {
            let failures = plan
                .steps
                .get(step)
                .map_or(0, |it| it.failures)
                .saturating_add(1);
            let allowed = plan.graph().get(step).map_or(0, |it| it.attempts);
            if error.transient && failures < allowed && !plan.cancelling {
                to.write(Entry::AttemptFailed {
                    step,
                    error,
                    wake_at: retry_at,
                })?;
            } else {
                to.write(Entry::StepFailed { step, error })?;
            }
        }
        Happening::Woken { step } => {
            if plan
                .steps
                .get(step)
                .is_some_and(crate::plan::StepStatus::is_retrying)
                && !plan.waits_for_locks()
            {
                to.start(step)?;
            }
        }
        Happening::Dropped { step } => to.write(Entry::StepCancelled { step })?,
        Happening::Mail { n, message } => refused = read_mail(&mut to, plan, n, message)?,
    }
    to.settle()?;
    Ok(decision(to, refused))
}

fn readable(plan: &Plan) -> Result<(), Refused> {
    let Some(why) = &plan.unreadable else {
        return Ok(());
    };
    Err(Refused {
        what: "task",
        state: "unreadable".into(),
        event: format!("go on, because its journal cannot be read ({why})"),
        can: Vec::new(),
    })
}

fn decision(mut to: Writer, refused: Option<Refused>) -> Decision {
    if !to.entries.is_empty() {
        to.next.seq += 1;
        to.next.node = Some(to.node);
    }
    Decision {
        entries: to.entries,
        next: to.next,
        at: to.at,
        refused,
    }
}

fn read_mail(
    to: &mut Writer,
    plan: &Plan,
    n: i64,
    message: Message,
) -> Result<Option<Refused>, Refused> {
    let refused = fits(plan, &message.action).err();
    let text = refused.as_ref().map(ToString::to_string);
    to.write(Entry::Operator {
        mail: n,
        message: message.clone(),
        refused: text,
    })?;
    if refused.is_some() {
        return Ok(refused);
    }
    match message.action {
        Action::Resume => to.resume()?,
        Action::Cancel => to.write(Entry::Cancelling {
            reason: Reason::Operator,
        })?,
        Action::Supersede { .. } => to.write(Entry::Cancelling {
            reason: Reason::Superseded,
        })?,
        Action::RetryNow { step } => {
            if let Some(index) = plan.index_of(&step) {
                to.start(index)?;
            }
        }
    }
    Ok(None)
}

/// Whether the action can be done to the plan as it is; the same answer that consuming the message will give.
pub fn fits(plan: &Plan, action: &Action) -> Result<(), Refused> {
    readable(plan)?;
    let refuse = |event: String| {
        Err(Refused {
            what: "task",
            state: plan.state.to_string(),
            event,
            can: names_of_possible(plan),
        })
    };
    match action {
        Action::Resume if plan.state != PlanState::Paused => refuse("resume".into()),
        Action::Cancel if plan.state == PlanState::Stopped => refuse("cancel".into()),
        Action::Cancel if plan.cancelling => refuse("cancel, because it is being cancelled".into()),
        Action::Supersede { .. } if plan.state == PlanState::Stopped => {
            refuse("be superseded".into())
        }
        Action::Supersede { .. } if plan.cancelling => {
            refuse("be superseded, because it is being cancelled".into())
        }
        Action::Supersede { .. } if holds_its_locks(plan) => {
            refuse("be superseded, because it is at work and is let finish".into())
        }
        Action::RetryNow { step } => match plan.step(step) {
            None => refuse(format!("retry step `{step}`, because it has no such step")),
            Some(status) if !status.is_retrying() => refuse(format!(
                "retry step `{step}` now, because that is {} and waits for no attempt",
                status.state
            )),
            Some(_) if plan.waits_for_locks() => refuse(format!(
                "retry step `{step}` now, because it waits for its locks"
            )),
            Some(_) => Ok(()),
        },
        Action::Resume | Action::Cancel | Action::Supersede { .. } => Ok(()),
    }
}

fn holds_its_locks(plan: &Plan) -> bool {
    plan.state.is_driven() && !plan.waits_for_locks()
}

/// The operator's actions that fit the plan as it is, with the step they are about.
#[must_use]
pub fn possible(plan: &Plan) -> Vec<(&'static str, Option<StepIndex>)> {
    let mut possible = Vec::new();
    if plan.unreadable.is_some() {
        return possible;
    }
    if plan.state == PlanState::Paused {
        possible.push(("resume", None));
    }
    if plan.state != PlanState::Stopped && !plan.cancelling {
        possible.push(("cancel", None));
    }
    if !plan.waits_for_locks() && !plan.cancelling && plan.state.is_driven() {
        let retrying = plan
            .steps
            .iter()
            .enumerate()
            .filter(|(_, step)| step.is_retrying());
        possible.extend(retrying.map(|(index, _)| ("retry_now", Some(index))));
    }
    possible
}

/// Their names, each once.
#[must_use]
pub fn names_of_possible(plan: &Plan) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, _) in possible(plan) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The steps that would run if the plan were resumed now: those that failed, and after them those that have not run.
#[must_use]
pub fn would_run(plan: &Plan) -> Vec<StepIndex> {
    (0..plan.steps.len())
        .filter(|step| plan.steps[*step].state != StepState::Success)
        .collect()
}

/// The locks that are held or asked for in `plan` and no longer in `next`: their rows go with the append.
pub(crate) fn let_go(plan: &Plan, next: &Plan) -> Vec<String> {
    let has_row = |state: LockState| matches!(state, LockState::Held | LockState::Queued);
    let pairs = plan.locks.iter().zip(&next.locks);
    pairs
        .filter(|(was, is)| has_row(was.state) && !has_row(is.state))
        .map(|(was, _)| was.request.resource.clone())
        .collect()
}

/// The locks that are asked for again: their rows come with the append.
pub(crate) fn asked_for(plan: &Plan, next: &Plan) -> Vec<crate::lock::LockRequest> {
    let pairs = plan.locks.iter().zip(&next.locks);
    pairs
        .filter(|(was, is)| was.state == LockState::GivenUp && is.state == LockState::Queued)
        .map(|(_, is)| is.request.clone())
        .collect()
}
