//! One repository, in the transaction that points an environment to a version of it.

use super::{PublishedNameError, Rules, not_ours, pushed_to};
use crate::destination::label_form;
use crate::naming_pattern::{Named, Subject};
use storage::Tx;
use storage::catalog::environments::{self, Environment};
use storage::catalog::organizations::{self, Organization};
use storage::catalog::products::{self, Product};
use storage::catalog::repositories::{self, Repository};
use storage::catalog::{
    CatalogError, DestinationId, EnvironmentId, RepositoryId, repository_names,
};

/// Publishes the repository under its names in the environment, in the transaction that points the environment to the version;
/// answers them. Refused where somebody else has one of them: then nothing may move.
pub(crate) async fn publish(
    tx: &mut Tx,
    environment: EnvironmentId,
    repository: RepositoryId,
    version: i64,
) -> Result<Vec<String>, PublishedNameError> {
    let in_it = InEnvironment::find(tx, environment, repository).await?;
    let names: Vec<String> = in_it.name(version)?.into_iter().collect();
    for name in &names {
        in_it.must_be_free(tx, name).await?;
    }
    repository_names::publish(tx, environment, repository, &names).await?;
    Ok(names)
}

/// A repository in an environment, with all that its name there is made of.
struct InEnvironment {
    environment: Environment,
    organization: Organization,
    product: Product,
    repository: Repository,
}

impl InEnvironment {
    async fn find(
        tx: &mut Tx,
        environment: EnvironmentId,
        repository: RepositoryId,
    ) -> Result<Self, CatalogError> {
        let environment = environments::get(tx, environment)
            .await?
            .ok_or_else(|| CatalogError::missing("environment", environment))?;
        let repository = repositories::get(tx, repository)
            .await?
            .ok_or_else(|| CatalogError::missing("repository", repository))?;
        let product = products::get(tx, repository.product)
            .await?
            .ok_or_else(|| CatalogError::missing("product", repository.product))?;
        let organization = organizations::get(tx, product.organization)
            .await?
            .ok_or_else(|| CatalogError::missing("organization", product.organization))?;
        Ok(Self {
            environment,
            organization,
            product,
            repository,
        })
    }

    fn pushed_path(&self) -> String {
        label_form(
            &self.organization.label,
            &self.product.label,
            &self.repository.name,
        )
    }

    /// The name it has there; none: it is pulled by its pushed path alone.
    fn name(&self, version: i64) -> Result<Option<String>, PublishedNameError> {
        let subject = Subject {
            organization: Named {
                label: &self.organization.label,
                name: &self.organization.name,
            },
            product: Named {
                label: &self.product.label,
                name: &self.product.name,
            },
            repository: Named {
                label: &self.repository.label,
                name: &self.repository.name,
            },
            environment: Named {
                label: &self.environment.label,
                name: &self.environment.name,
            },
            version,
        };
        let rules = Rules::of(&self.environment)?;
        Ok(rules.name(&subject, &self.pushed_path())?)
    }

    /// Pushed paths come first, and of two that are published by one name nobody could pull the second.
    async fn must_be_free(&self, tx: &mut Tx, name: &str) -> Result<(), PublishedNameError> {
        let taken = |taken_by: String| PublishedNameError::Taken {
            environment: self.environment.label.clone(),
            of: self.pushed_path(),
            name: name.to_owned(),
            taken_by,
        };
        if let Some(why) = not_ours(tx, self.organization.id, name).await? {
            return Err(taken(why));
        }
        if let Some(pushed) = pushed_to(tx, name).await? {
            let here = pushed.id == DestinationId::from(self.repository.id);
            return Err(taken(if here {
                "its pushed path, where Library is pulled from".to_owned()
            } else {
                format!("the pushed path of {pushed}")
            }));
        }
        let Some(owner) = repository_names::find(tx, name).await? else {
            return Ok(());
        };
        let by = owner.environment;
        if owner.repository == self.repository.id && by == Some(self.environment.id) {
            return Ok(());
        }
        let other = match by {
            Some(by) => Self::find(tx, by, owner.repository).await?,
            None => return Err(taken("the pushed path of another repository".to_owned())),
        };
        // What others have is nobody's business here.
        if other.organization.id != self.organization.id {
            return Err(taken("taken".to_owned()));
        }
        Err(taken(format!(
            "the name of {} in environment {}",
            other.pushed_path(),
            other.environment.label
        )))
    }
}
