//! Whether pushes are refused for want of space: what `/readyz` tells, so that somebody frees some before users complain.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// With less free nothing can be pushed, and the next commit of the database may fail as well.
const LEAST_BYTES: u64 = 1024 * 1024;

/// The disks that content and database lie on.
#[derive(Debug)]
pub(crate) struct FullDisk {
    pub(crate) content: Disk,
    pub(crate) database: Disk,
}

/// A disk, and whether something was refused because it is full.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
    /// How much was free then.
    refused_at: Mutex<Option<u64>>,
}

impl FullDisk {
    /// The disks of the content in `content_dir` and of the database in this file.
    pub(crate) fn new(content_dir: &Path, database: &Path) -> Self {
        let disk = |folder: &Path| Disk {
            folder: folder.to_owned(),
            refused_at: Mutex::default(),
        };
        Self {
            content: disk(content_dir),
            database: disk(database.parent().unwrap_or(database)),
        }
    }

    /// Something was refused: it was the disk with less space. What was to be written may be far larger than what is free.
    pub(crate) fn note_refusal(&self) {
        let (content, database) = (self.content.free(), self.database.free());
        if content <= database {
            *self.content.refused() = content;
        } else {
            *self.database.refused() = database;
        }
    }

    /// Something was pushed: there is space.
    pub(crate) fn note_success(&self) {
        *self.content.refused() = None;
        *self.database.refused() = None;
    }
}

impl Disk {
    /// Says so if there is hardly any space, or no more than when something was refused last.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Some(free) = self.free() else {
            return Ok(());
        };
        let refused_at = *self.refused();
        if free < LEAST_BYTES || refused_at.is_some_and(|then| free < then + LEAST_BYTES) {
            let folder = self.folder.display();
            return Err(format!(
                "the disk of {folder} is full: {free} bytes are free, and pushes are refused"
            ));
        }
        *self.refused() = None;
        Ok(())
    }

    /// How many bytes are free; none if the system does not say.
    fn free(&self) -> Option<u64> {
        let folder = fs::canonicalize(&self.folder).ok()?;
        let told = rustix::fs::statvfs(&folder).ok()?;
        Some(told.f_bavail.saturating_mul(told.f_frsize))
    }

    fn refused(&self) -> MutexGuard<'_, Option<u64>> {
        self.refused_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_full_from_a_refusal_until_there_is_more_space_or_a_success() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("wharfinger.db");
        let disk = FullDisk::new(folder.path(), &database);
        assert_eq!(disk.content.check(), Ok(()));

        disk.note_refusal();
        let told = disk.content.check();
        disk.note_success();

        assert!(told.unwrap_err().contains("is full"));
        assert_eq!(disk.content.check(), Ok(()));
        *disk.content.refused() = Some(0);
        assert_eq!(disk.content.check(), Ok(()), "there is more space now");
        assert_eq!(*disk.content.refused(), None);
    }
}
