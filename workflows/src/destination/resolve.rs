//! What a name means in the catalog.

use engine::clock::Timestamp;
use storage::catalog::destinations;
use storage::catalog::environments::{self, Environment};
use storage::catalog::grants::Place;
use storage::catalog::organizations::{self, Organization};
use storage::catalog::products::{self, Product};
use storage::catalog::publications;
use storage::catalog::repositories;
use storage::catalog::repository_names;
use storage::catalog::{CatalogError, RepositoryId};
use storage::database::Tx;

use super::name::{Form, NameError, PushName, check_product};
use super::{Destination, MAX_NAME_LENGTH, label_form};

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
    /// The environment that publishes the repository by this name; none: it is the pushed path, where Library is shown.
    pub environment: Option<Environment>,
}

impl Resolved {
    /// The first form of the name that fits.
    #[must_use]
    pub fn label_form(&self) -> String {
        label_form(&self.organization.label, &self.product_label, &self.name)
    }

    /// The version that is pulled from by this name; none: nothing is published yet.
    pub async fn shown(&self, tx: &mut Tx) -> Result<Option<i64>, CatalogError> {
        let Some(repository) = self.repository else {
            return Ok(None);
        };
        let published = match &self.environment {
            Some(environment) => publications::of(tx, environment.id, repository).await?,
            None => publications::library(tx, repository).await?,
        };
        Ok(published.map(|published| published.version))
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
    #[error("there is no organization `{}` in this registry, which `{name}` would be in", name.organization())]
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
    /// Somebody pulls another repository by that name.
    #[error(
        "`{name}` is the name by which environment `{environment}` publishes another repository; push to another name"
    )]
    PublishedName {
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
        environment: None,
    })
}

/// What the name means as one by which an environment publishes a repository; none: it is no such name. Asked where no push goes
/// by that name.
pub async fn resolve_published(
    tx: &mut Tx,
    name: &PushName,
) -> Result<Option<Resolved>, CatalogError> {
    let Some(owner) = repository_names::find(tx, name.as_str()).await? else {
        return Ok(None);
    };
    let Some(environment) = owner.environment else {
        return Ok(None);
    };
    if !destinations::is_live(tx, owner.repository.into()).await? {
        return Ok(None);
    }
    let (environment, repository) = (
        environments::get(tx, environment).await?,
        repositories::get(tx, owner.repository).await?,
    );
    let (Some(environment), Some(repository)) = (environment, repository) else {
        return Ok(None);
    };
    let (organization, product) = (
        organizations::get(tx, environment.organization).await?,
        products::get(tx, repository.product).await?,
    );
    let (Some(organization), Some(product)) = (organization, product) else {
        return Ok(None);
    };
    let destination = Destination {
        id: repository.id.into(),
        organization: organization.id,
        organization_label: organization.label.clone(),
        product_label: product.label.clone(),
        name: repository.name.clone(),
    };
    Ok(Some(Resolved {
        asked: name.clone(),
        organization,
        product_label: product.label.clone(),
        product: Some(product),
        name: repository.name,
        destination: Some(destination),
        repository: Some(repository.id),
        environment: Some(environment),
    }))
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
    if let Some(owner) = repository_names::find(tx, &label_form).await?
        && let Some(environment) = owner.environment
        && let Some(environment) = environments::get(tx, environment).await?
    {
        return Err(ResolveError::PublishedName {
            name: label_form,
            environment: environment.label,
        });
    }
    if to.product.is_none() {
        let environments = environments::all(tx, to.organization.id).await?;
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
