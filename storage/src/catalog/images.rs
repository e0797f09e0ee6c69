//! Images: what `reindex` reads out of a manifest of a repository and its config, for people.

use std::collections::{BTreeMap, HashMap};

use crate::sqlite::SqliteRow;
use serde::Deserialize;
use sqlx::{FromRow, Row as _};

use super::manifests::{Manifest, MediaKind, Piece, Platform, is_object, text, texts};
use super::{CatalogError, DestinationId, json, parsed, size, stored_json, stored_size};
use crate::search::{Sql, push_is};
use crate::{Digest, Tx};

const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// What a manifest turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum ImageKind {
    /// An image for one platform.
    Image,
    /// A list of images.
    Index,
    /// Anything else: a chart, a signature, or an image whose config could not be read.
    Artifact,
}

/// What people want to know of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The manifest.
    pub digest: Digest,
    /// What it turned out to be.
    pub kind: ImageKind,
    /// `os/architecture[/variant]`, each once.
    pub platforms: Vec<String>,
    /// The labels in its config.
    pub labels: BTreeMap<String, String>,
    /// When it was built, as its config says.
    pub created: Option<String>,
    /// The manifest's bytes and those of everything it consists of.
    pub size_bytes: u64,
    /// What could not be read, and what was made of it.
    pub warning: Option<String>,
}

impl Image {
    /// Reads what a manifest and its config say. Never fails: at worst it is an artifact with a warning.
    ///
    /// `config` is none when it is not here or too large to be read.
    #[must_use]
    pub fn read(manifest: &Manifest, config: Option<&[u8]>) -> Self {
        let plain = Self {
            digest: manifest.digest,
            kind: ImageKind::Artifact,
            platforms: Vec::new(),
            labels: BTreeMap::new(),
            created: None,
            size_bytes: weigh(manifest),
            warning: None,
        };
        match manifest.kind() {
            MediaKind::Artifact => plain,
            MediaKind::Index => Self {
                kind: ImageKind::Index,
                platforms: index_platforms(manifest),
                ..plain
            },
            MediaKind::Image if !has_image_config(manifest) => plain,
            MediaKind::Image => match read_config(config) {
                Ok(config) => Self {
                    kind: ImageKind::Image,
                    platforms: Platform::of(config).map(clean).into_iter().collect(),
                    labels: labels(config)
                        .into_iter()
                        .map(|(name, value)| (clean(name), clean(value)))
                        .collect(),
                    created: created(config).map(clean),
                    ..plain
                },
                Err(why) => Self {
                    warning: Some(format!("shown as an artifact: {why}")),
                    ..plain
                },
            },
        }
    }
}

fn has_image_config(manifest: &Manifest) -> bool {
    manifest.config().is_some_and(|config| {
        let is = |known: &str| config.media_type.eq_ignore_ascii_case(known);
        is(OCI_CONFIG) || is(DOCKER_CONFIG)
    })
}

fn labels(config: Piece<'_>) -> BTreeMap<String, String> {
    #[derive(Deserialize)]
    struct Outer<'a> {
        #[serde(borrow)]
        config: Option<Piece<'a>>,
    }
    #[derive(Deserialize)]
    struct Inner<'a> {
        #[serde(borrow, rename = "Labels")]
        labels: Option<Piece<'a>>,
    }
    let outer: Option<Outer<'_>> = serde_json::from_str(config.get()).ok();
    let inner = outer
        .and_then(|outer| outer.config)
        .filter(|inner| is_object(inner));
    let inner: Option<Inner<'_>> = inner.and_then(|inner| serde_json::from_str(inner.get()).ok());
    texts(inner.and_then(|inner| inner.labels))
}

fn created(config: Piece<'_>) -> Option<String> {
    #[derive(Deserialize)]
    struct Created<'a> {
        #[serde(borrow)]
        created: Option<Piece<'a>>,
    }
    let read: Created<'_> = serde_json::from_str(config.get()).ok()?;
    text(read.created)
}

fn read_config(config: Option<&[u8]>) -> Result<Piece<'_>, String> {
    let bytes = config.ok_or("its config is missing or too large to be read")?;
    let config: Piece<'_> = serde_json::from_slice(bytes)
        .map_err(|error| format!("its config is not readable JSON: {error}"))?;
    if is_object(config) {
        Ok(config)
    } else {
        Err("its config is not a JSON object".to_owned())
    }
}

