//! The name that a repository had, and whether it can have it again.

use crate::destination::{Destination, label_form};
use crate::error::Failed;
use engine::step::StepError;
use engine::store::Store;
use std::fmt;
use storage::Tx;
use storage::catalog::{DestinationId, ProductId, RepositoryId};
use storage::catalog::{
    destinations, organizations, products, pushed, repositories, repository_names,
};
use storage::journal::Journal;

use super::DeleteRepository;

/// What keeps a repository from being brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InTheWay {
    /// The name is another repository's by now.
    Name {
        /// The destination that pushes by that name go to, and the number of its repository.
        destination: DestinationId,
        /// The name.
        name: String,
    },
    /// The product that it was in was deleted, too.
    Product {
        /// The product's label, and that of its organization.
        label: String,
        /// The organization's.
        organization: String,
    },
    /// The organization that it was in was deleted, too.
    Organization {
        /// Its label.
        label: String,
    },
    /// The label of the product that was deleted is another's by now.
    Label {
        /// The label.
        label: String,
        /// What has it: "a product".
        what: &'static str,
    },
}

impl fmt::Display for InTheWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { destination, name } => write!(
                f,
                "`{name}` is the name of repository {destination} by now; delete that one first"
            ),
            Self::Product {
                label,
                organization,
            } => write!(
                f,
                "product {label} of organization {organization}, which it was in, was deleted: revert the delete of the product first"
            ),
            Self::Organization { label } => write!(
                f,
                "organization {label}, which it was in, was deleted: revert the delete of the organization first"
            ),
            Self::Label { label, what } => write!(
                f,
                "`{label}` is the label of {what} by now: delete that first"
            ),
        }
    }
}

impl InTheWay {
    /// The same for who brings back one repository alone: that may have another name.
    #[must_use]
    pub fn of_one(&self) -> String {
        match self {
            Self::Name { .. } => format!(
                "{self}, or bring this one back under another name with {{\"as\": \"<name>\"}}"
            ),
            Self::Product { .. } | Self::Organization { .. } | Self::Label { .. } => {
                self.to_string()
            }
        }
    }
}

/// What keeps the repository from being brought back under this name; none: nothing, or only what nobody has pushed to.
pub async fn in_the_way(
    tx: &mut Tx,
    delete: &DeleteRepository,
    name: &str,
) -> Result<Option<InTheWay>, StepError> {
    let (_, used) = taken(tx, delete, name).await?;
    Ok(used)
}

/// Who has the name now, and whether it is used: by a repository, an open push, or something pending.
pub(super) async fn taken(
    tx: &mut Tx,
    delete: &DeleteRepository,
    name: &str,
) -> Result<(Option<DestinationId>, Option<InTheWay>), Failed> {
    if let Some(gone) = without_owner(tx, &delete.repository).await? {
        return Ok((None, Some(gone)));
    }
    name_taken(tx, delete, name).await
}

/// The same, where product and organization come back with it.
pub(crate) async fn name_taken(
    tx: &mut Tx,
    delete: &DeleteRepository,
    name: &str,
) -> Result<(Option<DestinationId>, Option<InTheWay>), Failed> {
    let of = &delete.repository;
    let path = label_form(&of.organization_label, &of.product_label, name);
    let owner = repository_names::find(tx, &path).await?;
    if let Some(owner) = owner.filter(|owner| owner.environment.is_some()) {
        let in_the_way = InTheWay::Name {
            destination: owner.repository.into(),
            name: path,
        };
        return Ok((None, Some(in_the_way)));
    }
    let found = destinations::find(tx, of.organization, &of.product_label, name).await?;
    let Some(live) = found.filter(|found| found.id != of.id) else {
        return Ok((None, None));
    };
    let in_the_way = is_used(tx, live.id).await?.then_some(InTheWay::Name {
        destination: live.id,
        name: path,
    });
    Ok((Some(live.id), in_the_way))
}

/// The product or the organization, if that was deleted, too.
async fn without_owner(tx: &mut Tx, of: &Destination) -> Result<Option<InTheWay>, Failed> {
    if organizations::get(tx, of.organization).await?.is_none() {
        let label = of.organization_label.clone();
        return Ok(Some(InTheWay::Organization { label }));
    }
    without_product(tx, of, None).await
}

/// The product, if that was deleted and is not the one that comes back, too.
pub(crate) async fn without_product(
    tx: &mut Tx,
    of: &Destination,
    comes: Option<ProductId>,
) -> Result<Option<InTheWay>, Failed> {
    let Some(repository) = repositories::get(tx, RepositoryId::from(of.id)).await? else {
        return Ok(None); // no push had come to a product yet
    };
    let product = repository.product;
    if comes == Some(product) || products::get(tx, product).await?.is_some() {
        return Ok(None);
    }
    Ok(Some(InTheWay::Product {
        label: of.product_label.clone(),
        organization: of.organization_label.clone(),
    }))
}

/// More lies there than an upload that somebody has begun: a repository, what was pushed and is in no version yet, or an open push.
pub(crate) async fn is_used(tx: &mut Tx, destination: DestinationId) -> Result<bool, Failed> {
    let keys = format!("push {destination} ");
    let repository = repositories::get(tx, RepositoryId::from(destination)).await?;
    Ok(repository.is_some()
        || !pushed::pending(tx, destination).await?.is_empty()
        || has_open_pushes(tx, keys).await?)
}

async fn has_open_pushes(tx: &mut Tx, keys: String) -> Result<bool, Failed> {
    match Journal::open_in(tx, keys).await {
        Ok(open) => Ok(!open.is_empty()),
        Err(error) => Err(Failed::later(error)),
    }
}
