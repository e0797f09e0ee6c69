//! What a registry asks for with a 401: the header `WWW-Authenticate`.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// How it wants to be shown who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// The login itself, with each request.
    Basic,
    /// A token of whoever is at the realm.
    Bearer {
        /// The URL that gives tokens.
        realm: String,
        /// What the token is for.
        service: Option<String>,
    },
}

impl Challenge {
    /// What the answer asks for; a token rather than the login.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let all = headers.get_all(WWW_AUTHENTICATE).iter();
        let all: Vec<Self> = all
            .filter_map(|value| value.to_str().ok())
            .filter_map(Self::read)
            .collect();
        let bearer = all.iter().find(|it| matches!(it, Self::Bearer { .. }));
        bearer.or(all.first()).cloned()
    }

    fn read(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (None, None);
        let mut rest = rest.trim();
        while let Some((key, after)) = rest.split_once('=') {
            let (value, after) = value(after.trim_start());
            match key.trim().to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "service" => service = Some(value),
                _ => {}
            }
            rest = after.trim_start().trim_start_matches(',').trim_start();
        }
        Some(Self::Bearer {
            realm: realm?,
            service,
        })
    }
}

/// A value, in quotes or not, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.trim_end().to_owned(), rest);
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return (value, quoted.get(at + 1..).unwrap_or_default()),
            c => {
                escaped = false;
                value.push(c);
            }
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn asked(headers: &[&'static str]) -> Option<Challenge> {
        let mut all = HeaderMap::new();
        for header in headers {
            all.append(WWW_AUTHENTICATE, HeaderValue::from_static(header));
        }
        Challenge::of(&all)
    }

    #[test]
    fn a_token_service_is_named_by_its_realm_and_what_the_token_is_for() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer {
                realm: realm.to_owned(),
                service: service.map(str::to_owned),
            })
        };
        assert_eq!(
            asked(&[
                r#"Bearer realm="https://hub/token?a=b",service="hub",scope="repository:a:pull,push""#
            ]),
            bearer("https://hub/token?a=b", Some("hub"))
        );
        assert_eq!(
            asked(&[r#"bearer service="a \"b\", c", realm=https://hub/token , error=none"#]),
            bearer("https://hub/token", Some("a \"b\", c"))
        );
        assert_eq!(
            asked(&["Basic realm=\"x\"", r#"Bearer realm="http://t""#]),
            bearer("http://t", None)
        );
    }

    #[test]
    fn a_login_is_asked_for_or_nothing_that_is_known() {
        assert_eq!(asked(&["Basic realm=\"x\""]), Some(Challenge::Basic));
        assert_eq!(asked(&["basic"]), Some(Challenge::Basic));
        assert_eq!(asked(&["Negotiate"]), None);
        assert_eq!(asked(&["Bearer service=\"x\""]), None);
        assert_eq!(asked(&[]), None);
    }
}
