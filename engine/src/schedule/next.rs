//! When a line comes next in a zone: the rule for daylight saving.
//!
//! * A time that the clock is put forward over (a gap) fires once, at the first instant after the gap; several such times are
//!   one.
//! * A time that comes twice because the clock is put back (an overlap) fires once, at its first occurrence.
//! * A line that names every hour follows the hours that really pass: it fires in an overlap both times, and nothing of a gap
//!   is made good, because the hour before it and the hour after it have fired.

use super::line::CronLine;
use super::zone::{Reading, Zone};
use crate::clock::Timestamp;
use chrono::{NaiveDate, NaiveTime, TimeDelta};
use std::time::Duration;

/// The 29th of February of one weekday comes again after at most 40 years, since some centuries have no leap day.
const DAYS_LOOKED_AHEAD: usize = 41 * 366;

/// A line in a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// When.
    pub line: CronLine,
    /// Where.
    pub zone: Zone,
}

impl Timing {
    /// The first of its times later than this.
    #[must_use]
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        // The day before may reach into this one: its times in a gap fire after it, and some clocks are put back over midnight.
        let first = self.zone.on_the_wall(at)?.date().pred_opt()?;
        for day in first.iter_days().take(DAYS_LOOKED_AHEAD) {
            if let Some(found) = self.first_of(day, at) {
                // Its times may come before the last of this day, where the clock is put back over midnight.
                let earlier = day.succ_opt().and_then(|next| self.first_of(next, at));
                return Some(earlier.map_or(found, |earlier| found.min(earlier)));
            }
        }
        None
    }

    /// Its latest times later than `after` and not later than `until`, at most so many, in order.
    #[must_use]
    pub fn latest(&self, after: Timestamp, until: Timestamp, at_most: usize) -> Vec<Timestamp> {
        let mut window = Duration::from_hours(1);
        loop {
            // Backwards in growing pieces: a line that was not handled for years need not be followed through all of them.
            let from = after.max(until - window);
            let mut found = Vec::new();
            let mut at = from;
            while let Some(next) = self.next_after(at).filter(|next| *next <= until) {
                found.push(next);
                at = next;
            }
            if found.len() >= at_most || from == after {
                found.drain(..found.len().saturating_sub(at_most));
                return found;
            }
            window *= 4;
        }
    }

    /// The first of its times of this day later than `at`.
    fn first_of(&self, day: NaiveDate, at: Timestamp) -> Option<Timestamp> {
        if !self.line.fits_day(day) {
            return None;
        }
        let on_the_wall = self.line.times().filter_map(|(hour, minute)| {
            NaiveTime::from_hms_opt(hour, minute, 0).map(|time| day.and_time(time))
        });
        let midnight = day.and_time(NaiveTime::MIN);
        if let Some(offset) = self.zone.steady_offset(midnight + TimeDelta::hours(12)) {
            return on_the_wall
                .map(|time| Timestamp((time - offset).and_utc().timestamp_millis()))
                .find(|time| *time > at);
        }
        let hourly = self.line.is_hourly();
        on_the_wall
            .flat_map(|time| match self.zone.read(time) {
                Reading::Once(time) => [Some(time), None],
                Reading::Twice(one, other) => [Some(one), hourly.then_some(other)],
                Reading::Never(_) if hourly => [None, None],
                Reading::Never(after) => [Some(after), None],
            })
            .flatten()
            .filter(|time| *time > at)
            .min()
    }
}
