//! What a smart proxy holds for its main server: the same rows as there, by the same numbers, so that it is served from as there.
//!
//! Versions are numbered here as they come: one that an environment is to show is made of what that environment shows and what its main
//! server says has changed since.

mod apply;
mod removed;
mod upstream;

pub use apply::{Applied, apply, prepare};
pub use removed::{is_being_removed, remove};
pub use upstream::{
    Open, Refused, main_server, refuse_token, refused_token, set_open, tell, told, untell,
};

use std::collections::BTreeSet;

use engine::clock::Timestamp;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use crate::catalog::smart_proxies::contents::{Place, Wanted};
use crate::catalog::{
    CatalogError, DestinationId, EnvironmentId, RepositoryId, UserId, json, stored_json, time,
};
use crate::content::{ContentError, UploadId, blobs};
use crate::sqlite::SqliteRow;
use crate::{Digest, Tx};

/// In whose name everything is written here: a user who cannot log in.
pub const MIRROR: &str = "mirror";

/// What is held of a repository, as an environment publishes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub place: Place,
    /// The version, by its number at the main server.
    pub version: i64,
    /// The plan that made it there.
    pub made_by: Uuid,
    /// The names by which it is pulled here.
    pub names: Vec<String>,
    /// When it was brought.
    pub synced_at: Timestamp,
}

impl FromRow<'_, SqliteRow> for Held {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            place: Place::from_row(row)?,
            version: row.try_get("version")?,
            made_by: row.try_get("made_by")?,
            names: json(row, "names")?,
            synced_at: time(row, "synced_at")?,
        })
    }
}

/// What is held of the repository in that environment; none: nothing.
pub async fn held(tx: &mut Tx, place: Place) -> Result<Option<Held>, CatalogError> {
    const SQL: &str = "
        SELECT environment_id, repository_id, version, made_by, names, synced_at FROM mirrored
        WHERE environment_id = $1 AND repository_id = $2";
    let held = sqlx::query_as(SQL)
        .bind(place.environment)
        .bind(place.repository);
    Ok(held.fetch_optional(&mut *tx).await?)
}

/// When something was brought last, if ever.
pub async fn last_synced(tx: &mut Tx) -> Result<Option<Timestamp>, CatalogError> {
    const SQL: &str = "SELECT max(synced_at) FROM mirrored";
    let last: Option<i64> = sqlx::query_scalar(SQL).fetch_one(&mut *tx).await?;
    Ok(last.map(Timestamp))
}

/// True if this is just what is held.
pub async fn is_held(tx: &mut Tx, wanted: &Wanted) -> Result<bool, CatalogError> {
    let held = held(tx, wanted.place).await?;
    Ok(held.is_some_and(|held| {
        held.version == wanted.version
            && held.made_by == wanted.made_by
            && held.names == wanted.names
    }))
}

/// Those of these manifests that are not here yet.
pub async fn missing_manifests(
    tx: &mut Tx,
    destination: DestinationId,
    digests: &[Digest],
) -> Result<Vec<Digest>, CatalogError> {
    const SQL: &str = "
        SELECT value AS digest FROM json_each($2)
        WHERE NOT EXISTS (SELECT 1 FROM pushed_manifests
            WHERE destination_id = $1 AND digest = value AND deleted_at IS NULL)
        ORDER BY key";
    let rows = sqlx::query(SQL)
        .bind(destination)
        .bind(stored_json(&digests)?)
        .fetch_all(&mut *tx)
        .await?;
    let digests = rows.iter().map(|row| crate::catalog::parsed(row, "digest"));
    Ok(digests.collect::<Result<_, _>>()?)
}

