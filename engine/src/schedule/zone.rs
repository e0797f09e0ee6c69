//! A time zone of the IANA database, and what its changes of daylight saving do to a time on the wall.

use crate::clock::Timestamp;
use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;
use std::fmt;
use std::str::FromStr;

/// A time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone(Tz);

/// Why a text is no time zone. Continues "the field `time_zone` …".
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "is \"{given}\", which must be a name of the IANA database; write for example \"{example}\""
)]
pub struct ZoneError {
    given: String,
    example: &'static str,
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(given: &str) -> Result<Self, ZoneError> {
        given.parse().map(Self).map_err(|_| {
            let meant = chrono_tz::TZ_VARIANTS
                .iter()
                .find(|zone| zone.name().eq_ignore_ascii_case(given.trim()));
            ZoneError {
                given: given.chars().take(100).collect(),
                example: meant.map_or("Europe/Berlin", |zone| zone.name()),
            }
        })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

/// When a time on the wall is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Once(Timestamp),
    /// The clock was put back over it.
    Twice(Timestamp, Timestamp),
    /// The clock was put forward over it; this is the first instant after that.
    Never(Timestamp),
}

/// No zone changes its clock twice within so much; it is more than the largest change there was, a whole day.
const AROUND: TimeDelta = TimeDelta::hours(38);

impl Zone {
    /// What the clock on the wall shows then; `None` beyond the years that there are.
    pub(super) fn on_the_wall(self, at: Timestamp) -> Option<NaiveDateTime> {
        let utc = DateTime::from_timestamp_millis(at.0)?;
        Some(utc.with_timezone(&self.0).naive_local())
    }

    /// The clock is this far before UTC all around this time on the wall.
    pub(super) fn steady_offset(self, wall: NaiveDateTime) -> Option<TimeDelta> {
        let before = self.offset(wall - AROUND);
        (before == self.offset(wall + AROUND)).then_some(before)
    }

    fn offset(self, utc: NaiveDateTime) -> TimeDelta {
        let offset = self.0.offset_from_utc_datetime(&utc).fix();
        TimeDelta::seconds(i64::from(offset.local_minus_utc()))
    }

    pub(super) fn read(self, wall: NaiveDateTime) -> Reading {
        let at = |time: DateTime<Tz>| Timestamp(time.timestamp_millis());
        match self.0.from_local_datetime(&wall) {
            MappedLocalTime::Single(time) => Reading::Once(at(time)),
            MappedLocalTime::Ambiguous(one, other) if one <= other => {
                Reading::Twice(at(one), at(other))
            }
            MappedLocalTime::Ambiguous(one, other) => Reading::Twice(at(other), at(one)),
            MappedLocalTime::None => Reading::Never(self.end_of_gap(wall)),
        }
    }

    /// The instant at which the clock was put forward over this time.
    fn end_of_gap(self, wall: NaiveDateTime) -> Timestamp {
        let (mut before, mut after) = (wall - AROUND, wall + AROUND);
        let old = self.offset(before);
        while after - before > TimeDelta::seconds(1) {
            let middle = before + TimeDelta::seconds((after - before).num_seconds() / 2);
            if self.offset(middle) == old {
                before = middle;
            } else {
                after = middle;
            }
        }
        Timestamp(after.and_utc().timestamp_millis())
    }
}
