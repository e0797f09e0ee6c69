//! What was pushed to a destination by digest: readable at once, pending until a plan has filed it into a version.

use engine::clock::Timestamp;
use engine::journal::PlanId;

use super::{CatalogError, DestinationId, UserId, parsed};
use crate::{Digest, Tx};

/// Adds a manifest to what was pushed. A repeat changes nothing: what is filed stays filed.
pub async fn add(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
    by: UserId,
    at: Timestamp,
) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO pushed_manifests (destination_id, digest, pushed_by, pushed_at)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (destination_id, digest) DO NOTHING";
    sqlx::query(SQL)
        .bind(destination)
        .bind(digest.to_string())
        .bind(by)
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// True if the manifest was pushed to this destination, filed or not.
pub async fn contains(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
) -> Result<bool, CatalogError> {
    const SQL: &str = "SELECT 1 FROM pushed_manifests WHERE destination_id = $1 AND digest = $2";
    let found: Option<i64> = sqlx::query_scalar(SQL)
        .bind(destination)
        .bind(digest.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    Ok(found.is_some())
}

/// What was pushed to this destination and is in no version yet, oldest first.
pub async fn pending(tx: &mut Tx, destination: DestinationId) -> Result<Vec<Digest>, CatalogError> {
    const SQL: &str = "
        SELECT digest FROM pushed_manifests
        WHERE destination_id = $1 AND filed_by_plan IS NULL ORDER BY pushed_at, digest";
    let rows = sqlx::query(SQL)
        .bind(destination)
        .fetch_all(&mut *tx)
        .await?;
    let digests = rows.iter().map(|row| parsed(row, "digest"));
    Ok(digests.collect::<Result<_, _>>()?)
}

/// Records that `plan` has filed these manifests into a version. What another plan has filed stays that plan's.
pub async fn file(
    tx: &mut Tx,
    destination: DestinationId,
    digests: &[Digest],
    plan: PlanId,
) -> Result<(), CatalogError> {
    const SQL: &str = "
        UPDATE pushed_manifests SET filed_by_plan = $3
        WHERE destination_id = $1 AND digest = $2 AND filed_by_plan IS NULL";
    for digest in digests {
        sqlx::query(SQL)
            .bind(destination)
            .bind(digest.to_string())
            .bind(plan.0)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}
