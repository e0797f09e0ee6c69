//! The push repository of a destination: what was pushed there, the tags at their newest digest.

use crate::catalog::{DestinationId, parsed, stored_json};
use crate::content::ContentError;
use crate::{Digest, Tag, Tx};

/// Puts what was pushed into the push repository. A repeat changes nothing.
pub async fn forward(
    tx: &mut Tx,
    destination: DestinationId,
    tag: Option<(&Tag, &Digest)>,
    digests: &[Digest],
) -> Result<(), ContentError> {
    const MANIFEST: &str = "
        INSERT INTO embedded_push_manifests (destination_id, digest) VALUES ($1, $2)
        ON CONFLICT (destination_id, digest) DO NOTHING";
    const TAG: &str = "
        INSERT INTO embedded_push_tags (destination_id, tag, digest) VALUES ($1, $2, $3)
        ON CONFLICT (destination_id, tag) DO UPDATE SET digest = excluded.digest";
    for digest in digests.iter().chain(tag.map(|(_, digest)| digest)) {
        sqlx::query(MANIFEST)
            .bind(destination)
            .bind(digest.to_string())
            .execute(&mut *tx)
            .await?;
    }
    if let Some((tag, digest)) = tag {
        sqlx::query(TAG)
            .bind(destination)
            .bind(tag.as_str())
            .bind(digest.to_string())
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// Checks that what was pushed is in the push repository; [`ContentError::Absent`] names the first that is not.
pub async fn locate(
    tx: &mut Tx,
    destination: DestinationId,
    tag: Option<(&Tag, &Digest)>,
    digests: &[Digest],
) -> Result<(), ContentError> {
    const MANIFEST: &str = "
        SELECT 1 FROM embedded_push_manifests WHERE destination_id = $1 AND digest = $2";
    const TAG: &str = "
        SELECT digest FROM embedded_push_tags WHERE destination_id = $1 AND tag = $2";
    let absent = |what: String| ContentError::Absent {
        place: "push repository".to_owned(),
        destination,
        what,
    };
    for digest in digests.iter().chain(tag.map(|(_, digest)| digest)) {
        let found: Option<i64> = sqlx::query_scalar(MANIFEST)
            .bind(destination)
            .bind(digest.to_string())
            .fetch_optional(&mut *tx)
            .await?;
        if found.is_none() {
            return Err(absent(format!("manifest {digest}")));
        }
    }
    if let Some((tag, _)) = tag {
        let found: Option<String> = sqlx::query_scalar(TAG)
            .bind(destination)
            .bind(tag.as_str())
            .fetch_optional(&mut *tx)
            .await?;
        // A later push may have moved it meanwhile; this plan's digest is in the version it makes.
        if found.is_none() {
            return Err(absent(format!("tag `{tag}`")));
        }
    }
    Ok(())
}

/// Those of these manifests that the push repository does not have, in their own order.
pub(in crate::content) async fn without(
    tx: &mut Tx,
    destination: DestinationId,
    digests: &[Digest],
) -> Result<Vec<Digest>, ContentError> {
    const SQL: &str = "
        SELECT value AS digest FROM json_each($2)
        WHERE NOT EXISTS (SELECT 1 FROM embedded_push_manifests
            WHERE destination_id = $1 AND digest = value)
        ORDER BY key";
    let rows = sqlx::query(SQL)
        .bind(destination)
        .bind(stored_json(&digests)?)
        .fetch_all(&mut *tx)
        .await?;
    let digests = rows.iter().map(|row| parsed(row, "digest"));
    Ok(digests.collect::<Result<_, _>>()?)
}

/// Forgets that the push repository has these manifests: they are sent again.
pub(in crate::content) async fn forget(
    tx: &mut Tx,
    destination: DestinationId,
    digests: &[Digest],
) -> Result<(), ContentError> {
    const SQL: &str = "
        DELETE FROM embedded_push_manifests
        WHERE destination_id = $1 AND digest IN (SELECT value FROM json_each($2))";
    sqlx::query(SQL)
        .bind(destination)
        .bind(stored_json(&digests)?)
        .execute(&mut *tx)
        .await?;
    Ok(())
}
