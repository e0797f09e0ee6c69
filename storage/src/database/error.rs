//! What can go wrong between us and SQLite, told apart by what the caller may do about it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use sqlx::migrate::MigrateError;

/// Why the database did not do what it was asked.
///
/// Cloned to everyone whose write was in the same batch.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The file could not be opened or created.
    #[error("the database {} cannot be opened; its folder must exist and be writable", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: Arc<sqlx::Error>,
    },
    /// Another process has it.
    #[error("the database {} is in use by another process; stop that one first", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The lock beside the file could not be taken for another reason.
    #[error("the lock {} cannot be taken; its folder must exist and be writable", path.display())]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The schema could not be brought up to date.
    #[error("the schema of {} cannot be brought up to date", path.display())]
    Migration {
        /// The file.
        path: PathBuf,
        /// Which migration, and why.
        source: Arc<MigrateError>,
    },
    /// A newer program has written this database.
    #[error(
        "the database {} has schema {version}, this program knows up to {}; start a newer wharfinger or restore a backup",
        path.display(), known.unwrap_or(0)
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema found.
        version: i64,
        /// The newest schema this program knows.
        known: Option<i64>,
    },
    /// A commit would not survive a loss of power.
    #[error(
        "SQLite runs with {setting} = {found}, but nothing acknowledged is safe without {wanted}"
    )]
    NotDurable {
        /// The pragma.
        setting: &'static str,
        /// The value needed.
        wanted: String,
        /// The value found.
        found: String,
    },
    /// The disk is full: nothing was written, and later writes work once there is space.
    #[error("the disk of the database is full; nothing was written, free some space and try again")]
    Full,
    /// Whether the commit is on disk could not be learnt.
    #[error("the database did not say whether it committed; look before repeating the write")]
    Unknown {
        /// What SQLite said last; none when the writer ended before it could answer.
        source: Option<Arc<sqlx::Error>>,
    },
    /// Others held the database too long.
    #[error("the database was busy for too long; try again")]
    Busy,
    /// SQLite ended the transaction by itself.
    #[error("SQLite rolled the transaction back: {why}")]
    RolledBack {
        /// What SQLite says.
        why: String,
    },
    /// The work panicked and was rolled back.
    #[error("the work in the database panicked and was rolled back")]
    Panicked,
    /// The work held the writer too long and was rolled back.
    #[error("the work held the database's writer for {seconds} s and was rolled back")]
    TooLong {
        /// The limit.
        seconds: u64,
    },
    /// What was asked reads too much.
    #[error("the question to the database was given up, because it reads too much; narrow it")]
    GivenUp,
    /// The database was closed before it took the work.
    #[error("the database is closed; nothing was written")]
    Closed,
    /// A statement failed.
    #[error("the database refused a statement")]
    Query(#[source] Arc<sqlx::Error>),
}

impl DatabaseError {
    /// True if space on the disk is what is missing.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full)
    }

    /// True if the same call may well succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Full
                | Self::Unknown { .. }
                | Self::Busy
                | Self::RolledBack { .. }
                | Self::TooLong { .. }
                | Self::GivenUp
                | Self::Closed
        )
    }

    /// What is left of a transaction after this error, if SQLite may have rolled all of it back by itself.
    pub(super) fn ends_transaction(error: &sqlx::Error) -> Option<Self> {
        let code = sqlite_code(error)?;
        if matches!(code, FULL | IOERR_SHMSIZE) {
            Some(Self::Full)
        } else if matches!(code & 0xff, NOMEM | INTERRUPT | IOERR) {
            Some(Self::RolledBack {
                why: error.to_string(),
            })
        } else {
            None
        }
    }

    /// What a failed `COMMIT` means: after an I/O error nobody knows what the disk has.
    pub(super) fn of_commit(error: sqlx::Error) -> Self {
        if matches!(sqlite_code(&error), Some(code) if code & 0xff == IOERR && code != IOERR_SHMSIZE)
        {
            Self::Unknown {
                source: Some(Arc::new(error)),
            }
        } else {
            Self::from(error)
        }
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        match sqlite_code(&error) {
            Some(FULL | IOERR_SHMSIZE) => return Self::Full,
            Some(code) if matches!(code & 0xff, BUSY | LOCKED) => return Self::Busy,
            Some(code) if code & 0xff == INTERRUPT => return Self::GivenUp,
            Some(_) | None => {}
        }
        if matches!(error, sqlx::Error::PoolTimedOut) {
            Self::Busy
        } else if matches!(error, sqlx::Error::PoolClosed) {
            Self::Closed
        } else {
            Self::Query(Arc::new(error))
        }
    }
}

// SQLite's own result codes: https://www.sqlite.org/rescode.html
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const NOMEM: i32 = 7;
const INTERRUPT: i32 = 9;
const IOERR: i32 = 10;
const FULL: i32 = 13;
const IOERR_SHMSIZE: i32 = 4874; // how a full disk shows when the WAL's index must grow

fn sqlite_code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}