/// In the order of the index; attestations, which call themselves `unknown/unknown`, are no platform.
fn index_platforms(manifest: &Manifest) -> Vec<String> {
    let mut platforms = Vec::new();
    for platform in manifest
        .parts
        .iter()
        .filter_map(|part| part.platform.clone())
    {
        let platform = clean(platform);
        if platform != "unknown/unknown" && !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    platforms
}

fn weigh(manifest: &Manifest) -> u64 {
    let parts: BTreeMap<Digest, u64> = manifest
        .required()
        .map(|part| (part.digest, part.size_bytes))
        .collect();
    parts
        .values()
        .fold(manifest.bytes.len() as u64, |sum, size| {
            sum.saturating_add(*size)
        })
}

/// Without the one character that not every database can keep in a text.
fn clean(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

impl FromRow<'_, SqliteRow> for Image {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            digest: parsed(row, "digest")?,
            kind: parsed(row, "kind")?,
            platforms: json(row, "platforms")?,
            labels: json(row, "labels")?,
            created: row.try_get("created")?,
            size_bytes: size(row, "size_bytes")?,
            warning: row.try_get("warning")?,
        })
    }
}

/// Writes down what was read, in place of what was read before. The manifest must have been pushed to the destination.
///
/// An index weighs what its images weigh, so write those first.
pub async fn upsert(
    tx: &mut Tx,
    destination: DestinationId,
    image: &Image,
) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO images (pushed_id, kind, platforms, labels, created, size_bytes, warning)
        SELECT id, $3, $4, $5, $6, $7, $8 FROM pushed_manifests
        WHERE destination_id = $1 AND digest = $2
        ON CONFLICT (pushed_id) DO UPDATE SET kind = excluded.kind, platforms = excluded.platforms,
            labels = excluded.labels, created = excluded.created,
            size_bytes = excluded.size_bytes, warning = excluded.warning";
    let size_bytes = match image.kind {
        ImageKind::Index => weigh_index(tx, destination, image).await?,
        ImageKind::Image | ImageKind::Artifact => stored_size(image.size_bytes),
    };
    sqlx::query(SQL)
        .bind(destination)
        .bind(image.digest.to_string())
        .bind(image.kind.to_string())
        .bind(stored_json(&image.platforms)?)
        .bind(stored_json(&image.labels)?)
        .bind(&image.created)
        .bind(size_bytes)
        .bind(&image.warning)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// The bytes of an index and of the images in it that are indexed; a child that is not counts as its manifest, and a blob,
/// as BuildKit's caches list them, as itself.
async fn weigh_index(
    tx: &mut Tx,
    destination: DestinationId,
    index: &Image,
) -> Result<i64, CatalogError> {
    const OWN: &str = "SELECT size_bytes FROM manifests WHERE digest = $1";
    const CHILDREN: &str = "
        SELECT DISTINCT o.digest, coalesce(i.size_bytes, o.size_bytes) AS size_bytes
        FROM pushed_manifests p JOIN manifest_parts o ON o.pushed_id = p.id
        LEFT JOIN pushed_manifests c ON c.destination_id = p.destination_id AND c.digest = o.digest
        LEFT JOIN images i ON i.pushed_id = c.id
        WHERE p.destination_id = $1 AND p.digest = $2";
    let digest = index.digest.to_string();
    let own: Option<i64> = sqlx::query_scalar(OWN)
        .bind(&digest)
        .fetch_optional(&mut *tx)
        .await?;
    let rows = sqlx::query(CHILDREN)
        .bind(destination)
        .bind(&digest)
        .fetch_all(&mut *tx)
        .await?;
    let mut sum = own.unwrap_or_default();
    for row in rows {
        sum = sum.saturating_add(row.try_get("size_bytes")?);
    }
    Ok(sum)
}

/// What is written down of the manifest with this digest in that destination.
pub async fn get(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
) -> Result<Option<Image>, CatalogError> {
    const SQL: &str = "
        SELECT p.digest, i.kind, i.platforms, i.labels, i.created, i.size_bytes, i.warning
        FROM pushed_manifests p JOIN images i ON i.pushed_id = p.id
        WHERE p.destination_id = $1 AND p.digest = $2";
    let found = sqlx::query_as(SQL)
        .bind(destination)
        .bind(digest.to_string());
    Ok(found.fetch_optional(&mut *tx).await?)
}

