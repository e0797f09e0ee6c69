//! Room for what is on its way to Pulp. Sessions and blobs that Pulp does not have yet take no more of the content folder than is
//! set; who sends more waits a while, and is refused then.
//!
//! Where room is short, the blobs that lie here longest are brought on, and go as soon as Pulp has their very bytes. Otherwise
//! they stay until a version has them: Pulp sweeps what is in none after a day.

mod rows;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio::time::{Instant, timeout_at};

use super::Pulp;
use crate::Database;
use crate::content::{ContentError, Inner};

pub(in crate::content) use rows::{add, forget};

/// So long a body waits for room: less than clients wait for an answer.
const WAIT: Duration = Duration::from_secs(20);
/// Room is looked for so often where nobody says that there is some.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// So many blobs are brought on together.
const AT_ONCE: u32 = 30;

/// The bound, and what arrives just now.
pub(in crate::content) struct Spool {
    most_bytes: u64,
    /// Let in, and in no row yet.
    arriving: AtomicU64,
    /// Held while somebody is let in.
    deciding: Mutex<()>,
    /// Held while blobs are brought on.
    relieving: Mutex<()>,
    changed: Notify,
}

/// Why a body is not taken in.
#[derive(Debug)]
pub(in crate::content) enum NoRoom {
    /// The blob alone is larger than the bound.
    TooLarge { most_bytes: u64 },
    /// Pulp has not taken enough of what lies here.
    Full { most_bytes: u64 },
    /// It is not known.
    Unknown(ContentError),
}

/// Room that one body has; given back when it is dropped, after what arrived is in its row.
pub(in crate::content) struct Room {
    spool: Arc<Spool>,
    bytes: AtomicU64,
}

impl Drop for Room {
    fn drop(&mut self) {
        let bytes = self.bytes.load(Ordering::Acquire);
        self.spool.arriving.fetch_sub(bytes, Ordering::AcqRel);
        self.spool.changed.notify_waiters();
    }
}

impl Spool {
    pub(super) fn new(most_bytes: u64) -> Self {
        Self {
            most_bytes,
            arriving: AtomicU64::new(0),
            deciding: Mutex::default(),
            relieving: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(in crate::content) fn room(self: &Arc<Self>) -> Room {
        Room {
            spool: Arc::clone(self),
            bytes: AtomicU64::new(0),
        }
    }

    /// Waits until nobody brings blobs on; nobody begins to while what is answered is held.
    pub(super) async fn hold(&self) -> MutexGuard<'_, ()> {
        self.relieving.lock().await
    }

    /// There is more room than before.
    pub(in crate::content) fn note_room(&self) {
        self.changed.notify_waiters();
    }

    async fn used_bytes(&self, database: &Database) -> Result<u64, ContentError> {
        let mut tx = database.look_up().await?;
        Ok(rows::bytes(&mut tx).await? + self.arriving.load(Ordering::Acquire))
    }

    async fn let_in(
        &self,
        database: &Database,
        room: &Room,
        bytes: u64,
    ) -> Result<bool, ContentError> {
        let _alone = self.deciding.lock().await;
        if self.used_bytes(database).await? + bytes > self.most_bytes {
            return Ok(false);
        }
        self.arriving.fetch_add(bytes, Ordering::AcqRel);
        room.bytes.fetch_add(bytes, Ordering::AcqRel);
        Ok(true)
    }
}

impl Inner {
    /// Makes the room larger by so many bytes of a blob that has `before` already.
    pub(in crate::content) async fn make_room(
        self: &Arc<Self>,
        room: &Room,
        before: u64,
        bytes: u64,
    ) -> Result<(), NoRoom> {
        let spool = &room.spool;
        let most_bytes = spool.most_bytes;
        if before + bytes > most_bytes {
            return Err(NoRoom::TooLarge { most_bytes });
        }
        let until = Instant::now() + WAIT;
        loop {
            let changed = spool.changed.notified();
            let let_in = spool.let_in(&self.database, room, bytes).await;
            if let_in.map_err(NoRoom::Unknown)? {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(NoRoom::Full { most_bytes });
            }
            self.relieve_soon();
            // Changed or not: it is looked for again.
            let _ = timeout_at(until.min(Instant::now() + LOOK_AGAIN), changed).await;
        }
    }

    fn relieve_soon(self: &Arc<Self>) {
        let inner = Arc::clone(self);
        self.writers.spawn(async move {
            let Some(pulp) = &inner.pulp else { return };
            let Ok(_alone) = pulp.spool.relieving.try_lock() else {
                return;
            };
            let relieved = inner
                .closing
                .run_until_cancelled(inner.relieve(pulp))
                .await;
            if let Some(Err(error)) = relieved {
                tracing::warn!(%error, "what lies in the content folder cannot be brought on to Pulp: {error}");
            }
        });
    }

    /// Brings on what lies here longest, until half of the room is free or nothing is left.
    async fn relieve(&self, pulp: &Pulp) -> Result<(), ContentError> {
        let mut after = None;
        while pulp.spool.used_bytes(&self.database).await? > pulp.spool.most_bytes / 2 {
            let oldest = {
                let mut tx = self.database.look_up().await?;
                rows::oldest(&mut tx, after.as_ref(), AT_ONCE).await?
            };
            let Some(last) = oldest.last() else { break };
            after = Some(last.position());
            let mut digests = Vec::new();
            for blob in &oldest {
                match self.carry(pulp, blob.destination, blob.digest).await {
                    Ok(()) => digests.push(blob.digest),
                    // Pulp is not to blame: its push will say what is wrong.
                    Err(error) if !error.is_transient() => {}
                    Err(error) => return Err(error),
                }
            }
            let there = pulp.with_bytes(None, &digests).await?;
            let released = self
                .database
                .transact::<Vec<String>, ContentError>(move |tx| {
                    Box::pin(async move { rows::release(tx, &there).await })
                });
            self.discard_released(released.await??).await;
        }
        Ok(())
    }

    /// Deletes objects whose blobs lie in Pulp alone now.
    pub(in crate::content) async fn discard_released(&self, objects: Vec<String>) {
        for object in objects {
            if let Ok(object) = object.parse() {
                self.discard(&object).await;
            }
        }
        if let Some(pulp) = &self.pulp {
            pulp.spool.note_room();
        }
    }
}
