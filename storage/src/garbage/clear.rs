//! Deleting a destination with all that is there.

use crate::Tx;
use crate::catalog::{CatalogError, DestinationId};

use super::{in_pulp, manifests};

/// What is deleted before manifests are, in an order in which nothing names what is gone.
const BEFORE: &[&str] = &[
    "DELETE FROM repository_names WHERE rowid IN (
        SELECT rowid FROM repository_names WHERE repository_id = $1 LIMIT $2)",
    "DELETE FROM content_in WHERE rowid IN (
        SELECT rowid FROM content_in WHERE repository_id = $1 LIMIT $2)",
    "DELETE FROM embedded_content WHERE rowid IN (
        SELECT rowid FROM embedded_content WHERE destination_id = $1 LIMIT $2)",
    "DELETE FROM embedded_versions WHERE rowid IN (
        SELECT rowid FROM embedded_versions WHERE destination_id = $1 LIMIT $2)",
    "DELETE FROM embedded_push_tags WHERE rowid IN (
        SELECT rowid FROM embedded_push_tags WHERE destination_id = $1 LIMIT $2)",
    "DELETE FROM embedded_push_manifests WHERE rowid IN (
        SELECT rowid FROM embedded_push_manifests WHERE destination_id = $1 LIMIT $2)",
    "DELETE FROM pulp_odd_manifests WHERE rowid IN (
        SELECT rowid FROM pulp_odd_manifests WHERE destination_id = $1 LIMIT $2)",
    "DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE repository_id = $1 LIMIT $2)",
    "DELETE FROM blob_links WHERE rowid IN (
        SELECT rowid FROM blob_links WHERE destination_id = $1 LIMIT $2)",
    "DELETE FROM last_touched WHERE rowid IN (
        SELECT rowid FROM last_touched WHERE destination_id = $1 LIMIT $2)",
];

const VERSIONS: &str = "
    DELETE FROM versions WHERE rowid IN (
        SELECT rowid FROM versions WHERE repository_id = $1 LIMIT $2)";

/// What is deleted last.
const LAST: &[&str] = &[
    "DELETE FROM repositories WHERE id = $1",
    "DELETE FROM tombstones WHERE destination_id = $1",
    "DELETE FROM destinations WHERE id = $1",
];

/// What was deleted of a destination in one transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// How many versions.
    pub versions: u64,
    /// The bytes of manifests that are nowhere any more.
    pub bytes: u64,
    /// How far it has come.
    pub left: Left,
}

/// How far the deleting of a destination has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Left {
    /// There is more.
    #[default]
    More,
    /// Nothing of it is left.
    Nothing,
    /// It may not be deleted, or not now.
    Kept,
    /// It has something in Pulp, which is removed there first.
    InPulp,
}

/// Deletes up to `at_most` rows of the destination, and itself once they were the last.
pub(super) async fn clear(
    tx: &mut Tx,
    destination: DestinationId,
    at_most: u32,
) -> Result<Cleared, CatalogError> {
    const UPLOADS: &str = "SELECT EXISTS (SELECT 1 FROM uploads WHERE destination_id = $1)";
    let mut cleared = Cleared::default();
    let uploads = sqlx::query_scalar(UPLOADS).bind(destination);
    let has_uploads: bool = uploads.fetch_one(&mut *tx).await?;
    if has_uploads {
        cleared.left = Left::Kept;
        return Ok(cleared);
    }
    if in_pulp::is_known(tx, destination).await? {
        cleared.left = Left::InPulp;
        return Ok(cleared);
    }
    let mut left = u64::from(at_most);
    for sql in BEFORE.iter().copied().chain([VERSIONS]) {
        let gone = delete(tx, sql, destination, left).await?;
        if sql == VERSIONS {
            cleared.versions = gone;
        }
        left -= gone;
        if left == 0 {
            return Ok(cleared);
        }
    }
    let pushed = manifests::some_of(tx, destination).await?;
    if !pushed.is_empty() {
        cleared.bytes = manifests::delete(tx, destination, &pushed).await?;
        return Ok(cleared);
    }
    for sql in LAST {
        sqlx::query(*sql)
            .bind(destination)
            .execute(&mut *tx)
            .await?;
    }
    cleared.left = Left::Nothing;
    Ok(cleared)
}

async fn delete(
    tx: &mut Tx,
    sql: &'static str,
    destination: DestinationId,
    at_most: u64,
) -> Result<u64, CatalogError> {
    let deleted = sqlx::query(sql)
        .bind(destination)
        .bind(i64::try_from(at_most).unwrap_or(i64::MAX))
        .execute(&mut *tx)
        .await?;
    Ok(deleted.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::explain;

    #[tokio::test]
    async fn a_destination_is_cleared_along_indexes() {
        for sql in BEFORE.iter().chain([&VERSIONS]).chain(LAST) {
            let told = explain(sql).await;

            assert!(!told.contains("SCAN"), "{sql}: {told}");
        }
    }
}
