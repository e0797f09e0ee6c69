//! Where a push goes: from the name in a request to the destination it means.
//!
//! A name has three forms, which all lead to the same destination:
//! `<organization>/<name>` (product `container_push`), `<organization>/<product>/<name>` (whose name may hold more
//! slashes) and `id/<organization's id>/<product's id>/<name>`.

use std::fmt;
use std::str::FromStr;

use engine::clock::Timestamp;
use serde::{Deserialize, Serialize};
use storage::catalog::destinations;
use storage::catalog::environments;
use storage::catalog::grants::Place;
use storage::catalog::organizations::{self, Organization};
use storage::catalog::products::{self, Product};
use storage::catalog::repositories;
use storage::catalog::{CatalogError, DestinationId, OrganizationId, ProductId, RepositoryId};
use storage::database::Tx;
use storage::label::is_path_component;
use storage::{Label, LabelError};

/// The label of the product that pushes without a product go to.
pub const CONTAINER_PUSH: &str = "container_push";

/// The first component of a name in the id form; no organization has this label.
const ID: &str = "id";

/// What OCI clients accept; the longest form of a name counts, so that every form can be pulled.
pub const MAX_NAME_LENGTH: usize = 255;

/// The name of a repository as a client writes it, in any of its forms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PushName {
    text: String,
    form: Form,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Form {
    Labels {
        organization: String,
        product: String,
        name: String,
    },
    Ids {
        organization: OrganizationId,
        product: ProductId,
        name: String,
    },
}

/// Why a text is not the name of a repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Clients of OCI registries write lower case only.
    #[error("`{name}` has upper-case letters; write `{lower}`")]
    UpperCase {
        /// As it came.
        name: String,
        /// As it would be right.
        lower: String,
    },
    /// One part between slashes breaks the grammar.
    #[error(
        "`{component}` in `{name}` is not a part of a name: lower-case letters and digits, joined by `.`, `_`, `__` or dashes"
    )]
    Component {
        /// The whole name.
        name: String,
        /// The part.
        component: String,
    },
    /// No organization, or nothing after it.
    #[error(
        "`{name}` names no organization; write `<organization>/<name>` or `<organization>/<product>/<name>`"
    )]
    NoOrganization {
        /// The whole name.
        name: String,
    },
    /// The product in it cannot have that label.
    #[error("`{name}` names a product that cannot be: {why}")]
    Product {
        /// The whole name.
        name: String,
        /// What is wrong with the product's label.
        why: LabelError,
    },
    /// Begins with `id/` but does not go on with two numbers and a name.
    #[error(
        "`{name}` begins with `id/`; write `id/<organization's id>/<product's id>/<name>`, with numbers as ids"
    )]
    NotIds {
        /// The whole name.
        name: String,
    },
    /// Longer than clients accept.
    #[error("a name has at most {MAX_NAME_LENGTH} characters, `{name}` has {length}")]
    TooLong {
        /// The whole name.
        name: String,
        /// Its length.
        length: usize,
    },
}

impl PushName {
    /// The name as the client wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The organization it names, by label or id, whether there is one or not.
    #[must_use]
    pub fn organization(&self) -> String {
        match &self.form {
            Form::Labels { organization, .. } => organization.clone(),
            Form::Ids { organization, .. } => organization.to_string(),
        }
    }

    /// The product it names, by label or id, whether there is one or not.
    #[must_use]
    pub fn product(&self) -> String {
        match &self.form {
            Form::Labels { product, .. } => product.clone(),
            Form::Ids { product, .. } => product.to_string(),
        }
    }

    /// The name in the product.
    #[must_use]
    pub fn in_product(&self) -> &str {
        match &self.form {
            Form::Labels { name, .. } | Form::Ids { name, .. } => name,
        }
    }
}

impl fmt::Display for PushName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for PushName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() > MAX_NAME_LENGTH {
            return Err(NameError::TooLong {
                name: text.chars().take(MAX_NAME_LENGTH).collect::<String>() + "…",
                length: text.chars().count(),
            });
        }
        let name = text.to_owned();
        if let Some(component) = text.split('/').find(|part| !is_path_component(part)) {
            let lower = text.to_ascii_lowercase();
            return Err(
                if lower != text && lower.split('/').all(is_path_component) {
                    NameError::UpperCase { name, lower }
                } else {
                    let component = component.to_owned();
                    NameError::Component { name, component }
                },
            );
        }
        let form = match text.split('/').collect::<Vec<_>>()[..] {
            [ID, organization, product, ref rest @ ..] if !rest.is_empty() => {
                match (organization.parse(), product.parse()) {
                    (Ok(organization), Ok(product)) => Form::Ids {
                        organization: OrganizationId(organization),
                        product: ProductId(product),
                        name: rest.join("/"),
                    },
                    (Err(_), _) | (_, Err(_)) => return Err(NameError::NotIds { name }),
                }
            }
            [ID, ..] => return Err(NameError::NotIds { name }),
            [organization, repository] => Form::Labels {
                organization: organization.to_owned(),
                product: CONTAINER_PUSH.to_owned(),
                name: repository.to_owned(),
            },
            [organization, product, ref rest @ ..] if !rest.is_empty() => {
                check_product(product, text)?;
                Form::Labels {
                    organization: organization.to_owned(),
                    product: product.to_owned(),
                    name: rest.join("/"),
                }
            }
            _ => return Err(NameError::NoOrganization { name }),
        };
        Ok(Self { text: name, form })
    }
}

