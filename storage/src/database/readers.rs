//! Connections that only look: a few, kept open, each lent out as one snapshot at a time.
//!
//! No pool: one asks each connection whether it still lives, before and after, and a file always does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::sqlite::{Options, SqliteConnection, Waits};

/// The connections; clones share them.
#[derive(Clone)]
pub(super) struct Readers(Arc<Inner>);

struct Inner {
    options: Options,
    idle: Mutex<Vec<SqliteConnection>>,
    places: Arc<Semaphore>,
    at_most: u32,
    wait: Duration,
}

impl Readers {
    /// Opens one connection, to know that it can be done, and further ones when they are needed, `at_most` so many. Whoever
    /// waits longer than `wait` for one is told so.
    pub(super) fn open(
        options: Options,
        at_most: u32,
        wait: Duration,
    ) -> Result<Self, sqlx::Error> {
        let first = options.open()?;
        Ok(Self(Arc::new(Inner {
            options,
            idle: Mutex::new(vec![first]),
            places: Arc::new(Semaphore::new(at_most as usize)),
            at_most,
            wait,
        })))
    }

    /// A snapshot that no write changes. It begins with its first statement.
    pub(super) async fn snapshot(&self, waits: Waits) -> Result<Snapshot, sqlx::Error> {
        let place = Arc::clone(&self.0.places).acquire_owned();
        let place = tokio::time::timeout(self.0.wait, place)
            .await
            .map_err(|_| sqlx::Error::PoolTimedOut)?
            .map_err(|_| sqlx::Error::PoolClosed)?;
        let idle = self.0.idle().pop();
        let begun = match idle {
            // One that cannot begin is broken, or still has the snapshot of somebody else.
            Some(mut idle) => idle.again("BEGIN").ok().map(|()| idle),
            None => None,
        };
        let mut connection = if let Some(connection) = begun {
            connection
        } else {
            let mut new = self.0.options.open()?;
            new.again("BEGIN")?;
            new
        };
        connection.expect(waits);
        Ok(Snapshot {
            connection: Some(connection),
            home: Arc::clone(&self.0),
            _place: place,
        })
    }

    /// Waits until all snapshots are given back, and closes the connections.
    pub(super) async fn close(&self) {
        // Refused only when they are closed already.
        if let Ok(all) = self.0.places.acquire_many(self.0.at_most).await {
            all.forget();
        }
        self.0.places.close();
        let idle = std::mem::take(&mut *self.0.idle());
        for connection in idle {
            // Nothing was written through it.
            let _ = connection.shut();
        }
    }
}

impl Inner {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<SqliteConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection inside a transaction that only reads; given back when it is dropped.
pub(super) struct Snapshot {
    connection: Option<SqliteConnection>,
    home: Arc<Inner>,
    /// Given back after the connection.
    _place: OwnedSemaphorePermit,
}

impl Snapshot {
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        self.connection.as_mut().expect("taken in `drop` only")
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            // Were it refused, the next `BEGIN` would be too, and the connection be given up.
            let _ = connection.again("ROLLBACK");
            self.home.idle().push(connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readers(at_most: u32, wait: Duration) -> (tempfile::TempDir, Readers) {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::new(&folder.path().join("read.db"), Duration::ZERO, 16);
        let readers = Readers::open(options, at_most, wait).unwrap();
        (folder, readers)
    }

    #[tokio::test]
    async fn a_connection_given_back_begins_anew_for_the_next_one() {
        let (_folder, readers) = readers(1, Duration::from_secs(5));

        for _ in 0..3 {
            let mut snapshot = readers.snapshot(Waits::Briefly).await.unwrap();
            assert!(snapshot.connection().is_inside());
            drop(snapshot);
            assert_eq!(readers.0.idle().len(), 1);
        }
    }

    #[tokio::test]
    async fn a_connection_that_cannot_begin_is_replaced() {
        let (_folder, readers) = readers(1, Duration::from_secs(5));
        let mut stuck = readers.0.idle().pop().unwrap();
        stuck.run("BEGIN").unwrap();
        readers.0.idle().push(stuck);

        let mut snapshot = readers.snapshot(Waits::Briefly).await.unwrap();

        assert!(snapshot.connection().is_inside());
        assert!(readers.0.idle().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told() {
        let (_folder, readers) = readers(1, Duration::from_secs(5));
        let _held = readers.snapshot(Waits::Briefly).await.unwrap();

        let second = readers.snapshot(Waits::Briefly).await;

        assert!(matches!(second, Err(sqlx::Error::PoolTimedOut)));
    }

    #[tokio::test]
    async fn after_the_close_there_are_no_more() {
        let (_folder, readers) = readers(2, Duration::from_secs(5));
        drop(readers.snapshot(Waits::Briefly).await.unwrap());

        readers.close().await;

        assert!(readers.snapshot(Waits::Briefly).await.is_err());
        assert!(readers.0.idle().is_empty());
    }
}
