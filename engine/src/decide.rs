//! What follows when something happens to a plan: a pure function, no I/O, no clock of its own.
//!
//! There is no list of effects. What to run is read off the next plan (running, suspended, waiting for a time), so that a
//! take-over and normal running are one code path and nothing can disagree with the journal.

mod actions;
mod admission;
mod children;
mod claim;
mod gates;
mod mail;
mod revert;
mod settle;
mod together;

pub use actions::{fits, names_of_possible, possible};
pub(crate) use actions::{fits_from, may_be_abandoned};
pub use admission::{Admission, Place};
pub(crate) use revert::is_built_upon;
pub use revert::{would_stay, would_undo};

use crate::clock::Timestamp;
use crate::gate::GateId;
use crate::journal::{
    Entry, Failure, Json, Message, NodeId, PlanId, RefusedChild, StepIndex, Until, WantedChild,
};
use crate::lock::LockState;
use crate::plan::Plan;
use crate::state::{Refused, StepState};

/// A plan that was taken over more often than this without any progress in between is paused as `poison`. Only owners count that
/// have not signed off.
pub const MAX_RECOVERIES: u32 = 3;

/// Something that happened to a plan.
#[derive(Clone, Debug)]
pub enum Happening {
    /// This node becomes its owner.
    Claimed,
    /// The same, and the owner before has signed off: what it cut off has not ended it.
    HandedOver,
    /// This node becomes its owner, and lets it ask for a place before anything begins: its mail is read first.
    ClaimedAtRest,
    /// The store says that it is first in the queue of each of its locks.
    LocksGranted,
    /// It may be at work: there is a place for it on its node.
    PlaceGranted,
    /// A step's body or poll ended with an output.
    Succeeded {
        /// Which step.
        step: StepIndex,
        /// Its output.
        output: Json,
        /// What a person should know.
        warning: Option<String>,
        /// The form of the output.
        form: u32,
    },
    /// A step's work goes on elsewhere.
    Suspended {
        /// Which step.
        step: StepIndex,
        /// What to ask with.
        ticket: Json,
        /// When to ask first.
        wake_at: Timestamp,
        /// The form of the ticket.
        form: u32,
    },
    /// A step waits for an event, or only for a time.
    Awaits {
        /// Which step.
        step: StepIndex,
        /// The event's name.
        event: Option<String>,
        /// Until when at the latest.
        until: Option<Timestamp>,
    },
    /// A step wants sub-tasks.
    Spawns {
        /// Which step.
        step: StepIndex,
        /// All of them.
        children: Vec<WantedChild>,
        /// How long it waits for them.
        until: Until,
        /// At most so many are open at once.
        at_once: u32,
    },
    /// Sub-tasks are being submitted in the same transaction.
    Submitted {
        /// Of which step.
        step: StepIndex,
        /// Their keys and plans.
        children: Vec<(String, PlanId)>,
        /// Those that cannot be, and why.
        refused: Vec<RefusedChild>,
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
    /// An attempt, or one to undo a step, failed at a gate that is not open.
    TurnedBack {
        /// Which step.
        step: StepIndex,
        /// Which gate.
        gate: GateId,
        /// Why.
        error: Failure,
        /// When another attempt would begin if the gate did not stand there.
        retry_at: Timestamp,
    },
    /// A step that waited at its gates may pass them.
    Passed {
        /// Which step.
        step: StepIndex,
    },
    /// The body of a `once` step ended without telling whether its work happened.
    Lost {
        /// Which step.
        step: StepIndex,
    },
    /// A step is undone.
    Undone {
        /// Which step.
        step: StepIndex,
    },
    /// An attempt to undo a step failed.
    UndoFailed {
        /// Which step.
        step: StepIndex,
        /// Why.
        error: Failure,
        /// When another attempt would begin.
        retry_at: Timestamp,
    },
    /// The back-off of a step, or of undoing it, is over.
    Woken {
        /// Which step.
        step: StepIndex,
    },
    /// The body of a step, or what undoes it, was dropped, because its plan is being cancelled or its revert is aborted.
    Dropped {
        /// Which step.
        step: StepIndex,
    },
    /// A message is read out of the mailbox that would fit the plan, and something else stands against it.
    Unfit {
        /// Its number.
        n: i64,
        /// What it says.
        message: Message,
        /// What stands against it: "resume, because …".
        why: String,
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
    /// Messages to other plans, which go with the append.
    pub notices: Vec<(PlanId, Message)>,
    /// Why a message had no effect.
    pub refused: Option<Refused>,
}

struct Writer {
    entries: Vec<Entry>,
    notices: Vec<(PlanId, Message)>,
    next: Plan,
    at: Timestamp,
    node: NodeId,
    admission: Admission,
}

impl Writer {
    fn of(plan: Plan, at: Timestamp, node: NodeId, admission: Admission) -> Self {
        Self {
            entries: Vec::new(),
            notices: Vec::new(),
            next: plan,
            at,
            node,
            admission,
        }
    }

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

    /// The form in which the step was submitted.
    fn form_of(&self, step: StepIndex) -> u32 {
        self.next.graph().get(step).map_or(1, |known| known.form)
    }

    /// The steps in this state, in graph order.
    fn in_state(&self, state: StepState) -> Vec<StepIndex> {
        let steps = self.next.steps.iter().enumerate();
        steps
            .filter(|(_, step)| step.state == state)
            .map(|(index, _)| index)
            .collect()
    }

    fn any(&self, state: StepState) -> bool {
        self.next.steps.iter().any(|step| step.state == state)
    }

    fn decision(mut self, refused: Option<Refused>) -> Decision {
        if !self.entries.is_empty() {
            self.next.seq += 1;
            self.next.node = Some(self.node);
        }
        Decision {
            entries: self.entries,
            next: self.next,
            at: self.at,
            notices: self.notices,
            refused,
        }
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
    submit_with(
        &Admission::default(),
        id,
        submitted,
        recorded,
        locks_granted,
        at,
        node,
    )
}

/// The same, where perhaps not every step may begin.
pub fn submit_with(
    admission: &Admission,
    id: PlanId,
    submitted: crate::journal::Submitted,
    recorded: Vec<(StepIndex, Json)>,
    locks_granted: bool,
    at: Timestamp,
    node: NodeId,
) -> Result<Decision, Refused> {
    let mut to = Writer::of(Plan::empty(id), at, node, admission.clone());
    to.write(Entry::Submitted(Box::new(submitted)))?;
    for (step, output) in recorded {
        to.write(Entry::StepStarted { step })?;
        to.write(Entry::StepSucceeded {
            step,
            output,
            warning: None,
            form: to.form_of(step),
        })?;
    }
    if locks_granted && !to.next.locks.is_empty() {
        to.write(Entry::LocksGranted)?;
    }
    to.settle()?;
    to.tell_parent(&Plan::empty(id));
    Ok(to.decision(None))
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
    decide_with(&Admission::default(), plan, happening, at, node)
}

/// The same, where perhaps not every step may begin.
pub fn decide_with(
    admission: &Admission,
    plan: &Plan,
    happening: Happening,
    at: Timestamp,
    node: NodeId,
) -> Result<Decision, Refused> {
    readable(plan)?;
    let admission = admission.of(plan, &happening);
    let mut to = Writer::of(plan.clone(), at, node, admission);
    let mut refused = None;
    match happening {
        Happening::Claimed => {
            to.claim(Entry::Claimed)?;
            to.take_place()?;
        }
        Happening::HandedOver => {
            to.claim(Entry::HandedOver)?;
            to.take_place()?;
        }
        Happening::ClaimedAtRest => to.claim(Entry::Claimed)?,
        Happening::PlaceGranted => to.take_place()?,
        Happening::LocksGranted => {
            if plan.waits_for_locks() {
                to.write(Entry::LocksGranted)?;
            }
        }
        Happening::Succeeded {
            step,
            output,
            warning,
            form,
        } => to.write(Entry::StepSucceeded {
            step,
            output,
            warning,
            form,
        })?,
        Happening::Suspended {
            step,
            ticket,
            wake_at,
            form,
        } => to.write(Entry::Suspended {
            step,
            ticket,
            wake_at,
            form,
        })?,
        Happening::Failed {
            step,
            error,
            retry_at,
        } => to.failed(step, error, retry_at)?,
        Happening::TurnedBack {
            step,
            gate,
            error,
            retry_at,
        } => to.turned_back(step, gate, error, retry_at)?,
        Happening::Passed { step } => to.passed(step)?,
        Happening::Awaits { step, event, until } => {
            to.write(Entry::Awaiting { step, event, until })?;
        }
        Happening::Spawns {
            step,
            children,
            until,
            at_once,
        } => to.spawn(step, children, until, at_once)?,
        Happening::Submitted {
            step,
            children,
            refused,
        } => to.write(Entry::ChildrenSubmitted {
            step,
            children,
            refused,
        })?,
        Happening::Lost { step } => to.write(Entry::StepLost { step })?,
        Happening::Undone { step } => to.write(Entry::Compensated { step })?,
        Happening::UndoFailed {
            step,
            error,
            retry_at,
        } => to.undo_failed(step, error, retry_at)?,
        Happening::Woken { step } => to.woken(step)?,
        Happening::Dropped { step } => to.dropped(step)?,
        Happening::Unfit { n, message, why } => refused = Some(to.refuse(n, message, why)?),
        Happening::Mail { n, message } => refused = to.read(n, &message)?,
    }
    to.settle()?;
    if plan.aborting && !to.next.aborting && to.next.state.is_driven() {
        to.wake_what_is_due()?;
    }
    to.tell_parent(plan);
    Ok(to.decision(refused))
}

/// Only a person can say how it goes on with this step.
fn needs_a_person(plan: &Plan, step: StepIndex) -> bool {
    let state = plan.steps[step].state;
    state == StepState::Interrupted
        || (state == StepState::Error && (!plan.reverting || plan.is_unfinished(step)))
        || (state == StepState::CompensationError && !plan.steps[step].is_accepted())
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

/// The steps that would run if the plan were resumed now: those that failed, and after them those that have not run.
#[must_use]
pub fn would_run(plan: &Plan) -> Vec<StepIndex> {
    (0..plan.steps.len())
        .filter(|step| !plan.steps[*step].state.is_done())
        .collect()
}

/// The locks that are held or asked for in `plan` and no longer so in `next`: their rows go with the append.
pub(crate) fn let_go(plan: &Plan, next: &Plan) -> Vec<String> {
    let pairs = plan.locks.iter().zip(&next.locks);
    pairs
        .filter(|(was, is)| has_row(was.state) && (!has_row(is.state) || was.asked != is.asked))
        .map(|(was, _)| was.request.resource.clone())
        .collect()
}

/// The locks that are asked for again, in their order: their rows come with the append, after the old ones have gone.
pub(crate) fn asked_for(plan: &Plan, next: &Plan) -> Vec<crate::lock::LockRequest> {
    let pairs = plan.locks.iter().zip(&next.locks);
    pairs
        .filter(|(was, is)| has_row(is.state) && (!has_row(was.state) || was.asked != is.asked))
        .map(|(_, is)| is.request.clone())
        .collect()
}

const fn has_row(state: LockState) -> bool {
    matches!(state, LockState::Held | LockState::Queued)
}
