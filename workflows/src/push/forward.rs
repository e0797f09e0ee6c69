//! Into the push repository.

use super::Push;
use super::elsewhere::{CARRIED_WITHIN, NoTicket, in_pulp, pulp};
use crate::error::Failed;
use crate::gate;
use engine::step::{
    Begun, Context, Declared, Policy, Polled, PollingStep, StepError, TransactionalStep,
};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::content::push_repository;

/// Nothing but that it happened: what is there is looked up by the next step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Forwarded {}

/// Puts manifest and tag into the backend's push repository. Content-addressed, so that a repeat is harmless.
#[derive(Clone, Copy)]
pub struct Forward;

impl Declared for Forward {
    const NAME: &'static str = "forward";
    const POLICY: Policy = Policy::idempotent().gate(gate::CONTENT);
    const ELSEWHERE: Policy = in_pulp().timeout(CARRIED_WITHIN);
    type Workflow = Push;
    type Needs = ();
    type Output = Forwarded;
}

impl TransactionalStep for Forward {
    async fn run(
        &self,
        tx: &mut Tx,
        _: &Context<Push>,
        push: &Push,
        (): (),
    ) -> Result<Forwarded, StepError> {
        push_repository::forward(tx, push.to.id, push.tagged(), &push.digests)
            .await
            .map_err(Failed::from)?;
        Ok(Forwarded {})
    }
}

/// In Pulp it is done when it is answered.
impl PollingStep for Forward {
    type Ticket = NoTicket;

    async fn start(
        &self,
        cx: &Context<Push>,
        push: &Push,
        (): (),
    ) -> Result<Begun<Forwarded, NoTicket>, StepError> {
        let content = &cx.services.content;
        let sent =
            content.forward_to_push_repository(pulp(cx)?, push.to.id, push.tagged(), &push.digests);
        sent.await.map_err(Failed::from)?;
        Ok(Begun::Done(Forwarded {}))
    }

    async fn poll(
        &self,
        _: &Context<Push>,
        _: &Push,
        ticket: &NoTicket,
    ) -> Result<Polled<Forwarded>, StepError> {
        match *ticket {}
    }
}
