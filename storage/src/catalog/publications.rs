//! Publications: which version of a repository an environment shows.

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use engine::journal::PlanId;
use sqlx::{FromRow, Row as _};

use super::{CatalogError, EnvironmentId, RepositoryId, plan, time};
use crate::Tx;

/// What an environment shows of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The environment.
    pub environment: EnvironmentId,
    /// The repository.
    pub repository: RepositoryId,
    /// The version shown.
    pub version: i64,
    /// The plan that published it.
    pub plan: PlanId,
    /// The login of whose push or action that was.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
}

impl FromRow<'_, SqliteRow> for Published {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            environment: row.try_get("environment_id")?,
            repository: row.try_get("repository_id")?,
            version: row.try_get("version")?,
            plan: plan(row, "plan_id")?,
            by: row.try_get("published_by")?,
            since: time(row, "since")?,
        })
    }
}

/// What Library of the repository's organization shows of it.
pub async fn library(
    tx: &mut Tx,
    repository: RepositoryId,
) -> Result<Option<Published>, CatalogError> {
    const SQL: &str = "
        SELECT l.environment_id, l.repository_id, l.version, l.plan_id, l.published_by, l.since
        FROM published l JOIN environments e ON e.id = l.environment_id
        WHERE l.repository_id = $1 AND e.prior_id IS NULL";
    Ok(sqlx::query_as(SQL)
        .bind(repository)
        .fetch_optional(&mut *tx)
        .await?)
}

/// What this environment shows of a repository.
pub async fn of(
    tx: &mut Tx,
    environment: EnvironmentId,
    repository: RepositoryId,
) -> Result<Option<Published>, CatalogError> {
    const SQL: &str = "
        SELECT environment_id, repository_id, version, plan_id, published_by, since FROM published
        WHERE environment_id = $1 AND repository_id = $2";
    let found = sqlx::query_as(SQL).bind(environment).bind(repository);
    Ok(found.fetch_optional(&mut *tx).await?)
}

/// What an environment shows, with its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// The environment's label.
    pub environment: String,
    /// What it shows.
    pub shown: Published,
}

/// What all environments show of a repository, each with its label, the oldest environment first.
pub async fn labelled(
    tx: &mut Tx,
    repository: RepositoryId,
) -> Result<Vec<Labelled>, CatalogError> {
    const SQL: &str = "
        SELECT e.label, l.environment_id, l.repository_id, l.version, l.plan_id, l.published_by, l.since
        FROM published l JOIN environments e ON e.id = l.environment_id
        WHERE l.repository_id = $1 ORDER BY l.environment_id";
    let rows = sqlx::query(SQL)
        .bind(repository)
        .fetch_all(&mut *tx)
        .await?;
    let labelled = rows.iter().map(|row| {
        Ok(Labelled {
            environment: row.try_get("label")?,
            shown: Published::from_row(row)?,
        })
    });
    Ok(labelled.collect::<Result<_, sqlx::Error>>()?)
}

/// What all environments show of a repository, the oldest environment first.
pub async fn everywhere(
    tx: &mut Tx,
    repository: RepositoryId,
) -> Result<Vec<Published>, CatalogError> {
    const SQL: &str = "
        SELECT environment_id, repository_id, version, plan_id, published_by, since FROM published
        WHERE repository_id = $1 ORDER BY environment_id";
    let found = sqlx::query_as(SQL).bind(repository);
    Ok(found.fetch_all(&mut *tx).await?)
}

/// A repository that an environment publishes, with all that its name there is made of.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Member {
    /// Its number.
    pub repository: RepositoryId,
    /// Its name in its product.
    pub name: String,
    /// Its label.
    pub label: String,
    /// The label of its product.
    pub product_label: String,
    /// What people call its product.
    pub product_name: String,
    /// The label of its organization.
    pub organization_label: String,
    /// What people call its organization.
    pub organization_name: String,
    /// The version that is published.
    pub version: i64,
}

