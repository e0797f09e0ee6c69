//! What a sync has sent so far, and to whom.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use storage::Digest;
use storage::catalog::SmartProxyId;

use crate::proxy::{Progress, Progresses};

/// What a sync has sent so far; clones share it, because the body of a request may outlive who has sent it.
#[derive(Clone)]
pub(super) struct Tally {
    proxy: SmartProxyId,
    progresses: Progresses,
    counted: Arc<Mutex<Counted>>,
}

#[derive(Default)]
struct Counted {
    progress: Progress,
    blobs: u64,
    /// The names there that are known to have a blob.
    holders: HashMap<Digest, Vec<Arc<str>>>,
    ended: bool,
}

impl Tally {
    pub(super) fn new(proxy: SmartProxyId, progresses: Progresses) -> Self {
        Self {
            proxy,
            progresses,
            counted: Arc::default(),
        }
    }

    /// A blob of so many bytes is missing there.
    pub(super) fn missing(&self, bytes: u64) {
        self.change(|counted| counted.progress.bytes_total += bytes);
    }

    /// So many bytes more went there.
    pub(super) fn went(&self, bytes: usize) {
        self.change(|counted| counted.progress.bytes_done += bytes as u64);
    }

    /// A blob is there that was not; `sent`: by its bytes.
    pub(super) fn came(&self, sent: bool) {
        self.change(|counted| {
            counted.progress.blobs_done += 1;
            counted.blobs += u64::from(sent);
        });
    }

    /// This name has the blob.
    pub(super) fn holds(&self, name: &Arc<str>, digest: Digest) {
        let mut counted = self.lock();
        let holders = counted.holders.entry(digest).or_default();
        holders.push(Arc::clone(name));
    }

    /// True if this name is known to have the blob.
    pub(super) fn is_held(&self, name: &Arc<str>, digest: &Digest) -> bool {
        let counted = self.lock();
        let holders = counted.holders.get(digest);
        holders.is_some_and(|holders| holders.contains(name))
    }

    /// A name that is known to have the blob.
    pub(super) fn holder(&self, digest: &Digest) -> Option<Arc<str>> {
        self.lock().holders.get(digest)?.first().cloned()
    }

    /// Nothing is told any more; how many blobs were sent, and how many bytes.
    pub(super) fn end(&self) -> (u64, u64) {
        let mut counted = self.lock();
        counted.ended = true;
        self.progresses.end(self.proxy);
        (counted.blobs, counted.progress.bytes_done)
    }

    fn change(&self, change: impl FnOnce(&mut Counted)) {
        let mut counted = self.lock();
        change(&mut counted);
        if !counted.ended {
            self.progresses.note(self.proxy, counted.progress);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
