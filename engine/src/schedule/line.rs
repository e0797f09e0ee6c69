//! A line as crontab(5) has it: `minute hour day-of-month month day-of-week`, or a word as `@daily`.
//!
//! The crate `cron` reads the fields. Three things of it are other than crontab(5) says, and are put right here: it counts
//! Sunday as 1, it wants both days to fit where crontab is content with one, and it reads `5/10`, which crontab does not know.

use chrono::{Datelike, NaiveDate};
use cron::{Schedule as Fields, TimeUnitSpec};
use std::fmt;
use std::str::FromStr;

/// When a schedule runs, by the clock on the wall.
///
/// Where day of month and day of week are both restricted, that is where neither begins with `*`, a day fits that fits one of
/// them; otherwise it must fit both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronLine {
    text: String,
    minutes: u64,
    hours: u32,
    days: u32,
    months: u32,
    /// Bit 0 is Sunday.
    weekdays: u32,
    one_day_is_enough: bool,
}

/// Why a text is no line. Continues "the field `cron` …".
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LineError {
    /// It has more or fewer fields.
    #[error(
        "has {found} fields instead of 5 (minute, hour, day of month, month, day of week); write for example \"30 2 * * *\" or \"@daily\""
    )]
    Fields {
        /// How many.
        found: usize,
    },
    /// A field does not read.
    #[error(
        "has \"{given}\" as {field}, which must be {expected}; write for example \"{example}\""
    )]
    Field {
        /// Which.
        field: &'static str,
        /// What stands there.
        given: String,
        /// What may stand there.
        expected: &'static str,
        /// A line.
        example: &'static str,
    },
    /// There is no such word.
    #[error(
        "has the word \"{0}\", which must be one of @yearly, @annually, @monthly, @weekly, @daily, @midnight and @hourly; write for example \"@daily\""
    )]
    Word(String),
    /// No day is like this.
    #[error(
        "never comes: none of its months has such a day; write for example \"0 4 28 2 *\" for the end of February"
    )]
    Never,
}

struct Field {
    name: &'static str,
    expected: &'static str,
    example: &'static str,
}

const FIELDS: [Field; 5] = [
    Field {
        name: "minute",
        expected: "0 to 59, a range as 0-29, a step as */15, a list of these, or *",
        example: "*/15 * * * *",
    },
    Field {
        name: "hour",
        expected: "0 to 23, a range as 8-17, a step as */2, a list of these, or *",
        example: "0 8-17 * * *",
    },
    Field {
        name: "day of month",
        expected: "1 to 31, a range as 1-7, a step as */2, a list of these, or *",
        example: "0 4 1 * *",
    },
    Field {
        name: "month",
        expected: "1 to 12 or jan to dec, a range as 3-5, a step as */3, a list of these, or *",
        example: "0 4 1 jan,jul *",
    },
    Field {
        name: "day of week",
        expected: "0 to 7 (0 and 7 are Sunday) or sun to sat, a range as 1-5, a step as */2, a list of these, or *",
        example: "0 4 * * mon-fri",
    },
];

const WORDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Longer than any line that somebody means.
const MAX_FIELD_CHARACTERS: usize = 200;

impl CronLine {
    /// The day is one of its days.
    pub(super) fn fits_day(&self, date: NaiveDate) -> bool {
        let has = |set: u32, n: u32| set & (1 << n) != 0;
        if !has(self.months, date.month()) {
            return false;
        }
        let by_date = has(self.days, date.day());
        let by_weekday = has(self.weekdays, date.weekday().num_days_from_sunday());
        if self.one_day_is_enough {
            by_date || by_weekday
        } else {
            by_date && by_weekday
        }
    }

    /// Its times of a day, in order: hour and minute.
    pub(super) fn times(&self) -> impl Iterator<Item = (u32, u32)> {
        let hours = (0..24).filter(|hour| self.hours & (1 << hour) != 0);
        hours.flat_map(|hour| {
            let minutes = (0..60).filter(|minute| self.minutes & (1 << minute) != 0);
            minutes.map(move |minute| (hour, minute))
        })
    }

    /// It names every hour: such a line follows the hours that really pass, not those on the wall.
    pub(super) fn is_hourly(&self) -> bool {
        self.hours == (1 << 24) - 1
    }

    /// Some year has a day that fits.
    fn comes(&self) -> bool {
        let some_leap_years_whole_cycle = (2000..2028).flat_map(|year| {
            (1..=12).flat_map(move |month| {
                (1..=31).filter_map(move |day| NaiveDate::from_ymd_opt(year, month, day))
            })
        });
        some_leap_years_whole_cycle
            .into_iter()
            .any(|date| self.fits_day(date))
    }
}

