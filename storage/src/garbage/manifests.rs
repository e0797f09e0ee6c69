//! Manifests that are in no version that stays, and links of blobs that none of those needs that stay.

use sqlx::Row as _;

use super::{LOOK, Rules, rules};
use crate::Tx;
use crate::catalog::{CatalogError, DestinationId, size, stored_json};

/// So many manifests at most are deleted in one transaction: each has parts, which are rows too.
pub const MANIFESTS: usize = 20;

/// A part of what a destination has, looked at in one statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look<T> {
    /// What was found.
    pub found: Vec<T>,
    /// After which digest the next look goes on; none: there is no more.
    pub next: Option<String>,
}

/// A manifest as it was pushed to a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Of its row.
    id: i64,
    digest: String,
}

const LAST_MANIFEST: &str = "
    SELECT max(digest) AS last FROM (
        SELECT digest FROM pushed_manifests WHERE destination_id = $1 AND digest > $2 ORDER BY digest LIMIT $3)";

const UNNEEDED: &str = concat!(
    "SELECT p.id, p.digest FROM pushed_manifests p
     WHERE p.destination_id = $7 AND p.digest > $8 AND p.digest <= $9 AND ",
    manifest_goes!(),
    " ORDER BY p.digest"
);

const STILL_UNNEEDED: &str = concat!(
    "SELECT p.id, p.digest FROM json_each($8) asked CROSS JOIN pushed_manifests p
     WHERE p.id = asked.value AND p.destination_id = $7 AND ",
    manifest_goes!()
);

/// Of bytes that several destinations lose, each is counted once: with the last of these destinations.
const WOULD_FREE: &str =
    concat!(
    "SELECT coalesce(sum(m.size_bytes), 0) AS bytes FROM json_each($8) asked CROSS JOIN manifests m
     WHERE m.digest = asked.value AND NOT EXISTS (
         SELECT 1 FROM pushed_manifests p WHERE p.digest = m.digest AND p.destination_id <> $7
           AND NOT ", goes_whole!("p.destination_id"), "
           AND (p.destination_id > $7
             OR NOT (", prunable!("p.destination_id"), " AND ", manifest_goes!(), ")))"
);

/// Of the next manifests of the destination after this digest, those that go.
pub async fn unneeded(
    tx: &mut Tx,
    rules: &Rules,
    destination: DestinationId,
    after: &str,
) -> Result<Look<Pushed>, CatalogError> {
    let Some(last) = last(tx, LAST_MANIFEST, destination, after).await? else {
        return Ok(Look {
            found: Vec::new(),
            next: None,
        });
    };
    let rows = ruled!(rules, sqlx::query(UNNEEDED))
        .bind(None::<&str>)
        .bind(destination)
        .bind(after)
        .bind(&last)
        .fetch_all(&mut *tx)
        .await?;
    Ok(Look {
        found: pushed(&rows)?,
        next: Some(last),
    })
}

/// How many bytes these manifests, which go, would free, given the destinations in use.
pub async fn would_free(
    tx: &mut Tx,
    rules: &Rules,
    destination: DestinationId,
    going: &[Pushed],
    in_use: &[DestinationId],
) -> Result<u64, CatalogError> {
    if going.is_empty() {
        return Ok(0);
    }
    let row = ruled!(rules, sqlx::query(WOULD_FREE))
        .bind(stored_json(&in_use)?)
        .bind(destination)
        .bind(stored_json(&digests(going))?)
        .fetch_one(&mut *tx)
        .await?;
    Ok(size(&row, "bytes")?)
}

/// Deletes those of these manifests that still go; answers how many, and how many bytes are nowhere any more.
pub async fn drop_unneeded(
    tx: &mut Tx,
    rules: &Rules,
    destination: DestinationId,
    going: &[Pushed],
) -> Result<(u64, u64), CatalogError> {
    if !rules::may_be_pruned(tx, destination).await? {
        return Ok((0, 0));
    }
    let ids: Vec<i64> = going.iter().map(|it| it.id).collect();
    let rows = ruled!(rules, sqlx::query(STILL_UNNEEDED))
        .bind(None::<&str>)
        .bind(destination)
        .bind(stored_json(&ids)?)
        .fetch_all(&mut *tx)
        .await?;
    let going = pushed(&rows)?;
    let bytes = delete(tx, destination, &going).await?;
    Ok((going.len() as u64, bytes))
}

/// Some of the manifests of the destination, whether they go or not.
pub(super) async fn some_of(
    tx: &mut Tx,
    destination: DestinationId,
) -> Result<Vec<Pushed>, CatalogError> {
    const SQL: &str = "SELECT id, digest FROM pushed_manifests WHERE destination_id = $1 LIMIT $2";
    let rows = sqlx::query(SQL)
        .bind(destination)
        .bind(i64::try_from(MANIFESTS).unwrap_or(1))
        .fetch_all(&mut *tx)
        .await?;
    Ok(pushed(&rows)?)
}

const BYTES: &str = "
    DELETE FROM manifests WHERE digest IN (SELECT value FROM json_each($1))
      AND NOT EXISTS (SELECT 1 FROM pushed_manifests x WHERE x.digest = manifests.digest)
      AND NOT EXISTS (SELECT 1 FROM embedded_push_manifests x WHERE x.digest = manifests.digest)
      AND NOT EXISTS (SELECT 1 FROM pulp_odd_manifests x WHERE x.digest = manifests.digest)
    RETURNING size_bytes";

