//! The actor of one plan: something happened, decide, append, start what follows. One append under way at a time.

use super::bodies::{Bodies, Ended};
use super::drivers::{Driver, Nudge};
use super::places::{Place, Turn};
use super::{Inner, locked};
use crate::clock::Timestamp;
use crate::decide::{self, Admission, Decision, Happening, decide_with};
use crate::gate::Closed;
use crate::journal::{Action, PlanId, Row, StepIndex};
use crate::plan::Plan;
use crate::priority::Priority;
use crate::state::{Refused, StepState};
use crate::step::Services;
use crate::store::{Append, Appended, Store, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// The first and the longest wait before an append is tried again that the store could not take.
const APPEND_AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

pub(super) struct Actor<S: Services, St: Store<Tx = S::Tx>> {
    pub(super) node: Arc<Inner<S, St>>,
    pub(super) plan: Arc<Plan>,
    published: watch::Sender<Arc<Plan>>,
    inbox: mpsc::UnboundedReceiver<Nudge>,
    /// The lease under which it is driven.
    lease: u64,
    /// When the bodies of a cancelled plan are dropped.
    drop_at: Option<Timestamp>,
    /// Its place among the plans at work, while it is.
    pub(super) place: Option<Place>,
    /// Its seat among those that wait for one, while it does.
    turn: Option<Turn>,
    /// Its next transactional step shares its commit with no other.
    pub(super) alone: bool,
}

/// The plan is not ours any more.
pub(super) struct Lost;

/// An actor is in the list of those that drive. Dropped, it is not, however it has ended: then its plan is found again.
struct Listed<S: Services, St: Store<Tx = S::Tx>> {
    node: Arc<Inner<S, St>>,
    plan: PlanId,
    /// False: it has left the list itself, and another may be there.
    still: bool,
}

impl<S: Services, St: Store<Tx = S::Tx>> Drop for Listed<S, St> {
    fn drop(&mut self) {
        if !self.still {
            return;
        }
        let id = self.plan;
        if std::thread::panicking() {
            tracing::error!(task.id = %id, "what drives task {id} has panicked; the task is taken over again");
        } else {
            tracing::debug!(task.id = %id, "task {id} is not driven here any more");
        }
        locked(&self.node.actors).remove(&id);
    }
}

/// What an actor waits for.
enum Came {
    Nudge(Nudge),
    Ended(StepIndex, Ended),
    Place(Place),
    Grace,
    Drain,
}

async fn its_turn(turn: &mut Option<Turn>) -> Place {
    match turn {
        Some(turn) => turn.come().await,
        None => std::future::pending().await,
    }
}

impl<S: Services, St: Store<Tx = S::Tx>> Actor<S, St> {
    pub(super) fn new(
        node: Arc<Inner<S, St>>,
        plan: Arc<Plan>,
        published: watch::Sender<Arc<Plan>>,
        inbox: mpsc::UnboundedReceiver<Nudge>,
        place: Option<Place>,
    ) -> Self {
        Self {
            place,
            turn: None,
            alone: false,
            lease: node.lease.which(),
            node,
            plan,
            published,
            inbox,
            drop_at: None,
        }
    }

    pub(super) async fn run(mut self, first: Option<Happening>) {
        let lost = self.node.lost.clone();
        let mut listed = Listed {
            node: self.node.clone(),
            plan: self.plan.id,
            still: true,
        };
        let ended = tokio::select! {
            biased;
            ended = self.drive(first) => ended,
            () = lost.cancelled() => Err(Lost),
        };
        listed.still = ended.is_err();
    }

    /// Until the plan is paused or stopped and its mail is read, or the node drains and nothing of it is under way.
    async fn drive(&mut self, first: Option<Happening>) -> Result<(), Lost> {
        if let Some(first) = first {
            self.happen(first).await?;
        }
        self.be_seated();
        let Some(mut bodies) = Bodies::of(&self.node, &self.plan) else {
            return self.without_code().await;
        };
        loop {
            let lease = &self.node.lease;
            let lost = lease.is_over() || lease.which() != self.lease;
            if lost && self.plan.state.is_driven() {
                self.node.begins_a_new_life();
                return Err(Lost); // others may drive it by now; it is found again when the node beats
            }
            bodies.match_plan(&self.plan);
            if let Some(work) = bodies.next_in_transaction() {
                self.transact(work, &bodies).await?;
                continue;
            }
            if self.plan.has_settled() && self.leave() {
                return Ok(());
            }
            if self.node.draining.is_cancelled() && !bodies.work() {
                locked(&self.node.actors).remove(&self.plan.id);
                return Ok(());
            }
            if self.park(&bodies) {
                return Ok(());
            }
            let clock = self.node.clock;
            let drop_at = self.drop_at;
            let grace = async move {
                match drop_at {
                    Some(at) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let draining = self.node.draining.clone();
            let was_draining = draining.is_cancelled();
            let came = tokio::select! {
                biased;
                Some(nudge) = self.inbox.recv() => Came::Nudge(nudge),
                Some((step, ended)) = bodies.next() => Came::Ended(step, ended),
                place = its_turn(&mut self.turn) => Came::Place(place),
                () = grace => Came::Grace,
                () = draining.cancelled(), if !was_draining => Came::Drain,
            };
            match came {
                Came::Nudge(nudge) => self.nudged(nudge).await?,
                Came::Ended(step, ended) => self.ended(step, ended, &mut bodies).await?,
                Came::Place(place) => self.placed(place).await?,
                Came::Grace => self.drop_bodies(&mut bodies).await?,
                Came::Drain => {}
            }
        }
    }

    /// Leaves the plan to the list of those that wait, where it waits for nothing but locks: it is looked up again once they are
    /// granted, there is mail for it, or somebody wants to watch it.
    fn park(&mut self, bodies: &Bodies<S, St>) -> bool {
        let rests = self.plan.waits_for_locks()
            && bodies.are_idle()
            && self.drop_at.is_none()
            && self.place.is_none()
            && self.turn.is_none();
        if !rests {
            return false;
        }
        let mut actors = locked(&self.node.actors);
        // One receiver is the list's own.
        if !self.inbox.is_empty() || self.published.receiver_count() > 1 {
            return false;
        }
        let (lease, seq) = (self.lease, self.plan.seq);
        actors.insert(self.plan.id, Driver::Parked { lease, seq });
        true
    }

    /// Leaves the list of actors unless a nudge came meanwhile.
    fn leave(&mut self) -> bool {
        let mut actors = locked(&self.node.actors);
        if !self.inbox.is_empty() {
            return false;
        }
        actors.remove(&self.plan.id);
        true
    }

    /// There is a place for it. Where it needs none any more, another plan gets it.
    async fn placed(&mut self, place: Place) -> Result<(), Lost> {
        self.turn = None;
        // Who was cancelled or superseded while he waited must not begin.
        while !self.read_mail(true).await? {
            tokio::time::sleep(self.node.options.poll).await;
        }
        if self.plan.waits_for_place() {
            self.place = Some(place);
            self.happen(Happening::PlaceGranted).await?;
        }
        Ok(())
    }

    /// Its place, or its seat among those that wait for one, is what the plan says.
    fn be_seated(&mut self) {
        let kind = || self.node.kind_of(self.plan.workflow());
        if !self.plan.is_at_work() {
            self.place = None;
        } else if self.place.is_none() {
            self.place = Some(self.node.places.take_anyhow(kind()));
        }
        if !self.plan.waits_for_place() {
            self.turn = None;
        } else if self.turn.is_none() {
            let priority = self.priority();
            self.turn = Some(self.node.places.wait(&self.plan, priority, kind()));
        }
    }

    /// How urgent it is among those that wait.
    fn priority(&self) -> Priority {
        #[cfg(feature = "prove")]
        if self.node.options.twin == Some(crate::prove::simulation::Twin::FirstComeFirstServed) {
            return Priority::Normal;
        }
        self.plan.priority()
    }

    async fn nudged(&mut self, nudge: Nudge) -> Result<(), Lost> {
        if nudge == Nudge::Lost {
            self.node.begins_a_new_life();
            return Err(Lost);
        }
        // The mail first: who was superseded while he waited must not begin.
        if !self.read_mail(true).await? {
            return Ok(());
        }
        if nudge == Nudge::Granted && self.plan.waits_for_locks() {
            // A hint may be old: only the rows say who holds.
            let asked = vec![self.plan.id];
            if let Ok(due) = self.node.store.due(self.node.options.id, asked).await
                && due.granted.contains(&self.plan.id)
            {
                self.happen(Happening::LocksGranted).await?;
            }
        }
        Ok(())
    }

    /// The grace of a cancelled plan is over.
    async fn drop_bodies(&mut self, bodies: &mut Bodies<S, St>) -> Result<(), Lost> {
        self.drop_at = None;
        for step in self.dropped_steps() {
            bodies.drop_body(step);
        }
        self.record_dropped().await
    }

    fn dropped_steps(&self) -> Vec<StepIndex> {
        let steps = 0..self.plan.steps.len();
        steps.filter(|step| is_dropped(&self.plan, *step)).collect()
    }

    /// No body of it runs here any more.
    pub(super) async fn record_dropped(&mut self) -> Result<(), Lost> {
        // What begins because of it is none of them.
        for step in self.dropped_steps() {
            if is_dropped(&self.plan, step) {
                self.happen(Happening::Dropped { step }).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn happen(&mut self, happening: Happening) -> Result<(), Lost> {
        let _until_durable = self.node.stamps.begin(self.node.clock);
        let decision = self
            .decided(happening)
            .map_err(|refused| self.cannot_go_on(&refused))?;
        self.commit(decision).await
    }

    pub(super) fn cannot_go_on(&self, refused: &Refused) -> Lost {
        let id = self.plan.id;
        tracing::error!(task.id = %id, "task {id} cannot go on: {refused}");
        Lost
    }

    /// What follows. Where a step would begin of a plan that has no place, it takes one, or asks for it.
    pub(super) fn decided(&mut self, happening: Happening) -> Result<Decision, Refused> {
        let (at, node) = (self.node.clock.now(), self.node.options.id);
        let mut admission = self.admission();
        if self.place.is_some() {
            return decide_with(&admission, &self.plan, happening, at, node);
        }
        let decision = decide_with(&admission, &self.plan, happening.clone(), at, node)?;
        if !decision.next.is_at_work() {
            return Ok(decision);
        }
        let kind = self.node.kind_of(self.plan.workflow());
        self.place = self.a_free_place();
        // A gate that opens waits for how the few that it lets pass fare.
        if let Happening::Passed { step } = happening
            && admission.closed.before(&self.plan, step, node).is_some()
        {
            self.place
                .get_or_insert_with(|| self.node.places.take_anyhow(kind));
        }
        if self.place.is_some() {
            return Ok(decision);
        }
        admission.place = decide::Place::Taken;
        decide_with(&admission, &self.plan, happening, at, node)
    }

    pub(super) fn a_free_place(&self) -> Option<Place> {
        let submitted = self.plan.submitted.as_ref();
        let organization = submitted.and_then(|it| it.organization.as_ref());
        let kind = self.node.kind_of(self.plan.workflow());
        self.node.places.take_in_turn(kind, organization)
    }

    /// What steps find that would begin now, if there is a place for the plan. On a node that stops there is none, also for one
    /// that is at work: what is under way ends, and what would follow waits for the next start.
    pub(super) fn admission(&self) -> Admission {
        Admission {
            place: if self.node.draining.is_cancelled() {
                decide::Place::Taken
            } else {
                decide::Place::Free
            },
            closed: self.closed_gates(),
        }
    }

    fn closed_gates(&self) -> Closed {
        #[cfg(feature = "prove")]
        if self.node.options.twin == Some(crate::prove::simulation::Twin::PassesClosedGates) {
            return Closed::default();
        }
        self.node.gates.closed()
    }

    /// Makes the decision durable, however often that must be tried.
    pub(super) async fn commit(&mut self, decision: Decision) -> Result<(), Lost> {
        if decision.entries.is_empty() {
            return Ok(());
        }
        let id = self.plan.id;
        let append = match Append::new(
            &self.plan,
            &decision,
            self.node.options.id,
            self.node.nonce(),
        ) {
            Ok(append) => append,
            Err(error) => {
                tracing::error!(task.id = %id, %error, "an append of task {id} cannot be written");
                return Err(Lost);
            }
        };
        let mut wait = APPEND_AGAIN.0;
        loop {
            match self.node.store.append(append.clone()).await {
                Ok(appended) => {
                    self.advance(decision.next, &appended);
                    self.node
                        .wake_all(decision.notices.iter().map(|(plan, _)| *plan));
                    return Ok(());
                }
                Err(StoreError::Unknown(why)) => {
                    tracing::warn!(task.id = %id, why, "an append of task {id} is read back");
                    if self.is_mine(append.row.seq, append.row.nonce).await? {
                        self.advance(decision.next, &Appended::default());
                        return Ok(());
                    }
                }
                Err(error @ (StoreError::Unavailable(_) | StoreError::Full)) => {
                    tracing::warn!(task.id = %id, %error, "an append of task {id} is tried again");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(APPEND_AGAIN.1);
                }
                Err(error @ (StoreError::Fenced { .. } | StoreError::Corrupt(_))) => {
                    tracing::info!(task.id = %id, %error, "task {id} is given up");
                    return Err(Lost);
                }
            }
        }
    }

    /// Whether the row of an append whose outcome is unknown is ours; lost when it is another's.
    pub(super) async fn is_mine(&self, seq: i64, nonce: i64) -> Result<bool, Lost> {
        #[cfg(feature = "prove")]
        if self.node.options.twin == Some(crate::prove::simulation::Twin::UnknownIsFailure) {
            return Ok(false);
        }
        let rows = self.rows_once_readable(self.plan.id).await;
        match rows.iter().find(|row| row.seq == seq) {
            None => Ok(false),
            Some(row) if row.nonce == nonce => Ok(true),
            Some(_) => Err(Lost),
        }
    }

    /// The rows of a plan, however often they must be asked for.
    pub(super) async fn rows_once_readable(&self, plan: PlanId) -> Vec<Row> {
        let mut wait = APPEND_AGAIN.0;
        loop {
            match self.node.store.load(plan).await {
                Ok(rows) => return rows,
                Err(error) => {
                    tracing::warn!(task.id = %plan, %error, "reading back is tried again");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(APPEND_AGAIN.1);
                }
            }
        }
    }

    pub(super) fn advance(&mut self, next: impl Into<Arc<Plan>>, appended: &Appended) {
        let next = next.into();
        self.note_grace(&next);
        tell(&self.plan, &next);
        super::measure::measure(&self.plan, &next, self.node.clock.now());
        self.plan = next;
        let _nobody_waits = self.published.send(self.plan.clone());
        self.be_seated();
        self.node.tell_granted(&appended.granted);
    }

    /// Bodies of a cancelled plan are dropped after a grace, of an aborted one, or an aborted revert, after a shorter one.
    fn note_grace(&mut self, next: &Plan) {
        let now = self.node.clock.now();
        if next.reverting {
            let aborted = next.aborting && !self.plan.aborting;
            let soon = now + self.node.options.abort_grace;
            if aborted || !next.aborting || next.state != self.plan.state {
                self.drop_at = aborted.then_some(soon);
            }
            return;
        }
        if next.cancelling && !self.plan.cancelling {
            self.drop_at = Some(now + self.node.options.cancel_grace);
        }
        let last = next.last_message.as_ref();
        let aborted = last.is_some_and(|message| message.action == Action::Abort);
        if next.cancelling && aborted {
            let soon = now + self.node.options.abort_grace;
            self.drop_at = self.drop_at.map(|at| at.min(soon));
        }
        if !next.cancelling {
            self.drop_at = None;
        }
    }
}

/// Whether what is under way of the step is dropped once the grace of a cancel or an abort is over.
fn is_dropped(plan: &Plan, step: StepIndex) -> bool {
    let status = &plan.steps[step];
    let elsewhere = status.state == StepState::Suspended && !status.has_open_children();
    status.state == StepState::Running
        || (plan.reverting && (status.is_being_undone() || elsewhere))
}

pub(super) fn crash(plan: &Plan, step: StepIndex) -> ! {
    let name = plan.graph().get(step).map_or("", |known| &known.name);
    tracing::error!(task.id = %plan.id, "a drill aborts the process after step {name} of task {}", plan.id);
    std::process::abort()
}

/// One log line for what people want to know of a plan.
fn tell(before: &Plan, after: &Plan) {
    let id: PlanId = after.id;
    for (index, (was, is)) in before.steps.iter().zip(&after.steps).enumerate() {
        if was.state == is.state {
            continue;
        }
        let step = after
            .graph()
            .get(index)
            .map_or("", |known| known.name.as_str());
        match (is.state, &is.error) {
            (StepState::Success, _) => {
                tracing::info!(task.id = %id, step, "step {step} of task {id} finished");
            }
            (StepState::Error, Some(error)) => {
                tracing::error!(task.id = %id, step, "step {step} of task {id} failed: {}", error.message);
            }
            (StepState::Pending, Some(error)) if is.is_retrying() => {
                tracing::warn!(task.id = %id, step, "step {step} of task {id} is tried again: {}", error.message);
            }
            _ => {}
        }
    }
    if before.state != after.state {
        let (state, result) = (after.state, after.result);
        tracing::info!(task.id = %id, %state, %result, "task {id} is {state}");
    }
}
