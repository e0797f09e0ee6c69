//! The bytes of a blob on their way: as fast as they may go, and given up when nobody takes them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use reqwest::{Body, RequestBuilder, Response};
use storage::content::BlobReader;
use tokio::sync::Notify;

use super::super::registry::unreachable;
use super::super::{Failure, Trouble, Work};

/// A registry that takes nothing for so long, or does not answer for so long once it has all, will not.
const STANDS_STILL: Duration = Duration::from_mins(5);

/// What is seen of a body from outside.
#[derive(Default)]
struct Watched {
    /// More of it was taken.
    moved: Notify,
    /// It is we who let nothing go just now.
    held: AtomicBool,
    /// Why it could not be read here.
    lost: Mutex<Option<String>>,
}

impl Watched {
    /// Returns once it stands still.
    async fn stands_still(&self) {
        loop {
            let moved = tokio::time::timeout(STANDS_STILL, self.moved.notified()).await;
            if moved.is_err() && !self.held.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

impl Work<'_> {
    /// Sends the request with the bytes that the reader gives.
    pub(super) async fn stream(
        &self,
        request: RequestBuilder,
        reader: BlobReader,
    ) -> Result<Response, Failure> {
        let digest = reader.blob.digest;
        let watched = Arc::new(Watched::default());
        let (reads, gives) = (Arc::clone(&watched), Arc::clone(&watched));
        let (pace, tally) = (self.pace.clone(), self.tally.clone());
        let pieces = reader
            .chunks
            .inspect_err(move |error| {
                let mut lost = reads.lost.lock().unwrap_or_else(PoisonError::into_inner);
                *lost = Some(error.to_string());
            })
            .and_then(move |piece| {
                let (pace, tally, watched) = (pace.clone(), tally.clone(), Arc::clone(&gives));
                async move {
                    watched.held.store(true, Ordering::Relaxed);
                    pace.let_go(piece.len()).await;
                    watched.held.store(false, Ordering::Relaxed);
                    watched.moved.notify_one();
                    tally.went(piece.len());
                    Ok(piece)
                }
            });
        let answer = tokio::select! {
            answer = request.body(Body::wrap_stream(pieces)).send() => answer,
            () = watched.stands_still() => {
                let minutes = STANDS_STILL.as_secs() / 60;
                let why = format!("it took nothing of blob {digest} for {minutes} minutes");
                return Err(Failure::All(Trouble::Unreachable(why)));
            }
        };
        let lost = watched.lost.lock().unwrap_or_else(PoisonError::into_inner);
        match (answer, lost.as_ref()) {
            (Ok(answer), _) => Ok(answer),
            (Err(_), Some(why)) => {
                let why = format!("blob {digest} cannot be read here: {why}");
                Err(Failure::One(why))
            }
            (Err(error), None) => Err(unreachable(error)),
        }
    }
}
