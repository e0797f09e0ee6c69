//! What was pushed to a destination by digest: readable at once, pending until a plan has filed it into a version.

use engine::clock::Timestamp;
use engine::journal::PlanId;
use sqlx::Row as _;

use super::{CatalogError, DestinationId, UserId, parsed, time};
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

/// A destination with something pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which one.
    pub destination: DestinationId,
    /// When the first of it was pushed.
    pub oldest_at: Timestamp,
    /// When the last of it was pushed.
    pub newest_at: Timestamp,
    /// Who pushed the last.
    pub newest_by: UserId,
}

/// Every destination with something pending, the one that has waited longest first.
pub async fn waiting(tx: &mut Tx) -> Result<Vec<Waiting>, CatalogError> {
    const SQL: &str = "
        SELECT p.destination_id, min(p.pushed_at) AS oldest_at, max(p.pushed_at) AS newest_at,
            (SELECT n.pushed_by FROM pushed_manifests n
             WHERE n.destination_id = p.destination_id AND n.filed_by_plan IS NULL
             ORDER BY n.pushed_at DESC, n.digest LIMIT 1) AS newest_by
        FROM pushed_manifests p WHERE p.filed_by_plan IS NULL
        GROUP BY p.destination_id ORDER BY oldest_at, p.destination_id";
    let rows = sqlx::query(SQL).fetch_all(&mut *tx).await?;
    let mut waiting = Vec::with_capacity(rows.len());
    for row in &rows {
        waiting.push(Waiting {
            destination: row.try_get("destination_id")?,
            oldest_at: time(row, "oldest_at")?,
            newest_at: time(row, "newest_at")?,
            newest_by: row.try_get("newest_by")?,
        });
    }
    Ok(waiting)
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
