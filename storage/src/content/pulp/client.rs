//! Requests to Pulp: logged in once, sent again after a new login where the old one has ended.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::PulpError;

/// A server that does not even accept within this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Pulp answers within a second, and within several under load; all that takes longer is a task there.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection on which nothing is acknowledged for so long is dead.
const STALLED_AT_MOST: Duration = Duration::from_mins(5);

/// Where Pulp gives tokens for its registry.
const TOKENS: &str = "/token/";

/// How we show who we are.
#[derive(Clone, Debug)]
pub enum Login {
    /// A user of Pulp. The password is sent once for a session: each check of it costs Pulp a third of a second.
    Password {
        /// The user.
        username: String,
        /// His password.
        password: SecretString,
    },
    /// A certificate, which the web server before Pulp checks.
    Certificate {
        /// PEM of the certificate, what links it to its authority, and its private key.
        pem: SecretString,
    },
}

pub(super) struct Client {
    http: reqwest::Client,
    /// `http://host:port`.
    pub(super) origin: String,
    /// `host:port`, as the `Host` header has it.
    pub(super) authority: String,
    /// Where REST begins.
    api: String,
    login: Login,
    session: Mutex<Option<Arc<Session>>>,
}

/// What a login came to.
struct Session {
    cookies: HeaderValue,
    csrf: Option<HeaderValue>,
}

/// An answer of REST.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

/// A request of REST, which may be sent again.
#[derive(Clone)]
pub(super) struct Ask<'a> {
    /// "create repository `wharfinger/7`".
    pub(super) doing: &'a str,
    pub(super) method: Method,
    /// An href that Pulp gave, or what follows the root of its API.
    pub(super) path: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Option<&'a Value>,
    /// By this name the task it makes is found again.
    pub(super) correlation: Option<Uuid>,
}

impl<'a> Ask<'a> {
    pub(super) fn get(doing: &'a str, path: &'a str, query: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            doing,
            method: Method::GET,
            path,
            query,
            body: None,
            correlation: None,
        }
    }

    pub(super) fn send(doing: &'a str, method: Method, path: &'a str, body: &'a Value) -> Self {
        Self {
            doing,
            method,
            path,
            query: &[],
            body: Some(body),
            correlation: None,
        }
    }
}

impl Reply {
    /// The body, of an answer that is one of those that were expected.
    pub(super) fn expect(self, doing: &str, expected: &[StatusCode]) -> Result<Value, PulpError> {
        if !expected.contains(&self.status) {
            return Err(PulpError::of_answer(doing, self.status, &self.body));
        }
        serde_json::from_slice(&self.body).map_err(|error| PulpError::Unreadable {
            doing: doing.to_owned(),
            why: error.to_string(),
        })
    }
}

impl Client {
    pub(super) fn new(
        url: &Url,
        domain: Option<&str>,
        login: Login,
        authorities: &[reqwest::Certificate],
    ) -> Result<Self, reqwest::Error> {
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // Pulp takes one blob after the other: whose turn has not come is not read from for minutes.
            .tcp_user_timeout(STALLED_AT_MOST)
            // Pulp's web server closes after each answer; one that is kept would be found closed.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("wharfinger/", env!("CARGO_PKG_VERSION")));
        for authority in authorities {
            http = http.add_root_certificate(authority.clone());
        }
        if let Login::Certificate { pem } = &login {
            http = http.identity(reqwest::Identity::from_pem(pem.expose_secret().as_bytes())?);
        }
        Ok(Self::over(http.build()?, url, domain, login))
    }

    /// One that calls in this way.
    pub(super) fn over(
        http: reqwest::Client,
        url: &Url,
        domain: Option<&str>,
        login: Login,
    ) -> Self {
        let origin = url.origin().ascii_serialization();
        let authority = origin.split("://").nth(1).unwrap_or_default().to_owned();
        let below = domain.map_or_else(String::new, |domain| format!("{domain}/"));
        Self {
            http,
            api: format!("/pulp/{below}api/v3/"),
            origin,
            authority,
            login,
            session: Mutex::new(None),
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        if path.starts_with('/') {
            format!("{}{path}", self.origin)
        } else {
            format!("{}{}{path}", self.origin, self.api)
        }
    }

    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(super) fn unreachable(&self, doing: &str, error: reqwest::Error) -> PulpError {
        PulpError::Unreachable {
            origin: self.origin.clone(),
            doing: doing.to_owned(),
            why: innermost(&error.without_url()),
        }
    }

    /// Sends a request of REST; once more after a new login where the session has ended.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<Reply, PulpError> {
        let api = if ask.path == TOKENS {
            "registry"
        } else {
            "rest"
        };
        metrics::counter!("wharfinger_pulp_requests_total", "api" => api).increment(1);
        let mut session = self.session(None).await?;
        let mut again = true;
        loop {
            let answer = self.once(&ask, &session).await?;
            let status = answer.status();
            let is_refused = status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN;
            if is_refused && again {
                again = false;
                session = self.session(Some(&session)).await?;
                continue;
            }
            let body = answer.bytes().await;
            let body = body.map_err(|error| self.unreachable(ask.doing, error))?;
            return Ok(Reply {
                status,
                body: body.to_vec(),
            });
        }
    }

