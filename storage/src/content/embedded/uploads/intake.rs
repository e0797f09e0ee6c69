//! The way of a body into the store: while one piece arrives, the one before is hashed and written side by side.
//!
//! Three pieces of at most [`PIECE_BYTES`] are in memory for one upload: one arriving, one waiting, one being hashed
//! and written. The writer is a task of its own, so that it records how far it came when the request is dropped.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use engine::clock::Timestamp;
use futures_util::Stream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::UploadError;
use super::busy::Writing;
use super::row::{self, UploadRow};
use crate::content::objects::{ObjectError, ObjectWriter};
use crate::content::{ContentError, Inner};
use crate::digest::Running;

/// Large enough that handing it to other threads costs nothing, small enough for dozens of uploads at once.
const PIECE_BYTES: usize = 512 * 1024;
/// What arrives as large as this is handed on as it is: copying would cost more than one more hand-over.
const UNCOPIED_BYTES: usize = 256 * 1024;

/// The end of the way that a request holds.
pub(super) struct Intake {
    pieces: mpsc::Sender<Bytes>,
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
        let writers = content.writers.clone();
        writers.spawn(async move {
            let ended = write(&content, row, arriving, at).await;
            drop(writing);
            // Without a receiver the request is gone; the row knows.
            let _ = record.send(ended);
        });
        (Self { pieces }, recorded)
    }

    /// Hands the body over in pieces. An error is the body's; the writer tells its own.
    pub(super) async fn take_in<E>(
        self,
        body: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<(), E> {
        let mut body = pin!(body);
        let mut gathered = BytesMut::new();
        while let Some(next) = poll_fn(|cx| body.as_mut().poll_next(cx)).await {
            let mut chunk = match next {
                Ok(chunk) => chunk,
                Err(error) => {
                    self.hand_over(gathered.freeze()).await;
                    return Err(error);
                }
            };
            while !chunk.is_empty() {
                let room = PIECE_BYTES - gathered.len();
                let taken = chunk.split_to(room.min(chunk.len()));
                let piece = if gathered.is_empty() && taken.len() >= UNCOPIED_BYTES {
                    taken
                } else {
                    gathered.extend_from_slice(&taken);
                    if gathered.len() < PIECE_BYTES {
                        continue;
                    }
                    std::mem::take(&mut gathered).freeze()
                };
                if !self.hand_over(piece).await {
                    return Ok(());
                }
            }
        }
        self.hand_over(gathered.freeze()).await;
        Ok(())
    }

    /// False if the writer has ended early, which it tells by itself.
    async fn hand_over(&self, piece: Bytes) -> bool {
        piece.is_empty() || self.pieces.send(piece).await.is_ok()
    }
}

/// Writes what arrives, then records what is durable, and answers how much that is.
async fn write(
    content: &Inner,
    mut row: UploadRow,
    mut arriving: mpsc::Receiver<Bytes>,
    at: Timestamp,
) -> Result<u64, UploadError> {
    let from = row.object.size_bytes;
    let Some(first) = arriving.recv().await else {
        return Ok(from);
    };
    let mut writer = content
        .objects
        .append(row.object.clone())
        .await
        .map_err(ContentError::from)?;
    let mut next = Some(first);
    let mut failed = None;
    while let Some(piece) = next {
        match store(&mut *writer, row.hash.clone(), piece).await {
            Ok(hash) => row.hash = hash,
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
        next = arriving.recv().await;
    }
    drop(arriving);
    row.object = writer.sync().await.map_err(ContentError::from)?;
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

/// Hashes and writes a piece at once; the hash counts only if the writing has worked.
async fn store(
    writer: &mut dyn ObjectWriter,
    mut hash: Running,
    piece: Bytes,
) -> Result<Running, ObjectError> {
    let hashed = piece.clone();
    let hashing = spawn_blocking(move || {
        hash.update(&hashed);
        hash
    });
    let written = writer.write(piece).await;
    let hash = hashing
        .await
        .expect("hashing does not panic, and nobody aborts it");
    written.map(|()| hash)
}
