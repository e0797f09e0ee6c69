//! Speaks REST to a server: one client, with time-outs.

use std::fmt::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::answer::Answer;
use super::login::kept::Kept;
use super::view::View;
use super::{exit, printable};
use crate::config::Environment;

/// A server that does not even accept within this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than the longest wait that is asked for, see `task watch`.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

const DEFAULT_SERVER: &str = "http://127.0.0.1:5000";

/// Which server, as whom, and what the answer is to look like.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = HEADING)]
pub(crate) struct Connection {
    #[arg(long, global = true, value_name = "URL", help = SERVER)]
    pub(super) server: Option<String>,
    #[arg(
        long,
        global = true,
        value_name = "LOGIN",
        help = "Log in as this user [WHARFINGER_USER]"
    )]
    pub(super) user: Option<String>,
    #[arg(long, global = true, help = "With this password [WHARFINGER_PASSWORD]")]
    pub(super) password: Option<String>,
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        conflicts_with_all = ["user", "password"],
        help = "Show this token in place of a login [WHARFINGER_TOKEN]"
    )]
    pub(super) token: Option<String>,
    /// A table for people, or the JSON of the REST API
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

/// Over the flags that every command has which asks a server.
pub(super) const HEADING: &str = "Server and answer";

const SERVER: &str = "The server's URL [WHARFINGER_SERVER, else that of `wharfinger login`, else http://127.0.0.1:5000]";

impl Connection {
    /// Runs a verb against the server, and ends as the answer says.
    pub(super) async fn run(
        self,
        environment: &Environment,
        verb: impl AsyncFnOnce(&Client, View) -> Result<ExitCode, ClientError>,
    ) -> ExitCode {
        let done = match Client::new(&self, environment) {
            Ok(client) => verb(&client, View::of(self.output)).await,
            Err(error) => Err(error),
        };
        done.unwrap_or_else(|error| exit::of(&error))
    }

    /// The server that a flag or a variable names, else that of the last login, else our own machine.
    pub(super) fn server_or_default(&self, environment: &Environment, kept: &Kept) -> String {
        let server = said(self.server.as_ref(), environment, "SERVER");
        let server = server.as_deref().or(kept.server());
        url(server.unwrap_or(DEFAULT_SERVER))
    }
}

/// What a flag or, failing that, a variable says.
pub(super) fn said(
    flag: Option<&String>,
    environment: &Environment,
    variable: &str,
) -> Option<String> {
    flag.cloned()
        .or_else(|| environment.get(variable).map(str::to_owned))
}

fn url(server: &str) -> String {
    let server = server.trim_end_matches('/');
    if server.contains("://") {
        server.to_owned()
    } else {
        format!("http://{server}")
    }
}

/// A text as one part of a path.
pub(super) fn segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// The body of the REST answer, as it came.
    Json,
}

/// A server and who we are to it.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    server: String,
    who: Who,
}

enum Who {
    Anonymous,
    Login { user: String, password: String },
    Token(String),
}

impl fmt::Debug for Who {
    /// Never shows a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::Login { user, .. } => write!(f, "user {user}"),
            Self::Token(_) => f.write_str("a token"),
        }
    }
}

/// Why a server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The command line does not say enough, or contradicts itself.
    #[error("{0}")]
    Usage(String),
    /// No answer.
    #[error(
        "{server} does not answer: {cause}; is `wharfinger serve` running there? (--server, WHARFINGER_SERVER)"
    )]
    Silent { server: String, cause: String },
    /// It answered at first, and then not for as long as was waited.
    #[error(
        "{0}\n  nobody watches any more, but the task goes on with the server; `wharfinger task watch` follows it again"
    )]
    Lost(Box<ClientError>),
    /// An answer that this API never gives.
    #[error(
        "{url} answered {status} with something that is not a Wharfinger's answer; is --server right?"
    )]
    NotOurs { url: String, status: u16 },
    /// It said no, and why.
    #[error("{0}")]
    Refused(Refusal),
}

impl ClientError {
    /// True if the same question may be answered after a while: the server, or the proxy in front of it, is not ready.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Silent { .. } => true,
            Self::NotOurs { status, .. } | Self::Refused(Refusal { status, .. }) => {
                [429, 502, 503, 504].contains(status)
            }
            Self::Usage(_) | Self::Lost(_) => false,
        }
    }

    /// As if the server had answered 404 for it.
    pub(crate) fn no_such_repository(name: &str) -> Self {
        let detail = format!(
            "no repository is pushed as {name}, or none that you may see; `wharfinger repository list` shows all"
        );
        Self::Refused(Refusal {
            status: StatusCode::NOT_FOUND.as_u16(),
            detail,
            ..Refusal::default()
        })
    }
}

