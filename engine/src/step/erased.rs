//! What the node sees of a step: no types, one of two kinds of job.

use super::context::{Attempt, Context, Progress};
use super::needs::current;
use super::{
    Begun, BoxFuture, ContextOf, Declared, Needs, Polled, PollingStep, Received, Services,
    SpawningStep, Step, StepError, TransactionalStep, TxOf, Work,
};
use crate::clock::Clock;
use crate::journal::{Json, MAX_INPUT_BYTES, MAX_OUTPUT_BYTES, StepIndex, Until, WantedChild};
use crate::plan::{Plan, StepStatus};
use crate::state::StepState;
use crate::workflow::{InputError, Registered, Workflow, locks};
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
        /// The time; none: at growing intervals.
        after: Option<Duration>,
    },
    /// Wait for an event, or only for a time.
    Await {
        /// The event's name.
        event: Option<String>,
        /// Not longer than this.
        within: Option<Duration>,
    },
    /// Submit sub-tasks and wait for them.
    Spawn {
        /// All of them.
        children: Vec<WantedChild>,
        /// How long it waits for them.
        until: Until,
        /// At most so many are open at once.
        at_once: u32,
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
    /// The recorded ticket, if there is one.
    pub ticket: Option<Json>,
    /// What the step has received that waited for an event.
    pub received: Option<Received>,
    /// What became of its sub-tasks, once there is nothing to wait for.
    pub gathers: bool,
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
        read(
            &current::<D>(&self.plan, output.clone())?,
            D::NAME,
            "output",
        )
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

    /// The form of what it records.
    fn form(&self) -> u32;

    /// It begins in the transaction that records its success.
    fn is_transactional(&self) -> bool {
        false
    }

    /// The workflow of its sub-tasks.
    fn spawns(&self) -> Option<&'static str> {
        None
    }
}

/// Implemented for a step type by the blanket impl of each of its kinds; the marker `Kind` keeps them apart, and is inferred where
/// there is one. A [`step_of_backend`](crate::workflow::Steps::step_of_backend) has two.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does nothing yet",
    label = "implement one of Step, TransactionalStep, PollingStep, SpawningStep for {Self}"
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

/// The kind of a [`SpawningStep`].
#[derive(Debug)]
pub struct Spawning;

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

    fn form(&self) -> u32 {
        S::FORM
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

    fn is_transactional(&self) -> bool {
        true
    }

    fn form(&self) -> u32 {
        S::FORM
    }
}

impl<S: PollingStep> Runs<Polling> for S {
    fn erased(self) -> Arc<dyn AnyStep<ServicesOf<S>>> {
        Arc::new(Erased(self, PhantomData::<fn() -> Polling>))
    }
}

impl<S: PollingStep> Erased<S, Polling> {
    async fn start(
        &self,
        cx: &ContextOf<S>,
        call: &Call<ServicesOf<S>>,
    ) -> Result<Outcome, StepError> {
        let needs = S::Needs::outputs(&call.plan)?;
        Ok(match self.0.start(cx, call.input(), needs).await? {
            Begun::Done(output) => return done::<S>(&output, &cx.about.told),
            Begun::Ticket(ticket) => Outcome::Wait {
                ticket: written(&ticket, S::NAME, "ticket")?,
                after: Some(Duration::ZERO),
            },
            Begun::Later(ticket, after) => Outcome::Wait {
                ticket: written(&ticket, S::NAME, "ticket")?,
                after: Some(after),
            },
            Begun::Event { name, within } => Outcome::Await {
                event: Some(name),
                within,
            },
            Begun::Sleep(time) => Outcome::Await {
                event: None,
                within: Some(time),
            },
        })
    }

    async fn poll(
        &self,
        cx: &ContextOf<S>,
        call: &Call<ServicesOf<S>>,
        ticket: &Json,
    ) -> Result<Outcome, StepError> {
        let known = read(
            &current::<S>(&call.plan, ticket.clone())?,
            S::NAME,
            "ticket",
        )?;
        let after = match self.0.poll(cx, call.input(), &known).await? {
            Polled::Done(output) => return done::<S>(&output, &cx.about.told),
            Polled::Wait(after) => Some(after),
            Polled::NotYet => None,
        };
        Ok(Outcome::Wait {
            ticket: ticket.clone(),
            after,
        })
    }
}

