//! A plan is the fold of its rows. Total: arbitrary rows make a plan that says why it cannot be read, never a panic.

mod apply;
mod family;
mod gates;
mod life;
mod step;

pub use step::{AtGate, Awaited, Child, Family, StepStatus, Try, Undo};

use crate::clock::Timestamp;
use crate::journal::{
    Entry, GraphStep, Json, Message, NodeId, PlanId, PlanResult, Reason, Row, StepIndex, Submitted,
    comes_after,
};
use crate::lock::{LockRequest, LockState};
use crate::priority::Priority;
use crate::state::{PlanState, StepState};
use std::sync::Arc;
use std::time::Duration;

/// A poll is repeated for as long as the work elsewhere takes, and leaves no trace. Whether it had to do with the end of its node
/// can be told only where that is not longer ago than this.
const POLL_IS_SUSPECT: Duration = Duration::from_hours(1);

/// A plan as its journal tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Its id.
    pub id: PlanId,
    /// As it was submitted; `None` before the first row.
    pub submitted: Option<Arc<Submitted>>,
    /// Where it is.
    pub state: PlanState,
    /// How it ended.
    pub result: PlanResult,
    /// Why it is paused or was cancelled.
    pub reason: Option<Reason>,
    /// It shall end: nothing new begins.
    pub cancelling: bool,
    /// What it did shall be undone: nothing new begins, and what is under way is let come to a known end first.
    pub reverting: bool,
    /// What is under way is dropped soon, and nothing is known of how far it came. Of a revert nothing begins until then.
    pub aborting: bool,
    /// Who holds it, and why: nothing new begins until it is released.
    pub held: Option<Held>,
    /// Since when it waits for a place among the plans at work on its node; what is under way ends, and nothing new begins.
    pub place_asked: Option<Timestamp>,
    /// Its steps, in graph order.
    pub steps: Vec<StepStatus>,
    /// How many of its steps have succeeded, undone ones too.
    pub successes: u32,
    /// Its locks, in the order of their resources.
    pub locks: Vec<PlanLock>,
    /// Number of the last row. The next append must be `seq + 1`: that is the fence.
    pub seq: i64,
    /// The owner of the last row.
    pub node: Option<NodeId>,
    /// How many owners there were after the first. Goes to the outside world as information.
    pub epoch: u32,
    /// Take-overs that interrupted a step, since the last progress. Who was handed over by an owner that signed off counts none.
    pub recoveries: u32,
    /// When it was submitted, begun, ended; since when it is paused; when it was last resumed.
    pub times: Times,
    /// The later plan that made this one pointless.
    pub superseded_by: Option<PlanId>,
    /// Events that were delivered: name and what is known. Of one name the first counts.
    pub events: Vec<(String, Json)>,
    /// How operators have changed its input.
    pub edits: Vec<Edit>,
    /// What an operator wanted last of it, and got.
    pub last_message: Option<Arc<Message>>,
    /// Why it cannot be read. Nothing is applied after that.
    pub unreadable: Option<String>,
}

/// The times of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Submitted.
    pub created: Timestamp,
    /// Its first step began.
    pub started: Option<Timestamp>,
    /// Stopped.
    pub ended: Option<Timestamp>,
    /// Paused, if it is.
    pub paused: Option<Timestamp>,
    /// Last resumed.
    pub resumed: Option<Timestamp>,
    /// Last taken over.
    pub claimed: Option<Timestamp>,
}

/// A lock of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanLock {
    /// As it was asked for at submit.
    pub request: LockRequest,
    /// Where the plan stands with it.
    pub state: LockState,
    /// How often it was asked for. All of a plan are asked for together, so that no two plans wait for each other.
    pub asked: u32,
}

/// A hold of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The login of who holds it.
    pub by: String,
    /// Why, in his words.
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// A change of a plan's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The login of who wanted it.
    pub by: String,
    /// Why, in his words.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
    /// What is different, as a JSON patch.
    pub change: Json,
}

impl Plan {
    /// A plan of which nothing is known yet.
    #[must_use]
    pub fn empty(id: PlanId) -> Self {
        Self {
            id,
            submitted: None,
            state: PlanState::Pending,
            result: PlanResult::Pending,
            reason: None,
            cancelling: false,
            reverting: false,
            aborting: false,
            held: None,
            place_asked: None,
            steps: Vec::new(),
            successes: 0,
            locks: Vec::new(),
            seq: 0,
            node: None,
            epoch: 0,
            recoveries: 0,
            times: Times::default(),
            superseded_by: None,
            events: Vec::new(),
            edits: Vec::new(),
            last_message: None,
            unreadable: None,
        }
    }

