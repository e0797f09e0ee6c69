//! The robots by which a smart proxy pulls from here that is no server of ours.

use std::fmt;

use crate::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _};

use crate::Tx;
use crate::catalog::{CatalogError, OrganizationId, SmartProxyId, UserId};

/// A robot of ours, with its token.
#[derive(Clone)]
pub struct Puller {
    /// The robot.
    pub robot: UserId,
    /// What it shows in place of a password.
    pub token: String,
}

/// The token is shown nowhere.
impl fmt::Debug for Puller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Puller")
            .field("robot", &self.robot)
            .finish_non_exhaustive()
    }
}

impl FromRow<'_, SqliteRow> for Puller {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            robot: row.try_get("user_id")?,
            token: row.try_get("token")?,
        })
    }
}

/// The one by which the proxy pulls from that organization; none: none was made yet.
pub async fn find(
    tx: &mut Tx,
    proxy: SmartProxyId,
    organization: OrganizationId,
) -> Result<Option<Puller>, CatalogError> {
    const SQL: &str = "
        SELECT user_id, token FROM smart_proxy_robots WHERE proxy_id = $1 AND organization_id = $2";
    let found = sqlx::query_as(SQL).bind(proxy).bind(organization);
    Ok(found.fetch_optional(&mut *tx).await?)
}

/// From now on the proxy pulls from that organization by this one.
pub async fn put(
    tx: &mut Tx,
    proxy: SmartProxyId,
    organization: OrganizationId,
    puller: &Puller,
) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO smart_proxy_robots (proxy_id, organization_id, user_id, token)
        SELECT $1, $2, $3, $4 WHERE EXISTS (SELECT 1 FROM smart_proxies WHERE id = $1)
        ON CONFLICT (proxy_id, organization_id)
            DO UPDATE SET user_id = excluded.user_id, token = excluded.token";
    sqlx::query(SQL)
        .bind(proxy)
        .bind(organization)
        .bind(puller.robot)
        .bind(&puller.token)
        .execute(&mut *tx)
        .await?;
    Ok(())
}
