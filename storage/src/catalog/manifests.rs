//! Manifests: the bytes as they came, once per digest, and what they are where they were pushed to.

mod document;
mod json;

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use engine::clock::Timestamp;
use sqlx::Row as _;

use super::{CatalogError, DestinationId, json, parsed, parsed_option, stored_json, stored_size};
use crate::{Digest, Tx};

pub use document::{MediaKind, Unreadable};
pub(in crate::catalog) use json::{Piece, Platform, is_object, text, texts};

/// A manifest: its bytes, and what was read out of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What it is called by.
    pub digest: Digest,
    /// As the client sent it.
    pub media_type: String,
    /// What it says it is, for lists of referrers: `artifactType`, else the media type of its config.
    pub artifact_type: Option<String>,
    /// The manifest it is about. That one need not exist.
    pub subject: Option<Digest>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its bytes, exactly as they came.
    pub bytes: Bytes,
    /// What it consists of, in its own order.
    pub parts: Vec<Part>,
}

/// Something a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is to the manifest.
    pub kind: PartKind,
    /// Its digest.
    pub digest: Digest,
    /// Its media type, as the manifest says.
    pub media_type: String,
    /// Its size, as the manifest says.
    pub size_bytes: u64,
    /// `os/architecture[/variant]`, if the manifest says.
    pub platform: Option<String>,
    /// True: the manifest says where else to get it, so that it need not be here.
    pub foreign: bool,
}

/// What a part is to its manifest.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumString, serde::Serialize,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// The blob that describes it.
    Config,
    /// A blob of its content.
    Layer,
    /// A manifest of an index.
    Manifest,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// Images and indexes of OCI and docker must be what they say; anything else that is a JSON object is an artifact,
    /// of which those parts are taken that are well-formed.
    pub fn read(digest: Digest, media_type: &str, bytes: Bytes) -> Result<Self, Unreadable> {
        document::read(digest, media_type, bytes)
    }

    /// What its media type says it is.
    #[must_use]
    pub fn kind(&self) -> MediaKind {
        MediaKind::of(&self.media_type)
    }

    /// The parts that must be here before the manifest may be: all that are not foreign.
    pub fn required(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| !part.foreign)
    }

    /// The blob that describes it.
    #[must_use]
    pub fn config(&self) -> Option<&Part> {
        self.parts.iter().find(|part| part.kind == PartKind::Config)
    }
}

/// Keeps the bytes of a manifest, once for all repositories. What they mean is written down with each of them
/// ([`pushed::add`](super::pushed::add)).
pub async fn put(tx: &mut Tx, manifest: &Manifest, at: Timestamp) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO manifests (digest, size_bytes, bytes, created_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (digest) DO NOTHING";
    sqlx::query(SQL)
        .bind(manifest.digest.to_string())
        .bind(stored_size(manifest.bytes.len() as u64))
        .bind(&manifest.bytes[..])
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// The bytes of a manifest, and what they were pushed as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// As the client sent it.
    pub media_type: String,
    /// Its bytes, exactly as they came.
    pub bytes: Bytes,
}

