//! The headers of OCI answers.

use axum::response::{IntoResponse, Response};
use http::header::{ETAG, IF_NONE_MATCH, LOCATION, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use storage::Digest;
use storage::content::UploadId;

/// The digest of what the answer is about.
pub(super) const DOCKER_CONTENT_DIGEST: HeaderName =
    HeaderName::from_static("docker-content-digest");
/// The id of an upload session.
pub(super) const DOCKER_UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// Says that this is a registry; in every answer.
pub(crate) const DOCKER_DISTRIBUTION_API_VERSION: HeaderName =
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

/// What the content of this digest is told from other content by, for caches.
pub(super) fn etag(digest: &Digest) -> HeaderValue {
    ascii(&format!("\"{digest}\""))
}

/// 304, if the client has the content of this digest already.
pub(super) fn not_modified(headers: &HeaderMap, digest: &Digest) -> Option<Response> {
    let tag = etag(digest);
    let known = headers.get_all(IF_NONE_MATCH).iter();
    let known = known.filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|value| value.split(',')).any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
    });
    let headers = [
        (ETAG, tag),
        (DOCKER_CONTENT_DIGEST, ascii(&digest.to_string())),
    ];
    is_known.then(|| (StatusCode::NOT_MODIFIED, headers).into_response())
}

/// A text as it stands in a query.
pub(super) fn in_query(text: &str) -> String {
    let mut written = String::new();
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' | b'~' => {
                written.push(char::from(byte));
            }
            _ => {
                written.push('%');
                written.push_str(&hex::encode_upper([byte]));
            }
        }
    }
    written
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
    fn what_the_client_has_already_is_not_sent_again() {
        let digest = Digest::of(b"");
        let tag = format!("\"{digest}\"");
        let answered = |known: &str| {
            let known = HeaderValue::from_str(known).unwrap();
            not_modified(&HeaderMap::from_iter([(IF_NONE_MATCH, known)]), &digest)
        };

        for known in [&tag, "*", &format!("W/{tag}"), &format!("\"x\", {tag}")] {
            let response = answered(known).expect(known);
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(response.headers()[ETAG], tag, "{known}");
        }
        for unknown in ["\"x\"", "", &digest.to_string()] {
            assert!(answered(unknown).is_none(), "{unknown}");
        }
        assert!(not_modified(&HeaderMap::new(), &digest).is_none());
    }

    #[test]
    fn the_range_of_a_session_is_that_of_its_bytes() {
        assert_eq!(range(0), "0-0");
        assert_eq!(range(1), "0-0");
        assert_eq!(range(1000), "0-999");
    }
}
