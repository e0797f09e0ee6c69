//! What the node sees of a step: no types, one of two kinds of job.

use super::context::{Attempt, Context, Progress};
use super::{
    Begun, BoxFuture, Declared, Needs, Polled, PollingStep, Services, Step, StepError,
    TransactionalStep, TxOf, Work,
};
use crate::clock::Clock;
use crate::journal::{Json, MAX_OUTPUT_BYTES, StepIndex};
use crate::plan::{Plan, StepStatus};
use crate::workflow::Workflow;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What a body ended with.
#[derive(Debug)]
pub enum Outcome {
    /// The output, and what a person should know.
    Done {
        /// The output.
        output: Json,
        /// The warning.
        warning: Option<String>,
    },
    /// Ask with the ticket after this time.
    Wait {
        /// The ticket.
        ticket: Json,
        /// The time.
        after: Duration,
    },
}

/// A body that is ready to run.
pub enum Job<Tx> {
    /// By itself.
    Free(BoxFuture<'static, Result<Outcome, StepError>>),
    /// In the transaction that records its success.
    InTransaction(Work<Tx, Outcome, StepError>),
}

/// What a body gets: owned, so that it may move to the writer's task.
pub struct Call<S> {
    /// What it may use.
    pub services: Arc<S>,
    /// The plan as it is when the attempt begins.
    pub plan: Arc<Plan>,
    /// The decoded input.
    pub input: Arc<dyn Any + Send + Sync>,
    /// Which step.
    pub step: StepIndex,
    /// The recorded ticket, if the step is suspended.
    pub ticket: Option<Json>,
    /// The clock.
    pub clock: Clock,
    /// Fires when the plan is being cancelled.
    pub cancelled: CancellationToken,
    /// The step is undone, not run.
    pub undoes: bool,
}

impl<S: Services> Call<S> {
    fn context<W: Workflow<Services = S>>(&self, name: &'static str) -> Context<W> {
        let submitted = self.plan.submitted.as_ref();
        let input = submitted.map_or("", |it| it.input.text());
        let undo = if self.undoes { "undo " } else { "" };
        let seed = format!("{undo}{name}\n{input}");
        let attempts = if self.undoes {
            StepStatus::undo_attempts
        } else {
            StepStatus::attempts
        };
        Context {
            services: self.services.clone(),
            about: Attempt {
                plan: self.plan.id,
                number: self.plan.steps.get(self.step).map_or(1, attempts),
                epoch: self.plan.epoch,
                key: Uuid::new_v5(&self.plan.id.0, seed.as_bytes()),
                actor: submitted.and_then(|it| it.actor.clone()),
                clock: self.clock,
                cancelled: self.cancelled.clone(),
                told: Progress::default(),
            },
        }
    }

    /// What the step left, to be undone.
    fn done<D: Declared>(&self) -> Result<D::Output, StepError> {
        let output = self
            .plan
            .steps
            .get(self.step)
            .and_then(|it| it.output.as_ref());
        let output = output.ok_or_else(|| {
            StepError::permanent(format!("step {} left no output to undo", D::NAME))
        })?;
        read(output, D::NAME, "output")
    }

    fn input<W: Workflow>(&self) -> &W {
        self.input
            .downcast_ref()
            .expect("the node decodes the input with the plan's own workflow")
    }
}

/// A step without its types.
pub trait AnyStep<S: Services>: Send + Sync {
    /// The body: begins the work, or polls when the call has a ticket.
    fn run(self: Arc<Self>, call: Call<S>) -> Job<S::Tx>;

    /// The body that undoes it.
    fn undo(self: Arc<Self>, call: Call<S>) -> Job<S::Tx>;

    /// Whether this can stand for its output.
    fn can_leave(&self, output: &Json) -> Result<(), serde_json::Error>;
}

/// Implemented for a step type by exactly one of three blanket impls; the marker `Kind` is inferred and keeps them apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does nothing yet",
    label = "implement one of Step, TransactionalStep, PollingStep for {Self}"
)]
pub trait Runs<Kind>: Declared {
    /// The step without its types.
    fn erased(self) -> Arc<dyn AnyStep<<Self::Workflow as Workflow>::Services>>;
}

/// The kind of a [`Step`].
#[derive(Debug)]
pub struct Effect;
/// The kind of a [`TransactionalStep`].
#[derive(Debug)]
pub struct Transactional;
/// The kind of a [`PollingStep`].
#[derive(Debug)]
pub struct Polling;

struct Erased<S, Kind>(S, PhantomData<fn() -> Kind>);

type ServicesOf<S> = <<S as Declared>::Workflow as Workflow>::Services;

fn done<S: Declared>(output: &S::Output, told: &Progress) -> Result<Outcome, StepError> {
    let output = written(output, S::NAME, "output")?;
    if output.text().len() > MAX_OUTPUT_BYTES {
        return Err(StepError::permanent(format!(
            "the output of step {} has {} bytes; at most {MAX_OUTPUT_BYTES} are kept, so it must refer to its data",
            S::NAME,
            output.text().len()
        )));
    }
    Ok(Outcome::Done {
        output,
        warning: told.warning(),
    })
}

