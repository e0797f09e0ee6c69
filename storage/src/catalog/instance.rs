//! The instance: the id by which a database and a content folder know that they belong together.

use engine::clock::Timestamp;
use sqlx::Row as _;
use uuid::Uuid;

use super::{CatalogError, parsed};
use crate::Tx;

/// The id of this instance; `None` before its first start.
pub async fn id(tx: &mut Tx) -> Result<Option<Uuid>, CatalogError> {
    const SQL: &str = "SELECT id FROM instance WHERE one = 1";
    Ok(sqlx::query_scalar(SQL).fetch_optional(&mut *tx).await?)
}

/// Where the content of the instance is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Backend {
    /// Beside the catalog.
    Embedded,
    /// In a Pulp 3.
    Pulp,
}

/// What the instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// It serves its own.
    Main,
    /// It is the smart proxy of another instance.
    Proxy,
}

/// What it is; `None` before its first start.
pub async fn role(tx: &mut Tx) -> Result<Option<Role>, CatalogError> {
    const SQL: &str = "SELECT role FROM instance WHERE one = 1";
    let row = sqlx::query(SQL).fetch_optional(&mut *tx).await?;
    Ok(row.map(|row| parsed(&row, "role")).transpose()?)
}

/// Makes it that; decided at the first start, and for ever.
pub async fn set_role(tx: &mut Tx, role: Role) -> Result<(), CatalogError> {
    const SQL: &str = "UPDATE instance SET role = $1 WHERE one = 1";
    let set = sqlx::query(SQL).bind(role.to_string());
    set.execute(&mut *tx).await?;
    Ok(())
}

/// Where its content is kept; and whether there may be some.
pub async fn backend(tx: &mut Tx) -> Result<Option<(Backend, bool)>, CatalogError> {
    const SQL: &str = "
        SELECT backend, EXISTS (SELECT 1 FROM destinations) AS used FROM instance WHERE one = 1";
    let row = sqlx::query(SQL).fetch_optional(&mut *tx).await?;
    let Some(row) = row else { return Ok(None) };
    let used: i64 = row.try_get("used")?;
    Ok(Some((parsed(&row, "backend")?, used == 1)))
}

/// Keeps its content there from now on.
pub async fn set_backend(tx: &mut Tx, backend: Backend) -> Result<(), CatalogError> {
    const SQL: &str = "UPDATE instance SET backend = $1 WHERE one = 1";
    sqlx::query(SQL)
        .bind(backend.to_string())
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Gives the instance an id unless it has one; answers the id it has now.
pub async fn create(tx: &mut Tx, id: Uuid, at: Timestamp) -> Result<Uuid, CatalogError> {
    const SQL: &str = "
        INSERT INTO instance (one, id, created_at) VALUES (1, $1, $2) ON CONFLICT (one) DO NOTHING";
    const KEPT: &str = "SELECT id FROM instance WHERE one = 1";
    sqlx::query(SQL)
        .bind(id)
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    Ok(sqlx::query_scalar(KEPT).fetch_one(&mut *tx).await?)
}
