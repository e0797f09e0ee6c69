//! The mark in the content folder: database and content belong together, and neither starts with another's half.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::clock::Timestamp;
use uuid::Uuid;

use super::ContentError;
use crate::Database;
use crate::catalog::instance::{self, Backend};

const MARK: &str = "instance";
/// Where the mark is written before it is whole.
const UNFINISHED_MARK: &str = "instance.new";

/// Checks that the folder is this database's, and marks it on the first start; answers with the instance's id.
pub(super) async fn check(
    database: &Database,
    content_dir: &Path,
    backend: Backend,
    at: Timestamp,
) -> Result<Uuid, ContentError> {
    let unusable = |error| unusable(content_dir, error);
    fs::create_dir_all(content_dir).map_err(unusable)?;
    let (known, blobs) = known_to(database).await?;
    let found = read_mark(&content_dir.join(MARK)).map_err(unusable)?;
    let refuse = |found: String, wanted: Uuid| ContentError::ForeignFolder {
        path: content_dir.to_owned(),
        found,
        wanted,
    };
    let id = match (known, found) {
        (Some(id), Some(mark)) if mark == id.to_string() => Ok(id),
        (Some(id), Some(mark)) => Err(refuse(mark, id)),
        (Some(_), None) if blobs > 0 => Err(ContentError::EmptyFolder {
            path: content_dir.to_owned(),
            blobs,
        }),
        (Some(id), None) => write_mark(content_dir, id).map_err(unusable).map(|()| id),
        (None, Some(mark)) => Err(refuse(mark, Uuid::nil())),
        (None, None) => {
            let id = database
                .transact(move |tx| Box::pin(instance::create(tx, Uuid::new_v4(), at)))
                .await??;
            write_mark(content_dir, id).map_err(unusable).map(|()| id)
        }
    }?;
    must_be(database, backend).await?;
    Ok(id)
}

/// Once there may be content, it stays where it is.
async fn must_be(database: &Database, wanted: Backend) -> Result<(), ContentError> {
    let known = {
        let mut tx = database.read().await?;
        instance::backend(&mut tx).await?
    };
    match known {
        Some((kept, _)) if kept == wanted => Ok(()),
        Some((kept, true)) => Err(ContentError::OtherBackend { kept, wanted }),
        Some((_, false)) | None => {
            let set = database.transact(move |tx| {
                Box::pin(async move { instance::set_backend(tx, wanted).await })
            });
            Ok(set.await??)
        }
    }
}

/// The instance, and how many blobs have their bytes in the folder.
async fn known_to(database: &Database) -> Result<(Option<Uuid>, i64), ContentError> {
    const BLOBS: &str = "SELECT count(*) FROM blobs WHERE has_object = 1";
    let mut tx = database.read().await?;
    let id = instance::id(&mut tx).await?;
    let blobs = sqlx::query_scalar(BLOBS).fetch_one(&mut tx).await?;
    Ok((id, blobs))
}

fn read_mark(path: &PathBuf) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write_mark(content_dir: &Path, id: Uuid) -> io::Result<()> {
    let unfinished = content_dir.join(UNFINISHED_MARK);
    let mut file = File::create(&unfinished)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    fs::rename(unfinished, content_dir.join(MARK))?;
    File::open(content_dir)?.sync_all()
}

fn unusable(path: &Path, error: io::Error) -> ContentError {
    ContentError::Folder {
        path: path.to_owned(),
        source: Arc::new(error),
    }
}
