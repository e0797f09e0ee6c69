//! Destinations that were made for a push that never came to a repository.

use sqlx::Row as _;

use super::clear::{Cleared, Left, clear};
use super::{BATCH, LOOK, Rules, rules};
use crate::Tx;
use crate::catalog::{CatalogError, DestinationId};

/// A part of all destinations, looked at in one statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look<T> {
    /// What was found.
    pub found: Vec<T>,
    /// Where the next look goes on; none: there is no more.
    pub next: Option<DestinationId>,
}

/// The last of the next so many destinations.
const LAST: &str = "
    SELECT max(id) AS last FROM (SELECT id FROM destinations WHERE id > $1 ORDER BY id LIMIT $2)";

const UNUSED: &str = concat!(
    "SELECT d.id FROM destinations d WHERE d.id > $7 AND d.id <= $8 AND ",
    unused!(),
    " ORDER BY d.id"
);

const STILL_UNUSED: &str = concat!(
    "SELECT EXISTS (SELECT 1 FROM destinations d WHERE d.id = $7 AND ",
    unused!(),
    ")"
);

/// The destinations that follow `after`, a bounded number of them.
pub async fn all(
    tx: &mut Tx,
    after: Option<DestinationId>,
) -> Result<Look<DestinationId>, CatalogError> {
    const SQL: &str = "SELECT id FROM destinations WHERE id > $1 ORDER BY id LIMIT $2";
    let found: Vec<DestinationId> = sqlx::query_scalar(SQL)
        .bind(after.unwrap_or(DestinationId(0)))
        .bind(LOOK)
        .fetch_all(&mut *tx)
        .await?;
    let next = found.last().copied();
    Ok(Look { found, next })
}

/// Those of the destinations that follow `after`, a bounded number of them, that were never used and are not in use.
pub async fn unused(
    tx: &mut Tx,
    rules: &Rules,
    after: Option<DestinationId>,
) -> Result<Look<DestinationId>, CatalogError> {
    let after = after.unwrap_or(DestinationId(0));
    let last = sqlx::query(LAST).bind(after).bind(LOOK);
    let Some(last) = last.fetch_one(&mut *tx).await?.try_get("last")? else {
        return Ok(Look {
            found: Vec::new(),
            next: None,
        });
    };
    let candidates: Vec<DestinationId> = ruled!(rules, sqlx::query_scalar(UNUSED))
        .bind(None::<&str>)
        .bind(after)
        .bind::<DestinationId>(last)
        .fetch_all(&mut *tx)
        .await?;
    let mut found = Vec::new();
    for destination in candidates {
        if !rules::is_in_use(tx, destination).await? {
            found.push(destination);
        }
    }
    Ok(Look {
        found,
        next: Some(last),
    })
}

/// True if the destination was never used and is not in use.
pub async fn is_unused(
    tx: &mut Tx,
    rules: &Rules,
    destination: DestinationId,
) -> Result<bool, CatalogError> {
    let unused: bool = ruled!(rules, sqlx::query_scalar(STILL_UNUSED))
        .bind(None::<&str>)
        .bind(destination)
        .fetch_one(&mut *tx)
        .await?;
    Ok(unused && !rules::is_in_use(tx, destination).await?)
}

/// Deletes some of what lies in a destination that was never used, and itself once nothing does.
pub async fn sweep(
    tx: &mut Tx,
    rules: &Rules,
    destination: DestinationId,
) -> Result<Cleared, CatalogError> {
    if !is_unused(tx, rules, destination).await? {
        return Ok(Cleared {
            left: Left::Kept,
            ..Cleared::default()
        });
    }
    clear(tx, destination, BATCH).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::explain;

    #[tokio::test]
    async fn destinations_are_looked_at_along_indexes() {
        for sql in [UNUSED, STILL_UNUSED] {
            let told = explain(sql).await.replace("SCAN CONSTANT ROW", "");

            assert!(!told.contains("SCAN"), "{told}");
        }
    }
}
