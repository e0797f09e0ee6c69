//! Reads what a table shows out of a REST answer.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::answer::Answer;
use super::{printable, terminal};

/// The text of a field: `-` if it is null or missing.
pub(crate) fn field(object: &Value, name: &str) -> String {
    text(&object[name])
}

/// A value as people read it, in one line: lists joined by commas, escapes for what a terminal would act on.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable::line(text).into_owned(),
        Value::Array(list) if list.is_empty() => "-".to_owned(),
        Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            printable::line(&value.to_string()).into_owned()
        }
    }
}

/// The items of a list; none if it is missing.
pub(crate) fn list<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    object[name].as_array().map_or(&[], Vec::as_slice)
}

/// `2026-11-24 20:25:54`, in UTC.
pub(crate) fn time(value: &Value) -> String {
    moment(value).map_or_else(
        || "-".to_owned(),
        |at| at.format("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

/// How long ago it was: `3 min`.
pub(crate) fn age(value: &Value) -> String {
    moment(value).map_or_else(
        || "-".to_owned(),
        |at| {
            let passed = Utc::now().signed_duration_since(at).num_seconds();
            since(passed.max(0).unsigned_abs())
        },
    )
}

fn since(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How long it took from one time to the other; `-` as long as one of them is missing.
pub(crate) fn between(from: &Value, to: &Value) -> String {
    match moment(from).zip(moment(to)) {
        Some((from, to)) => duration((to - from).num_milliseconds().max(0).unsigned_abs()),
        None => "-".to_owned(),
    }
}

/// How long the attempts of a step have taken together: what it waited for in between is not its doing.
pub(crate) fn took(step: &Value) -> String {
    let lasted = |attempt: &Value| {
        let (from, to) = moment(&attempt["started_at"]).zip(moment(&attempt["ended_at"]))?;
        Some((to - from).num_milliseconds().max(0).unsigned_abs())
    };
    let ended: Vec<u64> = list(step, "tries").iter().filter_map(lasted).collect();
    if ended.is_empty() {
        "-".to_owned()
    } else {
        duration(ended.iter().sum())
    }
}

fn moment(value: &Value) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(value.as_str()?).ok()?.to_utc())
}

fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        60_000..3_600_000 => format!(
            "{} min {} s",
            milliseconds / 60_000,
            milliseconds % 60_000 / 1_000
        ),
        _ => format!(
            "{} h {} min",
            milliseconds / 3_600_000,
            milliseconds % 3_600_000 / 60_000
        ),
    }
}

/// What started a task, in words; none for one that does not say.
pub(crate) fn cause(task: &Value) -> Option<String> {
    Some(match task["cause"].as_str()? {
        "client" => "a client".to_owned(),
        "duty" => "a duty of the registry".to_owned(),
        "schedule" => "a schedule".to_owned(),
        _ => field(task, "cause"),
    })
}

/// What the client of a task was told; none if nobody was.
pub(crate) fn answered(task: &Value) -> Option<String> {
    let answered = &task["answered"];
    let status = answered["status"].as_u64()?;
    let mut told = format!("{status} at {}", time(&answered["at"]));
    if !answered["warning"].is_null() {
        let _ = write!(told, ", with the warning: {}", field(answered, "warning"));
    }
    Some(told)
}

/// A place of an input that was changed: what was there, and what is there now.
pub(crate) fn change(change: &Value) -> String {
    let side = |name: &str| match change.get(name) {
        None => "nothing".to_owned(),
        Some(value) => value.to_string(),
    };
    format!("{} from {} to {}", field(change, "at"), side("from"), side("to"))
}

/// `12.3 MiB`.
pub(crate) fn size(value: &Value) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let Some(bytes) = value.as_u64() else {
        return "-".to_owned();
    };
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// Prints the body as it came.
pub(crate) fn json(body: &Answer) {
    terminal::print_json(body.as_it_came());
}

/// Says how many more a list has than were shown.
pub(crate) fn more(body: &Value) {
    if body["next"].is_null() {
        return;
    }
    let mut line = format!(
        "{} of {} shown",
        list(body, "results").len(),
        field(body, "total")
    );
    let _ = write!(line, "; go on with --cursor {}", field(body, "next"));
    terminal::print(line);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sizes_have_one_decimal_and_a_binary_unit() {
        for (bytes, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (512 << 20, "512.0 MiB"),
        ] {
            assert_eq!(size(&json!(bytes)), shown);
        }
        assert_eq!(size(&json!(u64::MAX)), "1638.3 PiB");
    }

    #[test]
    fn durations_are_as_exact_as_they_are_short() {
        for (ms, shown) in [
            (7, "7 ms"),
            (1_250, "1.2 s"),
            (61_000, "1 min 1 s"),
            (7_260_000, "2 h 1 min"),
        ] {
            assert_eq!(duration(ms), shown);
        }
    }

    #[test]
    fn an_age_is_one_number() {
        for (seconds, shown) in [(5, "5 s"), (119, "1 min"), (7_200, "2 h"), (172_800, "2 d")] {
            assert_eq!(since(seconds), shown);
        }
    }

    #[test]
    fn a_step_took_what_its_attempts_took_and_not_the_time_between_them() {
        let step = json!({"tries": [
            {"started_at": "2026-01-01T00:00:00.000Z", "ended_at": "2026-01-01T00:00:00.020Z"},
            {"started_at": "2026-01-01T01:00:00.000Z", "ended_at": "2026-01-01T01:00:00.030Z"},
            {"started_at": "2026-01-01T02:00:00.000Z", "ended_at": null}
        ]});

        assert_eq!(took(&step), "50 ms");
        assert_eq!(took(&json!({"tries": []})), "-");
    }

    #[test]
    fn a_missing_field_is_a_dash() {
        assert_eq!(field(&json!({"a": null}), "a"), "-");
        assert_eq!(field(&json!({}), "b"), "-");
        assert_eq!(text(&json!(["a", "b"])), "a, b");
        assert_eq!(
            text(&json!(["a\u{1b}[2J", {"b": "\u{9b}"}])),
            r#"a\u{1b}[2J, {"b":"\u{9b}"}"#
        );
        assert_eq!(between(&json!(null), &json!("2026-01-01T00:00:00Z")), "-");
    }
}
