//! Blobs: once per digest in the whole store, visible where they are linked.

use std::ops::Range;

use bytes::Bytes;
use engine::clock::Timestamp;
use futures_util::TryStreamExt as _;

use crate::catalog::{DestinationId, parsed, size, stored_json, stored_size};
use crate::content::objects::{Chunks, ObjectError, ObjectName};
use crate::content::{Content, ContentError};
use crate::{Digest, Tx};

/// A blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    /// What it is called by.
    pub digest: Digest,
    /// How large it is.
    pub size_bytes: u64,
}

/// A blob about to be read.
pub struct BlobReader {
    /// The blob.
    pub blob: Blob,
    /// Which of its bytes will come.
    pub range: Range<u64>,
    /// The bytes.
    pub chunks: Chunks,
}

impl Content {
    /// The blob, if it is linked to this destination; whatever else is stored is not seen, and what was lost neither.
    pub async fn blob(
        &self,
        destination: DestinationId,
        digest: &Digest,
    ) -> Result<Option<Blob>, ContentError> {
        let found = {
            let mut tx = self.0.database.look_up().await?;
            locate(&mut tx, destination, digest).await?
        };
        match found {
            Some((blob, object)) => Ok(self.is_whole(&blob, &object).await?.then_some(blob)),
            None => Ok(None),
        }
    }

    /// True if the bytes are there that the row speaks of. If not, that is told in the log: an upload brings them back.
    pub async fn is_whole(&self, blob: &Blob, object: &ObjectName) -> Result<bool, ContentError> {
        let found = self.0.objects.size(object).await?;
        let whole = found == Some(blob.size_bytes);
        if !whole {
            lost(
                &blob.digest,
                &format!("object {object} has {found:?} bytes"),
            );
        }
        Ok(whole)
    }

    /// The object of the blob that is there already, if it has lost what it should hold.
    pub(super) async fn lost_object(
        &self,
        blob: &Blob,
    ) -> Result<Option<ObjectName>, ContentError> {
        const SQL: &str = "SELECT object FROM blobs WHERE digest = $1";
        let row = {
            let mut tx = self.0.database.look_up().await?;
            let row = sqlx::query(SQL).bind(blob.digest.to_string());
            row.fetch_optional(&mut tx).await?
        };
        let Some(row) = row else { return Ok(None) };
        let object = parsed(&row, "object")?;
        Ok((!self.is_whole(blob, &object).await?).then_some(object))
    }

