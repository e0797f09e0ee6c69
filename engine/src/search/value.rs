//! What the values of each kind of field look like.

use super::{Kind, Range};
use crate::clock::Timestamp;
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use std::time::Duration;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Numbers beyond it are no counts of anything here, and sums with them could overflow.
const MAX_NUMBER: i64 = 1_000_000_000_000_000_000;

/// The numbers that a value of a countable kind stands for; `Err`: what was expected.
///
/// A value stands for all that it does not tell apart: a date for its whole day, a time without seconds for its minute.
pub(super) fn range(kind: &Kind, text: &str, now: Timestamp) -> Result<Range, &'static str> {
    let (read, expected): (Option<Range>, _) = match kind {
        Kind::Time => (
            time(text, now),
            "a time such as 2026-01-31, \"2026-01-31 14:30\", 2026-01-31T14:30:00Z, yesterday or \"2 days ago\"",
        ),
        Kind::Duration => (
            duration(text),
            "a duration such as 20s, 5m, 2h, 7d or 1h30m",
        ),
        Kind::Size => (size(text), "a size such as 500, 10KiB, 5MiB or 2GB"),
        Kind::Number | Kind::Text | Kind::Label | Kind::Id | Kind::State(_) | Kind::Word(_) => {
            (number(text).map(Range::exactly), "a whole number")
        }
    };
    read.ok_or(expected)
}

fn number(text: &str) -> Option<i64> {
    let number = text.parse().ok()?;
    (-MAX_NUMBER..=MAX_NUMBER)
        .contains(&number)
        .then_some(number)
}

fn size(text: &str) -> Option<Range> {
    let digits = text.find(|char: char| !char.is_ascii_digit());
    let (count, unit) = text.split_at(digits.unwrap_or(text.len()));
    let bytes: i64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return None,
    };
    let bytes = number(count)?.checked_mul(bytes)?;
    (bytes <= MAX_NUMBER).then(|| Range::exactly(bytes))
}

/// `20s`, `5m`, `1h30m`; all milliseconds of its last second, unless it counts those itself.
fn duration(text: &str) -> Option<Range> {
    let mut rest = text;
    let (mut total, mut finest) = (0_i64, SECOND);
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit())?;
        let (count, behind) = rest.split_at(digits);
        let letters = behind
            .find(|char: char| !char.is_ascii_alphabetic())
            .unwrap_or(behind.len());
        let (unit, next) = behind.split_at(letters);
        let unit = match unit {
            "ms" => {
                finest = 1;
                1
            }
            "s" => SECOND,
            "m" => MINUTE,
            "h" => HOUR,
            "d" => DAY,
            "w" => 7 * DAY,
            _ => return None,
        };
        total = number(count)?.checked_mul(unit)?.checked_add(total)?;
        rest = next;
    }
    (!text.is_empty() && total <= MAX_NUMBER).then(|| Range::long(total, finest))
}

fn time(text: &str, now: Timestamp) -> Option<Range> {
    let text = text.trim();
    let day_of = |at: i64| Range::long(at.div_euclid(DAY) * DAY, DAY);
    match text.to_ascii_lowercase().as_str() {
        "now" => return Some(Range::exactly(now.0)),
        "today" => return Some(day_of(now.0)),
        "yesterday" => return Some(day_of(now.0.saturating_sub(DAY))),
        _ => {}
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        let midnight = date.and_hms_opt(0, 0, 0)?;
        return Some(Range::long(millis(midnight), DAY));
    }
    let clock = text.trim_end_matches(['Z', 'z']).replacen('T', " ", 1);
    if let Ok(minute) = NaiveDateTime::parse_from_str(&clock, "%Y-%m-%d %H:%M") {
        return Some(Range::long(millis(minute), MINUTE));
    }
    let length = if text.contains('.') { 1 } else { SECOND };
    if let Ok(second) = NaiveDateTime::parse_from_str(&clock, "%Y-%m-%d %H:%M:%S%.f") {
        return Some(Range::long(millis(second), length));
    }
    if let Ok(second) = DateTime::parse_from_rfc3339(text) {
        return Some(Range::long(second.timestamp_millis(), length));
    }
    ago(text, now)
}

