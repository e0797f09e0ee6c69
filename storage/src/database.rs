//! The database: one SQLite file with one writer that groups commits, and readers beside it.
//!
//! Everything that changes goes through [`Database::transact`]; everything that only looks takes [`Database::read`].
//! Both lend a [`Tx`], so that a catalog function does not care which it was given.

mod batches;
mod error;
#[cfg(test)]
mod explain;
mod lock;
mod readers;
mod tx;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::store::{Append, Appended, StoreError};
use sqlx::migrate::{MigrateError, Migrator};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::sqlite::{Limits, Options, SqliteConnection, Waits};

pub use error::DatabaseError;
#[cfg(test)]
pub(crate) use explain::explain;
pub use tx::Tx;

use batches::Batches;
use lock::DatabaseLock;
use readers::Readers;
use writer::{Item, Waiting, WaitingAppend, Writer};

pub use engine::step::BoxFuture;

/// Work for the writer: `Box::new(move |tx| Box::pin(async move { … }))`.
pub type Work<T, E> = engine::step::Work<Tx, T, E>;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Enough for the requests of one node to look at once; a waiting reader costs little, an open one keeps the WAL long.
const READERS: u32 = 4;
/// Past this someone holds a reader who should not, and the caller had better say so than hang.
const READER_WAIT: Duration = Duration::from_secs(5);
/// Past this whoever asked has gone, and there are only a few readers; in the thread that asks, everybody there waits.
const READER_LIMITS: Limits = Limits {
    briefly: Duration::from_secs(5),
    at_length: Duration::from_secs(30),
};
/// How long SQLite itself waits for another connection's lock.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// The writer's inserts of many rows have one text per number of rows; the catalog has about two hundred texts.
const STATEMENT_CACHE: usize = 2 * batches::LIMIT + 256;
/// While a database is filled: 512 MiB, so that keys in no order (digests) are written once and not once per row.
const FILLING_CACHE: &str = "-524288";
/// After a checkpoint the WAL file is cut down to this.
const WAL_BYTES_KEPT: &str = "67108864";

/// A handle on the open database; clones share it.
#[derive(Clone)]
pub struct Database(Arc<Open>);

struct Open {
    path: PathBuf,
    queue: mpsc::Sender<Item>,
    readers: Readers,
    batches: Arc<Batches>,
    /// How many statements SQLite was asked to run.
    statements: Arc<AtomicU64>,
    writer: Mutex<JoinSet<()>>,
    /// Held as long as any handle lives. None: opened to read only, beside the process that writes.
    _lock: Option<DatabaseLock>,
}

impl Database {
    /// Opens the database at `path` for this process alone, creating and migrating it as needed.
    ///
    /// Afterwards a commit is on disk when it returns: journal mode and `synchronous` were read back and are refused
    /// when they are weaker. A schema newer than this program is refused and left as it is.
    pub async fn open(path: &Path) -> Result<Self, DatabaseError> {
        let lock = DatabaseLock::take(path)?;
        let statements = Arc::default();
        let options = durable(path).counting(&statements);
        let mut connection = options.open().map_err(cannot_open(path))?;
        assert_durable(&mut connection).await?;
        migrate(path, &mut connection).await?;
        Self::with_writer(path, lock, connection, statements)
    }

    /// Opens the database at `path` to put very much into it at once, for benchmarks and tests.
    ///
    /// Nothing is durable before [`close`](Self::close): what a crash leaves behind is to be thrown away.
    pub async fn open_to_fill(path: &Path) -> Result<Self, DatabaseError> {
        let lock = DatabaseLock::take(path)?;
        let statements = Arc::default();
        let options = durable(path)
            .counting(&statements)
            .set("synchronous", "OFF")
            .set("cache_size", FILLING_CACHE);
        let mut connection = options.open().map_err(cannot_open(path))?;
        migrate(path, &mut connection).await?;
        Self::with_writer(path, lock, connection, statements)
    }