/// The problem a server answered with (RFC 9457).
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) title: String,
    pub(crate) detail: String,
    #[serde(default)]
    pub(crate) errors: Vec<WrongField>,
    /// The latest time that a field may have which was too late, or missing.
    #[serde(default)]
    pub(crate) latest: Option<String>,
}

/// A field of a body and what is wrong with it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WrongField {
    field: String,
    message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = if self.detail.is_empty() {
            &self.title
        } else {
            &self.detail
        };
        f.write_str(&printable::line(said))?;
        for wrong in &self.errors {
            let wrong = format!("{}: {}", wrong.field, wrong.message);
            write!(f, "\n  {}", printable::line(&wrong))?;
        }
        if self.status == StatusCode::UNAUTHORIZED {
            write!(
                f,
                "\n  log in with `wharfinger login`, with --user and --password, or with WHARFINGER_USER and WHARFINGER_PASSWORD"
            )?;
        }
        Ok(())
    }
}

/// The one client of this program, for every command that speaks HTTP.
pub(crate) fn http() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(ANSWER_TIMEOUT)
        .user_agent(concat!("wharfinger/", env!("CARGO_PKG_VERSION")))
        .build()
}

impl Client {
    /// The server and user that flags or, failing those, variables name.
    pub(crate) fn new(
        connection: &Connection,
        environment: &Environment,
    ) -> Result<Self, ClientError> {
        let kept = Kept::read(environment)?;
        let server = connection.server_or_default(environment, &kept);
        let user = said(connection.user.as_ref(), environment, "USER");
        let password = said(connection.password.as_ref(), environment, "PASSWORD");
        // A user named on the command line wins over a token that happens to be in the environment.
        let token = if connection.user.is_some() {
            None
        } else {
            said(connection.token.as_ref(), environment, "TOKEN")
        };
        let known = kept
            .login(&server)
            .filter(|login| user.as_ref().is_none_or(|user| *user == login.user));
        let who = match (token, user, password, known) {
            (Some(token), ..) => Who::Token(token),
            (None, Some(user), Some(password), _) => Who::Login { user, password },
            (None, _, None, Some(login)) => Who::Token(login.token.clone()),
            (None, None, None, None) => Who::Anonymous,
            (None, Some(user), None, None) => {
                let text = format!(
                    "--user {user} without a password; give --password or WHARFINGER_PASSWORD, or use `wharfinger login`"
                );
                return Err(ClientError::Usage(text));
            }
            (None, None, Some(_), _) => {
                let text = "a password without a user; give --user or WHARFINGER_USER".to_owned();
                return Err(ClientError::Usage(text));
            }
        };
        Self::of(server, who)
    }

    /// The server, as whoever this token stands for.
    pub(super) fn of_token(server: &str, token: &str) -> Result<Self, ClientError> {
        Self::of(server.to_owned(), Who::Token(token.to_owned()))
    }

    /// A server, as one of its users.
    pub(crate) fn of_user(server: &str, user: &str, password: &str) -> Result<Self, ClientError> {
        let who = Who::Login {
            user: user.to_owned(),
            password: password.to_owned(),
        };
        Self::of(server.to_owned(), who)
    }

    fn of(server: String, who: Who) -> Result<Self, ClientError> {
        let http = http()
            .map_err(|error| ClientError::Usage(format!("no HTTP client can be made: {error}")))?;
        Ok(Self { http, server, who })
    }

    /// The answer to `GET /api/v1<path>`.
    pub(crate) async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Answer, ClientError> {
        self.send(self.request(Method::GET, path).query(query))
            .await
    }

    /// The text that is answered to `GET /api/v1<path>`, where it is no JSON.
    pub(crate) async fn text(&self, path: &str) -> Result<String, ClientError> {
        let (_, bytes) = self.answer(self.request(Method::GET, path)).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Hands the answer to `GET /api/v1<path>` on as it comes, as long as `write` wants more of it.
    pub(crate) async fn stream(
        &self,
        path: &str,
        query: &[(&str, &str)],
        mut write: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), ClientError> {
        let request = self.request(Method::GET, path).query(query);
        let silent = |error: reqwest::Error| self.silent(&error);
        let mut answer = request.send().await.map_err(silent)?;
        if !answer.status().is_success() {
            return self.read(answer).await.map(drop);
        }
        while let Some(bytes) = answer.chunk().await.map_err(silent)? {
            if !write(&bytes) {
                break;
            }
        }
        Ok(())
    }

    /// The answer to `POST /api/v1<path>`.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Answer, ClientError> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// The answer to `PATCH /api/v1<path>`.
    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Result<Answer, ClientError> {
        self.send(self.request(Method::PATCH, path).json(body))
            .await
    }

    /// Sends `DELETE /api/v1<path>`, which is answered without a body.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.answer(self.request(Method::DELETE, path))
            .await
            .map(drop)
    }

