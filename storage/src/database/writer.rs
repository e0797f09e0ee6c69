//! The writer: one task that owns the only writing connection and commits whatever waits as one transaction.
//!
//! Nobody is answered before the commit has returned. There is no timer: an idle work is committed at once, and a
//! batch is what came in while the one before was being synced.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};

use super::batches::{self, Batches};
use super::{BUSY_WAIT, BoxFuture, DatabaseError, Tx, Work};
use crate::journal::append_batch;
use crate::sqlite::SqliteConnection;
use engine::store::{Append, Appended, StoreError};

/// A work is SQL on a warm cache: past this it waits for something it should not, and everyone waits with it.
const WORK_LIMIT: Duration = Duration::from_secs(5);
/// Larger, and readers search longer in the WAL; smaller, and pages that change often are written twice.
const CHECKPOINT_PAGES: i64 = 1000;
/// As many bytes as are kept of the WAL. Longer, and it is worth waiting for the readers, so that it can begin again: where
/// there is always one, it never would.
const RESTART_PAGES: i64 = 16 * CHECKPOINT_PAGES;
/// Readers are done within milliseconds. Whoever takes longer must not hold up every write.
const RESTART_WAIT: Duration = Duration::from_millis(50);
/// How many commits pass between two looks at the length of the WAL.
const COMMITS_BETWEEN_LOOKS: u32 = 64;

/// What can be asked of the writer.
pub(super) enum Item {
    /// Run and commit this.
    Work(Box<dyn Job>),
    /// Write this row of a plan's journal, if its place is free.
    Append(Box<WaitingAppend>),
    /// Take nothing more, and end after what was taken.
    Close,
}

/// A work whose types are forgotten: run inside the batch, answered after its commit.
pub(super) trait Job: Send {
    /// Runs the work; afterwards its savepoint is kept only if this is true.
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, bool>;
    /// Tells the caller how its batch ended.
    fn answer(self: Box<Self>, committed: Result<(), DatabaseError>);
}

/// A work, its caller, and in between what the work answered.
pub(super) struct Waiting<T, E> {
    work: Option<Work<T, E>>,
    answered: Option<Result<Result<T, E>, DatabaseError>>,
    caller: oneshot::Sender<Result<Result<T, E>, DatabaseError>>,
}

impl<T, E> Waiting<T, E> {
    pub(super) fn new(
        work: Work<T, E>,
        caller: oneshot::Sender<Result<Result<T, E>, DatabaseError>>,
    ) -> Self {
        Self {
            work: Some(work),
            answered: None,
            caller,
        }
    }
}

impl<T: Send, E: Send> Job for Waiting<T, E> {
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, bool> {
        Box::pin(async move {
            let Some(work) = self.work.take() else {
                return false;
            };
            tx.refuse_after(Some(Instant::now() + WORK_LIMIT));
            let caught = AssertUnwindSafe(async { work(tx).await }).catch_unwind();
            let answer = match tokio::time::timeout(WORK_LIMIT, caught).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(_)) => Err(DatabaseError::Panicked),
                Err(_) => Err(DatabaseError::TooLong {
                    seconds: WORK_LIMIT.as_secs(),
                }),
            };
            let keep = matches!(answer, Ok(Ok(_)));
            self.answered = Some(answer);
            tx.refuse_after(None);
            keep
        })
    }

    fn answer(self: Box<Self>, committed: Result<(), DatabaseError>) {
        let answer = match (committed, self.answered) {
            (Ok(()), Some(answer)) => answer,
            (Ok(()), None) => Err(DatabaseError::Closed),
            (Err(error), _) => Err(error),
        };
        // A caller that has gone needs no answer.
        let _ = self.caller.send(answer);
    }
}

/// An append and its caller.
pub(super) struct WaitingAppend {
    pub(super) append: Append,
    pub(super) caller: oneshot::Sender<Result<Appended, StoreError>>,
}

