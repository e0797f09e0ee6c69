//! What is written down of Pulp: which names there are ours, which blobs it has taken, what it serves.

use std::collections::HashSet;

use engine::clock::Timestamp;
use engine::journal::PlanId;

use crate::catalog::{DestinationId, parsed, stored_json};
use crate::content::ContentError;
use crate::{Digest, Tx};

const BLOBS_TO_SEND: &str = "
    SELECT DISTINCT b.digest, b.size_bytes FROM json_each($2) asked
    CROSS JOIN pushed_manifests p CROSS JOIN manifest_parts o CROSS JOIN blobs b
    WHERE p.destination_id = $1 AND p.digest = asked.value
      AND o.pushed_id = p.id AND o.kind <> 'manifest' AND b.digest = o.digest
      AND substr(b.digest, 1, 7) = 'sha256:' -- Pulp knows no other
      AND NOT EXISTS (SELECT 1 FROM pulp_blobs t
          WHERE t.destination_id = $1 AND t.digest = o.digest AND t.kept >= $3)";

const ODD: &str = "
    SELECT o.digest FROM json_each($2) asked CROSS JOIN pulp_odd_manifests o
    WHERE o.destination_id = $1 AND o.digest = asked.value";

const BLOBS_OF: &str = "
    SELECT DISTINCT o.digest FROM json_each($2) asked
    CROSS JOIN pushed_manifests p CROSS JOIN manifest_parts o
    WHERE p.destination_id = $1 AND p.digest = asked.value
      AND o.pushed_id = p.id AND o.kind <> 'manifest'
      AND substr(o.digest, 1, 7) = 'sha256:'";

const MOUNTABLE: &str = "
    SELECT t.destination_id FROM pulp_blobs t
    JOIN pulp_repositories r ON r.destination_id = t.destination_id
    WHERE t.digest = $1 AND t.kept = 1 AND r.served > 0 LIMIT 1";

const RELEASE: &str = "
    UPDATE blobs SET has_object = 0
    WHERE digest IN (SELECT value FROM json_each($2)) AND has_object = 1
      AND EXISTS (SELECT 1 FROM pulp_blobs t
          WHERE t.destination_id = $1 AND t.digest = blobs.digest AND t.kept = 1)
    RETURNING object";

/// True if the names of the destination are known to be ours.
pub(super) async fn are_ours(
    tx: &mut Tx,
    destination: DestinationId,
) -> Result<bool, ContentError> {
    const SQL: &str = "SELECT 1 FROM pulp_repositories WHERE destination_id = $1";
    let found: Option<i64> = sqlx::query_scalar(SQL)
        .bind(destination)
        .fetch_optional(&mut *tx)
        .await?;
    Ok(found.is_some())
}