impl<S: PollingStep> AnyStep<ServicesOf<S>> for Erased<S, Polling> {
    fn run(self: Arc<Self>, mut call: Call<ServicesOf<S>>) -> Job<TxOf<S>> {
        Job::Free(Box::pin(async move {
            let cx = call.context(S::NAME);
            if let Some(event) = call.received.take() {
                let output = self.0.received(&cx, call.input(), event).await?;
                return done::<S>(&output, &cx.about.told);
            }
            let status = call.plan.steps.get(call.step);
            let suspended = status.is_some_and(|it| it.state == StepState::Suspended);
            match call.ticket.clone() {
                Some(ticket) if suspended => self.poll(&cx, &call, &ticket).await,
                Some(ticket) => match self.poll(&cx, &call, &ticket).await {
                    // Only work that has failed for good is begun anew, and only where a second time is harmless.
                    Err(StepError(error)) if !error.transient && !S::POLICY.once => {
                        self.start(&cx, &call).await
                    }
                    told => told,
                },
                None => self.start(&cx, &call).await,
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

    fn form(&self) -> u32 {
        S::FORM
    }
}

/// The input is one of the workflow, and its locks are within those of the parent where that waits for its end.
fn can_be_sub_task<S: Services>(
    workflow: &Registered<S>,
    call: &Call<S>,
    until: Until,
    input: &Json,
) -> Result<(), InputError> {
    let (child, _) = (workflow.read)(workflow, input, None)?;
    match until {
        Until::Ended => locks::covered(&call.plan, call.step, workflow.name, &child.locks),
        Until::EndedOrStuck => Ok(()),
    }
}

impl<S: SpawningStep> Runs<Spawning> for S {
    fn erased(self) -> Arc<dyn AnyStep<ServicesOf<S>>> {
        Arc::new(Erased(self, PhantomData::<fn() -> Spawning>))
    }
}

impl<S: SpawningStep> AnyStep<ServicesOf<S>> for Erased<S, Spawning> {
    fn run(self: Arc<Self>, call: Call<ServicesOf<S>>) -> Job<TxOf<S>> {
        Job::Free(Box::pin(async move {
            let cx = call.context(S::NAME);
            if call.gathers {
                let family = call
                    .plan
                    .steps
                    .get(call.step)
                    .and_then(|it| it.family.as_ref());
                let children = family.map_or(&[][..], |family| &family.children);
                let output = self.0.gather(&cx, call.input(), children).await?;
                return done::<S>(&output, &cx.about.told);
            }
            let needs = S::Needs::outputs(&call.plan)?;
            let wanted = self.0.children(&cx, call.input(), needs).await?;
            let workflow = Registered::<ServicesOf<S>>::new::<S::Child>();
            let workflow = workflow.map_err(StepError::permanent)?;
            let mut children = Vec::with_capacity(wanted.len());
            let mut bytes = 0;
            for (key, child) in wanted {
                let input = written(&child, S::NAME, "sub-task")?;
                // Once one is at work inside the locks of this plan, the step cannot fail because of another.
                can_be_sub_task(&workflow, &call, S::UNTIL, &input)
                    .map_err(|why| StepError::permanent(format!("sub-task `{key}`: {why}")))
                    .map_err(|error| error.class("sub_tasks"))?;
                bytes += key.len() + input.text().len();
                children.push(WantedChild {
                    key,
                    workflow: S::Child::NAME.to_owned(),
                    input,
                });
            }
            if bytes > MAX_INPUT_BYTES {
                return Err(StepError::permanent(format!(
                    "the sub-tasks of step {} have inputs of {bytes} bytes together; at most {MAX_INPUT_BYTES} are kept, so they must refer to their data",
                    S::NAME
                )));
            }
            Ok(Outcome::Spawn {
                children,
                until: S::UNTIL,
                at_once: S::AT_ONCE,
            })
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

    fn form(&self) -> u32 {
        S::FORM
    }

    fn spawns(&self) -> Option<&'static str> {
        Some(S::Child::NAME)
    }
}
