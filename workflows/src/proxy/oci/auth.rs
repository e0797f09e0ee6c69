//! Who we are to a registry: a token for each scope, asked for once while it lasts, or the login itself.
//!
//! The login goes to the registry and to the token service that it names, and nowhere else; never in clear where the registry is
//! reached over TLS.

use std::collections::HashMap;
use std::sync::{Mutex as Held, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use storage::catalog::smart_proxies::Login;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::challenge::Challenge;
use super::registry::{ANSWERS_WITHIN, Busy, PAUSES, read, said};
use super::{Failure, Trouble};
use crate::outbound::{Outbound, OutboundUrl, innermost};

/// Of a token that does not say how long it lasts; the distribution protocol says so.
const LASTS: u64 = 60;
/// A token is not used in its last seconds.
const MARGIN: Duration = Duration::from_secs(20);
/// No token is longer.
const LONGEST_TOKEN: usize = 256 * 1024;

/// Who we are to a registry.
pub(super) struct Auth<'a> {
    login: &'a Login,
    /// What it has asked for; none: nothing yet.
    challenge: Held<Option<Challenge>>,
    tokens: Mutex<HashMap<String, Token>>,
}

struct Token {
    text: SecretString,
    until: Instant,
}

/// What a request shows.
#[derive(Clone)]
pub(super) enum Shown {
    Nothing,
    Login,
    Token(SecretString),
}

/// What a token service answers.
#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl<'a> Auth<'a> {
    pub(super) fn new(login: &'a Login) -> Self {
        Self {
            login,
            challenge: Held::default(),
            tokens: Mutex::default(),
        }
    }

    /// What a request for this scope shows. Until the registry has asked for something, that is nothing.
    pub(super) async fn shown(
        &self,
        outbound: &Outbound,
        registry: &OutboundUrl,
        scope: &str,
    ) -> Result<Shown, Failure> {
        let challenge = {
            let held = self.challenge.lock();
            held.unwrap_or_else(PoisonError::into_inner).clone()
        };
        match (challenge, self.login) {
            (None, _) => Ok(Shown::Nothing),
            (Some(Challenge::Basic), Login::User { .. }) => Ok(Shown::Login),
            (Some(Challenge::Basic), Login::Nobody | Login::Secret(_)) => {
                Err(Failure::All(Trouble::Refused(
                    "it asks for a login; give the smart proxy credentials of a user there who may push"
                        .to_owned(),
                )))
            }
            (Some(Challenge::Bearer { realm, service }), _) => {
                let mut tokens = self.tokens.lock().await;
                let now = Instant::now();
                if let Some(token) = tokens.get(scope).filter(|token| token.until > now) {
                    return Ok(Shown::Token(token.text.clone()));
                }
                let realm = safe_realm(registry, &realm)?;
                let token = self
                    .token(outbound, realm, service.as_deref(), scope)
                    .await?;
                let text = token.text.clone();
                tokens.retain(|_, token| token.until > now);
                tokens.insert(scope.to_owned(), token);
                Ok(Shown::Token(text))
            }
        }
    }

    /// Remembers what the registry asks for. The token that it was shown is not shown again.
    pub(super) async fn asked(&self, challenge: Challenge, scope: &str, shown: &Shown) {
        {
            let held = self.challenge.lock();
            *held.unwrap_or_else(PoisonError::into_inner) = Some(challenge);
        }
        if let Shown::Token(shown) = shown {
            let mut tokens = self.tokens.lock().await;
            let is_it = |token: &Token| token.text.expose_secret() == shown.expose_secret();
            if tokens.get(scope).is_some_and(is_it) {
                tokens.remove(scope);
            }
        }
    }

    /// The request with what it shows.
    pub(super) fn show(
        &self,
        request: RequestBuilder,
        shown: &Shown,
    ) -> Result<RequestBuilder, Failure> {
        Ok(match (shown, self.login) {
            (Shown::Token(token), _) => {
                let header = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
                let mut header = header.map_err(|_| {
                    let why = "the token that its token service gives cannot be sent in a header";
                    Failure::All(Trouble::Refused(why.to_owned()))
                })?;
                header.set_sensitive(true);
                request.header(reqwest::header::AUTHORIZATION, header)
            }
            (Shown::Login, Login::User { username, password }) => {
                request.basic_auth(username, Some(password))
            }
            (Shown::Nothing | Shown::Login, _) => request,
        })
    }

    /// Who is logged in as, in words.
    pub(super) fn who(&self) -> String {
        match self.login {
            Login::User { username, .. } => format!("user `{username}`"),
            Login::Nobody | Login::Secret(_) => "who does not log in".to_owned(),
        }
    }

    /// A request for a token.
    fn question(
        &self,
        outbound: &Outbound,
        realm: Url,
        service: Option<&str>,
        scope: &str,
    ) -> Result<RequestBuilder, Failure> {
        let mut asked = outbound
            .request_to(Method::GET, realm)
            .map_err(|why| Trouble::Refused(format!("its token service: {why}")))?
            .timeout(ANSWERS_WITHIN);
        if let Some(service) = service {
            asked = asked.query(&[("service", service)]);
        }
        let scopes: Vec<_> = scope.split(' ').map(|scope| ("scope", scope)).collect();
        asked = asked.query(&scopes);
        if let Login::User { username, password } = self.login {
            asked = asked.basic_auth(username, Some(password));
        }
        Ok(asked)
    }

    async fn token(
        &self,
        outbound: &Outbound,
        realm: Url,
        service: Option<&str>,
        scope: &str,
    ) -> Result<Token, Failure> {
        let host = realm.host_str().unwrap_or_default().to_owned();
        let mut pauses = PAUSES.iter();
        let (asked_at, answer) = loop {
            let asked_at = Instant::now();
            let asked = self.question(outbound, realm.clone(), service, scope)?;
            let answer = asked.send().await.map_err(|error| {
                let why = innermost(error);
                Trouble::Unreachable(format!(
                    "its token service at {host} does not answer: {why}"
                ))
            })?;
            match Busy::says(&answer, pauses.next()) {
                Busy::Pause(pause) => tokio::time::sleep(pause).await,
                Busy::No | Busy::TooLong => break (asked_at, answer),
            }
        };
        let status = answer.status();
        if !status.is_success() {
            let said = said(answer).await;
            let trouble = match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Trouble::Refused(format!(
                    "its token service refuses {} ({status}{said}); change the credentials of the smart proxy",
                    self.who()
                )),
                StatusCode::TOO_MANY_REQUESTS => {
                    Trouble::NotNow(format!("its token service answers {status}{said}"))
                }
                _ if status.is_server_error() => {
                    Trouble::NotNow(format!("its token service answers {status}{said}"))
                }
                _ => Trouble::Refused(format!("its token service answers {status}{said}")),
            };
            return Err(Failure::All(trouble));
        }
        let body = read(answer, LONGEST_TOKEN).await?;
        let told: Option<Answer> = serde_json::from_slice(&body).ok();
        let none = || {
            let why = format!("its token service at {host} answers without a token");
            Failure::All(Trouble::Refused(why))
        };
        let told = told.ok_or_else(none)?;
        let text = told.token.or(told.access_token).ok_or_else(none)?;
        let lasts = Duration::from_secs(told.expires_in.unwrap_or(LASTS));
        Ok(Token {
            text: text.into(),
            until: asked_at + lasts.saturating_sub(MARGIN.min(lasts / 2)),
        })
    }
}

