//! How manifests come into memory: all of one at once, and not more than a few large ones together.
//!
//! A short manifest is gathered as it comes. A long one goes into a file without a name first, however slowly, and is read
//! from there when its turn has come: so whoever holds memory waits for no client, a thousand slow ones hold none, and the
//! others wait instead of being sent away, for a client that has sent a body would have to send it again.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use super::body::Body;
use super::error::OciError;

/// So much is gathered in memory without a turn: nearly every manifest is shorter, and a thousand of them take 64 MiB.
const SHORT_BYTES: usize = 64 * 1024;
/// Longer ones have so much together, that is two of the longest that are taken by default. Reading one, checking it and
/// writing it into the database takes several times its size, and there is only one writer for all of them.
const LONG_BYTES: usize = 8 * 1024 * 1024;

/// The memory for manifests on their way in.
#[derive(Debug)]
pub(crate) struct ManifestMemory {
    long: Arc<Semaphore>,
    long_bytes: u32,
    limit: usize,
    folder: PathBuf,
}

/// A manifest in memory, and its place there.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Bytes,
    /// To be held as long as the bytes are.
    pub(super) place: Place,
}

/// The place of a manifest, given back when this is dropped; a short one needs none.
#[derive(Debug)]
pub(super) struct Place {
    _of_long: Option<OwnedSemaphorePermit>,
}

impl ManifestMemory {
    /// For manifests of at most `limit` bytes; long ones wait in files in `folder`.
    pub(crate) fn new(limit: usize, folder: PathBuf) -> Self {
        let long_bytes = LONG_BYTES.max(limit);
        Self {
            long: Arc::new(Semaphore::new(long_bytes)),
            long_bytes: u32::try_from(long_bytes).unwrap_or(u32::MAX),
            limit,
            folder,
        }
    }

    /// All of the body, if that is not too large.
    pub(super) async fn take_in(&self, body: Body) -> Result<Held, OciError> {
        let too_large = || OciError::ManifestTooLarge { limit: self.limit };
        let limit = self.limit as u64;
        if body.length().is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let mut gathered = BytesMut::new();
        let mut in_file: Option<Waiting> = None;
        let mut received = 0;
        let mut chunks = pin!(body.into_stream());
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            received += chunk.len();
            if received > self.limit {
                return Err(too_large());
            }
            gathered.extend_from_slice(&chunk);
            if gathered.len() > SHORT_BYTES {
                let piece = gathered.split().freeze();
                let waiting = match in_file {
                    Some(waiting) => waiting,
                    None => Waiting::begin(self.folder.clone()).await?,
                };
                in_file = Some(waiting.add(piece).await?);
            }
        }
        let Some(waiting) = in_file else {
            return Ok(Held {
                bytes: gathered.freeze(),
                place: Place { _of_long: None },
            });
        };
        let waiting = waiting.add(gathered.freeze()).await?;
        let wanted = u32::try_from(received).map_or(self.long_bytes, |it| it.min(self.long_bytes));
        let place = Arc::clone(&self.long).acquire_many_owned(wanted).await;
        let place = place.expect("the semaphore is never closed");
        Ok(Held {
            bytes: waiting.read(received).await?,
            place: Place {
                _of_long: Some(place),
            },
        })
    }
}

/// A manifest in a file that ends with the process.
struct Waiting(File);

impl Waiting {
    async fn begin(folder: PathBuf) -> Result<Self, OciError> {
        on_disk(move || tempfile::tempfile_in(folder).map(Self)).await
    }

    async fn add(mut self, piece: Bytes) -> Result<Self, OciError> {
        on_disk(move || self.0.write_all(&piece).map(|()| self)).await
    }

