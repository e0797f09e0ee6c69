//! The lock beside the database file: one process writes it, for as long as it lives.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::Arc;

use super::DatabaseError;

/// Held until dropped; the system lets it go when the process dies, however it dies.
pub(super) struct DatabaseLock {
    _file: File,
}

impl DatabaseLock {
    pub(super) fn take(database: &Path) -> Result<Self, DatabaseError> {
        let mut path = database.as_os_str().to_owned();
        path.push(".lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .and_then(|file| match file.try_lock() {
                Ok(()) => Ok(Some(file)),
                Err(TryLockError::WouldBlock) => Ok(None),
                Err(TryLockError::Error(error)) => Err(error),
            })
            .map_err(|source| DatabaseError::Lock {
                path: path.into(),
                source: Arc::new(source),
            })?;
        let Some(file) = file else {
            return Err(DatabaseError::InUse {
                path: database.to_owned(),
            });
        };
        Ok(Self { _file: file })
    }
}