fn millis(time: NaiveDateTime) -> i64 {
    time.and_utc().timestamp_millis()
}

/// `2 days ago`, `an hour ago`; a month is 30 days and a year 365.
fn ago(text: &str, now: Timestamp) -> Option<Range> {
    let lower = text.to_ascii_lowercase();
    let mut words = lower.split_whitespace();
    let (count, unit) = (words.next()?, words.next()?);
    if words.next() != Some("ago") || words.next().is_some() {
        return None;
    }
    let count: u32 = match count {
        "a" | "an" => 1,
        count => count.parse().ok()?,
    };
    let unit = match unit.strip_suffix('s').unwrap_or(unit) {
        "second" => SECOND,
        "minute" => MINUTE,
        "hour" => HOUR,
        "day" => DAY,
        "week" => 7 * DAY,
        "month" => 30 * DAY,
        "year" => 365 * DAY,
        _ => return None,
    };
    let unit = Duration::from_millis(u64::try_from(unit).ok()?);
    Some(Range::exactly((now - unit.checked_mul(count)?).0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-31T14:30:15.500Z.
    const NOW: Timestamp = Timestamp(1_769_869_815_500);

    fn times(text: &str) -> Option<(String, String)> {
        let range = range(&Kind::Time, text, NOW).ok()?;
        Some((
            Timestamp(range.low).to_rfc3339(),
            Timestamp(range.high).to_rfc3339(),
        ))
    }

    #[test]
    fn a_time_stands_for_all_that_it_does_not_tell_apart() {
        #[rustfmt::skip]
        let cases = [
            ("2026-01-31",                "2026-01-31T00:00:00.000Z", "2026-01-31T23:59:59.999Z"),
            ("2026-01-31 14:30",          "2026-01-31T14:30:00.000Z", "2026-01-31T14:30:59.999Z"),
            ("2026-01-31T14:30Z",         "2026-01-31T14:30:00.000Z", "2026-01-31T14:30:59.999Z"),
            ("2026-01-31T14:30:00Z",      "2026-01-31T14:30:00.000Z", "2026-01-31T14:30:00.999Z"),
            ("2026-01-31T14:30:00+02:00", "2026-01-31T12:30:00.000Z", "2026-01-31T12:30:00.999Z"),
            ("2026-01-31T14:30:00.125Z",  "2026-01-31T14:30:00.125Z", "2026-01-31T14:30:00.125Z"),
            ("yesterday",                 "2026-01-30T00:00:00.000Z", "2026-01-30T23:59:59.999Z"),
            ("2 days ago",                "2026-01-29T14:30:15.500Z", "2026-01-29T14:30:15.500Z"),
            ("An hour ago",               "2026-01-31T13:30:15.500Z", "2026-01-31T13:30:15.500Z"),
        ];
        for (text, low, high) in cases {
            assert_eq!(
                times(text),
                Some((low.to_owned(), high.to_owned())),
                "{text}"
            );
        }
        for text in [
            "",
            "soon",
            "2026-13-01",
            "2 days",
            "-1 days ago",
            "2 days ago today",
        ] {
            assert_eq!(times(text), None, "{text}");
        }
    }

    #[test]
    fn durations_and_sizes_are_read_with_their_units() {
        let low = |kind: Kind, text: &str| range(&kind, text, NOW).ok().map(|range| range.low);

        assert_eq!(low(Kind::Duration, "1h30m"), Some(90 * MINUTE));
        assert_eq!(low(Kind::Duration, "7d"), Some(7 * DAY));
        assert_eq!(low(Kind::Duration, "90"), None, "of what?");
        assert_eq!(low(Kind::Duration, "99999999999999999d"), None);
        assert_eq!(low(Kind::Size, "10KiB"), Some(10_240));
        assert_eq!(low(Kind::Size, "2GB"), Some(2_000_000_000));
        assert_eq!(low(Kind::Size, "99999999999T"), None);
        assert_eq!(low(Kind::Number, "seven"), None);
    }
}