    async fn read(mut self, length: usize) -> Result<Bytes, OciError> {
        on_disk(move || {
            self.0.rewind()?;
            let mut whole = Vec::with_capacity(length);
            self.0.read_to_end(&mut whole)?;
            Ok(whole.into())
        })
        .await
    }
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, OciError> {
    match spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) if error.kind() == io::ErrorKind::StorageFull => Err(OciError::Full),
        Ok(Err(error)) => Err(OciError::internal(error)),
        Err(gone) => Err(OciError::internal(gone)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::{FutureExt as _, Stream, stream};
    use http::header::CONTENT_LENGTH;
    use http::{HeaderMap, HeaderValue};

    use super::*;

    const IDLE: Duration = Duration::from_mins(1);
    const LIMIT: usize = 4 * 1024 * 1024;

    fn memory() -> (tempfile::TempDir, ManifestMemory) {
        let folder = tempfile::tempdir().unwrap();
        let memory = ManifestMemory::new(LIMIT, folder.path().to_owned());
        (folder, memory)
    }

    fn body(chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
        let bytes = axum::body::Body::from_stream(chunks);
        Body::new(bytes, &HeaderMap::new(), IDLE)
    }

    fn of(length: usize) -> (Body, Vec<u8>) {
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
        let chunks: Vec<_> = bytes
            .chunks(10_000)
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
            .collect();
        (body(stream::iter(chunks)), bytes)
    }

    #[tokio::test]
    async fn a_manifest_of_any_length_comes_whole() {
        let (_folder, memory) = memory();

        for length in [0, 1, SHORT_BYTES, SHORT_BYTES + 1, LIMIT] {
            let (sent, bytes) = of(length);
            let held = memory.take_in(sent).await.unwrap();
            assert!(held.bytes == bytes, "{length} bytes");
        }
    }

    #[tokio::test]
    async fn one_that_is_too_large_is_refused_and_at_once_if_it_says_so() {
        let (_folder, memory) = memory();
        let length = HeaderValue::from(LIMIT + 1);
        let never = axum::body::Body::from_stream(stream::pending::<io::Result<Bytes>>());
        let says_so = Body::new(
            never,
            &HeaderMap::from_iter([(CONTENT_LENGTH, length)]),
            IDLE,
        );

        for large in [of(LIMIT + 1).0, says_so] {
            let refused = memory.take_in(large).await.unwrap_err();
            assert!(matches!(
                refused,
                OciError::ManifestTooLarge { limit: LIMIT }
            ));
        }
    }

    #[tokio::test]
    async fn a_long_one_waits_while_others_have_the_memory_and_a_short_one_does_not() {
        let (_folder, memory) = memory();
        let mut held = Vec::new();
        for _ in 0..LONG_BYTES / LIMIT {
            held.push(memory.take_in(of(LIMIT).0).await.unwrap());
        }
        let mut long = pin!(memory.take_in(of(LIMIT).0));

        let short = memory.take_in(of(SHORT_BYTES).0).await;
        let waited = tokio::time::timeout(Duration::from_millis(50), &mut long).await;

        assert!(short.is_ok());
        assert!(waited.is_err(), "there was no place for it");
        held.pop();
        assert_eq!(long.await.unwrap().bytes.len(), LIMIT);
    }

    #[tokio::test]
    async fn a_thousand_clients_that_never_end_their_bodies_hold_up_nobody() {
        let (_folder, memory) = memory();
        let chunk = Bytes::from(vec![b'x'; 2 * SHORT_BYTES]);
        let mut slow = Vec::new();
        for _ in 0..1000 {
            let stuck = stream::iter([Ok(chunk.clone())]).chain(stream::pending());
            let mut taken = Box::pin(memory.take_in(body(stuck)));
            assert!((&mut taken).now_or_never().is_none());
            slow.push(taken);
        }

        let held = memory.take_in(of(LIMIT).0).await.unwrap();

        assert_eq!(held.bytes.len(), LIMIT);
    }

    #[tokio::test]
    async fn nothing_is_left_in_the_folder() {
        let (folder, memory) = memory();

        let held = memory.take_in(of(LIMIT).0).await.unwrap();

        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        drop(held);
    }
}
