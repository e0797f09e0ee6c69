//! A URL that an administrator gave us.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;
use serde::{Deserialize, Serialize};

/// A longer one is a mistake, and would fill lists and logs.
const LONGEST: usize = 2048;

/// A URL that an administrator gave us: `http` or `https`, a host, and nothing that hides a secret or belongs to one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OutboundUrl(Url);

/// Why a text is no URL that can be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefused {
    /// It is none at all.
    #[error("`{0}` is not a URL; write for example `https://hub.example.org/path`")]
    Unreadable(String),
    /// Another scheme.
    #[error("`{0}` is not an http or https URL; write for example `https://hub.example.org/path`")]
    Scheme(String),
    /// Credentials; the URL is not repeated.
    #[error("the URL of `{0}` holds a user or a password, which lists would show; leave them out")]
    Credentials(String),
    /// What follows the path; it is not repeated, for it may hold a key.
    #[error(
        "the URL of `{0}` has a query or a fragment, which lists would show; leave out what follows `?` or `#`"
    )]
    Query(String),
    /// Too long.
    #[error("the URL of `{0}` is longer than {LONGEST} characters; no server needs that")]
    Long(String),
}

impl OutboundUrl {
    /// The URL in this text.
    pub fn parse(text: &str) -> Result<Self, UrlRefused> {
        // What a URL parser would repair in silence (spaces, line ends, backslashes, missing slashes) is a slip that would be called.
        let is_plain = text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        let has_slashes = text
            .split_once(':')
            .is_some_and(|(_, rest)| rest.starts_with("//"));
        let shown = || {
            text.chars()
                .take(100)
                .collect::<String>()
                .escape_debug()
                .to_string()
        };
        let url = Url::parse(text).ok().filter(|_| is_plain);
        let url = url.ok_or_else(|| UrlRefused::Unreadable(without_secrets(&shown())))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlRefused::Scheme(without_secrets(&shown())));
        }
        let Some(host) = url.host_str().filter(|_| has_slashes) else {
            return Err(UrlRefused::Unreadable(without_secrets(&shown())));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlRefused::Credentials(host.to_owned()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(UrlRefused::Query(host.to_owned()));
        }
        if text.len() > LONGEST {
            return Err(UrlRefused::Long(host.to_owned()));
        }
        Ok(Self(url))
    }

    /// As the client of HTTP takes it.
    #[must_use]
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// Scheme, host and port: what it is called in an error.
    #[must_use]
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// What lies at this path below the URL; the path is taken as it is. Empty: the URL itself.
    #[must_use]
    pub fn below(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        if !path.is_empty() {
            let below = format!(
                "{}/{}",
                self.0.path().trim_end_matches('/'),
                path.trim_start_matches('/')
            );
            url.set_path(&below);
        }
        url
    }
}

/// What stands before an `@` or after a `?` or `#` may be a secret also where the rest is no URL.
fn without_secrets(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        (None, Some((_, host))) => format!("…@{host}"),
        (_, None) => text.to_owned(),
    }
}

impl FromStr for OutboundUrl {
    type Err = UrlRefused;

    fn from_str(text: &str) -> Result<Self, UrlRefused> {
        Self::parse(text)
    }
}

impl TryFrom<String> for OutboundUrl {
    type Error = UrlRefused;

    fn try_from(text: String) -> Result<Self, UrlRefused> {
        Self::parse(&text)
    }
}

impl From<OutboundUrl> for String {
    fn from(url: OutboundUrl) -> Self {
        url.0.into()
    }
}

impl fmt::Display for OutboundUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        OutboundUrl::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_url_is_a_scheme_a_host_and_maybe_a_port_and_a_path() {
        for (text, kept) in [
            ("http://hub.example", "http://hub.example/"),
            (
                "https://HUB.example:8443/hooks/1",
                "https://hub.example:8443/hooks/1",
            ),
            ("http://[2001:db8::1]:80/", "http://[2001:db8::1]/"),
        ] {
            assert_eq!(OutboundUrl::parse(text).unwrap().to_string(), kept);
        }
    }

    #[test]
    fn an_address_written_in_another_way_is_still_that_address() {
        for text in ["http://0x7f.1", "http://2130706433", "http://127.1"] {
            let url = OutboundUrl::parse(text).unwrap();
            assert_eq!(url.as_url().host_str(), Some("127.0.0.1"), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_called_is_refused_in_one_sentence() {
        assert_eq!(
            refusal("hub.example/x"),
            "`hub.example/x` is not a URL; write for example `https://hub.example.org/path`"
        );
        assert_eq!(
            refusal("ftp://hub.example"),
            "`ftp://hub.example` is not an http or https URL; write for example `https://hub.example.org/path`"
        );
        for text in [
            "",
            "http://",
            "http:hub",
            "http://hub example",
            "http:\\\\hub",
            "http://a\nb",
        ] {
            assert!(OutboundUrl::parse(text).is_err(), "{text}");
        }
        assert!(OutboundUrl::parse(&format!("http://hub/{}", "x".repeat(2048))).is_err());
    }

    #[test]
    fn no_refusal_repeats_what_may_be_a_secret() {
        for text in [
            "https://ann:sesame@hub.example",
            "https://hub.example/?key=sesame",
            "https://hub.example/#sesame",
            "ftp://ann:sesame@hub.example",
            "ann:sesame@hub.example",
            "hub.example?key=sesame",
        ] {
            let refusal = refusal(text);
            assert!(refusal.contains("hub.example"), "{refusal}");
            assert!(!refusal.contains("sesame"), "{refusal}");
        }
    }

    #[test]
    fn a_path_lies_below_the_url() {
        let plain = OutboundUrl::parse("https://hub.example").unwrap();
        let deep = OutboundUrl::parse("https://hub.example/a/").unwrap();

        assert_eq!(plain.below("/v2/").as_str(), "https://hub.example/v2/");
        assert_eq!(deep.below("v2/x").as_str(), "https://hub.example/a/v2/x");
        assert_eq!(deep.below("").as_str(), "https://hub.example/a/");
    }
}
