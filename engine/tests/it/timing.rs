//! When schedules run: lines of crontab(5) in zones with daylight saving, held against `croner`.

use chrono::{DateTime, MappedLocalTime, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;
use engine::clock::Timestamp;
use engine::schedule::{CronLine, LineError, Timing, Zone};
use std::collections::BTreeSet;
use std::str::FromStr;

/// The zones, and the years to look at: Brazil put its clocks back and forward at midnight, until 2019.
const ZONES: [(Tz, i32, i32); 4] = [
    (Tz::Europe__Berlin, 2024, 2027),
    (Tz::America__New_York, 2024, 2027),
    (Tz::Australia__Lord_Howe, 2024, 2027), // by half an hour
    (Tz::America__Sao_Paulo, 2016, 2019),
];

/// One time of day, or every hour: `croner` has the same rule.
const SAME_RULE: [&str; 21] = [
    "30 2 * * *",
    "0 2 * * *",
    "15 2 * * 0",
    "59 1 * * *",
    "45 1 * * *",
    "0 3 * * *",
    "0 0 * * *",
    "30 0 * * *",
    "30 23 * * *",
    "0 12 * * MON-FRI",
    "5 4 * * 7",
    "5 4 * * SUN",
    "0 4 1 * *",
    "0 4 31 * *",
    "0 0 29 2 *",
    "0 4 13 * 5",
    "0 4 1,15 * MON",
    "0 4 1-7 3,10 *",
    "30 2 * JAN-MAR,SEP-DEC *",
    "30 * * * *",
    "0,30 * * * 6,0",
];

/// Several times of a day: `croner` takes their clocks for hands that run, and fires them twice in an overlap and not at all in
/// a gap; here each of their times is one that somebody wrote down.
const OTHER_RULE: [&str; 7] = [
    "0,30 2 * * *",
    "*/15 2 * * *",
    "15 1,2,3 * * *",
    "0 */2 * * *",
    "*/20 0-3 * * SUN",
    "10-50/20 0,1,23 * * *",
    "0 1-5/2 1-10 * *",
];

fn timing(line: &str, zone: Tz) -> Timing {
    let line: CronLine = line.parse().unwrap();
    let zone: Zone = zone.name().parse().unwrap();
    Timing { line, zone }
}

fn day(year: i32, month: u32, day: u32) -> NaiveDateTime {
    NaiveDate::from_ymd_opt(year, month, day)
        .unwrap()
        .and_time(chrono::NaiveTime::MIN)
}

fn ours(line: &str, zone: Tz, from: DateTime<Utc>, to: DateTime<Utc>) -> BTreeSet<DateTime<Utc>> {
    let timing = timing(line, zone);
    let mut at = Timestamp(from.timestamp_millis());
    let mut all = BTreeSet::new();
    while let Some(next) = timing
        .next_after(at)
        .filter(|it| it.0 <= to.timestamp_millis())
    {
        assert!(next > at, "{line} in {zone} goes forward");
        all.insert(DateTime::from_timestamp_millis(next.0).unwrap());
        at = next;
    }
    all
}

fn croners<Z: TimeZone>(
    line: &str,
    zone: &Z,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> BTreeSet<DateTime<Utc>>
where
    DateTime<Z>: croner::CronDateTime,
{
    let cron = Cron::from_str(line).unwrap();
    cron.iter_after(from.with_timezone(zone))
        .map(|time| time.with_timezone(&Utc))
        .take_while(|time| *time <= to)
        .collect()
}

/// The rule written down once more, from the times that `croner` finds where no clock is ever changed.
fn by_the_rule(
    line: &str,
    zone: Tz,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> BTreeSet<DateTime<Utc>> {
    let wide = TimeDelta::days(2);
    let on_the_wall = croners(line, &Utc, from - wide, to + wide);
    let instants = on_the_wall.into_iter().map(|wall| {
        let mut wall = wall.naive_utc();
        loop {
            match zone.from_local_datetime(&wall) {
                MappedLocalTime::Single(time) => return time.with_timezone(&Utc),
                MappedLocalTime::Ambiguous(one, other) => {
                    return one.min(other).with_timezone(&Utc);
                }
                MappedLocalTime::None => wall += TimeDelta::minutes(1),
            }
        }
    });
    instants
        .filter(|time| from < *time && *time <= to)
        .collect()
}

#[test]
fn schedules_run_when_croner_says_so_in_four_zones_and_where_they_do_not_it_is_the_documented_rule()
{
    let (mut same, mut other, mut differ) = (0, 0, 0);
    for (zone, first, last) in ZONES {
        let (from, to) = (day(first, 1, 1).and_utc(), day(last, 1, 1).and_utc());
        for line in SAME_RULE {
            let (ours, croners) = (ours(line, zone, from, to), croners(line, &zone, from, to));
            assert_eq!(ours, croners, "{line} in {zone}");
            same += ours.len();
        }
        for line in OTHER_RULE {
            let (ours, croners) = (ours(line, zone, from, to), croners(line, &zone, from, to));
            assert_eq!(ours, by_the_rule(line, zone, from, to), "{line} in {zone}");
            for time in croners.difference(&ours) {
                let wall = time.with_timezone(&zone).naive_local();
                let twice = zone.from_local_datetime(&wall);
                assert_eq!(
                    twice.latest().map(|it| it.with_timezone(&Utc)),
                    Some(*time),
                    "{line} in {zone}"
                );
                assert!(
                    matches!(twice, MappedLocalTime::Ambiguous(..)),
                    "{line} in {zone}: {wall} comes twice"
                );
            }
            for time in ours.difference(&croners) {
                let before = (*time - TimeDelta::minutes(1))
                    .with_timezone(&zone)
                    .naive_local();
                let jump = time.with_timezone(&zone).naive_local() - before;
                assert!(
                    jump > TimeDelta::minutes(1),
                    "{line} in {zone}: {time} ends a gap"
                );
            }
            other += ours.len();
            differ += ours.symmetric_difference(&croners).count();
        }
    }
    println!(
        "compared with croner: {same} instants of {} lines alike, {other} of {} lines by the rule, of which {differ} differ as documented, in {} zones",
        SAME_RULE.len(),
        OTHER_RULE.len(),
        ZONES.len()
    );
    assert!(
        same > 200_000 && other > 130_000 && differ > 100,
        "{same} {other} {differ}"
    );
}

#[test]
fn a_line_of_every_minute_follows_the_time_that_really_passes_over_every_change_of_clocks() {
    let (mut changes, mut compared) = (0, 0);
    for (zone, first, last) in ZONES {
        let mut hour = day(first, 1, 1).and_utc();
        while hour < day(last, 1, 1).and_utc() {
            let next = hour + TimeDelta::hours(1);
            let offset = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local() - at.naive_utc();
            if offset(hour) != offset(next) {
                changes += 1;
                let (from, to) = (hour - TimeDelta::hours(5), hour + TimeDelta::hours(5));
                for line in ["* * * * *", "*/7 * * * *", "45 0-23 * * *"] {
                    let ours = ours(line, zone, from, to);
                    assert_eq!(ours, croners(line, &zone, from, to), "{line} in {zone}");
                    compared += ours.len();
                }
            }
            hour = next;
        }
    }
    println!("compared with croner: {compared} instants around {changes} changes of clocks");
    assert!(changes >= 23 && compared > 15_000, "{changes} {compared}");
}

#[track_caller]
fn runs(line: &str, zone: Tz, from: &str, expected: &[&str]) {
    let timing = timing(line, zone);
    let mut at = Timestamp(
        DateTime::parse_from_rfc3339(from)
            .unwrap()
            .timestamp_millis(),
    );
    let found: Vec<String> = expected
        .iter()
        .map(|_| {
            at = timing.next_after(at).unwrap();
            let time = DateTime::from_timestamp_millis(at.0).unwrap();
            time.with_timezone(&zone).to_rfc3339()
        })
        .collect();
    assert_eq!(found, expected, "{line}");
}

#[test]
#[rustfmt::skip]
fn a_time_in_a_gap_fires_once_at_the_first_instant_after_it() {
    let berlin = "2026-03-28T12:00:00+01:00";
    runs("30 2 * * *", Tz::Europe__Berlin, berlin, &["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]);
    runs("*/15 2 * * *", Tz::Europe__Berlin, berlin, &["2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"]);
    runs("30 2,3 * * *", Tz::Europe__Berlin, berlin, &["2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"]);
    runs("0 2,3 * * *", Tz::Europe__Berlin, berlin, &["2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"]);
    runs("30 * * * *", Tz::Europe__Berlin, "2026-03-29T01:00:00+01:00", &["2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"]);
    runs("15 2 * * *", Tz::Australia__Lord_Howe, "2026-10-03T12:00:00+10:30", &["2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"]);
    runs("30 0 * * *", Tz::America__Sao_Paulo, "2018-11-03T12:00:00-03:00", &["2018-11-04T01:00:00-02:00", "2018-11-05T00:30:00-02:00"]);
    // Samoa had no 30 December 2011.
    runs("0 12 30 12 *", Tz::Pacific__Apia, "2011-01-01T00:00:00Z", &["2011-12-31T00:00:00+14:00", "2012-12-30T12:00:00+14:00"]);
}

#[test]
#[rustfmt::skip]
fn a_time_in_an_overlap_fires_once_at_its_first_occurrence_and_each_real_hour_where_every_hour_is_named() {
    let berlin = "2026-10-24T12:00:00+02:00";
    runs("30 2 * * *", Tz::Europe__Berlin, berlin, &["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]);
    runs("0,30 2 * * *", Tz::Europe__Berlin, berlin, &["2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-26T02:00:00+01:00"]);
    runs("30 * * * *", Tz::Europe__Berlin, "2026-10-25T02:00:00+02:00", &["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00"]);
    runs("30 2 * * *", Tz::Europe__Berlin, "2026-10-25T02:10:00+01:00", &["2026-10-26T02:30:00+01:00"]);
    runs("45 1 * * *", Tz::Australia__Lord_Howe, "2026-04-04T12:00:00+11:00", &["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"]);
    // Over midnight: 23:30 of Saturday comes twice.
    runs("30 23 * * *", Tz::America__Sao_Paulo, "2018-02-17T12:00:00-02:00", &["2018-02-17T23:30:00-02:00", "2018-02-18T23:30:00-03:00"]);
}

#[test]
fn sunday_is_0_and_7_as_in_crontab_and_not_1_as_in_the_crate_that_reads_the_fields() {
    for sunday in [
        "0 4 * * 0",
        "0 4 * * 7",
        "0 4 * * sun",
        "0 4 * * SUN",
        "0 4 * * 7-7",
    ] {
        runs(
            sunday,
            Tz::UTC,
            "2026-11-28T00:00:00Z",
            &["2026-11-29T04:00:00+00:00", "2026-12-06T04:00:00+00:00"],
        );
    }
    runs(
        "0 4 * * 1",
        Tz::UTC,
        "2026-11-28T00:00:00Z",
        &["2026-11-30T04:00:00+00:00"],
    );
    runs(
        "0 4 * * 5-7",
        Tz::UTC,
        "2026-11-25T00:00:00Z",
        &[
            "2026-11-27T04:00:00+00:00",
            "2026-11-28T04:00:00+00:00",
            "2026-11-29T04:00:00+00:00",
            "2026-12-04T04:00:00+00:00",
        ],
    );
    runs(
        "0 4 * * fri-sun",
        Tz::UTC,
        "2026-11-28T12:00:00Z",
        &["2026-11-29T04:00:00+00:00", "2026-12-04T04:00:00+00:00"],
    );

    let alone = cron::Schedule::from_str("0 0 4 * * 1").unwrap();
    let saturday = day(2026, 11, 28).and_utc();
    assert_eq!(
        alone.after(&saturday).next().unwrap().to_rfc3339(),
        "2026-11-29T04:00:00+00:00",
        "there, 1 is Sunday"
    );
}

#[test]
fn where_both_days_are_restricted_one_of_them_is_enough_and_a_step_of_all_restricts_nothing_more() {
    // The 13th, and each Friday.
    runs(
        "0 4 13 * 5",
        Tz::UTC,
        "2026-11-28T00:00:00Z",
        &[
            "2026-12-04T04:00:00+00:00",
            "2026-12-11T04:00:00+00:00",
            "2026-12-13T04:00:00+00:00",
        ],
    );
    // Both: croner and we differ, and crontab(5) says `*/2` begins with `*`.
    runs(
        "0 4 */2 * 1",
        Tz::UTC,
        "2026-11-28T00:00:00Z",
        &["2026-12-07T04:00:00+00:00", "2026-12-21T04:00:00+00:00"],
    );
}

#[test]
fn the_words_of_crontab_are_lines() {
    for (word, line) in [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@Annually", "0 0 1 1 *"),
    ] {
        let (from, to) = (day(2025, 6, 1).and_utc(), day(2026, 7, 1).and_utc());
        let zone = Tz::Europe__Berlin;
        assert_eq!(
            ours(word, zone, from, to),
            ours(line, zone, from, to),
            "{word}"
        );
    }
}

#[test]
fn a_bad_line_says_which_field_what_was_expected_and_an_example() {
    for (line, field) in [
        ("60 2 * * *", "minute"),
        ("a 2 * * *", "minute"),
        ("5/10 * * * *", "minute"),
        ("*/0 * * * *", "minute"),
        ("1,,2 * * * *", "minute"),
        ("-5 * * * *", "minute"),
        ("30-10 * * * *", "minute"),
        ("0 24 * * *", "hour"),
        ("0 2 0 * *", "day of month"),
        ("0 2 32 * *", "day of month"),
        ("0 2 ? * *", "day of month"),
        ("0 2 L * *", "day of month"),
        ("0 2 * 13 *", "month"),
        ("0 2 * jax *", "month"),
        ("0 2 * * 8", "day of week"),
        ("0 2 * * moo", "day of week"),
        ("0 2 * * 5-2", "day of week"),
        ("0 2 * * ?", "day of week"),
        ("0 2 * * 99999999999999999999", "day of week"),
    ] {
        let wrong = line.parse::<CronLine>().unwrap_err();
        let LineError::Field {
            field: named,
            example,
            ..
        } = &wrong
        else {
            panic!("{line}: {wrong}");
        };
        assert_eq!(*named, field, "{line}");
        assert!(example.parse::<CronLine>().is_ok(), "{example}");
    }
    let told = "30 25 * * *".parse::<CronLine>().unwrap_err().to_string();
    assert_eq!(
        told,
        "has \"25\" as hour, which must be 0 to 23, a range as 8-17, a step as */2, a list of these, or *; write for example \"0 8-17 * * *\""
    );
    assert_eq!(
        "0 0 2 * * *".parse::<CronLine>(),
        Err(LineError::Fields { found: 6 })
    );
    assert_eq!("".parse::<CronLine>(), Err(LineError::Fields { found: 0 }));
    assert_eq!(
        "@noon".parse::<CronLine>(),
        Err(LineError::Word("@noon".into()))
    );
    assert_eq!("0 0 30 2 *".parse::<CronLine>(), Err(LineError::Never));
    assert_eq!(
        "0 0 31 4,6,9,11 *".parse::<CronLine>(),
        Err(LineError::Never)
    );
    assert!("0 0 29 2 *".parse::<CronLine>().is_ok());
}

#[test]
fn a_bad_zone_shows_the_one_that_was_meant() {
    let told = |zone: &str| zone.parse::<Zone>().unwrap_err().to_string();

    assert_eq!(
        told("europe/berlin"),
        "is \"europe/berlin\", which must be a name of the IANA database; write for example \"Europe/Berlin\""
    );
    assert!(told("Mars/Base").ends_with("for example \"Europe/Berlin\""));
    assert!("UTC".parse::<Zone>().is_ok() && "Asia/Kathmandu".parse::<Zone>().is_ok());
}

#[test]
fn the_latest_times_are_found_from_the_end() {
    let at = |text: &str| {
        Timestamp(
            DateTime::parse_from_rfc3339(text)
                .unwrap()
                .timestamp_millis(),
        )
    };
    let show = |times: Vec<Timestamp>| {
        times
            .into_iter()
            .map(|time| time.to_string())
            .collect::<Vec<_>>()
    };
    let (long_ago, now) = (at("2000-01-01T00:00:00Z"), at("2026-11-28T04:00:00Z"));

    let minutes = timing("* * * * *", Tz::UTC).latest(long_ago, now, 100);
    let yearly = timing("0 0 1 1 *", Tz::UTC).latest(long_ago, now, 2);
    let none = timing("0 0 1 1 *", Tz::UTC).latest(at("2026-06-01T00:00:00Z"), now, 2);

    assert_eq!((minutes.len(), minutes[99]), (100, now));
    assert_eq!(minutes[0], at("2026-11-28T02:21:00Z"));
    assert_eq!(
        show(yearly),
        ["2025-01-01T00:00:00.000Z", "2026-01-01T00:00:00.000Z"]
    );
    assert!(none.is_empty());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_text_makes_a_line_panic(text in "[-0-9*/,a-z@? ]{0,24}") {
        let _line = text.parse::<CronLine>();
    }

    #[test]
    fn fields_without_spaces_read_or_are_refused(fields in proptest::collection::vec("[-0-9*/,]{1,6}", 5)) {
        if let Ok(line) = fields.join(" ").parse::<CronLine>() {
            let timing = Timing { line, zone: "Europe/Berlin".parse().unwrap() };
            proptest::prop_assert!(timing.next_after(Timestamp(1_700_000_000_000)).is_some());
        }
    }
}

#[test]
fn the_crate_that_reads_the_fields_has_another_rule_for_daylight_saving_which_is_not_asked() {
    let alone = cron::Schedule::from_str("0 30 2 * * *").unwrap();
    let next_two = |from: &str| {
        let from = DateTime::parse_from_rfc3339(from).unwrap();
        let from = from.with_timezone(&Tz::Europe__Berlin);
        let times = alone.after(&from).take(2);
        times.map(|time| time.to_rfc3339()).collect::<Vec<_>>()
    };

    let gap = next_two("2026-03-28T12:00:00+01:00");
    let overlap = next_two("2026-10-24T12:00:00+02:00");

    assert_eq!(
        gap,
        ["2026-03-30T02:30:00+02:00", "2026-03-31T02:30:00+02:00"]
    );
    assert_eq!(
        overlap,
        ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"]
    );
}
