//! The names that repositories are pulled by.

use crate::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _};

use super::grants::Place;
use super::{CatalogError, EnvironmentId, RepositoryId, stored_json};
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
    SELECT n.name, n.repository_id, r.product_id, p.organization_id,
        (p.anonymous_pull = 1 OR e.anonymous_pull = 1) AS anonymous_pull
    FROM repository_names n
    JOIN repositories r ON r.id = n.repository_id
    JOIN products p ON p.id = r.product_id
    LEFT JOIN environments e ON e.id = coalesce(n.environment_id,
        (SELECT l.id FROM environments l WHERE l.organization_id = p.organization_id AND l.prior_id IS NULL))
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

/// Who has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The repository that is pulled by it.
    pub repository: RepositoryId,
    /// The environment that publishes it so; none: it is the pushed path.
    pub environment: Option<EnvironmentId>,
}

/// Who has this name; none: nobody.
pub async fn find(tx: &mut Tx, name: &str) -> Result<Option<Owner>, CatalogError> {
    const SQL: &str = "SELECT repository_id, environment_id FROM repository_names WHERE name = $1";
    let row = sqlx::query(SQL).bind(name).fetch_optional(&mut *tx).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Owner {
        repository: row.try_get("repository_id")?,
        environment: row.try_get("environment_id")?,
    }))
}

/// The names under which environments publish a repository, besides its pushed path.
pub async fn published(
    tx: &mut Tx,
    repository: RepositoryId,
) -> Result<Vec<(EnvironmentId, String)>, CatalogError> {
    const SQL: &str = "
        SELECT environment_id, name FROM repository_names
        WHERE repository_id = $1 AND environment_id IS NOT NULL ORDER BY environment_id, name";
    let names = sqlx::query_as(SQL).bind(repository);
    Ok(names.fetch_all(&mut *tx).await?)
}

/// All names by which this environment publishes repositories.
pub async fn of_environment(
    tx: &mut Tx,
    environment: EnvironmentId,
) -> Result<Vec<(RepositoryId, String)>, CatalogError> {
    const SQL: &str = "
        SELECT repository_id, name FROM repository_names WHERE environment_id = $1 ORDER BY name";
    let names = sqlx::query_as(SQL).bind(environment);
    Ok(names.fetch_all(&mut *tx).await?)
}

/// Publishes the repository in this environment by these names and no others. Of each nobody else has it, as the caller has seen.
pub async fn publish(
    tx: &mut Tx,
    environment: EnvironmentId,
    repository: RepositoryId,
    names: &[String],
) -> Result<(), CatalogError> {
    const OTHERS: &str = "
        DELETE FROM repository_names
        WHERE repository_id = $1 AND environment_id = $2
          AND name NOT IN (SELECT value FROM json_each($3))";
    const SQL: &str = "
        INSERT INTO repository_names (name, repository_id, environment_id) VALUES ($3, $1, $2)
        ON CONFLICT (name) DO NOTHING";
    sqlx::query(OTHERS)
        .bind(repository)
        .bind(environment)
        .bind(stored_json(&names)?)
        .execute(&mut *tx)
        .await?;
    for name in names {
        sqlx::query(SQL)
            .bind(repository)
            .bind(environment)
            .bind(name)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// Publishes all repositories of this environment by these names and no others: one switch. Nobody else has them, as the caller
/// has seen. Answers how many of them are other names than before.
pub async fn publish_all(
    tx: &mut Tx,
    environment: EnvironmentId,
    names: &[(RepositoryId, String)],
) -> Result<u64, CatalogError> {
    const OLD: &str = "
        DELETE FROM repository_names
        WHERE environment_id = $1
          AND (name, repository_id) NOT IN (SELECT value ->> 1, value ->> 0 FROM json_each($2))";
    const NEW: &str = "
        INSERT INTO repository_names (name, repository_id, environment_id)
        SELECT value ->> 1, value ->> 0, $1 FROM json_each($2) WHERE true
        ON CONFLICT (name) DO NOTHING";
    let all = stored_json(&names)?;
    let old = sqlx::query(OLD).bind(environment).bind(&all);
    old.execute(&mut *tx).await?;
    let new = sqlx::query(NEW).bind(environment).bind(&all);
    Ok(new.execute(&mut *tx).await?.rows_affected())
}

/// Takes all its names from the repository.
pub async fn remove(tx: &mut Tx, repository: RepositoryId) -> Result<(), CatalogError> {
    const SQL: &str = "DELETE FROM repository_names WHERE repository_id = $1";
    let removed = sqlx::query(SQL).bind(repository);
    removed.execute(&mut *tx).await?;
    Ok(())
}

/// Gives the repository this name as its pushed path. Twice is once; a name by which another one is published stays that one's.
pub async fn ensure(tx: &mut Tx, name: &str, repository: RepositoryId) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO repository_names (name, repository_id) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET repository_id = excluded.repository_id, environment_id = NULL
        WHERE repository_names.environment_id IS NULL AND repository_names.repository_id <> excluded.repository_id
          OR repository_names.repository_id = excluded.repository_id AND repository_names.environment_id IS NOT NULL";
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
