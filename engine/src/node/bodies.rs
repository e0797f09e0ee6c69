//! What of a plan is under way here: bodies, polls and timers, made to match what the plan says.

use super::Inner;
use super::caller::{Caller, Purpose};
use super::drill::{Effect, ends_by};
use super::gates::Place;
use crate::caught::said;
use crate::clock::{Clock, Timestamp};
use crate::gate::way_of;
use crate::journal::{Failure, Json, StepIndex, Submitted};
use crate::plan::{Plan, StepStatus};
use crate::state::StepState;
use crate::step::{BoxFuture, Job, Outcome, Policy, Services, StepError};
use crate::store::Store;
use futures_util::FutureExt;
use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// What something under way ended with.
pub(super) enum Ended {
    /// The back-off is over.
    Woken,
    /// The body or the poll is over.
    Body {
        outcome: Result<Outcome, StepError>,
        /// A drill wants the process to abort once this is recorded.
        crashes_after: bool,
    },
    /// The drill of a transactional step has been asked; now it may go to the store.
    Asked(Option<Effect>),
    /// Sub-tasks may be submitted.
    Submits,
    /// The gates are passed.
    Passed(Place),
}

impl Ended {
    fn body(outcome: Result<Outcome, StepError>) -> Self {
        Self::Body {
            outcome,
            crashes_after: false,
        }
    }
}

/// What a step's state asks for, with the number of its last attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Body(u32),
    Poll(u32),
    Sleep(u32),
    Undo(u32),
    SleepBeforeUndo(u32),
    /// The event is there.
    Receive(u32),
    /// The time of a wait.
    WaitOver(u32),
    /// So many of its sub-tasks were submitted before.
    Submit(usize),
    Gather(u32),
    /// A way through the gates.
    Pass(u32),
}

impl Wanted {
    fn of(plan: &Plan, step: StepIndex) -> Option<Self> {
        if !plan.state.is_driven() {
            return None; // what is suspended of a plan that is paused as poison is not asked again either
        }
        let status = &plan.steps[step];
        let begins = !plan.waits_for_locks() && plan.held.is_none() && !plan.waits_for_place();
        if status.at_gate.is_some() {
            return begins.then(|| Self::Pass(status.attempts() + status.undo_attempts()));
        }
        match status.state {
            StepState::Running => Some(Self::Body(status.attempts())),
            StepState::Suspended => Self::of_suspended(plan, status),
            StepState::Pending => {
                (status.is_retrying() && begins).then(|| Self::Sleep(status.attempts()))
            }
            StepState::Compensating if status.is_being_undone() => {
                Some(Self::Undo(status.undo_attempts()))
            }
            StepState::Compensating => (status.is_retrying_undo() && begins)
                .then(|| Self::SleepBeforeUndo(status.undo_attempts())),
            StepState::Success
            | StepState::Error
            | StepState::Interrupted
            | StepState::Skipped
            | StepState::Cancelled
            | StepState::Compensated
            | StepState::CompensationError => None,
        }
    }
}

impl Wanted {
    fn of_suspended(plan: &Plan, status: &StepStatus) -> Option<Self> {
        let attempts = status.attempts();
        let goes_on = plan.goes_on_now(status);
        if status.awaits.is_some() {
            return if goes_on {
                Some(Self::Receive(attempts))
            } else {
                status.wake_at.map(|_| Self::WaitOver(attempts))
            };
        }
        let Some(family) = &status.family else {
            return Some(Self::Poll(attempts));
        };
        if family.is_over() {
            return Some(Self::Gather(attempts));
        }
        let before = || family.children.iter().filter(|child| child.plan.is_some());
        goes_on.then(|| Self::Submit(before().count()))
    }
}

/// A transactional step on its way to the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct InTransaction {
    pub(super) step: StepIndex,
    pub(super) undoes: bool,
    /// What a drill does to it at the store.
    pub(super) effect: Option<Effect>,
}

impl InTransaction {
    /// It may be recorded together with others.
    pub(super) fn is_plain(&self) -> bool {
        !self.undoes && self.effect.is_none()
    }
}

