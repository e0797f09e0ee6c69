//! Users: people who log in with a password. Robots are rows of the same table, see [`robots`](super::robots).

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use sqlx::{FromRow, Row as _};

use super::{CatalogError, OrganizationId, UserId, grants, time, tokens};
use crate::Tx;

/// A user, without his password's hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// His number.
    pub id: UserId,
    /// What he logs in with: unique without case, never changed.
    pub login: String,
    /// What people call him.
    pub name: String,
    /// Where to write to him.
    pub email: Option<String>,
    /// False: he may not log in.
    pub enabled: bool,
    /// The organization whose robot it is; none: a person.
    pub robot_of: Option<OrganizationId>,
    /// When he was made.
    pub created_at: Timestamp,
    /// How often his password was changed: what was got with another password does not count any more.
    pub password_changes: i64,
}

/// A user to be made.
#[derive(Clone)]
pub struct NewUser {
    /// What he logs in with.
    pub login: String,
    /// What people call him.
    pub name: String,
    /// Where to write to him.
    pub email: Option<String>,
    /// The hash of his password.
    pub password_hash: String,
    /// False: he may not log in yet.
    pub enabled: bool,
}

/// What to change of a user; what is none stays.
#[derive(Clone, Default)]
pub struct UserChanges {
    /// What people call him.
    pub name: Option<String>,
    /// Where to write to him; `Some(None)`: nowhere.
    pub email: Option<Option<String>>,
    /// Whether he may log in.
    pub enabled: Option<bool>,
    /// The hash of his new password.
    pub password_hash: Option<String>,
}

/// What a login is checked against.
#[derive(Clone)]
pub struct Credentials {
    /// Whose they are.
    pub user: User,
    /// The hash of his password.
    pub password_hash: String,
}

impl FromRow<'_, SqliteRow> for User {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            login: row.try_get("login")?,
            name: row.try_get("name")?,
            email: row.try_get("email")?,
            enabled: row.try_get::<i64, _>("enabled")? == 1,
            robot_of: row.try_get("robot_of")?,
            created_at: time(row, "created_at")?,
            password_changes: row.try_get("password_changes")?,
        })
    }
}

/// Makes a user; [`CatalogError::Duplicate`] if the login is taken, in whatever case. That of a deleted user stays taken:
/// tasks and audit name who it was.
pub async fn create(tx: &mut Tx, new: &NewUser, at: Timestamp) -> Result<User, CatalogError> {
    const SQL: &str = "
        INSERT INTO users (login, login_key, name, email, password_hash, enabled, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (login_key) DO NOTHING
        RETURNING id, login, name, email, enabled, robot_of, created_at, password_changes";
    let created = sqlx::query_as(SQL)
        .bind(&new.login)
        .bind(new.login.to_lowercase())
        .bind(&new.name)
        .bind(&new.email)
        .bind(&new.password_hash)
        .bind(i64::from(new.enabled))
        .bind(at.0);
    created
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| CatalogError::Duplicate {
            what: "a user, maybe a deleted one,",
            label: new.login.clone(),
        })
}

/// The user with this login, in whatever case.
pub async fn find(tx: &mut Tx, login: &str) -> Result<Option<User>, CatalogError> {
    const SQL: &str = "
        SELECT id, login, name, email, enabled, robot_of, created_at, password_changes FROM users
        WHERE login_key = $1 AND deleted_at IS NULL";
    let found = sqlx::query_as(SQL).bind(login.to_lowercase());
    Ok(found.fetch_optional(&mut *tx).await?)
}

/// The user with this number.
pub async fn get(tx: &mut Tx, id: UserId) -> Result<Option<User>, CatalogError> {
    const SQL: &str = "
        SELECT id, login, name, email, enabled, robot_of, created_at, password_changes FROM users
        WHERE id = $1 AND deleted_at IS NULL";
    Ok(sqlx::query_as(SQL)
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?)
}

/// What a login with this name is checked against.
pub async fn credentials(tx: &mut Tx, login: &str) -> Result<Option<Credentials>, CatalogError> {
    const SQL: &str = "
        SELECT id, login, name, email, enabled, robot_of, created_at, password_changes, password_hash FROM users
        WHERE login_key = $1 AND deleted_at IS NULL";
    let row = sqlx::query(SQL)
        .bind(login.to_lowercase())
        .fetch_optional(&mut *tx)
        .await?;
    let credentials = row.map(|row| {
        Ok::<_, sqlx::Error>(Credentials {
            user: User::from_row(&row)?,
            password_hash: row.try_get("password_hash")?,
        })
    });
    Ok(credentials.transpose()?)
}

/// Up to `limit` people by number, from the one that follows `after`.
pub async fn list(
    tx: &mut Tx,
    after: Option<UserId>,
    limit: u32,
) -> Result<Vec<User>, CatalogError> {
    const SQL: &str = "
        SELECT id, login, name, email, enabled, robot_of, created_at, password_changes FROM users
        WHERE id > $1 AND robot_of IS NULL AND deleted_at IS NULL ORDER BY id LIMIT $2";
    let page = sqlx::query_as(SQL)
        .bind(after.map_or(0, |after| after.0))
        .bind(i64::from(limit));
    Ok(page.fetch_all(&mut *tx).await?)
}

/// How many people there are.
pub async fn count(tx: &mut Tx) -> Result<u64, CatalogError> {
    const SQL: &str = "
        SELECT count(*) AS n FROM users WHERE robot_of IS NULL AND deleted_at IS NULL";
    let row = sqlx::query(SQL).fetch_one(&mut *tx).await?;
    Ok(super::size(&row, "n")?)
}

/// Changes what is asked for; `None` if there is no such user.
pub async fn update(
    tx: &mut Tx,
    id: UserId,
    changes: &UserChanges,
) -> Result<Option<User>, CatalogError> {
    const SQL: &str = "
        UPDATE users SET
            name = coalesce($2, name),
            email = CASE WHEN $3 = 1 THEN $4 ELSE email END,
            enabled = coalesce($5, enabled),
            password_hash = coalesce($6, password_hash),
            password_changes = password_changes + CASE WHEN $6 IS NULL THEN 0 ELSE 1 END
        WHERE id = $1 AND deleted_at IS NULL
        RETURNING id, login, name, email, enabled, robot_of, created_at, password_changes";
    let updated = sqlx::query_as(SQL)
        .bind(id)
        .bind(&changes.name)
        .bind(i64::from(changes.email.is_some()))
        .bind(changes.email.clone().flatten())
        .bind(changes.enabled.map(i64::from))
        .bind(&changes.password_hash);
    Ok(updated.fetch_optional(&mut *tx).await?)
}

/// Deletes a user or a robot, with all roles and tokens; `false` if there is none.
///
/// The row stays, because pushes name it, and so does the login.
pub async fn delete(tx: &mut Tx, id: UserId, at: Timestamp) -> Result<bool, CatalogError> {
    const SQL: &str = "
        UPDATE users SET deleted_at = $2, enabled = 0, password_hash = '', email = NULL
        WHERE id = $1 AND deleted_at IS NULL";
    let deleted = sqlx::query(SQL)
        .bind(id)
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    grants::delete_all(tx, id).await?;
    tokens::delete_all(tx, id).await?;
    Ok(deleted.rows_affected() == 1)
}