    fn with_writer(
        path: &Path,
        lock: DatabaseLock,
        connection: SqliteConnection,
        statements: Arc<AtomicU64>,
    ) -> Result<Self, DatabaseError> {
        let readers = readers(path, reading(path, &statements).limited(READER_LIMITS))?;
        let (queue, waiting) = mpsc::channel(4 * batches::LIMIT);
        let batches = Arc::new(Batches::default());
        let mut writer = JoinSet::new();
        let task = Writer::new(connection, waiting, Arc::clone(&batches)).run();
        // In a thread of its own, where it may wait for the disk.
        writer.spawn_blocking(move || Handle::current().block_on(task));
        Ok(Self(Arc::new(Open {
            path: path.to_owned(),
            queue,
            readers,
            batches,
            statements,
            writer: Mutex::new(writer),
            _lock: Some(lock),
        })))
    }

    /// Opens an existing database to look only, also beside the process that writes it.
    ///
    /// [`transact`](Self::transact) then answers [`DatabaseError::Closed`].
    pub async fn open_to_read(path: &Path) -> Result<Self, DatabaseError> {
        let statements = Arc::default();
        let readers = readers(path, reading(path, &statements))?;
        refuse_newer(path, &readers).await?;
        let (queue, _) = mpsc::channel(1);
        Ok(Self(Arc::new(Open {
            path: path.to_owned(),
            queue,
            readers,
            batches: Arc::default(),
            statements,
            writer: Mutex::default(),
            _lock: None,
        })))
    }

    /// The file this database lies in.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// One snapshot of everything committed so far, which cannot be written to.
    ///
    /// It never changes while it is held: to see what was committed since, take another. Do not hold it while
    /// waiting for something else; there are only a few. A statement that reads for half a minute beside the writer is
    /// given up.
    pub async fn read(&self) -> Result<Tx, DatabaseError> {
        let snapshot = self.0.readers.snapshot(Waits::AtLength).await?;
        Ok(Tx::reader(snapshot))
    }

    /// As [`read`](Self::read), for whoever only looks up: each statement reads a few rows along an index.
    ///
    /// It runs in the thread that asks; all else waiting for that thread waits for it too, five seconds at most.
    pub async fn look_up(&self) -> Result<Tx, DatabaseError> {
        let snapshot = self.0.readers.snapshot(Waits::Briefly).await?;
        Ok(Tx::reader(snapshot))
    }

    /// Runs `work` in the writer's current transaction, inside a savepoint of its own.
    ///
    /// `Ok(Ok(_))`: its writes are durable. `Ok(Err(_))`: the work refused and left no write. `Err(_)`: it left no
    /// write either, except for [`DatabaseError::Unknown`]. A work that panics or takes longer than five seconds is
    /// rolled back; it holds up every other write, so nothing but SQL belongs into it.
    ///
    /// Dropping this future does not take the work back once it is queued.
    pub async fn transact<T, E>(
        &self,
        work: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    ) -> Result<Result<T, E>, DatabaseError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting::new(Box::new(work), answer);
        self.0
            .queue
            .send(Item::Work(Box::new(waiting)))
            .await
            .map_err(|_| DatabaseError::Closed)?;
        answered
            .await
            .unwrap_or(Err(DatabaseError::Unknown { source: None }))
    }

    /// Writes a row of a plan's journal, together with whatever else waits. See [`engine::store::Store::append`].
    pub(crate) async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        let (caller, answered) = oneshot::channel();
        self.0
            .queue
            .send(Item::Append(Box::new(WaitingAppend { append, caller })))
            .await
            .map_err(|_| DatabaseError::Closed)?;
        answered
            .await
            .unwrap_or_else(|_| Err(DatabaseError::Unknown { source: None }.into()))
    }

    /// How often the writer committed how many works at once: `(works, commits)`, smallest first.
    #[must_use]
    pub fn batches(&self) -> Vec<(usize, u64)> {
        self.0.batches.counted()
    }

    /// How many statements SQLite was asked to run since this was opened.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.0.statements.load(Ordering::Relaxed)
    }

    /// Ends the writer after all it has accepted, and brings the WAL back into the file.
    ///
    /// Other handles stay valid but answer [`DatabaseError::Closed`].
    pub async fn close(self) {
        // Refused only when the writer has ended already.
        let _ = self.0.queue.send(Item::Close).await;
        let mut writer = {
            let mut held = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *held)
        };
        while writer.join_next().await.is_some() {}
        if tokio::time::timeout(READER_WAIT, self.0.readers.close())
            .await
            .is_err()
        {
            tracing::warn!("a reader of {} is still open", self.0.path.display());
        }
    }
}

