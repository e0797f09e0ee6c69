//! Into the push repository.

use super::Push;
use crate::error::Failed;
use crate::gate;
use engine::step::{Context, Declared, Policy, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::content::push_repository;

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
