//! What is known here of a deleted repository in Pulp: let go of before it is removed there, forgotten afterwards.
//!
//! ```text
//! taken (no revert any more) -> blobs let go of -> removed in Pulp -> names forgotten -> rows deleted
//! ```
//!
//! A blob that lies in Pulp alone is there as long as a repository has it. Somebody who mounted it counts on the one that it came
//! from until his own has it in a version: so long that one stays. Once a blob is let go of, whoever asks for it is told that it is
//! not here.

use super::{BATCH, Rules};
use crate::Tx;
use crate::catalog::{CatalogError, DestinationId, stored_json};

/// What is known of a destination, in Pulp or on its way there.
const KNOWN: &str = "
    SELECT EXISTS (SELECT 1 FROM pulp_repositories WHERE destination_id = $1)
        OR EXISTS (SELECT 1 FROM pulp_blobs WHERE destination_id = $1)
        OR EXISTS (SELECT 1 FROM pulp_spool WHERE destination_id = $1)";

/// True if something of the destination is in Pulp, or on its way there.
pub async fn is_known(tx: &mut Tx, destination: DestinationId) -> Result<bool, CatalogError> {
    let known = sqlx::query_scalar(KNOWN).bind(destination);
    Ok(known.fetch_one(&mut *tx).await?)
}

/// Somebody is collecting the destination.
macro_rules! being_collected {
    ($destination:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM tombstones x WHERE x.destination_id = ",
            $destination,
            " AND x.collecting = 1)"
        )
    };
}

/// Blob `b`, which destination `t` has in Pulp, is needed by another one that does not have it there itself: by a manifest, or by
/// who was told of it within the grace. What of others goes, too, does not count.
macro_rules! needed_elsewhere {
    (kept besides $kept:expr, linked besides $linked:expr) => {
        concat!(
            "(b.has_object = 0
              AND NOT EXISTS (SELECT 1 FROM pulp_blobs o WHERE o.digest = b.digest
                  AND o.destination_id <> t.destination_id AND o.kept = 1 AND NOT (", $kept, "))
              AND EXISTS (SELECT 1 FROM blob_links l WHERE l.digest = b.digest
                  AND l.destination_id <> t.destination_id AND NOT ", $linked, "
                  AND (max(l.since, coalesce(l.deleted_at, l.since), b.used_at) >= $3
                    OR EXISTS (SELECT 1 FROM manifest_parts m WHERE m.destination_id = l.destination_id
                        AND m.digest = l.digest AND m.kind <> 'manifest'))))"
        )
    };
}

const LET_GO: &str = concat!(
    "DELETE FROM pulp_blobs WHERE rowid IN (
        SELECT t.rowid FROM pulp_blobs t CROSS JOIN blobs b
        WHERE t.destination_id = $7 AND b.digest = t.digest AND ",
    being_collected!("t.destination_id"),
    " AND NOT ",
    needed_elsewhere!(kept besides "0", linked besides being_collected!("l.destination_id")),
    " LIMIT $8)"
);

const HELD: &str = "SELECT EXISTS (SELECT 1 FROM pulp_blobs WHERE destination_id = $1)";

const WOULD_BE_HELD: &str = concat!(
    "SELECT EXISTS (SELECT 1 FROM pulp_blobs t CROSS JOIN blobs b
        WHERE t.destination_id = $7 AND b.digest = t.digest AND ",
    needed_elsewhere!(
        kept besides concat!("o.destination_id < t.destination_id AND ", goes_whole!("o.destination_id")),
        linked besides goes_whole!("l.destination_id")
    ),
    ")"
);

/// How far the letting go has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetGo {
    /// There is more.
    More,
    /// Of nothing: it may be removed in Pulp.
    All,
    /// Somebody else needs a blob of it.
    Held,
}

/// Lets go of some of the blobs that a destination has in Pulp.
pub async fn let_go(
    tx: &mut Tx,
    rules: &Rules,
    destination: DestinationId,
) -> Result<LetGo, CatalogError> {
    let gone = ruled!(rules, sqlx::query(LET_GO))
        .bind(None::<&str>)
        .bind(destination)
        .bind(BATCH)
        .execute(&mut *tx)
        .await?;
    if gone.rows_affected() == u64::from(BATCH) {
        return Ok(LetGo::More);
    }
    let held = sqlx::query_scalar(HELD).bind(destination);
    let held: bool = held.fetch_one(&mut *tx).await?;
    Ok(if held { LetGo::Held } else { LetGo::All })
}

/// True if somebody else would need a blob of it, given the destinations in use, were all gone that goes before.
pub async fn would_be_held(
    tx: &mut Tx,
    rules: &Rules,
    destination: DestinationId,
    in_use: &[DestinationId],
) -> Result<bool, CatalogError> {
    Ok(ruled!(rules, sqlx::query_scalar(WOULD_BE_HELD))
        .bind(stored_json(&in_use)?)
        .bind(destination)
        .fetch_one(&mut *tx)
        .await?)
}

/// Another destination that a blob on its way can go on to.
macro_rules! elsewhere {
    () => {
        concat!(
            "SELECT l.destination_id FROM blob_links l WHERE l.digest = pulp_spool.digest
               AND l.destination_id <> pulp_spool.destination_id AND NOT ",
            being_collected!("l.destination_id"),
            " LIMIT 1"
        )
    };
}

const SEND_ELSEWHERE: &str = concat!(
    "UPDATE pulp_spool SET destination_id = (",
    elsewhere!(),
    ") WHERE rowid IN (
        SELECT rowid FROM pulp_spool WHERE destination_id = $1 AND EXISTS (",
    elsewhere!(),
    ") LIMIT $2)"
);

const CALL_BACK: &str = "
    DELETE FROM pulp_spool WHERE rowid IN (
        SELECT rowid FROM pulp_spool WHERE destination_id = $1 LIMIT $2)";

/// Blobs on their way to this destination go to another one that has them, or nowhere; true once none is left.
pub async fn call_back(tx: &mut Tx, destination: DestinationId) -> Result<bool, CatalogError> {
    for sql in [SEND_ELSEWHERE, CALL_BACK] {
        let done = sqlx::query(sql).bind(destination).bind(BATCH);
        if done.execute(&mut *tx).await?.rows_affected() == u64::from(BATCH) {
            return Ok(false);
        }
    }
    Ok(true)
}

const FORGET: &str = concat!(
    "DELETE FROM pulp_repositories WHERE destination_id = $1 AND ",
    being_collected!("$1"),
    " AND NOT EXISTS (SELECT 1 FROM pulp_blobs WHERE destination_id = $1)"
);

/// Its names in Pulp are nobody's any more.
pub async fn forget(tx: &mut Tx, destination: DestinationId) -> Result<(), CatalogError> {
    let forgotten = sqlx::query(FORGET).bind(destination);
    forgotten.execute(&mut *tx).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::explain;

    #[tokio::test]
    async fn what_is_in_pulp_is_let_go_of_along_indexes() {
        for sql in [
            KNOWN,
            LET_GO,
            HELD,
            WOULD_BE_HELD,
            SEND_ELSEWHERE,
            CALL_BACK,
            FORGET,
        ] {
            let told = explain(sql).await.replace("SCAN CONSTANT ROW", "");
            let lines = told.lines().filter(|line| line.contains("SCAN"));
            let scanned: Vec<&str> = lines
                .filter(|line| !line.contains("VIRTUAL TABLE"))
                .collect();

            assert_eq!(scanned, [""; 0], "{sql}: {told}");
        }
    }
}
