//! What of a plan is under way here: bodies, polls and timers, made to match what the plan says.

use super::Inner;
use super::drill::Effect;
use crate::clock::{Clock, Timestamp};
use crate::journal::{Failure, Json, StepIndex};
use crate::plan::{Plan, StepStatus};
use crate::state::StepState;
use crate::step::{
    AnyStep, BoxFuture, Call, Job, Outcome, Policy, Received, Services, StepError, Work,
};
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
}

impl Wanted {
    fn of(plan: &Plan, step: StepIndex) -> Option<Self> {
        let status = &plan.steps[step];
        let begins = !plan.waits_for_locks() && plan.held.is_none();
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
        if let Some(awaited) = &status.awaits {
            let event = awaited.event.as_ref();
            let is_there = event.is_some_and(|name| plan.event(name).is_some());
            return if is_there {
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
        let ends = plan.cancelling || plan.reverting;
        let begins = !ends && plan.held.is_none() && !plan.waits_for_locks();
        let submits = begins && !family.may_be_submitted().is_empty();
        let before = || family.children.iter().filter(|child| child.plan.is_some());
        submits.then(|| Self::Submit(before().count()))
    }
}

/// A transactional step on its way to the store.
pub(super) struct InTransaction<Tx> {
    pub(super) step: StepIndex,
    pub(super) undoes: bool,
    pub(super) form: u32,
    pub(super) job: Work<Tx, Outcome, StepError>,
    /// Runs before it and is rolled back: a drill that runs every body twice.
    pub(super) rehearsal: Option<Work<Tx, Outcome, StepError>>,
    pub(super) limit: Duration,
    pub(super) crashes_after: bool,
}

pub(super) struct Bodies<S: Services, St: Store<Tx = S::Tx>> {
    node: Arc<Inner<S, St>>,
    input: Arc<dyn Any + Send + Sync>,
    /// The code of each step of the plan's graph.
    code: Vec<(Arc<dyn AnyStep<S>>, Policy)>,
    set: JoinSet<(StepIndex, Wanted, Ended)>,
    under_way: HashMap<StepIndex, (Wanted, Option<AbortHandle>)>,
    for_the_store: VecDeque<InTransaction<S::Tx>>,
    cancelled: CancellationToken,
    /// The plans are not this node's any more.
    lost: CancellationToken,
}

impl<S: Services, St: Store<Tx = S::Tx>> Bodies<S, St> {
    /// Nothing is under way yet. `None` when this node has no code for the plan.
    pub(super) fn of(node: &Arc<Inner<S, St>>, plan: &Plan) -> Option<Self> {
        let submitted = plan.submitted.as_ref()?;
        let workflow = node.workflows.0.get(submitted.workflow.as_str())?.clone();
        let input = (workflow.decode)(&submitted.input).ok()?;
        let code = submitted.graph.iter().map(|step| {
            let index = workflow.index_of(&step.name)?;
            // What newer code has recorded cannot be read by older.
            let reads = workflow.graph[index].form >= step.form;
            reads.then(|| (workflow.bodies[index].clone(), workflow.policies[index]))
        });
        Some(Self {
            code: code.collect::<Option<_>>()?,
            node: node.clone(),
            input,
            set: JoinSet::new(),
            under_way: HashMap::new(),
            for_the_store: VecDeque::new(),
            cancelled: CancellationToken::new(),
            lost: node.lease.lost(),
        })
    }

    pub(super) fn form(&self, step: StepIndex) -> u32 {
        self.code[step].0.form()
    }

    pub(super) fn policy(&self, step: StepIndex) -> Policy {
        self.code[step].1
    }

    /// Starts what the plan asks for and is not under way; aborts what is under way and not asked for.
    pub(super) fn match_plan(&mut self, plan: &Arc<Plan>) {
        if plan.cancelling {
            self.cancelled.cancel();
        }
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

    /// Runs this unless the lease is lost; then it is dropped and its end never comes.
    fn spawn(
        &mut self,
        body: impl Future<Output = (StepIndex, Wanted, Ended)> + Send + 'static,
    ) -> AbortHandle {
        let lost = self.lost.clone();
        self.set.spawn(async move {
            match lost.run_until_cancelled(body).await {
                Some(ended) => ended,
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

    pub(super) fn next_in_transaction(&mut self) -> Option<InTransaction<S::Tx>> {
        self.for_the_store.pop_front()
    }

    /// The next end of something that is still wanted; `None` when nothing is under way.
    pub(super) async fn next(&mut self) -> Option<(StepIndex, Ended)> {
        loop {
            let Ok((step, wanted, ended)) = self.set.join_next().await? else {
                continue; // aborted: bodies catch their panics
            };
            if self
                .under_way
                .get(&step)
                .is_some_and(|(known, _)| *known == wanted)
            {
                return Some((step, ended));
            }
        }
    }

    /// Gives a transactional step to the store, or makes it fail, as its drill wants.
    pub(super) fn asked(&mut self, plan: &Arc<Plan>, step: StepIndex, effect: Option<Effect>) {
        let undoes = plan.steps[step].state == StepState::Compensating;
        let call = self.caller(plan, step, Purpose::undoing(undoes));
        let Job::InTransaction(job) = call(None) else {
            return;
        };
        let rehearsal = match (effect, call(None)) {
            (Some(Effect::RunTwice), Job::InTransaction(rehearsal)) => Some(rehearsal),
            _ => None,
        };
        let crashes_after = effect == Some(Effect::CrashAfter);
        self.for_the_store.push_back(InTransaction {
            step,
            undoes,
            form: self.form(step),
            job,
            rehearsal,
            limit: self.policy(step).timeout,
            crashes_after,
        });
    }

    /// Makes jobs of this attempt, as many as wanted.
    fn caller(
        &self,
        plan: &Arc<Plan>,
        step: StepIndex,
        purpose: Purpose,
    ) -> impl Fn(Option<Json>) -> Job<S::Tx> + Send + use<S, St> {
        let (services, plan, input) =
            (self.node.services.clone(), plan.clone(), self.input.clone());
        let (code, clock, cancelled) = (
            self.code[step].0.clone(),
            self.node.clock,
            self.cancelled.clone(),
        );
        move |ticket| {
            let (services, input) = (services.clone(), input.clone());
            let call = Call {
                services,
                plan: plan.clone(),
                input,
                step,
                ticket,
                received: purpose.received(),
                gathers: matches!(purpose, Purpose::Gather),
                clock,
                cancelled: cancelled.clone(),
                undoes: matches!(purpose, Purpose::Undo),
            };
            let job = if call.undoes {
                code.clone().undo(call)
            } else {
                code.clone().run(call)
            };
            super::trace::traced(job, plan.clone(), step)
        }
    }

    fn start(&mut self, plan: &Arc<Plan>, step: StepIndex, wanted: Wanted) -> Option<AbortHandle> {
        let (clock, policy) = (self.node.clock, self.policy(step));
        let status = &plan.steps[step];
        let wake_at = status.wake_at;
        match wanted {
            Wanted::Sleep(_) | Wanted::SleepBeforeUndo(_) => Some(self.spawn(async move {
                if let Some(at) = wake_at {
                    clock.sleep_until(at).await;
                }
                (step, wanted, Ended::Woken)
            })),
            Wanted::Poll(_) => {
                let (call, ticket) = (self.caller(plan, step, Purpose::Run), status.ticket.clone());
                let begun = status.tries.last().map(|last| last.started_at);
                let until = begun.unwrap_or(clock.now()) + policy.suspended_at_most;
                Some(self.spawn(async move {
                    if let Some(at) = wake_at {
                        clock.sleep_until(at).await;
                    }
                    let outcome = poll(&call, ticket, policy, clock, until).await;
                    (step, wanted, Ended::body(outcome))
                }))
            }
            Wanted::WaitOver(_) => {
                let call = self.caller(plan, step, Purpose::TimeIsOver);
                Some(self.spawn(async move {
                    if let Some(at) = wake_at {
                        clock.sleep_until(at).await;
                    }
                    let outcome = free(call(None), policy.timeout).await;
                    (step, wanted, Ended::body(outcome))
                }))
            }
            Wanted::Receive(_) | Wanted::Gather(_) => {
                let event = status.awaits.as_ref().and_then(|it| it.event.as_ref());
                let payload = event.and_then(|name| plan.event(name)).cloned();
                let purpose = payload.map_or(Purpose::Gather, Purpose::Event);
                let call = self.caller(plan, step, purpose);
                Some(self.spawn(async move {
                    let outcome = free(call(None), policy.timeout).await;
                    (step, wanted, Ended::body(outcome))
                }))
            }
            Wanted::Submit(_) => Some(
                self.set
                    .spawn(async move { (step, wanted, Ended::Submits) }),
            ),
            Wanted::Body(_) | Wanted::Undo(_) => {
                let undoes = matches!(wanted, Wanted::Undo(_));
                let call = self.caller(plan, step, Purpose::undoing(undoes));
                let ticket = status.ticket.clone().filter(|_| !undoes);
                let Some(drill) = self.node.drill.clone() else {
                    return match call(ticket) {
                        Job::InTransaction(_) => {
                            self.asked(plan, step, None);
                            None
                        }
                        Job::Free(body) => Some(self.spawn(async move {
                            let outcome = bounded(body, policy.timeout).await;
                            (step, wanted, Ended::body(outcome))
                        })),
                    };
                };
                let plan = plan.clone();
                Some(self.spawn(async move {
                    let name = &plan.graph()[step].name;
                    let effect = if undoes {
                        drill.before_undo(&plan, name).await
                    } else {
                        drill.before(&plan, name).await
                    };
                    (
                        step,
                        wanted,
                        drilled(&call, ticket, effect, policy.timeout, clock).await,
                    )
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
        Some(Effect::CrashAfter | Effect::RunTwice) | None => {}
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
            let outcome = bounded(body, limit).await;
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

/// What a body is wanted for.
enum Purpose {
    Run,
    Undo,
    Event(Json),
    TimeIsOver,
    Gather,
}

impl Purpose {
    fn undoing(undoes: bool) -> Self {
        if undoes { Self::Undo } else { Self::Run }
    }

    fn received(&self) -> Option<Received> {
        match self {
            Self::Event(payload) => Some(Received::Event(payload.clone())),
            Self::TimeIsOver => Some(Received::TimeIsOver),
            Self::Run | Self::Undo | Self::Gather => None,
        }
    }
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
    let said = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned());
    let said = said.unwrap_or_else(|| "without a message".into());
    StepError(Failure::new(
        "panic",
        format!("the step panicked: {said}"),
        true,
    ))
}
