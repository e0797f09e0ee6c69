//! How people write what a step does: what it is ([`Declared`]) and what it does, one of four kinds.
//!
//! * [`Step`]: any effect, idempotent: it may run again after a crash.
//! * [`TransactionalStep`]: database writes in the very transaction that records the success: exactly once.
//! * [`PollingStep`]: work that goes on elsewhere, or a wait. The ticket is durable before the first poll.
//! * [`SpawningStep`]: sub-tasks that it waits for.

mod context;
mod erased;
mod needs;

pub use crate::journal::Until;
pub use crate::plan::Child;
pub use context::{Context, Progress};
pub use erased::{AnyStep, Call, Job, Outcome, Polling, Runs, Transactional};
pub use needs::Needs;

use crate::journal::{Failure, Json, Rescue};
use crate::workflow::Workflow;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::pin::Pin;
use std::time::Duration;

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Work for the inside of somebody else's transaction. Boxed by hand: the future of an `AsyncFnOnce` cannot yet be required to
/// be `Send`.
pub type Work<Tx, T, E> = Box<dyn for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send>;

/// What the steps of an application may use.
pub trait Services: Send + Sync + 'static {
    /// What a transactional step writes through. No lifetime: the store owns it and lends `&mut`.
    type Tx: Send + 'static;
}

/// What a step is.
pub trait Declared: Send + Sync + Sized + 'static {
    /// As the API shows it: never renamed.
    const NAME: &'static str;
    /// How often it is tried, how long an attempt may take, what its last failure means.
    const POLICY: Policy = Policy::idempotent();
    /// The same on a node whose backend is another server ([`BackendPlace`](crate::workflow::BackendPlace)).
    const ELSEWHERE: Policy = Self::POLICY;
    /// The workflow it belongs to.
    type Workflow: Workflow;
    /// The steps whose outputs it reads: a step type, `()`, or a tuple of them. Each must be an ancestor in the graph.
    type Needs: Needs;
    /// What it leaves to later steps, recorded with its success.
    type Output: Serialize + DeserializeOwned + Send;
    /// The form of its output and its ticket. Raised when they change so that what is recorded would not be read; then
    /// [`Declared::upcast`] makes the new form of the old one.
    const FORM: u32 = 1;

    /// The output or ticket in this form, from one that was recorded in the older form `from`. Recorded ones stay as they are.
    fn upcast(from: u32, _recorded: Json) -> Result<Json, StepError> {
        Err(StepError::permanent(format!(
            "step {} cannot read what it recorded in form {from}: it has form {} and no upcaster",
            Self::NAME,
            Self::FORM
        )))
    }
}

/// What a step's transaction is.
pub type TxOf<S> = <<<S as Declared>::Workflow as Workflow>::Services as Services>::Tx;
/// The context a step gets.
pub type ContextOf<S> = Context<<S as Declared>::Workflow>;
/// The outputs a step reads.
pub type Outputs<S> = <<S as Declared>::Needs as Needs>::Outputs;

/// A step with any effect. It may run again after a crash, so a repeat must be harmless.
pub trait Step: Declared {
    /// Does the work and answers with what later steps need to know.
    fn run(
        &self,
        cx: &ContextOf<Self>,
        input: &Self::Workflow,
        needs: Outputs<Self>,
    ) -> impl Future<Output = Result<Self::Output, StepError>> + Send;

    /// Undoes what it did and told; only called where its policy says [`Policy::undoable`]. It may run again, too.
    fn compensate(
        &self,
        cx: &ContextOf<Self>,
        input: &Self::Workflow,
        done: Self::Output,
    ) -> impl Future<Output = Result<(), StepError>> + Send {
        let _nothing_left_behind = (cx, input, done);
        async { Ok(()) }
    }
}

/// A step whose writes and success are one commit: exactly once. It holds the store's writer, so it does database work only,
/// and little of it.
pub trait TransactionalStep: Declared {
    /// Writes through `tx` and answers with what later steps need to know.
    fn run(
        &self,
        tx: &mut TxOf<Self>,
        cx: &ContextOf<Self>,
        input: &Self::Workflow,
        needs: Outputs<Self>,
    ) -> impl Future<Output = Result<Self::Output, StepError>> + Send;

    /// Undoes what it did and told, in the transaction that records it as undone; only called where its policy says
    /// [`Policy::undoable`].
    fn compensate(
        &self,
        tx: &mut TxOf<Self>,
        cx: &ContextOf<Self>,
        input: &Self::Workflow,
        done: Self::Output,
    ) -> impl Future<Output = Result<(), StepError>> + Send {
        let _nothing_left_behind = (tx, cx, input, done);
        async { Ok(()) }
    }
}

