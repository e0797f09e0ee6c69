//! Repositories: what a destination becomes with its first push.

pub mod search;

use std::collections::HashMap;

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use engine::journal::PlanId;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::destinations::Destination;
use super::{CatalogError, Ensured, OrganizationId, ProductId, RepositoryId, plan, time};
use crate::Tx;
use crate::search::{Sql, push_is};

/// A repository of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Its number: that of its destination.
    pub id: RepositoryId,
    /// The product it is in.
    pub product: ProductId,
    /// Its name inside the product.
    pub name: String,
    /// Its label: the name, as Katello has it for pushed repositories.
    pub label: String,
    /// The plan that made it; none: a person made it.
    pub created_by_plan: Option<PlanId>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A repository with what Library publishes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryRow {
    /// Its number.
    pub id: RepositoryId,
    /// Its name inside the product.
    pub name: String,
    /// Its label.
    pub label: String,
    /// The label of its organization.
    pub organization: String,
    /// The number of its organization.
    pub organization_id: OrganizationId,
    /// The label of its product.
    pub product: String,
    /// The number of its product.
    pub product_id: ProductId,
    /// Its product is pulled from without a login, unless the setting closes it.
    pub anonymous_pull: bool,
    /// The newest version; none before the first push has been indexed.
    pub latest_version: Option<i64>,
    /// The version that Library publishes; none before the first push has been published.
    pub published_version: Option<i64>,
    /// The push that Library publishes.
    pub last_push: Option<LastPush>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The push that a repository's Library publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastPush {
    /// Its plan.
    pub plan: PlanId,
    /// The login of who pushed.
    pub user: String,
    /// When it was published.
    pub at: Timestamp,
}

/// Which repositories to read: all that fit every condition given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Only of this organization.
    pub organization: Option<OrganizationId>,
    /// Only of this product.
    pub product: Option<ProductId>,
    /// Only the one with this number.
    pub repository: Option<RepositoryId>,
}

impl FromRow<'_, SqliteRow> for Repository {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let created_by_plan: Option<Uuid> = row.try_get("created_by_plan")?;
        Ok(Self {
            id: row.try_get("id")?,
            product: row.try_get("product_id")?,
            name: row.try_get("name")?,
            label: row.try_get("label")?,
            created_by_plan: created_by_plan.map(PlanId),
            created_at: time(row, "created_at")?,
        })
    }
}

impl FromRow<'_, SqliteRow> for RepositoryRow {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let published_version: Option<i64> = row.try_get("published_version")?;
        let last_push = published_version
            .map(|_| {
                Ok::<_, sqlx::Error>(LastPush {
                    plan: plan(row, "push_plan")?,
                    user: row.try_get("push_user")?,
                    at: time(row, "push_at")?,
                })
            })
            .transpose()?;
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            label: row.try_get("label")?,
            organization: row.try_get("organization")?,
            organization_id: row.try_get("organization_id")?,
            product: row.try_get("product")?,
            product_id: row.try_get("product_id")?,
            anonymous_pull: row.try_get::<i64, _>("anonymous_pull")? == 1,
            latest_version: row.try_get("latest_version")?,
            published_version,
            last_push,
            created_at: time(row, "created_at")?,
        })
    }
}

/// Finds the repository of the destination, or makes it in the name of `plan`.
pub async fn ensure(
    tx: &mut Tx,
    destination: &Destination,
    product: ProductId,
    plan: PlanId,
    at: Timestamp,
) -> Result<Ensured<Repository>, CatalogError> {
    const SQL: &str = "
        INSERT INTO repositories (id, product_id, name, label, created_by_plan, created_at)
        VALUES ($1, $2, $3, $3, $4, $5)
        ON CONFLICT DO NOTHING
        RETURNING id, product_id, name, label, created_by_plan, created_at";
    let id = RepositoryId::from(destination.id);
    let made = sqlx::query_as(SQL)
        .bind(id)
        .bind(product)
        .bind(&destination.name)
        .bind(plan.0)
        .bind(at.0)
        .fetch_optional(&mut *tx)
        .await?;
    let found: Repository = match made {
        Some(made) => made,
        None => get(tx, id).await?.ok_or_else(|| CatalogError::Duplicate {
            what: "a repository",
            label: destination.name.clone(),
        })?,
    };
    Ok(Ensured {
        created_here: found.created_by_plan == Some(plan),
        found,
    })
}

