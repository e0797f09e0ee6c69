//! Into the push repository.

use super::Push;
use crate::error::Failed;
use crate::gate;
use engine::step::{Begun, Context, Declared, Policy, Polled, PollingStep, StepError};
use serde::{Deserialize, Serialize};
use storage::content::{Ticket, push_repository};

/// Nothing but that it happened: what is there is looked up by the next step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Forwarded {}

/// Puts manifest and tag into the backend's push repository. Content-addressed, so that a repeat is harmless.
pub struct Forward;

impl Declared for Forward {
    const NAME: &'static str = "forward";
    const POLICY: Policy = Policy::idempotent().gate(gate::CONTENT);
    type Workflow = Push;
    type Needs = ();
    type Output = Forwarded;
}

impl PollingStep for Forward {
    type Ticket = Ticket;

    async fn start(
        &self,
        cx: &Context<Push>,
        push: &Push,
        (): (),
    ) -> Result<Begun<Forwarded, Ticket>, StepError> {
        let push = push.clone();
        let work = cx.services.database.transact::<(), Failed>(move |tx| {
            Box::pin(async move {
                Ok(push_repository::forward(tx, push.to.id, push.tagged(), &push.digests).await?)
            })
        });
        work.await.map_err(Failed::from)??;
        Ok(Begun::Done(Forwarded {}))
    }

    async fn poll(
        &self,
        _: &Context<Push>,
        _: &Push,
        ticket: &Ticket,
    ) -> Result<Polled<Forwarded>, StepError> {
        match *ticket {}
    }
}
