//! Reading again what is stored: bytes that a disk has lost or changed are found before somebody pulls them.
//!
//! `read_blobs`

mod pace;
mod read_blobs;

pub use read_blobs::{DamagedBlob, ReadBlobs, ReadBlobsTold};

use crate::services::Services;
use engine::priority::Priority;
use engine::workflow::{Steps, Workflow};
use serde::{Deserialize, Serialize};

/// A fifth of what one cheap disk reads in a second.
const BYTES_PER_SECOND: u64 = 50 * 1024 * 1024;

/// The input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Verify {
    /// It reads so many bytes in a second at most; 0: as fast as it can.
    pub bytes_per_second: u64,
}

impl Default for Verify {
    fn default() -> Self {
        Self {
            bytes_per_second: BYTES_PER_SECOND,
        }
    }
}

impl Workflow for Verify {
    const NAME: &'static str = "verify";
    const VERSION: u32 = 1;
    const SAFE: &'static str = "It only reads.";
    type Services = Services;

    fn steps() -> Steps<Self> {
        Steps::first(ReadBlobs)
    }

    fn action(&self) -> String {
        "Reading all blobs again".into()
    }

    /// Of two that read the same, one is enough.
    fn open_key(&self) -> Option<String> {
        Some("verify".into())
    }

    fn priority(&self) -> Priority {
        Priority::Background
    }
}
