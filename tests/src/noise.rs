//! Bytes that no compressor or cache can shorten, the same for the same seed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::digest;

const CHUNK: usize = 1 << 20;

/// `size` pseudo-random bytes.
pub fn bytes(seed: u64, size: usize) -> Bytes {
    let mut bytes = BytesMut::zeroed(size);
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes.freeze()
}

/// A number that no other call has had, in no other run either: for what must be new to a store that outlives the tests.
pub fn unique() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanoseconds = since.expect("after 1970").as_nanos();
    let nanoseconds = u64::try_from(nanoseconds).expect("before 2554");
    nanoseconds.wrapping_add(CALLS.fetch_add(1, Ordering::Relaxed))
}

/// A long run of bytes that is made on the way and never lies in memory whole.
///
/// One chunk is random; every following one is that chunk with its own number written into each 4 KiB page,
/// so that making gigabytes costs a copy and yet no two pages are equal.
#[derive(Clone)]
pub struct Long {
    chunk: Bytes,
    size: u64,
}

impl Long {
    /// A run of `size` bytes.
    pub fn new(seed: u64, size: u64) -> Self {
        Self {
            chunk: bytes(seed, CHUNK),
            size,
        }
    }

    /// How long it is.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its chunks in order.
    pub fn chunks(&self) -> impl Iterator<Item = Bytes> + Send + use<> {
        let (chunk, size) = (self.chunk.clone(), self.size);
        let step = CHUNK as u64;
        (0..size.div_ceil(step)).map(move |n| {
            let mut bytes = BytesMut::from(&chunk[..]);
            for page in bytes.chunks_mut(4096) {
                page[..8].copy_from_slice(&n.to_le_bytes());
            }
            let left = usize::try_from(size - n * step).unwrap_or(CHUNK);
            bytes.truncate(left.min(CHUNK));
            bytes.freeze()
        })
    }

    /// Its chunks as a request's body wants them.
    pub fn stream(
        &self,
    ) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + use<> {
        futures_util::stream::iter(self.chunks().map(Ok))
    }

    /// Its digest.
    pub fn digest(&self) -> String {
        let mut hash = digest::Running::default();
        for chunk in self.chunks() {
            hash.feed(&chunk);
        }
        hash.end().0
    }
}
