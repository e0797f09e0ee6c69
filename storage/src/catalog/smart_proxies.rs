//! Smart proxies: servers that hold what environments publish, too. What each of them has is [`contents`].

pub mod contents;
pub mod pullers;
pub mod tags;

use std::fmt;

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use sqlx::{FromRow, Row as _};

use super::{CatalogError, EnvironmentId, SmartProxyId, parsed, stored_json, stored_size, time};
use crate::Tx;

/// What a smart proxy is, which says how content comes to it.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "SmartProxyKind"))]
pub enum Kind {
    /// Another instance of this program, which is told to come and fetch.
    Wharfinger,
    /// A Pulp 3, which is told to sync from here.
    Pulp,
    /// Any registry, which images are pushed to.
    Oci,
}

/// How it is shown who we are.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// What this server and a proxy of kind `wharfinger` show each other.
    Secret(String),
    /// A user there.
    User {
        /// The login.
        username: String,
        /// His password.
        password: String,
    },
    /// Nobody is asked.
    Nobody,
}

/// Nothing of it is shown anywhere.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(…)")
    }
}

/// A smart proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmartProxy {
    /// Its number.
    pub id: SmartProxyId,
    /// What people call it: never changed, because its gate has that name.
    pub name: String,
    /// What it is; never changed.
    pub kind: Kind,
    /// Where it is.
    pub url: String,
    /// How it is shown who we are.
    pub login: Login,
    /// False: nothing is brought there.
    pub enabled: bool,
    /// So many blobs are on their way there at once.
    pub concurrency: u32,
    /// So fast they go in all; none: as fast as they can.
    pub bytes_per_second: Option<u64>,
    /// When it was made.
    pub created_at: Timestamp,
    /// So many syncs in a row did not bring all.
    pub failures: u32,
    /// No sync begins by itself before.
    pub try_again_at: Option<Timestamp>,
    /// What the last sync failed with; none: it brought all.
    pub error: Option<String>,
    /// When a sync has last brought all.
    pub synced_at: Option<Timestamp>,
}

/// A smart proxy to be made.
#[derive(Clone, Debug)]
pub struct NewSmartProxy {
    /// What people call it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub url: String,
    /// How it is shown who we are.
    pub login: Login,
    /// Whether anything is brought there.
    pub enabled: bool,
    /// So many blobs are on their way there at once.
    pub concurrency: u32,
    /// So fast they go in all.
    pub bytes_per_second: Option<u64>,
}

/// What to change of a smart proxy; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct SmartProxyChanges {
    /// Where it is.
    pub url: Option<String>,
    /// How it is shown who we are; of a kind that fits.
    pub login: Option<Login>,
    /// Whether anything is brought there.
    pub enabled: Option<bool>,
    /// So many blobs are on their way there at once.
    pub concurrency: Option<u32>,
    /// So fast they go in all; none in it: as fast as they can.
    pub bytes_per_second: Option<Option<u64>>,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, kind, url, secret, username, password, enabled, concurrency,
                bytes_per_second, created_at, failures, try_again_at, error, synced_at
             FROM smart_proxies ",
            $rest
        )
    };
}

impl FromRow<'_, SqliteRow> for SmartProxy {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let secret: Option<String> = row.try_get("secret")?;
        let username: Option<String> = row.try_get("username")?;
        let password: Option<String> = row.try_get("password")?;
        let moment =
            |column| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp));
        let bytes_per_second: Option<i64> = row.try_get("bytes_per_second")?;
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            kind: parsed(row, "kind")?,
            url: row.try_get("url")?,
            login: match (secret, username.zip(password)) {
                (Some(secret), _) => Login::Secret(secret),
                (None, Some((username, password))) => Login::User { username, password },
                (None, None) => Login::Nobody,
            },
            enabled: row.try_get::<i64, _>("enabled")? == 1,
            concurrency: row
                .try_get::<i64, _>("concurrency")?
                .try_into()
                .unwrap_or(1),
            bytes_per_second: bytes_per_second.and_then(|rate| rate.try_into().ok()),
            created_at: time(row, "created_at")?,
            failures: row
                .try_get::<i64, _>("failures")?
                .try_into()
                .unwrap_or(u32::MAX),
            try_again_at: moment("try_again_at")?,
            error: row.try_get("error")?,
            synced_at: moment("synced_at")?,
        })
    }
}

