//! Makes jobs of the steps of one plan: with its services, its input and the code of each step.

use crate::clock::Clock;
use crate::journal::{Json, StepIndex};
use crate::plan::Plan;
use crate::step::{AnyStep, Call, Job, Policy, Received, Services};
use std::any::Any;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The code of a step, and how it is tried.
pub(super) type Code<S> = (Arc<dyn AnyStep<S>>, Policy);

pub(super) struct Caller<S: Services> {
    pub(super) services: Arc<S>,
    pub(super) input: Arc<dyn Any + Send + Sync>,
    /// Of each step of the plan's graph.
    pub(super) code: Arc<[Code<S>]>,
    pub(super) clock: Clock,
    pub(super) cancelled: CancellationToken,
}

impl<S: Services> Clone for Caller<S> {
    fn clone(&self) -> Self {
        Self {
            services: self.services.clone(),
            input: self.input.clone(),
            code: self.code.clone(),
            clock: self.clock,
            cancelled: self.cancelled.clone(),
        }
    }
}

/// What a body is wanted for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    Run,
    Undo,
    Event(Json),
    TimeIsOver,
    Gather,
}

impl Purpose {
    pub(super) fn undoing(undoes: bool) -> Self {
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

impl<S: Services> Caller<S> {
    pub(super) fn form(&self, step: StepIndex) -> u32 {
        self.code[step].0.form()
    }

    pub(super) fn policy(&self, step: StepIndex) -> Policy {
        self.code[step].1
    }

    /// The step runs in the transaction that records its success.
    pub(super) fn is_transactional(&self, step: StepIndex) -> bool {
        self.code[step].0.is_transactional()
    }

    /// A job of the attempt that the plan says the step is at.
    pub(super) fn job(
        &self,
        plan: &Arc<Plan>,
        step: StepIndex,
        purpose: &Purpose,
        ticket: Option<Json>,
    ) -> Job<S::Tx> {
        let call = Call {
            services: self.services.clone(),
            plan: plan.clone(),
            input: self.input.clone(),
            step,
            ticket,
            received: purpose.received(),
            gathers: matches!(purpose, Purpose::Gather),
            clock: self.clock,
            cancelled: self.cancelled.clone(),
            undoes: matches!(purpose, Purpose::Undo),
        };
        let code = self.code[step].0.clone();
        let job = if call.undoes {
            code.undo(call)
        } else {
            code.run(call)
        };
        super::trace::traced(job, plan.clone(), step)
    }
}
