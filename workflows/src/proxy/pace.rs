//! How fast bytes may go, all streams of a sync together.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// So much may go at once after a pause: less would stop at each piece that is read.
const BURST: Duration = Duration::from_millis(250);

/// A limit on bytes a second; clones share it.
#[derive(Clone, Debug)]
pub struct Pace(Option<Arc<Limit>>);

#[derive(Debug)]
struct Limit {
    bytes_per_second: u64,
    /// When all that was let go has had its time.
    free_at: Mutex<Instant>,
}

impl Pace {
    /// So many bytes a second; none: as fast as it goes.
    #[must_use]
    pub fn of(bytes_per_second: Option<u64>) -> Self {
        Self(
            bytes_per_second
                .filter(|rate| *rate > 0)
                .map(|bytes_per_second| {
                    Arc::new(Limit {
                        bytes_per_second,
                        free_at: Mutex::new(Instant::now()),
                    })
                }),
        )
    }

    /// Returns once so many bytes more may go.
    pub async fn let_go(&self, bytes: usize) {
        if let Some(limit) = &self.0 {
            tokio::time::sleep_until(limit.turn(bytes)).await;
        }
    }
}

impl Limit {
    fn turn(&self, bytes: usize) -> Instant {
        let now = Instant::now();
        let nanoseconds = (bytes as u128) * 1_000_000_000 / u128::from(self.bytes_per_second);
        let takes = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = (*free_at).max(now.checked_sub(BURST).unwrap_or(now));
        *free_at = begins + takes;
        *free_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_more_goes_than_was_said_however_many_streams_there_are() {
        let (pace, begun) = (Pace::of(Some(1000)), Instant::now());
        let mut streams = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let pace = pace.clone();
            streams.spawn(async move {
                for _ in 0..10 {
                    pace.let_go(100).await;
                }
            });
        }

        while streams.join_next().await.is_some() {}

        let took = begun.elapsed();
        assert!(
            took >= Duration::from_millis(3700) && took <= Duration::from_millis(4100),
            "{took:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nobody_waits() {
        let begun = Instant::now();

        Pace::of(None).let_go(usize::MAX).await;

        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
