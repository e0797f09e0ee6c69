//! The instance: the id by which a database and a content folder know that they belong together.

use engine::clock::Timestamp;
use uuid::Uuid;

use super::CatalogError;
use crate::Tx;

/// The id of this instance; `None` before its first start.
pub async fn id(tx: &mut Tx) -> Result<Option<Uuid>, CatalogError> {
    const SQL: &str = "SELECT id FROM instance WHERE one = 1";
    Ok(sqlx::query_scalar(SQL).fetch_optional(&mut *tx).await?)
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