/// A step whose work may go on elsewhere. After a restart a recorded ticket is polled first; nothing is started twice.
pub trait PollingStep: Declared {
    /// What the work elsewhere is asked for with.
    type Ticket: Serialize + DeserializeOwned + Send;

    /// Starts the work: done at once, or a ticket.
    fn start(
        &self,
        cx: &ContextOf<Self>,
        input: &Self::Workflow,
        needs: Outputs<Self>,
    ) -> impl Future<Output = Result<Begun<Self::Output, Self::Ticket>, StepError>> + Send;

    /// Asks for the work. Leaves no trace in the journal until there is an end. What fails and can pass is asked again, as often
    /// in a row as [`Policy::tolerated`] says. After a resume, and when a revert brings a cancelled step to its end, the old ticket
    /// is asked first. The work is only started anew when that fails for good, and that of a `once` step only after a person has
    /// said so.
    fn poll(
        &self,
        cx: &ContextOf<Self>,
        input: &Self::Workflow,
        ticket: &Self::Ticket,
    ) -> impl Future<Output = Result<Polled<Self::Output>, StepError>> + Send;

    /// What came of the event that [`Begun::Event`] waits for, or of the time being over.
    fn received(
        &self,
        cx: &ContextOf<Self>,
        input: &Self::Workflow,
        event: Received,
    ) -> impl Future<Output = Result<Self::Output, StepError>> + Send {
        drop((cx, input, event));
        async {
            Err(StepError::permanent(format!(
                "step {} waits for an event and does not say what comes of it",
                Self::NAME
            )))
        }
    }

    /// Undoes what it did and told; only called where its policy says [`Policy::undoable`]. It may run again, too.
    fn compensate(
        &self,
        cx: &ContextOf<Self>,
        input: &Self::Workflow,
        done: Self::Output,
    ) -> impl Future<Output = Result<(), StepError>> + Send {
        let _nothing_left_behind = (cx, input, done);
        async { Ok(()) }
    }
}

/// What starting a polling step came to.
#[derive(Debug)]
pub enum Begun<O, T> {
    /// It is done already.
    Done(O),
    /// It goes on elsewhere; ask with this.
    Ticket(T),
    /// The same, and it is hardly done before this time has passed: ask first then.
    Later(T, Duration),
    /// It goes on when the plan is told of this event, which may have happened already; or after the time.
    Event {
        /// Its name.
        name: String,
        /// Not longer than this.
        within: Option<Duration>,
    },
    /// It goes on after this time, however often the node restarts meanwhile.
    Sleep(Duration),
}

/// What a step that waits for an event receives.
#[derive(Debug)]
pub enum Received {
    /// What is known of the event.
    Event(Json),
    /// The time is over.
    TimeIsOver,
}

/// A step that wants sub-tasks and waits for them. They use the locks of their parent.
pub trait SpawningStep: Declared {
    /// What its sub-tasks are.
    type Child: Workflow<Services = <Self::Workflow as Workflow>::Services>;
    /// How long it waits for them.
    const UNTIL: Until = Until::Ended;
    /// At most so many are open at once.
    const AT_ONCE: u32 = 16;

    /// The sub-tasks, each with a key that names it within the step: of one key there is one sub-task, however often this runs.
    /// When the step is resumed, this runs again: failed ones are resumed, new keys are added.
    fn children(
        &self,
        cx: &ContextOf<Self>,
        input: &Self::Workflow,
        needs: Outputs<Self>,
    ) -> impl Future<Output = Result<Vec<(String, Self::Child)>, StepError>> + Send;

    /// What came of them, once the step has nothing to wait for any more.
    fn gather(
        &self,
        cx: &ContextOf<Self>,
        input: &Self::Workflow,
        children: &[Child],
    ) -> impl Future<Output = Result<Self::Output, StepError>> + Send;

    /// Undoes what it did and told; only called where its policy says [`Policy::undoable`]. It may run again, too.
    fn compensate(
        &self,
        cx: &ContextOf<Self>,
        input: &Self::Workflow,
        done: Self::Output,
    ) -> impl Future<Output = Result<(), StepError>> + Send {
        let _nothing_left_behind = (cx, input, done);
        async { Ok(()) }
    }
}

/// An error that names the sub-tasks that have not ended as they should; nothing when all have.
pub fn all_done(children: &[Child]) -> Result<(), StepError> {
    let words = |child: &Child| match &child.refused {
        Some(why) => format!("{} ({why})", child.wanted.key),
        None => child.wanted.key.clone(),
    };
    let failed: Vec<String> = children
        .iter()
        .filter(|child| !child.is_done())
        .map(words)
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    let (shown, more) = failed.split_at(failed.len().min(5));
    let more = if more.is_empty() { "" } else { ", …" };
    Err(StepError::permanent(format!(
        "{} of {} sub-tasks did not succeed: {}{more}",
        failed.len(),
        children.len(),
        shown.join(", ")
    ))
    .class("sub_tasks"))
}

