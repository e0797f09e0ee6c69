//! What every catalog function is lent: a connection inside a transaction.

use std::time::Instant;

use futures_util::future::{self, FutureExt as _};
use futures_util::stream::{BoxStream, StreamExt as _};
use sqlx::{Describe, Either, Execute, Executor, SqlStr};

use super::readers::Snapshot;
use super::{BoxFuture, DatabaseError};
use crate::sqlite::{Changed, Sqlite, SqliteConnection, SqliteRow, SqliteType, WholeStatement};

/// A connection inside a transaction: the writer's, or a reader's snapshot.
///
/// Queries run on `&mut *tx`. Once a statement has failed in a way after which SQLite may have ended the transaction
/// (a full disk), every further one is refused, so that none is committed alone.
#[derive(Debug)]
pub struct Tx {
    connection: Connection,
    broken: Option<DatabaseError>,
    refuses_after: Option<Instant>,
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
            refuses_after: None,
        }
    }

    pub(super) fn reader(snapshot: Snapshot) -> Self {
        Self {
            connection: Connection::Reader(snapshot),
            broken: None,
            refuses_after: None,
        }
    }

    /// The connection itself, past the watch over failed statements: for the writer's own statements.
    pub(crate) fn conn(&mut self) -> &mut SqliteConnection {
        self.connection.get()
    }

    /// Ends the transaction and gives the connection back.
    pub(super) fn close(self) -> Result<(), sqlx::Error> {
        match self.connection {
            Connection::Writer(connection) => connection.shut(),
            Connection::Reader(_) => Ok(()),
        }
    }

    /// From then on no statement is answered any more: statements run on the spot, so that a clock beside them would not be
    /// looked at in between.
    pub(super) fn refuse_after(&mut self, deadline: Option<Instant>) {
        self.refuses_after = deadline;
    }

    /// The connection, for the next statement; waits for ever if it is too late for one.
    ///
    /// Whoever asks one after the other lets others at the thread now and then: a statement never waits by itself.
    async fn next(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        tokio::task::coop::consume_budget().await;
        if self.broken.is_some() {
            return Err(refused());
        }
        if self
            .refuses_after
            .is_some_and(|deadline| Instant::now() > deadline)
        {
            future::pending::<()>().await;
        }
        Ok(self.connection.get())
    }

    /// Notes whether this answer has ended the transaction.
    fn watched<T>(&mut self, answer: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        if let Err(error) = &answer
            && let Some(ended) = DatabaseError::ends_transaction(error)
        {
            self.broken = Some(ended);
        }
        answer
    }

    /// Why the transaction can no longer be relied on; asked once, then forgotten.
    pub(super) fn take_broken(&mut self) -> Option<DatabaseError> {
        self.broken.take()
    }
}

impl<'c> Executor<'c> for &'c mut Tx {
    type Database = Sqlite;

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Changed, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        async move {
            let answer = self.next().await?.execute(query).await;
            self.watched(answer)
        }
        .boxed()
    }

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<Changed, SqliteRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        self.fetch_all(query)
            .map(|answer| match answer {
                Ok(rows) => rows.into_iter().map(Either::Right).map(Ok).collect(),
                Err(error) => vec![Err(error)],
            })
            .map(futures_util::stream::iter)
            .flatten_stream()
            .boxed()
    }

    fn fetch_all<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Vec<SqliteRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        async move {
            let answer = self.next().await?.fetch_all(query).await;
            self.watched(answer)
        }
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
        async move {
            let answer = self.next().await?.fetch_optional(query).await;
            self.watched(answer)
        }
        .boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [SqliteType],
    ) -> BoxFuture<'e, Result<WholeStatement, sqlx::Error>>
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
