//! Objects as files of one folder: written under their final name, synced with their folder, never renamed.

use std::collections::HashSet;
use std::fs::{self, DirEntry, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, UNIX_EPOCH};

use bytes::Bytes;
use engine::clock::Timestamp;
use futures_util::{StreamExt as _, stream};
use tokio::task::spawn_blocking;

use super::{Chunks, ObjectError, ObjectName, ObjectState, ObjectWriter, Objects};
use crate::database::BoxFuture;
use crate::digest::Running;

/// Large enough that a thread's wake-up costs nothing, small enough for a hundred downloads at once.
const READ_BYTES: usize = 512 * 1024;

/// Objects in the folder `root`, spread over two levels of folders by the digits of their names.
#[derive(Clone, Debug)]
pub struct DiskObjects {
    root: Arc<Path>,
    /// The folders that are known to be durable.
    folders: Arc<Mutex<HashSet<PathBuf>>>,
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
        Ok(Self {
            root: root.into(),
            folders: Arc::default(),
        })
    }

    pub(super) fn folder(&self, name: &ObjectName) -> PathBuf {
        let name = name.as_str();
        self.root.join(&name[..2]).join(&name[2..4])
    }

    fn path(&self, name: &ObjectName) -> PathBuf {
        self.folder(name).join(name.as_str())
    }

    /// Makes an object of these bytes that no loss of power is survived by, for who fills a folder.
    pub(crate) fn fill(&self, name: &ObjectName, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(self.folder(name))?;
        fs::write(self.path(name), bytes)
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

    /// Makes the object's folder, durably: an object in a folder that is lost is lost with it. That a folder is there does not
    /// say that it is durable: somebody else may have just made it, or have died before it was.
    fn make_folder(&self, name: &ObjectName) -> io::Result<()> {
        let folder = self.folder(name);
        // Held while it is synced, so that nobody uses it before.
        let mut durable = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if durable.contains(&folder) && folder.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&folder)?;
        sync_folder(&self.root.join(&name.as_str()[..2]))?;
        sync_folder(&self.root)?;
        durable.insert(folder);
        Ok(())
    }

    fn append_now(&self, state: ObjectState, bytes: &[u8]) -> Result<ObjectState, ObjectError> {
        let mut writer = self.open_for_append(state)?;
        match writer.file.write_all_at(bytes, writer.written) {
            Ok(()) => {
                writer.written += bytes.len() as u64;
                writer.sync_now()
            }
            Err(error) => {
                // Half a write takes space on a disk that may be full; the next writer would drop it too.
                let _ = writer.file.set_len(writer.written);
                Err(ObjectError::io(&writer.state.name, "written", error))
            }
        }
    }

    /// What the state counts was made durable by its writer, with its folder, so there is nothing left to sync but an
    /// object that was never written to, or one that a dead writer has left too long.
    fn seal_now(&self, state: &ObjectState) -> Result<(), ObjectError> {
        let failed = |error| ObjectError::io(&state.name, "sealed", error);
        let found = self.size_now(&state.name).map_err(failed)?;
        if state.size_bytes > 0 && found == Some(state.size_bytes) {
            return Ok(());
        }
        let writer = self.open_for_append(state.clone())?;
        writer.file.sync_all().map_err(failed)?;
        sync_folder(&writer.folder).map_err(failed)
    }

    fn size_now(&self, name: &ObjectName) -> io::Result<Option<u64>> {
        match fs::metadata(self.path(name)) {
            Ok(found) => Ok(Some(found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn names(&self, prefix: &str) -> io::Result<Vec<ObjectName>> {
        let mut names = Vec::new();
        self.each(prefix, |name, _| {
            names.push(name);
            Ok(())
        })?;
        names.sort();
        Ok(names)
    }

    fn ages(&self, prefix: &str) -> io::Result<Vec<(ObjectName, Timestamp)>> {
        let mut ages = Vec::new();
        self.each(prefix, |name, entry| {
            match entry.metadata().and_then(|found| found.modified()) {
                Ok(at) => {
                    let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
                    ages.push((name, Timestamp::default() + at));
                    Ok(())
                }
                // It was deleted while the folder was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            }
        })?;
        ages.sort();
        Ok(ages)
    }

    /// Each object whose name begins so; folders are only read that may have some.
    fn each(
        &self,
        prefix: &str,
        mut found: impl FnMut(ObjectName, &DirEntry) -> io::Result<()>,
    ) -> io::Result<()> {
        let (first, rest) = prefix.split_at(prefix.len().min(2));
        let second = &rest[..rest.len().min(2)];
        for first in subfolders(&self.root, first)? {
            for second in subfolders(&first, second)? {
                for entry in fs::read_dir(second)? {
                    let entry = entry?;
                    let name = entry.file_name();
                    // What is not named like an object is not one.
                    if let Some(Ok(name)) = name.to_str().map(str::parse::<ObjectName>)
                        && name.as_str().starts_with(prefix)
                    {
                        found(name, &entry)?;
                    }
                }
            }
        }
        Ok(())
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

    fn append_at_once<'a>(
        &'a self,
        state: ObjectState,
        bytes: Bytes,
        hash: &'a mut Running,
    ) -> BoxFuture<'a, Result<ObjectState, ObjectError>> {
        let (store, mut running) = (self.clone(), hash.clone());
        Box::pin(async move {
            let (state, running) = blocking(move || {
                running.update(&bytes);
                Ok((store.append_now(state, &bytes)?, running))
            })
            .await?;
            *hash = running;
            Ok(state)
        })
    }

    fn seal<'a>(&'a self, state: &'a ObjectState) -> BoxFuture<'a, Result<(), ObjectError>> {
        let (store, state) = (self.clone(), state.clone());
        Box::pin(blocking(move || store.seal_now(&state)))
    }

    fn size<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<Option<u64>, ObjectError>> {
        let (store, name) = (self.clone(), name.clone());
        Box::pin(blocking(move || {
            let size = store.size_now(&name);
            size.map_err(|error| ObjectError::io(&name, "looked for", error))
        }))
    }

    fn read_range<'a>(
        &'a self,
        name: &'a ObjectName,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Chunks, ObjectError>> {
        let (path, name) = (self.path(name), name.clone());
        Box::pin(async move {
            let reader = blocking(move || DiskReader::open(&path, name, &range)).await?;
            let pieces = stream::try_unfold(reader, |reader| async move {
                if reader.left == 0 {
                    return Ok(None);
                }
                Ok(Some(blocking(move || reader.next_piece()).await?))
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

    fn list_with_age<'a>(
        &'a self,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(ObjectName, Timestamp)>, ObjectError>> {
        let (store, prefix) = (self.clone(), prefix.to_owned());
        Box::pin(blocking(move || {
            store
                .ages(&prefix)
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
    fn write<'a>(
        &'a mut self,
        bytes: Bytes,
        hash: &'a mut Running,
    ) -> BoxFuture<'a, Result<(), ObjectError>> {
        Box::pin(async move {
            let (file, name, offset) = (
                Arc::clone(&self.file),
                self.state.name.clone(),
                self.written,
            );
            let (length, mut running) = (bytes.len() as u64, hash.clone());
            // Until it is known to have worked, it has not.
            self.failed = true;
            // One hand-over for both: what was hashed lies in the processor's cache when it is written.
            *hash = blocking(move || {
                running.update(&bytes);
                file.write_all_at(&bytes, offset)
                    .map_err(|error| ObjectError::io(&name, "written", error))?;
                Ok(running)
            })
            .await?;
            self.failed = false;
            self.written += length;
            Ok(())
        })
    }

    fn sync(self: Box<Self>) -> BoxFuture<'static, Result<ObjectState, ObjectError>> {
        Box::pin(blocking(move || self.sync_now()))
    }
}

impl DiskWriter {
    fn sync_now(mut self) -> Result<ObjectState, ObjectError> {
        let failed = |error| ObjectError::io(&self.state.name, "synced", error);
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
    }
}

/// Reads one range from its beginning to its end.
///
/// Each byte is copied once, from the page cache into a piece that nobody has filled with zeros before, and handed over
/// once; from there the kernel copies it into the socket.
struct DiskReader {
    file: File,
    name: ObjectName,
    left: u64,
}

impl DiskReader {
    fn open(path: &Path, name: ObjectName, range: &Range<u64>) -> Result<Self, ObjectError> {
        let opened = File::open(path).and_then(|mut file| {
            let found = file.metadata()?.len();
            file.seek(SeekFrom::Start(range.start))?;
            Ok((file, found))
        });
        match opened {
            Ok((_, found)) if found < range.end => Err(ObjectError::Lost {
                name,
                durable: range.end,
                found,
            }),
            Ok((file, _)) => Ok(Self {
                file,
                name,
                left: range.end.saturating_sub(range.start),
            }),
            Err(error) => Err(ObjectError::io(&name, "opened", error)),
        }
    }

    fn next_piece(mut self) -> Result<(Bytes, Self), ObjectError> {
        let length = usize::try_from(self.left).map_or(READ_BYTES, |left| left.min(READ_BYTES));
        let mut piece = Vec::with_capacity(length);
        let read = (&mut self.file).take(length as u64).read_to_end(&mut piece);
        let read = read.and_then(|read| {
            if read == length {
                Ok(())
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        });
        match read {
            Ok(()) => {
                self.left -= length as u64;
                Ok((piece.into(), self))
            }
            Err(error) => Err(ObjectError::io(&self.name, "read", error)),
        }
    }
}

fn subfolders(folder: &Path, prefix: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let begins_so = entry.file_name().to_string_lossy().starts_with(prefix);
        if begins_so && entry.file_type()?.is_dir() {
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
