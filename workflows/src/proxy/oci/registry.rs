//! Requests to a registry: each shows who we are, and is sent again where the registry is busy just now.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;
use storage::catalog::smart_proxies::SmartProxy;

use super::auth::{Auth, Shown};
use super::challenge::Challenge;
use super::{Failure, Trouble};
use crate::outbound::{Outbound, OutboundUrl, innermost};

/// A registry answers what has no long body within seconds.
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// A manifest may set things going that the answer waits for.
pub(super) const TAKES_A_MANIFEST_WITHIN: Duration = Duration::from_mins(2);

/// Whoever is busy is asked again after so long, unless he says after how long himself.
pub(super) const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(9),
];
/// Nobody is waited for longer within a sync: another one comes by itself.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// No more of an answer is read that is an error.
const LONGEST_REFUSAL: usize = 8 * 1024;
/// No more of it is told.
const TOLD_CHARS: usize = 300;

/// A registry, and who we are to it.
pub(super) struct Registry<'a> {
    outbound: &'a Outbound,
    url: OutboundUrl,
    /// What stands before each name there: the path of the URL.
    prefix: String,
    auth: Auth<'a>,
}

/// A request that can be sent again.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    /// What it needs the right to; more than one, with a space between.
    pub(super) scope: &'a str,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: Bytes,
    pub(super) within: Duration,
}

impl<'a> Ask<'a> {
    pub(super) fn new(method: Method, url: Url, scope: &'a str) -> Self {
        Self {
            method,
            url,
            scope,
            headers: &[],
            body: Bytes::new(),
            within: ANSWERS_WITHIN,
        }
    }
}

/// Who answers.
enum Answer {
    /// The registry.
    Here(Response),
    /// Somebody else would: the registry sends us on to another host.
    Elsewhere,
}

/// What a registry says went wrong.
#[derive(Deserialize)]
struct Errors {
    errors: Vec<Said>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl<'a> Registry<'a> {
    pub(super) fn new(outbound: &'a Outbound, proxy: &'a SmartProxy) -> Result<Self, Trouble> {
        let url = OutboundUrl::parse(&proxy.url);
        let url = url.map_err(|why| Trouble::Refused(why.to_string()))?;
        let path = url.as_url().path().trim_matches('/');
        let prefix = match path {
            "" => String::new(),
            path => format!("{path}/"),
        };
        Ok(Self {
            outbound,
            prefix,
            url,
            auth: Auth::new(&proxy.login),
        })
    }

    /// The name there of what is published here by this one.
    pub(super) fn name(&self, published: &str) -> String {
        format!("{}{published}", self.prefix)
    }

    /// Where every registry answers.
    pub(super) fn root(&self) -> Url {
        self.at("/v2/")
    }

    /// What lies below a repository there: `blobs/…`, `manifests/…`.
    pub(super) fn below(&self, name: &str, rest: &str) -> Url {
        self.at(&format!("/v2/{name}/{rest}"))
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.url.as_url().clone();
        url.set_path(path);
        url
    }

    /// Who is logged in as, in words.
    pub(super) fn who(&self) -> String {
        self.auth.who()
    }

    /// Sends the request, again with a token where one is asked for, and again where the registry is busy. The answer may be a refusal,
    /// but none that a login is missing for.
    pub(super) async fn send(&self, ask: &Ask<'_>) -> Result<Response, Failure> {
        match self.ask(ask).await? {
            Answer::Here(answer) if !answer.status().is_redirection() => Ok(answer),
            Answer::Here(_) | Answer::Elsewhere => Err(Failure::One(format!(
                "the registry sends {} on to somewhere else, which is not followed",
                ask.method
            ))),
        }
    }

    /// Whether a blob is there. A registry that keeps its blobs elsewhere sends us on to where they are; nobody goes there.
    pub(super) async fn has(&self, ask: &Ask<'_>) -> Result<bool, Failure> {
        let answer = match self.ask(ask).await? {
            Answer::Here(answer) => answer,
            Answer::Elsewhere => return Ok(true),
        };
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() || status.is_redirection() => Ok(true),
            _ => Err(self.refused("HEAD of a blob", ask.scope, answer).await),
        }
    }

    async fn ask(&self, ask: &Ask<'_>) -> Result<Answer, Failure> {
        let mut pauses = PAUSES.iter();
        let mut asked_who = false;
        loop {
            let shown = self.shown(ask.scope).await?;
            let mut request = self
                .request(ask.method.clone(), ask.url.clone(), &shown)?
                .timeout(ask.within);
            for (name, value) in ask.headers {
                request = request.header(*name, *value);
            }
            if matches!(ask.method, Method::POST | Method::PUT | Method::PATCH) {
                request = request
                    .header(CONTENT_LENGTH, ask.body.len())
                    .body(ask.body.clone());
            }
            let answer = match request.send().await {
                Ok(answer) => answer,
                Err(error) if error.is_redirect() => return Ok(Answer::Elsewhere),
                Err(error) => return Err(unreachable(error)),
            };
            if answer.status() == StatusCode::UNAUTHORIZED {
                if asked_who {
                    return Err(self.refuses_us(answer, ask.scope).await);
                }
                asked_who = true;
                self.asked(&answer, ask.scope, &shown).await?;
                continue;
            }
            match Busy::says(&answer, pauses.next()) {
                Busy::Pause(pause) => tokio::time::sleep(pause).await,
                Busy::TooLong => return Err(busy(answer).await),
                Busy::No if is_down(answer.status()) => return Err(busy(answer).await),
                Busy::No => return Ok(Answer::Here(answer)),
            }
        }
    }

