//! What was pushed to a destination, and what it is there: readable by digest at once, pending until a plan has filed it into
//! a version, and until it is deleted.

use std::collections::HashSet;

use engine::clock::Timestamp;
use engine::journal::PlanId;
use sqlx::Row as _;

use super::manifests::{Manifest, PartKind};
use super::{CatalogError, DestinationId, UserId, parsed, stored_json, stored_size, time};
use crate::{Digest, Tx};

/// What adding a manifest has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It was not there.
    New,
    /// Nothing: it was there as the same.
    Same,
    /// It was deleted, or there under another media type, or in older versions alone, and is now what it was pushed as last. It is
    /// pending again.
    AsAnother,
}

/// Adds a manifest, whose bytes are kept already, to what was pushed, with what was read of it.
///
/// A repeat changes nothing: what is filed stays filed, as long as the newest version has it; else it might go with older ones. What
/// it is counts for this destination alone.
pub async fn add(
    tx: &mut Tx,
    destination: DestinationId,
    manifest: &Manifest,
    by: UserId,
    at: Timestamp,
) -> Result<Added, CatalogError> {
    const SQL: &str = "
        INSERT INTO pushed_manifests (destination_id, digest, media_type, artifact_type, subject,
            annotations, pushed_by, pushed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (destination_id, digest) DO NOTHING
        RETURNING id";
    const OTHER: &str = "
        UPDATE pushed_manifests SET media_type = $3, artifact_type = $4, subject = $5,
            annotations = $6, pushed_by = $7, pushed_at = $8, filed_by_plan = NULL, deleted_at = NULL
        WHERE destination_id = $1 AND digest = $2
          AND (media_type <> $3 OR deleted_at IS NOT NULL OR filed_by_plan IS NOT NULL
              AND NOT EXISTS (SELECT 1 FROM content_in c WHERE c.repository_id = $1
                  AND c.kind = 'manifest' AND c.name = $2 AND c.removed IS NULL))
        RETURNING id";
    for (sql, added) in [(SQL, Added::New), (OTHER, Added::AsAnother)] {
        let written: Option<i64> = sqlx::query_scalar(sql)
            .bind(destination)
            .bind(manifest.digest.to_string())
            .bind(&manifest.media_type)
            .bind(&manifest.artifact_type)
            .bind(manifest.subject.map(|subject| subject.to_string()))
            .bind(stored_json(&manifest.annotations)?)
            .bind(by)
            .bind(at.0)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(id) = written else { continue };
        if added == Added::AsAnother {
            forget(tx, id).await?;
        }
        add_parts(tx, destination, id, manifest).await?;
        return Ok(added);
    }
    Ok(Added::Same)
}

/// Writes down what must be here of the manifest, each part once, in one statement however many there are.
async fn add_parts(
    tx: &mut Tx,
    destination: DestinationId,
    id: i64,
    manifest: &Manifest,
) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO manifest_parts (pushed_id, position, destination_id, kind, digest, media_type, size_bytes)
        SELECT $1, key, $2, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each($3)";
    let mut seen = HashSet::new();
    let parts: Vec<(PartKind, Digest, &str, i64)> = manifest
        .required()
        .filter(|part| seen.insert((part.kind, part.digest)))
        .map(|part| {
            let size = stored_size(part.size_bytes);
            (part.kind, part.digest, part.media_type.as_str(), size)
        })
        .collect();
    if parts.is_empty() {
        return Ok(());
    }
    sqlx::query(SQL)
        .bind(id)
        .bind(destination)
        .bind(stored_json(&parts)?)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Forgets what was read of a manifest as what it no longer is.
async fn forget(tx: &mut Tx, id: i64) -> Result<(), CatalogError> {
    const PARTS: &str = "DELETE FROM manifest_parts WHERE pushed_id = $1";
    const IMAGE: &str = "DELETE FROM images WHERE pushed_id = $1";
    for sql in [PARTS, IMAGE] {
        sqlx::query(sql).bind(id).execute(&mut *tx).await?;
    }
    Ok(())
}

/// The first of these manifests that was never pushed to this destination, or was deleted from it.
pub async fn first_missing(
    tx: &mut Tx,
    destination: DestinationId,
    digests: &[Digest],
) -> Result<Option<Digest>, CatalogError> {
    const SQL: &str = "
        SELECT value AS digest FROM json_each($2)
        WHERE NOT EXISTS (SELECT 1 FROM pushed_manifests
            WHERE destination_id = $1 AND digest = value AND deleted_at IS NULL)
        ORDER BY key LIMIT 1";
    if digests.is_empty() {
        return Ok(None);
    }
    let missing = sqlx::query(SQL)
        .bind(destination)
        .bind(stored_json(&digests)?)
        .fetch_optional(&mut *tx)
        .await?;
    Ok(missing.map(|row| parsed(&row, "digest")).transpose()?)
}

/// True if the manifest was pushed to this destination, filed or not, and was not deleted.
pub async fn contains(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
) -> Result<bool, CatalogError> {
    const SQL: &str = "
        SELECT 1 FROM pushed_manifests
        WHERE destination_id = $1 AND digest = $2 AND deleted_at IS NULL";
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
        WHERE destination_id = $1 AND filed_by_plan IS NULL AND deleted_at IS NULL
        ORDER BY pushed_at, digest";
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
               AND n.deleted_at IS NULL
             ORDER BY n.pushed_at DESC, n.digest LIMIT 1) AS newest_by
        FROM pushed_manifests p
        JOIN destinations d ON d.id = p.destination_id AND d.retired_at IS NULL
        WHERE p.filed_by_plan IS NULL AND p.deleted_at IS NULL
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

/// Records that `plan` has filed these manifests into a version, in one statement however many there are. What another plan has
/// filed stays that plan's.
pub async fn file(
    tx: &mut Tx,
    destination: DestinationId,
    digests: &[Digest],
    plan: PlanId,
) -> Result<(), CatalogError> {
    const SQL: &str = "
        UPDATE pushed_manifests SET filed_by_plan = $3
        WHERE destination_id = $1 AND filed_by_plan IS NULL
          AND digest IN (SELECT value FROM json_each($2))";
    if digests.is_empty() {
        return Ok(());
    }
    sqlx::query(SQL)
        .bind(destination)
        .bind(stored_json(&digests)?)
        .bind(plan.0)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Takes the manifest out of what was pushed: it is not read any more, and comes back with a version that has it, or when it is
/// pushed again. False: it was not there.
pub async fn delete(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
    at: Timestamp,
) -> Result<bool, CatalogError> {
    const SQL: &str = "
        UPDATE pushed_manifests SET deleted_at = $3
        WHERE destination_id = $1 AND digest = $2 AND deleted_at IS NULL";
    let deleted = sqlx::query(SQL)
        .bind(destination)
        .bind(digest.to_string())
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    Ok(deleted.rows_affected() > 0)
}

const DELETE_UNFILED: &str = "
    UPDATE pushed_manifests SET deleted_at = $3
    WHERE destination_id = $1 AND digest IN (SELECT value FROM json_each($2))
      AND deleted_at IS NULL AND filed_by_plan IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM content_in c WHERE c.repository_id = $1
          AND c.kind = 'manifest' AND c.name = pushed_manifests.digest AND c.removed IS NULL)";

/// As [`delete`], for many, and only for those that the newest version does not have and nobody has pushed again since it was made.
pub async fn delete_unfiled(
    tx: &mut Tx,
    destination: DestinationId,
    digests: &[Digest],
    at: Timestamp,
) -> Result<(), CatalogError> {
    if digests.is_empty() {
        return Ok(());
    }
    let deleted = sqlx::query(DELETE_UNFILED)
        .bind(destination)
        .bind(stored_json(&digests)?)
        .bind(at.0);
    deleted.execute(&mut *tx).await?;
    Ok(())
}

const BRING_BACK: &str = "
    UPDATE pushed_manifests SET deleted_at = NULL
    WHERE destination_id = $1 AND deleted_at IS NOT NULL
      AND EXISTS (SELECT 1 FROM content_in c
          WHERE c.repository_id = $1 AND c.kind = 'manifest' AND c.name = pushed_manifests.digest
            AND c.added <= $2 AND (c.removed IS NULL OR c.removed > $2))";

const BRING_BACK_BLOBS: &str = "
    UPDATE blob_links SET deleted_at = NULL
    WHERE destination_id = $1 AND deleted_at IS NOT NULL
      AND EXISTS (SELECT 1 FROM manifest_parts o
          JOIN pushed_manifests h ON h.id = o.pushed_id
          JOIN content_in c ON c.repository_id = $1 AND c.kind = 'manifest' AND c.name = h.digest
          WHERE o.destination_id = $1 AND o.digest = blob_links.digest AND o.kind <> 'manifest'
            AND c.added <= $2 AND (c.removed IS NULL OR c.removed > $2))";

/// Brings back the blobs of this version that were deleted: an environment publishes it.
pub async fn bring_back_blobs(
    tx: &mut Tx,
    destination: DestinationId,
    version: i64,
) -> Result<(), CatalogError> {
    let back = sqlx::query(BRING_BACK_BLOBS)
        .bind(destination)
        .bind(version);
    back.execute(&mut *tx).await?;
    Ok(())
}

/// Brings back the manifests of this version that were deleted, with their blobs.
pub async fn bring_back(
    tx: &mut Tx,
    destination: DestinationId,
    version: i64,
) -> Result<(), CatalogError> {
    let back = sqlx::query(BRING_BACK).bind(destination).bind(version);
    back.execute(&mut *tx).await?;
    bring_back_blobs(tx, destination, version).await
}

#[cfg(test)]
mod tests {
    use super::{BRING_BACK, BRING_BACK_BLOBS, DELETE_UNFILED};
    use crate::database::explain;

    #[tokio::test]
    async fn many_are_deleted_along_the_key() {
        let told = explain(DELETE_UNFILED).await;
        let walked = told.lines().filter(|line| line.contains("SCAN"));

        assert!(
            walked.clone().all(|line| line.contains("json_each")),
            "{told}"
        );
        assert!(told.contains("destination_id=? AND digest=?"), "{told}");
    }

    #[tokio::test]
    async fn what_was_deleted_is_found_without_looking_at_all_that_is_there() {
        for (sql, index) in [
            (BRING_BACK, "pushed_manifests_deleted"),
            (BRING_BACK_BLOBS, "blob_links_deleted"),
        ] {
            let told = explain(sql).await;

            assert!(told.contains(index) && !told.contains("SCAN"), "{told}");
        }
    }
}
