//! What a smart proxy has of what it shall have, as far as its last sync has told.

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use engine::journal::PlanId;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use crate::catalog::{
    CatalogError, EnvironmentId, OrganizationId, ProductId, RepositoryId, SmartProxyId, json,
};
use crate::{Digest, Tx};

/// A repository as an environment publishes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The environment.
    pub environment: EnvironmentId,
    /// The repository.
    pub repository: RepositoryId,
}

/// What a proxy shall have of a repository, with all that its names and rights there are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Which repository, in which environment.
    #[serde(flatten)]
    pub place: Place,
    /// The version that the environment publishes.
    pub version: i64,
    /// The plan that made it: once a backup was restored, another version may have its number.
    pub made_by: Uuid,
    /// The names by which it is pulled: of Library the pushed path first.
    pub names: Vec<String>,
    /// Its organization.
    pub organization: Known<OrganizationId>,
    /// Its product.
    pub product: Known<ProductId>,
    /// Its name in the product.
    pub name: String,
    /// The label of the environment.
    pub environment_label: String,
    /// The environment is Library.
    pub library: bool,
    /// Library of the organization.
    pub library_id: EnvironmentId,
}

/// A number, a label, and what people call it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known<Id> {
    /// Its number.
    pub id: Id,
    /// Its label.
    pub label: String,
    /// What people call it.
    pub name: String,
}

impl Wanted {
    /// The name that people know it by there.
    #[must_use]
    pub fn title(&self) -> &str {
        self.names.first().map_or(&self.name, String::as_str)
    }
}

/// All names of what is published by row `l` of `published` in environment `e`, in one order: of Library the pushed path, too.
macro_rules! names {
    () => {
        "(SELECT json_group_array(name) FROM (
            SELECT n.name FROM repository_names n
            WHERE n.repository_id = l.repository_id
              AND (n.environment_id = l.environment_id OR (n.environment_id IS NULL AND e.prior_id IS NULL))
            ORDER BY n.environment_id IS NOT NULL, n.name))"
    };
}

/// What proxy `$1` shall have, with what it has: one row for each repository of each of its environments.
macro_rules! shall_have {
    () => {
        "FROM smart_proxy_environments a
         CROSS JOIN environments e ON e.id = a.environment_id
         CROSS JOIN published l ON l.environment_id = a.environment_id
         CROSS JOIN repositories r ON r.id = l.repository_id AND r.deleted_at IS NULL
         LEFT JOIN smart_proxy_contents c ON c.proxy_id = a.proxy_id
            AND c.environment_id = l.environment_id AND c.repository_id = l.repository_id
         WHERE a.proxy_id = $1"
    };
}

/// The proxy has not what it shall have of it, or it is not certain that it has.
macro_rules! is_behind {
    () => {
        concat!(
            "(c.version IS NULL OR c.version <> l.version OR c.certain = 0 OR c.names <> ",
            names!(),
            ")"
        )
    };
}

/// All that is known of what the rows of `$rest` name, a select of environments and repositories.
macro_rules! wanted {
    ($($rest:expr),*) => {
        concat!(
            "SELECT l.environment_id, l.repository_id, l.version,
                (SELECT v.plan_id FROM versions v
                 WHERE v.repository_id = l.repository_id AND v.number = l.version) AS made_by, ",
            names!(),
            " AS names, o.id AS organization_id, o.label AS organization_label, o.name AS organization_name,
                p.id AS product_id, p.label AS product_label, p.name AS product_name,
                w.name AS repository_name, e.label AS environment_label, e.prior_id IS NULL AS library,
                (SELECT y.id FROM environments y
                 WHERE y.organization_id = e.organization_id AND y.prior_id IS NULL) AS library_id
             FROM (SELECT l.environment_id, l.repository_id ",
            $($rest,)*
            ") b
             CROSS JOIN published l ON l.environment_id = b.environment_id AND l.repository_id = b.repository_id
             CROSS JOIN environments e ON e.id = b.environment_id
             CROSS JOIN repositories w ON w.id = b.repository_id
             CROSS JOIN products p ON p.id = w.product_id
             CROSS JOIN organizations o ON o.id = p.organization_id"
        )
    };
}

// After the macros: they are seen from here on.
mod lag;

pub use lag::{Holder, Lag, Status, holders, lag, status};

const BEHIND: &str = wanted!(
    shall_have!(),
    " AND ",
    is_behind!(),
    " ORDER BY l.repository_id <> coalesce($2, 0), l.since LIMIT $3"
);

const ONE: &str = wanted!(
    shall_have!(),
    " AND l.environment_id = $2 AND l.repository_id = $3"
);

/// What proxy `$1` has and shall not have any more.
const GONE: &str = "
    SELECT c.environment_id, c.repository_id FROM smart_proxy_contents c
    WHERE c.proxy_id = $1 AND NOT EXISTS (
        SELECT 1 FROM smart_proxy_environments a
        JOIN published l ON l.environment_id = a.environment_id
        JOIN repositories r ON r.id = l.repository_id AND r.deleted_at IS NULL
        WHERE a.proxy_id = c.proxy_id AND a.environment_id = c.environment_id
          AND l.repository_id = c.repository_id)
    LIMIT $2";

const IS_BEHIND: &str = concat!(
    "SELECT EXISTS (SELECT 1 ",
    shall_have!(),
    " AND ",
    is_behind!(),
    ")"
);

impl FromRow<'_, SqliteRow> for Place {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            environment: row.try_get("environment_id")?,
            repository: row.try_get("repository_id")?,
        })
    }
}

