//! Lifecycle environments: where versions are published. Every organization has Library; the others follow it in paths.

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use sqlx::{FromRow, Row as _};

use super::{CatalogError, EnvironmentId, OrganizationId, products, time};
use crate::{Label, Tx};

/// The label and name of the environment that pushes publish into.
pub const LIBRARY: &str = "Library";

/// A lifecycle environment of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Its number.
    pub id: EnvironmentId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its label: unique in the organization without case, among products too; never changed.
    pub label: String,
    /// What people call it.
    pub name: String,
    /// What is promoted into it; none: it is Library.
    pub prior: Option<EnvironmentId>,
    /// How it names what it publishes; none: Library by the pushed path, others by labels.
    pub registry_name_pattern: Option<String>,
    /// True: what it publishes is pulled by its names without a login.
    pub anonymous_pull: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An environment to be made.
#[derive(Clone, Debug)]
pub struct NewEnvironment {
    /// Its label.
    pub label: Label,
    /// What people call it.
    pub name: String,
    /// The one that it follows.
    pub prior: EnvironmentId,
    /// How it names what it publishes; none: by labels.
    pub registry_name_pattern: Option<String>,
    /// Whether what it publishes is pulled without a login.
    pub anonymous_pull: bool,
}

/// What to change of an environment; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct EnvironmentChanges {
    /// What people call it.
    pub name: Option<String>,
    /// How it names what it publishes; none in it: without a pattern from now on.
    pub registry_name_pattern: Option<Option<String>>,
    /// Whether what it publishes is pulled without a login.
    pub anonymous_pull: Option<bool>,
}

impl FromRow<'_, SqliteRow> for Environment {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            organization: row.try_get("organization_id")?,
            label: row.try_get("label")?,
            name: row.try_get("name")?,
            prior: row.try_get("prior_id")?,
            registry_name_pattern: row.try_get("registry_name_pattern")?,
            anonymous_pull: row.try_get::<i64, _>("anonymous_pull")? == 1,
            created_at: time(row, "created_at")?,
        })
    }
}

/// Makes Library for an organization that has just been made.
pub(super) async fn create_library(
    tx: &mut Tx,
    organization: OrganizationId,
    at: Timestamp,
) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO environments (organization_id, label, label_key, name, created_at)
        VALUES ($1, $2, $3, $2, $4)";
    sqlx::query(SQL)
        .bind(organization)
        .bind(LIBRARY)
        .bind(LIBRARY.to_ascii_lowercase())
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Makes an environment at the end of a path, or a path of its own behind Library.
///
/// [`CatalogError::Duplicate`] if another environment has the label, [`CatalogError::Taken`] if a product has it or will have
/// it, [`CatalogError::Missing`] if the organization has no such environment to follow, [`CatalogError::Followed`] if another
/// one follows that already.
pub async fn create(
    tx: &mut Tx,
    organization: OrganizationId,
    new: &NewEnvironment,
    at: Timestamp,
) -> Result<Environment, CatalogError> {
    const SQL: &str = "
        INSERT INTO environments
            (organization_id, label, label_key, name, prior_id, registry_name_pattern, anonymous_pull, created_at)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8
        WHERE NOT EXISTS (SELECT 1 FROM products WHERE organization_id = $1 AND label_key = $3)
        ON CONFLICT (organization_id, label_key) DO NOTHING
        RETURNING id, organization_id, label, name, prior_id, registry_name_pattern, anonymous_pull, created_at";
    if new.label.key() == products::CONTAINER_PUSH {
        return Err(taken("the product for pushes without one", &new.label));
    }
    let prior = get(tx, new.prior).await?;
    let prior = prior
        .filter(|prior| prior.organization == organization)
        .ok_or_else(|| CatalogError::missing("environment", new.prior))?;
    if let Some(successor) = successor(tx, prior.id).await?
        && prior.prior.is_some()
    {
        return Err(CatalogError::Followed {
            prior: prior.label,
            successor,
        });
    }
    let inserted = sqlx::query_as(SQL)
        .bind(organization)
        .bind(new.label.as_str())
        .bind(new.label.key())
        .bind(&new.name)
        .bind(prior.id)
        .bind(&new.registry_name_pattern)
        .bind(i64::from(new.anonymous_pull))
        .bind(at.0);
    if let Some(created) = inserted.fetch_optional(&mut *tx).await? {
        return Ok(created);
    }
    let found = find(tx, organization, new.label.as_str()).await?;
    Err(match found {
        Some(_) => CatalogError::Duplicate {
            what: "an environment",
            label: new.label.to_string(),
        },
        None => taken("a product", &new.label),
    })
}

fn taken(what: &'static str, label: &Label) -> CatalogError {
    CatalogError::Taken {
        what,
        label: label.to_string(),
    }
}

/// The label of an environment that follows this one, the first that was made.
async fn successor(
    tx: &mut Tx,
    environment: EnvironmentId,
) -> Result<Option<String>, CatalogError> {
    const SQL: &str = "SELECT label FROM environments WHERE prior_id = $1 ORDER BY id LIMIT 1";
    let found = sqlx::query(SQL).bind(environment);
    let found = found.fetch_optional(&mut *tx).await?;
    Ok(found.map(|row| row.try_get("label")).transpose()?)
}

