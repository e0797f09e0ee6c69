//! Turns: tests that need the machine for themselves take the only heavy one.

use tokio::sync::{Semaphore, SemaphorePermit};

static HEAVY: Semaphore = Semaphore::const_new(1);

/// The turn of a test that moves gigabytes, measures memory or kills servers; it ends when this is dropped.
pub async fn heavy() -> SemaphorePermit<'static> {
    HEAVY.acquire().await.expect("never closed")
}
