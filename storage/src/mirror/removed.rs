//! What is not to be held any more.

use engine::clock::Timestamp;
use engine::journal::PlanId;
use uuid::Uuid;

use super::environments_of;
use crate::Tx;
use crate::catalog::smart_proxies::contents::Place;
use crate::catalog::tombstones::{self, Part};
use crate::catalog::{CatalogError, DestinationId, RepositoryId, destinations, repository_names};

/// Shows the repository in that environment no more. Once no environment shows it, all of it is the collector's. False: it was not
/// held.
pub async fn remove(tx: &mut Tx, place: Place, at: Timestamp) -> Result<bool, CatalogError> {
    const SQL: &str = "DELETE FROM mirrored WHERE environment_id = $1 AND repository_id = $2";
    const PUBLISHED: &str =
        "DELETE FROM published WHERE environment_id = $1 AND repository_id = $2";
    const PUSHED_PATH: &str = "
        DELETE FROM repository_names WHERE repository_id = $1 AND environment_id IS NULL
          AND EXISTS (SELECT 1 FROM environments WHERE id = $2 AND prior_id IS NULL)";
    let removed = sqlx::query(SQL)
        .bind(place.environment)
        .bind(place.repository)
        .execute(&mut *tx)
        .await?;
    let published = sqlx::query(PUBLISHED)
        .bind(place.environment)
        .bind(place.repository);
    published.execute(&mut *tx).await?;
    let pushed_path = sqlx::query(PUSHED_PATH)
        .bind(place.repository)
        .bind(place.environment);
    pushed_path.execute(&mut *tx).await?;
    repository_names::publish(tx, place.environment, place.repository, &[]).await?;
    if environments_of(tx, place.repository).await?.is_empty() {
        retire(tx, place.repository, at).await?;
    }
    Ok(removed.rows_affected() > 0)
}

/// Gives all of the repository to the collector, its name to others.
pub(super) async fn retire(
    tx: &mut Tx,
    repository: RepositoryId,
    at: Timestamp,
) -> Result<(), CatalogError> {
    const NAME: &str = "
        UPDATE repositories SET deleted_at = $2, name = name || '@' || id
        WHERE id = $1 AND deleted_at IS NULL";
    const TAKEN: &str = "UPDATE tombstones SET collecting = 1 WHERE destination_id = $1";
    let destination = DestinationId::from(repository);
    if destinations::get(tx, destination).await?.is_none() {
        return Ok(());
    }
    destinations::retire(tx, destination, at).await?;
    let renamed = sqlx::query(NAME).bind(repository).bind(at.0);
    renamed.execute(&mut *tx).await?;
    repository_names::remove(tx, repository).await?;
    let plan = PlanId(Uuid::now_v7());
    tombstones::set(tx, destination, Part::Catalog, plan, at).await?;
    sqlx::query(TAKEN)
        .bind(destination)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// True if it was held once, and is not collected as a whole yet: until then it cannot be held anew.
pub async fn is_being_removed(tx: &mut Tx, repository: RepositoryId) -> Result<bool, CatalogError> {
    let parts = tombstones::of(tx, DestinationId::from(repository)).await?;
    Ok(!parts.is_empty())
}
