//! Destinations: where pushes to one name go. A destination's number is that of the repository which a push makes there.

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use sqlx::{FromRow, Row as _};

use super::{CatalogError, DestinationId, OrganizationId, time};
use crate::{Label, Tx};

/// Where pushes to one name go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Its number, and that of the later repository.
    pub id: DestinationId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// The label of the product as it was first pushed; the product may not exist yet.
    pub product_label: String,
    /// The name inside the product: lower case, may hold slashes.
    pub name: String,
    /// When it was first pushed to.
    pub created_at: Timestamp,
    /// When its name was given up; none: it leads there.
    pub retired_at: Option<Timestamp>,
}

impl FromRow<'_, SqliteRow> for Destination {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            organization: row.try_get("organization_id")?,
            product_label: row.try_get("product_label")?,
            name: row.try_get("name")?,
            created_at: time(row, "created_at")?,
            retired_at: row.try_get::<Option<i64>, _>("retired_at")?.map(Timestamp),
        })
    }
}

/// The live destination of this name; the product's label in whatever case.
pub async fn find(
    tx: &mut Tx,
    organization: OrganizationId,
    product_label: &str,
    name: &str,
) -> Result<Option<Destination>, CatalogError> {
    const SQL: &str = "
        SELECT id, organization_id, product_label, name, created_at, retired_at FROM destinations
        WHERE organization_id = $1 AND product_key = $2 AND name = $3 AND retired_at IS NULL";
    let found = sqlx::query_as(SQL)
        .bind(organization)
        .bind(product_label.to_ascii_lowercase())
        .bind(name);
    Ok(found.fetch_optional(&mut *tx).await?)
}

/// Finds the live destination of this name, or makes it. Two requests that ask at once get the same one.
pub async fn make(
    tx: &mut Tx,
    organization: OrganizationId,
    product_label: &Label,
    name: &str,
    at: Timestamp,
) -> Result<Destination, CatalogError> {
    const SQL: &str = "
        INSERT INTO destinations (organization_id, product_label, product_key, name, created_at)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (organization_id, product_key, name) WHERE retired_at IS NULL DO NOTHING
        RETURNING id, organization_id, product_label, name, created_at, retired_at";
    let made = sqlx::query_as(SQL)
        .bind(organization)
        .bind(product_label.as_str())
        .bind(product_label.key())
        .bind(name)
        .bind(at.0)
        .fetch_optional(&mut *tx)
        .await?;
    match made {
        Some(destination) => Ok(destination),
        None => find(tx, organization, product_label.as_str(), name)
            .await?
            .ok_or_else(|| CatalogError::missing("destination", name)),
    }
}

/// All live destinations of an organization, or of one of its products, by number.
pub async fn live_of(
    tx: &mut Tx,
    organization: OrganizationId,
    product_label: Option<&str>,
) -> Result<Vec<Destination>, CatalogError> {
    const SQL: &str = "
        SELECT id, organization_id, product_label, name, created_at, retired_at FROM destinations
        WHERE organization_id = $1 AND ($2 IS NULL OR product_key = $2) AND retired_at IS NULL
        ORDER BY id";
    let found = sqlx::query_as(SQL)
        .bind(organization)
        .bind(product_label.map(str::to_ascii_lowercase));
    Ok(found.fetch_all(&mut *tx).await?)
}

/// Retires the destination: its name is free, and leads there no more. False: it was retired already.
pub async fn retire(tx: &mut Tx, id: DestinationId, at: Timestamp) -> Result<bool, CatalogError> {
    const SQL: &str = "
        UPDATE destinations SET retired_at = $2 WHERE id = $1 AND retired_at IS NULL";
    let retired = sqlx::query(SQL).bind(id).bind(at.0);
    Ok(retired.execute(&mut *tx).await?.rows_affected() > 0)
}

/// Lets the destination live again under this name, which nobody has as the caller has seen.
pub async fn revive(tx: &mut Tx, id: DestinationId, name: &str) -> Result<(), CatalogError> {
    const SQL: &str = "UPDATE destinations SET retired_at = NULL, name = $2 WHERE id = $1";
    sqlx::query(SQL)
        .bind(id)
        .bind(name)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// True if its name leads there.
pub async fn is_live(tx: &mut Tx, id: DestinationId) -> Result<bool, CatalogError> {
    const SQL: &str = "SELECT 1 FROM destinations WHERE id = $1 AND retired_at IS NULL";
    let found: Option<i64> = sqlx::query_scalar(SQL)
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?;
    Ok(found.is_some())
}

/// The destination with this number, live or retired.
pub async fn get(tx: &mut Tx, id: DestinationId) -> Result<Option<Destination>, CatalogError> {
    const SQL: &str = "
        SELECT id, organization_id, product_label, name, created_at, retired_at FROM destinations WHERE id = $1";
    Ok(sqlx::query_as(SQL)
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?)
}
