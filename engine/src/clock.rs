//! The only source of time: tests move it, nobody else reads the system's.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The time as RFC 3339 in UTC with milliseconds, as the API shows it.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        chrono::DateTime::from_timestamp_millis(self.0).map_or_else(
            || format!("{} ms since 1970", self.0),
            |time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        )
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, after: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(after.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, before: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(before.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

/// A wait looks at the clock again after so long: while a machine is suspended its timers stand still, and its clock may be set.
const SLICE: Duration = Duration::from_secs(10);

/// Tells the time and waits for it.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Source);

#[derive(Clone, Copy, Debug)]
enum Source {
    System,
    Runtime { from: Timestamp, start: Instant },
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that starts at `from` and follows the runtime's: where tests pause and advance that, this one moves with it.
    #[must_use]
    pub fn of_runtime(from: Timestamp) -> Self {
        Self(Source::Runtime {
            from,
            start: Instant::now(),
        })
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self.0 {
            Source::System => {
                let since = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                Timestamp::default() + since
            }
            Source::Runtime { from, start } => from + start.elapsed(),
        }
    }

    /// Returns once `until` has come; at once when it has passed.
    pub async fn sleep_until(&self, until: Timestamp) {
        sleep_by(|| self.now(), until).await;
    }
}

/// Returns once `until` has come by this clock, or the time has passed that it was away: whichever comes first.
async fn sleep_by(now: impl Fn() -> Timestamp, until: Timestamp) {
    let mut left = until.since(now());
    while !left.is_zero() {
        let slice = left.min(SLICE);
        tokio::time::sleep(slice).await;
        left = left.saturating_sub(slice).min(until.since(now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};

    #[tokio::test(start_paused = true)]
    async fn who_sleeps_while_the_machine_is_suspended_wakes_within_seconds_after_it() {
        let begun = Instant::now();
        let suspended_for = AtomicI64::new(0);
        let now = || Timestamp(suspended_for.load(Ordering::Relaxed)) + begun.elapsed();
        let hour = Duration::from_hours(1);
        let sleeper = sleep_by(now, Timestamp::default() + hour);
        let machine = async {
            tokio::time::sleep(Duration::from_secs(15)).await;
            suspended_for.store(3_600_000, Ordering::Relaxed);
        };

        tokio::join!(sleeper, machine);

        assert_eq!(begun.elapsed().as_secs(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn who_sleeps_wakes_at_the_time_and_not_later_where_the_clock_is_put_back() {
        let begun = Instant::now();
        let steady = || Timestamp::default() + begun.elapsed();
        sleep_by(steady, Timestamp(25_000)).await;
        let after_steady = begun.elapsed().as_secs();
        let put_back = || Timestamp(-1_000_000) + begun.elapsed();
        sleep_by(put_back, put_back() + Duration::from_secs(25)).await;

        assert_eq!(after_steady, 25);
        assert_eq!(begun.elapsed().as_secs(), 50);
    }

    #[test]
    fn a_timestamp_reads_as_rfc_3339_in_utc() {
        assert_eq!(Timestamp(0).to_rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            Timestamp(951_782_400_123).to_rfc3339(),
            "2000-02-29T00:00:00.123Z"
        );
        assert_eq!(Timestamp(-1).to_rfc3339(), "1969-12-31T23:59:59.999Z");
    }
}
