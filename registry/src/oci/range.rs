//! Ranges of bytes: `Range` of a download, `Content-Range` of an upload.

use std::ops::Range;

use super::error::OciError;

/// What of a blob a download is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: no range was asked for, or one that servers may overlook (several, or another unit).
    Whole,
    /// These bytes, which are there.
    Part(Range<u64>),
    /// Bytes that begin after its end.
    Beyond,
}

/// Reads the value of `Range` against a blob of `size` bytes.
pub(super) fn wanted(range: Option<&str>, size: u64) -> Wanted {
    let Some((first, last)) = range
        .and_then(|range| range.strip_prefix("bytes="))
        .filter(|ranges| !ranges.contains(','))
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Wanted::Whole;
    };
    let part = |first: u64, last: u64| {
        if first < size {
            Wanted::Part(first..last.saturating_add(1).min(size))
        } else {
            Wanted::Beyond
        }
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => part(first, last),
        (Some(first), None) if last.is_empty() => part(first, u64::MAX),
        (None, Some(0)) if first.is_empty() => Wanted::Beyond,
        (None, Some(length)) if first.is_empty() => part(size.saturating_sub(length), u64::MAX),
        _ => Wanted::Whole,
    }
}

/// The first byte and the number of bytes that a `Content-Range` speaks of. The specification of OCI leaves out the unit
/// and the size; some clients write them.
pub(super) fn sent(content_range: &str) -> Result<(u64, u64), OciError> {
    let wrong = || OciError::ContentRange {
        range: content_range.to_owned(),
    };
    let range = content_range
        .strip_prefix("bytes ")
        .unwrap_or(content_range);
    let range = range.split_once('/').map_or(range, |(range, _)| range);
    let (first, last) = range.trim().split_once('-').ok_or_else(wrong)?;
    let (first, last) = number(first).zip(number(last)).ok_or_else(wrong)?;
    let length = last
        .checked_sub(first)
        .and_then(|more| more.checked_add(1))
        .ok_or_else(wrong)?;
    Ok((first, length))
}

/// Digits only, without the sign that `parse` would take.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_against_the_size() {
        for (range, size, expected) in [
            ("bytes=0-0", 10, Wanted::Part(0..1)),
            ("bytes=2-5", 10, Wanted::Part(2..6)),
            ("bytes=2-", 10, Wanted::Part(2..10)),
            ("bytes=2-99", 10, Wanted::Part(2..10)),
            ("bytes=-3", 10, Wanted::Part(7..10)),
            ("bytes=-99", 10, Wanted::Part(0..10)),
            ("bytes=10-", 10, Wanted::Beyond),
            ("bytes=-0", 10, Wanted::Beyond),
            ("bytes=0-", 0, Wanted::Beyond),
            ("bytes=-1", 0, Wanted::Beyond),
            ("bytes=5-2", 10, Wanted::Whole),
            ("bytes=0-1,3-4", 10, Wanted::Whole),
            ("bytes=+1-2", 10, Wanted::Whole),
            ("bytes=-", 10, Wanted::Whole),
            ("lines=1-2", 10, Wanted::Whole),
            ("", 10, Wanted::Whole),
        ] {
            assert_eq!(wanted(Some(range), size), expected, "{range} of {size}");
        }
        assert_eq!(wanted(None, 10), Wanted::Whole);
    }

    #[test]
    fn a_content_range_is_a_first_byte_and_a_number_of_bytes() {
        for text in ["5-9", "bytes 5-9/*", "bytes 5-9/100"] {
            assert_eq!(sent(text).unwrap(), (5, 5), "{text}");
        }
        assert_eq!(sent("0-0").unwrap(), (0, 1));
        for text in [
            "",
            "5",
            "9-5",
            "a-b",
            "-5",
            "5-",
            "+1-2",
            "0-18446744073709551615",
        ] {
            assert!(sent(text).is_err(), "{text}");
        }
    }
}