impl fmt::Display for CronLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for CronLine {
    type Err = LineError;

    fn from_str(text: &str) -> Result<Self, LineError> {
        let text = text.trim();
        let line = if text.starts_with('@') {
            let known = WORDS
                .iter()
                .find(|(word, _)| text.eq_ignore_ascii_case(word));
            known.ok_or_else(|| LineError::Word(text.to_owned()))?.1
        } else {
            text
        };
        let given: Vec<&str> = line.split_ascii_whitespace().collect();
        let found = given.len();
        let given: [&str; 5] = given.try_into().map_err(|_| LineError::Fields { found })?;
        let [minutes, hours, days, months, weekdays] = [
            read(0, given[0], |it| format!("0 {it} * * * *"))?,
            read(1, given[1], |it| format!("0 0 {it} * * *"))?,
            read(2, given[2], |it| format!("0 0 0 {it} * *"))?,
            read(3, given[3], |it| format!("0 0 0 * {it} *"))?,
            read(4, given[4], |it| format!("0 0 0 * * {it}"))?,
        ];
        let set = |spec: &dyn Fn(u32) -> bool, numbers: std::ops::Range<u32>| {
            numbers
                .filter(|n| spec(*n))
                .fold(0_u64, |set, n| set | 1 << n)
        };
        let narrow = |set: u64| u32::try_from(set).expect("a set of at most 32 numbers");
        let line = Self {
            text: text.to_owned(),
            minutes: set(&|n| minutes.minutes().includes(n), 0..60),
            hours: narrow(set(&|n| hours.hours().includes(n), 0..24)),
            days: narrow(set(&|n| days.days_of_month().includes(n), 1..32)),
            months: narrow(set(&|n| months.months().includes(n), 1..13)),
            weekdays: narrow(set(&|n| weekdays.days_of_week().includes(n + 1), 0..7)),
            one_day_is_enough: !given[2].starts_with('*') && !given[4].starts_with('*'),
        };
        if line.comes() {
            Ok(line)
        } else {
            Err(LineError::Never)
        }
    }
}

/// Reads one field alone, so that an error can name it.
fn read(n: usize, given: &str, line: impl Fn(&str) -> String) -> Result<Fields, LineError> {
    let Field {
        name,
        expected,
        example,
    } = FIELDS[n];
    let wrong = || LineError::Field {
        field: name,
        given: given.chars().take(MAX_FIELD_CHARACTERS).collect(),
        expected,
        example,
    };
    if given.len() > MAX_FIELD_CHARACTERS || !given.split(',').all(has_form) {
        return Err(wrong());
    }
    let text = if n == 4 {
        weekdays_from_one(given).ok_or_else(wrong)?
    } else {
        given.to_owned()
    };
    Fields::from_str(&line(&text)).map_err(|_| wrong())
}

/// It is of a form that crontab knows: a step stands behind `*` or a range only.
fn has_form(item: &str) -> bool {
    let is_word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
    let (base, step) = item
        .split_once('/')
        .map_or((item, None), |(base, step)| (base, Some(step)));
    let is_range = base
        .split_once('-')
        .is_some_and(|(from, to)| is_word(from) && is_word(to));
    let is_number = |text: &str| text.parse::<u32>().is_ok_and(|n| n > 0);
    (base == "*" || is_range || (is_word(base) && step.is_none())) && step.is_none_or(is_number)
}

/// The days of a week as a list of the numbers that `cron` has for them: Sunday is 1.
fn weekdays_from_one(given: &str) -> Option<String> {
    let number = |text: &str| {
        let named = WEEKDAYS
            .iter()
            .position(|day| text.eq_ignore_ascii_case(day));
        named.or_else(|| text.parse().ok()).filter(|day| *day <= 7)
    };
    let mut list = Vec::new();
    for item in given.split(',') {
        let (base, step) = item.split_once('/').unwrap_or((item, "1"));
        let (from, to) = match base.split_once('-') {
            _ if base == "*" => (0, 6),
            // As an end, Sunday is the last day of a week that begins on Monday.
            Some((from, to)) => match (number(from)?, number(to)?) {
                (from, 0) if from > 0 => (from, 7),
                days => days,
            },
            None => (number(base)?, number(base)?),
        };
        if from > to {
            return None;
        }
        let step: usize = step.parse().ok()?;
        list.extend(
            (from..=to)
                .step_by(step)
                .map(|day| (day % 7 + 1).to_string()),
        );
    }
    Some(list.join(","))
}