impl Login {
    /// The columns `secret`, `username` and `password`.
    fn columns(&self) -> (Option<&str>, Option<&str>, Option<&str>) {
        match self {
            Self::Secret(secret) => (Some(secret), None, None),
            Self::User { username, password } => (None, Some(username), Some(password)),
            Self::Nobody => (None, None, None),
        }
    }
}

/// Makes a smart proxy; [`CatalogError::Duplicate`] if another has its name, in whatever case.
pub async fn create(
    tx: &mut Tx,
    new: &NewSmartProxy,
    at: Timestamp,
) -> Result<SmartProxy, CatalogError> {
    const SQL: &str = "
        INSERT INTO smart_proxies (name, name_key, kind, url, secret, username, password, enabled,
            concurrency, bytes_per_second, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (name_key) DO NOTHING
        RETURNING id";
    let (secret, username, password) = new.login.columns();
    let created: Option<SmartProxyId> = sqlx::query_scalar(SQL)
        .bind(&new.name)
        .bind(new.name.to_ascii_lowercase())
        .bind(new.kind.to_string())
        .bind(&new.url)
        .bind(secret)
        .bind(username)
        .bind(password)
        .bind(i64::from(new.enabled))
        .bind(i64::from(new.concurrency))
        .bind(new.bytes_per_second.map(stored_size))
        .bind(at.0)
        .fetch_optional(&mut *tx)
        .await?;
    let id = created.ok_or_else(|| CatalogError::Duplicate {
        what: "a smart proxy",
        label: new.name.clone(),
    })?;
    let made = get(tx, id).await?;
    made.ok_or_else(|| CatalogError::missing("smart proxy", id))
}

/// The smart proxy with this number.
pub async fn get(tx: &mut Tx, id: SmartProxyId) -> Result<Option<SmartProxy>, CatalogError> {
    let found = sqlx::query_as(select!("WHERE id = $1")).bind(id);
    Ok(found.fetch_optional(&mut *tx).await?)
}

/// The smart proxy of this name, in whatever case.
pub async fn find(tx: &mut Tx, name: &str) -> Result<Option<SmartProxy>, CatalogError> {
    let found = sqlx::query_as(select!("WHERE name_key = $1")).bind(name.to_ascii_lowercase());
    Ok(found.fetch_optional(&mut *tx).await?)
}

/// All of them, by number.
pub async fn all(tx: &mut Tx) -> Result<Vec<SmartProxy>, CatalogError> {
    Ok(sqlx::query_as(select!("ORDER BY id"))
        .fetch_all(&mut *tx)
        .await?)
}

/// True if there is one that is enabled.
pub async fn is_any(tx: &mut Tx) -> Result<bool, CatalogError> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM smart_proxies WHERE enabled = 1)";
    Ok(sqlx::query_scalar(SQL).fetch_one(&mut *tx).await?)
}

/// Those that are enabled and have one of these environments, by number.
pub async fn with_environments(
    tx: &mut Tx,
    environments: &[EnvironmentId],
) -> Result<Vec<SmartProxy>, CatalogError> {
    const SQL: &str = select!(
        "WHERE enabled = 1 AND id IN (
            SELECT e.proxy_id FROM json_each($1) asked
            JOIN smart_proxy_environments e ON e.environment_id = asked.value) ORDER BY id"
    );
    let found = sqlx::query_as(SQL).bind(stored_json(&environments)?);
    Ok(found.fetch_all(&mut *tx).await?)
}

