//! The product itself.

use super::DeleteProduct;
use crate::delete_repository::InTheWay;
use crate::delete_together::{
    DeleteRepositories, DeletedRepositories, begin_the_time_for_a_revert, still_used,
};
use crate::error::Failed;
use engine::step::{Context, Declared, Policy, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::{environments, organizations, products};

/// What became of the product.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemovedProduct {
    /// False: it stays, because somebody has pushed to it meanwhile.
    pub removed: bool,
}

/// Removes the product: its row is kept under a label that nobody can have, and goes with the last of its repositories.
pub struct RemoveProduct;

impl Declared for RemoveProduct {
    const NAME: &'static str = "remove_product";
    const POLICY: Policy = Policy::idempotent().undoable();
    type Workflow = DeleteProduct;
    type Needs = DeleteRepositories<DeleteProduct>;
    type Output = RemovedProduct;
}

impl TransactionalStep for RemoveProduct {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &Context<DeleteProduct>,
        delete: &DeleteProduct,
        _: DeletedRepositories,
    ) -> Result<RemovedProduct, StepError> {
        Ok(remove(tx, cx, delete).await?)
    }

    async fn compensate(
        &self,
        tx: &mut Tx,
        _: &Context<DeleteProduct>,
        delete: &DeleteProduct,
        removed: RemovedProduct,
    ) -> Result<(), StepError> {
        if removed.removed {
            put_back(tx, delete).await?;
        }
        Ok(())
    }
}

async fn remove(
    tx: &mut Tx,
    cx: &Context<DeleteProduct>,
    delete: &DeleteProduct,
) -> Result<RemovedProduct, Failed> {
    let (label, at) = (&delete.product_label, cx.clock().now());
    begin_the_time_for_a_revert(tx, &delete.together, at).await?;
    if let Some(organization) = organizations::get(tx, delete.organization).await?
        && let Some(used) = still_used(tx, &organization, Some(label)).await?
    {
        cx.warn(format!(
            "product {label} stays, because {used} was pushed to it meanwhile"
        ));
        return Ok(RemovedProduct { removed: false });
    }
    products::bury(tx, delete.product, at).await?;
    Ok(RemovedProduct { removed: true })
}

async fn put_back(tx: &mut Tx, delete: &DeleteProduct) -> Result<(), Failed> {
    if let Some(taken) = in_the_way(tx, delete).await? {
        return Err(Failed::for_good(taken));
    }
    if products::unbury(tx, delete.product).await? {
        return Ok(());
    }
    Err(Failed::for_good(format!(
        "product {} was collected meanwhile, because its time was over: it cannot be brought back",
        delete.product_label
    )))
}

/// Who has its label by now, or that its organization is gone.
pub(super) async fn in_the_way(
    tx: &mut Tx,
    delete: &DeleteProduct,
) -> Result<Option<InTheWay>, Failed> {
    let label = &delete.product_label;
    if organizations::get(tx, delete.organization).await?.is_none() {
        return Ok(Some(InTheWay::Organization {
            label: delete.organization_label.clone(),
        }));
    }
    let found = products::find(tx, delete.organization, label).await?;
    let what = if found.is_some_and(|found| found.id != delete.product) {
        "a product"
    } else if environments::find(tx, delete.organization, label)
        .await?
        .is_some()
    {
        "an environment"
    } else {
        return Ok(None);
    };
    Ok(Some(InTheWay::Label {
        label: label.clone(),
        what,
    }))
}
