//! Where a step of a plan is, and what it has behind it.

use crate::clock::Timestamp;
use crate::gate::GateId;
use crate::journal::{ChildState, Failure, Json, NodeId, PlanId, PlanResult, Until, WantedChild};
use crate::state::StepState;

/// The class of the failure of what was under way when its owner was gone.
pub(super) const INTERRUPTED: &str = "interrupted";

/// Where a step is and what it has behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct StepStatus {
    /// Where it is.
    pub state: StepState,
    /// Every attempt, from the first; numbers go on for ever.
    pub tries: Vec<Try>,
    /// Failures since the last resume: the allowance starts fresh then.
    pub failures: u32,
    /// Recorded with its success; never changes. Of a skipped step, what later steps read instead.
    pub output: Option<Json>,
    /// What to ask its work elsewhere with.
    pub ticket: Option<Json>,
    /// Of the last failed attempt, until one succeeds.
    pub error: Option<Failure>,
    /// The form of its output or ticket.
    pub form: u32,
    /// What a person should know although it succeeded or was skipped.
    pub warning: Option<String>,
    /// When the next attempt, poll or attempt to undo it begins.
    pub wake_at: Option<Timestamp>,
    /// The place of its success among all of its plan, from 1.
    pub success: Option<u32>,
    /// Its last body was dropped, lost with its node, or ended without telling: nobody knows how far it came.
    pub unfinished: bool,
    /// What it waits for while it is suspended without a ticket.
    pub awaits: Option<Awaited>,
    /// The gate at which it waits, or at which undoing it waits.
    pub at_gate: Option<Box<AtGate>>,
    /// The sub-tasks that it wants, once it has said so.
    pub family: Option<Box<Family>>,
    /// What there is of undoing it, once that has begun.
    pub undo: Option<Box<Undo>>,
}

/// Where a step waits that could begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtGate {
    /// The first of its gates that was not open.
    pub gate: GateId,
    /// Since when.
    pub since: Timestamp,
}

/// What a step waits for: an event, or only for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// The event's name.
    pub event: Option<String>,
}

/// The sub-tasks of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// In the order in which they were wanted.
    pub children: Vec<Child>,
    /// How long the step waits for them.
    pub until: Until,
    /// At most so many are open at once.
    pub at_once: u32,
}

/// A sub-task of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// As it is wanted.
    pub wanted: WantedChild,
    /// Its plan, once it is submitted.
    pub plan: Option<PlanId>,
    /// Where it is.
    pub state: ChildState,
    /// Why it could not be submitted, if so.
    pub refused: Option<String>,
}

impl Child {
    /// Submitted, and not ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, ChildState::Open | ChildState::Stuck)
    }

    /// Ended as it should.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(
            self.state,
            ChildState::Ended(PlanResult::Success | PlanResult::Warning)
        )
    }
}

impl Family {
    /// The step has nothing to wait for any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.children.iter().all(|child| match child.state {
            ChildState::Ended(_) => true,
            ChildState::Stuck => self.until == Until::EndedOrStuck,
            ChildState::Wanted | ChildState::Open => false,
        })
    }

    /// Those under way for which the step waits: one that is stuck may be left to go on alone.
    fn waited_for(&self) -> impl Iterator<Item = &Child> {
        let alone =
            |child: &Child| child.state == ChildState::Stuck && self.until == Until::EndedOrStuck;
        let open = self.children.iter().filter(|child| child.is_open());
        open.filter(move |child| !alone(child))
    }

    /// Sub-tasks that may be submitted now, by their places.
    #[must_use]
    pub fn may_be_submitted(&self) -> Vec<usize> {
        // Who goes on alone takes nobody's place.
        let free = (self.at_once as usize).saturating_sub(self.waited_for().count());
        let children = self.children.iter().enumerate();
        children
            .filter(|(_, child)| child.state == ChildState::Wanted)
            .map(|(place, _)| place)
            .take(free)
            .collect()
    }
}

/// The attempts to undo a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undo {
    /// Every attempt, from the first.
    pub tries: Vec<Try>,
    /// Failures since the last resume.
    pub failures: u32,
    /// Of the last failed attempt, until one succeeds.
    pub error: Option<Failure>,
    /// An operator leaves the step as it is.
    pub accepted: bool,
}

