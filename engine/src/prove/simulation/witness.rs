//! Who sees every commit, and says at once when one breaks what must be true of all plans together.

use super::house;
use super::tally::{Deed, Tally};
use super::turns::Turns;
use crate::clock::{Clock, Timestamp};
use crate::journal::{Action, ChildState, Entry, Json, PlanId, PlanResult, Row, Until};
use crate::lock::{LockMode, LockState};
use crate::plan::Plan;
use crate::state::PlanState;
use crate::store::memory::{self, Commit};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A plan as its rows tell it, for as long as the run lasts: also after it was deleted.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) plan: Plan,
    pub(super) rows: Vec<Arc<Row>>,
    pub(super) forgotten: bool,
}

/// All that was ever committed.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) plans: BTreeMap<PlanId, Known>,
    /// What no commit may bring, and one has brought.
    pub(super) wrong: Vec<String>,
    /// By resource: who has a lock of it, and how.
    held: BTreeMap<String, Vec<(PlanId, LockMode)>>,
}

/// The witness of a scene.
#[derive(Debug)]
pub(super) struct Witness {
    record: Mutex<Record>,
    tally: Arc<Tally>,
    turns: Arc<Turns>,
    clock: Clock,
    /// So long a plan is kept after its end at least.
    kept: Duration,
}

impl Witness {
    pub(super) fn new(
        tally: Arc<Tally>,
        turns: Arc<Turns>,
        clock: Clock,
        kept: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            record: Mutex::default(),
            tally,
            turns,
            clock,
            kept,
        })
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl memory::Witness for Witness {
    fn committed(&self, commit: &Commit) {
        let mut record = self.record();
        for (plan, row) in &commit.rows {
            record.row(*plan, row, &self.tally);
        }
        for (plan, row) in &commit.rows {
            let Some(known) = record.plans.get(plan) else {
                continue;
            };
            self.turns.committed(&known.plan, row);
            let wrong = record.locks_of(*plan);
            record.wrong.extend(wrong);
        }
        for plan in &commit.forgotten {
            self.tally.note(Deed::Forgotten);
            if let Some(known) = record.plans.get_mut(plan) {
                known.forgotten = true;
            }
        }
        for plan in &commit.forgotten {
            let wrong = record.deleted(*plan, self.clock.now(), self.kept);
            record.wrong.extend(wrong);
        }
    }
}

impl Record {
    /// Plans that are there, in the order of their ids.
    pub(super) fn present(&self) -> impl Iterator<Item = &Plan> {
        let known = self.plans.values().filter(|known| !known.forgotten);
        known.map(|known| &known.plan)
    }

    /// A plan goes on by this row.
    fn row(&mut self, id: PlanId, row: &Arc<Row>, tally: &Tally) {
        let known = self.plans.entry(id).or_insert_with(|| Known {
            plan: Plan::empty(id),
            rows: Vec::new(),
            forgotten: false,
        });
        if known.forgotten {
            self.wrong.push(format!(
                "row {} was written to task {id}, which is deleted",
                row.seq
            ));
        }
        let last = known.plan.node;
        known.plan.append(row);
        known.rows.push(row.clone());
        tally.note(Deed::Row);
        if last.is_some_and(|last| last != row.node) {
            tally.note(Deed::TakeOver);
        }
        for entry in &row.entries {
            count(&known.plan, entry, tally);
            self.wrong
                .extend(reads_its_input(&known.plan, entry, tally));
        }
        if known.plan.locks.is_empty() {
            return;
        }
        if row.entries.iter().any(asks) && known.plan.waits_for_locks() {
            tally.note(Deed::LockWait);
        }
        let mut shares = false;
        for lock in &known.plan.locks {
            let resource = &lock.request.resource;
            let holds = lock.state == LockState::Held;
            let holders = self.held.get_mut(resource);
            if !holds {
                if let Some(holders) = holders {
                    holders.retain(|(plan, _)| *plan != id);
                }
                continue;
            }
            let holders = match holders {
                Some(holders) => holders,
                None => self.held.entry(resource.clone()).or_default(),
            };
            if !holders.iter().any(|(plan, _)| *plan == id) {
                holders.push((id, lock.request.mode));
                shares |= holders.len() > 1;
            }
        }
        if shares {
            tally.note(Deed::SharedLock);
        }
    }