/// The environment of the organization that pushes publish into.
pub async fn library(
    tx: &mut Tx,
    organization: OrganizationId,
) -> Result<Environment, CatalogError> {
    const SQL: &str = "
        SELECT id, organization_id, label, name, prior_id, registry_name_pattern, anonymous_pull, created_at
        FROM environments WHERE organization_id = $1 AND prior_id IS NULL";
    let found = sqlx::query_as(SQL).bind(organization);
    found
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| CatalogError::missing("Library in organization", organization))
}

/// The environment of the organization with this label, in whatever case.
pub async fn find(
    tx: &mut Tx,
    organization: OrganizationId,
    label: &str,
) -> Result<Option<Environment>, CatalogError> {
    const SQL: &str = "
        SELECT id, organization_id, label, name, prior_id, registry_name_pattern, anonymous_pull, created_at
        FROM environments WHERE organization_id = $1 AND label_key = $2";
    let found = sqlx::query_as(SQL)
        .bind(organization)
        .bind(label.to_ascii_lowercase());
    Ok(found.fetch_optional(&mut *tx).await?)
}

/// The environment with this number.
pub async fn get(tx: &mut Tx, id: EnvironmentId) -> Result<Option<Environment>, CatalogError> {
    const SQL: &str = "
        SELECT id, organization_id, label, name, prior_id, registry_name_pattern, anonymous_pull, created_at
        FROM environments WHERE id = $1";
    Ok(sqlx::query_as(SQL)
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?)
}

/// Up to `limit` environments of the organization by number, from the one that follows `after`: Library was made first.
pub async fn list(
    tx: &mut Tx,
    organization: OrganizationId,
    after: Option<EnvironmentId>,
    limit: u32,
) -> Result<Vec<Environment>, CatalogError> {
    const SQL: &str = "
        SELECT id, organization_id, label, name, prior_id, registry_name_pattern, anonymous_pull, created_at
        FROM environments WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    let page = sqlx::query_as(SQL)
        .bind(organization)
        .bind(after.map_or(0, |after| after.0))
        .bind(i64::from(limit));
    Ok(page.fetch_all(&mut *tx).await?)
}

/// All environments of the organization, Library first.
pub async fn all(
    tx: &mut Tx,
    organization: OrganizationId,
) -> Result<Vec<Environment>, CatalogError> {
    const SQL: &str = "
        SELECT id, organization_id, label, name, prior_id, registry_name_pattern, anonymous_pull, created_at
        FROM environments WHERE organization_id = $1 ORDER BY id";
    Ok(sqlx::query_as(SQL)
        .bind(organization)
        .fetch_all(&mut *tx)
        .await?)
}

/// How many environments the organization has, Library among them.
pub async fn count(tx: &mut Tx, organization: OrganizationId) -> Result<u64, CatalogError> {
    const SQL: &str = "SELECT count(*) AS n FROM environments WHERE organization_id = $1";
    let row = sqlx::query(SQL)
        .bind(organization)
        .fetch_one(&mut *tx)
        .await?;
    Ok(super::size(&row, "n")?)
}

/// Changes what is asked for; `None` if there is no such environment. Names that it has published stay as they are.
pub async fn update(
    tx: &mut Tx,
    id: EnvironmentId,
    changes: &EnvironmentChanges,
) -> Result<Option<Environment>, CatalogError> {
    const SQL: &str = "
        UPDATE environments SET name = coalesce($2, name),
            registry_name_pattern = CASE $3 WHEN 1 THEN $4 ELSE registry_name_pattern END,
            anonymous_pull = coalesce($5, anonymous_pull)
        WHERE id = $1
        RETURNING id, organization_id, label, name, prior_id, registry_name_pattern, anonymous_pull, created_at";
    let updated = sqlx::query_as(SQL)
        .bind(id)
        .bind(&changes.name)
        .bind(i64::from(changes.registry_name_pattern.is_some()))
        .bind(
            changes
                .registry_name_pattern
                .as_ref()
                .and_then(Option::as_ref),
        )
        .bind(changes.anonymous_pull.map(i64::from));
    Ok(updated.fetch_optional(&mut *tx).await?)
}

/// Removes the environment; false if it was gone already.
///
/// [`CatalogError::Needed`] if it is Library, if another one follows it, or as long as it publishes something.
pub async fn remove(tx: &mut Tx, id: EnvironmentId) -> Result<bool, CatalogError> {
    const PUBLISHED: &str = "
        SELECT count(*) AS n FROM (
            SELECT repository_id FROM published WHERE environment_id = $1
            UNION SELECT repository_id FROM repository_names WHERE environment_id = $1)";
    const SQL: &str = "DELETE FROM environments WHERE id = $1";
    let Some(environment) = get(tx, id).await? else {
        return Ok(false);
    };
    let needed = |why: String| CatalogError::Needed {
        what: "environment",
        label: environment.label,
        why,
    };
    if environment.prior.is_none() {
        return Err(needed("every organization has it".to_owned()));
    }
    if let Some(successor) = successor(tx, id).await? {
        let why = format!("`{successor}` follows it; delete that one first");
        return Err(needed(why));
    }
    let published = sqlx::query(PUBLISHED).bind(id).fetch_one(&mut *tx).await?;
    let published = super::size(&published, "n")?;
    if published > 0 {
        let why = format!("it publishes versions of repositories: {published} in all");
        return Err(needed(why));
    }
    let removed = sqlx::query(SQL).bind(id).execute(&mut *tx).await?;
    Ok(removed.rows_affected() > 0)
}
