//! What a step knows besides its input: who it is, what it may use, whether it is still wanted.

use crate::clock::Clock;
use crate::journal::PlanId;
use crate::workflow::Workflow;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The context of one attempt.
pub struct Context<W: Workflow> {
    /// What the application's steps may use.
    pub services: Arc<W::Services>,
    pub(crate) about: Attempt,
}

/// One attempt of one step.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) plan: PlanId,
    pub(crate) number: u32,
    pub(crate) epoch: u32,
    pub(crate) key: Uuid,
    pub(crate) actor: Option<String>,
    pub(crate) clock: Clock,
    pub(crate) cancelled: CancellationToken,
    pub(crate) told: Progress,
}

impl<W: Workflow> Context<W> {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> PlanId {
        self.about.plan
    }

    /// The number of this attempt, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.about.number
    }

    /// How many owners the plan had before: for the names of temporary things only. The key for the outside is
    /// [`Context::idempotency_key`].
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.about.epoch
    }

    /// The same for every owner and every attempt of this step with this input, and different for every other step.
    #[must_use]
    pub fn idempotency_key(&self) -> Uuid {
        self.about.key
    }

    /// The login of who wanted the plan.
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        self.about.actor.as_deref()
    }

    /// The clock to ask.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.about.clock
    }

    /// Fires when the plan is being cancelled: end soon, at a clean place. After the grace the body is dropped.
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        &self.about.cancelled
    }

    /// The step succeeds, but a person should know this; the plan ends with `warning`.
    pub fn warn(&self, text: impl Into<String>) {
        self.about.told.warn(text.into());
    }
}

/// What the body of a step tells while it runs.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<Option<String>>>);

impl Progress {
    fn warn(&self, text: String) {
        let mut warning = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match warning.as_mut() {
            Some(before) => {
                before.push_str("; ");
                before.push_str(&text);
            }
            None => *warning = Some(text),
        }
    }

    pub(crate) fn warning(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
