//! For whom a proxy asks: its word counts if it is a trusted one, and is thrown away otherwise.

use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HOST};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Peer;
use crate::config::{ForwardedHeader, TrustedProxies};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The scheme by which the client reached a trusted proxy: further in it can be believed where it is.
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What a proxy says about one hop.
#[derive(Debug, Default, PartialEq, Eq)]
struct Hop {
    client: Option<IpAddr>,
    scheme: Option<&'static str>,
    host: Option<HeaderValue>,
}

/// Settles who asks and for which host, so that nobody further in needs to know of proxies.
///
/// Afterwards [`Peer`] is the client's address and `Host` what it asked for, also over HTTP/2. Of a proxy's headers only
/// [`X_FORWARDED_PROTO`] is left, where a trusted one said it.
pub(super) fn settle(request: &mut Parts, peer: SocketAddr, proxies: &TrustedProxies) {
    if let Some(host) = authority(request) {
        request.headers.insert(HOST, host);
    }
    let mut client = peer;
    let mut scheme = None;
    if proxies.contain(peer.ip()) {
        let hop = hop(&request.headers, proxies);
        if let Some(address) = hop.client {
            client = SocketAddr::new(address, 0);
        }
        scheme = hop.scheme;
        if let Some(host) = hop.host {
            request.headers.insert(HOST, host);
        }
    }
    for name in [
        FORWARDED,
        X_FORWARDED_FOR,
        X_FORWARDED_HOST,
        X_FORWARDED_PROTO,
    ] {
        request.headers.remove(name);
    }
    if let Some(scheme) = scheme {
        let scheme = HeaderValue::from_static(scheme);
        request.headers.insert(X_FORWARDED_PROTO, scheme);
    }
    request.extensions.insert(Peer(client));
}

/// What stands for `Host` in HTTP/2.
fn authority(request: &Parts) -> Option<HeaderValue> {
    let missing = !request.headers.contains_key(HOST);
    let authority = request.uri.authority().filter(|_| missing)?;
    HeaderValue::from_str(authority.as_str()).ok()
}

/// The hop at which the request came in from outside: the last one whose client is not a trusted proxy itself.
fn hop(headers: &HeaderMap, proxies: &TrustedProxies) -> Hop {
    let hops = match proxies.header() {
        ForwardedHeader::Forwarded => listed(headers, FORWARDED).map(standard).collect(),
        ForwardedHeader::XForwardedFor => customary(headers),
    };
    let mut outermost = Hop::default();
    for hop in hops.into_iter().rev() {
        let from_outside = hop.client.is_none_or(|client| !proxies.contain(client));
        outermost = hop;
        if from_outside {
            break;
        }
    }
    outermost
}

/// One element of `Forwarded`: `for=192.0.2.7;proto=https;host=hub.example` (RFC 7239).
fn standard(element: &str) -> Hop {
    let mut hop = Hop::default();
    for pair in element.split(';') {
        let Some((name, value)) = pair.split_once('=') else {
            continue;
        };
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "for" => hop.client = address(value),
            "proto" => hop.scheme = scheme(value),
            "host" => hop.host = host(value),
            _ => {}
        }
    }
    hop
}

/// The customary headers: a list of clients, and the scheme and host that the nearest proxy wrote.
fn customary(headers: &HeaderMap) -> Vec<Hop> {
    let last = |name: HeaderName| listed(headers, name).last();
    let scheme = last(X_FORWARDED_PROTO).and_then(scheme);
    let host = last(X_FORWARDED_HOST).and_then(host);
    let mut hops: Vec<Hop> = listed(headers, X_FORWARDED_FOR)
        .map(|client| Hop {
            client: address(client),
            scheme,
            host: host.clone(),
        })
        .collect();
    if hops.is_empty() {
        hops.push(Hop {
            client: None,
            scheme,
            host,
        });
    }
    hops
}

/// The elements of a list that may stand in several headers.
fn listed(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
}

/// `192.0.2.7`, `192.0.2.7:4711`, `[2001:db8::1]:4711`, `2001:db8::1`.
fn address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    text.trim_matches(['[', ']']).parse().ok()
}

fn scheme(text: &str) -> Option<&'static str> {
    ["http", "https"]
        .into_iter()
        .find(|known| text.eq_ignore_ascii_case(known))
}

