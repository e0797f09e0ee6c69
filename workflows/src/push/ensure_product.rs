//! The product a push goes to.

use super::{Authorize, Authorized, Push};
use crate::error::Failed;
use engine::step::{Context, Declared, Policy, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::catalog::{ProductId, products};
use storage::{Label, Tx};

/// The product, and whether this plan made it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnsuredProduct {
    /// The product.
    pub product: ProductId,
    /// This plan made it, and its undo removes it if nobody else uses it.
    pub created_here: bool,
}

/// Finds or creates the product a push goes to, beside the copy.
pub struct EnsureProduct;

impl Declared for EnsureProduct {
    const NAME: &'static str = "ensure_product";
    const POLICY: Policy = Policy::idempotent().undoable();
    type Workflow = Push;
    type Needs = Authorize;
    type Output = EnsuredProduct;
}

impl TransactionalStep for EnsureProduct {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &Context<Push>,
        push: &Push,
        allowed: Authorized,
    ) -> Result<EnsuredProduct, StepError> {
        let text = &push.to.product_label;
        let label = Label::parse(text).map_err(StepError::permanent)?;
        let product = products::ensure(
            tx,
            allowed.organization,
            &label,
            text,
            cx.plan(),
            cx.clock().now(),
        )
        .await
        .map_err(Failed::from)?;
        products::note_use(tx, product.found.id, cx.plan())
            .await
            .map_err(Failed::from)?;
        Ok(EnsuredProduct {
            product: product.found.id,
            created_here: product.created_here,
        })
    }

    async fn compensate(
        &self,
        tx: &mut Tx,
        cx: &Context<Push>,
        _: &Push,
        done: EnsuredProduct,
    ) -> Result<(), StepError> {
        products::forget(tx, done.product, cx.plan())
            .await
            .map_err(Failed::from)?;
        Ok(())
    }
}
