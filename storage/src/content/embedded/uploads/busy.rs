//! Who is writing to which session: one at a time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::UploadId;

/// The sessions that are being written to by this process.
#[derive(Clone, Debug, Default)]
pub(in crate::content) struct Busy(Arc<Mutex<HashSet<UploadId>>>);

/// The right to write to a session, given back when dropped.
#[derive(Debug)]
pub(super) struct Writing {
    busy: Busy,
    id: UploadId,
}

impl Busy {
    /// The right to write to the session; `None` while somebody else has it.
    pub(super) fn begin(&self, id: UploadId) -> Option<Writing> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.insert(id).then(|| Writing {
            busy: self.clone(),
            id,
        })
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut sessions = self.busy.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(&self.id);
    }
}
