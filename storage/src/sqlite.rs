//! SQLite for sqlx, in the thread that asks.
//!
//! sqlx's own driver gives each connection a thread, and hands every statement over to it and every answer back: on a
//! warm cache that costs several times what SQLite does. This one answers on the spot. Whoever uses it must be where
//! a read or a sync of the disk may be waited for: the writer has a thread to itself, and a reader says whether it
//! only looks up ([`Waits::Briefly`]) or may search ([`Waits::AtLength`]).
//!
//! An answer is collected before its first row is seen: whoever may find very much asks for it page by page.
//!
//! Queries, rows and values are sqlx's, so that SQL is written in one way only; rusqlite does what is unsafe.

mod arguments;
mod connection;
mod driver;
mod error;
mod migrate;
mod row;
mod value;

#[cfg(test)]
mod tests;

pub(crate) use connection::{Limits, Options, SqliteConnection, Waits};
pub(crate) use driver::WholeStatement;
pub(crate) use row::SqliteRow;
pub(crate) use value::SqliteType;

use arguments::SqliteArguments;
use driver::Transactions;
use row::SqliteColumn;
use value::{SqliteValue, SqliteValueRef};

/// This driver, for sqlx.
#[derive(Debug)]
pub struct Sqlite;

impl sqlx::Database for Sqlite {
    type Connection = SqliteConnection;
    type TransactionManager = Transactions;
    type Row = SqliteRow;
    type QueryResult = Changed;
    type Column = SqliteColumn;
    type TypeInfo = SqliteType;
    type Value = SqliteValue;
    type ValueRef<'r> = SqliteValueRef<'r>;
    type Arguments = SqliteArguments;
    type ArgumentBuffer = Vec<SqliteValue>;
    type Statement = WholeStatement;

    const NAME: &'static str = "SQLite";
    const URL_SCHEMES: &'static [&'static str] = &[];
}

/// What a statement has changed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changed {
    rows: u64,
}

impl Changed {
    /// How many rows it has inserted, updated or deleted.
    #[must_use]
    pub fn rows_affected(self) -> u64 {
        self.rows
    }
}

impl Extend<Self> for Changed {
    fn extend<T: IntoIterator<Item = Self>>(&mut self, others: T) {
        self.rows += others.into_iter().map(|other| other.rows).sum::<u64>();
    }
}
