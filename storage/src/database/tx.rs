//! What every catalog function is lent: a connection inside a transaction.

use futures_util::future::{self, FutureExt as _};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use sqlx::sqlite::{
    SqliteConnection, SqliteQueryResult, SqliteRow, SqliteStatement, SqliteTypeInfo,
};
use sqlx::{Connection as _, Describe, Either, Execute, Executor, SqlStr, Sqlite};

use super::readers::Snapshot;
use super::{BoxFuture, DatabaseError};

/// A connection inside a transaction: the writer's, or a reader's snapshot.
///
/// Queries run on `&mut *tx`. Once a statement has failed in a way after which SQLite may have ended the transaction
/// (a full disk), every further one is refused, so that none is committed alone.
#[derive(Debug)]
pub struct Tx {
    connection: Connection,
    broken: Option<DatabaseError>,
}

#[derive(Debug)]
enum Connection {
    Writer(SqliteConnection),
    Reader(Snapshot),
}

impl Connection {
    fn get(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Writer(connection) => connection,
            Self::Reader(snapshot) => snapshot.connection(),
        }
    }
}

impl Tx {
    pub(super) fn writer(connection: SqliteConnection) -> Self {
        Self {
            connection: Connection::Writer(connection),
            broken: None,
        }
    }

    pub(super) fn reader(snapshot: Snapshot) -> Self {
        Self {
            connection: Connection::Reader(snapshot),
            broken: None,
        }
    }

    /// The connection itself, past the watch over failed statements: for the writer's own statements.
    pub(crate) fn conn(&mut self) -> &mut SqliteConnection {
        self.connection.get()
    }

    /// Ends the transaction and gives the connection back.
    pub(super) async fn close(self) -> Result<(), sqlx::Error> {
        match self.connection {
            Connection::Writer(connection) => connection.close().await,
            Connection::Reader(_) => Ok(()),
        }
    }

    /// Why the transaction can no longer be relied on; asked once, then forgotten.
    pub(super) fn take_broken(&mut self) -> Option<DatabaseError> {
        self.broken.take()
    }
}

impl<'c> Executor<'c> for &'c mut Tx {
    type Database = Sqlite;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<SqliteQueryResult, SqliteRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        let Tx { connection, broken } = self;
        if broken.is_some() {
            return stream::once(future::ready(Err(refused()))).boxed();
        }
        connection
            .get()
            .fetch_many(query)
            .inspect(|step| watch(broken, step))
            .boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<SqliteRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        let Tx { connection, broken } = self;
        if broken.is_some() {
            return future::ready(Err(refused())).boxed();
        }
        connection
            .get()
            .fetch_optional(query)
            .inspect(|row| watch(broken, row))
            .boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [SqliteTypeInfo],
    ) -> BoxFuture<'e, Result<SqliteStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        self.connection.get().prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Sqlite>, sqlx::Error>>
    where
        'c: 'e,
    {
        self.connection.get().describe(sql)
    }
}

fn refused() -> sqlx::Error {
    sqlx::Error::Protocol("an earlier statement has ended the transaction".to_owned())
}

fn watch<T>(broken: &mut Option<DatabaseError>, step: &Result<T, sqlx::Error>) {
    if let Err(error) = step
        && let Some(ended) = DatabaseError::ends_transaction(error)
    {
        *broken = Some(ended);
    }
}
