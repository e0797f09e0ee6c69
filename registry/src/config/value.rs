//! How the text of a setting is read. Each complaint continues the sentence `key = "text" (from …) …`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// The URL by which clients know this registry: scheme and host, and a port where it is not the scheme's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicUrl {
    scheme: String,
    authority: String,
}

impl PublicUrl {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "is not an http or https URL of a host, without a path".to_owned();
        let url = text.parse::<http::Uri>().map_err(|_| wrong())?;
        let (scheme, authority) = url.scheme_str().zip(url.authority()).ok_or_else(wrong)?;
        let bare = matches!(
            url.path_and_query().map(http::uri::PathAndQuery::as_str),
            None | Some("/")
        );
        if !matches!(scheme, "http" | "https") || !bare || authority.as_str().contains('@') {
            return Err(wrong());
        }
        Ok(Self {
            scheme: scheme.to_owned(),
            authority: authority.to_string(),
        })
    }

    /// The host, and the port if one is given.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

pub(super) fn http_url(text: &str) -> Result<String, String> {
    let url = text.parse::<http::Uri>().ok();
    let fits = url.filter(|url| matches!(url.scheme_str(), Some("http" | "https")));
    fits.map(|_| text.to_owned())
        .ok_or_else(|| "is not an http or https URL".to_owned())
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "is not an address with a port".to_owned())
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        Err("is not a path".to_owned())
    } else {
        Ok(text.into())
    }
}

pub(super) fn sqlite_file(text: &str) -> Result<PathBuf, String> {
    let file = text
        .strip_prefix("sqlite:")
        .map(|file| file.strip_prefix("//").unwrap_or(file));
    match file {
        Some(file) if !file.is_empty() && !file.contains('?') => Ok(file.into()),
        _ => {
            Err("is not a SQLite database, the only kind this version keeps its data in".to_owned())
        }
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let milliseconds_each = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("is not a duration".to_owned()),
    };
    let number = u64::from_str(number).map_err(|_| "is not a duration".to_owned())?;
    // Past a century, sums of times and durations would not fit any more.
    let milliseconds = number
        .checked_mul(milliseconds_each)
        .filter(|&ms| ms <= 36_500 * 86_400_000);
    milliseconds
        .map(Duration::from_millis)
        .ok_or_else(|| "is longer than a century".to_owned())
}

pub(super) fn at_least_a_second(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration < Duration::from_secs(1) {
        Err("is less than a second".to_owned())
    } else {
        Ok(duration)
    }
}

pub(super) fn size(text: &str) -> Result<usize, String> {
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let bytes_each = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err("is not a size in bytes, KiB, MiB or GiB".to_owned()),
    };
    let number = usize::from_str(number).ok().filter(|&number| number > 0);
    number
        .and_then(|number| number.checked_mul(bytes_each))
        .ok_or_else(|| "is not a size above zero".to_owned())
}

/// Less than this would not hold the head of an ordinary request; more is memory that anybody may fill.
const HEADER_BYTES: std::ops::RangeInclusive<usize> = 8 << 10..=1 << 20;

pub(super) fn header_size(text: &str) -> Result<usize, String> {
    let size = size(text)?;
    if HEADER_BYTES.contains(&size) {
        Ok(size)
    } else {
        Err("is not between 8KiB and 1MiB".to_owned())
    }
}

/// No more than a semaphore can count.
const MOST: usize = usize::MAX >> 3;

pub(super) fn count(text: &str) -> Result<usize, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=MOST).contains(number));
    number.ok_or_else(|| "is not a number above zero".to_owned())
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    text.parse()
        .map_err(|_| "is neither text nor json".to_owned())
}

pub(super) fn log_level(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map_err(|_| "is not a level of the log".to_owned())?;
    Ok(text.to_owned())
}

pub(super) fn yes_or_no(text: &str) -> Result<bool, String> {
    text.parse()
        .map_err(|_| "is neither true nor false".to_owned())
}

/// The text with what stands between `://` and `@` taken out, so that no error and no list shows a password.
pub(super) fn without_password(text: &str) -> String {
    match text.split_once("://").zip(text.rfind('@')) {
        Some(((scheme, _), at)) if at > scheme.len() + 3 => format!("{scheme}://…{}", &text[at..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("20s", 20_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
        ] {
            assert_eq!(
                duration(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        assert_eq!(duration("7d"), Ok(Duration::from_hours(168)));
        for text in [
            "",
            "20",
            "s",
            "20 s",
            "-1s",
            "1.5s",
            "1w",
            "99999999999999999999s",
            "40000d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_binary_multiples() {
        assert_eq!(size("4194304"), Ok(4 << 20));
        assert_eq!(size("4MiB"), Ok(4 << 20));
        for text in ["", "0", "4MB", "MiB", "99999999999GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_count_is_above_zero_and_a_head_of_a_sensible_size() {
        assert_eq!(count("400"), Ok(400));
        assert_eq!(header_size("64KiB"), Ok(65536));
        for text in ["", "0", "-1", "many", "99999999999999999999"] {
            assert!(count(text).is_err(), "{text}");
        }
        for text in ["1KiB", "2MiB"] {
            assert!(header_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_public_url_is_scheme_and_host_only() {
        let url = PublicUrl::parse("https://hub.example:8443/").unwrap();

        assert_eq!(url.authority(), "hub.example:8443");
        assert_eq!(url.to_string(), "https://hub.example:8443");
        for text in [
            "hub.example",
            "ftp://hub.example",
            "https://hub.example/path",
            "https://a:b@hub",
            "https://?x",
        ] {
            assert!(PublicUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_sqlite_url_is_a_file() {
        assert_eq!(sqlite_file("sqlite:./a.db"), Ok("./a.db".into()));
        assert_eq!(sqlite_file("sqlite:///var/a.db"), Ok("/var/a.db".into()));
        for text in [
            "postgres://db/wharf",
            "sqlite:",
            "sqlite:a.db?mode=ro",
            "a.db",
        ] {
            assert!(sqlite_file(text).is_err(), "{text}");
        }
    }

    #[test]
    fn levels_are_checked_before_anything_is_logged() {
        assert!(log_level("info,engine=debug").is_ok());
        assert!(log_level("info,engine=loud").is_err());
    }
}