/// Those of these blobs whose bytes are not here; the others are linked to the destination, wherever they came from.
pub async fn link_what_is_here(
    tx: &mut Tx,
    destination: DestinationId,
    digests: &BTreeSet<Digest>,
    at: Timestamp,
) -> Result<Vec<Digest>, ContentError> {
    let mut missing = Vec::new();
    for digest in digests {
        if !blobs::link_known(tx, destination, digest, at).await? {
            missing.push(*digest);
        }
    }
    Ok(missing)
}

/// In whose name everything is written.
pub async fn user(tx: &mut Tx) -> Result<UserId, CatalogError> {
    let found = crate::catalog::users::find(tx, MIRROR).await?;
    let found = found.ok_or_else(|| CatalogError::missing("user", MIRROR))?;
    Ok(found.id)
}

/// The upload session with what has come of a blob so far.
pub async fn fetch_of(tx: &mut Tx, digest: &Digest) -> Result<Option<UploadId>, CatalogError> {
    const SQL: &str = "SELECT upload_id FROM fetches WHERE digest = $1";
    let found: Option<Uuid> = sqlx::query_scalar(SQL)
        .bind(digest.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    Ok(found.map(UploadId))
}

/// From now on the blob comes into this session; none: it has come, or is given up.
pub async fn set_fetch(
    tx: &mut Tx,
    digest: &Digest,
    upload: Option<UploadId>,
) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO fetches (digest, upload_id) VALUES ($1, $2)
        ON CONFLICT (digest) DO UPDATE SET upload_id = excluded.upload_id";
    const GONE: &str = "DELETE FROM fetches WHERE digest = $1";
    let written = match upload {
        Some(upload) => sqlx::query(SQL).bind(digest.to_string()).bind(upload.0),
        None => sqlx::query(GONE).bind(digest.to_string()),
    };
    written.execute(&mut *tx).await?;
    Ok(())
}

/// Sessions of blobs that are not on their way any more: once no sync is at work, all of them.
pub async fn fetches(tx: &mut Tx) -> Result<Vec<(Digest, UploadId)>, CatalogError> {
    const SQL: &str = "SELECT digest, upload_id FROM fetches";
    let rows = sqlx::query(SQL).fetch_all(&mut *tx).await?;
    let all = rows.iter().map(|row| {
        let upload: Uuid = row.try_get("upload_id")?;
        Ok((crate::catalog::parsed(row, "digest")?, UploadId(upload)))
    });
    Ok(all.collect::<Result<_, sqlx::Error>>()?)
}

/// True if something is here that is not held: it was being removed, or was on its way.
pub async fn has_leftovers(tx: &mut Tx) -> Result<bool, CatalogError> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM tombstones)";
    Ok(sqlx::query_scalar(SQL).fetch_one(&mut *tx).await?)
}

/// All that is held, by repository and environment.
pub async fn all(tx: &mut Tx) -> Result<Vec<Held>, CatalogError> {
    const SQL: &str = "
        SELECT environment_id, repository_id, version, made_by, names, synced_at FROM mirrored
        ORDER BY repository_id, environment_id";
    Ok(sqlx::query_as(SQL).fetch_all(&mut *tx).await?)
}

/// What is held of other environments than these.
pub async fn held_elsewhere(
    tx: &mut Tx,
    environments: &[EnvironmentId],
) -> Result<Vec<Place>, CatalogError> {
    const SQL: &str = "
        SELECT environment_id, repository_id FROM mirrored
        WHERE environment_id NOT IN (SELECT value FROM json_each($1))";
    let elsewhere = sqlx::query_as(SQL).bind(stored_json(&environments)?);
    Ok(elsewhere.fetch_all(&mut *tx).await?)
}

/// The environments of which something is held of this repository.
async fn environments_of(
    tx: &mut Tx,
    repository: RepositoryId,
) -> Result<Vec<EnvironmentId>, CatalogError> {
    const SQL: &str = "SELECT environment_id FROM mirrored WHERE repository_id = $1";
    let found = sqlx::query_scalar(SQL).bind(repository);
    Ok(found.fetch_all(&mut *tx).await?)
}
