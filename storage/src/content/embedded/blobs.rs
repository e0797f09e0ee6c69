//! Blobs: once per digest in the whole store, visible where they are linked.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use engine::clock::Timestamp;
use futures_util::TryStreamExt as _;
use sqlx::Row as _;

use crate::catalog::{DestinationId, parsed, settings, size, stored_json, stored_size};
use crate::content::objects::{Chunks, ObjectError, ObjectName};
use crate::content::{Content, ContentError, pulp};
use crate::garbage::rules;
use crate::sqlite::SqliteRow;
use crate::{Digest, Tx};

/// A blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    /// What it is called by.
    pub digest: Digest,
    /// How large it is.
    pub size_bytes: u64,
}

/// Where the bytes of a blob are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In an object of ours.
    Object(ObjectName),
    /// In Pulp alone.
    Pulp,
}

/// A blob, and where its bytes should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The blob.
    pub blob: Blob,
    /// The place.
    pub place: Place,
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
            Some(found) => Ok(self.is_whole(&found).await?.then_some(found.blob)),
            None => Ok(None),
        }
    }

    /// True if the bytes are there that the row speaks of. If not, that is told in the log: an upload brings them back. Pulp is not
    /// asked: what it has lost shows when it is read, and is then known.
    pub async fn is_whole(&self, located: &Located) -> Result<bool, ContentError> {
        let Located { blob, place } = located;
        let Place::Object(object) = place else {
            let mut tx = self.0.database.look_up().await?;
            return pulp::has(&mut tx, &blob.digest).await;
        };
        let found = self.0.objects.size(object).await?;
        let whole = found == Some(blob.size_bytes);
        if !whole && self.moved(located).await?.is_some() {
            return Ok(true);
        }
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
        let known = {
            let mut tx = self.0.database.look_up().await?;
            anywhere(&mut tx, &blob.digest).await?
        };
        let Some(known) = known else { return Ok(None) };
        if self.is_whole(&known).await? {
            return Ok(None);
        }
        match known.place {
            Place::Object(object) => Ok(Some(object)),
            Place::Pulp => {
                let mut tx = self.0.database.look_up().await?;
                Ok(Some(object_of(&mut tx, &blob.digest).await?))
            }
        }
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
        let Some(found) = found else {
            return Ok(None);
        };
        let blob = found.blob;
        let range = range.unwrap_or(0..blob.size_bytes);
        let range = range.start.min(blob.size_bytes)..range.end.min(blob.size_bytes);
        let Some(chunks) = self.chunks(destination, &found, range.clone()).await? else {
            return Ok(None);
        };
        Ok(Some(BlobReader {
            blob,
            range,
            chunks,
        }))
    }

    /// Where somebody without a login can get the blob for a while, if it is linked to this destination and lies in Pulp alone.
    pub async fn blob_url(
        &self,
        destination: DestinationId,
        digest: &Digest,
    ) -> Result<Option<String>, ContentError> {
        let Some(pulp) = self.pulp() else {
            return Ok(None);
        };
        let found = {
            let mut tx = self.0.database.look_up().await?;
            locate(&mut tx, destination, digest).await?
        };
        if found.is_none_or(|found| found.place != Place::Pulp) {
            return Ok(None);
        }
        let url = self.0.url_of(pulp, destination, digest).await?;
        Ok(url.map(String::from))
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
        let Some(found) = found.filter(|found| found.blob.size_bytes <= limit) else {
            return Ok(None);
        };
        let whole = 0..found.blob.size_bytes;
        let Some(chunks) = self.chunks(destination, &found, whole).await? else {
            return Ok(None);
        };
        let chunks: Vec<Bytes> = chunks.try_collect().await?;
        Ok(Some(chunks.concat().into()))
    }

    /// The bytes of that range; none if they are lost, which the log says.
    async fn chunks(
        &self,
        destination: DestinationId,
        found: &Located,
        range: Range<u64>,
    ) -> Result<Option<Chunks>, ContentError> {
        let digest = &found.blob.digest;
        let read = match (&found.place, self.pulp()) {
            (Place::Object(object), _) => {
                let read = self.0.objects.read_range(object, range.clone()).await;
                read.map(Some).map_err(ContentError::from)
            }
            (Place::Pulp, Some(pulp)) => {
                self.0
                    .bytes_of(pulp, destination, found, range.clone())
                    .await
            }
            (Place::Pulp, None) => {
                lost(
                    digest,
                    &"it lies in Pulp, which is not the backend any more",
                );
                return Ok(None);
            }
        };
        match read {
            Err(ContentError::Object(
                error @ (ObjectError::Missing { .. } | ObjectError::Lost { .. }),
            )) => {
                // It may have moved on while it was looked for.
                if let Some(pulp) = self.pulp()
                    && let Some(moved) = self.moved(found).await?
                {
                    return self.0.bytes_of(pulp, destination, &moved, range).await;
                }
                lost(digest, &error);
                Ok(None)
            }
            read => read,
        }
    }

    /// Where the blob is by now, if that is Pulp and was not before.
    async fn moved(&self, found: &Located) -> Result<Option<Located>, ContentError> {
        let mut tx = self.0.database.look_up().await?;
        let now = anywhere(&mut tx, &found.blob.digest).await?;
        Ok(now.filter(|now| now.place == Place::Pulp && found.place != Place::Pulp))
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
                    note_use(tx, &digest, at).await?;
                    Ok(true)
                })
            })
            .await?
    }

    /// Promises that the blob stays for the grace, because somebody is told that it is here; false if it is not linked to this
    /// destination any more. Mostly the promise of before is young enough, and nothing is written.
    pub async fn promise(
        &self,
        destination: DestinationId,
        digest: &Digest,
        at: Timestamp,
    ) -> Result<bool, ContentError> {
        {
            let mut tx = self.0.database.look_up().await?;
            match used_at(&mut tx, destination, digest).await? {
                None => return Ok(false),
                Some(used) if at.since(used) < LEAST_RENEWAL => return Ok(true),
                Some(used) => {
                    let grace = settings::blob_grace(&mut tx).await?;
                    let renewed_after = grace.map_or(LONGEST_RENEWAL, rules::renewed_after);
                    if at.since(used) < renewed_after {
                        return Ok(true);
                    }
                }
            }
        }
        let digest = *digest;
        let promised = self.0.database.transact(move |tx| {
            Box::pin(async move {
                if used_at(tx, destination, &digest).await?.is_none() {
                    return Ok(false);
                }
                note_use(tx, &digest, at).await?;
                Ok(true)
            })
        });
        match promised.await.map_err(ContentError::from) {
            // Whoever collects garbage cannot write either.
            Err(error) if error.is_full() => Ok(true),
            promised => promised?,
        }
    }
}