/// All repositories that an environment publishes, or one of them.
const MEMBERS: &str = "
    SELECT r.id AS repository, r.name, r.label, p.label AS product_label, p.name AS product_name,
        o.label AS organization_label, o.name AS organization_name, l.version
    FROM published l
    JOIN repositories r ON r.id = l.repository_id
    JOIN products p ON p.id = r.product_id
    JOIN organizations o ON o.id = p.organization_id
    WHERE l.environment_id = $1 AND l.repository_id BETWEEN $2 AND $3 AND r.deleted_at IS NULL
    ORDER BY l.repository_id";

/// All repositories that the environment publishes, by number.
pub async fn members(tx: &mut Tx, environment: EnvironmentId) -> Result<Vec<Member>, CatalogError> {
    let members = sqlx::query_as(MEMBERS)
        .bind(environment)
        .bind(i64::MIN)
        .bind(i64::MAX);
    Ok(members.fetch_all(&mut *tx).await?)
}

/// This one of them, if the environment publishes it.
pub async fn member(
    tx: &mut Tx,
    environment: EnvironmentId,
    repository: RepositoryId,
) -> Result<Option<Member>, CatalogError> {
    let member = sqlx::query_as(MEMBERS)
        .bind(environment)
        .bind(repository)
        .bind(repository);
    Ok(member.fetch_optional(&mut *tx).await?)
}

/// Points the environment to `version`, be it older or newer than what it shows now.
pub async fn point(tx: &mut Tx, to: &Published) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO published (environment_id, repository_id, version, plan_id, published_by, since)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (environment_id, repository_id) DO UPDATE SET
            version = excluded.version, plan_id = excluded.plan_id,
            published_by = excluded.published_by, since = excluded.since";
    sqlx::query(SQL)
        .bind(to.environment)
        .bind(to.repository)
        .bind(to.version)
        .bind(to.plan.0)
        .bind(&to.by)
        .bind(to.since.0)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Lets no environment show anything of the repository.
pub async fn remove(tx: &mut Tx, repository: RepositoryId) -> Result<(), CatalogError> {
    const SQL: &str = "DELETE FROM published WHERE repository_id = $1";
    let removed = sqlx::query(SQL).bind(repository);
    removed.execute(&mut *tx).await?;
    Ok(())
}

/// Moves the environment to `version`, unless it shows a later one; answers the version it shows now.
pub async fn publish(
    tx: &mut Tx,
    environment: EnvironmentId,
    repository: RepositoryId,
    version: i64,
    plan: PlanId,
    by: &str,
    at: Timestamp,
) -> Result<i64, CatalogError> {
    const SQL: &str = "
        INSERT INTO published (environment_id, repository_id, version, plan_id, published_by, since)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (environment_id, repository_id) DO UPDATE SET
            version = excluded.version, plan_id = excluded.plan_id,
            published_by = excluded.published_by, since = excluded.since
        WHERE excluded.version > published.version
        RETURNING version";
    const SHOWN: &str = "
        SELECT version FROM published WHERE environment_id = $1 AND repository_id = $2";
    let moved: Option<i64> = sqlx::query_scalar(SQL)
        .bind(environment)
        .bind(repository)
        .bind(version)
        .bind(plan.0)
        .bind(by)
        .bind(at.0)
        .fetch_optional(&mut *tx)
        .await?;
    match moved {
        Some(version) => Ok(version),
        None => Ok(sqlx::query_scalar(SHOWN)
            .bind(environment)
            .bind(repository)
            .fetch_one(&mut *tx)
            .await?),
    }
}

#[cfg(test)]
mod tests {
    use crate::database::explain;

    #[tokio::test]
    async fn what_an_environment_publishes_is_read_along_its_key() {
        let told = explain(super::MEMBERS).await;

        assert!(!told.contains("SCAN"), "{told}");
        assert!(
            told.contains("environment_id=? AND repository_id>? AND repository_id<?"),
            "{told}"
        );
    }
}
