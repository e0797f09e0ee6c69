//! Which redirects are followed.

use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};

/// After so many it goes round in circles.
const AT_MOST: usize = 5;

/// A server sends us away from where the administrator did.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(
        "it redirects to another host, `{to}`, which is not followed; if that one is meant, save its URL"
    )]
    Elsewhere { to: String },
    #[error("it redirects from https to http, which is not followed")]
    InClear,
    #[error("it redirects more than {AT_MOST} times")]
    InCircles,
}

/// Follows what stays with the same host and keeps the method; of the others the answer is the redirect itself, or an error where
/// it leads elsewhere.
pub(super) fn policy() -> Policy {
    Policy::custom(|attempt| {
        let refused = match attempt.previous() {
            past if past.len() > AT_MOST => Err(Refused::InCircles),
            [.., from] => judge(from, attempt.url()),
            [] => Ok(()),
        };
        let keeps_the_method = matches!(
            attempt.status(),
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
        );
        match refused {
            Err(refused) => attempt.error(refused),
            Ok(()) if keeps_the_method => attempt.follow(),
            Ok(()) => attempt.stop(),
        }
    })
}

fn judge(from: &Url, to: &Url) -> Result<(), Refused> {
    let becomes_safe = from.scheme() == "http"
        && to.scheme() == "https"
        && from.port().is_none()
        && to.port().is_none();
    let is_same_host = from.host() == to.host();
    if is_same_host && (from.origin() == to.origin() || becomes_safe) {
        Ok(())
    } else if is_same_host && from.scheme() == "https" && to.scheme() == "http" {
        Err(Refused::InClear)
    } else {
        Err(Refused::Elsewhere {
            to: to.origin().ascii_serialization(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goes(from: &str, to: &str) -> bool {
        judge(&from.parse().unwrap(), &to.parse().unwrap()).is_ok()
    }

    #[test]
    fn a_redirect_is_followed_within_an_origin_and_from_http_to_https_of_the_same_host() {
        assert!(goes("https://hub.example/a", "https://hub.example/b"));
        assert!(goes("http://hub.example/a", "https://hub.example/a"));
        assert!(!goes("https://hub.example/a", "https://other.example/a"));
        assert!(!goes("https://hub.example/a", "http://hub.example/a"));
        assert!(!goes("https://hub.example/a", "https://hub.example:8443/a"));
        assert!(!goes("http://hub.example/a", "http://169.254.169.254/a"));
        assert!(!goes("http://hub.example/a", "https://hub.example.evil/a"));
    }
}
