//! The engine's journal in the database: the verbs of [`engine::store::Store`].
//!
//! Hot statements reach rows by primary key only; the key of a journal row is the fence.

mod newer;
mod open;
mod sqlite;

pub use newer::newer;
pub use open::{open, waiting};
pub(crate) use sqlite::append_batch;
pub use sqlite::inspect::{
    Record, contended, lost_journals, lost_locks, lost_sub_tasks, records, rows,
};

use crate::database::{Database, DatabaseError};
use engine::store::StoreError;

/// The engine's store in this database.
#[derive(Clone)]
pub struct Journal {
    database: Database,
}

impl Journal {
    /// The store in this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        if error.is_full() {
            Self::Full
        } else if matches!(error, DatabaseError::Unknown { .. }) {
            Self::Unknown(error.to_string())
        } else {
            Self::Unavailable(error.to_string())
        }
    }
}

/// A statement that failed inside a transaction: that is rolled back, so nothing was kept.
fn failed(error: impl Into<DatabaseError>) -> StoreError {
    error.into().into()
}