    /// Nobody holds what this plan holds, unless both share it; and where it is a sub-task at work inside the locks of its parent,
    /// that has them.
    fn locks_of(&self, id: PlanId) -> Vec<String> {
        let mut wrong = Vec::new();
        let Some(known) = self.plans.get(&id) else {
            return wrong;
        };
        for lock in &known.plan.locks {
            let Some(holders) = self.held.get(&lock.request.resource) else {
                continue;
            };
            let alone = holders.iter().any(|(_, mode)| *mode == LockMode::Exclusive);
            if alone && holders.len() > 1 {
                let who: Vec<String> = holders
                    .iter()
                    .map(|(plan, mode)| format!("task {plan} ({mode})"))
                    .collect();
                let (resource, who) = (&lock.request.resource, who.join(" and "));
                wrong.push(format!("lock {resource} is held by {who} at once"));
            }
        }
        wrong.extend(self.is_inside(&known.plan));
        for child in known.plan.children().filter_map(|child| child.plan) {
            let child = self.plans.get(&child);
            wrong.extend(child.and_then(|child| self.is_inside(&child.plan)));
        }
        wrong
    }

    fn is_inside(&self, child: &Plan) -> Option<String> {
        let submitted = child.submitted.as_ref()?;
        let parent = submitted.parent.filter(|it| it.until == Until::Ended)?;
        if !child.is_at_work() {
            return None;
        }
        let parent = &self.plans.get(&parent.plan)?.plan;
        for (resource, mode) in house::locks_of_room(&submitted.input) {
            let is_it = |held: &&crate::plan::PlanLock| {
                held.request.resource == resource
                    && held.state == LockState::Held
                    && (held.request.mode == LockMode::Exclusive || mode == LockMode::Shared)
            };
            if !parent.locks.iter().any(|held| is_it(&held)) {
                return Some(format!(
                    "task {} is at work inside lock {resource} ({mode}), which its parent, task {}, does not hold: that is {} {:?}",
                    child.id, parent.id, parent.state, parent.reason
                ));
            }
        }
        None
    }

    /// Only what had ended was deleted, after its time, and a whole family at once.
    fn deleted(&self, id: PlanId, now: Timestamp, kept: Duration) -> Vec<String> {
        let Some(known) = self.plans.get(&id) else {
            return vec![format!("task {id} was deleted and never known")];
        };
        let (plan, mut wrong) = (&known.plan, Vec::new());
        let is_over = |ended: Timestamp| now.since(ended) >= kept;
        if plan.state != PlanState::Stopped || !plan.times.ended.is_some_and(is_over) {
            wrong.push(format!(
                "task {id} was deleted while it was {}, ended at {:?}, at {now}",
                plan.state, plan.times.ended
            ));
        }
        if plan.revertible_until().is_some_and(|until| until > now) {
            wrong.push(format!("task {id} was deleted and could still be reverted"));
        }
        let parent = |of: &Plan| Some(of.submitted.as_ref()?.parent?.plan);
        let torn = self.present().find(|other| {
            parent(other) == Some(id) || parent(plan).is_some_and(|parent| parent == other.id)
        });
        if let Some(other) = torn {
            wrong.push(format!("task {id} was deleted without task {}", other.id));
        }
        wrong
    }
}

fn asks(entry: &Entry) -> bool {
    matches!(
        entry,
        Entry::Submitted(_) | Entry::Resumed | Entry::LocksAsked
    )
}

