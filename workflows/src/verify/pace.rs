//! How fast is read.

use std::time::Duration;
use tokio::time::Instant;

/// Lets so many bytes through in a second on the average since it began.
pub(super) struct Pace {
    bytes_per_second: u64,
    begun: Instant,
    bytes: u64,
}

impl Pace {
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second,
            begun: Instant::now(),
            bytes: 0,
        }
    }

    /// How long to wait after so many bytes more.
    pub(super) fn after(&mut self, bytes: u64) -> Duration {
        self.bytes += bytes;
        if self.bytes_per_second == 0 {
            return Duration::ZERO;
        }
        let micros = u128::from(self.bytes) * 1_000_000 / u128::from(self.bytes_per_second);
        let due = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        due.saturating_sub(self.begun.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_read_too_fast_is_waited_for() {
        let mut pace = Pace::new(1000);

        let first = pace.after(500);
        tokio::time::advance(Duration::from_secs(2)).await;
        let late = pace.after(500);
        let again = pace.after(2000);

        assert_eq!(first, Duration::from_millis(500));
        assert_eq!(late, Duration::ZERO);
        assert_eq!(again, Duration::from_secs(1));
        assert_eq!(Pace::new(0).after(u64::MAX), Duration::ZERO);
    }
}
