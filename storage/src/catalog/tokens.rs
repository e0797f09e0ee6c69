//! Tokens that stand for a user: personal ones, and the one of each robot. Only their SHA-256 is kept.

use std::time::Duration;

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use sqlx::{FromRow, Row as _};

use super::roles::PermissionSet;
use super::{CatalogError, TokenId, UserId, json_option, stored_json, time};
use crate::Tx;

/// The last use is written at most so often: it tells people which tokens are dead, no more.
const NOTED_EVERY: Duration = Duration::from_mins(1);

/// A token, without its secret, which nobody can show again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its number.
    pub id: TokenId,
    /// Whose it is.
    pub user: UserId,
    /// What its user calls it.
    pub name: String,
    /// Nothing beyond these permissions is done with it; none: whatever its user may.
    pub scope: Option<PermissionSet>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it does not count any more.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// A token to be made.
#[derive(Clone)]
pub struct NewToken {
    /// Whose it is.
    pub user: UserId,
    /// What its user calls it.
    pub name: String,
    /// The SHA-256 of its secret.
    pub secret_sha256: [u8; 32],
    /// Nothing beyond these permissions is done with it; none: whatever its user may.
    pub scope: Option<PermissionSet>,
    /// From when on it does not count any more.
    pub expires_at: Option<Timestamp>,
}

impl Token {
    /// True unless its time is over.
    #[must_use]
    pub fn counts_at(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    /// True if its use now is worth a write.
    #[must_use]
    pub fn use_is_news(&self, now: Timestamp) -> bool {
        self.last_used_at
            .is_none_or(|noted| now >= noted + NOTED_EVERY)
    }
}

impl FromRow<'_, SqliteRow> for Token {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let moment = |column: &str| {
            let at: Option<i64> = row.try_get(column)?;
            Ok::<_, sqlx::Error>(at.map(Timestamp))
        };
        Ok(Self {
            id: row.try_get("id")?,
            user: row.try_get("user_id")?,
            name: row.try_get("name")?,
            scope: json_option(row, "scope")?,
            created_at: time(row, "created_at")?,
            expires_at: moment("expires_at")?,
            last_used_at: moment("last_used_at")?,
        })
    }
}

/// Makes a token; [`CatalogError::Duplicate`] if its user has one of that name.
pub async fn create(tx: &mut Tx, new: &NewToken, at: Timestamp) -> Result<Token, CatalogError> {
    const SQL: &str = "
        INSERT INTO tokens (user_id, name, secret_sha256, scope, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (user_id, name) DO NOTHING
        RETURNING id, user_id, name, scope, created_at, expires_at, last_used_at";
    let created = sqlx::query_as(SQL)
        .bind(new.user)
        .bind(&new.name)
        .bind(&new.secret_sha256[..])
        .bind(new.scope.map(|scope| stored_json(&scope)).transpose()?)
        .bind(at.0)
        .bind(new.expires_at.map(|end| end.0));
    created
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| CatalogError::Duplicate {
            what: "a token",
            label: new.name.clone(),
        })
}

/// The token whose secret has this SHA-256, whether or not its time is over.
pub async fn by_secret(
    tx: &mut Tx,
    secret_sha256: &[u8; 32],
) -> Result<Option<Token>, CatalogError> {
    const SQL: &str = "
        SELECT id, user_id, name, scope, created_at, expires_at, last_used_at FROM tokens
        WHERE secret_sha256 = $1";
    let found = sqlx::query_as(SQL).bind(&secret_sha256[..]);
    Ok(found.fetch_optional(&mut *tx).await?)
}

/// The token with this number.
pub async fn get(tx: &mut Tx, id: TokenId) -> Result<Option<Token>, CatalogError> {
    const SQL: &str = "
        SELECT id, user_id, name, scope, created_at, expires_at, last_used_at FROM tokens
        WHERE id = $1";
    Ok(sqlx::query_as(SQL)
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?)
}

/// Up to `limit` tokens of the user by number, from the one that follows `after`.
pub async fn list(
    tx: &mut Tx,
    user: UserId,
    after: Option<TokenId>,
    limit: u32,
) -> Result<Vec<Token>, CatalogError> {
    const SQL: &str = "
        SELECT id, user_id, name, scope, created_at, expires_at, last_used_at FROM tokens
        WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    let page = sqlx::query_as(SQL)
        .bind(user)
        .bind(after.map_or(0, |after| after.0))
        .bind(i64::from(limit));
    Ok(page.fetch_all(&mut *tx).await?)
}

/// How many tokens the user has.
pub async fn count(tx: &mut Tx, user: UserId) -> Result<u64, CatalogError> {
    const SQL: &str = "SELECT count(*) AS n FROM tokens WHERE user_id = $1";
    let row = sqlx::query(SQL).bind(user).fetch_one(&mut *tx).await?;
    Ok(super::size(&row, "n")?)
}

/// Revokes a token; false if there was no such token. From now on nothing that was got by it counts.
pub async fn delete(tx: &mut Tx, id: TokenId) -> Result<bool, CatalogError> {
    const SQL: &str = "DELETE FROM tokens WHERE id = $1";
    let deleted = sqlx::query(SQL).bind(id).execute(&mut *tx).await?;
    Ok(deleted.rows_affected() == 1)
}

/// Revokes all tokens of the user.
pub async fn delete_all(tx: &mut Tx, user: UserId) -> Result<(), CatalogError> {
    const SQL: &str = "DELETE FROM tokens WHERE user_id = $1";
    sqlx::query(SQL).bind(user).execute(&mut *tx).await?;
    Ok(())
}

/// Writes down that the token was used.
pub async fn note_use(tx: &mut Tx, id: TokenId, at: Timestamp) -> Result<(), CatalogError> {
    const SQL: &str = "
        UPDATE tokens SET last_used_at = $2
        WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";
    sqlx::query(SQL)
        .bind(id)
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    Ok(())
}
