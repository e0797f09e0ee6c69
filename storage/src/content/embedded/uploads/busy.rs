//! Who is writing to which session: one at a time, and nobody who has fallen silent stands in the way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::UploadId;

/// A client that sends nothing for so long while another request wants to go on with its session is most likely gone: clients
/// begin again some seconds after their connection was cut, and the cut is not always told to us.
pub(super) const SILENCE: Duration = Duration::from_secs(2);

/// The sessions that are being written to by this process.
#[derive(Clone, Debug, Default)]
pub(in crate::content) struct Busy(Arc<Mutex<HashMap<UploadId, Writer>>>);

/// What others see of who writes.
#[derive(Clone, Debug)]
struct Writer {
    purpose: Purpose,
    /// Every byte that comes is a sign of life.
    life: watch::Sender<()>,
    give_up: CancellationToken,
    released: CancellationToken,
}

/// The right to write to a session, given back when dropped.
#[derive(Debug)]
pub(super) struct Writing {
    busy: Busy,
    id: UploadId,
    writer: Writer,
    /// True: it was taken from somebody who had fallen silent.
    pub(super) taken_over: bool,
}

/// What the right is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To add what a client sends. It gives way when the client falls silent.
    Append,
    /// To learn how far it is, or to end it.
    Settle,
    /// To make a blob of it. What somebody still brings belongs to it, so nobody gives way.
    Finish,
}

/// How the one who takes bytes in tells that they come, and is told to give way.
#[derive(Clone, Debug)]
pub(super) struct Lifeline {
    life: watch::Sender<()>,
    give_up: CancellationToken,
}

impl Lifeline {
    /// A byte has come.
    pub(super) fn lives(&self) {
        self.life.send_replace(());
    }

    /// Ends when somebody else is to go on.
    pub(super) async fn give_way(&self) {
        self.give_up.cancelled().await;
    }
}

impl Busy {
    /// The right to write to the session, at once if nobody has it. Else whoever has it is watched: `None` if there is a sign
    /// of life; a silent one gives way, and what it has brought is recorded before this ends.
    pub(super) async fn begin(&self, id: UploadId, purpose: Purpose) -> Option<Writing> {
        let mut taken_over = false;
        loop {
            let other = match self.take(id, purpose, taken_over) {
                Ok(writing) => return Some(writing),
                Err(other) => other,
            };
            match timeout(SILENCE, other.next_sign()).await {
                Ok(Sign::Lives) => return None,
                Ok(Sign::Released) => {}
                Err(_) if purpose == Purpose::Finish || other.purpose != Purpose::Append => {
                    return None;
                }
                Err(_) => {
                    taken_over = true;
                    other.give_up.cancel();
                    other.released.cancelled().await;
                }
            }
        }
    }

    /// The right to end the session, if nobody has any just now; whoever writes is not disturbed.
    pub(super) fn idle(&self, id: UploadId) -> Option<Writing> {
        self.take(id, Purpose::Settle, false).ok()
    }

    fn take(&self, id: UploadId, purpose: Purpose, taken_over: bool) -> Result<Writing, Writer> {
        let mut sessions = self.sessions();
        if let Some(other) = sessions.get(&id) {
            return Err(other.clone());
        }
        let writer = Writer {
            purpose,
            life: watch::Sender::new(()),
            give_up: CancellationToken::new(),
            released: CancellationToken::new(),
        };
        sessions.insert(id, writer.clone());
        Ok(Writing {
            busy: self.clone(),
            id,
            writer,
            taken_over,
        })
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<UploadId, Writer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Sign {
    Lives,
    Released,
}

impl Writer {
    async fn next_sign(&self) -> Sign {
        let mut life = self.life.subscribe();
        tokio::select! {
            () = self.released.cancelled() => Sign::Released,
            _ = life.changed() => Sign::Lives,
        }
    }
}

impl Writing {
    /// For who takes the bytes in.
    pub(super) fn lifeline(&self) -> Lifeline {
        Lifeline {
            life: self.writer.life.clone(),
            give_up: self.writer.give_up.clone(),
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.busy.sessions().remove(&self.id);
        self.writer.released.cancel();
    }
}
