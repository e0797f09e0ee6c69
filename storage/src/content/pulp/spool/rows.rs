//! What lies here until Pulp has it.

use engine::clock::Timestamp;
use sqlx::Row as _;

use crate::catalog::{DestinationId, parsed, stored_json, stored_size};
use crate::content::ContentError;
use crate::{Algorithm, Digest, Tx};

const OLDEST: &str = "
    SELECT digest, destination_id, since FROM pulp_spool
    WHERE (since, digest) > ($1, $2) ORDER BY since, digest LIMIT $3";

const RELEASE: &str = "
    UPDATE blobs SET has_object = 0
    WHERE digest IN (SELECT value FROM json_each($1)) AND has_object = 1
    RETURNING object";

const FORGET: &str = "
    DELETE FROM pulp_spool WHERE digest IN (SELECT value FROM json_each($1))
      AND EXISTS (SELECT 1 FROM blobs b WHERE b.digest = pulp_spool.digest AND b.has_object = 0)";

/// A blob that lies here.
pub(super) struct Spooled {
    pub(super) digest: Digest,
    pub(super) destination: DestinationId,
    since: i64,
}

impl Spooled {
    /// After which the next ones come.
    pub(super) fn position(&self) -> (i64, String) {
        (self.since, self.digest.to_string())
    }
}

/// How much lies here: of sessions and of blobs.
pub(super) async fn bytes(tx: &mut Tx) -> Result<u64, ContentError> {
    const SQL: &str = "
        SELECT (SELECT coalesce(sum(size_bytes), 0) FROM uploads)
            + (SELECT coalesce(sum(size_bytes), 0) FROM pulp_spool)";
    let bytes: i64 = sqlx::query_scalar(SQL).fetch_one(&mut *tx).await?;
    Ok(u64::try_from(bytes).unwrap_or_default())
}

/// Records that the bytes of a blob lie here, on their way to Pulp; those by another digest than SHA-256 stay for good.
pub(in crate::content) async fn add(
    tx: &mut Tx,
    digest: &Digest,
    destination: DestinationId,
    size_bytes: u64,
    at: Timestamp,
) -> Result<(), ContentError> {
    const SQL: &str = "
        INSERT INTO pulp_spool (digest, destination_id, size_bytes, since) VALUES ($1, $2, $3, $4)
        ON CONFLICT (digest) DO NOTHING";
    if digest.algorithm() != Algorithm::Sha256 {
        return Ok(());
    }
    sqlx::query(SQL)
        .bind(digest.to_string())
        .bind(destination)
        .bind(stored_size(size_bytes))
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Those that lie here longest.
pub(super) async fn oldest(
    tx: &mut Tx,
    after: Option<&(i64, String)>,
    limit: u32,
) -> Result<Vec<Spooled>, ContentError> {
    let (since, digest) = after.map_or((i64::MIN, ""), |(since, digest)| (*since, digest));
    let rows = sqlx::query(OLDEST)
        .bind(since)
        .bind(digest)
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await?;
    let spooled = rows.iter().map(|row| {
        Ok(Spooled {
            digest: parsed(row, "digest")?,
            destination: row.try_get("destination_id")?,
            since: row.try_get("since")?,
        })
    });
    Ok(spooled.collect::<Result<_, sqlx::Error>>()?)
}

/// The objects of these blobs, which Pulp has: from now on nobody reads them.
pub(super) async fn release(tx: &mut Tx, blobs: &[Digest]) -> Result<Vec<String>, ContentError> {
    let released = sqlx::query_scalar(RELEASE)
        .bind(stored_json(&blobs)?)
        .fetch_all(&mut *tx)
        .await?;
    forget(tx, blobs).await?;
    Ok(released)
}

/// Takes those of these blobs out of account that lie in Pulp alone.
pub(in crate::content) async fn forget(tx: &mut Tx, blobs: &[Digest]) -> Result<(), ContentError> {
    sqlx::query(FORGET)
        .bind(stored_json(&blobs)?)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::explain;

    #[tokio::test]
    async fn every_statement_about_the_spool_reads_along_an_index() {
        for sql in [OLDEST, RELEASE, FORGET] {
            let told = explain(sql).await;
            let scanned: Vec<&str> = told
                .lines()
                .filter(|line| line.contains("SCAN") && !line.contains("VIRTUAL TABLE"))
                .collect();
            assert!(scanned.is_empty(), "{sql}: {told}");
        }
    }
}