/// Writes down that `plan` relies on the repository, so that nobody's undo removes it meanwhile. What has a version is removed by
/// none, and needs no note.
pub async fn note_use(
    tx: &mut Tx,
    repository: RepositoryId,
    plan: PlanId,
) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO repository_uses (repository_id, plan_id)
        SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM versions WHERE repository_id = $1)
        ON CONFLICT (repository_id, plan_id) DO NOTHING";
    let noted = sqlx::query(SQL).bind(repository).bind(plan.0);
    noted.execute(&mut *tx).await?;
    Ok(())
}

/// Takes back what `plan` did to the repository: its use, and the repository itself if it made that and nobody else uses it.
/// True: it is gone.
///
/// Another plan uses it that has noted so, and so does whoever has rights to it; what has a version stays. Where another plan uses
/// it, that stands for its maker from now on: the last one to be undone removes it.
pub async fn forget(
    tx: &mut Tx,
    repository: RepositoryId,
    plan: PlanId,
) -> Result<bool, CatalogError> {
    const USE: &str = "DELETE FROM repository_uses WHERE repository_id = $1 AND plan_id = $2";
    const HEIR: &str = "
        UPDATE repositories
        SET created_by_plan = (SELECT min(plan_id) FROM repository_uses WHERE repository_id = $1)
        WHERE id = $1 AND created_by_plan = $2";
    const SQL: &str = "
        DELETE FROM repositories WHERE id = $1 AND created_by_plan = $2
            AND NOT EXISTS (SELECT 1 FROM repository_uses WHERE repository_id = $1)
            AND NOT EXISTS (SELECT 1 FROM versions WHERE repository_id = $1)
            AND NOT EXISTS (SELECT 1 FROM grants WHERE repository_id = $1)";
    let forgotten = sqlx::query(USE).bind(repository).bind(plan.0);
    forgotten.execute(&mut *tx).await?;
    let removed = sqlx::query(SQL).bind(repository).bind(plan.0);
    if removed.execute(&mut *tx).await?.rows_affected() > 0 {
        return Ok(true);
    }
    let inherited = sqlx::query(HEIR).bind(repository).bind(plan.0);
    inherited.execute(&mut *tx).await?;
    Ok(false)
}

/// Makes the repository of the destination for a person, before anything is pushed there.
///
/// [`CatalogError::Duplicate`] if the destination has its repository already.
pub async fn create(
    tx: &mut Tx,
    destination: &Destination,
    product: ProductId,
    at: Timestamp,
) -> Result<Repository, CatalogError> {
    const SQL: &str = "
        INSERT INTO repositories (id, product_id, name, label, created_at)
        VALUES ($1, $2, $3, $3, $4)
        ON CONFLICT DO NOTHING
        RETURNING id, product_id, name, label, created_by_plan, created_at";
    let made = sqlx::query_as(SQL)
        .bind(RepositoryId::from(destination.id))
        .bind(product)
        .bind(&destination.name)
        .bind(at.0)
        .fetch_optional(&mut *tx)
        .await?;
    made.ok_or_else(|| CatalogError::Duplicate {
        what: "a repository",
        label: destination.name.clone(),
    })
}

/// Gives up the name of a repository, so that another one can have it: its row stays under a name that nobody can push.
pub async fn bury(tx: &mut Tx, id: RepositoryId, at: Timestamp) -> Result<(), CatalogError> {
    const SQL: &str = "
        UPDATE repositories SET deleted_at = $2, name = name || '@' || id
        WHERE id = $1 AND deleted_at IS NULL";
    let buried = sqlx::query(SQL).bind(id).bind(at.0);
    buried.execute(&mut *tx).await?;
    Ok(())
}

