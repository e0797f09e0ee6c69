//! Blobs that are linked nowhere.
//!
//! The row of a blob goes and its object is doomed in one transaction; then the object is deleted, then it is no longer doomed. A
//! blob of the same digest that is pushed meanwhile has an object of its own.

use engine::clock::Timestamp;
use sqlx::Row as _;

use super::{LOOK, Rules};
use crate::Tx;
use crate::catalog::{CatalogError, DestinationId, parsed, size, stored_json};
use crate::content::objects::ObjectName;

/// Blobs that go, out of those that were looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Their digests.
    pub found: Vec<String>,
    /// How many bytes they have together.
    pub bytes: u64,
    /// After which digest the next look goes on; none: there is no more.
    pub next: Option<String>,
}

/// What was collected in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// The objects that are doomed now.
    pub objects: Vec<ObjectName>,
    /// How many blobs.
    pub blobs: u64,
    /// How many bytes they had.
    pub bytes: u64,
}

const LAST: &str = "
    SELECT max(digest) AS last FROM (
        SELECT digest FROM blobs WHERE digest > $1 ORDER BY digest LIMIT $2)";

/// Blob `b` is neither on its way to Pulp nor there.
macro_rules! only_here {
    () => {
        "NOT EXISTS (SELECT 1 FROM pulp_spool x WHERE x.digest = b.digest)
         AND NOT EXISTS (SELECT 1 FROM pulp_blobs x WHERE x.digest = b.digest AND x.kept = 1)"
    };
}

/// The same, were all gone that goes whole, in a dry run.
macro_rules! would_be_only_here {
    () => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM pulp_spool t WHERE t.digest = b.digest AND NOT ",
            goes_whole!("t.destination_id"),
            ")
         AND NOT EXISTS (SELECT 1 FROM pulp_blobs t WHERE t.digest = b.digest AND t.kept = 1 AND NOT ",
            goes_whole!("t.destination_id"),
            ")"
        )
    };
}

const UNLINKED: &str = concat!(
    "SELECT b.digest, b.size_bytes FROM blobs b
     WHERE b.digest > $7 AND b.digest <= $8 AND b.used_at < $3
       AND NOT EXISTS (SELECT 1 FROM blob_links l WHERE l.digest = b.digest)
       AND ",
    only_here!(),
    " ORDER BY b.digest"
);

const WOULD_BE_UNLINKED: &str = concat!(
    "SELECT b.digest, b.size_bytes FROM blobs b
     WHERE b.digest > $7 AND b.digest <= $8 AND b.used_at < $3
       AND NOT EXISTS (SELECT 1 FROM blob_links l WHERE l.digest = b.digest
           AND NOT (",
    prunable!("l.destination_id"),
    " AND ",
    link_goes!(),
    ")
           AND NOT ",
    goes_whole!("l.destination_id"),
    ")
       AND ",
    would_be_only_here!(),
    " ORDER BY b.digest"
);

/// Of the next blobs after this digest, those that go.
pub async fn unlinked(tx: &mut Tx, rules: &Rules, after: &str) -> Result<Look, CatalogError> {
    look(tx, rules, UNLINKED, None, after).await
}

/// The same, were all links gone that go, given the destinations in use.
pub async fn would_be_unlinked(
    tx: &mut Tx,
    rules: &Rules,
    in_use: &[DestinationId],
    after: &str,
) -> Result<Look, CatalogError> {
    let in_use = stored_json(&in_use)?;
    look(tx, rules, WOULD_BE_UNLINKED, Some(in_use), after).await
}

async fn look(
    tx: &mut Tx,
    rules: &Rules,
    sql: &'static str,
    in_use: Option<String>,
    after: &str,
) -> Result<Look, CatalogError> {
    let mut look = Look {
        found: Vec::new(),
        bytes: 0,
        next: None,
    };
    let last = sqlx::query(LAST).bind(after).bind(LOOK);
    let last: Option<String> = last.fetch_one(&mut *tx).await?.try_get("last")?;
    let Some(last) = last else { return Ok(look) };
    let rows = ruled!(rules, sqlx::query(sql))
        .bind(in_use)
        .bind(after)
        .bind(&last)
        .fetch_all(&mut *tx)
        .await?;
    for row in &rows {
        look.found.push(row.try_get("digest")?);
        look.bytes += size(row, "size_bytes")?;
    }
    look.next = Some(last);
    Ok(look)
}

/// Those of these blobs that still go: their objects are doomed.
const DOOM: &str = concat!(
    "INSERT INTO doomed (object, since)
     SELECT b.object, $8 FROM json_each($7) asked CROSS JOIN blobs b
     WHERE b.digest = asked.value AND b.has_object = 1 AND b.used_at < $3
       AND NOT EXISTS (SELECT 1 FROM blob_links l WHERE l.digest = b.digest)
       AND ",
    only_here!(),
    "
     RETURNING object"
);

const FORGET_TAKEN: &str = concat!(
    "DELETE FROM pulp_blobs WHERE digest IN (SELECT value FROM json_each($7)) AND kept = 0
       AND EXISTS (SELECT 1 FROM blobs b WHERE b.digest = pulp_blobs.digest AND b.used_at < $3
           AND NOT EXISTS (SELECT 1 FROM blob_links l WHERE l.digest = b.digest)
           AND ",
    only_here!(),
    ")"
);

const FORGET: &str =
    concat!(
    "DELETE FROM blobs AS b WHERE b.digest IN (SELECT value FROM json_each($7)) AND b.used_at < $3
       AND NOT EXISTS (SELECT 1 FROM blob_links l WHERE l.digest = b.digest)
       AND ", only_here!(), " RETURNING size_bytes"
);

/// Deletes the rows of those of these blobs that still go, at most a batch of them, and dooms their objects.
pub async fn collect(
    tx: &mut Tx,
    rules: &Rules,
    going: &[String],
    at: Timestamp,
) -> Result<Collected, CatalogError> {
    let going = stored_json(&going)?;
    let doomed = ruled!(rules, sqlx::query(DOOM))
        .bind(None::<&str>)
        .bind(&going)
        .bind(at.0)
        .fetch_all(&mut *tx)
        .await?;
    let objects = doomed.iter().map(|row| parsed(row, "object"));
    let objects = objects.collect::<Result<_, _>>()?;
    ruled!(rules, sqlx::query(FORGET_TAKEN))
        .bind(None::<&str>)
        .bind(&going)
        .execute(&mut *tx)
        .await?;
    let freed: Vec<i64> = ruled!(rules, sqlx::query_scalar(FORGET))
        .bind(None::<&str>)
        .bind(&going)
        .fetch_all(&mut *tx)
        .await?;
    Ok(Collected {
        objects,
        blobs: freed.len() as u64,
        bytes: u64::try_from(freed.iter().sum::<i64>()).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::explain;

    #[tokio::test]
    async fn blobs_without_links_are_found_and_collected_along_indexes() {
        for sql in [
            LAST,
            UNLINKED,
            WOULD_BE_UNLINKED,
            DOOM,
            FORGET_TAKEN,
            FORGET,
        ] {
            let told = explain(sql).await;
            let lines = told.lines().filter(|line| line.contains("SCAN"));
            let walked = ["VIRTUAL TABLE", "CONSTANT ROW", "SCAN (subquery"];
            let scanned: Vec<&str> = lines
                .filter(|line| !walked.iter().any(|walked| line.contains(walked)))
                .collect();

            assert_eq!(scanned, [""; 0], "{sql}: {told}");
            assert!(!told.contains("TEMP B-TREE"), "{sql}: {told}");
        }
    }
}
