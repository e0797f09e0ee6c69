//! Many repositories at once: what the deletes of a product and of an organization share.
//!
//! Each repository is a sub-task inside the locks of the plan that deletes them all, which brings them back together, too.

mod delete_repositories;
mod submit;
mod undo;
mod unpublish;

pub use delete_repositories::{DeleteRepositories, DeletedRepositories};
pub use submit::{DeleteTogetherError, submit};
pub use unpublish::{Unpublish, Unpublished};

use crate::delete_repository::{
    DeleteRepository, Deleting, InTheWay, is_used, look, name_taken, without_product,
};
use crate::destination::Destination;
use crate::error::Failed;
use crate::services::Services;
use engine::clock::Timestamp;
use engine::lock::{Lock, OnPause};
use engine::step::StepError;
use engine::workflow::Workflow;
use serde::{Deserialize, Serialize};
use std::future::Future;
use storage::Tx;
use storage::catalog::organizations::Organization;
use storage::catalog::users::User;
use storage::catalog::{CatalogError, ProductId, UserId, destinations, tombstones};

/// More repositories than this are refused: one input holds them all, and each is a lock.
pub const MOST_REPOSITORIES: usize = 1_000;

/// A workflow that deletes repositories together with what they belong to.
pub trait DeletesTogether: Workflow<Services = Services> + Clone {
    /// The repositories.
    fn together(&self) -> &Together;

    /// What they belong to: `product tools of organization acme`.
    fn owner(&self) -> String;

    /// The open key of a delete of what it belongs to: while that is under way nothing of it is deleted besides.
    fn above(&self) -> Option<String> {
        None
    }

    /// The same delete of what is there now; none: what they belong to is gone.
    fn again(
        &self,
        tx: &mut Tx,
        by: &User,
    ) -> impl Future<Output = Result<Option<Self>, StepError>> + Send;
}

/// Repositories that are deleted together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Together {
    /// Who deletes.
    pub user: UserId,
    /// His login, as it was then.
    pub login: String,
    /// The repositories, by where pushes to them went.
    pub repositories: Vec<Destination>,
}

/// A repository that would be deleted, and what of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WouldGo {
    /// The name by which it is pushed.
    pub repository: String,
    /// What a delete of it alone would take.
    #[serde(flatten)]
    pub what: Deleting,
}

impl Together {
    /// Everything in the organization, or in the product of it with this label, that somebody has pushed or made.
    pub async fn find(
        tx: &mut Tx,
        by: &User,
        organization: &Organization,
        product_label: Option<&str>,
    ) -> Result<Self, StepError> {
        let mut repositories = Vec::new();
        let all = destinations::live_of(tx, organization.id, product_label).await;
        for live in all.map_err(Failed::from)? {
            if is_used(tx, live.id).await? {
                repositories.push(Destination::of(live, organization));
            }
        }
        Ok(Self {
            user: by.id,
            login: by.login.clone(),
            repositories,
        })
    }

    /// What would go with each of them.
    pub async fn look(&self, tx: &mut Tx) -> Result<Vec<WouldGo>, CatalogError> {
        let mut all = Vec::with_capacity(self.repositories.len());
        for of in &self.repositories {
            all.push(WouldGo {
                repository: of.label_form(),
                what: look(tx, of.id.into()).await?,
            });
        }
        Ok(all)
    }

    /// Whose name is another repository's by now, or whose product was deleted by somebody else; none: all can be brought back. `comes`
    /// is the product that comes back with them, if one does.
    pub async fn in_the_way(
        &self,
        tx: &mut Tx,
        comes: Option<ProductId>,
    ) -> Result<Option<InTheWay>, StepError> {
        for (_, delete) in self.sub_tasks() {
            let gone = without_product(tx, &delete.repository, comes).await?;
            if gone.is_some() {
                return Ok(gone);
            }
            let (_, taken) = name_taken(tx, &delete, &delete.repository.name).await?;
            if taken.is_some() {
                return Ok(taken);
            }
        }
        Ok(None)
    }

    pub(crate) fn locks(&self) -> Vec<Lock> {
        // Held also while a person is waited for: nothing of it is collected then, and no sub-task works without its lock.
        let lock = |of: &Destination| Lock::exclusive(of.resource()).on_pause(OnPause::Hold);
        self.repositories.iter().map(lock).collect()
    }

    /// Each with its number as the key.
    fn sub_tasks(&self) -> Vec<(String, DeleteRepository)> {
        let sub_task = |of: &Destination| {
            let delete = DeleteRepository {
                user: self.user,
                login: self.login.clone(),
                repository: of.clone(),
            };
            (of.id.to_string(), delete)
        };
        self.repositories.iter().map(sub_task).collect()
    }
}

/// The time within which they can be brought back begins when the last of them is gone: until then none is collected.
pub(crate) async fn begin_the_time_for_a_revert(
    tx: &mut Tx,
    together: &Together,
    at: Timestamp,
) -> Result<(), Failed> {
    for of in &together.repositories {
        tombstones::renew(tx, of.id, at).await?;
    }
    Ok(())
}

/// The first of what was pushed or made there, if anything was: in the organization, or in the product of it with this label.
pub(crate) async fn still_used(
    tx: &mut Tx,
    organization: &Organization,
    product_label: Option<&str>,
) -> Result<Option<String>, Failed> {
    for live in destinations::live_of(tx, organization.id, product_label).await? {
        if is_used(tx, live.id).await? {
            return Ok(Some(Destination::of(live, organization).label_form()));
        }
    }
    Ok(None)
}