/// The label of a product that a push to `name` may have to make.
fn check_product(product: &str, name: &str) -> Result<Label, NameError> {
    Label::parse(product).map_err(|why| NameError::Product {
        name: name.to_owned(),
        why,
    })
}

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

impl Destination {
    /// The first form of its name that fits: how tasks, `pushed_names` and `_catalog` call it.
    #[must_use]
    pub fn label_form(&self) -> String {
        label_form(&self.organization_label, &self.product_label, &self.name)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label_form())
    }
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

/// What a name means in the catalog.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The name that was asked for.
    pub asked: PushName,
    /// The organization it names.
    pub organization: Organization,
    /// The label of the product it names.
    pub product_label: String,
    /// That product, if there is one.
    pub product: Option<Product>,
    /// The name in the product.
    pub name: String,
    /// The destination, if something was ever pushed there or tried to be.
    pub destination: Option<Destination>,
    /// The repository, once a push has made it.
    pub repository: Option<RepositoryId>,
}

impl Resolved {
    /// The first form of the name that fits.
    #[must_use]
    pub fn label_form(&self) -> String {
        label_form(&self.organization.label, &self.product_label, &self.name)
    }

    /// Where grants are looked for: what does not exist yet has none of its own.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            organization: self.organization.id,
            product: self.product.as_ref().map(|product| product.id),
            repository: self.repository,
        }
    }
}

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// There is no such organization.
    #[error("`{name}` is in no organization of this registry")]
    UnknownOrganization {
        /// The name that was asked for.
        name: PushName,
    },
    /// A product that is named by its id must exist.
    #[error("`{name}` names a product by an id that organization `{}` does not have", organization.label)]
    UnknownProduct {
        /// The name that was asked for.
        name: PushName,
        /// The organization it names.
        organization: Box<Organization>,
    },
    /// The product would be taken for an environment in published names.
    #[error(
        "`{name}` would make a product with the label of the lifecycle environment `{environment}`; choose another product"
    )]
    LabelOfEnvironment {
        /// The name that was pushed to, in its label form.
        name: String,
        /// The environment.
        environment: String,
    },
    /// Short by ids, but too long by labels.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The catalog could not be read or written.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// What the name means now. A product, destination or repository that does not exist is no error: a push makes them.
pub async fn resolve(tx: &mut Tx, name: &PushName) -> Result<Resolved, ResolveError> {
    let organization = match &name.form {
        Form::Labels { organization, .. } => organizations::find(tx, organization).await?,
        Form::Ids { organization, .. } => organizations::get(tx, *organization).await?,
    };
    let Some(organization) = organization else {
        return Err(ResolveError::UnknownOrganization { name: name.clone() });
    };
    let (product, product_label, in_product) = match &name.form {
        Form::Labels {
            product,
            name: in_product,
            ..
        } => {
            let found = products::find(tx, organization.id, product).await?;
            let label = found
                .as_ref()
                .map_or_else(|| product.clone(), |found| found.label.clone());
            (found, label, in_product.clone())
        }
        Form::Ids {
            product,
            name: in_product,
            ..
        } => {
            let found = products::get(tx, *product).await?;
            let Some(found) = found.filter(|found| found.organization == organization.id) else {
                return Err(ResolveError::UnknownProduct {
                    name: name.clone(),
                    organization: Box::new(organization),
                });
            };
            let label = found.label.clone();
            (Some(found), label, in_product.clone())
        }
    };
    let destination = destinations::find(tx, organization.id, &product_label, &in_product).await?;
    let repository = match &destination {
        Some(row) => repositories::get(tx, RepositoryId::from(row.id))
            .await?
            .map(|found| found.id),
        None => None,
    };
    let destination = destination.map(|row| Destination {
        id: row.id,
        organization: organization.id,
        organization_label: organization.label.clone(),
        product_label: product_label.clone(),
        name: in_product.clone(),
    });
    Ok(Resolved {
        asked: name.clone(),
        organization,
        product_label,
        product,
        name: in_product,
        destination,
        repository,
    })
}