    /// `DELETE` of what takes a task.
    pub(crate) async fn begin_delete(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<Answer, ClientError> {
        self.send(self.request(Method::DELETE, path).json(body))
            .await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}/api/v1{path}", self.server));
        match &self.who {
            Who::Anonymous => request,
            Who::Login { user, password } => request.basic_auth(user, Some(password)),
            Who::Token(token) => request.bearer_auth(token),
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, ClientError> {
        let (seen, bytes) = self.answer(request).await?;
        Answer::read(&bytes).ok_or_else(|| seen.not_ours())
    }

    /// The body of a good answer, whatever it is.
    async fn answer(&self, request: RequestBuilder) -> Result<(Seen, Bytes), ClientError> {
        let answer = request.send().await;
        self.read(answer.map_err(|error| self.silent(&error))?)
            .await
    }

    fn silent(&self, error: &reqwest::Error) -> ClientError {
        ClientError::Silent {
            server: self.server.clone(),
            cause: innermost(error),
        }
    }

    /// All of an answer that has begun.
    async fn read(&self, answer: reqwest::Response) -> Result<(Seen, Bytes), ClientError> {
        let status = answer.status();
        let seen = Seen {
            url: answer.url().to_string(),
            status: status.as_u16(),
        };
        let bytes = answer.bytes().await.map_err(|error| self.silent(&error))?;
        if status.is_success() {
            return Ok((seen, bytes));
        }
        Err(serde_json::from_slice(&bytes).map_or_else(|_| seen.not_ours(), ClientError::Refused))
    }
}

/// Which answer something came with.
struct Seen {
    url: String,
    status: u16,
}

impl Seen {
    fn not_ours(self) -> ClientError {
        ClientError::NotOurs {
            url: self.url,
            status: self.status,
        }
    }
}

/// The cause at the bottom, which is the one that says something: "Connection refused".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(server: Option<&str>, user: Option<&str>, password: Option<&str>) -> Connection {
        Connection {
            server: server.map(str::to_owned),
            user: user.map(str::to_owned),
            password: password.map(str::to_owned),
            token: None,
            output: Output::Table,
        }
    }

    #[test]
    fn flags_win_over_variables() {
        let environment = Environment::of(&[
            ("WHARFINGER_SERVER", "https://other.example/"),
            ("WHARFINGER_USER", "other"),
            ("WHARFINGER_PASSWORD", "secret"),
            ("WHARFINGER_TOKEN", "token"),
        ]);

        let from_flags = Client::new(
            &connection(Some("hub.example:5000"), Some("ana"), None),
            &environment,
        )
        .unwrap();
        let from_variables = Client::new(&connection(None, None, None), &environment).unwrap();

        assert_eq!(from_flags.server, "http://hub.example:5000");
        assert_eq!(format!("{:?}", from_flags.who), "user ana");
        assert_eq!(from_variables.server, "https://other.example");
        assert_eq!(format!("{:?}", from_variables.who), "a token");
    }

    #[test]
    fn a_text_is_one_part_of_a_path() {
        assert_eq!(segment("acme-1.0_x~"), "acme-1.0_x~");
        assert_eq!(segment("a/b?c#d%"), "a%2Fb%3Fc%23d%25");
        assert_eq!(segment("ä"), "%C3%A4");
    }

    #[test]
    fn half_a_login_is_a_usage_error() {
        for (user, password) in [(Some("ana"), None), (None, Some("secret"))] {
            let refused = Client::new(&connection(None, user, password), &Environment::default());

            assert!(matches!(refused, Err(ClientError::Usage(_))), "{user:?}");
        }
    }

    #[test]
    fn a_refusal_lists_the_wrong_fields() {
        let refusal: Refusal = serde_json::from_value(serde_json::json!({
            "type": "about:blank", "title": "Invalid", "status": 422, "detail": "the body has errors",
            "errors": [{"field": "label", "message": "is missing"}]
        }))
        .unwrap();

        assert_eq!(
            refusal.to_string(),
            "the body has errors\n  label: is missing"
        );
    }
}
