//! The keys that tokens are signed with.

use std::fmt;

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use sqlx::{FromRow, Row as _};

use super::{CatalogError, time};
use crate::Tx;

/// A key pair. Its `Debug` does not show the private half.
#[derive(Clone)]
pub struct SigningKey {
    /// What tokens name it by.
    pub id: String,
    /// The half that signs.
    pub private_key: Vec<u8>,
    /// The half that verifies.
    pub public_key: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

impl FromRow<'_, SqliteRow> for SigningKey {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            private_key: row.try_get("private_key")?,
            public_key: row.try_get("public_key")?,
            created_at: time(row, "created_at")?,
        })
    }
}

/// Keeps a key. One that is there already stays as it is.
pub async fn put(tx: &mut Tx, key: &SigningKey) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO signing_keys (id, private_key, public_key, created_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (id) DO NOTHING";
    sqlx::query(SQL)
        .bind(&key.id)
        .bind(&key.private_key)
        .bind(&key.public_key)
        .bind(key.created_at.0)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// All keys, newest first: sign with the first, verify with any.
pub async fn all(tx: &mut Tx) -> Result<Vec<SigningKey>, CatalogError> {
    const SQL: &str = "
        SELECT id, private_key, public_key, created_at FROM signing_keys
        ORDER BY created_at DESC, id";
    Ok(sqlx::query_as(SQL).fetch_all(&mut *tx).await?)
}

/// Forgets all keys but the newest `kept`: what those signed does not count any more.
pub async fn keep_newest(tx: &mut Tx, kept: u32) -> Result<(), CatalogError> {
    const SQL: &str = "
        DELETE FROM signing_keys WHERE id NOT IN (
            SELECT id FROM signing_keys ORDER BY created_at DESC, id LIMIT $1)";
    sqlx::query(SQL)
        .bind(i64::from(kept))
        .execute(&mut *tx)
        .await?;
    Ok(())
}
