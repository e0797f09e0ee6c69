//! Is it really there?

use super::Push;
use crate::error::Failed;
use crate::gate;
use engine::step::{Context, Declared, Policy, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::DestinationId;
use storage::content::push_repository;

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
        })
    }
}