fn host(text: &str) -> Option<HeaderValue> {
    let authority: Authority = text.parse().ok()?;
    HeaderValue::from_str(authority.as_str()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment, Settings};

    const PROXY: &str = "10.0.0.1";
    const STRANGER: &str = "198.51.100.9";

    /// Address, scheme and host of a request that came from `peer` with these headers.
    fn settled(peer: &str, headers: &[(&'static str, &str)]) -> (String, Option<String>, String) {
        settled_by("x-forwarded-for", peer, headers)
    }

    /// The same, where proxies write this header.
    fn settled_by(
        written: &str,
        peer: &str,
        headers: &[(&'static str, &str)],
    ) -> (String, Option<String>, String) {
        let flags = [
            "--trusted-proxies",
            "10.0.0.0/8",
            "--forwarded-header",
            written,
        ];
        let config = Config::read(&Settings::from_flags(&flags), &Environment::of(&[])).unwrap();
        let mut request = http::Request::new(()).into_parts().0;
        request
            .headers
            .insert(HOST, HeaderValue::from_static("inside:5000"));
        for &(name, value) in headers {
            request
                .headers
                .append(name, HeaderValue::from_str(value).unwrap());
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 4711);
        settle(&mut request, peer, &config.trusted_proxies);
        assert!(!request.headers.contains_key(FORWARDED));
        let Peer(client) = request.extensions.get().copied().unwrap();
        let said = |name| Some(request.headers.get(name)?.to_str().unwrap().to_owned());
        let scheme = said(X_FORWARDED_PROTO);
        (client.ip().to_string(), scheme, said(HOST).unwrap())
    }

    #[test]
    fn what_a_stranger_says_is_thrown_away() {
        let said = [
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "for=127.0.0.1;host=evil.example"),
        ];

        let (client, scheme, host) = settled(STRANGER, &said);

        assert_eq!((client.as_str(), scheme), (STRANGER, None));
        assert_eq!(host, "inside:5000");
    }

    #[test]
    fn what_a_trusted_proxy_says_counts() {
        let customary = [
            ("x-forwarded-for", "203.0.113.5"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "hub.example"),
        ];
        let standard = [("forwarded", "for=203.0.113.5;proto=https;host=hub.example")];

        for (written, said) in [
            ("X-Forwarded-For", &customary[..]),
            ("forwarded", &standard),
        ] {
            let (client, scheme, host) = settled_by(written, PROXY, said);

            assert_eq!(client, "203.0.113.5");
            assert_eq!(scheme.as_deref(), Some("https"));
            assert_eq!(host, "hub.example");
        }
    }

    #[test]
    fn a_client_cannot_put_words_into_the_mouth_of_a_proxy() {
        // The client wrote the first part itself; each proxy added where its request came from.
        let chain = "127.0.0.1, 203.0.113.5, 10.0.0.2";

        let (client, ..) = settled(PROXY, &[("x-forwarded-for", chain)]);
        assert_eq!(client, "203.0.113.5");

        let chain =
            "for=127.0.0.1;host=evil.example, for=203.0.113.5;host=hub.example, for=10.0.0.2";
        let (client, _, host) = settled_by("forwarded", PROXY, &[("forwarded", chain)]);
        assert_eq!(
            (client.as_str(), host.as_str()),
            ("203.0.113.5", "hub.example")
        );
    }

    #[test]
    fn what_the_client_wrote_and_the_proxy_let_pass_does_not_count() {
        let customary = [
            ("forwarded", "for=127.0.0.1;host=evil.example"),
            ("x-forwarded-for", "203.0.113.5"),
            ("x-forwarded-host", "hub.example"),
        ];
        let standard = [
            ("forwarded", "for=203.0.113.5;host=hub.example"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
        ];

        for (written, said) in [
            ("x-forwarded-for", &customary[..]),
            ("forwarded", &standard),
        ] {
            let (client, scheme, host) = settled_by(written, PROXY, said);

            assert_eq!(
                (client.as_str(), scheme, host.as_str()),
                ("203.0.113.5", None, "hub.example")
            );
        }
    }

    #[test]
    fn the_other_header_does_not_count_either_where_it_is_alone() {
        let (client, _, host) = settled(PROXY, &[("forwarded", "for=127.0.0.1;host=evil.example")]);
        assert_eq!((client.as_str(), host.as_str()), (PROXY, "inside:5000"));

        let (client, ..) = settled_by("forwarded", PROXY, &[("x-forwarded-for", "127.0.0.1")]);
        assert_eq!(client, PROXY);
    }

    #[test]
    fn addresses_come_with_and_without_port_and_brackets() {
        for (text, expected) in [
            ("192.0.2.7:4711", "192.0.2.7"),
            ("\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("\"[2001:db8::1]\"", "2001:db8::1"),
        ] {
            let said = format!("for={text}");

            let (client, ..) = settled_by("forwarded", PROXY, &[("forwarded", &said)]);

            assert_eq!(client, expected);
        }
        let (client, ..) = settled_by("forwarded", PROXY, &[("forwarded", "for=_hidden")]);
        assert_eq!(client, PROXY, "who is not named is the proxy");
    }

    #[test]
    fn the_authority_of_http_2_is_its_host() {
        let mut request = http::Request::new(()).into_parts().0;
        request.uri = "https://hub.example:8443/v2/".parse().unwrap();

        settle(
            &mut request,
            "192.0.2.7:1".parse().unwrap(),
            &TrustedProxies::default(),
        );

        assert_eq!(request.headers[HOST], "hub.example:8443");
    }
}
