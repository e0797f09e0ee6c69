//! How many tags and how many bytes the versions of repositories have.
//!
//! A version never changes, so each is counted once; and of a later one than the last only what changed. A repository of a
//! hundred thousand images is walked through for seconds.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{CatalogError, RepositoryId, size, versions};
use crate::Tx;

/// The sizes that are known, of one version of each repository: the one that was asked about last.
#[derive(Debug, Default)]
pub struct Sizes {
    bytes: Known,
    tags: Known,
}

/// A number of one version of each repository.
#[derive(Debug, Default)]
struct Known(Mutex<HashMap<RepositoryId, OfVersion>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OfVersion {
    version: i64,
    count: u64,
}

impl Known {
    fn of(&self, repository: RepositoryId) -> Option<OfVersion> {
        self.all().get(&repository).copied()
    }

    fn is(&self, repository: RepositoryId, version: i64, count: u64) {
        self.all().insert(repository, OfVersion { version, count });
    }

    fn all(&self) -> MutexGuard<'_, HashMap<RepositoryId, OfVersion>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sizes {
    /// The bytes of that version's manifests and of the blobs they name, each counted once.
    pub async fn bytes(
        &self,
        tx: &mut Tx,
        repository: RepositoryId,
        version: i64,
    ) -> Result<u64, CatalogError> {
        let bytes = match self.bytes.of(repository) {
            Some(known) if known.version == version => return Ok(known.count),
            Some(known) if known.version < version && is_kept(tx, repository, known).await? => {
                if loses(tx, repository, known.version, version).await? {
                    whole(tx, repository, version).await?
                } else {
                    known.count + gain(tx, repository, known.version, version).await?
                }
            }
            Some(_) | None => whole(tx, repository, version).await?,
        };
        self.bytes.is(repository, version, bytes);
        Ok(bytes)
    }

    /// How many tags that version has.
    pub async fn tags(
        &self,
        tx: &mut Tx,
        repository: RepositoryId,
        version: i64,
    ) -> Result<u64, CatalogError> {
        let tags = match self.tags.of(repository) {
            Some(known) if known.version == version => return Ok(known.count),
            Some(known) if known.version < version && is_kept(tx, repository, known).await? => {
                let (begun, ended) = turned(tx, repository, known.version, version).await?;
                (known.count + begun).saturating_sub(ended)
            }
            Some(_) | None => versions::count_tags(tx, repository, version).await?,
        };
        self.tags.is(repository, version, tags);
        Ok(tags)
    }
}

/// True if that version is still there. What was only in a dropped one is not written down any more.
async fn is_kept(
    tx: &mut Tx,
    repository: RepositoryId,
    known: OfVersion,
) -> Result<bool, CatalogError> {
    const SQL: &str = "
        SELECT EXISTS (SELECT 1 FROM versions WHERE repository_id = $1 AND number = $2)";
    let kept = sqlx::query_scalar(SQL).bind(repository).bind(known.version);
    Ok(kept.fetch_one(&mut *tx).await?)
}

const TURNED: &str = "
    SELECT (SELECT count(*) FROM content_in INDEXED BY content_in_added
            WHERE repository_id = $1 AND kind = 'tag' AND added > $2 AND added <= $3) AS begun,
        (SELECT count(*) FROM content_in INDEXED BY content_in_removed
            WHERE repository_id = $1 AND kind = 'tag' AND removed > $2 AND removed <= $3) AS ended";

/// How many tags have begun to point somewhere after version `from`, up to `to`, and how many have ended.
async fn turned(
    tx: &mut Tx,
    repository: RepositoryId,
    from: i64,
    to: i64,
) -> Result<(u64, u64), CatalogError> {
    let row = sqlx::query(TURNED).bind(repository).bind(from).bind(to);
    let row = row.fetch_one(&mut *tx).await?;
    Ok((size(&row, "begun")?, size(&row, "ended")?))
}

const WHOLE: &str = "
    SELECT (SELECT coalesce(sum(m.size_bytes), 0) FROM manifests m WHERE m.digest IN (
            SELECT c.name FROM content_in c
            WHERE c.repository_id = $1 AND c.kind = 'manifest'
              AND c.added <= $2 AND (c.removed IS NULL OR c.removed > $2)))
        + (SELECT coalesce(sum(b.size_bytes), 0) FROM blobs b WHERE b.digest IN (
            SELECT p.digest FROM content_in c
            JOIN pushed_manifests h ON h.destination_id = $1 AND h.digest = c.name
            JOIN manifest_parts p ON p.pushed_id = h.id
            WHERE c.repository_id = $1 AND c.kind = 'manifest' AND p.kind <> 'manifest'
              AND c.added <= $2 AND (c.removed IS NULL OR c.removed > $2))) AS bytes";

async fn whole(tx: &mut Tx, repository: RepositoryId, version: i64) -> Result<u64, CatalogError> {
    let row = sqlx::query(WHOLE).bind(repository).bind(version);
    Ok(size(&row.fetch_one(&mut *tx).await?, "bytes")?)
}

const LOST: &str = "
    SELECT EXISTS (SELECT 1 FROM content_in
        WHERE repository_id = $1 AND kind = 'manifest' AND removed > $2 AND removed <= $3)";

/// True if a version after `from`, up to `to`, has lost a manifest.
async fn loses(
    tx: &mut Tx,
    repository: RepositoryId,
    from: i64,
    to: i64,
) -> Result<bool, CatalogError> {
    let lost = sqlx::query_scalar(LOST)
        .bind(repository)
        .bind(from)
        .bind(to);
    Ok(lost.fetch_one(&mut *tx).await?)
}

const GAIN: &str = "
    SELECT (SELECT coalesce(sum(m.size_bytes), 0) FROM content_in c JOIN manifests m ON m.digest = c.name
            WHERE c.repository_id = $1 AND c.kind = 'manifest' AND c.added > $2 AND c.added <= $3)
        + (SELECT coalesce(sum(b.size_bytes), 0) FROM blobs b WHERE b.digest IN (
            SELECT p.digest FROM content_in c
            JOIN pushed_manifests h ON h.destination_id = $1 AND h.digest = c.name
            JOIN manifest_parts p ON p.pushed_id = h.id
            WHERE c.repository_id = $1 AND c.kind = 'manifest' AND p.kind <> 'manifest'
              AND c.added > $2 AND c.added <= $3)
          AND NOT EXISTS (SELECT 1 FROM manifest_parts o JOIN pushed_manifests h ON h.id = o.pushed_id CROSS JOIN content_in k
            WHERE o.destination_id = $1 AND o.digest = b.digest
              AND k.repository_id = $1 AND k.kind = 'manifest' AND k.name = h.digest
              AND k.added <= $2 AND (k.removed IS NULL OR k.removed > $2))) AS bytes";

/// The bytes that are in version `to` and not in `from`, which it has all of.
async fn gain(
    tx: &mut Tx,
    repository: RepositoryId,
    from: i64,
    to: i64,
) -> Result<u64, CatalogError> {
    let row = sqlx::query(GAIN).bind(repository).bind(from).bind(to);
    Ok(size(&row.fetch_one(&mut *tx).await?, "bytes")?)
}

#[cfg(test)]
mod tests {
    use crate::database::explain;

    #[tokio::test]
    async fn what_a_version_changed_is_weighed_without_walking_through_the_repository() {
        let lost = explain(super::LOST).await;
        let gain = explain(super::GAIN).await;

        assert!(lost.contains("content_in_removed"), "{lost}");
        assert_eq!(gain.matches("content_in_added").count(), 2, "{gain}");
        assert!(gain.contains("manifest_parts_digest"), "{gain}");
        let scanned = gain.replace("SCAN CONSTANT ROW", "");
        assert!(!scanned.contains("SCAN"), "{gain}");
    }
}
