//! What a receiver's answer means.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};

/// No more of an answer is read and kept.
const BODY_BYTES: usize = 1024;

/// Who wants a longer wait is asked again after this.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// What a receiver's answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It has the event.
    Taken,
    /// It wants none any more.
    Gone,
    /// It may take it later, not before this has passed where it said so.
    Later(Option<Duration>),
    /// It will never take it.
    Refused,
}

impl Meaning {
    pub(super) fn of(status: StatusCode, retry_after: Option<&str>) -> Self {
        let wait = retry_after
            .and_then(|text| text.trim().parse().ok())
            .map(|seconds: u64| Duration::from_secs(seconds.max(1)).min(LONGEST_WAIT));
        match status {
            StatusCode::GONE => Self::Gone,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Self::Later(wait),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => Self::Later(None),
            _ if status.is_success() => Self::Taken,
            _ if status.is_server_error() => Self::Later(None),
            _ => Self::Refused,
        }
    }
}

/// An answer, as far as it is kept.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) meaning: Meaning,
    /// `503 Service Unavailable: the disk is full`.
    pub(super) text: String,
}

impl Answer {
    /// Reads the beginning of what the receiver says, unless it has taken the event. Should it repeat the secret, that is left out.
    pub(super) async fn read(mut response: Response, secret: &SecretString) -> Self {
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER);
        let meaning = Meaning::of(status, retry_after.and_then(|value| value.to_str().ok()));
        let mut text = status.to_string();
        if meaning != Meaning::Taken {
            let mut body = Vec::new();
            while body.len() < BODY_BYTES
                && let Ok(Some(chunk)) = response.chunk().await
            {
                body.extend_from_slice(&chunk);
            }
            body.truncate(BODY_BYTES);
            let body = String::from_utf8_lossy(&body).replace(secret.expose_secret(), "…");
            let words: Vec<&str> = body.split_whitespace().collect();
            if !words.is_empty() {
                text = format!("{text}: {}", words.join(" ").replace(char::is_control, ""));
            }
        }
        Self { meaning, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, retry_after: Option<&str>) -> Meaning {
        Meaning::of(StatusCode::from_u16(status).unwrap(), retry_after)
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_does_not_is_not() {
        for taken in [200, 202, 204] {
            assert_eq!(of(taken, None), Meaning::Taken, "{taken}");
        }
        for later in [408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(of(later, None), Meaning::Later(None), "{later}");
        }
        for refused in [301, 302, 400, 401, 403, 404, 413, 422] {
            assert_eq!(of(refused, None), Meaning::Refused, "{refused}");
        }
        assert_eq!(of(410, None), Meaning::Gone);
    }

    #[test]
    fn who_says_when_is_asked_then_but_within_an_hour() {
        let seconds = |n| Meaning::Later(Some(Duration::from_secs(n)));
        assert_eq!(of(429, Some("120")), seconds(120));
        assert_eq!(of(503, Some("0")), seconds(1));
        assert_eq!(of(503, Some("86400")), seconds(3600));
        assert_eq!(of(503, Some("soon")), Meaning::Later(None));
        assert_eq!(of(500, Some("120")), Meaning::Later(None));
    }
}
