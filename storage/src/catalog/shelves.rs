//! What the newest version of a repository holds, with all that rules of retention look at.

use std::collections::HashMap;
use std::time::Duration;

use engine::clock::Timestamp;
use sqlx::Row as _;

use super::{
    CatalogError, DestinationId, RepositoryId, parsed, parsed_option, size, stored_json, time,
};
use crate::retention::{Manifest, Shelf, Tagged};
use crate::{Digest, Tx};

/// Whoever pushes a manifest by its digest pushes what needs it within this time.
const PUSH_TAKES: Duration = Duration::from_hours(1);

const KNOWN_SINCE: &str = "SELECT coalesce(max(since), 0) AS since FROM pulls_are_known";

/// A tag that somebody pushed again without a change was set then.
const TAGS: &str = "
    SELECT c.name, c.digest,
        max(coalesce(c.set_at, v.created_at, $2), coalesce(t.pushed_at, 0)) AS pushed_at,
        max(coalesce(v.created_at, c.set_at, $2), coalesce(t.pushed_at, 0)) AS set_at,
        max(coalesce(t.pulled_at, 0), coalesce(m.pulled_at, 0)) AS pulled_at
    FROM content_in c
    LEFT JOIN versions v ON v.repository_id = c.repository_id AND v.number = c.added
    LEFT JOIN last_touched t
        ON t.destination_id = c.repository_id AND t.kind = 'tag' AND t.name = c.name
    LEFT JOIN last_touched m
        ON m.destination_id = c.repository_id AND m.kind = 'manifest' AND m.name = c.digest
    WHERE c.repository_id = $1 AND c.kind = 'tag' AND c.removed IS NULL
    ORDER BY c.name";

const MANIFESTS: &str = "
    SELECT p.digest, p.subject,
        max(p.pushed_at, coalesce(t.pushed_at, 0), coalesce(t.pulled_at, 0)) AS wanted_at,
        coalesce(t.pushed_at, 0) > $2 AS is_just_pushed,
        EXISTS (SELECT 1 FROM content_in c WHERE c.repository_id = $1 AND c.kind = 'manifest'
            AND c.name = p.digest AND c.removed IS NULL) AS is_filed,
        p.filed_by_plan IS NULL AND p.deleted_at IS NULL AS is_pending
    FROM pushed_manifests p
    LEFT JOIN last_touched t
        ON t.destination_id = p.destination_id AND t.kind = 'manifest' AND t.name = p.digest
    WHERE p.destination_id = $1 ORDER BY p.digest";

/// As far as versions are kept that tell so.
const UNTAGGED: &str = "
    SELECT c.digest, max(v.created_at) AS at FROM content_in c INDEXED BY content_in_removed
    JOIN versions v ON v.repository_id = c.repository_id AND v.number = c.removed
    WHERE c.repository_id = $1 AND c.removed IS NOT NULL AND c.kind = 'tag'
    GROUP BY c.digest";

/// Since when versions tell without a gap. What lost its tag before that lost it before, and nobody knows when.
const TOLD_SINCE: &str = "
    SELECT v.created_at AS since FROM versions v
    WHERE v.repository_id = $1 AND v.number > 1 AND NOT EXISTS (
        SELECT 1 FROM versions w WHERE w.repository_id = v.repository_id AND w.number = v.number - 1)
    ORDER BY v.number DESC LIMIT 1";

const CHILDREN: &str = "
    SELECT p.digest AS parent, o.digest AS child
    FROM manifest_parts o INDEXED BY manifest_parts_children JOIN pushed_manifests p ON p.id = o.pushed_id
    WHERE o.destination_id = $1 AND o.kind = 'manifest'";

/// What the newest version holds. Whether somebody is pushing a tag is not known here.
pub async fn newest(
    tx: &mut Tx,
    repository: RepositoryId,
    now: Timestamp,
) -> Result<Shelf, CatalogError> {
    let since = sqlx::query(KNOWN_SINCE).fetch_one(&mut *tx).await?;
    let mut shelf = Shelf {
        pulls_known_since: time(&since, "since")?,
        ..Shelf::default()
    };
    let tags = sqlx::query(TAGS).bind(repository).bind(now.0);
    for row in tags.fetch_all(&mut *tx).await? {
        let pulled_at = time(&row, "pulled_at")?;
        shelf.tags.push(Tagged {
            tag: parsed(&row, "name")?,
            digest: parsed(&row, "digest")?,
            pushed_at: time(&row, "pushed_at")?,
            set_at: time(&row, "set_at")?,
            pulled_at: (pulled_at > Timestamp(0)).then_some(pulled_at),
            is_being_pushed: false,
        });
    }
    let mut children = children(tx, repository).await?;
    let untagged = untagged(tx, repository).await?;
    let told_since = sqlx::query(TOLD_SINCE).bind(repository);
    let told_since = told_since.fetch_optional(&mut *tx).await?;
    let told_since = told_since.map(|row| time(&row, "since")).transpose()?;
    let told_since = told_since.unwrap_or_default();
    let manifests = sqlx::query(MANIFESTS)
        .bind(repository)
        .bind((now - PUSH_TAKES).0);
    for row in manifests.fetch_all(&mut *tx).await? {
        let is_filed = row.try_get::<i64, _>("is_filed")? == 1;
        if !is_filed && row.try_get::<i64, _>("is_pending")? == 0 {
            continue;
        }
        let digest = parsed(&row, "digest")?;
        let untagged_at = untagged.get(&digest).copied().unwrap_or(told_since);
        shelf.manifests.push(Manifest {
            digest,
            children: children.remove(&digest).unwrap_or_default(),
            subject: parsed_option(&row, "subject")?,
            wanted_at: time(&row, "wanted_at")?.max(untagged_at),
            is_filed,
            is_just_pushed: row.try_get::<i64, _>("is_just_pushed")? == 1,
        });
    }
    Ok(shelf)
}

