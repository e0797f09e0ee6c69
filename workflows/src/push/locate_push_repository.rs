//! Is it really there?

use super::Push;
use super::elsewhere::{CARRIED_WITHIN, NoTicket, find, in_pulp};
use crate::error::Failed;
use crate::gate;
use engine::step::{
    Begun, Context, Declared, Policy, Polled, PollingStep, StepError, TransactionalStep,
};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::DestinationId;
use storage::content::pulp::InPulp;
use storage::content::push_repository;

/// Where the backend keeps what was pushed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Located {
    /// The embedded backend keeps it under the destination's number.
    pub push_repository: DestinationId,
    /// Where Pulp is the backend: what it calls things there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulp: Option<InPulp>,
}

/// Finds the push repository and checks that what was pushed is in it.
#[derive(Clone, Copy)]
pub struct LocatePushRepository;

impl Declared for LocatePushRepository {
    const NAME: &'static str = "locate_push_repository";
    const POLICY: Policy = Policy::idempotent().gate(gate::CONTENT);
    const ELSEWHERE: Policy = in_pulp().timeout(CARRIED_WITHIN);
    type Workflow = Push;
    type Needs = ();
    type Output = Located;
}

impl TransactionalStep for LocatePushRepository {
    async fn run(
        &self,
        tx: &mut Tx,
        _: &Context<Push>,
        push: &Push,
        (): (),
    ) -> Result<Located, StepError> {
        push_repository::locate(tx, push.to.id, push.tagged(), &push.digests)
            .await
            .map_err(Failed::from)?;
        Ok(Located {
            push_repository: push.to.id,
            pulp: None,
        })
    }
}

/// In Pulp it is looked up each time: the type of a push repository, and with that its address, may change.
impl PollingStep for LocatePushRepository {
    type Ticket = NoTicket;

    async fn start(
        &self,
        cx: &Context<Push>,
        push: &Push,
        (): (),
    ) -> Result<Begun<Located, NoTicket>, StepError> {
        Ok(Begun::Done(Located {
            push_repository: push.to.id,
            pulp: Some(find(cx, push).await?),
        }))
    }

    async fn poll(
        &self,
        _: &Context<Push>,
        _: &Push,
        ticket: &NoTicket,
    ) -> Result<Polled<Located>, StepError> {
        match *ticket {}
    }
}