/// What was under way of a step, what it was started for, and how it ended.
type Came = (StepIndex, Wanted, Ended);

pub(super) struct Bodies<S: Services, St: Store<Tx = S::Tx>> {
    node: Arc<Inner<S, St>>,
    /// As the plan was when its input was decoded: an operator may have changed it since.
    submitted: Arc<Submitted>,
    caller: Caller<S>,
    set: JoinSet<Came>,
    /// What has ended and was not told of yet.
    came: VecDeque<Came>,
    under_way: HashMap<StepIndex, (Wanted, Option<AbortHandle>)>,
    /// What attempts have passed that are under way.
    places: HashMap<StepIndex, Place>,
    for_the_store: VecDeque<InTransaction>,
    /// The plans are not this node's any more.
    lost: CancellationToken,
}

impl<S: Services, St: Store<Tx = S::Tx>> Bodies<S, St> {
    /// Nothing is under way yet. `None` when this node has no code for the plan.
    pub(super) fn of(node: &Arc<Inner<S, St>>, plan: &Plan) -> Option<Self> {
        let submitted = plan.submitted.as_ref()?;
        let workflow = node
            .workflows
            .known
            .get(submitted.workflow.as_str())?
            .clone();
        let input = (workflow.decode)(&submitted.input).ok()?;
        let code = submitted.graph.iter().map(|step| {
            let index = workflow.index_of(&step.name)?;
            // What newer code has recorded cannot be read by older.
            let reads = workflow.graph[index].form >= step.form;
            reads.then(|| (workflow.bodies[index].clone(), workflow.policies[index]))
        });
        let caller = Caller {
            services: node.services.clone(),
            input,
            code: code.collect::<Option<_>>()?,
            clock: node.clock,
            cancelled: CancellationToken::new(),
        };
        Some(Self {
            caller,
            node: node.clone(),
            submitted: submitted.clone(),
            set: JoinSet::new(),
            came: VecDeque::new(),
            under_way: HashMap::new(),
            places: HashMap::new(),
            for_the_store: VecDeque::new(),
            lost: node.lease.lost(),
        })
    }

    pub(super) fn caller(&self) -> &Caller<S> {
        &self.caller
    }

    /// Starts what the plan asks for and is not under way; aborts what is under way and not asked for.
    pub(super) fn match_plan(&mut self, plan: &Arc<Plan>) {
        if plan.cancelling {
            self.caller.cancelled.cancel();
        }
        self.places.retain(|step, _| {
            let status = plan.steps.get(*step);
            status.is_some_and(|it| it.state == StepState::Running || it.is_being_undone())
        });
        self.read_input(plan);
        for step in 0..plan.steps.len() {
            let wanted = Wanted::of(plan, step);
            #[cfg(feature = "prove")]
            let wanted = wanted.or_else(|| self.of_a_twin(plan, step));
            if self.under_way.get(&step).map(|(known, _)| *known) == wanted {
                continue;
            }
            self.drop_body(step);
            if let Some(wanted) = wanted {
                let abort = self.start(plan, step, wanted);
                self.under_way.insert(step, (wanted, abort));
            }
        }
    }

    /// Decodes the input anew when an operator has changed it.
    fn read_input(&mut self, plan: &Plan) {
        let changed = plan
            .submitted
            .as_ref()
            .filter(|submitted| !Arc::ptr_eq(submitted, &self.submitted));
        let Some(submitted) = changed else { return };
        let workflow = self.node.workflows.known.get(submitted.workflow.as_str());
        if let Some(input) = workflow.and_then(|it| (it.decode)(&submitted.input).ok()) {
            (self.caller.input, self.submitted) = (input, submitted.clone());
        }
    }