async fn children(
    tx: &mut Tx,
    repository: RepositoryId,
) -> Result<HashMap<Digest, Vec<Digest>>, CatalogError> {
    let mut children: HashMap<Digest, Vec<Digest>> = HashMap::new();
    for row in sqlx::query(CHILDREN)
        .bind(repository)
        .fetch_all(&mut *tx)
        .await?
    {
        let of = children.entry(parsed(&row, "parent")?).or_default();
        of.push(parsed(&row, "child")?);
    }
    Ok(children)
}

/// When manifests lost their last tag.
async fn untagged(
    tx: &mut Tx,
    repository: RepositoryId,
) -> Result<HashMap<Digest, Timestamp>, CatalogError> {
    let rows = sqlx::query(UNTAGGED)
        .bind(repository)
        .fetch_all(&mut *tx)
        .await?;
    let times = rows
        .iter()
        .map(|row| Ok((parsed(row, "digest")?, time(row, "at")?)));
    Ok(times.collect::<Result<_, sqlx::Error>>()?)
}

/// Counts each blob once, and none that a manifest has which stays in the newest version.
const BYTES: &str = "
    SELECT coalesce(sum(size_bytes), 0) AS bytes FROM (
        SELECT lost.digest, lost.size_bytes FROM (
            SELECT o.digest, max(o.size_bytes) AS size_bytes
            FROM json_each($2) going CROSS JOIN pushed_manifests p CROSS JOIN manifest_parts o
            WHERE p.destination_id = $1 AND p.digest = going.value AND o.pushed_id = p.id
              AND o.kind <> 'manifest'
            GROUP BY o.digest) lost
        WHERE NOT EXISTS (SELECT 1 FROM manifest_parts s CROSS JOIN pushed_manifests h
            WHERE s.destination_id = $1 AND s.digest = lost.digest AND h.id = s.pushed_id
              AND h.digest NOT IN (SELECT value FROM json_each($2))
              AND EXISTS (SELECT 1 FROM content_in c WHERE c.repository_id = $1
                  AND c.kind = 'manifest' AND c.name = h.digest AND c.removed IS NULL))
        UNION ALL
        SELECT m.digest, m.size_bytes FROM json_each($2) going CROSS JOIN manifests m
        WHERE m.digest = going.value)";

/// The bytes of these manifests and of the blobs that nothing else in the newest version needs. They are free once no version that is
/// kept has them, here or in another repository.
pub async fn bytes(
    tx: &mut Tx,
    destination: DestinationId,
    going: &[Digest],
) -> Result<u64, CatalogError> {
    if going.is_empty() {
        return Ok(0);
    }
    let row = sqlx::query(BYTES)
        .bind(destination)
        .bind(stored_json(&going)?)
        .fetch_one(&mut *tx)
        .await?;
    Ok(size(&row, "bytes")?)
}

#[cfg(test)]
mod tests {
    use crate::database::explain;

    #[tokio::test]
    async fn a_shelf_is_read_along_indexes() {
        for sql in [
            super::TAGS,
            super::MANIFESTS,
            super::UNTAGGED,
            super::TOLD_SINCE,
            super::CHILDREN,
            super::BYTES,
        ] {
            let told = explain(sql).await;
            let scanned = told.lines().filter(|line| line.contains("SCAN"));
            let walked = [
                "VIRTUAL TABLE",
                "CONSTANT ROW",
                "SCAN (subquery",
                "SCAN lost",
            ];
            let scanned: Vec<&str> = scanned
                .filter(|line| !walked.iter().any(|walked| line.contains(walked)))
                .collect();

            assert_eq!(scanned, [""; 0], "{sql}: {told}");
        }
    }
}