    /// The plan that these rows tell of.
    #[must_use]
    pub fn fold<'a>(id: PlanId, rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let mut plan = Self::empty(id);
        for row in rows {
            plan.append(row);
        }
        if plan.submitted.is_none() && plan.unreadable.is_none() {
            plan.unreadable = Some("it has no row that submits it".into());
        }
        plan
    }

    /// Applies one row. After an entry that does not fit the plan is unreadable and keeps the state it had.
    pub fn append(&mut self, row: &Row) {
        if self.unreadable.is_some() {
            let mut entries = row.entries.iter();
            if entries.any(|entry| matches!(entry, Entry::Abandoned { .. })) {
                self.seq = row.seq;
                self.abandon(row.at);
            }
            return;
        }
        if row.seq != self.seq + 1 {
            self.unreadable = Some(format!("row {} follows row {}", row.seq, self.seq));
            return;
        }
        if let Some(why) = &row.unreadable {
            self.unreadable = Some(format!("row {}: {why}", row.seq));
            return;
        }
        self.seq = row.seq;
        for entry in &row.entries {
            if let Err(why) = self.apply(entry, row.at, row.node) {
                self.unreadable = Some(format!("row {}: {why}", row.seq));
                return;
            }
        }
        self.node = Some(row.node);
    }

    /// The graph as it was submitted; empty before the first row.
    #[must_use]
    pub fn graph(&self) -> &[GraphStep] {
        self.submitted
            .as_ref()
            .map_or(&[], |submitted| &submitted.graph)
    }

    /// The workflow's name; empty before the first row.
    #[must_use]
    pub fn workflow(&self) -> &str {
        self.submitted
            .as_ref()
            .map_or("", |submitted| &submitted.workflow)
    }

    /// How urgent it is when not all that want can be at work.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.submitted
            .as_ref()
            .map_or_else(Priority::default, |submitted| submitted.priority)
    }

    /// The place of the step with this name.
    #[must_use]
    pub fn index_of(&self, step: &str) -> Option<StepIndex> {
        self.graph().iter().position(|known| known.name == step)
    }

    /// The step with this name.
    #[must_use]
    pub fn step(&self, name: &str) -> Option<&StepStatus> {
        self.index_of(name).and_then(|index| self.steps.get(index))
    }

    /// The recorded output of the step with this name.
    #[must_use]
    pub fn output_of(&self, step: &str) -> Option<&Json> {
        self.step(step)?.output.as_ref()
    }

    /// The value of this link, as it was submitted.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&str> {
        let links = &self.submitted.as_ref()?.links;
        links
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The event of this name, if it was delivered.
    #[must_use]
    pub fn event(&self, name: &str) -> Option<&Json> {
        let mut events = self.events.iter();
        events
            .find(|(known, _)| known == name)
            .map(|(_, payload)| payload)
    }

    /// Its sub-tasks, of all steps.
    pub fn children(&self) -> impl Iterator<Item = &Child> {
        let families = self.steps.iter().filter_map(|step| step.family.as_ref());
        families.flat_map(|family| &family.children)
    }

    /// Step `after` is this one, or comes after it, directly or through others.
    #[must_use]
    pub fn comes_after(&self, step: StepIndex, after: StepIndex) -> bool {
        comes_after(self.graph(), step, after)
    }

    /// Some lock is asked for and not known to be held: no step may begin.
    #[must_use]
    pub fn waits_for_locks(&self) -> bool {
        self.state.is_driven()
            && self
                .locks
                .iter()
                .any(|lock| lock.state == LockState::Queued)
    }

    /// Some step waits at a gate: it begins by itself once it may pass.
    #[must_use]
    pub fn waits_at_a_gate(&self) -> bool {
        self.steps.iter().any(|step| step.at_gate.is_some())
    }

    /// It had locks, and needs none of them any more: whoever wants the same from now on begins a plan of his own.
    #[must_use]
    pub fn is_past_its_locks(&self) -> bool {
        let mut locks = self.locks.iter();
        !self.locks.is_empty() && locks.all(|lock| lock.state == LockState::Ended)
    }

    /// It has all it needs but a place: as many plans are at work on its node as may be.
    #[must_use]
    pub fn waits_for_place(&self) -> bool {
        self.state.is_driven() && self.place_asked.is_some() && !self.waits_for_locks()
    }

    /// A step of it runs or is being undone: it has a place among the plans at work on its node.
    #[must_use]
    pub fn is_at_work(&self) -> bool {
        let at_work =
            |step: &StepStatus| step.state == StepState::Running || step.is_being_undone();
        self.state.is_driven() && self.steps.iter().any(at_work)
    }

    /// What this step waited for is there, or it may submit sub-tasks: something of it is under way although it is suspended.
    #[must_use]
    pub fn goes_on_now(&self, step: &StepStatus) -> bool {
        self.state.is_driven() && self.has_come(step)
    }

    /// A suspended step has something to do at this time: its time has come, or what it waited for is there. Its code may be
    /// running then, and may be what ends its node.
    #[must_use]
    pub fn is_due(&self, step: &StepStatus, at: Timestamp) -> bool {
        self.state.is_driven() && self.was_due(step, at)
    }

    fn was_due(&self, step: &StepStatus, at: Timestamp) -> bool {
        if step.state != StepState::Suspended {
            return false;
        }
        let time_has_come = step.wake_at.is_some_and(|wake_at| {
            let since = self.times.claimed.map_or(wake_at, |it| it.max(wake_at));
            wake_at <= at && (step.ticket.is_none() || at.since(since) < POLL_IS_SUSPECT)
        });
        time_has_come || self.has_come(step)
    }

    fn has_come(&self, step: &StepStatus) -> bool {
        if step.state != StepState::Suspended {
            return false;
        }
        if let Some(awaited) = &step.awaits {
            let event = awaited.event.as_ref();
            return event.is_some_and(|name| self.event(name).is_some());
        }
        let Some(family) = &step.family else {
            return false;
        };
        let ends = self.cancelling || self.reverting;
        let begins = !ends && self.held.is_none() && !self.waits_for_locks();
        family.is_over() || (begins && !family.may_be_submitted().is_empty())
    }

    /// It waits for an event or a time that has not come: nothing of it is under way, here or elsewhere.
    #[must_use]
    pub(crate) fn rests(&self, step: &StepStatus, at: Timestamp) -> bool {
        let awaited = step
            .awaits
            .as_ref()
            .filter(|_| step.state == StepState::Suspended);
        let has_come = |awaited: &Awaited| {
            let event = awaited.event.as_ref();
            event.is_some_and(|name| self.event(name).is_some())
                || step.wake_at.is_some_and(|until| until <= at)
        };
        awaited.is_some_and(|awaited| !has_come(awaited))
    }

    /// All steps before it are done.
    #[must_use]
    pub fn is_ready(&self, step: StepIndex) -> bool {
        self.graph().get(step).is_some_and(|known| {
            known
                .after
                .iter()
                .all(|before| self.steps.get(*before).is_some_and(|it| it.state.is_done()))
        })
    }

    /// The step without whose output this one cannot run, and which was skipped without one.
    #[must_use]
    pub fn lacks(&self, step: StepIndex) -> Option<StepIndex> {
        let needed = self.graph().get(step)?.needed();
        let left_nothing = |before: &StepIndex| {
            self.steps
                .get(*before)
                .is_some_and(|it| it.state == StepState::Skipped && it.output.is_none())
        };
        needed.iter().copied().find(left_nothing)
    }

    /// A revert would undo this step now or later: it is done, or being undone, and leaves something behind.
    #[must_use]
    pub fn is_to_undo(&self, step: StepIndex) -> bool {
        let undoable = self.graph().get(step).is_some_and(|known| known.undoable);
        let status = self.steps.get(step);
        undoable
            && status.is_some_and(|it| match it.state {
                StepState::Success | StepState::Compensating => true,
                StepState::CompensationError => !it.is_accepted(),
                StepState::Pending
                | StepState::Running
                | StepState::Suspended
                | StepState::Error
                | StepState::Interrupted
                | StepState::Skipped
                | StepState::Cancelled
                | StepState::Compensated => false,
            })
    }

    /// A revert runs this step once more before it undoes anything: its body was dropped or lost, or told nothing, and only what
    /// has come to an end can be undone.
    #[must_use]
    pub fn is_to_finish(&self, step: StepIndex) -> bool {
        self.leaves_unknown(step, |state| {
            matches!(state, StepState::Pending | StepState::Cancelled)
        })
    }

    /// The step that a revert has run once more did not come to an end either: nobody knows what of it is there.
    #[must_use]
    pub fn is_unfinished(&self, step: StepIndex) -> bool {
        self.reverting && self.leaves_unknown(step, |state| state == StepState::Error)
    }

    fn leaves_unknown(&self, step: StepIndex, is: impl Fn(StepState) -> bool) -> bool {
        let undoable = self.graph().get(step).is_some_and(|known| known.undoable);
        let status = self.steps.get(step);
        undoable && status.is_some_and(|it| it.unfinished && is(it.state))
    }

    /// Taken over too often: this step was under way then, and perhaps it kills its node.
    #[must_use]
    pub fn is_suspect(&self, step: StepIndex) -> bool {
        self.reason == Some(Reason::Poison)
            && self.steps.get(step).is_some_and(|it| match it.state {
                StepState::Pending => it.unfinished && it.was_interrupted(),
                StepState::Compensating => !it.is_retrying_undo(),
                StepState::Suspended => self.was_due(it, self.times.paused.unwrap_or_default()),
                StepState::Running
                | StepState::Success
                | StepState::Error
                | StepState::Interrupted
                | StepState::Skipped
                | StepState::Cancelled
                | StepState::Compensated
                | StepState::CompensationError => false,
            })
    }

    /// Until when its success can be reverted; none where it has not ended so, or its workflow allows no revert then.
    #[must_use]
    pub fn revertible_until(&self) -> Option<Timestamp> {
        if !matches!(self.result, PlanResult::Success | PlanResult::Warning) {
            return None;
        }
        let time: Duration = self.submitted.as_ref()?.revertible_for?;
        Some(self.times.ended? + time)
    }

    /// Needs a person, or has ended: nothing more happens by itself.
    #[must_use]
    pub fn has_settled(&self) -> bool {
        matches!(self.state, PlanState::Paused | PlanState::Stopped)
    }
}
