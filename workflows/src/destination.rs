//! Where a push goes: from the name in a request to the destination it means.
//!
//! A name has three forms, which all lead to the same destination:
//! `<organization>/<name>` (product `container_push`), `<organization>/<product>/<name>` (whose name may hold more
//! slashes) and `id/<organization's id>/<product's id>/<name>`.

mod name;
mod resolve;

use std::fmt;

use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::grants::Place;
use storage::catalog::organizations::Organization;
use storage::catalog::repositories::RepositoryRow;
use storage::catalog::{DestinationId, OrganizationId, destinations, repositories};

use crate::error::Failed;

pub use name::{NameError, PushName};
pub use resolve::{ResolveError, Resolved, make, resolve, resolve_published};

/// The label of the product that pushes without a product go to.
pub const CONTAINER_PUSH: &str = "container_push";

/// What OCI clients accept; the longest form of a name counts, so that every form can be pulled.
pub const MAX_NAME_LENGTH: usize = 255;

/// A place pushes go to: one for all forms of a name. Its id is the id of its later repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// Also the id of the repository, once there is one.
    pub id: DestinationId,
    /// The organization it belongs to.
    pub organization: OrganizationId,
    /// That organization's label.
    pub organization_label: String,
    /// The label of the product, which a first push may still have to make.
    pub product_label: String,
    /// The name in the product; may hold slashes.
    pub name: String,
}

impl From<&RepositoryRow> for Destination {
    fn from(row: &RepositoryRow) -> Self {
        Self {
            id: row.id.into(),
            organization: row.organization_id,
            organization_label: row.organization.clone(),
            product_label: row.product.clone(),
            name: row.name.clone(),
        }
    }
}

impl Destination {
    /// The destination of this row, which belongs to this organization.
    pub(crate) fn of(row: destinations::Destination, organization: &Organization) -> Self {
        Self {
            id: row.id,
            organization: organization.id,
            organization_label: organization.label.clone(),
            product_label: row.product_label,
            name: row.name,
        }
    }

    /// The first form of its name that fits: how tasks, `pushed_names` and `_catalog` call it.
    #[must_use]
    pub fn label_form(&self) -> String {
        label_form(&self.organization_label, &self.product_label, &self.name)
    }

    /// Where grants for its repository are looked for; its product by its repository, if there is one.
    pub(crate) async fn place(&self, tx: &mut Tx) -> Result<Place, Failed> {
        let repository = repositories::get(tx, self.id.into()).await?;
        Ok(Place {
            organization: self.organization,
            product: repository.as_ref().map(|it| it.product),
            repository: repository.map(|it| it.id),
        })
    }

    /// What everything locks that changes what lies there.
    #[must_use]
    pub fn resource(&self) -> String {
        format!("destination {} ({self})", self.id)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label_form())
    }
}

/// Refused where the repository is deleted: what was asked for before then has no place any more.
pub(crate) async fn must_be_live(tx: &mut Tx, of: &Destination) -> Result<(), Failed> {
    if destinations::is_live(tx, of.id).await? {
        return Ok(());
    }
    Err(Failed::for_good(format!(
        "repository {of} was deleted meanwhile; cancel this, or revert its delete and resume"
    )))
}

/// The first form that fits: `<organization>/<name>` for a plain name in `container_push`, else with the product.
#[must_use]
pub fn label_form(organization: &str, product: &str, name: &str) -> String {
    let form = if product.eq_ignore_ascii_case(CONTAINER_PUSH) && !name.contains('/') {
        format!("{organization}/{name}")
    } else {
        format!("{organization}/{product}/{name}")
    };
    form.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_form_is_the_first_that_fits() {
        assert_eq!(
            label_form("Default_Organization", "container_push", "busybox"),
            "default_organization/busybox"
        );
        assert_eq!(
            label_form("acme", "container_push", "a/b"),
            "acme/container_push/a/b"
        );
        assert_eq!(label_form("acme", "Tools", "busybox"), "acme/tools/busybox");
    }
}
