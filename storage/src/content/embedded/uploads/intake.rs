//! The way of a body into the store: while one piece arrives, the one before is hashed and written.
//!
//! Three pieces of at most [`PIECE_BYTES`] are in memory for one upload: one arriving, one waiting, one being hashed
//! and written. The writer is a task of its own, so that it records how far it came when the request is dropped.
//!
//! Each byte is copied three times: by the kernel into the buffer of the connection, from there into a piece, by the kernel
//! into the page cache. Each piece is handed over twice: to the writer's task, and to a thread that hashes and writes it. On
//! a machine where a hand-over costs as much as copying 100 KiB, gathering large pieces is cheaper than handing over what
//! came. A short body is hashed, written and synced by one thread at once.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use engine::clock::Timestamp;
use futures_util::Stream;
use tokio::sync::{mpsc, oneshot};

use super::UploadError;
use super::busy::{Lifeline, Writing};
use super::row::{self, UploadRow};
use crate::content::objects::ObjectError;
use crate::content::pulp::{NoRoom, Room};
use crate::content::{ContentError, Inner};

/// Large enough that handing it to other threads costs nothing, small enough for dozens of uploads at once.
const PIECE_BYTES: usize = 1024 * 1024;
/// What arrives as large as this is handed on as it is: copying would cost more than one more hand-over.
const UNCOPIED_BYTES: usize = 512 * 1024;
/// A body as long as this is written at once, and its piece is no longer than it must be.
const SHORT_BYTES: usize = 64 * 1024;

/// A part of a body.
enum Piece {
    /// After it another one comes.
    Middle(Bytes),
    /// With it the body ends, as far as it came.
    Last(Bytes),
    /// The body is not what it was said to be: nothing of it counts.
    Void,
}

/// Why a body was not taken in to its end.
pub(super) enum Stopped<E> {
    /// It broke off.
    Broken(E),
    /// Somebody else goes on with the session.
    TakenOver,
    /// It is longer, or shorter, than it was said to be. Nothing of it counts.
    OtherLength {
        /// How many bytes had come then.
        found: u64,
    },
    /// There is no room for it. Nothing of it counts.
    NoRoom(NoRoom),
}

/// The end of the way that a request holds.
pub(super) struct Intake {
    content: Arc<Inner>,
    pieces: mpsc::Sender<Piece>,
    lifeline: Lifeline,
    /// How many bytes the blob has already.
    before: u64,
    /// Where what arrives goes on to a Pulp: the room it takes here. The writer holds it as long as we do.
    room: Option<Arc<Room>>,
}

impl Intake {
    /// Begins to write to the session; the receiver tells what is durable once the intake has ended.
    pub(super) fn begin(
        content: Arc<Inner>,
        row: UploadRow,
        writing: Writing,
        at: Timestamp,
    ) -> (Self, oneshot::Receiver<Result<u64, UploadError>>) {
        let (pieces, arriving) = mpsc::channel(1);
        let (record, recorded) = oneshot::channel();
        let lifeline = writing.lifeline();
        let room = content
            .pulp
            .as_ref()
            .map(|pulp| Arc::new(pulp.spool.room()));
        let intake = Self {
            content: Arc::clone(&content),
            pieces,
            lifeline,
            before: row.object.size_bytes,
            room: room.clone(),
        };
        let writers = content.writers.clone();
        writers.spawn(async move {
            let ended = write(&content, row, arriving, at).await;
            drop(room);
            drop(writing);
            // Without a receiver the request is gone; the row knows.
            let _ = record.send(ended);
        });
        (intake, recorded)
    }

