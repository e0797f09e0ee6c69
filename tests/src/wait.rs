//! Waiting for a condition, with a limit and a reason: tests never wait for time alone.

use std::time::{Duration, Instant};

/// How long a condition of everyday size may take: far more than a loaded machine of two cores needs.
pub const SOON: Duration = Duration::from_mins(1);

const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Looks until `look` finds something; fails the test with `what` when the limit has passed.
pub async fn until<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            begun.elapsed() < limit,
            "waited {limit:?} in vain until {what}"
        );
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}
