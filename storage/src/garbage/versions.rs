//! Versions that are older than so many others and published nowhere, and what is in no version that stays.
//!
//! The rows of a version go first: who looks for it then finds none, and never half of it. Numbers are not used again, because the
//! newest always stays.

use super::{BATCH, Rules, rules};
use crate::Tx;
use crate::catalog::{CatalogError, DestinationId, RepositoryId, size, stored_json};

const OLD: &str = concat!(
    "SELECT v.number FROM versions v WHERE v.repository_id = $7 AND ",
    version_goes!(),
    " ORDER BY v.number LIMIT $8"
);

const COUNT: &str = concat!(
    "SELECT count(*) AS n FROM versions v WHERE v.repository_id = $7 AND ",
    version_goes!()
);

const DROP: &str = concat!(
    "DELETE FROM versions AS v WHERE v.repository_id = $7
       AND v.number IN (SELECT value FROM json_each($8)) AND ",
    version_goes!()
);

/// When its tags were set is known without the version from then on.
const TELL: &str = "
    UPDATE content_in SET set_at = (SELECT v.created_at FROM versions v
        WHERE v.repository_id = content_in.repository_id AND v.number = content_in.added)
    WHERE rowid IN (SELECT c.rowid FROM json_each($2) gone
        CROSS JOIN content_in c INDEXED BY content_in_added
        WHERE c.repository_id = $1 AND c.added = gone.value AND c.kind = 'tag' AND c.set_at IS NULL)";

/// Up to a batch of the versions that go, the oldest first.
pub async fn old(
    tx: &mut Tx,
    rules: &Rules,
    repository: RepositoryId,
) -> Result<Vec<i64>, CatalogError> {
    Ok(ruled!(rules, sqlx::query_scalar(OLD))
        .bind(None::<&str>)
        .bind(repository)
        .bind(BATCH)
        .fetch_all(&mut *tx)
        .await?)
}

/// How many versions go.
pub async fn count_old(
    tx: &mut Tx,
    rules: &Rules,
    repository: RepositoryId,
) -> Result<u64, CatalogError> {
    let row = ruled!(rules, sqlx::query(COUNT))
        .bind(None::<&str>)
        .bind(repository)
        .fetch_one(&mut *tx)
        .await?;
    Ok(size(&row, "n")?)
}

/// Drops those of these versions that still go; answers how many.
pub async fn drop_old(
    tx: &mut Tx,
    rules: &Rules,
    repository: RepositoryId,
    numbers: &[i64],
) -> Result<u64, CatalogError> {
    if !rules::may_be_pruned(tx, DestinationId::from(repository)).await? {
        return Ok(0);
    }
    let told = sqlx::query(TELL)
        .bind(repository)
        .bind(stored_json(&numbers)?);
    told.execute(&mut *tx).await?;
    let dropped = ruled!(rules, sqlx::query(DROP))
        .bind(None::<&str>)
        .bind(repository)
        .bind(stored_json(&numbers)?)
        .execute(&mut *tx)
        .await?;
    Ok(dropped.rows_affected())
}

/// A table with rows that belong to versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumIter)]
pub enum Table {
    /// What was in versions of the catalog.
    Content,
    /// What was in versions of the backend.
    BackendContent,
    /// The backend's own versions.
    BackendVersions,
    /// When tags were pulled last that no version has any more.
    LastTouched,
}

