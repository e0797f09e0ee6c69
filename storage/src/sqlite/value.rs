//! A value and its type: SQLite has five, whatever a column was declared as.

use std::borrow::Cow;
use std::fmt;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use sqlx::error::BoxDynError;

use super::Sqlite;

/// A value of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum SqliteValue {
    /// None.
    Null,
    /// A number, also a truth value.
    Integer(i64),
    /// A number that is not whole.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes, also a UUID.
    Blob(Vec<u8>),
}

/// One of SQLite's five types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqliteType {
    /// Of no value.
    Null,
    /// See [`SqliteValue::Integer`].
    Integer,
    /// See [`SqliteValue::Real`].
    Real,
    /// See [`SqliteValue::Text`].
    Text,
    /// See [`SqliteValue::Blob`].
    Blob,
}

/// A value of a row.
#[derive(Clone, Copy, Debug)]
pub struct SqliteValueRef<'r>(pub(super) &'r SqliteValue);

impl SqliteValue {
    pub(super) fn read(value: ValueRef<'_>) -> Result<Self, std::str::Utf8Error> {
        Ok(match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(text) => Self::Text(std::str::from_utf8(text)?.to_owned()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_owned()),
        })
    }

    fn kind(&self) -> SqliteType {
        match self {
            Self::Null => SqliteType::Null,
            Self::Integer(_) => SqliteType::Integer,
            Self::Real(_) => SqliteType::Real,
            Self::Text(_) => SqliteType::Text,
            Self::Blob(_) => SqliteType::Blob,
        }
    }
}

impl<'r> SqliteValueRef<'r> {
    pub(super) fn integer(self) -> Result<i64, BoxDynError> {
        let SqliteValue::Integer(number) = self.0 else {
            return Err(unexpected(self.0, "an integer"));
        };
        Ok(*number)
    }

    pub(super) fn real(self) -> Result<f64, BoxDynError> {
        let SqliteValue::Real(number) = self.0 else {
            return Err(unexpected(self.0, "a number"));
        };
        Ok(*number)
    }

    pub(super) fn text(self) -> Result<&'r str, BoxDynError> {
        let SqliteValue::Text(text) = self.0 else {
            return Err(unexpected(self.0, "a text"));
        };
        Ok(text)
    }

    /// A text is its bytes too.
    pub(super) fn bytes(self) -> Result<&'r [u8], BoxDynError> {
        match self.0 {
            SqliteValue::Blob(bytes) => Ok(bytes),
            SqliteValue::Text(text) => Ok(text.as_bytes()),
            SqliteValue::Null | SqliteValue::Integer(_) | SqliteValue::Real(_) => {
                Err(unexpected(self.0, "bytes"))
            }
        }
    }
}

fn unexpected(found: &SqliteValue, wanted: &str) -> BoxDynError {
    format!("the column holds {}, not {wanted}", found.kind()).into()
}

impl ToSql for SqliteValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl sqlx::Value for SqliteValue {
    type Database = Sqlite;

    fn as_ref(&self) -> SqliteValueRef<'_> {
        SqliteValueRef(self)
    }

    fn type_info(&self) -> Cow<'_, SqliteType> {
        Cow::Owned(self.kind())
    }

    fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl<'r> sqlx::ValueRef<'r> for SqliteValueRef<'r> {
    type Database = Sqlite;

    fn to_owned(&self) -> SqliteValue {
        self.0.clone()
    }

    fn type_info(&self) -> Cow<'_, SqliteType> {
        Cow::Owned(self.0.kind())
    }

    fn is_null(&self) -> bool {
        matches!(self.0, SqliteValue::Null)
    }
}

impl sqlx::TypeInfo for SqliteType {
    fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    fn name(&self) -> &str {
        match self {
            Self::Null => "NULL",
            Self::Integer => "INTEGER",
            Self::Real => "REAL",
            Self::Text => "TEXT",
            Self::Blob => "BLOB",
        }
    }
}

impl fmt::Display for SqliteType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(sqlx::TypeInfo::name(self))
    }
}
