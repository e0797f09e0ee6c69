//! The first step of a rehearsal.

use super::{Rehearsal, fault};
use crate::error::Failed;
use engine::step::{Context, Declared, Policy, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::rehearsals;

/// Nothing but that it happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Begun {}

/// Leaves its mark in the very transaction that records its success: exactly once.
pub struct Begin;

impl Declared for Begin {
    const NAME: &'static str = "begin";
    const POLICY: Policy = Policy::idempotent().undoable();
    type Workflow = Rehearsal;
    type Needs = ();
    type Output = Begun;
}

impl TransactionalStep for Begin {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &Context<Rehearsal>,
        input: &Rehearsal,
        (): (),
    ) -> Result<Begun, StepError> {
        fault::run::<Self>(input, cx)?;
        rehearsals::leave(tx, cx.plan(), Self::NAME, cx.clock().now())
            .await
            .map_err(Failed::from)?;
        Ok(Begun {})
    }

    async fn compensate(
        &self,
        tx: &mut Tx,
        cx: &Context<Rehearsal>,
        input: &Rehearsal,
        _: Begun,
    ) -> Result<(), StepError> {
        fault::undo::<Self>(input, cx)?;
        let taken = rehearsals::take_away(tx, cx.plan(), Self::NAME).await;
        if taken.map_err(Failed::from)? {
            return Ok(());
        }
        Err(StepError::permanent("its mark is not there any more"))
    }
}
