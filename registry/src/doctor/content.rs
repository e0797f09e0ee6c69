//! What is stored is what the catalog says: each blob is read again, and no object lies about without a row.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

use futures_util::TryStreamExt;
use indicatif::ProgressBar;
use storage::catalog::instance;
use storage::content::inventory::{self, StoredBlob};
use storage::content::objects::{ObjectError, ObjectName, Objects};
use storage::{Database, Digest, Running};

use super::{DoctorError, Examination};
use crate::cli::terminal;

/// The file in the content folder that says whose it is.
const MARK: &str = "instance";

/// Blobs whose rows are read at once.
const AT_ONCE: u32 = 500;

const PUSH_AGAIN: &str =
    "restore the content folder from a backup, or push the images that use it again";
const RIGHT_FOLDER: &str =
    "give --content-dir the folder that belongs to this database, or restore it from a backup";
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
    let to_read = inventory::bytes(&mut database.read().await?).await?;
    let progress = terminal::progress("reading blobs", to_read);
    loop {
        let page = inventory::blobs(&mut database.read().await?, after.as_ref(), AT_ONCE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.blob.digest);
        for stored in &page {
            blobs += 1;
            bytes += stored.blob.size_bytes;
            if let Some(wrong) = wrong_with(objects.as_deref(), stored, &progress).await {
                whole.find(format!("blob {}: {wrong}", stored.blob.digest), PUSH_AGAIN);
            }
        }
    }
    progress.finish_and_clear();
    if let Some(wrong) = wrong_with_mark(database, content_dir, blobs).await? {
        whole.find(wrong, RIGHT_FOLDER);
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

/// Whether the folder is this database's: a server refuses any other.
async fn wrong_with_mark(
    database: &Database,
    content_dir: &Path,
    blobs: u64,
) -> Result<Option<String>, DoctorError> {
    let Some(known) = instance::id(&mut database.read().await?).await? else {
        return Ok(None);
    };
    let folder = content_dir.display();
    Ok(match fs::read_to_string(content_dir.join(MARK)) {
        Ok(mark) if mark.trim() == known.to_string() => None,
        Ok(mark) => Some(format!(
            "the content folder {folder} belongs to another database: it is marked {}, this one {known}",
            mark.trim()
        )),
        // Nothing is in it yet: the next start marks it.
        Err(error) if error.kind() == io::ErrorKind::NotFound && blobs == 0 => None,
        Err(error) => Some(format!(
            "the content folder {folder} does not show that it belongs to this database: its file `{MARK}` cannot be \
             read: {error}"
        )),
    })
}

/// What is wrong with the bytes of this blob; reads all of them.
async fn wrong_with(
    objects: Option<&dyn Objects>,
    stored: &StoredBlob,
    progress: &ProgressBar,
) -> Option<String> {
    let Some(objects) = objects else {
        return Some("the content folder holds no objects".to_owned());
    };
    match digest_of(objects, stored, progress).await {
        Ok(found) if found == stored.blob.digest => None,
        Ok(found) => Some(format!(
            "the bytes of object {} have digest {found}",
            stored.object
        )),
        Err(error) => Some(error.to_string()),
    }
}

async fn digest_of(
    objects: &dyn Objects,
    stored: &StoredBlob,
    progress: &ProgressBar,
) -> Result<Digest, ObjectError> {
    let mut chunks = objects
        .read_range(&stored.object, 0..stored.blob.size_bytes)
        .await?;
    let mut hash = Running::new(stored.blob.digest.algorithm());
    while let Some(chunk) = chunks.try_next().await? {
        hash.update(&chunk);
        progress.inc(chunk.len() as u64);
    }
    Ok(hash.digest())
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
