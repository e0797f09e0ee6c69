//! The names that repositories are pulled by.

use crate::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _};

use super::grants::Place;
use super::{CatalogError, RepositoryId};
use crate::Tx;

/// A name, and the repository that is pulled by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryName {
    /// The name: lower case.
    pub name: String,
    /// Where rights to it are looked for.
    pub place: Place,
    /// True: it is pulled without a login.
    pub anonymous_pull: bool,
}

const LIST: &str = "
    SELECT n.name, n.repository_id, r.product_id, p.organization_id, p.anonymous_pull
    FROM repository_names n
    JOIN repositories r ON r.id = n.repository_id
    JOIN products p ON p.id = r.product_id
    WHERE n.name > $1 ORDER BY n.name LIMIT $2";

impl FromRow<'_, SqliteRow> for RepositoryName {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            name: row.try_get("name")?,
            place: Place {
                organization: row.try_get("organization_id")?,
                product: Some(row.try_get("product_id")?),
                repository: Some(row.try_get("repository_id")?),
            },
            anonymous_pull: row.try_get::<i64, _>("anonymous_pull")? == 1,
        })
    }
}

/// Gives the repository this name. Twice is once.
pub async fn ensure(tx: &mut Tx, name: &str, repository: RepositoryId) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO repository_names (name, repository_id) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET repository_id = excluded.repository_id
        WHERE repository_names.repository_id <> excluded.repository_id";
    sqlx::query(SQL)
        .bind(name)
        .bind(repository)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Up to `limit` names in the order of their bytes, from the one that follows `after`.
pub async fn list(
    tx: &mut Tx,
    after: &str,
    limit: u32,
) -> Result<Vec<RepositoryName>, CatalogError> {
    let page = sqlx::query_as(LIST).bind(after).bind(i64::from(limit));
    Ok(page.fetch_all(&mut *tx).await?)
}

#[cfg(test)]
mod tests {
    use crate::database::explain;

    #[tokio::test]
    async fn names_are_read_along_their_index_without_sorting() {
        let told = explain(super::LIST).await;

        assert!(told.contains("SEARCH n USING INDEX"), "{told}");
        assert!(
            !told.contains("SCAN") && !told.contains("TEMP B-TREE"),
            "{told}"
        );
    }
}
