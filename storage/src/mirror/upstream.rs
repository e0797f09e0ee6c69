//! What the main server has told its proxy, kept so that it serves on while that is down.

use engine::clock::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Tx;
use crate::catalog::{CatalogError, OrganizationId, json, stored_json};

/// What was told last.
pub async fn told<T: serde::de::DeserializeOwned>(tx: &mut Tx) -> Result<Option<T>, CatalogError> {
    const SQL: &str = "SELECT told FROM upstream WHERE one = 1 AND told IS NOT NULL";
    let row = sqlx::query(SQL).fetch_optional(&mut *tx).await?;
    Ok(row.map(|row| json(&row, "told")).transpose()?)
}

/// Whose content this proxy holds; none: it has never been told anything.
pub async fn main_server(tx: &mut Tx) -> Result<Option<Uuid>, CatalogError> {
    const SQL: &str = "SELECT main_server FROM upstream WHERE one = 1";
    Ok(sqlx::query_scalar(SQL).fetch_optional(&mut *tx).await?)
}

/// Keeps what was told.
pub async fn tell(
    tx: &mut Tx,
    main_server: Uuid,
    told: &impl Serialize,
) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO upstream (one, main_server, told) VALUES (1, $1, $2)
        ON CONFLICT (one) DO UPDATE SET told = excluded.told";
    let kept = sqlx::query(SQL).bind(main_server).bind(stored_json(told)?);
    kept.execute(&mut *tx).await?;
    Ok(())
}

/// Forgets what was told, but not by whom.
pub async fn untell(tx: &mut Tx) -> Result<(), CatalogError> {
    const SQL: &str = "UPDATE upstream SET told = NULL";
    sqlx::query(SQL).execute(&mut *tx).await?;
    Ok(())
}

/// A product, or an environment, that is pulled from without a login: by its number and its label, because a number may be another's
/// once a backup of the main server was restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Its number.
    pub id: i64,
    /// The number of its organization.
    pub organization: OrganizationId,
    /// Its label, in lower case.
    pub label_key: String,
}

/// These products and environments are pulled from without a login, and no others.
pub async fn set_open(
    tx: &mut Tx,
    products: &[Open],
    environments: &[Open],
) -> Result<(), CatalogError> {
    const PRODUCTS: &str = "
        UPDATE products SET anonymous_pull = NOT anonymous_pull
        WHERE anonymous_pull <> EXISTS (SELECT 1 FROM json_each($1) WHERE value ->> 'id' = products.id
            AND value ->> 'organization' = organization_id AND value ->> 'label_key' = label_key)";
    const ENVIRONMENTS: &str = "
        UPDATE environments SET anonymous_pull = NOT anonymous_pull
        WHERE anonymous_pull <> EXISTS (SELECT 1 FROM json_each($1) WHERE value ->> 'id' = environments.id
            AND value ->> 'organization' = organization_id AND value ->> 'label_key' = label_key)";
    let products = sqlx::query(PRODUCTS).bind(stored_json(&products)?);
    products.execute(&mut *tx).await?;
    let environments = sqlx::query(ENVIRONMENTS).bind(stored_json(&environments)?);
    environments.execute(&mut *tx).await?;
    Ok(())
}

/// A token that the main server does not let count any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The SHA-256 of the token.
    pub sha256: [u8; 32],
    /// When its time is over anyway.
    pub expires_at: Timestamp,
}

/// Remembers that the token does not count, until its time is over anyway; forgets those whose time is over.
pub async fn refuse_token(
    tx: &mut Tx,
    refused: Refused,
    at: Timestamp,
) -> Result<(), CatalogError> {
    const OLD: &str = "DELETE FROM refused_tokens WHERE expires_at < $1";
    const SQL: &str = "
        INSERT INTO refused_tokens (sha256, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    sqlx::query(OLD).bind(at.0).execute(&mut *tx).await?;
    let kept = sqlx::query(SQL)
        .bind(&refused.sha256[..])
        .bind(refused.expires_at.0);
    kept.execute(&mut *tx).await?;
    Ok(())
}

/// True if the token with this SHA-256 does not count any more.
pub async fn refused_token(tx: &mut Tx, sha256: &[u8; 32]) -> Result<bool, CatalogError> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM refused_tokens WHERE sha256 = $1)";
    let found = sqlx::query_scalar(SQL).bind(&sha256[..]);
    Ok(found.fetch_one(&mut *tx).await?)
}
