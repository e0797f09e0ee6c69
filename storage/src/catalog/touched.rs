//! When a tag or a manifest was wanted last: pulled, or pushed again without a change.
//!
//! Written down a while after it happened, and only where the time has moved on by some minutes: pulls wait for nobody.

use std::collections::HashMap;
use std::time::Duration;

use engine::clock::Timestamp;
use serde::Serialize;
use sqlx::Row as _;

use super::{CatalogError, DestinationId, parsed, stored_json};
use crate::{Digest, Tag, Tx};

/// A use within so long after one that is written down is not written down: rules count in hours and days.
pub const RENEWED_AFTER: Duration = Duration::from_mins(5);

/// What was wanted, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Touched {
    /// The tag.
    Tag(Tag),
    /// The manifest, by its digest.
    Manifest(Digest),
}

impl Touched {
    fn columns(&self) -> (&'static str, String) {
        match self {
            Self::Tag(tag) => ("tag", tag.to_string()),
            Self::Manifest(digest) => ("manifest", digest.to_string()),
        }
    }
}

/// What is not here any more is left out: nobody would ever delete its row.
const PULLED: &str = "
    INSERT INTO last_touched (destination_id, kind, name, pulled_at)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each($1)
    WHERE CASE value ->> 1
        WHEN 'tag' THEN EXISTS (SELECT 1 FROM content_in c
            WHERE c.repository_id = value ->> 0 AND c.kind = 'tag' AND c.name = value ->> 2)
        ELSE EXISTS (SELECT 1 FROM pushed_manifests p
            WHERE p.destination_id = value ->> 0 AND p.digest = value ->> 2) END
    ON CONFLICT (destination_id, kind, name) DO UPDATE SET pulled_at = excluded.pulled_at
    WHERE last_touched.pulled_at IS NULL OR last_touched.pulled_at < excluded.pulled_at - $2";

/// Writes down that these were pulled then.
pub async fn pulled(
    tx: &mut Tx,
    pulls: &[(DestinationId, Touched, Timestamp)],
) -> Result<(), CatalogError> {
    if pulls.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = pulls
        .iter()
        .map(|(destination, touched, at)| {
            let (kind, name) = touched.columns();
            (destination, kind, name, at)
        })
        .collect();
    write(tx, PULLED, &rows).await
}

const PUSHED: &str = "
    INSERT INTO last_touched (destination_id, kind, name, pushed_at)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each($1) WHERE true
    ON CONFLICT (destination_id, kind, name) DO UPDATE SET pushed_at = excluded.pushed_at
    WHERE last_touched.pushed_at IS NULL OR last_touched.pushed_at < excluded.pushed_at - $2";

/// Writes down that it was pushed again then, without a change: whoever did that was told that it is here.
pub async fn pushed_again(
    tx: &mut Tx,
    destination: DestinationId,
    touched: &Touched,
    at: Timestamp,
) -> Result<(), CatalogError> {
    let (kind, name) = touched.columns();
    write(tx, PUSHED, &[(destination, kind, name, at)]).await
}

async fn write(tx: &mut Tx, sql: &'static str, rows: &impl Serialize) -> Result<(), CatalogError> {
    let renewed_after = i64::try_from(RENEWED_AFTER.as_millis()).unwrap_or(i64::MAX);
    sqlx::query(sql)
        .bind(stored_json(rows)?)
        .bind(renewed_after)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

const PULLS: &str = "
    SELECT asked.value ->> 0 AS tag,
        max(coalesce(t.pulled_at, 0), coalesce(m.pulled_at, 0)) AS pulled_at
    FROM json_each($2) asked
    LEFT JOIN last_touched t
        ON t.destination_id = $1 AND t.kind = 'tag' AND t.name = asked.value ->> 0
    LEFT JOIN last_touched m
        ON m.destination_id = $1 AND m.kind = 'manifest' AND m.name = asked.value ->> 1
    WHERE t.pulled_at IS NOT NULL OR m.pulled_at IS NOT NULL";

/// When these tags were pulled last, by their names or by the digests that they point to.
pub async fn pulls(
    tx: &mut Tx,
    destination: DestinationId,
    tags: &[(Tag, Digest)],
) -> Result<HashMap<Tag, Timestamp>, CatalogError> {
    let rows = sqlx::query(PULLS)
        .bind(destination)
        .bind(stored_json(&tags)?)
        .fetch_all(&mut *tx)
        .await?;
    let pulls = rows.iter().map(|row| {
        let at = Timestamp(row.try_get("pulled_at")?);
        Ok((parsed(row, "tag")?, at))
    });
    Ok(pulls.collect::<Result<_, sqlx::Error>>()?)
}

#[cfg(test)]
mod tests {
    use crate::database::explain;

    #[tokio::test]
    async fn what_was_pulled_is_written_and_read_along_indexes() {
        for sql in [super::PULLED, super::PUSHED, super::PULLS] {
            let told = explain(sql).await;
            let scanned = told.lines().filter(|line| line.contains("SCAN"));
            let scanned: Vec<&str> = scanned
                .filter(|line| !line.contains("VIRTUAL TABLE") && !line.contains("CONSTANT ROW"))
                .collect();

            assert_eq!(scanned, [""; 0], "{sql}: {told}");
        }
    }
}
