//! A plan is the fold of its rows. Total: arbitrary rows make a plan that says why it cannot be read, never a panic.

use crate::clock::Timestamp;
use crate::journal::{
    Entry, Failure, GraphStep, Json, NodeId, PlanId, PlanResult, Reason, Row, StepIndex, Submitted,
};
use crate::lock::{LockRequest, LockState, OnPause};
use crate::state::{PlanEvent, PlanState, StepEvent, StepState};
use std::sync::Arc;

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
    /// Its steps, in graph order.
    pub steps: Vec<StepStatus>,
    /// Its locks, in the order of their resources.
    pub locks: Vec<PlanLock>,
    /// Number of the last row. The next append must be `seq + 1`: that is the fence.
    pub seq: i64,
    /// The owner of the last row.
    pub node: Option<NodeId>,
    /// How many owners there were after the first. Goes to the outside world as information.
    pub epoch: u32,
    /// Take-overs that interrupted a step, since the last progress.
    pub recoveries: u32,
    /// When it was submitted, begun, ended; since when it is paused; when it was last resumed.
    pub times: Times,
    /// The later plan that made this one pointless.
    pub superseded_by: Option<PlanId>,
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
}

/// A lock of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanLock {
    /// As it was asked for at submit.
    pub request: LockRequest,
    /// Where the plan stands with it.
    pub state: LockState,
}

/// Where a step is and what it has behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct StepStatus {
    /// Where it is.
    pub state: StepState,
    /// Every attempt, from the first; numbers go on for ever.
    pub tries: Vec<Try>,
    /// Failures since the last resume: the allowance starts fresh then.
    pub failures: u32,
    /// Recorded with its success; never changes.
    pub output: Option<Json>,
    /// What to ask its work elsewhere with.
    pub ticket: Option<Json>,
    /// Of the last failed attempt, until one succeeds.
    pub error: Option<Failure>,
    /// What a person should know although it succeeded.
    pub warning: Option<String>,
    /// When the next attempt or poll begins.
    pub wake_at: Option<Timestamp>,
}

/// One attempt of a step.
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

impl StepStatus {
    fn fresh() -> Self {
        Self {
            state: StepState::Pending,
            tries: Vec::new(),
            failures: 0,
            output: None,
            ticket: None,
            error: None,
            warning: None,
            wake_at: None,
        }
    }