impl WaitingAppend {
    fn answer(self, verdict: Result<Option<Appended>, DatabaseError>) {
        let (plan, seq) = (self.append.plan, self.append.row.seq);
        let answer = match verdict {
            Ok(Some(appended)) => Ok(appended),
            Ok(None) => Err(StoreError::Fenced { plan, seq }),
            Err(error) => Err(error.into()),
        };
        // A caller that has gone needs no answer.
        let _ = self.caller.send(answer);
    }
}

/// The task's own state.
pub(super) struct Writer {
    tx: Tx,
    waiting: mpsc::Receiver<Item>,
    batches: Arc<Batches>,
    commits_since_look: u32,
}

impl Writer {
    pub(super) fn new(
        connection: SqliteConnection,
        waiting: mpsc::Receiver<Item>,
        batches: Arc<Batches>,
    ) -> Self {
        Self {
            tx: Tx::writer(connection),
            waiting,
            batches,
            commits_since_look: 0,
        }
    }

    /// Serves until it is told to close or the last handle is gone.
    pub(super) async fn run(mut self) {
        let mut taken = Vec::with_capacity(batches::LIMIT);
        while self.waiting.recv_many(&mut taken, batches::LIMIT).await > 0 {
            let mut jobs = VecDeque::with_capacity(taken.len());
            let mut appends = Vec::new();
            for item in taken.drain(..) {
                match item {
                    Item::Work(job) => jobs.push_back(job),
                    Item::Append(append) => appends.push(*append),
                    Item::Close => self.waiting.close(),
                }
            }
            while !jobs.is_empty() || !appends.is_empty() {
                self.commit_batch(std::mem::take(&mut appends), &mut jobs)
                    .await;
            }
            self.checkpoint_if_long().await;
        }
        if let Err(error) = checkpoint_all(self.tx.conn()) {
            tracing::warn!(%error, "the WAL was not brought back into the database; the next start reads it");
        }
        // Nothing is lost with the connection: all that was acknowledged is in the file or its WAL.
        let _ = self.tx.close();
    }

    /// Commits the appends and as many of `jobs` as one transaction carries, and answers them.
    ///
    /// Jobs not begun when a transaction breaks stay, for the next one; it is not theirs to fail with an append.
    async fn commit_batch(
        &mut self,
        appends: Vec<WaitingAppend>,
        jobs: &mut VecDeque<Box<dyn Job>>,
    ) {
        let mut begun = Vec::with_capacity(jobs.len());
        let committed = self.commit(&appends, jobs, &mut begun).await;
        if let Err(error) = &committed {
            let writes = appends.len() + begun.len();
            tracing::warn!(%error, writes, "a batch of writes was not committed");
            // Refused when SQLite has already rolled back by itself.
            let _ = self.tx.conn().again("ROLLBACK");
            if begun.is_empty() && appends.is_empty() {
                begun.extend(jobs.drain(..));
            }
        } else {
            self.batches.count(appends.len() + begun.len());
        }
        match &committed {
            Ok(verdicts) => {
                for (append, verdict) in appends.into_iter().zip(verdicts.iter().cloned()) {
                    append.answer(Ok(verdict));
                }
            }
            Err(error) => {
                for append in appends {
                    append.answer(Err(error.clone()));
                }
            }
        }
        for job in begun {
            job.answer(committed.as_ref().map(|_| ()).map_err(Clone::clone));
        }
    }