/// What a poll came to.
#[derive(Debug)]
pub enum Polled<O> {
    /// It is done.
    Done(O),
    /// Ask again after this time.
    Wait(Duration),
    /// Ask again: soon at first, then less and less often, as the policy says.
    NotYet,
}

/// How a step is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Attempts before it needs a person; at least 1.
    pub attempts: u32,
    /// The wait before the second attempt; doubles for each further one, up to [`Policy::backoff_max`], less a random part.
    pub backoff: Duration,
    /// No wait is longer.
    pub backoff_max: Duration,
    /// An attempt that takes longer is dropped and counts as failed.
    pub timeout: Duration,
    /// What the last failure means for the plan.
    pub rescue: Rescue,
    /// It must not run twice: where nobody knows whether it happened, the plan pauses and a person says so.
    pub once: bool,
    /// It leaves something behind, which a revert undoes by its compensation.
    pub undoable: bool,
    /// The wait before the second poll of its ticket; doubles up to [`Policy::poll_max`].
    pub poll: Duration,
    /// No wait between polls is longer.
    pub poll_max: Duration,
    /// So many polls in a row may fail in a way that can pass before the attempt has failed.
    pub tolerated: u32,
    /// Work elsewhere that takes longer has failed. The time counts from the start of the attempt.
    pub suspended_at_most: Duration,
    /// The gate of what it works on outside: where that is closed, it waits without an attempt.
    pub gate: Option<&'static str>,
}

impl Policy {
    /// It may run any number of times: five attempts within at most 7 s of waiting, so that a client that waits for the plan
    /// mostly learns of a pause; a minute an attempt; then a person is needed.
    #[must_use]
    pub const fn idempotent() -> Self {
        Self {
            attempts: 5,
            backoff: Duration::from_millis(200),
            backoff_max: Duration::from_secs(3),
            timeout: Duration::from_mins(1),
            rescue: Rescue::Pause,
            once: false,
            undoable: false,
            poll: Duration::from_millis(100),
            poll_max: Duration::from_secs(5),
            tolerated: 5,
            suspended_at_most: Duration::from_hours(24),
            gate: None,
        }
    }

    /// It must not run twice: one attempt. Its begin is durable before it runs; when its owner dies meanwhile, or it takes too
    /// long or panics, it is `interrupted`, and only a person can say whether it happened.
    #[must_use]
    pub const fn once() -> Self {
        Self {
            attempts: 1,
            once: true,
            ..Self::idempotent()
        }
    }

    /// A revert undoes it by its compensation, which has as many attempts as the step, each as long.
    #[must_use]
    pub const fn undoable(self) -> Self {
        Self {
            undoable: true,
            ..self
        }
    }

    /// Polls of its ticket come at these intervals.
    #[must_use]
    pub const fn polled(self, poll: Duration, poll_max: Duration) -> Self {
        Self {
            poll,
            poll_max,
            ..self
        }
    }

    /// Its work elsewhere may take this long.
    #[must_use]
    pub const fn suspended_at_most(self, suspended_at_most: Duration) -> Self {
        Self {
            suspended_at_most,
            ..self
        }
    }

    /// It works on what stands behind this gate. Where that differs with the input, [`Workflow::gate`] names it.
    #[must_use]
    pub const fn gate(self, gate: &'static str) -> Self {
        Self {
            gate: Some(gate),
            ..self
        }
    }

    /// This many attempts.
    #[must_use]
    pub const fn attempts(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// An attempt may take this long.
    #[must_use]
    pub const fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// What the last failure means.
    #[must_use]
    pub const fn rescue(self, rescue: Rescue) -> Self {
        Self { rescue, ..self }
    }

    /// The longest wait after this many failures; the real one is a random part of it, so that those who failed together do
    /// not come back together.
    #[must_use]
    pub fn longest_wait(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        self.backoff
            .saturating_mul(1 << doublings)
            .min(self.backoff_max)
    }
}

/// Why an attempt failed. Whether another one may help is said where the error is born.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub struct StepError(pub Failure);

impl StepError {
    /// Another attempt may succeed.
    pub fn transient(error: impl Display) -> Self {
        Self(Failure::new("error", error.to_string(), true))
    }

    /// No attempt will succeed until somebody changes something.
    pub fn permanent(error: impl Display) -> Self {
        Self(Failure::new("error", error.to_string(), false))
    }

    /// The same error under a class of its own, for grouping.
    #[must_use]
    pub fn class(mut self, class: &str) -> Self {
        class.clone_into(&mut self.0.class);
        self
    }
}