    /// How many attempts were begun.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.tries.len()).unwrap_or(u32::MAX)
    }

    /// Waits for its next attempt after a failed one.
    #[must_use]
    pub fn is_retrying(&self) -> bool {
        self.state == StepState::Pending && self.wake_at.is_some()
    }

    fn end_try(&mut self, at: Timestamp, error: Option<Failure>, wake_at: Option<Timestamp>) {
        if let Some(last) = self.tries.last_mut() {
            last.ended_at = Some(at);
            last.error = error;
            last.wake_at = wake_at;
        }
    }
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
            steps: Vec::new(),
            locks: Vec::new(),
            seq: 0,
            node: None,
            epoch: 0,
            recoveries: 0,
            times: Times::default(),
            superseded_by: None,
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
        if entry.step().is_some() {
            return self.apply_to_step(entry, at, node);
        }
        match entry {
            Entry::Submitted(submitted) => self.submit(submitted, at)?,
            Entry::Claimed => {
                if self.state.is_driven() {
                    self.on(PlanEvent::TakeOver)?;
                }
                self.epoch = self.epoch.saturating_add(1);
                if self
                    .steps
                    .iter()
                    .any(|step| step.state == StepState::Running)
                {
                    self.recoveries = self.recoveries.saturating_add(1);
                }
            }
            Entry::LocksGranted => {
                for lock in &mut self.locks {
                    if lock.state == LockState::Queued {
                        lock.state = LockState::Held;
                    }
                }
            }
            Entry::Started => {
                self.on(PlanEvent::Start)?;
                self.times.started = Some(at);
            }
            Entry::Operator {
                message, refused, ..
            } => {
                if let (crate::journal::Action::Supersede { by }, None) = (&message.action, refused)
                {
                    self.superseded_by = Some(*by);
                }
            }
            Entry::Resumed => {
                self.on(PlanEvent::Resume)?;
                (self.reason, self.result) = (None, PlanResult::Pending);
                (self.times.paused, self.times.resumed) = (None, Some(at));
                self.recoveries = 0;
                for lock in &mut self.locks {
                    if lock.state == LockState::GivenUp {
                        lock.state = LockState::Queued;
                    }
                }
            }
            Entry::Cancelling { reason } => {
                self.on(PlanEvent::Cancel)?;
                (self.cancelling, self.reason, self.times.paused) = (true, Some(*reason), None);
            }
            Entry::Paused { reason } => {
                self.on(PlanEvent::Pause)?;
                (self.reason, self.result) = (Some(*reason), PlanResult::Error);
                self.times.paused = Some(at);
                for lock in &mut self.locks {
                    let given_up = lock.request.on_pause == OnPause::Release;
                    if given_up && matches!(lock.state, LockState::Held | LockState::Queued) {
                        lock.state = LockState::GivenUp;
                    }
                }
            }
            Entry::Stopped { result } => {
                self.on(PlanEvent::Stop)?;
                self.result = *result;
                if matches!(result, PlanResult::Success | PlanResult::Warning) {
                    self.reason = None; // it was done before the cancel could stop it
                }
                self.times.ended = Some(at);
                self.end_locks(|_| true);
            }
            Entry::StepStarted { .. }
            | Entry::StepSucceeded { .. }
            | Entry::AttemptFailed { .. }
            | Entry::StepFailed { .. }
            | Entry::Suspended { .. }
            | Entry::StepInterrupted { .. }
            | Entry::StepResumed { .. }
            | Entry::StepCancelled { .. } => {
                return Err("an entry about a step that names none".into());
            }
        }
        Ok(())
    }

    /// Applies one entry that is about a step.
    fn apply_to_step(&mut self, entry: &Entry, at: Timestamp, node: NodeId) -> Result<(), String> {
        match entry {
            Entry::StepStarted { step } => {
                let step = self.step_on(*step, StepEvent::Start)?;
                step.tries.push(Try {
                    started_at: at,
                    ended_at: None,
                    node,
                    error: None,
                    wake_at: None,
                });
                step.wake_at = None;
            }
            Entry::StepSucceeded {
                step: index,
                output,
                warning,
            } => {
                let step = self.step_on(*index, StepEvent::Succeed)?;
                step.end_try(at, None, None);
                (step.output, step.warning) = (Some(output.clone()), warning.clone());
                (step.error, step.ticket, step.wake_at) = (None, None, None);
                self.recoveries = 0;
                self.end_locks(|until| until == Some(*index));
            }
            Entry::AttemptFailed {
                step,
                error,
                wake_at,
            } => {
                let step = self.step_on(*step, StepEvent::Retry)?;
                step.end_try(at, Some(error.clone()), Some(*wake_at));
                (step.error, step.wake_at, step.ticket) =
                    (Some(error.clone()), Some(*wake_at), None);
                step.failures = step.failures.saturating_add(1);
            }
            Entry::StepFailed { step, error } => {
                let step = self.step_on(*step, StepEvent::Fail)?;
                step.end_try(at, Some(error.clone()), None);
                (step.error, step.ticket, step.wake_at) = (Some(error.clone()), None, None);
                step.failures = step.failures.saturating_add(1);
            }
            Entry::Suspended {
                step,
                ticket,
                wake_at,
            } => {
                let step = self.step_on(*step, StepEvent::Suspend)?;
                (step.ticket, step.wake_at) = (Some(ticket.clone()), Some(*wake_at));
            }
            Entry::StepInterrupted { step } => {
                let step = self.step_on(*step, StepEvent::Interrupt)?;
                let lost = Failure::new(
                    "interrupted",
                    "the node that ran it is gone; it runs again",
                    true,
                );
                step.end_try(at, Some(lost), None);
            }
            Entry::StepResumed { step } => {
                let step = self.step_on(*step, StepEvent::Resume)?;
                (step.failures, step.wake_at) = (0, None);
            }
            Entry::StepCancelled { step } => {
                let step = self.step_on(*step, StepEvent::Cancel)?;
                if step
                    .tries
                    .last()
                    .is_some_and(|last| last.ended_at.is_none())
                {
                    step.end_try(at, None, None);
                }
                (step.ticket, step.wake_at) = (None, None);
            }
            Entry::Submitted(_)
            | Entry::Claimed
            | Entry::LocksGranted
            | Entry::Started
            | Entry::Operator { .. }
            | Entry::Resumed
            | Entry::Cancelling { .. }
            | Entry::Paused { .. }
            | Entry::Stopped { .. } => return Err("an entry about no step".into()),
        }
        Ok(())
    }

    fn submit(&mut self, submitted: &Submitted, at: Timestamp) -> Result<(), String> {
        if self.submitted.is_some() {
            return Err("submitted twice".into());
        }
        let count = submitted.graph.len();
        if submitted
            .graph
            .iter()
            .enumerate()
            .any(|(place, step)| step.after.iter().any(|before| *before >= place))
        {
            return Err("an edge of the graph points forward".into());
        }
        if submitted
            .locks
            .iter()
            .any(|lock| lock.until.is_some_and(|until| until >= count))
        {
            return Err("a lock ends with a step that the graph does not have".into());
        }
        self.steps = vec![StepStatus::fresh(); count];
        self.locks = submitted
            .locks
            .iter()
            .map(|request| PlanLock {
                request: request.clone(),
                state: LockState::Queued,
            })
            .collect();
        self.times.created = at;
        self.submitted = Some(Arc::new(submitted.clone()));
        Ok(())
    }

    fn on(&mut self, event: PlanEvent) -> Result<(), String> {
        self.state = self
            .state
            .on(event)
            .map_err(|refused| refused.to_string())?;
        Ok(())
    }

    fn step_on(&mut self, index: StepIndex, event: StepEvent) -> Result<&mut StepStatus, String> {
        let count = self.steps.len();
        let step = self
            .steps
            .get_mut(index)
            .ok_or_else(|| format!("there is no step {index} among {count}"))?;
        step.state = step
            .state
            .on(event)
            .map_err(|refused| refused.to_string())?;
        Ok(step)
    }

    fn end_locks(&mut self, over: impl Fn(Option<StepIndex>) -> bool) {
        for lock in &mut self.locks {
            if over(lock.request.until) {
                lock.state = LockState::Ended;
            }
        }
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

    /// Some lock is asked for and not known to be held: no step may begin.
    #[must_use]
    pub fn waits_for_locks(&self) -> bool {
        self.state.is_driven()
            && self
                .locks
                .iter()
                .any(|lock| lock.state == LockState::Queued)
    }

    /// All steps before it have succeeded.
    #[must_use]
    pub fn is_ready(&self, step: StepIndex) -> bool {
        self.graph().get(step).is_some_and(|known| {
            known.after.iter().all(|before| {
                self.steps
                    .get(*before)
                    .is_some_and(|it| it.state == StepState::Success)
            })
        })
    }

    /// Needs a person, or has ended: nothing more happens by itself.
    #[must_use]
    pub fn has_settled(&self) -> bool {
        matches!(self.state, PlanState::Paused | PlanState::Stopped)
    }
}
