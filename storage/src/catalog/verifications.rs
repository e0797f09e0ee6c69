//! How far a plan has come that reads blobs again, and what it has found damaged.

use engine::journal::PlanId;
use sqlx::Row as _;

use super::{CatalogError, DestinationId, parsed, size, stored_size};
use crate::{Digest, Tx};

/// A blob whose bytes are not those that its digest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// The blob.
    pub digest: Digest,
    /// How large it should be.
    pub size_bytes: u64,
    /// What is wrong with it.
    pub what: String,
}

/// The last blob that the plan has read; none: it has not begun.
pub async fn cursor(tx: &mut Tx, plan: PlanId) -> Result<Option<Digest>, CatalogError> {
    const SQL: &str = "SELECT after FROM verify_cursor WHERE plan_id = $1";
    let row = sqlx::query(SQL)
        .bind(plan.0)
        .fetch_optional(&mut *tx)
        .await?;
    Ok(row.map(|row| parsed(&row, "after")).transpose()?)
}

/// Records that the plan has read all blobs up to this one, and what it has found on the way.
pub async fn advance(
    tx: &mut Tx,
    plan: PlanId,
    to: &Digest,
    damaged: &[Damaged],
) -> Result<(), CatalogError> {
    const CURSOR: &str = "
        INSERT INTO verify_cursor (plan_id, after) VALUES ($1, $2)
        ON CONFLICT (plan_id) DO UPDATE SET after = excluded.after";
    const DAMAGED: &str = "
        INSERT INTO damaged_blobs (plan_id, digest, size_bytes, what) VALUES ($1, $2, $3, $4)
        ON CONFLICT (plan_id, digest) DO NOTHING";
    sqlx::query(CURSOR)
        .bind(plan.0)
        .bind(to.to_string())
        .execute(&mut *tx)
        .await?;
    for blob in damaged {
        sqlx::query(DAMAGED)
            .bind(plan.0)
            .bind(blob.digest.to_string())
            .bind(stored_size(blob.size_bytes))
            .bind(&blob.what)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// How many blobs the plan has found damaged, and up to `limit` of them.
pub async fn damaged(
    tx: &mut Tx,
    plan: PlanId,
    limit: u32,
) -> Result<(u64, Vec<Damaged>), CatalogError> {
    const COUNT: &str = "SELECT count(*) AS n FROM damaged_blobs WHERE plan_id = $1";
    const SQL: &str = "
        SELECT digest, size_bytes, what FROM damaged_blobs WHERE plan_id = $1 ORDER BY digest LIMIT $2";
    let all = sqlx::query(COUNT).bind(plan.0).fetch_one(&mut *tx).await?;
    let rows = sqlx::query(SQL)
        .bind(plan.0)
        .bind(limit)
        .fetch_all(&mut *tx)
        .await?;
    let mut damaged = Vec::with_capacity(rows.len());
    for row in &rows {
        damaged.push(Damaged {
            digest: parsed(row, "digest")?,
            size_bytes: size(row, "size_bytes")?,
            what: row.try_get("what")?,
        });
    }
    Ok((size(&all, "n")?, damaged))
}

const HURT: &str = "
    SELECT DISTINCT p.destination_id FROM blob_links l
    CROSS JOIN manifest_parts o CROSS JOIN pushed_manifests p
    WHERE l.digest = $1 AND o.destination_id = l.destination_id AND o.digest = l.digest
      AND o.kind <> 'manifest' AND p.id = o.pushed_id
    ORDER BY p.destination_id LIMIT $2";

/// Up to `limit` repositories with a manifest that needs this blob.
pub async fn hurt(
    tx: &mut Tx,
    digest: &Digest,
    limit: u32,
) -> Result<Vec<DestinationId>, CatalogError> {
    Ok(sqlx::query_scalar(HURT)
        .bind(digest.to_string())
        .bind(limit)
        .fetch_all(&mut *tx)
        .await?)
}

#[cfg(test)]
mod tests {
    use crate::database::explain;

    #[tokio::test]
    async fn the_repositories_that_a_blob_hurts_are_found_along_indexes() {
        let told = explain(super::HURT).await;

        assert!(!told.contains("SCAN"), "{told}");
    }
}
