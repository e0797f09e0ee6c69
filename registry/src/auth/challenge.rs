//! Where tokens come from: the `WWW-Authenticate` of a 401, and the name of this service.

use std::net::IpAddr;

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};

use crate::config::Config;
use crate::http::X_FORWARDED_PROTO;

/// What a client without the right token is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    realm: String,
    service: String,
    error: Option<&'static str>,
    scope: Option<String>,
}

/// What this server is called where a smart proxy stands between: in the extensions of each request that came by one, and of those
/// that one gets itself.
#[derive(Clone, Debug)]
pub(crate) struct KnownAs {
    /// The service that tokens are for: the host by which the main server knows the proxy.
    pub(crate) service: String,
    /// Scheme and host that the client wrote; none: as this server sees them.
    pub(crate) origin: Option<String>,
}

impl Challenge {
    /// Get a token for the service that this request came to.
    pub(crate) fn new(config: &Config, head: &Parts) -> Self {
        let known = head.extensions.get::<KnownAs>();
        let origin = known.and_then(|known| known.origin.clone());
        let origin = origin.unwrap_or_else(|| origin_of(config, &head.headers));
        Self {
            realm: format!("{origin}/v2/token"),
            service: service(config, head),
            error: None,
            scope: None,
        }
    }

    /// The token that was shown does not count; get another.
    pub(crate) fn invalid_token(self) -> Self {
        Self {
            error: Some("invalid_token"),
            ..self
        }
    }

    /// The token that was shown reaches less far than the user's rights; get one with the scope.
    pub(crate) fn insufficient_scope(self) -> Self {
        Self {
            error: Some("insufficient_scope"),
            ..self
        }
    }

    /// Get a token with this scope.
    pub(crate) fn with_scope(self, repository: &str, actions: &str) -> Self {
        Self {
            scope: Some(format!("repository:{repository}:{actions}")),
            ..self
        }
    }

    /// Get a token that is good for the list of repositories.
    pub(crate) fn with_catalog_scope(self) -> Self {
        Self {
            scope: Some("registry:catalog:*".to_owned()),
            ..self
        }
    }

    /// The value of `WWW-Authenticate`.
    pub(crate) fn header(&self) -> HeaderValue {
        let parameters = [
            ("realm", Some(self.realm.as_str())),
            ("service", Some(self.service.as_str())),
            ("scope", self.scope.as_deref()),
            ("error", self.error),
        ];
        let given = parameters
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}=\"{}\"", value?)));
        let given: Vec<String> = given.collect();
        HeaderValue::try_from(format!("Bearer {}", given.join(",")))
            .expect("made of a URL's authority, a parsed repository name and constants")
    }
}

/// The name of this service, for which tokens are asked and shown: the host clients know it by.
pub(crate) fn service(config: &Config, head: &Parts) -> String {
    match head.extensions.get::<KnownAs>() {
        Some(known) => known.service.clone(),
        None => service_of(config, &head.headers),
    }
}

fn service_of(config: &Config, headers: &HeaderMap) -> String {
    if config.public_url.is_none()
        && let Some(host) = trusted_host(headers)
    {
        return host;
    }
    config.host()
}

/// Scheme and host in front of every path that is shown to this client.
pub(crate) fn origin_of(config: &Config, headers: &HeaderMap) -> String {
    if config.public_url.is_none()
        && let Some(host) = trusted_host(headers)
    {
        return format!("{}://{host}", scheme(config, headers));
    }
    config.base_url()
}

/// The scheme the client wrote: a trusted proxy says so, anybody else speaks to this server itself.
fn scheme(config: &Config, headers: &HeaderMap) -> &'static str {
    match headers.get(X_FORWARDED_PROTO).map(HeaderValue::as_bytes) {
        Some(b"https") => "https",
        Some(b"http") => "http",
        Some(_) | None => config.scheme(),
    }
}

/// The request's `Host`, if it can only be meant for us: no DNS name, which somebody else may own.
fn trusted_host(headers: &HeaderMap) -> Option<String> {
    let authority: Authority = headers.get(HOST)?.to_str().ok()?.parse().ok()?;
    if authority.as_str().contains('@') {
        return None;
    }
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let ours = host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok();
    ours.then(|| authority.as_str().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Settings};

    fn config(flags: &[&str]) -> Config {
        Config::read(&Settings::from_flags(flags), &Environment::of(&[])).unwrap()
    }

    fn to(host: &str) -> HeaderMap {
        HeaderMap::from_iter([(HOST, HeaderValue::from_str(host).unwrap())])
    }

    fn asked(host: &str) -> Parts {
        let request = http::Request::builder().header(HOST, host).body(());
        request.unwrap().into_parts().0
    }

    #[test]
    fn behind_a_smart_proxy_tokens_are_for_that_and_are_asked_for_there() {
        let mut head = asked("127.0.0.1:5000");
        head.extensions.insert(KnownAs {
            service: "berlin.example".to_owned(),
            origin: Some("http://10.0.0.7:5001".to_owned()),
        });

        let challenge = Challenge::new(&config(&[]), &head);

        assert_eq!(
            challenge.header(),
            "Bearer realm=\"http://10.0.0.7:5001/v2/token\",service=\"berlin.example\""
        );
    }

    #[test]
    fn a_loopback_name_or_an_address_in_the_request_names_the_service() {
        let config = config(&[]);

        for host in [
            "localhost:5000",
            "127.0.0.1:5000",
            "192.0.2.7:80",
            "[::1]:5000",
        ] {
            assert_eq!(service_of(&config, &to(host)), host);
            assert_eq!(origin_of(&config, &to(host)), format!("http://{host}"));
        }
        assert_eq!(service_of(&config, &to("LOCALHOST:5000")), "localhost:5000");
    }

    #[test]
    fn tokens_come_by_the_scheme_that_the_client_wrote() {
        let plain = config(&[]);
        let tls = config(&["--tls", "self-signed"]);
        let mut by_proxy = to("127.0.0.1:5000");
        by_proxy.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));

        assert_eq!(
            origin_of(&tls, &to("127.0.0.1:5000")),
            "https://127.0.0.1:5000"
        );
        assert_eq!(origin_of(&plain, &by_proxy), "https://127.0.0.1:5000");
    }

    #[test]
    fn any_other_host_is_not_believed() {
        let config = config(&[]);

        for host in [
            "evil.example",
            "a@127.0.0.1",
            "127.0.0.1.evil.example",
            "not a host",
        ] {
            assert_eq!(service_of(&config, &to(host)), "127.0.0.1:5000", "{host}");
        }
        assert_eq!(service_of(&config, &HeaderMap::new()), "127.0.0.1:5000");
    }

    #[test]
    fn a_public_url_names_the_service_whatever_the_request_says() {
        let config = config(&["--public-url", "https://hub.example"]);

        assert_eq!(service_of(&config, &to("127.0.0.1:5000")), "hub.example");
        assert_eq!(
            origin_of(&config, &to("127.0.0.1:5000")),
            "https://hub.example"
        );
    }

    #[test]
    fn a_challenge_says_where_for_what_and_why() {
        let challenge = Challenge::new(&config(&[]), &asked("localhost:5000"));

        assert_eq!(
            challenge.header(),
            "Bearer realm=\"http://localhost:5000/v2/token\",service=\"localhost:5000\""
        );
        assert_eq!(
            challenge
                .with_scope("acme/busybox", "pull,push")
                .insufficient_scope()
                .header(),
            "Bearer realm=\"http://localhost:5000/v2/token\",service=\"localhost:5000\",\
             scope=\"repository:acme/busybox:pull,push\",error=\"insufficient_scope\""
        );
    }
}
