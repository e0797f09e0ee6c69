//! Referrers: the manifests that are about another one.

use std::collections::BTreeMap;

use crate::sqlite::SqliteRow;
use sqlx::Row as _;

use super::{CatalogError, DestinationId, json, parsed, size};
use crate::{Digest, Tx};

/// A manifest that is about another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// What it is called by.
    pub digest: Digest,
    /// As it was pushed.
    pub media_type: String,
    /// How many bytes it has.
    pub size_bytes: u64,
    /// What it says it is, or else the media type of its config; an index may say nothing.
    pub artifact_type: Option<String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// Which referrers to list.
#[derive(Clone, Copy, Debug)]
pub struct Filter<'a> {
    /// Those of this manifest, which need not exist.
    pub subject: &'a Digest,
    /// Only those of this type.
    pub artifact_type: Option<&'a str>,
    /// Only those that this version has; none: those of the newest, and what was pushed and is in none yet.
    pub version: Option<i64>,
}

/// How many to list.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// At most so many.
    pub referrers: usize,
    /// No further one once their annotations have so many bytes.
    pub annotation_bytes: usize,
}

const LIST: &str = "
    SELECT p.digest, p.media_type, m.size_bytes, p.artifact_type, p.annotations
    FROM pushed_manifests p CROSS JOIN manifests m
    WHERE p.destination_id = $4 AND p.subject = $1 AND p.digest > $2
      AND ($3 IS NULL OR p.artifact_type = $3) AND m.digest = p.digest
      AND CASE WHEN $6 IS NULL
          THEN p.deleted_at IS NULL AND (p.filed_by_plan IS NULL OR EXISTS (SELECT 1 FROM content_in c
              WHERE c.repository_id = $4 AND c.kind = 'manifest' AND c.name = p.digest AND c.removed IS NULL))
          ELSE EXISTS (SELECT 1 FROM content_in c
              WHERE c.repository_id = $4 AND c.kind = 'manifest' AND c.name = p.digest
                AND c.added <= $6 AND (c.removed IS NULL OR c.removed > $6)) END
    ORDER BY p.digest
    LIMIT $5";
/// Read at once: the annotations of each have as many bytes as a manifest may have, and most have next to none.
const AT_ONCE: u32 = 16;

/// A page of referrers, and whether there are more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In the order of their digests.
    pub referrers: Vec<Referrer>,
    /// True: there are more after the last of these.
    pub more: bool,
}

/// The referrers in this destination from the one that follows `after`: what is in the version that is asked for; or what is in the
/// newest version of its repository, and what was pushed and is not in a version yet.
pub async fn list(
    tx: &mut Tx,
    destination: DestinationId,
    filter: Filter<'_>,
    after: Option<&Digest>,
    limit: Limit,
) -> Result<Page, CatalogError> {
    let mut after = after.map_or_else(String::new, Digest::to_string);
    let mut referrers = Vec::new();
    let mut annotation_bytes = 0;
    loop {
        let rows = sqlx::query(LIST)
            .bind(filter.subject.to_string())
            .bind(&after)
            .bind(filter.artifact_type)
            .bind(destination)
            .bind(AT_ONCE)
            .bind(filter.version)
            .fetch_all(&mut *tx)
            .await?;
        let last = rows.len() < AT_ONCE as usize;
        for row in rows {
            if referrers.len() >= limit.referrers || annotation_bytes >= limit.annotation_bytes {
                let more = true;
                return Ok(Page { referrers, more });
            }
            let referrer = read(&row)?;
            let written = referrer.annotations.iter();
            annotation_bytes += written
                .map(|(key, value)| key.len() + value.len())
                .sum::<usize>();
            after = referrer.digest.to_string();
            referrers.push(referrer);
        }
        if last {
            let more = false;
            return Ok(Page { referrers, more });
        }
    }
}

fn read(row: &SqliteRow) -> Result<Referrer, sqlx::Error> {
    Ok(Referrer {
        digest: parsed(row, "digest")?,
        media_type: row.try_get("media_type")?,
        size_bytes: size(row, "size_bytes")?,
        artifact_type: row.try_get("artifact_type")?,
        annotations: json(row, "annotations")?,
    })
}

#[cfg(test)]
mod tests {
    use crate::database::explain;

    #[tokio::test]
    async fn referrers_are_read_along_their_index_without_sorting() {
        let told = explain(super::LIST).await;

        assert!(
            told.contains(
                "INDEX pushed_manifests_subject (destination_id=? AND subject=? AND digest>?)"
            ),
            "{told}"
        );
        assert!(
            !told.contains("SCAN") && !told.contains("TEMP B-TREE"),
            "{told}"
        );
    }
}