/// Takes back [`bury`], under this name, which nobody has as the caller has seen.
pub async fn unbury(tx: &mut Tx, id: RepositoryId, name: &str) -> Result<(), CatalogError> {
    const SQL: &str = "
        UPDATE repositories SET deleted_at = NULL, name = $2, label = $2
        WHERE id = $1 AND deleted_at IS NOT NULL";
    let back = sqlx::query(SQL).bind(id).bind(name);
    back.execute(&mut *tx).await?;
    Ok(())
}

/// The repository with this number, also one that was deleted and is not collected yet.
pub async fn get(tx: &mut Tx, id: RepositoryId) -> Result<Option<Repository>, CatalogError> {
    const SQL: &str = "
        SELECT id, product_id, name, label, created_by_plan, created_at FROM repositories
        WHERE id = $1";
    Ok(sqlx::query_as(SQL)
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?)
}

/// The repository of this name; the labels in whatever case.
pub async fn find(
    tx: &mut Tx,
    organization: &str,
    product: &str,
    name: &str,
) -> Result<Option<Repository>, CatalogError> {
    const SQL: &str = "
        SELECT r.id, r.product_id, r.name, r.label, r.created_by_plan, r.created_at
        FROM repositories r
        JOIN products p ON p.id = r.product_id
        JOIN organizations o ON o.id = p.organization_id
        WHERE o.label_key = $1 AND p.label_key = $2 AND r.name = $3
            AND o.deleted_at IS NULL AND p.deleted_at IS NULL AND r.deleted_at IS NULL";
    let found = sqlx::query_as(SQL)
        .bind(organization.to_ascii_lowercase())
        .bind(product.to_ascii_lowercase())
        .bind(name);
    Ok(found.fetch_optional(&mut *tx).await?)
}

/// Repositories with what Library publishes of each.
const ROW: &str = "
    SELECT r.id, r.name, r.label, r.product_id, r.created_at,
        p.label AS product, p.anonymous_pull, p.organization_id, o.label AS organization,
        (SELECT max(v.number) FROM versions v WHERE v.repository_id = r.id) AS latest_version,
        l.version AS published_version,
        l.plan_id AS push_plan, l.published_by AS push_user, l.since AS push_at
    FROM repositories r
    JOIN products p ON p.id = r.product_id
    JOIN organizations o ON o.id = p.organization_id
    LEFT JOIN environments e ON e.organization_id = o.id AND e.prior_id IS NULL
    LEFT JOIN published l ON l.environment_id = e.id AND l.repository_id = r.id
    WHERE r.deleted_at IS NULL";

/// Up to `limit` repositories by number, from the one that follows `after`, with what Library publishes of each.
pub async fn list(
    tx: &mut Tx,
    filter: Filter,
    after: Option<RepositoryId>,
    limit: u32,
) -> Result<Vec<RepositoryRow>, CatalogError> {
    let mut sql = Sql::new(ROW);
    sql.push(" AND r.id > ")
        .push_bind(after.map_or(0, |after| after.0));
    if let Some(organization) = filter.organization {
        sql.push(" AND p.organization_id = ")
            .push_bind(organization);
    }
    if let Some(product) = filter.product {
        sql.push(" AND r.product_id = ").push_bind(product);
    }
    if let Some(repository) = filter.repository {
        sql.push(" AND r.id = ").push_bind(repository);
    }
    sql.push(" ORDER BY r.id LIMIT ")
        .push_bind(i64::from(limit));
    Ok(sql.build_query_as().fetch_all(&mut *tx).await?)
}

/// The repositories with these numbers, in this order; those that are gone are left out.
async fn rows(tx: &mut Tx, ids: &[RepositoryId]) -> Result<Vec<RepositoryRow>, CatalogError> {
    let mut sql = Sql::new(ROW);
    sql.push(" AND ");
    push_is(&mut sql, "r.id", ids);
    let rows: Vec<RepositoryRow> = sql.build_query_as().fetch_all(&mut *tx).await?;
    let mut found: HashMap<_, _> = rows.into_iter().map(|row| (row.id, row)).collect();
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}