    /// What a request for this scope shows.
    pub(super) async fn shown(&self, scope: &str) -> Result<Shown, Failure> {
        self.auth.shown(self.outbound, &self.url, scope).await
    }

    /// A request that shows this, for a body that can be sent only once.
    pub(super) fn request(
        &self,
        method: Method,
        url: Url,
        shown: &Shown,
    ) -> Result<reqwest::RequestBuilder, Failure> {
        let request = self.outbound.request_to(method, url);
        let request = request.map_err(|why| Trouble::Refused(why.to_string()))?;
        self.auth.show(request, shown)
    }

    /// Remembers what it asks for with a 401.
    pub(super) async fn asked(
        &self,
        answer: &Response,
        scope: &str,
        shown: &Shown,
    ) -> Result<(), Failure> {
        let challenge = Challenge::of(answer.headers()).ok_or_else(|| {
            Failure::All(Trouble::Refused(
                "it answers 401 without saying how to log in; is that a registry?".to_owned(),
            ))
        })?;
        self.auth.asked(challenge, scope, shown).await;
        Ok(())
    }

    async fn refuses_us(&self, answer: Response, scope: &str) -> Failure {
        let status = answer.status();
        let said = said(answer).await;
        Failure::One(format!(
            "the registry refuses {} the right to {scope} ({status}{said}); give it there, or change the credentials of the smart proxy",
            self.who()
        ))
    }

    /// Where an upload goes on, as the answer says: on the same host, whatever scheme and port what stands before the registry has told
    /// it.
    pub(super) fn onward(&self, answer: &Response) -> Result<Url, Failure> {
        let told = answer.headers().get(LOCATION);
        let told = told.and_then(|told| told.to_str().ok());
        let told = told.and_then(|told| answer.url().join(told).ok());
        let told = told.ok_or_else(|| {
            Failure::One("the registry begins an upload without saying where".to_owned())
        })?;
        if told.host() != self.url.as_url().host() {
            return Err(Failure::All(Trouble::Refused(format!(
                "it sends uploads on to another host, `{}`, which is not followed; if that one is meant, save its URL",
                told.host_str().unwrap_or_default()
            ))));
        }
        let mut onward = self.at(told.path());
        onward.set_query(told.query());
        Ok(onward)
    }

    /// Why it does not do what it was asked to.
    pub(super) async fn refused(&self, what: &str, scope: &str, answer: Response) -> Failure {
        let status = answer.status();
        if status == StatusCode::FORBIDDEN {
            return self.refuses_us(answer, scope).await;
        }
        let said = said(answer).await;
        Failure::One(format!("the registry answers {status} to {what}{said}"))
    }
}

/// True if nothing else that is asked now will be answered.
pub(super) fn is_down(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}

/// Whether the registry is busy just now.
pub(super) enum Busy {
    /// It is not.
    No,
    /// It may be asked again after so long.
    Pause(Duration),
    /// It was asked often enough, or asks us to come much later.
    TooLong,
}

impl Busy {
    /// What the answer says; `next` is how long to wait if it does not say so, and none: not any more.
    pub(super) fn says(answer: &Response, next: Option<&Duration>) -> Self {
        let is_busy = matches!(
            answer.status(),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        if !is_busy {
            return Self::No;
        }
        let asked = answer.headers().get(RETRY_AFTER);
        let asked = asked.and_then(|it| it.to_str().ok()?.trim().parse().ok());
        let pause = next.map(|next| asked.map_or(*next, Duration::from_secs));
        let pause = pause.filter(|pause| *pause <= LONGEST_PAUSE);
        pause.map_or(Self::TooLong, Self::Pause)
    }
}

/// It answers that it cannot now.
pub(super) async fn busy(answer: Response) -> Failure {
    let status = answer.status();
    let said = said(answer).await;
    Failure::All(Trouble::NotNow(format!("it answers {status}{said}")))
}

/// Nobody answers there.
pub(super) fn unreachable(error: reqwest::Error) -> Failure {
    let why = if error.is_timeout() {
        "it did not answer in time".to_owned()
    } else {
        innermost(error)
    };
    Failure::All(Trouble::Unreachable(why))
}

/// The body, up to so many bytes.
pub(super) async fn read(answer: Response, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    let mut pieces = answer.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(unreachable)?;
        body.extend_from_slice(&piece);
        if body.len() > limit {
            body.truncate(limit);
            break;
        }
    }
    Ok(body)
}

/// What an answer says that is an error, to stand behind its status: `: denied: …`; nothing: it says nothing.
pub(super) async fn said(answer: Response) -> String {
    let Ok(body) = read(answer, LONGEST_REFUSAL).await else {
        return String::new();
    };
    let text = match serde_json::from_slice::<Errors>(&body) {
        Ok(Errors { errors }) => errors.first().map_or_else(String::new, |said| {
            match (said.code.as_str(), said.message.as_str()) {
                (code, "") => code.to_owned(),
                ("", message) => message.to_owned(),
                (code, message) => format!("{code}: {message}"),
            }
        }),
        Err(_) => String::from_utf8_lossy(&body).into_owned(),
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().take(TOLD_CHARS).collect();
    match line.as_str() {
        "" => line,
        page if page.starts_with('<') => String::new(), // for a browser
        _ => format!(", {line}"),
    }
}

/// The header that names the digest of a manifest, in an answer.
pub(super) fn digest(answer: &Response) -> Option<&str> {
    let told = answer.headers().get("docker-content-digest");
    told.and_then(|told| told.to_str().ok())
}

/// The header of a body that is a manifest.
pub(super) fn of_type(media_type: &str) -> (&str, &str) {
    (CONTENT_TYPE.as_str(), media_type)
}