    async fn commit(
        &mut self,
        appends: &[WaitingAppend],
        jobs: &mut VecDeque<Box<dyn Job>>,
        begun: &mut Vec<Box<dyn Job>>,
    ) -> Result<Vec<Option<Appended>>, DatabaseError> {
        let appends: Vec<&Append> = appends.iter().map(|waiting| &waiting.append).collect();
        if jobs.is_empty()
            && let [only] = appends.as_slice()
            && only.is_row_only()
        {
            // One statement is its own transaction.
            let asked_at = Instant::now();
            let written = append_batch(&mut self.tx, &appends).await;
            self.tx.take_broken(); // the statement was the whole transaction
            committed_after(asked_at);
            return written.map_err(DatabaseError::of_commit);
        }
        self.tx.conn().again("BEGIN IMMEDIATE")?;
        if appends.is_empty() && jobs.len() == 1 {
            self.commit_alone(jobs, begun).await?;
            return Ok(Vec::new());
        }
        let written = append_batch(&mut self.tx, &appends).await;
        if let Some(broken) = self.tx.take_broken() {
            return Err(broken);
        }
        let verdicts = written?;
        while let Some(mut job) = jobs.pop_front() {
            let ran = self.run_in_savepoint(&mut *job).await;
            begun.push(job);
            ran?;
        }
        let asked_at = Instant::now();
        self.tx
            .conn()
            .again("COMMIT")
            .map_err(DatabaseError::of_commit)?;
        committed_after(asked_at);
        Ok(verdicts)
    }

    /// A work without neighbours needs no savepoint: the transaction is its own. Two round trips less for whoever is alone.
    async fn commit_alone(
        &mut self,
        jobs: &mut VecDeque<Box<dyn Job>>,
        begun: &mut Vec<Box<dyn Job>>,
    ) -> Result<(), DatabaseError> {
        let Some(mut job) = jobs.pop_front() else {
            return Ok(());
        };
        let keep = job.run(&mut self.tx).await;
        begun.push(job);
        if let Some(broken) = self.tx.take_broken() {
            return Err(broken);
        }
        let asked_at = Instant::now();
        let end = if keep { "COMMIT" } else { "ROLLBACK" };
        self.tx
            .conn()
            .again(end)
            .map_err(DatabaseError::of_commit)?;
        committed_after(asked_at);
        Ok(())
    }

    async fn run_in_savepoint(&mut self, job: &mut dyn Job) -> Result<(), DatabaseError> {
        self.tx.conn().again("SAVEPOINT work")?;
        let keep = job.run(&mut self.tx).await;
        if let Some(broken) = self.tx.take_broken() {
            return Err(broken);
        }
        self.end_savepoint(keep)
            .map_err(|error| DatabaseError::RolledBack {
                why: error.to_string(),
            })
    }

    /// Fails only if the transaction around it is gone.
    fn end_savepoint(&mut self, keep: bool) -> Result<(), sqlx::Error> {
        let connection = self.tx.conn();
        if !keep {
            connection.again("ROLLBACK TO work")?;
        }
        connection.again("RELEASE work")
    }

    /// Copies the WAL back into the file once it is long.
    async fn checkpoint_if_long(&mut self) {
        self.commits_since_look += 1;
        if self.commits_since_look < COMMITS_BETWEEN_LOOKS {
            return;
        }
        self.commits_since_look = 0;
        if let Err(error) = checkpoint_if_long(self.tx.conn()).await {
            tracing::warn!(%error, "the WAL was not checkpointed; it grows until one succeeds");
        }
    }
}

/// For whoever plots how fast the disk is.
fn committed_after(asked_at: Instant) {
    metrics::histogram!("wharfinger_commit_seconds").record(asked_at.elapsed());
}

async fn checkpoint_if_long(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    const LOOK: &str = "PRAGMA wal_checkpoint(NOOP)";
    const COPY: &str = "PRAGMA wal_checkpoint(PASSIVE)";
    const RESTART: &str = "PRAGMA wal_checkpoint(RESTART)";
    let (_, in_wal, copied): (i64, i64, i64) =
        sqlx::query_as(LOOK).fetch_one(&mut *connection).await?;
    if in_wal >= RESTART_PAGES {
        connection.wait_for_others(RESTART_WAIT)?;
        let restarted = sqlx::query(RESTART).execute(&mut *connection).await;
        connection.wait_for_others(BUSY_WAIT)?;
        restarted?;
    } else if in_wal - copied >= CHECKPOINT_PAGES {
        sqlx::query(COPY).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Copies all of the WAL back and empties it, unless a reader is open just now.
fn checkpoint_all(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    const EMPTY: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
    connection.wait_for_others(Duration::ZERO)?;
    connection.run(EMPTY)
}