/// Changes it; `None`: there is none with this number.
pub async fn change(
    tx: &mut Tx,
    id: SmartProxyId,
    changes: &SmartProxyChanges,
) -> Result<Option<SmartProxy>, CatalogError> {
    const SQL: &str = "
        UPDATE smart_proxies SET url = coalesce($2, url), enabled = coalesce($3, enabled),
            concurrency = coalesce($4, concurrency),
            bytes_per_second = iif($5 = 1, $6, bytes_per_second)
        WHERE id = $1";
    // What was in the way may be mended now.
    const LOGIN: &str = "
        UPDATE smart_proxies SET secret = $2, username = $3, password = $4 WHERE id = $1";
    if let Some(url) = &changes.url {
        tags::forget_elsewhere(tx, id, url).await?;
    }
    sqlx::query(SQL)
        .bind(id)
        .bind(&changes.url)
        .bind(changes.enabled.map(i64::from))
        .bind(changes.concurrency.map(i64::from))
        .bind(i64::from(changes.bytes_per_second.is_some()))
        .bind(changes.bytes_per_second.flatten().map(stored_size))
        .execute(&mut *tx)
        .await?;
    if let Some(login) = &changes.login {
        let (secret, username, password) = login.columns();
        sqlx::query(LOGIN)
            .bind(id)
            .bind(secret)
            .bind(username)
            .bind(password)
            .execute(&mut *tx)
            .await?;
    }
    begin_again(tx, id).await?;
    get(tx, id).await
}

/// Forgets that syncs have failed: the next may begin at once.
pub async fn begin_again(tx: &mut Tx, id: SmartProxyId) -> Result<(), CatalogError> {
    const SQL: &str = "UPDATE smart_proxies SET failures = 0, try_again_at = NULL WHERE id = $1";
    sqlx::query(SQL).bind(id).execute(&mut *tx).await?;
    Ok(())
}

/// Deletes it with all that is known of it; what it holds stays there. False: there is none with this number.
pub async fn delete(tx: &mut Tx, id: SmartProxyId) -> Result<bool, CatalogError> {
    const SQL: &str = "DELETE FROM smart_proxies WHERE id = $1";
    let deleted = sqlx::query(SQL).bind(id).execute(&mut *tx).await?;
    Ok(deleted.rows_affected() > 0)
}

/// The environments that it holds, by number.
pub async fn environments(
    tx: &mut Tx,
    id: SmartProxyId,
) -> Result<Vec<EnvironmentId>, CatalogError> {
    const SQL: &str = "
        SELECT environment_id FROM smart_proxy_environments WHERE proxy_id = $1 ORDER BY environment_id";
    Ok(sqlx::query_scalar(SQL).bind(id).fetch_all(&mut *tx).await?)
}

/// From now on it holds these environments and no others.
pub async fn assign(
    tx: &mut Tx,
    id: SmartProxyId,
    environments: &[EnvironmentId],
) -> Result<(), CatalogError> {
    const OTHERS: &str = "
        DELETE FROM smart_proxy_environments
        WHERE proxy_id = $1 AND environment_id NOT IN (SELECT value FROM json_each($2))";
    const SQL: &str = "
        INSERT INTO smart_proxy_environments (proxy_id, environment_id)
        SELECT $1, value FROM json_each($2) WHERE true
        ON CONFLICT DO NOTHING";
    // What was not assigned a proxy may have dropped by itself: it is looked at.
    const DOUBTED: &str = "
        UPDATE smart_proxy_contents SET certain = 0
        WHERE proxy_id = $1 AND environment_id IN (SELECT value FROM json_each($2))
          AND environment_id NOT IN (SELECT environment_id FROM smart_proxy_environments WHERE proxy_id = $1)";
    for sql in [DOUBTED, OTHERS, SQL] {
        let assigned = sqlx::query(sql).bind(id).bind(stored_json(&environments)?);
        assigned.execute(&mut *tx).await?;
    }
    Ok(())
}

/// Writes down how a sync has ended: with all that was to be brought, or with what went wrong.
pub async fn ended(
    tx: &mut Tx,
    id: SmartProxyId,
    error: Option<&str>,
    try_again_at: Option<Timestamp>,
    at: Timestamp,
) -> Result<(), CatalogError> {
    const WELL: &str = "
        UPDATE smart_proxies SET failures = 0, try_again_at = NULL, error = NULL, synced_at = $2
        WHERE id = $1";
    const BADLY: &str = "
        UPDATE smart_proxies SET failures = failures + 1, error = $2, try_again_at = $3 WHERE id = $1";
    let written = match error {
        None => sqlx::query(WELL).bind(id).bind(at.0),
        Some(error) => sqlx::query(BADLY)
            .bind(id)
            .bind(error)
            .bind(try_again_at.map(|at| at.0)),
    };
    written.execute(&mut *tx).await?;
    Ok(())
}
