//! Is it really there?

use super::Push;
use crate::error::Failed;
use crate::gate;
use engine::step::{Begun, Context, Declared, Policy, Polled, PollingStep, StepError};
use serde::{Deserialize, Serialize};
use storage::catalog::DestinationId;
use storage::content::{Ticket, push_repository};

/// Where the backend keeps what was pushed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Located {
    /// The embedded backend keeps it under the destination's number.
    pub push_repository: DestinationId,
}

/// Finds the push repository and checks that what was pushed is in it.
pub struct LocatePushRepository;

impl Declared for LocatePushRepository {
    const NAME: &'static str = "locate_push_repository";
    const POLICY: Policy = Policy::idempotent().gate(gate::CONTENT);
    type Workflow = Push;
    type Needs = ();
    type Output = Located;
}

impl PollingStep for LocatePushRepository {
    type Ticket = Ticket;

    async fn start(
        &self,
        cx: &Context<Push>,
        push: &Push,
        (): (),
    ) -> Result<Begun<Located, Ticket>, StepError> {
        let mut tx = cx.services.database.look_up().await.map_err(Failed::from)?;
        push_repository::locate(&mut tx, push.to.id, push.tagged(), &push.digests)
            .await
            .map_err(Failed::from)?;
        Ok(Begun::Done(Located {
            push_repository: push.to.id,
        }))
    }

    async fn poll(
        &self,
        _: &Context<Push>,
        _: &Push,
        ticket: &Ticket,
    ) -> Result<Polled<Located>, StepError> {
        match *ticket {}
    }
}
