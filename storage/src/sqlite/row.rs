//! A row, with the names of its columns.

use std::sync::Arc;

use rusqlite::Statement;
use sqlx::{Column, ColumnIndex, Row};

use super::value::{SqliteType, SqliteValue, SqliteValueRef};
use super::{Sqlite, error};

/// A row of its own: nothing of it is borrowed from the connection.
#[derive(Debug)]
pub struct SqliteRow {
    values: Box<[SqliteValue]>,
    columns: Arc<[SqliteColumn]>,
}

/// A column of an answer.
#[derive(Debug)]
pub struct SqliteColumn {
    ordinal: usize,
    name: Box<str>,
}

/// The columns of what a statement answers.
pub(super) fn columns(statement: &Statement<'_>) -> Arc<[SqliteColumn]> {
    let names = statement.column_names();
    let columns = names.into_iter().enumerate();
    let columns = columns.map(|(ordinal, name)| SqliteColumn {
        ordinal,
        name: name.into(),
    });
    columns.collect()
}

impl SqliteRow {
    pub(super) fn read(
        row: &rusqlite::Row<'_>,
        columns: &Arc<[SqliteColumn]>,
    ) -> Result<Self, sqlx::Error> {
        let values = columns.iter().map(|column| {
            let value = row.get_ref(column.ordinal).map_err(error::told)?;
            SqliteValue::read(value).map_err(|error| sqlx::Error::ColumnDecode {
                index: column.name.to_string(),
                source: error.into(),
            })
        });
        Ok(Self {
            values: values.collect::<Result<_, _>>()?,
            columns: Arc::clone(columns),
        })
    }
}

impl Row for SqliteRow {
    type Database = Sqlite;

    fn columns(&self) -> &[SqliteColumn] {
        &self.columns
    }

    fn try_get_raw<I: ColumnIndex<Self>>(
        &self,
        index: I,
    ) -> Result<SqliteValueRef<'_>, sqlx::Error> {
        Ok(SqliteValueRef(&self.values[index.index(self)?]))
    }
}

impl ColumnIndex<SqliteRow> for usize {
    fn index(&self, row: &SqliteRow) -> Result<usize, sqlx::Error> {
        let len = row.values.len();
        if *self < len {
            Ok(*self)
        } else {
            Err(sqlx::Error::ColumnIndexOutOfBounds { len, index: *self })
        }
    }
}

impl ColumnIndex<SqliteRow> for &str {
    fn index(&self, row: &SqliteRow) -> Result<usize, sqlx::Error> {
        let found = row.columns.iter().position(|column| &*column.name == *self);
        found.ok_or_else(|| sqlx::Error::ColumnNotFound((*self).to_owned()))
    }
}

impl Column for SqliteColumn {
    type Database = Sqlite;

    fn ordinal(&self) -> usize {
        self.ordinal
    }

    fn name(&self) -> &str {
        &self.name
    }

    /// Any: SQLite's columns hold what was put into them.
    fn type_info(&self) -> &SqliteType {
        &SqliteType::Null
    }
}