/// The destination of what was resolved, made if it is the first push there; asked only by who may push.
pub async fn make(tx: &mut Tx, to: &Resolved, at: Timestamp) -> Result<Destination, ResolveError> {
    if let Some(destination) = &to.destination {
        return Ok(destination.clone());
    }
    let label_form = to.label_form();
    if label_form.len() > MAX_NAME_LENGTH {
        let length = label_form.len();
        return Err(NameError::TooLong {
            name: label_form,
            length,
        }
        .into());
    }
    if to.product.is_none() {
        let environments = environments::list(tx, to.organization.id).await?;
        let clash = environments
            .into_iter()
            .find(|environment| environment.label.eq_ignore_ascii_case(&to.product_label));
        if let Some(environment) = clash {
            return Err(ResolveError::LabelOfEnvironment {
                name: label_form,
                environment: environment.label,
            });
        }
    }
    let product = check_product(&to.product_label, &label_form)?;
    let row = destinations::make(tx, to.organization.id, &product, &to.name, at).await?;
    Ok(Destination {
        id: row.id,
        organization: to.organization.id,
        organization_label: to.organization.label.clone(),
        product_label: to.product_label.clone(),
        name: to.name.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Form {
        text.parse::<PushName>().unwrap().form
    }

    fn labels(organization: &str, product: &str, name: &str) -> Form {
        Form::Labels {
            organization: organization.to_owned(),
            product: product.to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn a_name_has_three_forms() {
        assert_eq!(
            form("acme/busybox"),
            labels("acme", "container_push", "busybox")
        );
        assert_eq!(
            form("acme/tools/busybox"),
            labels("acme", "tools", "busybox")
        );
        assert_eq!(
            form("acme/tools/deep/busybox"),
            labels("acme", "tools", "deep/busybox")
        );
        assert_eq!(
            form("id/3/14/deep/busybox"),
            Form::Ids {
                organization: OrganizationId(3),
                product: ProductId(14),
                name: "deep/busybox".to_owned()
            }
        );
    }

    #[test]
    fn the_short_form_and_the_form_with_container_push_mean_the_same() {
        assert_eq!(form("acme/busybox"), form("acme/container_push/busybox"));
    }

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

    #[test]
    fn the_joints_of_oci_are_taken() {
        for name in ["a/b", "a.b/c_d", "a__b/c---d", "0/1", "acme/tools/x.y_z-1"] {
            assert_eq!(name.parse::<PushName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn what_breaks_the_grammar_is_refused_by_its_part() {
        for (name, part) in [
            ("acme//busybox", ""),
            ("acme/", ""),
            ("/busybox", ""),
            ("acme/..", ".."),
            ("acme/../busybox", ".."),
            ("acme/%2e%2e/x", "%2e%2e"),
            ("acme/a___b", "a___b"),
            ("acme/a..b", "a..b"),
            ("acme/a_-b", "a_-b"),
            ("acme/-b", "-b"),
            ("acme/b.", "b."),
            ("acme/ä", "ä"),
            ("acme/a b", "a b"),
            ("acme/Ä", "Ä"),
        ] {
            assert_eq!(
                name.parse::<PushName>(),
                Err(NameError::Component {
                    name: name.to_owned(),
                    component: part.to_owned()
                }),
            );
        }
    }

    #[test]
    fn upper_case_is_refused_with_the_lower_case_form() {
        let error = "Acme/BusyBox".parse::<PushName>().unwrap_err();

        assert_eq!(
            error.to_string(),
            "`Acme/BusyBox` has upper-case letters; write `acme/busybox`"
        );
    }

    #[test]
    fn a_name_without_an_organization_or_with_half_an_id_form_says_what_to_write() {
        assert!(matches!(
            "busybox".parse::<PushName>(),
            Err(NameError::NoOrganization { .. })
        ));
        for name in [
            "id",
            "id/1",
            "id/1/2",
            "id/one/2/x",
            "id/1/two/x",
            "id/99999999999999999999/1/x",
        ] {
            assert!(
                matches!(name.parse::<PushName>(), Err(NameError::NotIds { .. })),
                "{name}"
            );
        }
    }

    #[test]
    fn a_product_in_a_name_is_one_that_could_be_made() {
        let too_long = format!("acme/{}/x", "p".repeat(129));

        for name in ["acme/id/x", &too_long] {
            assert!(
                matches!(name.parse::<PushName>(), Err(NameError::Product { .. })),
                "{name}"
            );
        }
    }

    #[test]
    fn a_name_has_at_most_255_characters() {
        let just = format!("acme/{}", "x".repeat(250));
        let over = format!("acme/{}", "x".repeat(251));

        assert!(just.parse::<PushName>().is_ok());
        assert!(matches!(
            over.parse::<PushName>(),
            Err(NameError::TooLong { length: 256, .. })
        ));
    }
}
