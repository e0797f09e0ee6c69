//! A delete of a product with its repositories, which a revert takes back as long as nothing of it was collected.
//!
//! ```text
//! unpublish_repositories -> delete_repositories -> remove_product
//! ```
//!
//! `unpublish_repositories` is recorded with the submit: from then on nobody pulls from any of its repositories, and their names lead elsewhere.
//! Pushes that were queued before run first. A product that somebody pushes to meanwhile stays, with what was pushed.

mod remove_product;

pub use remove_product::{RemoveProduct, RemovedProduct};

use crate::delete_organization;
use crate::delete_repository::InTheWay;
use crate::delete_together::{DeleteRepositories, DeletesTogether, Together, Unpublish};
use crate::error::Failed;
use crate::services::Services;
use engine::lock::Lock;
use engine::step::StepError;
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::marker::PhantomData;
use std::time::Duration;
use storage::Tx;
use storage::catalog::organizations::{self, Organization};
use storage::catalog::products::{self, Product};
use storage::catalog::users::User;
use storage::catalog::{OrganizationId, ProductId};

/// The input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteProduct {
    /// The organization.
    pub organization: OrganizationId,
    /// Its label.
    pub organization_label: String,
    /// The product.
    pub product: ProductId,
    /// Its label.
    pub product_label: String,
    /// Who deletes, and which repositories.
    #[serde(flatten)]
    pub together: Together,
}

impl DeleteProduct {
    /// A delete of the product with everything that is in it now.
    pub async fn find(
        tx: &mut Tx,
        by: &User,
        organization: &Organization,
        product: &Product,
    ) -> Result<Self, StepError> {
        Ok(Self {
            organization: organization.id,
            organization_label: organization.label.clone(),
            product: product.id,
            product_label: product.label.clone(),
            together: Together::find(tx, by, organization, Some(&product.label)).await?,
        })
    }

    /// What keeps it from being brought back as it was; none: nothing. `removed`: the product itself went with its repositories.
    pub async fn in_the_way(
        &self,
        tx: &mut Tx,
        removed: bool,
    ) -> Result<Option<InTheWay>, StepError> {
        let comes = removed.then_some(self.product);
        match remove_product::in_the_way(tx, self).await? {
            Some(taken) => Ok(Some(taken)),
            None => self.together.in_the_way(tx, comes).await,
        }
    }
}

impl DeletesTogether for DeleteProduct {
    fn together(&self) -> &Together {
        &self.together
    }

    fn owner(&self) -> String {
        format!(
            "product {} of organization {}",
            self.product_label, self.organization_label
        )
    }

    fn above(&self) -> Option<String> {
        Some(delete_organization::key(self.organization))
    }

    async fn again(&self, tx: &mut Tx, by: &User) -> Result<Option<Self>, StepError> {
        let organization = organizations::get(tx, self.organization).await;
        let product = products::get(tx, self.product)
            .await
            .map_err(Failed::from)?;
        match (organization.map_err(Failed::from)?, product) {
            (Some(organization), Some(product)) => {
                let again = Self::find(tx, by, &organization, &product).await?;
                Ok(Some(again))
            }
            (None, _) | (_, None) => Ok(None),
        }
    }
}

impl Workflow for DeleteProduct {
    const NAME: &'static str = "delete_product";
    const VERSION: u32 = 1;
    const SAFE: &'static str =
        "What was pushed is kept, and a revert brings it back until it is collected.";
    type Services = Services;

    fn steps() -> Steps<Self> {
        Steps::first(Unpublish(PhantomData))
            .step(DeleteRepositories(PhantomData), after::<Unpublish<Self>>())
            .step(RemoveProduct, after::<DeleteRepositories<Self>>())
    }

    fn action(&self) -> String {
        format!("Delete of {}", self.owner())
    }

    /// It comes after the pushes that were there before it.
    fn locks(&self) -> Vec<Lock> {
        self.together.locks()
    }

    fn organization(&self) -> Option<String> {
        Some(self.organization_label.clone())
    }

    fn links(&self) -> Vec<(&'static str, String)> {
        vec![("product", self.product_label.clone())]
    }

    /// As the setting says when nobody has changed it; each plan has what it said then.
    fn revertible_for() -> Option<Duration> {
        Some(Duration::from_hours(24 * 7))
    }

    fn open_key(&self) -> Option<String> {
        Some(format!("delete product {}.", self.product))
    }
}
