//! Calls to where an administrator sent us: smart proxies, webhooks.
//!
//! Whoever may save a URL chooses what this server connects to, from inside its network. So a URL is looked at when it is saved,
//! and every address again at each connect: what a name leads to may have changed meanwhile.

mod names;
mod reach;
mod redirects;
mod url;

use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Url};

pub use reach::{Reach, TargetRefused};
pub use url::{OutboundUrl, UrlRefused};

/// A server that does not even accept within this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection on which nothing is acknowledged for so long is dead; a blob that is on its way has no other limit.
const STALLED_AT_MOST: Duration = Duration::from_mins(5);

/// Calls to where an administrator sent us. Cheap to clone: all clones share their connections.
#[derive(Clone, Debug)]
pub struct Outbound {
    http: reqwest::Client,
    targets: Targets,
}

/// Which addresses may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Targets {
    /// Only those that everybody reaches.
    Public,
    /// Those of this network and of this machine, too.
    PublicAndPrivate,
}

impl Targets {
    /// Refuses an address that is not to be called; `host` is what led to it.
    pub fn judge(self, host: &str, address: IpAddr) -> Result<(), TargetRefused> {
        let refused = |kind, for_ever| TargetRefused {
            host: host.to_owned(),
            address,
            kind,
            for_ever,
        };
        match (Reach::of(address), self) {
            (Reach::Public, _) | (Reach::Private(_), Self::PublicAndPrivate) => Ok(()),
            (Reach::Private(kind), Self::Public) => Err(refused(kind, false)),
            (Reach::Never(kind), _) => Err(refused(kind, true)),
        }
    }
}

impl Outbound {
    /// One that calls these.
    ///
    /// It follows a redirect only within the host it was sent to, and only one that keeps the method (307, 308): after the others
    /// a POST would arrive as a GET. No proxy of the environment stands between, which would look names up by itself.
    pub fn new(targets: Targets) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(STALLED_AT_MOST)
            .redirect(redirects::policy())
            .dns_resolver(names::Filtered(targets))
            .no_proxy()
            .user_agent(concat!("wharfinger/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { http, targets })
    }

    /// Refuses a URL whose host is an address that is not to be called. What a name leads to is judged at each connect.
    pub fn judge(&self, url: &OutboundUrl) -> Result<(), TargetRefused> {
        self.judge_address_in(url.as_url())
    }

    /// What calls that URL's host and no other, for protocols that have a client of their own: its address is judged now, and what a
    /// name leads to at each connect.
    pub fn client_of(&self, url: &OutboundUrl) -> Result<reqwest::Client, TargetRefused> {
        self.judge(url)?;
        Ok(self.http.clone())
    }

    /// A request to what lies below the URL: `path` follows it as it is, empty is the URL itself. Without a time limit of its own.
    pub fn request(
        &self,
        method: Method,
        url: &OutboundUrl,
        path: &str,
    ) -> Result<RequestBuilder, TargetRefused> {
        self.request_to(method, url.below(path))
    }

    /// A request to where a server that we called sent us on, as an upload's `Location` does.
    pub fn request_to(&self, method: Method, url: Url) -> Result<RequestBuilder, TargetRefused> {
        self.judge_address_in(&url)?;
        Ok(self.http.request(method, url))
    }

    /// An address that stands in a URL is asked of no resolver.
    fn judge_address_in(&self, url: &Url) -> Result<(), TargetRefused> {
        let host = url.host_str().unwrap_or_default();
        match host.trim_matches(['[', ']']).parse() {
            Ok(address) => self.targets.judge(host, address),
            Err(_) => Ok(()),
        }
    }
}

/// Why a call came to nothing: "Connection refused", "certificate has expired". Without the URL, which may hold a secret.
#[must_use]
pub fn innermost(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