fn durable(path: &Path) -> Options {
    Options::new(path, BUSY_WAIT, STATEMENT_CACHE)
        .set("journal_mode", "WAL")
        .set("foreign_keys", "ON")
        .set("synchronous", "FULL")
        // The writer checkpoints between batches, never inside somebody's commit.
        .set("wal_autocheckpoint", "0")
        .set("journal_size_limit", WAL_BYTES_KEPT)
}

fn reading(path: &Path, statements: &Arc<AtomicU64>) -> Options {
    Options::new(path, BUSY_WAIT, STATEMENT_CACHE)
        .counting(statements)
        .read_only()
        .set("query_only", "ON")
}

fn readers(path: &Path, options: Options) -> Result<Readers, DatabaseError> {
    Readers::open(options, READERS, READER_WAIT).map_err(cannot_open(path))
}

/// What an acknowledged write relies on, read back from the connection that makes it.
async fn assert_durable(connection: &mut SqliteConnection) -> Result<(), DatabaseError> {
    const JOURNAL_MODE: &str = "PRAGMA journal_mode";
    const SYNCHRONOUS: &str = "PRAGMA synchronous";
    const FOREIGN_KEYS: &str = "PRAGMA foreign_keys";
    let refuse = |setting, wanted: &str, found: &str| {
        if found == wanted {
            Ok(())
        } else {
            Err(DatabaseError::NotDurable {
                setting,
                wanted: wanted.to_owned(),
                found: found.to_owned(),
            })
        }
    };
    let mode: String = sqlx::query_scalar(JOURNAL_MODE)
        .fetch_one(&mut *connection)
        .await?;
    refuse("journal_mode", "wal", &mode)?;
    let synchronous: i64 = sqlx::query_scalar(SYNCHRONOUS)
        .fetch_one(&mut *connection)
        .await?;
    refuse("synchronous", "2", &synchronous.to_string())?;
    let keys: i64 = sqlx::query_scalar(FOREIGN_KEYS)
        .fetch_one(&mut *connection)
        .await?;
    refuse("foreign_keys", "1", &keys.to_string())
}

async fn migrate(path: &Path, connection: &mut SqliteConnection) -> Result<(), DatabaseError> {
    MIGRATIONS.run(connection).await.map_err(|error| {
        if let MigrateError::VersionMissing(version) = error {
            newer(path, version)
        } else {
            DatabaseError::Migration {
                path: path.to_owned(),
                source: Arc::new(error),
            }
        }
    })
}

async fn refuse_newer(path: &Path, readers: &Readers) -> Result<(), DatabaseError> {
    const SQL: &str = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations";
    let mut snapshot = readers.snapshot(Waits::Briefly).await?;
    let version: i64 = sqlx::query_scalar(SQL)
        .fetch_one(snapshot.connection())
        .await?;
    if MIGRATIONS.version_exists(version) {
        Ok(())
    } else {
        Err(newer(path, version))
    }
}

fn newer(path: &Path, version: i64) -> DatabaseError {
    DatabaseError::Newer {
        path: path.to_owned(),
        version,
        known: MIGRATIONS.iter().map(|known| known.version).max(),
    }
}

fn cannot_open(path: &Path) -> impl FnOnce(sqlx::Error) -> DatabaseError {
    let path = path.to_owned();
    move |source| DatabaseError::Open {
        path,
        source: Arc::new(source),
    }
}
