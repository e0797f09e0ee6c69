//! Manifests: the bytes as they came, once per digest, and what they consist of.

mod document;

use std::collections::BTreeMap;

use bytes::Bytes;
use engine::clock::Timestamp;
use sqlx::Row as _;

use super::{CatalogError, json, parsed, parsed_option, stored_json, stored_size};
use crate::{Digest, Tx};

pub use document::{MediaKind, Unreadable};
pub(in crate::catalog) use document::{platform, texts};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
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

/// Keeps a manifest and its parts. One that is there already stays as it is: its digest is its bytes.
///
/// Foreign parts are not written down: the table says what must be here.
pub async fn put(tx: &mut Tx, manifest: &Manifest, at: Timestamp) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO manifests (digest, media_type, artifact_type, subject, annotations, size_bytes,
            bytes, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (digest) DO NOTHING";
    const PART: &str = "
        INSERT INTO manifest_parts (manifest, position, kind, digest, media_type, size_bytes)
        VALUES ($1, $2, $3, $4, $5, $6)";
    let digest = manifest.digest.to_string();
    let put = sqlx::query(SQL)
        .bind(&digest)
        .bind(&manifest.media_type)
        .bind(&manifest.artifact_type)
        .bind(manifest.subject.map(|subject| subject.to_string()))
        .bind(stored_json(&manifest.annotations)?)
        .bind(stored_size(manifest.bytes.len() as u64))
        .bind(&manifest.bytes[..])
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    if put.rows_affected() == 0 {
        return Ok(());
    }
    for (position, part) in (0_i64..).zip(manifest.required()) {
        sqlx::query(PART)
            .bind(&digest)
            .bind(position)
            .bind(part.kind.to_string())
            .bind(part.digest.to_string())
            .bind(&part.media_type)
            .bind(stored_size(part.size_bytes))
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// The manifest with this digest.
pub async fn get(tx: &mut Tx, digest: &Digest) -> Result<Option<Manifest>, CatalogError> {
    const SQL: &str = "
        SELECT media_type, artifact_type, subject, annotations, bytes FROM manifests
        WHERE digest = $1";
    let row = sqlx::query(SQL)
        .bind(digest.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let bytes: Vec<u8> = row.try_get("bytes")?;
    let media_type: String = row.try_get("media_type")?;
    let bytes = Bytes::from(bytes);
    // What once could be read can be read again; should the rules get stricter, the row still knows the rest.
    let parts = Manifest::read(*digest, &media_type, bytes.clone())
        .map(|read| read.parts)
        .unwrap_or_default();
    Ok(Some(Manifest {
        digest: *digest,
        media_type,
        artifact_type: row.try_get("artifact_type")?,
        subject: parsed_option(&row, "subject")?,
        annotations: json(&row, "annotations")?,
        bytes,
        parts,
    }))
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

/// What the manifest names and must be here, in its own order; nothing if there is no such manifest.
pub async fn parts(tx: &mut Tx, digest: &Digest) -> Result<Vec<Part>, CatalogError> {
    const SQL: &str = "
        SELECT kind, digest, media_type, size_bytes FROM manifest_parts
        WHERE manifest = $1 ORDER BY position";
    let rows = sqlx::query(SQL)
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
