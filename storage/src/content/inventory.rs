//! Everything that is stored, whoever may see it: for `doctor`, which compares rows and objects, and for who reads it again.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use sqlx::Row as _;

use super::embedded::blobs::Blob;
use super::objects::{Chunks, DiskObjects, ObjectError, ObjectName, Objects};
use super::{Content, ContentError, OBJECTS_FOLDER};
use crate::{Digest, Tx};

/// A blob and the object that holds its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlob {
    /// The blob.
    pub blob: Blob,
    /// Its object.
    pub object: ObjectName,
}

impl Content {
    /// All bytes of a blob as they lie there, whoever may see it.
    pub async fn read_stored(&self, stored: &StoredBlob) -> Result<Chunks, ObjectError> {
        let whole = 0..stored.blob.size_bytes;
        self.objects().read_range(&stored.object, whole).await
    }
}

/// The objects of a content folder that exists; `None` if nothing was ever stored in it.
pub fn objects(content_dir: &Path) -> Result<Option<Arc<dyn Objects>>, ContentError> {
    let folder = content_dir.join(OBJECTS_FOLDER);
    if !folder.is_dir() {
        return Ok(None);
    }
    match DiskObjects::open(&folder) {
        Ok(objects) => Ok(Some(Arc::new(objects))),
        Err(error) => Err(ContentError::Folder {
            path: folder,
            source: Arc::new(error),
        }),
    }
}

/// Up to `limit` blobs that have an object, in the order of their digests, from the one that follows `after`.
pub async fn blobs(
    tx: &mut Tx,
    after: Option<&Digest>,
    limit: u32,
) -> Result<Vec<StoredBlob>, ContentError> {
    const SQL: &str = "
        SELECT digest, size_bytes, object FROM blobs
        WHERE digest > $1 AND has_object = 1 ORDER BY digest LIMIT $2";
    let rows = sqlx::query(SQL)
        .bind(after.map_or_else(String::new, ToString::to_string))
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await?;
    let mut blobs = Vec::with_capacity(rows.len());
    for row in &rows {
        let blob = Blob {
            digest: crate::catalog::parsed(row, "digest")?,
            size_bytes: crate::catalog::size(row, "size_bytes")?,
        };
        let object = crate::catalog::parsed(row, "object")?;
        blobs.push(StoredBlob { blob, object });
    }
    Ok(blobs)
}

/// The blob, if it has an object.
pub async fn blob(tx: &mut Tx, digest: &Digest) -> Result<Option<StoredBlob>, ContentError> {
    const SQL: &str = "SELECT size_bytes, object FROM blobs WHERE digest = $1 AND has_object = 1";
    let row = sqlx::query(SQL)
        .bind(digest.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(StoredBlob {
        blob: Blob {
            digest: *digest,
            size_bytes: crate::catalog::size(&row, "size_bytes")?,
        },
        object: crate::catalog::parsed(&row, "object")?,
    }))
}

/// How many bytes all blobs have together that have an object.
pub async fn bytes(tx: &mut Tx) -> Result<u64, ContentError> {
    const SQL: &str = "SELECT coalesce(sum(size_bytes), 0) FROM blobs WHERE has_object = 1";
    let bytes: i64 = sqlx::query_scalar(SQL).fetch_one(&mut *tx).await?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}

/// Every object that a row answers for: those of blobs, those of open upload sessions, and those that are about to be deleted.
pub async fn accounted_for(tx: &mut Tx) -> Result<BTreeSet<String>, ContentError> {
    const SQL: &str = "
        SELECT object FROM blobs WHERE has_object = 1 UNION SELECT object FROM uploads
        UNION SELECT object FROM doomed";
    let rows = sqlx::query(SQL).fetch_all(&mut *tx).await?;
    let names = rows.iter().map(|row| row.try_get("object"));
    Ok(names.collect::<Result<_, _>>()?)
}

/// How many upload sessions are neither finished nor given up.
pub async fn open_uploads(tx: &mut Tx) -> Result<u64, ContentError> {
    const SQL: &str = "SELECT count(*) FROM uploads";
    let open: i64 = sqlx::query_scalar(SQL).fetch_one(&mut *tx).await?;
    Ok(u64::try_from(open).unwrap_or(0))
}