/// One attempt of a step, or to undo it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Try {
    /// Its start.
    pub started_at: Timestamp,
    /// Its end, whatever it was.
    pub ended_at: Option<Timestamp>,
    /// Who ran it.
    pub node: NodeId,
    /// Why it failed.
    pub error: Option<Failure>,
    /// When the next one was due.
    pub wake_at: Option<Timestamp>,
}

impl Try {
    pub(super) fn begun(at: Timestamp, node: NodeId) -> Self {
        Self {
            started_at: at,
            ended_at: None,
            node,
            error: None,
            wake_at: None,
        }
    }
}

/// The last of the attempts ends.
pub(super) fn end(
    tries: &mut [Try],
    at: Timestamp,
    error: Option<Failure>,
    wake_at: Option<Timestamp>,
) {
    if let Some(last) = tries.last_mut().filter(|last| last.ended_at.is_none()) {
        last.ended_at = Some(at);
        last.error = error;
        last.wake_at = wake_at;
    }
}

impl StepStatus {
    pub(super) fn fresh(form: u32) -> Self {
        Self {
            state: StepState::Pending,
            tries: Vec::new(),
            failures: 0,
            output: None,
            ticket: None,
            form,
            error: None,
            warning: None,
            wake_at: None,
            success: None,
            unfinished: false,
            awaits: None,
            at_gate: None,
            family: None,
            undo: None,
        }
    }

    /// How many attempts were begun.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.tries.len()).unwrap_or(u32::MAX)
    }

    /// How many attempts to undo it were begun.
    #[must_use]
    pub fn undo_attempts(&self) -> u32 {
        let tries = self.undo.as_ref().map_or(0, |undo| undo.tries.len());
        u32::try_from(tries).unwrap_or(u32::MAX)
    }

    /// Suspended with sub-tasks of which one is open.
    #[must_use]
    pub fn has_open_children(&self) -> bool {
        let family = self
            .family
            .as_ref()
            .filter(|_| self.state == StepState::Suspended);
        family.is_some_and(|family| family.children.iter().any(Child::is_open))
    }

    /// Its work goes on elsewhere: it is asked for, and nothing has to happen first.
    #[must_use]
    pub fn works_elsewhere(&self) -> bool {
        self.state == StepState::Suspended && self.ticket.is_some()
    }

    /// Suspended with an open sub-task that has no locks but its parent's.
    #[must_use]
    pub fn lends_its_locks(&self) -> bool {
        let inside = self
            .family
            .as_ref()
            .is_some_and(|it| it.until == Until::Ended);
        inside && self.has_open_children()
    }

    /// Suspended with sub-tasks under way of which it waits for one.
    #[must_use]
    pub fn waits_for_open_children(&self) -> bool {
        let family = self.family.as_ref().filter(|_| self.waits_for_children());
        family.is_some_and(|family| family.waited_for().next().is_some())
    }

    /// Suspended until its sub-tasks have ended, or are stuck.
    #[must_use]
    pub fn waits_for_children(&self) -> bool {
        let waits = self.state == StepState::Suspended && self.awaits.is_none();
        let family = self.family.as_ref().filter(|_| waits);
        family.is_some_and(|family| !family.is_over())
    }

    /// Its last attempt was under way when its owner was gone.
    #[must_use]
    pub fn was_interrupted(&self) -> bool {
        let error = self.tries.last().and_then(|last| last.error.as_ref());
        error.is_some_and(|error| error.class == INTERRUPTED)
    }

    /// Waits for its next attempt after a failed one.
    #[must_use]
    pub fn is_retrying(&self) -> bool {
        self.state == StepState::Pending && self.wake_at.is_some()
    }

    /// Waits for the next attempt to undo it after a failed one.
    #[must_use]
    pub fn is_retrying_undo(&self) -> bool {
        self.state == StepState::Compensating && self.wake_at.is_some()
    }

    /// An attempt to undo it is under way.
    #[must_use]
    pub fn is_being_undone(&self) -> bool {
        let last = self.undo.as_ref().and_then(|undo| undo.tries.last());
        self.state == StepState::Compensating && last.is_some_and(|last| last.ended_at.is_none())
    }

    /// It could not be undone, and an operator leaves it so.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.undo.as_ref().is_some_and(|undo| undo.accepted)
    }
}
