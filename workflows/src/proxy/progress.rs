//! How far the syncs are that are under way on this node.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use storage::catalog::SmartProxyId;

/// How far a sync is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Blobs that are there now.
    pub blobs_done: u64,
    /// Bytes of blobs that went there.
    pub bytes_done: u64,
    /// Bytes of blobs that are missing, as far as is known: it grows while manifests are read.
    pub bytes_total: u64,
}

/// How far each is; clones share it. It is for people who look, and begins anew with the process.
#[derive(Clone, Debug, Default)]
pub struct Progresses(Arc<Mutex<HashMap<SmartProxyId, Progress>>>);

impl Progresses {
    /// Notes how far the sync of this proxy is.
    pub fn note(&self, proxy: SmartProxyId, progress: Progress) {
        self.lock().insert(proxy, progress);
    }

    /// It has ended.
    pub fn end(&self, proxy: SmartProxyId) {
        self.lock().remove(&proxy);
    }

    /// How far it is, if one is under way.
    #[must_use]
    pub fn of(&self, proxy: SmartProxyId) -> Option<Progress> {
        self.lock().get(&proxy).copied()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SmartProxyId, Progress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
