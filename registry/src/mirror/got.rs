//! Tokens got from the main server for those who show a password, or a personal token, with each request.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::clock::Timestamp;
use http::HeaderValue;
use sha2::{Digest as _, Sha256};

/// The tokens, each until it is not to be used again.
#[derive(Debug, Default)]
pub(super) struct Got(Mutex<HashMap<Key, (String, Timestamp)>>);

/// By what a token is found again: what was shown, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    pub(super) fn of(shown: &HeaderValue, wanted: Option<&str>) -> Self {
        let mut key = Sha256::new();
        key.update(shown.as_bytes());
        key.update([0]);
        key.update(wanted.unwrap_or_default());
        Self(key.finalize().into())
    }
}

impl Got {
    pub(super) fn find(&self, key: Key, now: Timestamp) -> Option<String> {
        let got = self.lock();
        let (token, until) = got.get(&key)?;
        (now < *until).then(|| token.clone())
    }

    pub(super) fn keep(&self, key: Key, token: String, until: Timestamp, now: Timestamp) {
        let mut got = self.lock();
        got.retain(|_, (_, until)| now < *until);
        got.insert(key, (token, until));
    }

    pub(super) fn forget(&self, key: Option<Key>) {
        if let Some(key) = key {
            self.lock().remove(&key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, (String, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