    async fn once(&self, ask: &Ask<'_>, session: &Session) -> Result<Response, PulpError> {
        let mut request = self
            .http
            .request(ask.method.clone(), self.url(ask.path))
            .timeout(ANSWER_TIMEOUT);
        if !ask.query.is_empty() {
            request = request.query(ask.query);
        }
        if let Some(body) = ask.body {
            request = request.json(body);
        }
        if let Some(correlation) = ask.correlation {
            request = request.header("Correlation-ID", correlation.simple().to_string());
        }
        let sent = self.as_session(request, session).send().await;
        sent.map_err(|error| self.unreachable(ask.doing, error))
    }

    fn as_session(&self, request: RequestBuilder, session: &Session) -> RequestBuilder {
        let mut request = request;
        if !session.cookies.is_empty() {
            request = request.header(COOKIE, session.cookies.clone());
        }
        if let Some(csrf) = &session.csrf {
            request = request
                .header("X-CSRFToken", csrf.clone())
                .header("Referer", format!("{}/", self.origin));
        }
        request
    }

    /// A session; not the one that was refused, unless somebody else has replaced that meanwhile.
    async fn session(&self, refused: Option<&Arc<Session>>) -> Result<Arc<Session>, PulpError> {
        let mut held = self.session.lock().await;
        if let Some(session) = held.as_ref()
            && refused.is_none_or(|refused| !Arc::ptr_eq(refused, session))
        {
            return Ok(Arc::clone(session));
        }
        *held = None;
        let session = Arc::new(self.log_in().await?);
        *held = Some(Arc::clone(&session));
        Ok(session)
    }

    /// The next request logs in again.
    pub(super) async fn forget_session(&self) {
        *self.session.lock().await = None;
    }

    async fn log_in(&self) -> Result<Session, PulpError> {
        let Login::Password { username, password } = &self.login else {
            return Ok(Session {
                cookies: HeaderValue::from_static(""),
                csrf: None,
            });
        };
        let doing = "log in";
        let request = self
            .http
            .post(self.url("login/"))
            .timeout(ANSWER_TIMEOUT)
            .header(CONTENT_TYPE, "application/json")
            .basic_auth(username, Some(password.expose_secret()));
        let answer = request.send().await;
        let answer = answer.map_err(|error| self.unreachable(doing, error))?;
        let status = answer.status();
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
            return Err(PulpError::Login {
                origin: self.origin.clone(),
                status,
            });
        }
        if !status.is_success() {
            let body = answer.bytes().await.unwrap_or_default();
            return Err(PulpError::of_answer(doing, status, &body));
        }
        session_of(answer.headers()).ok_or_else(|| PulpError::Unreadable {
            doing: doing.to_owned(),
            why: "it sets no cookie `sessionid`".to_owned(),
        })
    }

    /// A token of the registry for these scopes, and how many seconds it lives.
    pub(super) async fn registry_token(
        &self,
        scopes: &[String],
    ) -> Result<(SecretString, u64), PulpError> {
        let doing = "get a token for its registry";
        let mut query = vec![("service", self.authority.as_str())];
        query.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
        let reply = self.ask(Ask::get(doing, TOKENS, &query)).await?;
        let told = reply.expect(doing, &[StatusCode::OK])?;
        let token = told["token"]
            .as_str()
            .ok_or_else(|| PulpError::Unreadable {
                doing: doing.to_owned(),
                why: "it has no `token`".to_owned(),
            })?;
        let lives = told["expires_in"].as_u64().unwrap_or(60);
        Ok((SecretString::from(token), lives))
    }
}

/// What is at the bottom of an error: "Connection refused", "certificate has expired". Without the URL, whose query may hold a
/// signature.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}

/// The cookies that a login sets.
fn session_of(headers: &HeaderMap) -> Option<Session> {
    let mut found: [Option<&str>; 2] = [None, None];
    for set in headers.get_all(SET_COOKIE) {
        let pair = set.to_str().ok()?.split(';').next()?;
        let (name, value) = pair.split_once('=')?;
        match name.trim() {
            "sessionid" => found[0] = Some(value),
            "csrftoken" => found[1] = Some(value),
            _ => {}
        }
    }
    let (session, csrf) = (found[0]?, found[1].unwrap_or_default());
    let mut cookies =
        HeaderValue::from_str(&format!("sessionid={session}; csrftoken={csrf}")).ok()?;
    cookies.set_sensitive(true);
    let mut csrf = HeaderValue::from_str(csrf).ok()?;
    csrf.set_sensitive(true);
    Some(Session {
        cookies,
        csrf: Some(csrf),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_what_the_login_sets() {
        let mut headers = HeaderMap::new();
        for set in [
            "csrftoken=abc; expires=Mon; Path=/; SameSite=Lax",
            "sessionid=xyz; HttpOnly; Path=/",
        ] {
            headers.append(SET_COOKIE, HeaderValue::from_static(set));
        }

        let session = session_of(&headers).unwrap();

        assert_eq!(session.cookies, "sessionid=xyz; csrftoken=abc");
        assert_eq!(session.csrf.unwrap(), "abc");
        assert!(session_of(&HeaderMap::new()).is_none());
    }
}