    /// Hands the body over in pieces, which must be of that length together if one is given. An error is the body's; the
    /// writer tells its own.
    pub(super) async fn take_in<E>(
        self,
        length: Option<u64>,
        body: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<(), Stopped<E>> {
        let mut body = pin!(body);
        let lifeline = self.lifeline.clone();
        let mut given_way = pin!(lifeline.give_way());
        let mut gathered = BytesMut::new();
        let mut found = 0;
        loop {
            let next = poll_fn(|cx| match body.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(chunk))) => Poll::Ready(Ok(Some(chunk))),
                Poll::Ready(Some(Err(error))) => Poll::Ready(Err(Stopped::Broken(error))),
                Poll::Ready(None) => Poll::Ready(Ok(None)),
                Poll::Pending => given_way
                    .as_mut()
                    .poll(cx)
                    .map(|()| Err(Stopped::TakenOver)),
            });
            let mut chunk = match next.await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(stopped) => {
                    self.hand_over(Piece::Last(gathered.freeze())).await;
                    return Err(stopped);
                }
            };
            lifeline.lives();
            found += chunk.len() as u64;
            if length.is_some_and(|length| found > length) {
                self.hand_over(Piece::Void).await;
                return Err(Stopped::OtherLength { found });
            }
            while !chunk.is_empty() {
                let room = PIECE_BYTES - gathered.len();
                let taken = chunk.split_to(room.min(chunk.len()));
                let piece = if gathered.is_empty() && taken.len() >= UNCOPIED_BYTES {
                    taken
                } else {
                    if gathered.capacity() < gathered.len() + taken.len() {
                        // Large at once: growing step by step would copy everything again and again.
                        let large = gathered.len() + taken.len() > SHORT_BYTES;
                        gathered.reserve(if large { room } else { SHORT_BYTES });
                    }
                    gathered.extend_from_slice(&taken);
                    if gathered.len() < PIECE_BYTES {
                        continue;
                    }
                    std::mem::take(&mut gathered).freeze()
                };
                if let Err(why) = self.make_room(found, piece.len()).await {
                    self.hand_over(Piece::Void).await;
                    return Err(Stopped::NoRoom(why));
                }
                if !self.hand_over(Piece::Middle(piece)).await {
                    return Ok(());
                }
            }
        }
        if length.is_some_and(|length| found != length) {
            self.hand_over(Piece::Void).await;
            return Err(Stopped::OtherLength { found });
        }
        if let Err(why) = self.make_room(found, gathered.len()).await {
            self.hand_over(Piece::Void).await;
            return Err(Stopped::NoRoom(why));
        }
        self.hand_over(Piece::Last(gathered.freeze())).await;
        Ok(())
    }

    /// Waits for room for a piece of a body of which so many bytes have come.
    async fn make_room(&self, found: u64, piece: usize) -> Result<(), NoRoom> {
        let Some(room) = &self.room else {
            return Ok(());
        };
        let piece = piece as u64;
        let before = (self.before + found).saturating_sub(piece);
        self.content.make_room(room, before, piece).await
    }

    /// False if the writer has ended early, which it tells by itself.
    async fn hand_over(&self, piece: Piece) -> bool {
        self.pieces.send(piece).await.is_ok()
    }
}

/// Writes what arrives, then records what is durable, and answers how much that is.
async fn write(
    content: &Inner,
    mut row: UploadRow,
    mut arriving: mpsc::Receiver<Piece>,
    at: Timestamp,
) -> Result<u64, UploadError> {
    let from = row.object.size_bytes;
    let failed = match arriving.recv().await {
        None | Some(Piece::Void) => return Ok(from),
        Some(Piece::Last(nothing)) if nothing.is_empty() => return Ok(from),
        Some(Piece::Last(only)) if only.len() <= SHORT_BYTES => {
            let state = row.object.clone();
            row.object = content
                .objects
                .append_at_once(state, only, &mut row.hash)
                .await
                .map_err(ContentError::from)?;
            None
        }
        Some(first) => match write_pieces(content, &mut row, first, arriving).await? {
            Written::Void => return Ok(from),
            Written::Whole => None,
            Written::Failed(error) => Some(error),
        },
    };
    let offset = row.object.size_bytes;
    let id = row.id;
    let advanced = content
        .database
        .transact(move |tx| Box::pin(async move { row::advance(tx, &row, from, at).await }))
        .await
        .map_err(ContentError::from)??;
    match failed {
        Some(error) => Err(UploadError::Content(error.into())),
        None if advanced => Ok(offset),
        None => Err(UploadError::Unknown { id }),
    }
}

/// What became of the pieces.
enum Written {
    /// All of them are durable.
    Whole,
    /// Those before the failure are durable.
    Failed(ObjectError),
    /// None counts: the next writer drops what was written.
    Void,
}

/// Writes one piece after the other, and makes durable what has come.
async fn write_pieces(
    content: &Inner,
    row: &mut UploadRow,
    first: Piece,
    mut arriving: mpsc::Receiver<Piece>,
) -> Result<Written, UploadError> {
    let mut writer = content
        .objects
        .append(row.object.clone())
        .await
        .map_err(ContentError::from)?;
    let mut next = Some(first);
    let mut failed = None;
    while let Some(piece) = next {
        let (bytes, is_last) = match piece {
            Piece::Middle(bytes) => (bytes, false),
            Piece::Last(bytes) => (bytes, true),
            Piece::Void => return Ok(Written::Void),
        };
        if !bytes.is_empty()
            && let Err(error) = writer.write(bytes, &mut row.hash).await
        {
            failed = Some(error);
            break;
        }
        next = if is_last { None } else { arriving.recv().await };
    }
    drop(arriving);
    row.object = writer.sync().await.map_err(ContentError::from)?;
    Ok(failed.map_or(Written::Whole, Written::Failed))
}