/// What a step made of the input is what the input was then, however often a person had changed it.
fn reads_its_input(plan: &Plan, entry: &Entry, tally: &Tally) -> Option<String> {
    let Entry::StepSucceeded { step, output, .. } = entry else {
        return None;
    };
    let submitted = plan.submitted.as_ref()?;
    let name = &plan.graph().get(*step)?.name;
    let note = house::note_told_by(name, &submitted.input)?;
    if !plan.edits.is_empty() {
        tally.note(Deed::EditSeen);
    }
    let wanted = Json::of(&note).ok()?;
    (wanted != *output).then(|| {
        format!(
            "task {}: step {name} told {} of an input that says {note}",
            plan.id,
            output.text()
        )
    })
}

fn count(plan: &Plan, entry: &Entry, tally: &Tally) {
    if let Entry::Submitted(submitted) = entry {
        tally.note(Deed::Plan);
        if let Some(parent) = submitted.parent {
            tally.note(Deed::SubTask);
            if parent.until == Until::Ended && !house::locks_of_room(&submitted.input).is_empty() {
                tally.note(Deed::SubTaskInside);
            }
        }
        if plan.link("scheduled_for").is_some() {
            tally.note(Deed::Scheduled);
        }
    }
    if let Entry::ChildrenSubmitted { refused, .. } = entry {
        tally.add(Deed::RefusedSubTask, refused.len());
    }
    if let Some(deed) = deed_of(entry) {
        tally.note(deed);
    }
}

fn deed_of(entry: &Entry) -> Option<Deed> {
    Some(match entry {
        Entry::AttemptFailed { .. } => Deed::Retry,
        Entry::StepFailed { .. } => Deed::Failure,
        Entry::StepInterrupted { .. } => Deed::Interruption,
        Entry::StepLost { .. } => Deed::LostStep,
        Entry::StepSkipped { .. } => Deed::Skip,
        Entry::AtGate { .. } => Deed::AtGate,
        Entry::TurnedBack { .. } => Deed::TurnedBack,
        Entry::Compensated { .. } => Deed::Undo,
        Entry::CompensationFailed { .. } => Deed::FailedUndo,
        Entry::Cancelling { .. } => Deed::Cancel,
        Entry::Paused { .. } => Deed::Pause,
        Entry::Resumed => Deed::Resume,
        Entry::HandedOver => Deed::HandOver,
        Entry::Held => Deed::Hold,
        Entry::Released => Deed::Release,
        Entry::PlaceAsked => Deed::PlaceWait,
        Entry::Stopped {
            result: PlanResult::Reverted,
        } => Deed::Revert,
        Entry::Operator {
            message,
            refused: None,
            ..
        } => return deed_of_action(&message.action),
        Entry::Submitted(_)
        | Entry::Claimed
        | Entry::LocksGranted
        | Entry::Started
        | Entry::StepStarted { .. }
        | Entry::StepSucceeded { .. }
        | Entry::Suspended { .. }
        | Entry::Awaiting { .. }
        | Entry::Spawning { .. }
        | Entry::ChildrenSubmitted { .. }
        | Entry::StepResumed { .. }
        | Entry::StepCancelled { .. }
        | Entry::StepResolved { .. }
        | Entry::Compensating { .. }
        | Entry::CompensationAttemptFailed { .. }
        | Entry::CompensationInterrupted { .. }
        | Entry::CompensationResumed { .. }
        | Entry::CompensationAccepted { .. }
        | Entry::Operator { .. }
        | Entry::Reverting
        | Entry::LocksAsked
        | Entry::PlaceGranted
        | Entry::Abandoned { .. }
        | Entry::Stopped { .. } => return None,
    })
}

fn deed_of_action(action: &Action) -> Option<Deed> {
    match action {
        Action::ResumeEdited { .. } => Some(Deed::Edit),
        Action::Abort => Some(Deed::Abort),
        Action::Resolve { .. } => Some(Deed::Resolution),
        Action::ChildMoved {
            state: ChildState::Stuck,
            ..
        } => Some(Deed::StuckSubTask),
        Action::Resume
        | Action::Cancel
        | Action::Revert
        | Action::Hold
        | Action::Release
        | Action::Skip { .. }
        | Action::RetryNow { .. }
        | Action::Event { .. }
        | Action::ChildMoved { .. }
        | Action::Unreadable { .. }
        | Action::Supersede { .. } => None,
    }
}
