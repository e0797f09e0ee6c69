//! What sqlx wants of every driver, although nobody here asks for it: statements are cached by their text, transactions
//! begun and ended by whoever owns the connection.

use std::str::FromStr;

use futures_util::future::{self, BoxFuture, FutureExt as _};
use log::LevelFilter;
use sqlx::{
    Acquire, ColumnIndex, ConnectOptions, Connection, Either, FromRow, IntoArguments, SqlStr,
    Statement, Transaction,
};
use sqlx_core::Url;
use sqlx_core::query::Query;
use sqlx_core::query_as::QueryAs;
use sqlx_core::query_scalar::QueryScalar;
use sqlx_core::transaction::TransactionManager;

use super::Sqlite;
use super::arguments::SqliteArguments;
use super::connection::{Options, SqliteConnection};
use super::row::{SqliteColumn, SqliteRow};
use super::value::SqliteType;

impl Connection for SqliteConnection {
    type Database = Sqlite;
    type Options = Options;

    async fn close(self) -> Result<(), sqlx::Error> {
        self.shut()
    }

    async fn close_hard(self) -> Result<(), sqlx::Error> {
        self.shut()
    }

    async fn ping(&mut self) -> Result<(), sqlx::Error> {
        Ok(())
    }

    async fn begin(&mut self) -> Result<Transaction<'_, Sqlite>, sqlx::Error> {
        Transaction::begin(self, None).await
    }

    fn shrink_buffers(&mut self) {}

    async fn flush(&mut self) -> Result<(), sqlx::Error> {
        Ok(())
    }

    fn should_flush(&self) -> bool {
        false
    }
}

impl<'c> Acquire<'c> for &'c mut SqliteConnection {
    type Database = Sqlite;
    type Connection = Self;

    fn acquire(self) -> BoxFuture<'c, Result<Self, sqlx::Error>> {
        future::ready(Ok(self)).boxed()
    }

    fn begin(self) -> BoxFuture<'c, Result<Transaction<'c, Sqlite>, sqlx::Error>> {
        Transaction::begin(self, None)
    }
}

impl ConnectOptions for Options {
    type Connection = SqliteConnection;

    fn from_url(url: &Url) -> Result<Self, sqlx::Error> {
        url.as_str().parse()
    }

    async fn connect(&self) -> Result<SqliteConnection, sqlx::Error> {
        self.open()
    }

    fn log_statements(self, _: LevelFilter) -> Self {
        self
    }

    fn log_slow_statements(self, _: LevelFilter, _: std::time::Duration) -> Self {
        self
    }
}

impl FromStr for Options {
    type Err = sqlx::Error;

    fn from_str(url: &str) -> Result<Self, sqlx::Error> {
        let refused = format!("`{url}` is not opened by URL; say the path of the file");
        Err(sqlx::Error::Configuration(refused.into()))
    }
}

/// Transactions by sqlx's own hand, one deep.
#[derive(Debug)]
pub struct Transactions;

impl TransactionManager for Transactions {
    type Database = Sqlite;

    async fn begin(
        connection: &mut SqliteConnection,
        statement: Option<SqlStr>,
    ) -> Result<(), sqlx::Error> {
        connection.run(statement.as_ref().map_or("BEGIN", |sql| sql.as_str()))
    }

    async fn commit(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        connection.run("COMMIT")
    }

    async fn rollback(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        connection.run("ROLLBACK")
    }

    fn start_rollback(connection: &mut SqliteConnection) {
        // Refused when SQLite has already rolled back by itself.
        let _ = connection.run("ROLLBACK");
    }

    fn get_transaction_depth(connection: &SqliteConnection) -> usize {
        usize::from(connection.is_inside())
    }
}

/// A statement by its text: the connection's cache has the rest.
#[derive(Clone, Debug)]
pub struct WholeStatement {
    pub(super) sql: SqlStr,
}

impl Statement for WholeStatement {
    type Database = Sqlite;

    fn into_sql(self) -> SqlStr {
        self.sql
    }

    fn sql(&self) -> &SqlStr {
        &self.sql
    }

    fn parameters(&self) -> Option<Either<&[SqliteType], usize>> {
        None
    }

    fn columns(&self) -> &[SqliteColumn] {
        &[]
    }

    fn query(&self) -> Query<'_, Sqlite, SqliteArguments> {
        self.query_with(SqliteArguments::default())
    }

    fn query_with<A: IntoArguments<Sqlite>>(&self, arguments: A) -> Query<'_, Sqlite, A> {
        sqlx::query_with(self.sql.clone(), arguments)
    }

    fn query_as<O: for<'r> FromRow<'r, SqliteRow>>(
        &self,
    ) -> QueryAs<'_, Sqlite, O, SqliteArguments> {
        self.query_as_with(SqliteArguments::default())
    }

    fn query_as_with<'s, O, A>(&'s self, arguments: A) -> QueryAs<'s, Sqlite, O, A>
    where
        O: for<'r> FromRow<'r, SqliteRow>,
        A: IntoArguments<Sqlite>,
    {
        sqlx::query_as_with(self.sql.clone(), arguments)
    }

    fn query_scalar<O>(&self) -> QueryScalar<'_, Sqlite, O, SqliteArguments>
    where
        (O,): for<'r> FromRow<'r, SqliteRow>,
    {
        self.query_scalar_with(SqliteArguments::default())
    }

    fn query_scalar_with<'s, O, A>(&'s self, arguments: A) -> QueryScalar<'s, Sqlite, O, A>
    where
        (O,): for<'r> FromRow<'r, SqliteRow>,
        A: IntoArguments<Sqlite>,
    {
        sqlx::query_scalar_with(self.sql.clone(), arguments)
    }
}

impl ColumnIndex<WholeStatement> for usize {
    fn index(&self, _: &WholeStatement) -> Result<usize, sqlx::Error> {
        Err(sqlx::Error::ColumnIndexOutOfBounds {
            len: 0,
            index: *self,
        })
    }
}