/// Those of the manifests in that destination that nothing is written down of, in their order.
pub async fn unread(
    tx: &mut Tx,
    destination: DestinationId,
    digests: &[Digest],
) -> Result<Vec<Digest>, CatalogError> {
    const SQL: &str = "
        SELECT p.digest FROM json_each($2) asked
        CROSS JOIN pushed_manifests p
        WHERE p.destination_id = $1 AND p.digest = asked.value
          AND NOT EXISTS (SELECT 1 FROM images i WHERE i.pushed_id = p.id)
        ORDER BY asked.key";
    let rows = sqlx::query(SQL)
        .bind(destination)
        .bind(stored_json(&digests)?)
        .fetch_all(&mut *tx)
        .await?;
    let digests = rows.iter().map(|row| parsed(row, "digest"));
    Ok(digests.collect::<Result<_, _>>()?)
}

/// A manifest as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The media type it was pushed as.
    pub media_type: String,
    /// What was read of it; none if nothing was yet.
    pub image: Option<Image>,
}

const SEEN: &str = "
    SELECT p.digest, p.media_type,
        i.kind, i.platforms, i.labels, i.created, i.size_bytes, i.warning
    FROM pushed_manifests p LEFT JOIN images i ON i.pushed_id = p.id WHERE p.destination_id = ";

/// What is known of these manifests in that destination, but for their bytes.
pub async fn seen(
    tx: &mut Tx,
    destination: DestinationId,
    digests: &[Digest],
) -> Result<HashMap<Digest, Seen>, CatalogError> {
    let digests: Vec<String> = digests.iter().map(ToString::to_string).collect();
    let mut sql = Sql::new(SEEN);
    sql.push_bind(destination).push(" AND ");
    push_is(&mut sql, "p.digest", &digests);
    let rows = sql.build().fetch_all(&mut *tx).await?;
    let read = rows.iter().map(|row| {
        let kind: Option<String> = row.try_get("kind")?;
        let image = kind.map(|_| Image::from_row(row)).transpose()?;
        let media_type = row.try_get("media_type")?;
        Ok((parsed(row, "digest")?, Seen { media_type, image }))
    });
    Ok(read.collect::<Result<_, sqlx::Error>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::json;

    const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

    fn image(config_type: &str) -> Manifest {
        let document = json!({
            "config": {"digest": Digest::of(b"c"), "size": 100, "mediaType": config_type},
            "layers": [
                {"digest": Digest::of(b"l"), "size": 1000, "mediaType": "l"},
                {"digest": Digest::of(b"l"), "size": 1000, "mediaType": "l"},
            ],
        });
        let bytes = Bytes::from(document.to_string());
        Manifest::read(Digest::of(&bytes), OCI_IMAGE, bytes).unwrap()
    }

    #[test]
    fn an_image_is_described_by_its_config() {
        let config = json!({
            "os": "linux", "architecture": "amd64", "created": "2026-01-01T00:00:00Z",
            "config": {"Labels": {"vendor": "acme", "odd": 7, "nul": "a\0b"}},
        });
        let manifest = image(OCI_CONFIG);

        let read = Image::read(&manifest, Some(config.to_string().as_bytes()));

        assert_eq!(read.kind, ImageKind::Image);
        assert_eq!(read.platforms, ["linux/amd64"]);
        assert_eq!(read.labels["vendor"], "acme");
        assert_eq!(read.labels["nul"], "a\u{fffd}b");
        assert_eq!(read.labels.len(), 2);
        assert_eq!(read.created.as_deref(), Some("2026-01-01T00:00:00Z"));
        assert_eq!(
            read.size_bytes,
            manifest.bytes.len() as u64 + 1100,
            "a layer named twice is stored once"
        );
        assert_eq!(read.warning, None);
    }

    #[test]
    fn an_image_whose_config_is_unreadable_is_an_artifact_with_a_warning() {
        for config in [None, Some(&b"nonsense"[..]), Some(&b"[]"[..])] {
            let read = Image::read(&image(DOCKER_CONFIG), config);

            assert_eq!(read.kind, ImageKind::Artifact);
            assert!(
                read.warning
                    .unwrap()
                    .starts_with("shown as an artifact: its config ")
            );
        }
    }

    #[test]
    fn a_manifest_with_a_config_of_its_own_kind_is_an_artifact_without_a_warning() {
        let read = Image::read(&image("application/vnd.cncf.helm.config.v1+json"), None);

        assert_eq!((read.kind, read.warning), (ImageKind::Artifact, None));
    }

    proptest! {
        #[test]
        fn whatever_the_config_contains_it_is_read(
            bytes: Vec<u8>,
            text in "[{]\"(os|config|created)\":[\\[\\]{}\":,a-zL0-9]{0,100}[}]?",
        ) {
            let manifest = image(OCI_CONFIG);
            let _ = Image::read(&manifest, Some(&bytes));
            let _ = Image::read(&manifest, Some(text.as_bytes()));
        }
    }
}
