//! The headers of OCI answers.

use http::header::{LOCATION, RANGE};
use http::{HeaderName, HeaderValue};
use storage::content::UploadId;

/// The digest of what the answer is about.
pub(super) const DOCKER_CONTENT_DIGEST: HeaderName =
    HeaderName::from_static("docker-content-digest");
/// The id of an upload session.
pub(super) const DOCKER_UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// Says that this is a registry; in every answer.
pub(super) const DOCKER_DISTRIBUTION_API_VERSION: HeaderName =
    HeaderName::from_static("docker-distribution-api-version");

/// Longer warnings are cut: some clients take no longer line.
const MAX_WARNING_BYTES: usize = 4096;

/// Where an upload session goes on, and how much of it is durable.
pub(super) fn session(
    upload: UploadId,
    location: &str,
    offset: u64,
) -> Vec<(HeaderName, HeaderValue)> {
    vec![
        (LOCATION, ascii(location)),
        (RANGE, ascii(&range(offset))),
        (DOCKER_UPLOAD_UUID, ascii(&upload.to_string())),
    ]
}

/// The first and the last byte there; of none too it is `0-0`, as the specification has it.
fn range(offset: u64) -> String {
    format!("0-{}", offset.saturating_sub(1))
}

/// `299 - "…"`: a warning of this registry's own, in one line of ASCII.
pub(super) fn warning(text: &str) -> HeaderValue {
    const AROUND: usize = "299 - \"\"".len();
    let mut quoted = String::new();
    for character in text.chars() {
        let (escape, character) = match character {
            '"' | '\\' => ("\\", character),
            ' '..='~' => ("", character),
            _ if character.is_whitespace() => ("", ' '),
            _ => ("", '?'),
        };
        if quoted.len() + escape.len() + 1 + AROUND > MAX_WARNING_BYTES {
            break;
        }
        quoted.push_str(escape);
        quoted.push(character);
    }
    ascii(&format!("299 - \"{quoted}\""))
}

/// A value made of printable ASCII.
pub(super) fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text)
        .expect("names, digests, numbers and quoted warnings are printable ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_one_line_of_ascii_with_its_quotes_escaped() {
        assert_eq!(
            warning("disk \"full\"\nat C:\\ – später"),
            r#"299 - "disk \"full\" at C:\\ ? sp?ter""#
        );
    }

    #[test]
    fn a_warning_has_at_most_4096_bytes_and_ends_with_its_quote() {
        for text in ["x".repeat(5000), "\"".repeat(5000)] {
            let warning = warning(&text);

            assert!((4095..=4096).contains(&warning.len()), "{}", warning.len());
            assert!(warning.to_str().unwrap().ends_with('"'));
        }
    }

    #[test]
    fn the_range_of_a_session_is_that_of_its_bytes() {
        assert_eq!(range(0), "0-0");
        assert_eq!(range(1), "0-0");
        assert_eq!(range(1000), "0-999");
    }
}
