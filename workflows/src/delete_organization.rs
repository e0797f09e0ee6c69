//! A delete of an organization with all its repositories, which a revert takes back as long as nothing of it was collected.
//!
//! ```text
//! unpublish_repositories -> delete_repositories -> remove_organization
//! ```
//!
//! `unpublish_repositories` is recorded with the submit: from then on nobody pulls from any of its repositories, and their names lead elsewhere.
//! Pushes that were queued before run first. Products, environments and robots go with the organization itself, and come back with it.
//! One that somebody pushes to meanwhile stays, with what was pushed.

mod remove_organization;

pub use remove_organization::{RemoveOrganization, RemovedOrganization};

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
use storage::catalog::OrganizationId;
use storage::catalog::organizations::{self, Organization};
use storage::catalog::users::User;

/// The input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteOrganization {
    /// The organization.
    pub organization: OrganizationId,
    /// Its label.
    pub organization_label: String,
    /// Who deletes, and which repositories.
    #[serde(flatten)]
    pub together: Together,
}

/// The open key of the delete of this organization.
pub(crate) fn key(organization: OrganizationId) -> String {
    format!("delete organization {organization}.")
}

impl DeleteOrganization {
    /// A delete of the organization with everything that is in it now.
    pub async fn find(
        tx: &mut Tx,
        by: &User,
        organization: &Organization,
    ) -> Result<Self, StepError> {
        Ok(Self {
            organization: organization.id,
            organization_label: organization.label.clone(),
            together: Together::find(tx, by, organization, None).await?,
        })
    }

    /// What keeps it from being brought back as it was; none: nothing.
    pub async fn in_the_way(&self, tx: &mut Tx) -> Result<Option<InTheWay>, StepError> {
        self.together.in_the_way(tx, None).await
    }
}

impl DeletesTogether for DeleteOrganization {
    fn together(&self) -> &Together {
        &self.together
    }

    fn owner(&self) -> String {
        format!("organization {}", self.organization_label)
    }

    async fn again(&self, tx: &mut Tx, by: &User) -> Result<Option<Self>, StepError> {
        let organization = organizations::get(tx, self.organization).await;
        match organization.map_err(Failed::from)? {
            Some(organization) => Ok(Some(Self::find(tx, by, &organization).await?)),
            None => Ok(None),
        }
    }
}

impl Workflow for DeleteOrganization {
    const NAME: &'static str = "delete_organization";
    const VERSION: u32 = 1;
    const SAFE: &'static str =
        "What was pushed is kept, and a revert brings it back until it is collected.";
    type Services = Services;

    fn steps() -> Steps<Self> {
        Steps::first(Unpublish(PhantomData))
            .step(DeleteRepositories(PhantomData), after::<Unpublish<Self>>())
            .step(RemoveOrganization, after::<DeleteRepositories<Self>>())
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

    /// As the setting says when nobody has changed it; each plan has what it said then.
    fn revertible_for() -> Option<Duration> {
        Some(Duration::from_hours(24 * 7))
    }

    fn open_key(&self) -> Option<String> {
        Some(key(self.organization))
    }
}