impl Table {
    /// What finds the rows that go, and what deletes them.
    fn statements(self) -> (&'static str, &'static str) {
        match self {
            Self::Content => (
                concat!(
                    "SELECT c.rowid FROM content_in c INDEXED BY content_in_removed
                     WHERE c.repository_id = $7 AND c.removed IS NOT NULL AND NOT ",
                    in_a_version!(),
                    " ORDER BY c.removed LIMIT $8"
                ),
                concat!(
                    "DELETE FROM content_in AS c WHERE c.rowid IN (SELECT value FROM json_each($8))
                     AND c.repository_id = $7 AND NOT ",
                    in_a_version!()
                ),
            ),
            Self::BackendContent => (
                concat!(
                    "SELECT c.rowid FROM embedded_content c INDEXED BY embedded_content_removed
                     WHERE c.destination_id = $7 AND c.removed IS NOT NULL AND NOT ",
                    in_a_backend_version!(),
                    " ORDER BY c.removed LIMIT $8"
                ),
                concat!(
                    "DELETE FROM embedded_content AS c WHERE c.rowid IN (SELECT value FROM json_each($8))
                     AND c.destination_id = $7 AND NOT ",
                    in_a_backend_version!()
                ),
            ),
            Self::BackendVersions => (
                concat!(
                    "SELECT c.rowid FROM embedded_versions c WHERE c.destination_id = $7 AND ",
                    backend_version_goes!(),
                    " ORDER BY c.number LIMIT $8"
                ),
                concat!(
                    "DELETE FROM embedded_versions AS c WHERE c.rowid IN (SELECT value FROM json_each($8))
                     AND c.destination_id = $7 AND ",
                    backend_version_goes!()
                ),
            ),
            Self::LastTouched => (
                "SELECT t.rowid FROM last_touched t
                 WHERE t.destination_id = $7 AND t.kind = 'tag'
                   AND NOT EXISTS (SELECT 1 FROM content_in c
                       WHERE c.repository_id = t.destination_id AND c.kind = 'tag' AND c.name = t.name)
                 ORDER BY t.name LIMIT $8",
                "DELETE FROM last_touched AS t WHERE t.rowid IN (SELECT value FROM json_each($8))
                 AND t.destination_id = $7 AND t.kind = 'tag'
                 AND NOT EXISTS (SELECT 1 FROM content_in c
                     WHERE c.repository_id = t.destination_id AND c.kind = 'tag' AND c.name = t.name)",
            ),
        }
    }
}

/// Up to a batch of the rows that are in no version any more.
pub async fn rows(
    tx: &mut Tx,
    rules: &Rules,
    table: Table,
    destination: DestinationId,
) -> Result<Vec<i64>, CatalogError> {
    let (find, _) = table.statements();
    Ok(ruled!(rules, sqlx::query_scalar(find))
        .bind(None::<&str>)
        .bind(destination)
        .bind(BATCH)
        .fetch_all(&mut *tx)
        .await?)
}

/// Deletes those of these rows that still go; answers how many.
pub async fn delete_rows(
    tx: &mut Tx,
    rules: &Rules,
    table: Table,
    destination: DestinationId,
    rows: &[i64],
) -> Result<u64, CatalogError> {
    if !rules::may_be_pruned(tx, destination).await? {
        return Ok(0);
    }
    let (_, delete) = table.statements();
    let deleted = ruled!(rules, sqlx::query(delete))
        .bind(None::<&str>)
        .bind(destination)
        .bind(stored_json(&rows)?)
        .execute(&mut *tx)
        .await?;
    Ok(deleted.rows_affected())
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator as _;

    use super::*;
    use crate::database::explain;

    fn scanned(told: &str) -> Vec<&str> {
        let lines = told.lines().filter(|line| line.contains("SCAN"));
        lines
            .filter(|line| !line.contains("VIRTUAL TABLE") && !line.contains("CONSTANT ROW"))
            .collect()
    }

    #[tokio::test]
    async fn old_versions_are_found_and_dropped_along_indexes() {
        for sql in [OLD, COUNT, TELL, DROP] {
            let told = explain(sql).await;

            assert_eq!(scanned(&told), [""; 0], "{told}");
        }
    }

    #[tokio::test]
    async fn what_is_in_no_version_is_found_and_deleted_along_indexes() {
        for table in Table::iter() {
            let (find, delete) = table.statements();
            for sql in [find, delete] {
                let told = explain(sql).await;

                assert_eq!(scanned(&told), [""; 0], "{table:?}: {told}");
                assert!(!told.contains("TEMP B-TREE"), "{table:?}: {told}");
            }
        }
    }
}
