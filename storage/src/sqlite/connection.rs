//! A connection, and how a statement runs on it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use rusqlite::{Connection, OpenFlags, Statement};
use sqlx::{Describe, Either, Execute, Executor, SqlStr};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::arguments::SqliteArguments;
use super::driver::WholeStatement;
use super::value::{SqliteType, SqliteValue};
use super::{Changed, Sqlite, SqliteRow, error, row};

/// Whoever waits so long wants to know for what.
const SLOW: Duration = Duration::from_secs(1);

/// How long a statement of this connection may take, which says where it can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// It reads a few rows along an index, or its thread has nothing else to do: it runs where it is asked for.
    Briefly,
    /// It may read very much: what else waits for the same thread is given to another one first.
    AtLength,
}

/// Past this a statement is given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Of a connection that [`Waits::Briefly`].
    pub(crate) briefly: Duration,
    /// Of one that waits [`Waits::AtLength`].
    pub(crate) at_length: Duration,
}

impl Limits {
    fn of(self, waits: Waits) -> Duration {
        match waits {
            Waits::Briefly => self.briefly,
            Waits::AtLength => self.at_length,
        }
    }
}

/// How many of SQLite's instructions pass between two looks at the clock: well below a millisecond.
const BETWEEN_LOOKS: i32 = 10_000;

/// No time of [`now`].
const NEVER: u64 = 0;

/// When the statement that runs is given up, in nanoseconds of [`now`].
#[derive(Clone, Debug, Default)]
struct Deadline(Arc<AtomicU64>);

impl Deadline {
    fn set(&self, at: Option<Duration>) {
        let at = at.map_or(NEVER, nanoseconds);
        self.0.store(at, Ordering::Relaxed);
    }

    fn is_past(&self) -> bool {
        let at = self.0.load(Ordering::Relaxed);
        at != NEVER && nanoseconds(now()) > at
    }
}

/// The time since this was asked for the first time.
fn now() -> Duration {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    FIRST.get_or_init(Instant::now).elapsed()
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How a connection is opened.
#[derive(Clone, Debug)]
pub struct Options {
    pub(super) path: PathBuf,
    pub(super) flags: OpenFlags,
    pub(super) settings: Vec<(&'static str, &'static str)>,
    pub(super) busy_wait: Duration,
    pub(super) statements: usize,
    pub(super) limits: Option<Limits>,
    /// Counts what is asked of all connections opened by these.
    asked: Arc<AtomicU64>,
}

impl Options {
    /// To read and write the file at `path`, which is made if it is missing.
    pub(crate) fn new(path: &Path, busy_wait: Duration, statements: usize) -> Self {
        Self {
            path: path.to_owned(),
            flags: OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            settings: Vec::new(),
            busy_wait,
            statements,
            limits: None,
            asked: Arc::default(),
        }
    }

    /// Counts statements there too.
    pub(crate) fn counting(mut self, asked: &Arc<AtomicU64>) -> Self {
        self.asked = Arc::clone(asked);
        self
    }

    /// Gives up each statement that takes too long for what was expected of it.
    pub(crate) fn limited(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// To look only, at a file that is there.
    pub(crate) fn read_only(mut self) -> Self {
        self.flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        self
    }

    /// Sets this pragma, after those before it.
    pub(crate) fn set(mut self, pragma: &'static str, value: &'static str) -> Self {
        self.settings.push((pragma, value));
        self
    }

    /// Opens it, in this thread.
    pub(crate) fn open(&self) -> Result<SqliteConnection, sqlx::Error> {
        let sqlite = Connection::open_with_flags(&self.path, self.flags).map_err(error::told)?;
        sqlite.busy_timeout(self.busy_wait).map_err(error::told)?;
        sqlite.set_prepared_statement_cache_capacity(self.statements);
        for (pragma, value) in &self.settings {
            let set = sqlite.pragma_update_and_check(None, pragma, value, |_| Ok(()));
            match set {
                // Some pragmas answer with what they are now, some say nothing.
                Ok(()) | Err(rusqlite::Error::QueryReturnedNoRows) => {}
                Err(error) => return Err(error::told(error)),
            }
        }
        let deadline = Deadline::default();
        if self.limits.is_some() {
            let deadline = deadline.clone();
            let look = Some(move || deadline.is_past());
            let set = sqlite.progress_handler(BETWEEN_LOOKS, look);
            set.map_err(error::told)?;
        }
        Ok(SqliteConnection {
            sqlite,
            waits: Waits::Briefly,
            limits: self.limits,
            deadline,
            asked: Arc::clone(&self.asked),
        })
    }
}

/// An open connection.
#[derive(Debug)]
pub struct SqliteConnection {
    sqlite: Connection,
    waits: Waits,
    limits: Option<Limits>,
    deadline: Deadline,
    asked: Arc<AtomicU64>,
}

/// How much of an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    All,
    First,
}

struct Answer {
    rows: Vec<SqliteRow>,
    changed: Changed,
}

impl SqliteConnection {
    /// From here on its statements take so long.
    pub(crate) fn expect(&mut self, waits: Waits) {
        self.waits = waits;
    }

    /// From here on it waits so long for the locks of others.
    pub(crate) fn wait_for_others(&mut self, at_most: Duration) -> Result<(), sqlx::Error> {
        self.sqlite.busy_timeout(at_most).map_err(error::told)
    }

    /// Whether a transaction is open.
    pub(crate) fn is_inside(&self) -> bool {
        !self.sqlite.is_autocommit()
    }

    /// Runs statements that answer nothing, one after the other.
    pub(crate) fn run(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.sqlite.execute_batch(sql).map_err(error::told)
    }

    /// Runs one statement that answers nothing and is run again and again, as those around transactions are.
    pub(crate) fn again(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut statement = self.sqlite.prepare_cached(sql).map_err(error::told)?;
        statement.execute(()).map(drop).map_err(error::told)
    }

    /// Closes the file: of the last connection this brings the WAL back into it.
    pub(crate) fn shut(self) -> Result<(), sqlx::Error> {
        self.sqlite.close().map_err(|(_, error)| error::told(error))
    }

    fn ask<'q>(
        &mut self,
        mut query: impl Execute<'q, Sqlite>,
        wanted: Wanted,
    ) -> Result<Answer, sqlx::Error> {
        let arguments = query
            .take_arguments()
            .map_err(sqlx::Error::Encode)?
            .unwrap_or_default();
        let keep = query.persistent();
        let sql = query.sql();
        self.asked.fetch_add(1, Ordering::Relaxed);
        let began = now();
        let limit = self.limits.map(|limits| limits.of(self.waits));
        self.deadline.set(limit.map(|limit| began + limit));
        let answer = if self.waits == Waits::AtLength && others_can_take_over() {
            tokio::task::block_in_place(|| self.answer(sql.as_str(), &arguments, keep, wanted))
        } else {
            self.answer(sql.as_str(), &arguments, keep, wanted)
        };
        let took = now().saturating_sub(began);
        self.deadline.set(None);
        if took > SLOW {
            tracing::warn!(sql = sql.as_str(), ?took, "a statement was slow");
        }
        answer
    }

    fn answer(
        &mut self,
        sql: &str,
        arguments: &SqliteArguments,
        keep: bool,
        wanted: Wanted,
    ) -> Result<Answer, sqlx::Error> {
        let rows = if keep {
            let mut statement = self.sqlite.prepare_cached(sql).map_err(error::told)?;
            rows(&mut statement, &arguments.0, wanted)
        } else {
            let mut statement = self.sqlite.prepare(sql).map_err(error::told)?;
            rows(&mut statement, &arguments.0, wanted)
        };
        Ok(Answer {
            rows: rows?,
            changed: Changed {
                rows: self.sqlite.changes(),
            },
        })
    }
}

