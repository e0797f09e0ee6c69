//! Robots: users without a password that belong to an organization and log in with a token.
//!
//! A robot logs in as `<organization label>+<name>`, which no person's login can be.

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use sqlx::{FromRow, Row as _};

use super::organizations::Organization;
use super::tokens::{self, NewToken};
use super::{CatalogError, OrganizationId, UserId, stored_json, time};
use crate::Tx;

/// What a robot's token is called; it has just one.
const TOKEN_NAME: &str = "robot";

/// A hash that no password has.
const NO_PASSWORD: &str = "";

/// A robot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Robot {
    /// Its number, among those of users.
    pub id: UserId,
    /// What it logs in as: `acme+ci`.
    pub login: String,
    /// What it is called in its organization: `ci`.
    pub name: String,
    /// Whose it is: it never has a role elsewhere.
    pub organization: OrganizationId,
    /// False: it may not log in.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its token was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

impl FromRow<'_, SqliteRow> for Robot {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let last_used_at: Option<i64> = row.try_get("last_used_at")?;
        Ok(Self {
            id: row.try_get("id")?,
            login: row.try_get("login")?,
            name: row.try_get("name")?,
            organization: row.try_get("robot_of")?,
            enabled: row.try_get::<i64, _>("enabled")? == 1,
            created_at: time(row, "created_at")?,
            last_used_at: last_used_at.map(Timestamp),
        })
    }
}

/// Makes a robot whose token has this SHA-256.
///
/// [`CatalogError::Duplicate`] if the organization has, or had, a robot of that name, in whatever case.
pub async fn create(
    tx: &mut Tx,
    organization: &Organization,
    name: &str,
    secret_sha256: [u8; 32],
    at: Timestamp,
) -> Result<Robot, CatalogError> {
    const SQL: &str = "
        INSERT INTO users (login, login_key, name, password_hash, enabled, created_at, robot_of)
        VALUES ($1, $2, $3, $4, 1, $5, $6)
        ON CONFLICT (login_key) DO NOTHING
        RETURNING id, login, name, enabled, created_at, robot_of, NULL AS last_used_at";
    let login = format!("{}+{name}", organization.label);
    let created: Option<Robot> = sqlx::query_as(SQL)
        .bind(&login)
        .bind(login.to_lowercase())
        .bind(name)
        .bind(NO_PASSWORD)
        .bind(at.0)
        .bind(organization.id)
        .fetch_optional(&mut *tx)
        .await?;
    let robot = created.ok_or(CatalogError::Duplicate {
        what: "a robot, maybe a deleted one,",
        label: login,
    })?;
    give_token(tx, robot.id, secret_sha256, at).await?;
    Ok(robot)
}

/// Gives the robot a new token; the one it had does not count any more.
pub async fn renew_token(
    tx: &mut Tx,
    robot: UserId,
    secret_sha256: [u8; 32],
    at: Timestamp,
) -> Result<(), CatalogError> {
    tokens::delete_all(tx, robot).await?;
    give_token(tx, robot, secret_sha256, at).await
}

async fn give_token(
    tx: &mut Tx,
    robot: UserId,
    secret_sha256: [u8; 32],
    at: Timestamp,
) -> Result<(), CatalogError> {
    let token = NewToken {
        user: robot,
        name: TOKEN_NAME.to_owned(),
        secret_sha256,
        scope: None,
        expires_at: None,
    };
    tokens::create(tx, &token, at).await.map(drop)
}

/// The robot with this number, unless its organization was deleted.
pub async fn get(tx: &mut Tx, id: UserId) -> Result<Option<Robot>, CatalogError> {
    const SQL: &str = "
        SELECT u.id, u.login, u.name, u.enabled, u.created_at, u.robot_of, t.last_used_at
        FROM users u LEFT JOIN tokens t ON t.user_id = u.id
        JOIN organizations o ON o.id = u.robot_of
        WHERE u.id = $1 AND o.deleted_at IS NULL AND u.deleted_at IS NULL";
    Ok(sqlx::query_as(SQL)
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?)
}

/// All robots of the organization, by number.
pub async fn of(tx: &mut Tx, organization: OrganizationId) -> Result<Vec<Robot>, CatalogError> {
    const SQL: &str = "
        SELECT u.id, u.login, u.name, u.enabled, u.created_at, u.robot_of, t.last_used_at
        FROM users u LEFT JOIN tokens t ON t.user_id = u.id
        WHERE u.robot_of = $1 AND u.deleted_at IS NULL ORDER BY u.id";
    let found = sqlx::query_as(SQL).bind(organization);
    Ok(found.fetch_all(&mut *tx).await?)
}

/// Lets no robot of the organization log in any more; answers which could.
pub async fn disable_all(
    tx: &mut Tx,
    organization: OrganizationId,
) -> Result<Vec<UserId>, CatalogError> {
    const SQL: &str = "
        UPDATE users SET enabled = 0
        WHERE robot_of = $1 AND enabled = 1 AND deleted_at IS NULL RETURNING id";
    let disabled = sqlx::query_scalar(SQL).bind(organization);
    Ok(disabled.fetch_all(&mut *tx).await?)
}

/// Takes back [`disable_all`] for these.
pub async fn enable_all(tx: &mut Tx, robots: &[UserId]) -> Result<(), CatalogError> {
    const SQL: &str = "
        UPDATE users SET enabled = 1
        WHERE id IN (SELECT value FROM json_each($1)) AND deleted_at IS NULL";
    let robots = stored_json(&robots)?;
    sqlx::query(SQL).bind(robots).execute(&mut *tx).await?;
    Ok(())
}

/// Up to `limit` robots of all organizations by number, from the one that follows `after`; but for those of deleted organizations.
pub async fn list(
    tx: &mut Tx,
    after: Option<UserId>,
    limit: u32,
) -> Result<Vec<Robot>, CatalogError> {
    const SQL: &str = "
        SELECT u.id, u.login, u.name, u.enabled, u.created_at, u.robot_of, t.last_used_at
        FROM users u LEFT JOIN tokens t ON t.user_id = u.id
        JOIN organizations o ON o.id = u.robot_of
        WHERE o.deleted_at IS NULL AND u.deleted_at IS NULL AND u.id > $1
        ORDER BY u.id LIMIT $2";
    let page = sqlx::query_as(SQL)
        .bind(after.map_or(0, |after| after.0))
        .bind(i64::from(limit));
    Ok(page.fetch_all(&mut *tx).await?)
}

/// How many robots there are.
pub async fn count(tx: &mut Tx) -> Result<u64, CatalogError> {
    const SQL: &str = "
        SELECT count(*) AS n FROM users u JOIN organizations o ON o.id = u.robot_of
        WHERE o.deleted_at IS NULL AND u.deleted_at IS NULL";
    let row = sqlx::query(SQL).fetch_one(&mut *tx).await?;
    Ok(super::size(&row, "n")?)
}