/// What undoing came to: nothing to keep.
fn undone(told: &Progress) -> Result<Outcome, StepError> {
    Ok(Outcome::Done {
        output: written(&(), "compensation", "end")?,
        warning: told.warning(),
    })
}

fn written<T: Serialize>(value: &T, step: &str, what: &str) -> Result<Json, StepError> {
    Json::of(value).map_err(|error| {
        StepError::permanent(format!(
            "the {what} of step {step} cannot be written: {error}"
        ))
    })
}

fn read<T: DeserializeOwned>(json: &Json, step: &str, what: &str) -> Result<T, StepError> {
    json.decode().map_err(|error| {
        StepError::permanent(format!("the {what} of step {step} cannot be read: {error}"))
    })
}

impl<S: Step> Runs<Effect> for S {
    fn erased(self) -> Arc<dyn AnyStep<ServicesOf<S>>> {
        Arc::new(Erased(self, PhantomData::<fn() -> Effect>))
    }
}

impl<S: Step> AnyStep<ServicesOf<S>> for Erased<S, Effect> {
    fn run(self: Arc<Self>, call: Call<ServicesOf<S>>) -> Job<TxOf<S>> {
        Job::Free(Box::pin(async move {
            let cx = call.context(S::NAME);
            let needs = S::Needs::outputs(&call.plan)?;
            let output = self.0.run(&cx, call.input(), needs).await?;
            done::<S>(&output, &cx.about.told)
        }))
    }

    fn undo(self: Arc<Self>, call: Call<ServicesOf<S>>) -> Job<TxOf<S>> {
        Job::Free(Box::pin(async move {
            let cx = call.context(S::NAME);
            let done = call.done::<S>()?;
            self.0.compensate(&cx, call.input(), done).await?;
            undone(&cx.about.told)
        }))
    }

    fn can_leave(&self, output: &Json) -> Result<(), serde_json::Error> {
        output.decode::<S::Output>().map(drop)
    }
}

impl<S: TransactionalStep> Runs<Transactional> for S {
    fn erased(self) -> Arc<dyn AnyStep<ServicesOf<S>>> {
        Arc::new(Erased(self, PhantomData::<fn() -> Transactional>))
    }
}

impl<S: TransactionalStep> AnyStep<ServicesOf<S>> for Erased<S, Transactional> {
    fn run(self: Arc<Self>, call: Call<ServicesOf<S>>) -> Job<TxOf<S>> {
        Job::InTransaction(Box::new(move |tx| {
            Box::pin(async move {
                let cx = call.context(S::NAME);
                let needs = S::Needs::outputs(&call.plan)?;
                let output = self.0.run(tx, &cx, call.input(), needs).await?;
                done::<S>(&output, &cx.about.told)
            })
        }))
    }

    fn undo(self: Arc<Self>, call: Call<ServicesOf<S>>) -> Job<TxOf<S>> {
        Job::InTransaction(Box::new(move |tx| {
            Box::pin(async move {
                let cx = call.context(S::NAME);
                let done = call.done::<S>()?;
                self.0.compensate(tx, &cx, call.input(), done).await?;
                undone(&cx.about.told)
            })
        }))
    }

    fn can_leave(&self, output: &Json) -> Result<(), serde_json::Error> {
        output.decode::<S::Output>().map(drop)
    }
}

impl<S: PollingStep> Runs<Polling> for S {
    fn erased(self) -> Arc<dyn AnyStep<ServicesOf<S>>> {
        Arc::new(Erased(self, PhantomData::<fn() -> Polling>))
    }
}

impl<S: PollingStep> AnyStep<ServicesOf<S>> for Erased<S, Polling> {
    fn run(self: Arc<Self>, call: Call<ServicesOf<S>>) -> Job<TxOf<S>> {
        Job::Free(Box::pin(async move {
            let cx = call.context(S::NAME);
            let Some(ticket) = &call.ticket else {
                let needs = S::Needs::outputs(&call.plan)?;
                return match self.0.start(&cx, call.input(), needs).await? {
                    Begun::Done(output) => done::<S>(&output, &cx.about.told),
                    Begun::Ticket(ticket) => Ok(Outcome::Wait {
                        ticket: written(&ticket, S::NAME, "ticket")?,
                        after: Duration::ZERO,
                    }),
                };
            };
            match self
                .0
                .poll(&cx, call.input(), &read(ticket, S::NAME, "ticket")?)
                .await?
            {
                Polled::Done(output) => done::<S>(&output, &cx.about.told),
                Polled::Wait(after) => Ok(Outcome::Wait {
                    ticket: ticket.clone(),
                    after,
                }),
            }
        }))
    }

    fn undo(self: Arc<Self>, call: Call<ServicesOf<S>>) -> Job<TxOf<S>> {
        Job::Free(Box::pin(async move {
            let cx = call.context(S::NAME);
            let done = call.done::<S>()?;
            self.0.compensate(&cx, call.input(), done).await?;
            undone(&cx.about.told)
        }))
    }

    fn can_leave(&self, output: &Json) -> Result<(), serde_json::Error> {
        output.decode::<S::Output>().map(drop)
    }
}