    /// Runs this unless the lease is lost; then it is dropped and its end never comes. Should it panic outside of the body, as a
    /// drill may, that is how the body ends.
    fn spawn(
        &mut self,
        step: StepIndex,
        wanted: Wanted,
        work: impl Future<Output = Ended> + Send + 'static,
    ) -> AbortHandle {
        let lost = self.lost.clone();
        let work = AssertUnwindSafe(work).catch_unwind();
        self.set.spawn(async move {
            match lost.run_until_cancelled(work).await {
                Some(Ok(ended)) => (step, wanted, ended),
                Some(Err(panic)) => (step, wanted, Ended::body(Err(panicked(panic.as_ref())))),
                None => std::future::pending().await,
            }
        })
    }

    /// What a broken twin does besides.
    #[cfg(feature = "prove")]
    fn of_a_twin(&self, plan: &Plan, step: StepIndex) -> Option<Wanted> {
        let twin = self.node.options.twin?;
        let undoes = twin == crate::prove::simulation::Twin::UndoesFailedSteps
            && plan.reverting
            && plan.graph()[step].undoable
            && plan.steps[step].state == StepState::Error;
        undoes.then_some(Wanted::Undo(0))
    }

    /// Whether a body runs or waits for the store; polls and timers do not count, a restart goes on with them.
    pub(super) fn work(&self) -> bool {
        self.under_way
            .values()
            .any(|(wanted, _)| matches!(wanted, Wanted::Body(_) | Wanted::Undo(_)))
    }

    pub(super) fn drop_body(&mut self, step: StepIndex) {
        if let Some((_, Some(abort))) = self.under_way.remove(&step) {
            abort.abort();
        }
        self.for_the_store.retain(|work| work.step != step);
    }

    /// The step keeps its place until its attempt is over.
    pub(super) fn keep(&mut self, step: StepIndex, place: Place) {
        self.places.insert(step, place);
    }

    pub(super) fn next_in_transaction(&mut self) -> Option<InTransaction> {
        self.for_the_store.pop_front()
    }

    /// The next end of something that is still wanted; `None` when nothing is under way.
    pub(super) async fn next(&mut self) -> Option<(StepIndex, Ended)> {
        loop {
            let came = match self.came.pop_front() {
                Some(came) => came,
                None => match self.set.join_next().await? {
                    Ok(came) => came,
                    Err(_) => continue, // aborted: what panics is caught where it is spawned
                },
            };
            if self.is_wanted(&came) {
                return Some((came.0, came.2));
            }
        }
    }

    /// The end of a body that has come already, of another step than these.
    pub(super) fn next_body_now(
        &mut self,
        but: &[StepIndex],
    ) -> Option<(StepIndex, Result<Outcome, StepError>)> {
        loop {
            let Ok(came) = self.set.try_join_next()? else {
                continue;
            };
            match came {
                (
                    step,
                    _,
                    Ended::Body {
                        outcome,
                        crashes_after: false,
                    },
                ) if self.is_wanted_now(step, came.1) && !but.contains(&step) => {
                    return Some((step, outcome));
                }
                came => {
                    self.came.push_back(came); // whether it is still wanted is seen later
                    return None;
                }
            }
        }
    }

    fn is_wanted(&self, came: &Came) -> bool {
        self.is_wanted_now(came.0, came.1)
    }

    fn is_wanted_now(&self, step: StepIndex, wanted: Wanted) -> bool {
        let under_way = self.under_way.get(&step);
        under_way.is_some_and(|(known, _)| *known == wanted)
    }

    /// Nothing is under way, not even a timer.
    pub(super) fn are_idle(&self) -> bool {
        self.under_way.is_empty() && self.for_the_store.is_empty()
    }

    /// Steps that may not be recorded together with another one: something else of them is under way than that they wait for the
    /// store, or a drill befalls them.
    pub(super) fn busy(&self) -> Vec<StepIndex> {
        let waits = |step: &StepIndex| {
            let mut waiting = self.for_the_store.iter();
            waiting.any(|work| work.step == *step && work.is_plain())
        };
        let steps = self.under_way.keys().copied();
        steps.filter(|step| !waits(step)).collect()
    }

    /// Gives a transactional step to the store, as its drill wants.
    pub(super) fn asked(&mut self, plan: &Plan, step: StepIndex, effect: Option<Effect>) {
        self.for_the_store.push_back(InTransaction {
            step,
            undoes: plan.steps[step].state == StepState::Compensating,
            effect: effect.filter(|effect| effect.is_of_transactions()),
        });
    }

