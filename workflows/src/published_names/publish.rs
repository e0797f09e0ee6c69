//! One repository, in the transaction that points an environment to a version of it.

use super::{PublishedNameError, Rules, held_by, in_environment, path_of, subject};
use storage::Tx;
use storage::catalog::{
    CatalogError, EnvironmentId, RepositoryId, environments, publications, repository_names,
};

/// Names the repository as the environment publishes it now; answers its names there. Refused where somebody else has one of them:
/// then nothing may move.
pub(crate) async fn publish(
    tx: &mut Tx,
    environment: EnvironmentId,
    repository: RepositoryId,
) -> Result<Vec<String>, PublishedNameError> {
    let environment = environments::get(tx, environment)
        .await?
        .ok_or_else(|| CatalogError::missing("environment", environment))?;
    let member = publications::member(tx, environment.id, repository)
        .await?
        .ok_or_else(|| CatalogError::missing("published repository", repository))?;
    let path = path_of(&member);
    let name = Rules::of(&environment)?.name(&subject(&member, &environment), &path)?;
    if let Some(name) = &name {
        let mut taken_by = held_by(tx, &environment, name).await?;
        let owner = repository_names::find(tx, name).await?;
        if let Some(other) = owner.filter(|owner| owner.repository != repository)
            && taken_by.is_none()
        {
            taken_by = Some(in_environment(tx, &environment, other.repository).await?);
        }
        if let Some(taken_by) = taken_by {
            return Err(PublishedNameError::Taken {
                environment: environment.label,
                of: path,
                name: name.clone(),
                taken_by,
            });
        }
    }
    let names: Vec<String> = name.into_iter().collect();
    repository_names::publish(tx, environment.id, repository, &names).await?;
    Ok(names)
}