impl FromRow<'_, SqliteRow> for Wanted {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            place: Place::from_row(row)?,
            version: row.try_get("version")?,
            made_by: row.try_get("made_by")?,
            names: json(row, "names")?,
            organization: Known {
                id: row.try_get("organization_id")?,
                label: row.try_get("organization_label")?,
                name: row.try_get("organization_name")?,
            },
            product: Known {
                id: row.try_get("product_id")?,
                label: row.try_get("product_label")?,
                name: row.try_get("product_name")?,
            },
            name: row.try_get("repository_name")?,
            environment_label: row.try_get("environment_label")?,
            library: row.try_get::<i64, _>("library")? == 1,
            library_id: row.try_get("library_id")?,
        })
    }
}

/// Up to `limit` of what the proxy shall have and has not: of the repository `first` before others, then what has been published
/// longest.
pub async fn behind(
    tx: &mut Tx,
    proxy: SmartProxyId,
    first: Option<RepositoryId>,
    limit: u32,
) -> Result<Vec<Wanted>, CatalogError> {
    let behind = sqlx::query_as(BEHIND)
        .bind(proxy)
        .bind(first)
        .bind(i64::from(limit));
    Ok(behind.fetch_all(&mut *tx).await?)
}

/// What the proxy shall have of the repository in that environment; none: nothing.
pub async fn wanted(
    tx: &mut Tx,
    proxy: SmartProxyId,
    place: Place,
) -> Result<Option<Wanted>, CatalogError> {
    let wanted = sqlx::query_as(ONE)
        .bind(proxy)
        .bind(place.environment)
        .bind(place.repository);
    Ok(wanted.fetch_optional(&mut *tx).await?)
}

/// True if one of the environments of the proxy publishes something of the repository.
pub async fn shall_hold(
    tx: &mut Tx,
    proxy: SmartProxyId,
    repository: RepositoryId,
) -> Result<bool, CatalogError> {
    const SQL: &str = "
        SELECT EXISTS (SELECT 1 FROM published l
            JOIN smart_proxy_environments a ON a.environment_id = l.environment_id
            JOIN repositories r ON r.id = l.repository_id AND r.deleted_at IS NULL
            WHERE l.repository_id = $2 AND a.proxy_id = $1)";
    let shall = sqlx::query_scalar(SQL).bind(proxy).bind(repository);
    Ok(shall.fetch_one(&mut *tx).await?)
}

/// Up to `limit` of what the proxy has and shall not have any more.
pub async fn gone(
    tx: &mut Tx,
    proxy: SmartProxyId,
    limit: u32,
) -> Result<Vec<Place>, CatalogError> {
    let gone = sqlx::query_as(GONE).bind(proxy).bind(i64::from(limit));
    Ok(gone.fetch_all(&mut *tx).await?)
}

/// True if a sync would have something to do.
pub async fn is_behind(tx: &mut Tx, proxy: SmartProxyId) -> Result<bool, CatalogError> {
    let behind: bool = sqlx::query_scalar(IS_BEHIND)
        .bind(proxy)
        .fetch_one(&mut *tx)
        .await?;
    Ok(behind || !gone(tx, proxy, 1).await?.is_empty())
}

/// True if the proxy has all that the environment publishes of the repository now, as far as is known.
pub async fn has(tx: &mut Tx, proxy: SmartProxyId, place: Place) -> Result<bool, CatalogError> {
    const SQL: &str = concat!(
        "SELECT NOT EXISTS (SELECT 1 ",
        shall_have!(),
        " AND l.environment_id = $2 AND l.repository_id = $3 AND ",
        is_behind!(),
        ")"
    );
    const LEFT: &str = "
        SELECT EXISTS (SELECT 1 FROM smart_proxy_contents c
            WHERE c.proxy_id = $1 AND c.environment_id = $2 AND c.repository_id = $3
              AND NOT EXISTS (SELECT 1 FROM published l
                  WHERE l.environment_id = $2 AND l.repository_id = $3))";
    for (sql, wanted) in [(SQL, true), (LEFT, false)] {
        let found: bool = sqlx::query_scalar(sql)
            .bind(proxy)
            .bind(place.environment)
            .bind(place.repository)
            .fetch_one(&mut *tx)
            .await?;
        if found != wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Nothing that is known of what the proxy has is certain any more: the next syncs look at all of it.
pub async fn doubt(tx: &mut Tx, proxy: SmartProxyId) -> Result<(), CatalogError> {
    const SQL: &str = "UPDATE smart_proxy_contents SET certain = 0 WHERE proxy_id = $1";
    sqlx::query(SQL).bind(proxy).execute(&mut *tx).await?;
    Ok(())
}

/// True if it is known that the proxy has anything.
pub async fn has_anything(tx: &mut Tx, proxy: SmartProxyId) -> Result<bool, CatalogError> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM smart_proxy_contents WHERE proxy_id = $1 AND version IS NOT NULL)";
    let has = sqlx::query_scalar(SQL).bind(proxy);
    Ok(has.fetch_one(&mut *tx).await?)
}