    /// Makes jobs of this attempt, as many as wanted.
    fn jobs(
        &self,
        plan: &Arc<Plan>,
        step: StepIndex,
        purpose: Purpose,
    ) -> impl Fn(Option<Json>) -> Job<S::Tx> + Send + use<S, St> {
        let (caller, plan) = (self.caller.clone(), plan.clone());
        move |ticket| caller.job(&plan, step, &purpose, ticket)
    }

    fn start(&mut self, plan: &Arc<Plan>, step: StepIndex, wanted: Wanted) -> Option<AbortHandle> {
        let (clock, policy) = (self.node.clock, self.caller.policy(step));
        let status = &plan.steps[step];
        let wake_at = status.wake_at;
        match wanted {
            Wanted::Sleep(_) | Wanted::SleepBeforeUndo(_) => {
                Some(self.spawn(step, wanted, async move {
                    if let Some(at) = wake_at {
                        clock.sleep_until(at).await;
                    }
                    Ended::Woken
                }))
            }
            Wanted::Pass(_) => {
                let way = way_of(plan, step, self.node.options.id);
                let gates = self.node.gates.clone();
                Some(self.spawn(step, wanted, async move {
                    Ended::Passed(gates.pass(&way, || clock.now()).await)
                }))
            }
            Wanted::Poll(_) => {
                let (call, ticket) = (self.jobs(plan, step, Purpose::Run), status.ticket.clone());
                let begun = status.tries.last().map(|last| last.started_at);
                let until = begun.unwrap_or(clock.now()) + policy.suspended_at_most;
                let (node, id) = (self.node.clone(), plan.id);
                Some(self.spawn(step, wanted, async move {
                    if let Some(at) = wake_at {
                        clock.sleep_until(at).await;
                    }
                    let came_back = || node.brake.passes(id);
                    Ended::body(poll(&call, ticket, policy, clock, until, came_back).await)
                }))
            }
            Wanted::WaitOver(_) => {
                let call = self.jobs(plan, step, Purpose::TimeIsOver);
                Some(self.spawn(step, wanted, async move {
                    if let Some(at) = wake_at {
                        clock.sleep_until(at).await;
                    }
                    Ended::body(free(call(None), policy.timeout).await)
                }))
            }
            Wanted::Receive(_) | Wanted::Gather(_) => {
                let event = status.awaits.as_ref().and_then(|it| it.event.as_ref());
                let payload = event.and_then(|name| plan.event(name)).cloned();
                let purpose = payload.map_or(Purpose::Gather, Purpose::Event);
                let call = self.jobs(plan, step, purpose);
                Some(self.spawn(step, wanted, async move {
                    Ended::body(free(call(None), policy.timeout).await)
                }))
            }
            Wanted::Submit(_) => Some(
                self.set
                    .spawn(async move { (step, wanted, Ended::Submits) }),
            ),
            Wanted::Body(_) | Wanted::Undo(_) => {
                let undoes = matches!(wanted, Wanted::Undo(_));
                let call = self.jobs(plan, step, Purpose::undoing(undoes));
                let ticket = status.ticket.clone().filter(|_| !undoes);
                let Some(drill) = self.node.drill.clone() else {
                    return match call(ticket) {
                        Job::InTransaction(_) => {
                            self.asked(plan, step, None);
                            None
                        }
                        Job::Free(body) => Some(self.spawn(step, wanted, async move {
                            Ended::body(bounded(body, policy.timeout).await)
                        })),
                    };
                };
                let plan = plan.clone();
                Some(self.spawn(step, wanted, async move {
                    let name = &plan.graph()[step].name;
                    let effect = if undoes {
                        drill.before_undo(&plan, name).await
                    } else {
                        drill.before(&plan, name).await
                    };
                    drilled(&call, ticket, effect, policy.timeout, clock).await
                }))
            }
        }
    }
}