/// What was pushed to that destination under this digest, for who needs nothing of what it says.
pub async fn content(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
) -> Result<Option<Content>, CatalogError> {
    const SQL: &str = "
        SELECT p.media_type, m.bytes
        FROM pushed_manifests p JOIN manifests m ON m.digest = p.digest
        WHERE p.destination_id = $1 AND p.digest = $2";
    let row = sqlx::query(SQL)
        .bind(destination)
        .bind(digest.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let bytes: Vec<u8> = row.try_get("bytes")?;
    Ok(Some(Content {
        media_type: row.try_get("media_type")?,
        bytes: bytes.into(),
    }))
}

/// The manifest with this digest, as it was pushed to that destination.
pub async fn get(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
) -> Result<Option<Manifest>, CatalogError> {
    let Some(Content { media_type, bytes }) = content(tx, destination, digest).await? else {
        return Ok(None);
    };
    // What once could be read can be read again; should the rules get stricter, the row still knows all but its parts.
    match Manifest::read(*digest, &media_type, bytes.clone()) {
        Ok(manifest) => Ok(Some(manifest)),
        Err(_) => as_written_down(tx, destination, *digest, media_type, bytes).await,
    }
}

async fn as_written_down(
    tx: &mut Tx,
    destination: DestinationId,
    digest: Digest,
    media_type: String,
    bytes: Bytes,
) -> Result<Option<Manifest>, CatalogError> {
    const SQL: &str = "
        SELECT artifact_type, subject, annotations FROM pushed_manifests
        WHERE destination_id = $1 AND digest = $2";
    let row = sqlx::query(SQL)
        .bind(destination)
        .bind(digest.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Manifest {
        digest,
        media_type,
        artifact_type: row.try_get("artifact_type")?,
        subject: parsed_option(&row, "subject")?,
        annotations: json(&row, "annotations")?,
        bytes,
        parts: Vec::new(),
    }))
}

/// How long these manifests are, of those that are kept: one statement for all of them.
pub async fn sizes(
    tx: &mut Tx,
    digests: impl IntoIterator<Item = &Digest>,
) -> Result<HashMap<Digest, u64>, CatalogError> {
    const SQL: &str = "
        SELECT m.digest, m.size_bytes FROM json_each($1) asked
        CROSS JOIN manifests m WHERE m.digest = asked.value";
    let digests: Vec<&Digest> = digests.into_iter().collect();
    if digests.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(SQL)
        .bind(stored_json(&digests)?)
        .fetch_all(&mut *tx)
        .await?;
    let sizes = rows
        .iter()
        .map(|row| Ok((parsed(row, "digest")?, super::size(row, "size_bytes")?)));
    Ok(sizes.collect::<Result<_, sqlx::Error>>()?)
}

/// True if the manifest is kept, wherever it was pushed to.
pub async fn exists(tx: &mut Tx, digest: &Digest) -> Result<bool, CatalogError> {
    const SQL: &str = "SELECT 1 FROM manifests WHERE digest = $1";
    let found: Option<i64> = sqlx::query_scalar(SQL)
        .bind(digest.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    Ok(found.is_some())
}

/// The manifests that these name and that must be in that destination, in one question however many there are.
pub async fn children(
    tx: &mut Tx,
    destination: DestinationId,
    digests: &[Digest],
) -> Result<Vec<Digest>, CatalogError> {
    const SQL: &str = "
        SELECT DISTINCT o.digest FROM json_each($2) asked
        CROSS JOIN pushed_manifests p CROSS JOIN manifest_parts o
        WHERE p.destination_id = $1 AND p.digest = asked.value
          AND o.pushed_id = p.id AND o.kind = 'manifest'";
    let rows = sqlx::query(SQL)
        .bind(destination)
        .bind(stored_json(&digests)?)
        .fetch_all(&mut *tx)
        .await?;
    let children = rows.iter().map(|row| parsed(row, "digest"));
    Ok(children.collect::<Result<_, _>>()?)
}

/// What the manifest names and must be in that destination, each once, in its own order; nothing if it is not there.
pub async fn parts(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
) -> Result<Vec<Part>, CatalogError> {
    const SQL: &str = "
        SELECT o.kind, o.digest, o.media_type, o.size_bytes
        FROM pushed_manifests p JOIN manifest_parts o ON o.pushed_id = p.id
        WHERE p.destination_id = $1 AND p.digest = $2 ORDER BY o.position";
    let rows = sqlx::query(SQL)
        .bind(destination)
        .bind(digest.to_string())
        .fetch_all(&mut *tx)
        .await?;
    let mut parts = Vec::with_capacity(rows.len());
    for row in &rows {
        parts.push(Part {
            kind: parsed(row, "kind")?,
            digest: parsed(row, "digest")?,
            media_type: row.try_get("media_type")?,
            size_bytes: super::size(row, "size_bytes")?,
            platform: None,
            foreign: false,
        });
    }
    Ok(parts)
}
