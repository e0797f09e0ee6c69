//! What a schedule does when its time has come: what is on time is fired, what was missed follows its policy.

use super::{Missed, Schedule, TimingError};
use crate::clock::Timestamp;
use std::time::Duration;

/// A run is on time when it is submitted at most this long after its nominal time; later it was missed. As long as the finest
/// line has between two times, and longer than a restart or the take-over of a dead node's work needs.
pub const ON_TIME: Duration = Duration::from_mins(1);

/// With [`Missed::All`] at most so many missed runs are made good, the latest: a node that was off for a month must not begin
/// with ten thousand tasks.
pub const MAX_MADE_GOOD: usize = 100;

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Submit the run of this nominal time; every earlier one is over with it.
    Fire {
        /// The nominal time.
        nominal: Timestamp,
        /// The first of the times before it that have passed without a run, if there are any.
        steps_over: Option<Timestamp>,
    },
    /// Submit nothing: every time up to this was missed and is passed over.
    PassOver {
        /// The latest of them.
        handled_until: Timestamp,
    },
}

impl Schedule {
    /// What it does now; nothing when nothing is due.
    pub fn turn(&self, now: Timestamp) -> Result<Option<Turn>, TimingError> {
        let timing = self.timing()?;
        if !self.enabled || self.max_runs.is_some_and(|most| self.runs >= most) {
            return Ok(None);
        }
        let until = self.end_at.map_or(now, |end| end.min(now));
        let wanted = match self.missed {
            Missed::Skip | Missed::Once => 1,
            Missed::All => MAX_MADE_GOOD,
        };
        let due = timing.latest(self.handled_until, until, wanted);
        let (Some(oldest), Some(latest)) = (due.first().copied(), due.last().copied()) else {
            return Ok(None);
        };
        let nominal = match self.missed {
            Missed::Skip if now.since(latest) > ON_TIME => {
                return Ok(Some(Turn::PassOver {
                    handled_until: latest,
                }));
            }
            Missed::Skip | Missed::Once => latest,
            Missed::All => oldest,
        };
        let first = timing.next_after(self.handled_until);
        Ok(Some(Turn::Fire {
            nominal,
            steps_over: first.filter(|first| *first < nominal),
        }))
    }
}
