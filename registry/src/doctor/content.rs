//! What is stored is what the catalog says: each blob is read again, and no object lies about without a row.

use std::collections::BTreeSet;
use std::path::Path;

use futures_util::TryStreamExt;
use sha2::{Digest as _, Sha256};
use storage::content::inventory::{self, StoredBlob};
use storage::content::objects::{ObjectError, ObjectName, Objects};
use storage::{Database, Digest};

use super::{DoctorError, Examination};

/// Blobs whose rows are read at once.
const AT_ONCE: u32 = 500;

const PUSH_AGAIN: &str =
    "restore the content folder from a backup, or push the images that use it again";
const REMOVE: &str =
    "it is of no use to anybody: an upload was broken off before its end; its file can be removed";

pub(super) async fn examine(
    database: &Database,
    content_dir: &Path,
    whole: &mut Examination,
) -> Result<(), DoctorError> {
    let objects = inventory::objects(content_dir)?;
    let (mut blobs, mut bytes) = (0, 0);
    let mut after = None;
    loop {
        let page = inventory::blobs(&mut database.read().await?, after.as_ref(), AT_ONCE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.blob.digest);
        for stored in &page {
            blobs += 1;
            bytes += stored.blob.size_bytes;
            if let Some(wrong) = wrong_with(objects.as_deref(), stored).await {
                whole.find(format!("blob {}: {wrong}", stored.blob.digest), PUSH_AGAIN);
            }
        }
    }
    if let Some(objects) = objects {
        for object in without_row(database, &*objects).await? {
            whole.find(format!("object {object} has no row"), REMOVE);
        }
    }
    whole
        .looked_at
        .extend([(blobs, "blobs"), (bytes, "bytes in them")]);
    Ok(())
}

/// What is wrong with the bytes of this blob; reads all of them.
async fn wrong_with(objects: Option<&dyn Objects>, stored: &StoredBlob) -> Option<String> {
    let Some(objects) = objects else {
        return Some("the content folder holds no objects".to_owned());
    };
    match digest_of(objects, stored).await {
        Ok(found) if found == stored.blob.digest => None,
        Ok(found) => Some(format!(
            "the bytes of object {} have digest {found}",
            stored.object
        )),
        Err(error) => Some(error.to_string()),
    }
}

async fn digest_of(objects: &dyn Objects, stored: &StoredBlob) -> Result<Digest, ObjectError> {
    let mut chunks = objects
        .read_range(&stored.object, 0..stored.blob.size_bytes)
        .await?;
    let mut hash = Sha256::new();
    while let Some(chunk) = chunks.try_next().await? {
        hash.update(&chunk);
    }
    Ok(Digest::Sha256(hash.finalize().into()))
}

/// Objects that no row answers for, in two looks: beside a running server one look may fall between row and object.
async fn without_row(
    database: &Database,
    objects: &dyn Objects,
) -> Result<Vec<ObjectName>, DoctorError> {
    let first = unaccounted(database, objects).await?;
    if first.is_empty() {
        return Ok(Vec::new());
    }
    let second = unaccounted(database, objects).await?;
    Ok(second.intersection(&first).cloned().collect())
}

async fn unaccounted(
    database: &Database,
    objects: &dyn Objects,
) -> Result<BTreeSet<ObjectName>, DoctorError> {
    // The objects first: a row is written before its object, so that whatever is listed has had its row by now.
    let listed = objects
        .list("")
        .await
        .map_err(storage::content::ContentError::from)?;
    let accounted_for = inventory::accounted_for(&mut database.read().await?).await?;
    Ok(listed
        .into_iter()
        .filter(|object| !accounted_for.contains(object.as_str()))
        .collect())
}
