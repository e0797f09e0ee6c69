//! The times of rows that are on their way into the store.
//!
//! A row is given its time before it is durable. A list that is sorted by such times has to know up to which time it has seen
//! all of them; else a plan that ended a moment before the list began, and was committed a moment after, comes on none of its
//! pages.

use super::locked;
use crate::clock::{Clock, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A row that is not durable after so long (its disk is full, say) holds up no list any more.
const LONGEST: Duration = Duration::from_secs(30);

/// The times since when rows are under way, with how many at each; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Stamps(Arc<Mutex<BTreeMap<Timestamp, usize>>>);

/// A row is under way until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    since: Timestamp,
    stamps: Stamps,
}

impl Stamps {
    /// From now until what this returns is dropped, a row may get any time that comes.
    pub(super) fn begin(&self, clock: Clock) -> UnderWay {
        let mut under_way = locked(&self.0);
        let since = clock.now();
        *under_way.entry(since).or_default() += 1;
        UnderWay {
            since,
            stamps: self.clone(),
        }
    }

    /// The last time of which it is certain that no row of this node will get it, or an earlier one, any more.
    pub(super) fn settled(&self, clock: Clock) -> Timestamp {
        let under_way = locked(&self.0);
        let now = clock.now();
        let first = under_way.keys().next().copied().unwrap_or(now).min(now);
        (first - Duration::from_millis(1)).max(now - LONGEST)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut under_way = locked(&self.stamps.0);
        if let Some(rows) = under_way.get_mut(&self.since) {
            *rows -= 1;
            if *rows == 0 {
                under_way.remove(&self.since);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_settled_lies_before_every_row_under_way() {
        let (stamps, clock) = (Stamps::default(), Clock::of_runtime(Timestamp(1_000_000)));
        assert_eq!(stamps.settled(clock), Timestamp(999_999));

        let (first, second) = (stamps.begin(clock), stamps.begin(clock));
        tokio::time::advance(Duration::from_secs(1)).await;
        let third = stamps.begin(clock);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(stamps.settled(clock), Timestamp(999_999));

        drop(first);
        assert_eq!(stamps.settled(clock), Timestamp(999_999));
        drop(second);
        assert_eq!(stamps.settled(clock), Timestamp(1_000_999));
        drop(third);
        assert_eq!(stamps.settled(clock), Timestamp(1_001_999));
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_that_never_becomes_durable_does_not_hold_up_lists_for_ever() {
        let (stamps, clock) = (Stamps::default(), Clock::of_runtime(Timestamp(1_000_000)));
        let _stuck = stamps.begin(clock);

        tokio::time::advance(Duration::from_hours(1)).await;

        assert_eq!(stamps.settled(clock), clock.now() - LONGEST);
    }
}