/// The realm as a URL, if the login may be sent there: over TLS where the registry is reached over TLS.
fn safe_realm(registry: &OutboundUrl, realm: &str) -> Result<Url, Failure> {
    let refused = |why: String| Failure::All(Trouble::Refused(why));
    let url = registry.as_url().join(realm);
    let url = url.map_err(|_| refused("the URL of its token service cannot be read".to_owned()))?;
    let is_safe = match registry.as_url().scheme() {
        "https" => url.scheme() == "https",
        _ => matches!(url.scheme(), "http" | "https"),
    };
    let host = url.host_str().unwrap_or_default();
    if !is_safe || host.is_empty() {
        return Err(refused(format!(
            "its token service at `{host}` is not reached over TLS as the registry itself is, so that nothing is told to it"
        )));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused(format!(
            "the URL of its token service at `{host}` holds a login"
        )));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_goes_over_tls_where_the_registry_is_reached_over_tls() {
        let goes = |registry: &str, realm: &str| {
            let registry = OutboundUrl::parse(registry).unwrap();
            safe_realm(&registry, realm).map(String::from).ok()
        };
        for (registry, realm, to) in [
            (
                "https://hub.example",
                "https://auth.example/token",
                Some("https://auth.example/token"),
            ),
            ("https://hub.example", "http://hub.example/token", None),
            ("https://hub.example", "ftp://hub.example/token", None),
            (
                "http://hub.example:5000/mirror",
                "http://hub.example:5000/token",
                Some("http://hub.example:5000/token"),
            ),
            (
                "http://hub.example",
                "https://hub.example/token",
                Some("https://hub.example/token"),
            ),
            (
                "https://hub.example/mirror",
                "/token",
                Some("https://hub.example/token"),
            ),
            ("https://hub.example", "https://a:b@hub.example/token", None),
        ] {
            assert_eq!(goes(registry, realm).as_deref(), to, "{registry} {realm}");
        }
    }
}