/// Writes down that the proxy has this version by these names.
pub async fn brought(
    tx: &mut Tx,
    proxy: SmartProxyId,
    wanted: &Wanted,
    plan: PlanId,
    at: Timestamp,
) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO smart_proxy_contents
            (proxy_id, environment_id, repository_id, version, names, certain, synced_at, plan_id)
        SELECT $1, $2, $3, $4, $5, 1, $6, $7 WHERE EXISTS (SELECT 1 FROM smart_proxies WHERE id = $1)
        ON CONFLICT (proxy_id, environment_id, repository_id) DO UPDATE SET
            version = excluded.version, names = excluded.names, certain = 1,
            synced_at = excluded.synced_at, plan_id = excluded.plan_id, error = NULL";
    sqlx::query(SQL)
        .bind(proxy)
        .bind(wanted.place.environment)
        .bind(wanted.place.repository)
        .bind(wanted.version)
        .bind(crate::catalog::stored_json(&wanted.names)?)
        .bind(at.0)
        .bind(plan.0)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Writes down why the proxy does not have it.
pub async fn failed(
    tx: &mut Tx,
    proxy: SmartProxyId,
    place: Place,
    plan: PlanId,
    error: &str,
) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO smart_proxy_contents
            (proxy_id, environment_id, repository_id, names, certain, plan_id, error)
        SELECT $1, $2, $3, '[]', 0, $4, $5 WHERE EXISTS (SELECT 1 FROM smart_proxies WHERE id = $1)
        ON CONFLICT (proxy_id, environment_id, repository_id) DO UPDATE SET
            plan_id = excluded.plan_id, error = excluded.error";
    sqlx::query(SQL)
        .bind(proxy)
        .bind(place.environment)
        .bind(place.repository)
        .bind(plan.0)
        .bind(error)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// What the proxy is certain to have of it: a version, by these names.
pub async fn there(
    tx: &mut Tx,
    proxy: SmartProxyId,
    place: Place,
) -> Result<Option<(i64, Vec<String>)>, CatalogError> {
    const SQL: &str = "
        SELECT version, names FROM smart_proxy_contents
        WHERE proxy_id = $1 AND environment_id = $2 AND repository_id = $3
          AND certain = 1 AND version IS NOT NULL";
    let row = sqlx::query(SQL)
        .bind(proxy)
        .bind(place.environment)
        .bind(place.repository)
        .fetch_optional(&mut *tx)
        .await?;
    let there =
        row.map(|row| Ok::<_, sqlx::Error>((row.try_get("version")?, json(&row, "names")?)));
    Ok(there.transpose()?)
}

const WITH_BLOB: &str = "
    SELECT c.names ->> 0 FROM blob_links l
    CROSS JOIN smart_proxy_contents c INDEXED BY smart_proxy_contents_repository
        ON c.repository_id = l.destination_id
    WHERE l.digest = $2 AND l.deleted_at IS NULL AND c.proxy_id = $1 AND c.version IS NOT NULL
      AND c.names <> '[]'
    LIMIT $3";

/// Up to `limit` names by which the proxy probably has this blob: of repositories that have it here.
pub async fn names_with_blob(
    tx: &mut Tx,
    proxy: SmartProxyId,
    blob: &Digest,
    limit: u32,
) -> Result<Vec<String>, CatalogError> {
    let names = sqlx::query_scalar(WITH_BLOB)
        .bind(proxy)
        .bind(blob.to_string())
        .bind(i64::from(limit));
    Ok(names.fetch_all(&mut *tx).await?)
}

/// Forgets it: the proxy has nothing of it any more.
pub async fn removed(tx: &mut Tx, proxy: SmartProxyId, place: Place) -> Result<(), CatalogError> {
    const SQL: &str = "
        DELETE FROM smart_proxy_contents
        WHERE proxy_id = $1 AND environment_id = $2 AND repository_id = $3";
    sqlx::query(SQL)
        .bind(proxy)
        .bind(place.environment)
        .bind(place.repository)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::lag::{HOLDERS, STATUS};
    use super::{BEHIND, GONE, IS_BEHIND, ONE, WITH_BLOB};
    use crate::database::explain;

    #[tokio::test]
    async fn what_a_proxy_lacks_is_found_along_indexes() {
        for sql in [BEHIND, ONE, IS_BEHIND, GONE, HOLDERS, STATUS, WITH_BLOB] {
            let told = explain(sql).await;
            let is_small = |line: &&str| {
                ["CONSTANT ROW", "SCAN b", "(subquery-"]
                    .iter()
                    .any(|it| line.contains(it))
            };
            let walked = told.lines().filter(|line| line.contains("SCAN"));
            let walked: Vec<&str> = walked.filter(|line| !is_small(line)).collect();

            assert!(walked.is_empty(), "{sql}: {told}");
        }
    }
}
