//! A step that must not run twice.

use super::{Rehearsal, fault, marks};
use engine::step::{Context, Declared, Policy, Step, StepError};
use serde::{Deserialize, Serialize};

/// What whoever resolves the step by hand gives, too.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// In any words.
    pub receipt: String,
}

/// Leaves its mark and works for a while. When the server ends meanwhile nobody knows whether it happened: a person looks for the
/// mark, and says so.
pub struct OnlyOnce;

impl Declared for OnlyOnce {
    const NAME: &'static str = "only_once";
    const POLICY: Policy = Policy::once().undoable();
    type Workflow = Rehearsal;
    type Needs = ();
    type Output = Receipt;
}

impl Step for OnlyOnce {
    async fn run(
        &self,
        cx: &Context<Rehearsal>,
        input: &Rehearsal,
        (): (),
    ) -> Result<Receipt, StepError> {
        fault::run::<Self>(input, cx)?;
        marks::leave(cx, Self::NAME).await?;
        marks::work(cx, input.work_ms).await;
        Ok(Receipt {
            receipt: cx.idempotency_key().to_string(),
        })
    }

    async fn compensate(
        &self,
        cx: &Context<Rehearsal>,
        input: &Rehearsal,
        _: Receipt,
    ) -> Result<(), StepError> {
        fault::undo::<Self>(input, cx)?;
        marks::take_away(cx, Self::NAME).await
    }
}