/// Deletes these manifests of the destination with what was read of them; answers how many bytes are nowhere any more.
pub(super) async fn delete(
    tx: &mut Tx,
    destination: DestinationId,
    going: &[Pushed],
) -> Result<u64, CatalogError> {
    const OF_ROW: [&str; 3] = [
        "DELETE FROM manifest_parts WHERE pushed_id IN (SELECT value FROM json_each($1))",
        "DELETE FROM images WHERE pushed_id IN (SELECT value FROM json_each($1))",
        "DELETE FROM pushed_manifests WHERE id IN (SELECT value FROM json_each($1))",
    ];
    const BY_DIGEST: [&str; 2] = [
        "DELETE FROM embedded_push_manifests
         WHERE destination_id = $1 AND digest IN (SELECT value FROM json_each($2))",
        "DELETE FROM last_touched
         WHERE destination_id = $1 AND kind = 'manifest' AND name IN (SELECT value FROM json_each($2))",
    ];
    if going.is_empty() {
        return Ok(0);
    }
    let ids: Vec<i64> = going.iter().map(|it| it.id).collect();
    let (ids, digests) = (stored_json(&ids)?, stored_json(&digests(going))?);
    for sql in OF_ROW {
        sqlx::query(sql).bind(&ids).execute(&mut *tx).await?;
    }
    for sql in BY_DIGEST {
        let gone = sqlx::query(sql).bind(destination).bind(&digests);
        gone.execute(&mut *tx).await?;
    }
    let freed: Vec<i64> = sqlx::query_scalar(BYTES)
        .bind(digests)
        .fetch_all(&mut *tx)
        .await?;
    Ok(u64::try_from(freed.iter().sum::<i64>()).unwrap_or(0))
}

const LAST_LINK: &str = "
    SELECT max(digest) AS last FROM (
        SELECT digest FROM blob_links WHERE destination_id = $1 AND digest > $2 ORDER BY digest LIMIT $3)";

const UNNEEDED_LINKS: &str = concat!(
    "SELECT l.digest FROM blob_links l
     WHERE l.destination_id = $7 AND l.digest > $8 AND l.digest <= $9 AND ",
    link_goes!(),
    " ORDER BY l.digest"
);

const DROP_LINKS: &str = concat!(
    "DELETE FROM blob_links AS l WHERE l.destination_id = $7
       AND l.digest IN (SELECT value FROM json_each($8)) AND ",
    link_goes!()
);

/// Of the next blobs that are linked to the destination after this digest, those whose link goes.
pub async fn unneeded_links(
    tx: &mut Tx,
    rules: &Rules,
    destination: DestinationId,
    after: &str,
) -> Result<Look<String>, CatalogError> {
    let Some(last) = last(tx, LAST_LINK, destination, after).await? else {
        return Ok(Look {
            found: Vec::new(),
            next: None,
        });
    };
    let found = ruled!(rules, sqlx::query_scalar(UNNEEDED_LINKS))
        .bind(None::<&str>)
        .bind(destination)
        .bind(after)
        .bind(&last)
        .fetch_all(&mut *tx)
        .await?;
    Ok(Look {
        found,
        next: Some(last),
    })
}

/// Deletes those of these links that still go: at most a batch of them.
pub async fn drop_unneeded_links(
    tx: &mut Tx,
    rules: &Rules,
    destination: DestinationId,
    going: &[String],
) -> Result<u64, CatalogError> {
    if !rules::may_be_pruned(tx, destination).await? {
        return Ok(0);
    }
    let dropped = ruled!(rules, sqlx::query(DROP_LINKS))
        .bind(None::<&str>)
        .bind(destination)
        .bind(stored_json(&going)?)
        .execute(&mut *tx)
        .await?;
    Ok(dropped.rows_affected())
}

/// The last of the next so many digests.
async fn last(
    tx: &mut Tx,
    sql: &'static str,
    destination: DestinationId,
    after: &str,
) -> Result<Option<String>, CatalogError> {
    let row = sqlx::query(sql)
        .bind(destination)
        .bind(after)
        .bind(LOOK)
        .fetch_one(&mut *tx)
        .await?;
    Ok(row.try_get("last")?)
}

fn pushed(rows: &[crate::sqlite::SqliteRow]) -> Result<Vec<Pushed>, sqlx::Error> {
    let pushed = rows.iter().map(|row| {
        Ok(Pushed {
            id: row.try_get("id")?,
            digest: row.try_get("digest")?,
        })
    });
    pushed.collect()
}

fn digests(going: &[Pushed]) -> Vec<&str> {
    going.iter().map(|it| it.digest.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::explain;

    #[tokio::test]
    async fn manifests_and_links_that_nothing_needs_are_found_and_deleted_along_indexes() {
        for sql in [
            LAST_MANIFEST,
            UNNEEDED,
            STILL_UNNEEDED,
            WOULD_FREE,
            BYTES,
            LAST_LINK,
            UNNEEDED_LINKS,
            DROP_LINKS,
        ] {
            let told = explain(sql).await;
            let lines = told.lines().filter(|line| line.contains("SCAN"));
            // What is asked for, and the rows of a look, are walked through.
            let walked = ["VIRTUAL TABLE", "CONSTANT ROW", "SCAN (subquery"];
            let scanned: Vec<&str> = lines
                .filter(|line| !walked.iter().any(|walked| line.contains(walked)))
                .collect();

            assert_eq!(scanned, [""; 0], "{sql}: {told}");
            assert!(!told.contains("TEMP B-TREE"), "{sql}: {told}");
        }
    }
}
