//! SQLite's errors as sqlx knows them: by their extended code.

use std::borrow::Cow;
use std::error::Error as StdError;

use rusqlite::ffi;
use sqlx::error::{DatabaseError, ErrorKind};

/// What SQLite refused, and why.
#[derive(Debug, thiserror::Error)]
#[error("(code: {code}) {message}")]
pub(super) struct SqliteError {
    code: i32,
    message: String,
}

impl DatabaseError for SqliteError {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.code.to_string().into())
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        match self.code {
            ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
                ErrorKind::UniqueViolation
            }
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => ErrorKind::ForeignKeyViolation,
            ffi::SQLITE_CONSTRAINT_NOTNULL => ErrorKind::NotNullViolation,
            ffi::SQLITE_CONSTRAINT_CHECK => ErrorKind::CheckViolation,
            _ => ErrorKind::Other,
        }
    }
}

/// As sqlx would say it.
pub(super) fn told(error: rusqlite::Error) -> sqlx::Error {
    if let rusqlite::Error::SqliteFailure(failure, message) = error {
        let message = message.unwrap_or_else(|| failure.to_string());
        refused(failure, message)
    } else if let rusqlite::Error::SqlInputError { error, msg, .. } = error {
        refused(error, msg)
    } else {
        sqlx::Error::Protocol(error.to_string())
    }
}

fn refused(failure: ffi::Error, message: String) -> sqlx::Error {
    let code = failure.extended_code;
    sqlx::Error::Database(Box::new(SqliteError { code, message }))
}
