//! Organizations: who owns products, repositories and environments.

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use sqlx::{FromRow, Row as _};

use super::{CatalogError, OrganizationId, environments, time};
use crate::{Label, Tx};

/// An organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Its number, used in names by number.
    pub id: OrganizationId,
    /// Its label: unique without case, never changed.
    pub label: String,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An organization to be made.
#[derive(Clone, Debug)]
pub struct NewOrganization {
    /// Its label.
    pub label: Label,
    /// What people call it.
    pub name: String,
}

impl FromRow<'_, SqliteRow> for Organization {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            label: row.try_get("label")?,
            name: row.try_get("name")?,
            created_at: time(row, "created_at")?,
        })
    }
}

/// Makes an organization and its environment Library.
///
/// [`CatalogError::Duplicate`] if the label is taken, in whatever case.
pub async fn create(
    tx: &mut Tx,
    new: &NewOrganization,
    at: Timestamp,
) -> Result<Organization, CatalogError> {
    const SQL: &str = "
        INSERT INTO organizations (label, label_key, name, created_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (label_key) DO NOTHING
        RETURNING id, label, name, created_at";
    // What is published there by another organization would hide what is pushed to this one.
    const NAMES: &str = "
        SELECT name FROM repository_names
        WHERE name = $1 OR name >= $1 || '/' AND name < $1 || '0' ORDER BY name LIMIT 1";
    let published: Option<String> = sqlx::query_scalar(NAMES)
        .bind(new.label.key())
        .fetch_optional(&mut *tx)
        .await?;
    let exists = find(tx, new.label.as_str()).await?.is_some();
    if published.is_some() && !exists {
        return Err(CatalogError::Duplicate {
            what: "a published name of another organization that begins with",
            label: new.label.to_string(),
        });
    }
    let created: Option<Organization> = sqlx::query_as(SQL)
        .bind(new.label.as_str())
        .bind(new.label.key())
        .bind(&new.name)
        .bind(at.0)
        .fetch_optional(&mut *tx)
        .await?;
    let organization = created.ok_or_else(|| CatalogError::Duplicate {
        what: if exists {
            "an organization"
        } else {
            "a deleted organization"
        },
        label: new.label.to_string(),
    })?;
    environments::create_library(tx, organization.id, at).await?;
    Ok(organization)
}

/// The organization with this label, in whatever case.
pub async fn find(tx: &mut Tx, label: &str) -> Result<Option<Organization>, CatalogError> {
    const SQL: &str = "
        SELECT id, label, name, created_at FROM organizations
        WHERE label_key = $1 AND deleted_at IS NULL";
    let found = sqlx::query_as(SQL).bind(label.to_ascii_lowercase());
    Ok(found.fetch_optional(&mut *tx).await?)
}

/// The number of the organization that has or had this label, in whatever case: also of one that was deleted. No label is given twice.
pub async fn id_of(tx: &mut Tx, label: &str) -> Result<Option<OrganizationId>, CatalogError> {
    const SQL: &str = "SELECT id FROM organizations WHERE label_key = $1";
    let found = sqlx::query_scalar(SQL).bind(label.to_ascii_lowercase());
    Ok(found.fetch_optional(&mut *tx).await?)
}

/// The label of the organization with this number, also of one that was deleted.
pub async fn label_of(tx: &mut Tx, id: OrganizationId) -> Result<Option<String>, CatalogError> {
    const SQL: &str = "SELECT label FROM organizations WHERE id = $1";
    let found = sqlx::query_scalar(SQL).bind(id);
    Ok(found.fetch_optional(&mut *tx).await?)
}

/// The organization with this number.
pub async fn get(tx: &mut Tx, id: OrganizationId) -> Result<Option<Organization>, CatalogError> {
    const SQL: &str = "
        SELECT id, label, name, created_at FROM organizations WHERE id = $1 AND deleted_at IS NULL";
    Ok(sqlx::query_as(SQL)
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?)
}

/// Up to `limit` organizations by number, from the one that follows `after`.
pub async fn list(
    tx: &mut Tx,
    after: Option<OrganizationId>,
    limit: u32,
) -> Result<Vec<Organization>, CatalogError> {
    const SQL: &str = "
        SELECT id, label, name, created_at FROM organizations
        WHERE id > $1 AND deleted_at IS NULL ORDER BY id LIMIT $2";
    let page = sqlx::query_as(SQL)
        .bind(after.map_or(0, |after| after.0))
        .bind(i64::from(limit));
    Ok(page.fetch_all(&mut *tx).await?)
}

/// How many organizations there are.
pub async fn count(tx: &mut Tx) -> Result<u64, CatalogError> {
    const SQL: &str = "SELECT count(*) AS n FROM organizations WHERE deleted_at IS NULL";
    let row = sqlx::query(SQL).fetch_one(&mut *tx).await?;
    Ok(super::size(&row, "n")?)
}

/// Gives the organization another name; `None` if there is no such organization.
pub async fn rename(
    tx: &mut Tx,
    id: OrganizationId,
    name: &str,
) -> Result<Option<Organization>, CatalogError> {
    const SQL: &str = "
        UPDATE organizations SET name = $2 WHERE id = $1 AND deleted_at IS NULL
        RETURNING id, label, name, created_at";
    let renamed = sqlx::query_as(SQL).bind(id).bind(name);
    Ok(renamed.fetch_optional(&mut *tx).await?)
}

/// Deletes the organization, which nobody finds any more. It keeps its label: tasks and the audit tell of it by that. False: it was
/// deleted already.
pub async fn bury(tx: &mut Tx, id: OrganizationId, at: Timestamp) -> Result<bool, CatalogError> {
    const SQL: &str = "
        UPDATE organizations SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL";
    let buried = sqlx::query(SQL).bind(id).bind(at.0).execute(&mut *tx);
    Ok(buried.await?.rows_affected() > 0)
}

/// Takes back [`bury`]. False: it was not deleted.
pub async fn unbury(tx: &mut Tx, id: OrganizationId) -> Result<bool, CatalogError> {
    const SQL: &str = "
        UPDATE organizations SET deleted_at = NULL WHERE id = $1 AND deleted_at IS NOT NULL";
    let back = sqlx::query(SQL).bind(id).execute(&mut *tx).await?;
    Ok(back.rows_affected() > 0)
}