/// What is promised anew so soon needs no look at the grace, which is an hour at least.
const LEAST_RENEWAL: Duration = Duration::from_mins(6);
/// Where blobs are kept for ever just now: the setting may be changed.
const LONGEST_RENEWAL: Duration = Duration::from_hours(2);

/// When the blob was used last, if it is linked to this destination.
async fn used_at(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
) -> Result<Option<Timestamp>, ContentError> {
    const SQL: &str = "
        SELECT b.used_at FROM blob_links l JOIN blobs b ON b.digest = l.digest
        WHERE l.destination_id = $1 AND l.digest = $2 AND l.deleted_at IS NULL";
    let used: Option<i64> = sqlx::query_scalar(SQL)
        .bind(destination)
        .bind(digest.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    Ok(used.map(Timestamp))
}

async fn note_use(tx: &mut Tx, digest: &Digest, at: Timestamp) -> Result<(), ContentError> {
    const SQL: &str = "UPDATE blobs SET used_at = $2 WHERE digest = $1 AND used_at < $2";
    sqlx::query(SQL)
        .bind(digest.to_string())
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// The blob, if it is linked to this destination.
pub async fn stat(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
) -> Result<Option<Blob>, ContentError> {
    Ok(locate(tx, destination, digest)
        .await?
        .map(|found| found.blob))
}

/// The first of these blobs that is not linked to this destination.
pub async fn first_missing(
    tx: &mut Tx,
    destination: DestinationId,
    digests: &[Digest],
) -> Result<Option<Digest>, ContentError> {
    const SQL: &str = "
        SELECT value AS digest FROM json_each($2)
        WHERE NOT EXISTS (SELECT 1 FROM blob_links
            WHERE destination_id = $1 AND digest = value AND deleted_at IS NULL)
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
        SELECT destination_id FROM blob_links WHERE digest = $1 AND deleted_at IS NULL
        ORDER BY since, destination_id LIMIT $2";
    Ok(sqlx::query_scalar(SQL)
        .bind(digest.to_string())
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await?)
}

/// The blob, if it is linked to this destination, and where its bytes should be.
pub async fn locate(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
) -> Result<Option<Located>, ContentError> {
    const SQL: &str = "
        SELECT b.size_bytes, b.object, b.has_object
        FROM blob_links l JOIN blobs b ON b.digest = l.digest
        WHERE l.destination_id = $1 AND l.digest = $2 AND l.deleted_at IS NULL";
    let row = sqlx::query(SQL)
        .bind(destination)
        .bind(digest.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    row.map(|row| located(digest, &row)).transpose()
}

/// The blob, wherever it is linked.
pub(in crate::content) async fn anywhere(
    tx: &mut Tx,
    digest: &Digest,
) -> Result<Option<Located>, ContentError> {
    const SQL: &str = "SELECT size_bytes, object, has_object FROM blobs WHERE digest = $1";
    let row = sqlx::query(SQL)
        .bind(digest.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    row.map(|row| located(digest, &row)).transpose()
}

/// The object that a blob has, or has had.
async fn object_of(tx: &mut Tx, digest: &Digest) -> Result<ObjectName, ContentError> {
    const SQL: &str = "SELECT object FROM blobs WHERE digest = $1";
    let row = sqlx::query(SQL)
        .bind(digest.to_string())
        .fetch_one(&mut *tx)
        .await?;
    Ok(parsed(&row, "object")?)
}

fn located(digest: &Digest, row: &SqliteRow) -> Result<Located, ContentError> {
    let blob = Blob {
        digest: *digest,
        size_bytes: size(row, "size_bytes")?,
    };
    let has_object: i64 = row.try_get("has_object")?;
    let place = match has_object {
        0 => Place::Pulp,
        _ => Place::Object(parsed(row, "object")?),
    };
    Ok(Located { blob, place })
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
        INSERT INTO blobs (digest, size_bytes, object, created_at, used_at) VALUES ($1, $2, $3, $4, $4)
        ON CONFLICT (digest) DO UPDATE
            SET used_at = max(used_at, excluded.used_at),
                has_object = CASE WHEN object = $5 THEN 1 ELSE has_object END,
                object = CASE WHEN object = $5 THEN excluded.object ELSE object END
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
        ON CONFLICT (destination_id, digest) DO UPDATE SET since = excluded.since, deleted_at = NULL
        WHERE deleted_at IS NOT NULL";
    sqlx::query(SQL)
        .bind(destination)
        .bind(digest.to_string())
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Makes the blob visible in the destination, if its bytes are here, wherever it is linked by now; false: they are not. Only for who has
/// a right to all that is here.
pub(crate) async fn link_known(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
    at: Timestamp,
) -> Result<bool, ContentError> {
    if anywhere(tx, digest).await?.is_none() {
        return Ok(false);
    }
    link(tx, destination, digest, at).await?;
    note_use(tx, digest, at).await?;
    Ok(true)
}

/// True if the blob is kept for this destination: also one that was deleted there and lies in a version that can be brought back.
pub async fn is_kept(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
) -> Result<bool, ContentError> {
    const SQL: &str = "
        SELECT 1 FROM blob_links l JOIN blobs b ON b.digest = l.digest
        WHERE l.destination_id = $1 AND l.digest = $2";
    let found: Option<i64> = sqlx::query_scalar(SQL)
        .bind(destination)
        .bind(digest.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    Ok(found.is_some())
}

/// A manifest of the destination that has this blob as a part, of those that were not deleted or that an environment publishes.
pub async fn needed_by(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
) -> Result<Option<Digest>, ContentError> {
    let found = sqlx::query(NEEDED_BY)
        .bind(destination)
        .bind(digest.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    Ok(found.map(|row| parsed(&row, "digest")).transpose()?)
}

const NEEDED_BY: &str = "
    SELECT h.digest FROM manifest_parts o CROSS JOIN pushed_manifests h
    WHERE o.destination_id = $1 AND o.digest = $2 AND o.kind <> 'manifest' AND h.id = o.pushed_id
      AND (h.deleted_at IS NULL OR EXISTS (
          SELECT 1 FROM published p JOIN content_in c ON c.repository_id = p.repository_id
          WHERE p.repository_id = $1 AND c.kind = 'manifest' AND c.name = h.digest
            AND c.added <= p.version AND (c.removed IS NULL OR c.removed > p.version)))
    LIMIT 1";

/// True if a manifest of that version has this blob as a part.
pub async fn is_part_of(
    tx: &mut Tx,
    destination: DestinationId,
    version: i64,
    digest: &Digest,
) -> Result<bool, ContentError> {
    let found: Option<i64> = sqlx::query_scalar(IS_PART_OF)
        .bind(destination)
        .bind(digest.to_string())
        .bind(version)
        .fetch_optional(&mut *tx)
        .await?;
    Ok(found.is_some())
}

const IS_PART_OF: &str = "
    SELECT 1 FROM manifest_parts o CROSS JOIN pushed_manifests h CROSS JOIN content_in c
    WHERE o.destination_id = $1 AND o.digest = $2 AND o.kind <> 'manifest' AND h.id = o.pushed_id
      AND c.repository_id = $1 AND c.kind = 'manifest' AND c.name = h.digest
      AND c.added <= $3 AND (c.removed IS NULL OR c.removed > $3)
    LIMIT 1";

/// Takes the blob out of the destination; it comes back with a version that needs it. False: it was not in it.
pub async fn unlink(
    tx: &mut Tx,
    destination: DestinationId,
    digest: &Digest,
    at: Timestamp,
) -> Result<bool, ContentError> {
    const SQL: &str = "
        UPDATE blob_links SET deleted_at = $3
        WHERE destination_id = $1 AND digest = $2 AND deleted_at IS NULL";
    let unlinked = sqlx::query(SQL)
        .bind(destination)
        .bind(digest.to_string())
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    Ok(unlinked.rows_affected() > 0)
}