/// An attempt as its drill wants it.
async fn drilled<Tx>(
    call: &(impl Fn(Option<Json>) -> Job<Tx> + Send),
    ticket: Option<Json>,
    effect: Option<Effect>,
    limit: Duration,
    clock: Clock,
) -> Ended {
    let mut limit = limit;
    match effect {
        Some(Effect::Fail) => return failed(StepError::permanent("a drill makes this step fail")),
        Some(Effect::FailTransient) => {
            return failed(StepError::transient("a drill makes this attempt fail"));
        }
        Some(Effect::CrashBefore) => {
            tracing::error!("a drill aborts the process");
            std::process::abort()
        }
        Some(Effect::Stall(time)) => {
            let until = clock.now() + time.min(limit);
            clock.sleep_until(until).await;
            match limit.checked_sub(time) {
                Some(rest) => limit = rest,
                None => return failed(StepError(Failure::timeout(limit))),
            }
        }
        Some(Effect::CrashAfter | Effect::RunTwice | Effect::FailAfter | Effect::HangAfter(_))
        | None => {}
    }
    match call(ticket.clone()) {
        Job::InTransaction(_) => Ended::Asked(effect),
        Job::Free(body) => {
            if effect == Some(Effect::RunTwice) {
                drop(bounded(body, limit).await);
                if let Job::Free(again) = call(ticket) {
                    return Ended::body(bounded(again, limit).await);
                }
                return Ended::Asked(None);
            }
            let outcome = bounded(Box::pin(ends_by(effect, body)), limit).await;
            Ended::Body {
                outcome,
                crashes_after: effect == Some(Effect::CrashAfter),
            }
        }
    }
}

fn failed(error: StepError) -> Ended {
    Ended::body(Err(error.class("drill")))
}

/// A body that stands in no transaction.
async fn free<Tx>(job: Job<Tx>, limit: Duration) -> Result<Outcome, StepError> {
    match job {
        Job::Free(body) => bounded(body, limit).await,
        Job::InTransaction(_) => Err(StepError::permanent(
            "a transactional step neither waits nor has sub-tasks",
        )),
    }
}

/// Asks until there is an end; the asking leaves no trace in the journal.
async fn poll<Tx>(
    call: &(impl Fn(Option<Json>) -> Job<Tx> + Send),
    ticket: Option<Json>,
    policy: Policy,
    clock: Clock,
    until: Timestamp,
    came_back: impl Fn() + Send,
) -> Result<Outcome, StepError> {
    let (mut interval, mut failures) = (policy.poll, 0);
    loop {
        let wait = match free(call(ticket.clone()), policy.timeout).await {
            Ok(Outcome::Wait { after, .. }) => {
                failures = 0;
                after
            }
            Err(StepError(error)) if error.transient && failures < policy.tolerated => {
                failures += 1;
                None
            }
            end => return end,
        };
        came_back();
        if clock.now() >= until {
            let limit = policy.suspended_at_most.as_secs_f64();
            let late = format!("the work elsewhere did not end within {limit} s");
            return Err(StepError(Failure::new("timeout", late, true)));
        }
        let wait = wait.unwrap_or_else(|| {
            let now = interval;
            interval = (interval * 2).min(policy.poll_max);
            now
        });
        let next = (clock.now() + wait).min(until);
        clock.sleep_until(next).await;
    }
}

/// The body's end; a panic and a time-out are errors.
async fn bounded(
    body: BoxFuture<'static, Result<Outcome, StepError>>,
    limit: Duration,
) -> Result<Outcome, StepError> {
    match tokio::time::timeout(limit, AssertUnwindSafe(body).catch_unwind()).await {
        Err(_) => Err(StepError(Failure::timeout(limit))),
        Ok(Err(panic)) => Err(panicked(panic.as_ref())),
        Ok(Ok(outcome)) => outcome,
    }
}

/// The error that a panic is. Transient: another attempt costs little, and after the last one a person looks.
pub(super) fn panicked(panic: &(dyn Any + Send)) -> StepError {
    StepError(Failure::new(
        "panic",
        format!("the step panicked: {}", said(panic)),
        true,
    ))
}
