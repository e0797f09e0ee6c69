//! Lifecycle environments: where versions are published. Every organization has Library.

use crate::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _};

use super::{CatalogError, EnvironmentId, OrganizationId};
use crate::Tx;

/// The label and name of the environment that pushes publish into.
pub const LIBRARY: &str = "Library";

/// A lifecycle environment of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Its number.
    pub id: EnvironmentId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its label: unique in the organization without case, among products too.
    pub label: String,
    /// What people call it.
    pub name: String,
    /// What is promoted into it; none: it is Library.
    pub prior: Option<EnvironmentId>,
}

impl FromRow<'_, SqliteRow> for Environment {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            organization: row.try_get("organization_id")?,
            label: row.try_get("label")?,
            name: row.try_get("name")?,
            prior: row.try_get("prior_id")?,
        })
    }
}

/// Makes Library for an organization that has just been made.
pub(super) async fn create_library(
    tx: &mut Tx,
    organization: OrganizationId,
) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO environments (organization_id, label, label_key, name) VALUES ($1, $2, $3, $2)";
    sqlx::query(SQL)
        .bind(organization)
        .bind(LIBRARY)
        .bind(LIBRARY.to_ascii_lowercase())
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// The environment of the organization that pushes publish into.
pub async fn library(
    tx: &mut Tx,
    organization: OrganizationId,
) -> Result<Environment, CatalogError> {
    const SQL: &str = "
        SELECT id, organization_id, label, name, prior_id FROM environments
        WHERE organization_id = $1 AND prior_id IS NULL";
    let found = sqlx::query_as(SQL).bind(organization);
    found
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| CatalogError::missing("Library in organization", organization))
}

/// All environments of the organization, Library first.
pub async fn list(
    tx: &mut Tx,
    organization: OrganizationId,
) -> Result<Vec<Environment>, CatalogError> {
    const SQL: &str = "
        SELECT id, organization_id, label, name, prior_id FROM environments
        WHERE organization_id = $1 ORDER BY id";
    Ok(sqlx::query_as(SQL)
        .bind(organization)
        .fetch_all(&mut *tx)
        .await?)
}
