//! Objects as files of one folder: written under their final name, synced with their folder, never renamed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::task::spawn_blocking;

use super::{Chunks, ObjectError, ObjectName, ObjectState, ObjectWriter, Objects};
use crate::database::BoxFuture;

/// Large enough that a thread's wake-up costs nothing, small enough for a hundred downloads at once.
const READ_BYTES: usize = 512 * 1024;

/// Objects in the folder `root`, spread over two levels of folders by the digits of their names.
#[derive(Clone, Debug)]
pub struct DiskObjects {
    root: Arc<Path>,
}

impl DiskObjects {
    /// Objects in `root`, which is made if it is not there.
    pub fn open(root: &Path) -> io::Result<Self> {
        if !root.is_dir() {
            fs::create_dir_all(root)?;
            if let Some(parent) = root.parent() {
                sync_folder(parent)?;
            }
        }
        Ok(Self { root: root.into() })
    }

    fn folder(&self, name: &ObjectName) -> PathBuf {
        let name = name.as_str();
        self.root.join(&name[..2]).join(&name[2..4])
    }

    fn path(&self, name: &ObjectName) -> PathBuf {
        self.folder(name).join(name.as_str())
    }

    fn open_for_append(&self, state: ObjectState) -> Result<DiskWriter, ObjectError> {
        let failed = |error| ObjectError::io(&state.name, "opened", error);
        self.make_folder(&state.name).map_err(failed)?;
        let path = self.path(&state.name);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        let found = file.metadata().map_err(failed)?.len();
        if found < state.size_bytes {
            return Err(ObjectError::Lost {
                name: state.name,
                durable: state.size_bytes,
                found,
            });
        }
        if found > state.size_bytes {
            file.set_len(state.size_bytes).map_err(failed)?;
        }
        Ok(DiskWriter {
            file: Arc::new(file),
            folder: self.folder(&state.name),
            is_new: state.size_bytes == 0,
            written: state.size_bytes,
            state,
            failed: false,
        })
    }

    /// Makes the object's folder, durably: an object in a folder that is lost is lost with it.
    fn make_folder(&self, name: &ObjectName) -> io::Result<()> {
        let folder = self.folder(name);
        if folder.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&folder)?;
        sync_folder(&self.root.join(&name.as_str()[..2]))?;
        sync_folder(&self.root)
    }

    fn seal_now(&self, state: &ObjectState) -> Result<(), ObjectError> {
        let failed = |error| ObjectError::io(&state.name, "sealed", error);
        let writer = self.open_for_append(state.clone())?;
        writer.file.sync_all().map_err(failed)?;
        sync_folder(&writer.folder).map_err(failed)
    }

    fn names(&self, prefix: &str) -> io::Result<Vec<ObjectName>> {
        let mut names = Vec::new();
        for first in subfolders(&self.root)? {
            for second in subfolders(&first)? {
                for entry in fs::read_dir(second)? {
                    let name = entry?.file_name();
                    // What is not named like an object is not one.
                    if let Some(Ok(name)) = name.to_str().map(str::parse::<ObjectName>)
                        && name.as_str().starts_with(prefix)
                    {
                        names.push(name);
                    }
                }
            }
        }
        names.sort();
        Ok(names)
    }
}

impl Objects for DiskObjects {
    fn append(
        &self,
        state: ObjectState,
    ) -> BoxFuture<'_, Result<Box<dyn ObjectWriter>, ObjectError>> {
        let store = self.clone();
        Box::pin(async move {
            let writer = blocking(move || store.open_for_append(state)).await?;
            Ok(Box::new(writer) as Box<dyn ObjectWriter>)
        })
    }

    fn seal<'a>(&'a self, state: &'a ObjectState) -> BoxFuture<'a, Result<(), ObjectError>> {
        let (store, state) = (self.clone(), state.clone());
        Box::pin(blocking(move || store.seal_now(&state)))
    }

    fn read_range<'a>(
        &'a self,
        name: &'a ObjectName,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Chunks, ObjectError>> {
        let (path, name) = (self.path(name), name.clone());
        Box::pin(async move {
            let (file, name) = blocking(move || match File::open(path) {
                Ok(file) => Ok((Arc::new(file), name)),
                Err(error) => Err(ObjectError::io(&name, "opened", error)),
            })
            .await?;
            let pieces = stream::try_unfold(range, move |range| {
                let (file, name) = (Arc::clone(&file), name.clone());
                async move {
                    if range.is_empty() {
                        return Ok(None);
                    }
                    let piece = blocking(move || read_piece(&file, &name, &range)).await?;
                    Ok(Some(piece))
                }
            });
            Ok(pieces.boxed())
        })
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<(), ObjectError>> {
        let (path, name) = (self.path(name), name.clone());
        Box::pin(blocking(move || match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(ObjectError::io(&name, "deleted", error))
            }
            Ok(()) | Err(_) => Ok(()),
        }))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<ObjectName>, ObjectError>> {
        let (store, prefix) = (self.clone(), prefix.to_owned());
        Box::pin(blocking(move || {
            store
                .names(&prefix)
                .map_err(|error| ObjectError::of_io("*", "listed", error))
        }))
    }
}

struct DiskWriter {
    file: Arc<File>,
    folder: PathBuf,
    is_new: bool,
    written: u64,
    state: ObjectState,
    failed: bool,
}

impl ObjectWriter for DiskWriter {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), ObjectError>> {
        Box::pin(async move {
            let (file, name, offset) = (
                Arc::clone(&self.file),
                self.state.name.clone(),
                self.written,
            );
            let length = bytes.len() as u64;
            // Until it is known to have worked, it has not.
            self.failed = true;
            blocking(move || {
                file.write_all_at(&bytes, offset)
                    .map_err(|error| ObjectError::io(&name, "written", error))
            })
            .await?;
            self.failed = false;
            self.written += length;
            Ok(())
        })
    }

    fn sync(mut self: Box<Self>) -> BoxFuture<'static, Result<ObjectState, ObjectError>> {
        Box::pin(blocking(move || {
            let name = self.state.name.clone();
            let failed = |error| ObjectError::io(&name, "synced", error);
            if self.failed {
                // Half a write takes space on a disk that may be full.
                self.file.set_len(self.written).map_err(failed)?;
            }
            let asked_at = Instant::now();
            self.file.sync_data().map_err(failed)?;
            if self.is_new {
                sync_folder(&self.folder).map_err(failed)?;
            }
            metrics::histogram!("wharfinger_object_sync_seconds").record(asked_at.elapsed());
            self.state.size_bytes = self.written;
            Ok(self.state)
        }))
    }
}

fn read_piece(
    file: &File,
    name: &ObjectName,
    range: &Range<u64>,
) -> Result<(Bytes, Range<u64>), ObjectError> {
    let length =
        usize::try_from(range.end - range.start).map_or(READ_BYTES, |left| left.min(READ_BYTES));
    let mut piece = vec![0; length];
    file.read_exact_at(&mut piece, range.start)
        .map_err(|error| ObjectError::io(name, "read", error))?;
    Ok((piece.into(), range.start + length as u64..range.end))
}

fn subfolders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Runs what waits for the disk where waiting harms nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ObjectError> + Send + 'static,
) -> Result<T, ObjectError> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(gone) => Err(ObjectError::of_io("*", "reached", io::Error::other(gone))),
    }
}