    /// Reads the blob, if it is linked to this destination; the part of `range` that the blob has.
    pub async fn read_blob(
        &self,
        destination: DestinationId,
        digest: &Digest,
        range: Option<Range<u64>>,
    ) -> Result<Option<BlobReader>, ContentError> {
        let mut tx = self.0.database.look_up().await?;
        let found = locate(&mut tx, destination, digest).await?;
        drop(tx);
        let Some((blob, object)) = found else {
            return Ok(None);
        };
        let range = range.unwrap_or(0..blob.size_bytes);
        let range = range.start.min(blob.size_bytes)..range.end.min(blob.size_bytes);
        let chunks = match self.0.objects.read_range(&object, range.clone()).await {
            Ok(chunks) => chunks,
            Err(error @ (ObjectError::Missing { .. } | ObjectError::Lost { .. })) => {
                lost(digest, &error);
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Some(BlobReader {
            blob,
            range,
            chunks,
        }))
    }

    /// All bytes of the blob, if it is linked to this destination and has at most `limit` of them.
    pub async fn read_small_blob(
        &self,
        destination: DestinationId,
        digest: &Digest,
        limit: u64,
    ) -> Result<Option<Bytes>, ContentError> {
        let found = {
            let mut tx = self.0.database.look_up().await?;
            locate(&mut tx, destination, digest).await?
        };
        let Some((blob, object)) = found.filter(|(blob, _)| blob.size_bytes <= limit) else {
            return Ok(None);
        };
        let chunks = self
            .0
            .objects
            .read_range(&object, 0..blob.size_bytes)
            .await?;
        let chunks: Vec<Bytes> = chunks.try_collect().await?;
        Ok(Some(chunks.concat().into()))
    }

    /// Links a blob of one destination to another; false if it is not linked to the first, or was lost.
    ///
    /// The caller has checked the right to pull there.
    pub async fn mount(
        &self,
        from: DestinationId,
        to: DestinationId,
        digest: Digest,
        at: Timestamp,
    ) -> Result<bool, ContentError> {
        if self.blob(from, &digest).await?.is_none() {
            return Ok(false);
        }
        self.0
            .database
            .transact(move |tx| {
                Box::pin(async move {
                    if stat(tx, from, &digest).await?.is_none() {
                        return Ok(false);
                    }
                    link(tx, to, &digest, at).await?;
                    Ok(true)
                })
            })
            .await?
    }
}

/// The blob, if it is linked to this destination.
pub async fn stat(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
) -> Result<Option<Blob>, ContentError> {
    Ok(locate(tx, destination, digest).await?.map(|(blob, _)| blob))
}

/// The first of these blobs that is not linked to this destination.
pub async fn first_missing(
    tx: &mut Tx,
    destination: DestinationId,
    digests: &[Digest],
) -> Result<Option<Digest>, ContentError> {
    const SQL: &str = "
        SELECT value AS digest FROM json_each($2)
        WHERE NOT EXISTS (SELECT 1 FROM blob_links WHERE destination_id = $1 AND digest = value)
        ORDER BY key LIMIT 1";
    if digests.is_empty() {
        return Ok(None);
    }
    let missing = sqlx::query(SQL)
        .bind(destination)
        .bind(stored_json(&digests)?)
        .fetch_optional(&mut *tx)
        .await?;
    Ok(missing.map(|row| parsed(&row, "digest")).transpose()?)
}

/// Up to `limit` destinations that this blob is linked to, those that have had it longest first.
pub async fn linked_to(
    tx: &mut Tx,
    digest: &Digest,
    limit: u32,
) -> Result<Vec<DestinationId>, ContentError> {
    const SQL: &str = "
        SELECT destination_id FROM blob_links WHERE digest = $1
        ORDER BY since, destination_id LIMIT $2";
    Ok(sqlx::query_scalar(SQL)
        .bind(digest.to_string())
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await?)
}

/// The blob, if it is linked to this destination, and the object that should hold its bytes.
pub async fn locate(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
) -> Result<Option<(Blob, ObjectName)>, ContentError> {
    const SQL: &str = "
        SELECT b.size_bytes, b.object FROM blob_links l JOIN blobs b ON b.digest = l.digest
        WHERE l.destination_id = $1 AND l.digest = $2";
    let row = sqlx::query(SQL)
        .bind(destination)
        .bind(digest.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let blob = Blob {
        digest: *digest,
        size_bytes: size(&row, "size_bytes")?,
    };
    Ok(Some((blob, parsed(&row, "object")?)))
}

fn lost(digest: &Digest, what: &dyn std::fmt::Display) {
    tracing::error!(%digest, "the bytes of blob {digest} are lost until somebody pushes it again: {what}");
}

/// Makes the sealed object the blob of its digest, unless there is one that is not lost; answers the object that is it now.
pub(super) async fn keep(
    tx: &mut Tx,
    blob: &Blob,
    object: &ObjectName,
    lost: Option<&ObjectName>,
    at: Timestamp,
) -> Result<ObjectName, ContentError> {
    const SQL: &str = "
        INSERT INTO blobs (digest, size_bytes, object, created_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (digest) DO UPDATE
            SET object = CASE WHEN object = $5 THEN excluded.object ELSE object END
        RETURNING object";
    let row = sqlx::query(SQL)
        .bind(blob.digest.to_string())
        .bind(stored_size(blob.size_bytes))
        .bind(object.as_str())
        .bind(at.0)
        .bind(lost.map(ObjectName::as_str))
        .fetch_one(&mut *tx)
        .await?;
    Ok(parsed(&row, "object")?)
}

/// Makes the blob visible in the destination.
pub(super) async fn link(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
    at: Timestamp,
) -> Result<(), ContentError> {
    const SQL: &str = "
        INSERT INTO blob_links (destination_id, digest, since) VALUES ($1, $2, $3)
        ON CONFLICT (destination_id, digest) DO NOTHING";
    sqlx::query(SQL)
        .bind(destination)
        .bind(digest.to_string())
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    Ok(())
}