/// Records, before anything is made there, that nobody had the names of the destination.
pub(super) async fn take(
    tx: &mut Tx,
    destination: DestinationId,
    at: Timestamp,
) -> Result<(), ContentError> {
    const SQL: &str = "
        INSERT INTO pulp_repositories (destination_id, since) VALUES ($1, $2)
        ON CONFLICT (destination_id) DO NOTHING";
    sqlx::query(SQL)
        .bind(destination)
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Records that the push repository has taken the blob.
pub(super) async fn taken(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
) -> Result<(), ContentError> {
    const SQL: &str = "
        INSERT INTO pulp_blobs (destination_id, digest) VALUES ($1, $2)
        ON CONFLICT (destination_id, digest) DO NOTHING";
    sqlx::query(SQL)
        .bind(destination)
        .bind(digest.to_string())
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Forgets that the push repository has taken blobs that no version has, and that we have still: they are sent again.
pub(super) async fn forget_untaken(
    tx: &mut Tx,
    destination: DestinationId,
) -> Result<(), ContentError> {
    const SQL: &str = "
        DELETE FROM pulp_blobs WHERE destination_id = $1 AND kept = 0
          AND EXISTS (SELECT 1 FROM blobs b
              WHERE b.digest = pulp_blobs.digest AND b.has_object = 1)";
    sqlx::query(SQL).bind(destination).execute(&mut *tx).await?;
    Ok(())
}

/// Records that a version has these blobs, with the right bytes.
pub(super) async fn keep(
    tx: &mut Tx,
    destination: DestinationId,
    blobs: &[Digest],
) -> Result<(), ContentError> {
    const SQL: &str = "
        INSERT INTO pulp_blobs (destination_id, digest, kept)
        SELECT $1, value, 1 FROM json_each($2) WHERE true
        ON CONFLICT (destination_id, digest) DO UPDATE SET kept = 1";
    sqlx::query(SQL)
        .bind(destination)
        .bind(stored_json(&blobs)?)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// The blobs of these manifests that the push repository has not taken (`kept` false), or of which no version is known to have
/// the bytes (`kept` true), each with its size.
pub(super) async fn blobs_to_send(
    tx: &mut Tx,
    destination: DestinationId,
    manifests: &[Digest],
    kept: bool,
) -> Result<Vec<(Digest, u64)>, ContentError> {
    let rows = sqlx::query(BLOBS_TO_SEND)
        .bind(destination)
        .bind(stored_json(&manifests)?)
        .bind(i64::from(kept))
        .fetch_all(&mut *tx)
        .await?;
    let blobs = rows.iter().map(|row| {
        Ok((
            parsed(row, "digest")?,
            crate::catalog::size(row, "size_bytes")?,
        ))
    });
    Ok(blobs.collect::<Result<_, sqlx::Error>>()?)
}

/// A destination whose names in Pulp have the blob, and whether a version has it: this one rather than others, and a version
/// rather than a push.
pub(super) async fn holder(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
) -> Result<Option<(DestinationId, bool)>, ContentError> {
    const OWN: &str = "
        SELECT destination_id, kept FROM pulp_blobs WHERE destination_id = $1 AND digest = $2";
    const OTHER: &str = "
        SELECT destination_id, kept FROM pulp_blobs WHERE destination_id <> $1 AND digest = $2
        ORDER BY kept DESC LIMIT 1";
    for sql in [OWN, OTHER] {
        let found: Option<(DestinationId, i64)> = sqlx::query_as(sql)
            .bind(destination)
            .bind(digest.to_string())
            .fetch_optional(&mut *tx)
            .await?;
        if let Some((holder, kept)) = found {
            return Ok(Some((holder, kept == 1)));
        }
    }
    Ok(None)
}

/// A destination of which a served version has the blob: it can be mounted from there, also back into what is pushed to it.
pub(super) async fn mountable_from(
    tx: &mut Tx,
    digest: &Digest,
) -> Result<Option<DestinationId>, ContentError> {
    Ok(sqlx::query_scalar(MOUNTABLE)
        .bind(digest.to_string())
        .fetch_optional(&mut *tx)
        .await?)
}

/// Writes down which version of Pulp holds what the plan's version does, unless it is one of a repository that is not ours any more.
pub(super) async fn tie(
    tx: &mut Tx,
    destination: DestinationId,
    plan: PlanId,
    repository: &str,
    number: i64,
) -> Result<(), ContentError> {
    const NEWEST: &str = "
        UPDATE pulp_repositories SET newest = max(newest, $3)
        WHERE destination_id = $1 AND repository = $2";
    const SQL: &str = "
        UPDATE embedded_versions SET pulp_number = $3 WHERE destination_id = $1 AND plan_id = $2";
    let known = sqlx::query(NEWEST)
        .bind(destination)
        .bind(repository)
        .bind(number)
        .execute(&mut *tx)
        .await?;
    if known.rows_affected() > 0 {
        sqlx::query(SQL)
            .bind(destination)
            .bind(plan.0)
            .bind(number)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// Writes down which repository has the versions of a destination. Another one than before has none of what that had.
pub(super) async fn is_in(
    tx: &mut Tx,
    destination: DestinationId,
    repository: &str,
) -> Result<(), ContentError> {
    const KNOWN: &str = "SELECT repository FROM pulp_repositories WHERE destination_id = $1";
    const SET: &str = "
        UPDATE pulp_repositories SET repository = $2, newest = 0, served = 0 WHERE destination_id = $1";
    const VERSIONS: &str =
        "UPDATE embedded_versions SET pulp_number = NULL WHERE destination_id = $1";
    const BLOBS: &str = "UPDATE pulp_blobs SET kept = 0 WHERE destination_id = $1 AND kept = 1";
    let known: Option<Option<String>> = sqlx::query_scalar(KNOWN)
        .bind(destination)
        .fetch_optional(&mut *tx)
        .await?;
    let known = known.flatten();
    if known.as_deref() == Some(repository) {
        return Ok(());
    }
    sqlx::query(SET)
        .bind(destination)
        .bind(repository)
        .execute(&mut *tx)
        .await?;
    if known.is_some() {
        for sql in [VERSIONS, BLOBS] {
            sqlx::query(sql).bind(destination).execute(&mut *tx).await?;
        }
    }
    Ok(())
}

/// What is known to be of a destination in Pulp; things by their href.
#[derive(Debug, Default, sqlx::FromRow)]
pub(super) struct Known {
    /// The repository with versions.
    pub(super) repository: Option<String>,
    /// The distribution.
    pub(super) distribution: Option<String>,
    /// The number of the newest version that a plan has made.
    pub(super) newest: i64,
    /// The number of the version that is served; zero: none.
    pub(super) served: i64,
}

/// What was found of a destination, or made, when it was last looked for.
pub(super) async fn known(tx: &mut Tx, destination: DestinationId) -> Result<Known, ContentError> {
    const SQL: &str = "
        SELECT repository, distribution, newest, served FROM pulp_repositories
        WHERE destination_id = $1";
    let found = sqlx::query_as(SQL).bind(destination);
    Ok(found.fetch_optional(&mut *tx).await?.unwrap_or_default())
}

/// Writes down the distribution of a destination.
pub(super) async fn is_served_by(
    tx: &mut Tx,
    destination: DestinationId,
    distribution: Option<&str>,
) -> Result<(), ContentError> {
    const SQL: &str = "UPDATE pulp_repositories SET distribution = $2 WHERE destination_id = $1";
    sqlx::query(SQL)
        .bind(destination)
        .bind(distribution)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Writes down that everybody can pull from what Pulp has made for a push; none: nobody any more.
pub(super) async fn is_open(
    tx: &mut Tx,
    destination: DestinationId,
    distribution: Option<&str>,
) -> Result<(), ContentError> {
    const SQL: &str = "
        UPDATE pulp_repositories SET open_distribution = $2 WHERE destination_id = $1";
    sqlx::query(SQL)
        .bind(destination)
        .bind(distribution)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

const OPEN: &str = "
    SELECT destination_id, open_distribution FROM pulp_repositories
    WHERE open_distribution IS NOT NULL ORDER BY destination_id LIMIT $1";

/// Up to `limit` destinations of which that is so.
pub(super) async fn open(
    tx: &mut Tx,
    limit: u32,
) -> Result<Vec<(DestinationId, String)>, ContentError> {
    let open = sqlx::query_as(OPEN).bind(i64::from(limit));
    Ok(open.fetch_all(&mut *tx).await?)
}

/// Writes down which version of the repository is served. Never an older one than is written down.
pub(super) async fn serves(
    tx: &mut Tx,
    destination: DestinationId,
    repository: &str,
    number: i64,
) -> Result<(), ContentError> {
    const SQL: &str = "
        UPDATE pulp_repositories SET served = max(served, $3)
        WHERE destination_id = $1 AND repository = $2";
    sqlx::query(SQL)
        .bind(destination)
        .bind(repository)
        .bind(number)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// The objects of those of these blobs that Pulp keeps: they are no longer needed, and from now on nobody reads them.
pub(super) async fn release_objects(
    tx: &mut Tx,
    destination: DestinationId,
    blobs: &[Digest],
) -> Result<Vec<String>, ContentError> {
    Ok(sqlx::query_scalar(RELEASE)
        .bind(destination)
        .bind(stored_json(&blobs)?)
        .fetch_all(&mut *tx)
        .await?)
}

/// Forgets that a destination's names in Pulp have a blob. Where none has it any more, somebody who pushes it brings it again.
pub(super) async fn lost(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
) -> Result<(), ContentError> {
    const SQL: &str = "DELETE FROM pulp_blobs WHERE destination_id = $1 AND digest = $2";
    sqlx::query(SQL)
        .bind(destination)
        .bind(digest.to_string())
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// True if the push repository has taken the blob.
pub(super) async fn has_taken(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
) -> Result<bool, ContentError> {
    const SQL: &str = "SELECT 1 FROM pulp_blobs WHERE destination_id = $1 AND digest = $2";
    let found: Option<i64> = sqlx::query_scalar(SQL)
        .bind(destination)
        .bind(digest.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    Ok(found.is_some())
}

/// Records that Pulp does not take this manifest.
pub(super) async fn is_odd(
    tx: &mut Tx,
    destination: DestinationId,
    manifest: &Digest,
) -> Result<(), ContentError> {
    const SQL: &str = "
        INSERT INTO pulp_odd_manifests (destination_id, digest) VALUES ($1, $2)
        ON CONFLICT (destination_id, digest) DO NOTHING";
    sqlx::query(SQL)
        .bind(destination)
        .bind(manifest.to_string())
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Those of these manifests that Pulp does not take.
pub(super) async fn odd(
    tx: &mut Tx,
    destination: DestinationId,
    manifests: &[Digest],
) -> Result<HashSet<Digest>, ContentError> {
    if manifests.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = sqlx::query(ODD)
        .bind(destination)
        .bind(stored_json(&manifests)?)
        .fetch_all(&mut *tx)
        .await?;
    let odd = rows.iter().map(|row| parsed(row, "digest"));
    Ok(odd.collect::<Result<_, _>>()?)
}

/// The blobs of these manifests that Pulp can have.
pub(super) async fn blobs_of(
    tx: &mut Tx,
    destination: DestinationId,
    manifests: &[Digest],
) -> Result<Vec<Digest>, ContentError> {
    let rows = sqlx::query(BLOBS_OF)
        .bind(destination)
        .bind(stored_json(&manifests)?)
        .fetch_all(&mut *tx)
        .await?;
    let blobs = rows.iter().map(|row| parsed(row, "digest"));
    Ok(blobs.collect::<Result<_, _>>()?)
}

/// True if Pulp is known to have the blob, under whatever name.
pub(super) async fn has(tx: &mut Tx, digest: &Digest) -> Result<bool, ContentError> {
    const SQL: &str = "SELECT 1 FROM pulp_blobs WHERE digest = $1 LIMIT 1";
    let found: Option<i64> = sqlx::query_scalar(SQL)
        .bind(digest.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    Ok(found.is_some())
}

/// Pulp takes the manifest after all.
pub(super) async fn is_not_odd(
    tx: &mut Tx,
    destination: DestinationId,
    manifest: &Digest,
) -> Result<(), ContentError> {
    const SQL: &str = "DELETE FROM pulp_odd_manifests WHERE destination_id = $1 AND digest = $2";
    sqlx::query(SQL)
        .bind(destination)
        .bind(manifest.to_string())
        .execute(&mut *tx)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::explain;

    #[tokio::test]
    async fn every_statement_about_pulp_reads_along_an_index() {
        for sql in [BLOBS_TO_SEND, ODD, BLOBS_OF, MOUNTABLE, RELEASE, OPEN] {
            let told = explain(sql).await;
            let scanned: Vec<&str> = told
                .lines()
                .filter(|line| line.contains("SCAN") && !line.contains("VIRTUAL TABLE"))
                // An index of nothing but what is asked for.
                .filter(|line| !line.contains("INDEX pulp_repositories_open"))
                .collect();
            assert!(scanned.is_empty(), "{sql}: {told}");
        }
    }
}
