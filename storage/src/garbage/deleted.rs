//! Deleted repositories whose time to be brought back is over.
//!
//! Marking the tombstones is the point of no return: a revert takes only those away that are not marked, so that whoever commits
//! first has won.

use sqlx::Row as _;

use super::clear::{Cleared, Left, clear};
use super::destinations::Look;
use super::{BATCH, LOOK, Rules, in_pulp, rules};
use crate::Tx;
use crate::catalog::{CatalogError, DestinationId, size, stored_json, tombstones};

/// The last of the next so many destinations of which something was deleted.
const LAST: &str = "
    SELECT max(id) AS last FROM (
        SELECT DISTINCT destination_id AS id FROM tombstones WHERE destination_id > $1 ORDER BY 1 LIMIT $2)";

const RIPE: &str = concat!(
    "SELECT d.id FROM destinations d
     WHERE d.id IN (SELECT t.destination_id FROM tombstones t
         WHERE t.destination_id > $7 AND t.destination_id <= $8) AND ",
    collected!(),
    " ORDER BY d.id"
);

const STILL_RIPE: &str = concat!(
    "SELECT EXISTS (SELECT 1 FROM destinations d WHERE d.id = $7 AND ",
    collected!(),
    ")"
);

/// Those of the destinations that can be collected, out of a bounded number of them that follow `after`.
pub async fn ripe(
    tx: &mut Tx,
    rules: &Rules,
    after: Option<DestinationId>,
) -> Result<Look<DestinationId>, CatalogError> {
    let mut look = Look {
        found: Vec::new(),
        next: None,
    };
    let after = after.unwrap_or(DestinationId(0));
    let last = sqlx::query(LAST).bind(after).bind(LOOK);
    let last: Option<DestinationId> = last.fetch_one(&mut *tx).await?.try_get("last")?;
    let Some(last) = last else { return Ok(look) };
    let candidates: Vec<DestinationId> = ruled!(rules, sqlx::query_scalar(RIPE))
        .bind(None::<&str>)
        .bind(after)
        .bind(last)
        .fetch_all(&mut *tx)
        .await?;
    for destination in candidates {
        if is_begun(tx, destination).await? || !rules::is_in_use(tx, destination).await? {
            look.found.push(destination);
        }
    }
    look.next = Some(last);
    Ok(look)
}

/// How many repositories whose time is over are still in Pulp, as far as is known here.
pub async fn left_in_pulp(tx: &mut Tx, rules: &Rules) -> Result<u64, CatalogError> {
    let (mut left, mut after) = (0, None);
    loop {
        let look = ripe(tx, rules, after).await?;
        for destination in look.found {
            left += u64::from(in_pulp::is_known(tx, destination).await?);
        }
        after = look.next;
        if after.is_none() {
            return Ok(left);
        }
    }
}

async fn is_begun(tx: &mut Tx, destination: DestinationId) -> Result<bool, CatalogError> {
    const SQL: &str = "
        SELECT EXISTS (SELECT 1 FROM tombstones WHERE destination_id = $1 AND collecting = 1)";
    let begun = sqlx::query_scalar(SQL).bind(destination);
    Ok(begun.fetch_one(&mut *tx).await?)
}

/// Takes a deleted repository whose time is over: from then on no revert brings it back. False: somebody is at work there, or has
/// brought it back.
pub async fn take(
    tx: &mut Tx,
    rules: &Rules,
    destination: DestinationId,
) -> Result<bool, CatalogError> {
    if is_begun(tx, destination).await? {
        return Ok(true);
    }
    let ripe: bool = ruled!(rules, sqlx::query_scalar(STILL_RIPE))
        .bind(None::<&str>)
        .bind(destination)
        .fetch_one(&mut *tx)
        .await?;
    if !ripe || rules::is_in_use(tx, destination).await? {
        return Ok(false);
    }
    Ok(tombstones::collect(tx, destination, rules.deleted_before).await? > 0)
}

/// Deletes some of a deleted repository, and its destination once nothing is left. The first time only takes it.
pub async fn collect(
    tx: &mut Tx,
    rules: &Rules,
    destination: DestinationId,
) -> Result<Cleared, CatalogError> {
    if is_begun(tx, destination).await? {
        return clear(tx, destination, BATCH).await;
    }
    let taken = take(tx, rules, destination).await?;
    Ok(Cleared {
        left: if taken { Left::More } else { Left::Kept },
        ..Cleared::default()
    })
}

/// Of these manifests each is counted once: with the last of the destinations that go and have it.
const WOULD_FREE: &str = concat!(
    "SELECT coalesce(sum(m.size_bytes), 0) AS bytes, max(p.digest) AS last, count(*) AS looked FROM
     (SELECT * FROM pushed_manifests WHERE destination_id = $7 AND digest > $8 ORDER BY digest LIMIT $9) p
     LEFT JOIN manifests m ON m.digest = p.digest AND NOT EXISTS (
         SELECT 1 FROM pushed_manifests q JOIN destinations d ON d.id = q.destination_id
         WHERE q.digest = p.digest AND q.id <> p.id
           AND (", known_in_use!("d.id"), " OR NOT (", unused!(), "
             OR (", collected!(), " AND q.destination_id < $7))))"
);

/// What [`collect`] would delete of the repository in all, given the destinations in use.
pub async fn would_collect(
    tx: &mut Tx,
    rules: &Rules,
    destination: DestinationId,
    in_use: &[DestinationId],
) -> Result<Cleared, CatalogError> {
    const VERSIONS: &str = "SELECT count(*) AS n FROM versions WHERE repository_id = $1";
    let versions = sqlx::query(VERSIONS).bind(destination);
    let mut would = Cleared {
        versions: size(&versions.fetch_one(&mut *tx).await?, "n")?,
        ..Cleared::default()
    };
    let mut after = Some(String::new());
    while let Some(from) = after {
        let row = ruled!(rules, sqlx::query(WOULD_FREE))
            .bind(stored_json(&in_use)?)
            .bind(destination)
            .bind(from)
            .bind(LOOK)
            .fetch_one(&mut *tx)
            .await?;
        would.bytes += size(&row, "bytes")?;
        after = row.try_get("last")?;
    }
    Ok(would)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::explain;

    #[tokio::test]
    async fn deleted_repositories_are_found_along_indexes() {
        for sql in [LAST, RIPE, STILL_RIPE, WOULD_FREE] {
            let told = explain(sql).await.replace("SCAN CONSTANT ROW", "");
            let scanned: Vec<&str> = told
                .lines()
                .filter(|line| {
                    line.contains("SCAN")
                        && !line.contains("VIRTUAL TABLE")
                        && !line.contains("SCAN p")
                })
                .collect();

            assert!(scanned.is_empty(), "{told}");
        }
    }
}