/// A runtime of one thread has nobody who could, and outside of one nobody waits.
fn others_can_take_over() -> bool {
    Handle::try_current()
        .is_ok_and(|runtime| runtime.runtime_flavor() != RuntimeFlavor::CurrentThread)
}

fn rows(
    statement: &mut Statement<'_>,
    arguments: &[SqliteValue],
    wanted: Wanted,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    bind(statement, arguments)?;
    // What writes is run to its end, where SQLite says whether it succeeded.
    let first_only = wanted == Wanted::First && statement.readonly();
    let mut columns = None;
    let mut all = Vec::new();
    let answers = statement.column_count() > 0;
    let mut rows = statement.raw_query();
    while let Some(found) = rows.next().map_err(error::told)? {
        if !answers {
            continue;
        }
        let columns = columns.get_or_insert_with(|| row::columns(found.as_ref()));
        all.push(SqliteRow::read(found, columns)?);
        if first_only {
            break;
        }
    }
    Ok(all)
}

/// `$2` and `?2` are the second value, wherever they stand; each `?` is the next one.
fn bind(statement: &mut Statement<'_>, arguments: &[SqliteValue]) -> Result<(), sqlx::Error> {
    let mut next = 0;
    for place in 1..=statement.parameter_count() {
        let number = match statement.parameter_name(place) {
            Some(name) => name[1..].parse::<usize>().map_err(|_| {
                sqlx::Error::Protocol(format!("`{name}` has no number; write `$1`, `$2`, …"))
            })?,
            None => next + 1,
        };
        next = next.max(number);
        // As in SQLite: what nothing was bound to is NULL.
        let Some(value) = arguments.get(number.wrapping_sub(1)) else {
            continue;
        };
        statement
            .raw_bind_parameter(place, value)
            .map_err(error::told)?;
    }
    Ok(())
}

impl<'c> Executor<'c> for &'c mut SqliteConnection {
    type Database = Sqlite;

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Changed, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        async move { self.ask(query, Wanted::All).map(|answer| answer.changed) }.boxed()
    }

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<Changed, SqliteRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        let steps = async move {
            match self.ask(query, Wanted::All) {
                Ok(Answer { rows, changed }) => {
                    let rows = rows.into_iter().map(Either::Right);
                    rows.chain([Either::Left(changed)]).map(Ok).collect()
                }
                Err(error) => vec![Err(error)],
            }
        };
        steps.map(stream::iter).flatten_stream().boxed()
    }

    fn fetch_all<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Vec<SqliteRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        async move { self.ask(query, Wanted::All).map(|answer| answer.rows) }.boxed()
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
            let answer = self.ask(query, Wanted::First)?;
            Ok(answer.rows.into_iter().next())
        }
        .boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        _: &'e [SqliteType],
    ) -> BoxFuture<'e, Result<WholeStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        futures_util::future::ready(Ok(WholeStatement { sql })).boxed()
    }

    fn describe<'e>(self, _: SqlStr) -> BoxFuture<'e, Result<Describe<Sqlite>, sqlx::Error>>
    where
        'c: 'e,
    {
        let refused = sqlx::Error::Protocol("statements are not described".to_owned());
        futures_util::future::ready(Err(refused)).boxed()
    }
}
