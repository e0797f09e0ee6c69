//! The last step of a rehearsal.

use super::{OnlyOnce, Parts, Receipt, Rehearsal, SubTasks, fault};
use crate::error::Failed;
use engine::step::{Context, Declared, Policy, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::rehearsals;

/// What the rehearsal came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finished {
    /// How many sub-tasks it had.
    pub parts: usize,
    /// What the step left that must not run twice.
    pub receipt: String,
}

/// Reads what came before it, and leaves its mark in the transaction that records its success.
pub struct Finish;

impl Declared for Finish {
    const NAME: &'static str = "finish";
    const POLICY: Policy = Policy::idempotent().undoable();
    type Workflow = Rehearsal;
    type Needs = (SubTasks, OnlyOnce);
    type Output = Finished;
}

impl TransactionalStep for Finish {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &Context<Rehearsal>,
        input: &Rehearsal,
        (parts, receipt): (Parts, Receipt),
    ) -> Result<Finished, StepError> {
        fault::run::<Self>(input, cx)?;
        rehearsals::leave(tx, cx.plan(), Self::NAME, cx.clock().now())
            .await
            .map_err(Failed::from)?;
        Ok(Finished {
            parts: parts.parts.len(),
            receipt: receipt.receipt,
        })
    }

    async fn compensate(
        &self,
        tx: &mut Tx,
        cx: &Context<Rehearsal>,
        input: &Rehearsal,
        _: Finished,
    ) -> Result<(), StepError> {
        fault::undo::<Self>(input, cx)?;
        let taken = rehearsals::take_away(tx, cx.plan(), Self::NAME).await;
        if taken.map_err(Failed::from)? {
            return Ok(());
        }
        Err(StepError::permanent("its mark is not there any more"))
    }
}
