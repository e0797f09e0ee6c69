//! Pulp's own registry: blobs in and out, manifests in. Of its roads for uploads the one that checks digests is taken, one session
//! for each blob.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, RANGE};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, sleep, timeout};

use super::PulpError;
use super::client::Client;
use crate::Digest;
use crate::content::objects::Chunks;

/// Pulp answers a request without a long body within seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Pulp takes in a blob with four checksums, on a slow disk at some megabytes a second.
const SLOWEST_BYTES_PER_SECOND: u64 = 2 * 1024 * 1024;
/// Nothing comes for so long only where nobody sends any more.
const STANDS_STILL: Duration = Duration::from_mins(1);
/// A token is not used in its last seconds.
const TOKEN_MARGIN: Duration = Duration::from_secs(30);
/// While another task of Pulp holds the repository it answers 429 to a manifest, and still files it later. It is sent again for
/// so long.
const BUSY_AT_MOST: Duration = Duration::from_secs(40);

/// What may be done with one name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    Pull(String),
    /// Push and pull, and pull from another, to mount from there.
    Push(String, Option<String>),
}

impl Scope {
    fn texts(&self, prefix: &str) -> Vec<String> {
        let of = |name: &str, actions: &str| format!("repository:{prefix}{name}:{actions}");
        match self {
            Self::Pull(name) => vec![of(name, "pull")],
            Self::Push(name, None) => vec![of(name, "pull,push")],
            Self::Push(name, Some(other)) => vec![of(name, "pull,push"), of(other, "pull")],
        }
    }
}

struct Token {
    text: SecretString,
    until: Instant,
}

/// Pulp's registry, with the tokens it has given us.
pub(super) struct Registry {
    /// Of the domain, with a slash; or nothing.
    prefix: String,
    /// Where the content app is reached from here; none: where Pulp says.
    content_url: Option<Url>,
    tokens: Mutex<HashMap<Scope, Token>>,
}

/// A blob on its way out of Pulp.
pub(super) struct Reading(Response);

impl Reading {
    /// How many bytes come.
    pub(super) fn length(&self) -> Option<u64> {
        self.0.content_length()
    }

    /// What comes; a body that stands still has broken off.
    pub(super) fn stream(self) -> impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static {
        stream::try_unfold(self.0, |mut answer| async move {
            let next = timeout(STANDS_STILL, answer.chunk()).await;
            let next = next.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
            let next = next.map_err(|error| io::Error::other(error.without_url()))?;
            Ok(next.map(|piece| (piece, answer)))
        })
    }
}

impl Registry {
    pub(super) fn new(domain: Option<&str>, content_url: Option<Url>) -> Self {
        Self {
            prefix: domain.map_or_else(String::new, |domain| format!("{domain}/")),
            content_url,
            tokens: Mutex::default(),
        }
    }

    fn path(&self, name: &str, rest: &str) -> String {
        format!("/v2/{}{name}/{rest}", self.prefix)
    }

    /// Uploads a blob whose bytes are known to be those of its digest.
    pub(super) async fn upload(
        &self,
        client: &Client,
        name: &str,
        digest: &Digest,
        size_bytes: u64,
        bytes: Chunks,
    ) -> Result<(), PulpError> {
        let scope = Scope::Push(name.to_owned(), None);
        let doing = format!("take blob {digest} into `{name}`");
        let begun = self.begin(client, &scope, &doing, name).await?;
        let session = location(&begun, &doing)?;
        if begun.status() != StatusCode::ACCEPTED {
            return Err(broken(&doing, begun).await);
        }
        if size_bytes > 0 {
            let token = self.token(client, &scope).await?;
            let limit = ANSWER_TIMEOUT + Duration::from_secs(size_bytes / SLOWEST_BYTES_PER_SECOND);
            let sent = client
                .http()
                .patch(client.url(&session))
                .header(AUTHORIZATION, bearer(&token)?)
                .header(CONTENT_LENGTH, size_bytes)
                .header(CONTENT_TYPE, "application/octet-stream")
                .body(Body::wrap_stream(bytes))
                .timeout(limit);
            let sent = counted(sent).send().await;
            let sent = sent.map_err(|error| client.unreachable(&doing, error))?;
            if sent.status() != StatusCode::ACCEPTED {
                return Err(broken(&doing, sent).await);
            }
        }
        let digest_text = digest.to_string();
        let end = || {
            client
                .http()
                .put(client.url(&session))
                .query(&[("digest", digest_text.as_str())])
                .header(CONTENT_LENGTH, 0)
        };
        let ended = self
            .send(client, &scope, &doing, ANSWER_TIMEOUT, end)
            .await?;
        if ended.status() == StatusCode::CREATED {
            Ok(())
        } else {
            Err(broken(&doing, ended).await)
        }
    }

    /// Asks for an upload session.
    async fn begin(
        &self,
        client: &Client,
        scope: &Scope,
        doing: &str,
        name: &str,
    ) -> Result<Response, PulpError> {
        let ask = || {
            client
                .http()
                .post(client.url(&self.path(name, "blobs/uploads/")))
                .header(CONTENT_LENGTH, 0)
        };
        self.send(client, scope, doing, ANSWER_TIMEOUT, ask).await
    }

    /// Makes Pulp make the push repository, as the first upload does; nothing is uploaded.
    pub(super) async fn make(&self, client: &Client, name: &str) -> Result<(), PulpError> {
        let scope = Scope::Push(name.to_owned(), None);
        let doing = format!("make `{name}`");
        let begun = self.begin(client, &scope, &doing, name).await?;
        let session = location(&begun, &doing)?;
        if begun.status() != StatusCode::ACCEPTED {
            return Err(refused(&doing, begun).await);
        }
        let end = || client.http().delete(client.url(&session));
        self.send(client, &scope, &doing, ANSWER_TIMEOUT, end)
            .await?;
        Ok(())
    }

    /// Takes over a blob from another name; false if Pulp does not find it there.
    pub(super) async fn mount(
        &self,
        client: &Client,
        name: &str,
        digest: &Digest,
        from: &str,
    ) -> Result<bool, PulpError> {
        let scope = Scope::Push(name.to_owned(), Some(from.to_owned()));
        let doing = format!("mount blob {digest} from `{from}` into `{name}`");
        let (digest, from) = (digest.to_string(), format!("{}{from}", self.prefix));
        let ask = || {
            client
                .http()
                .post(client.url(&self.path(name, "blobs/uploads/")))
                .query(&[("mount", digest.as_str()), ("from", from.as_str())])
                .header(CONTENT_LENGTH, 0)
        };
        let answer = self
            .send(client, &scope, &doing, ANSWER_TIMEOUT, ask)
            .await?;
        match answer.status() {
            StatusCode::CREATED => Ok(true),
            StatusCode::ACCEPTED | StatusCode::NOT_FOUND => Ok(false),
            _ => Err(refused(&doing, answer).await),
        }
    }

    /// Puts a manifest, by tag or by digest. While another task holds the repository it is sent again: Pulp answers 429 then and
    /// files it all the same, some time.
    pub(super) async fn put_manifest(
        &self,
        client: &Client,
        name: &str,
        reference: &str,
        media_type: &str,
        bytes: &Bytes,
    ) -> Result<(), PulpError> {
        let scope = Scope::Push(name.to_owned(), None);
        let doing = format!("take manifest `{reference}` into `{name}`");
        let content_type = HeaderValue::from_str(media_type);
        let content_type = content_type.map_err(|error| PulpError::Unreadable {
            doing: doing.clone(),
            why: error.to_string(),
        })?;
        let path = self.path(name, &format!("manifests/{reference}"));
        let put = || {
            client
                .http()
                .put(client.url(&path))
                .header(CONTENT_TYPE, content_type.clone())
                .body(bytes.clone())
        };
        let begun = Instant::now();
        let mut pause = Duration::from_secs(1);
        loop {
            let answer = self
                .send(client, &scope, &doing, ANSWER_TIMEOUT, put)
                .await?;
            match answer.status() {
                StatusCode::CREATED => return Ok(()),
                StatusCode::TOO_MANY_REQUESTS if begun.elapsed() + pause < BUSY_AT_MOST => {
                    sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(4));
                }
                _ => return Err(refused(&doing, answer).await),
            }
        }
    }

    /// The digest of what this name has under a tag or digest.
    pub(super) async fn manifest(
        &self,
        client: &Client,
        name: &str,
        reference: &str,
    ) -> Result<Option<String>, PulpError> {
        const ANY: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
            application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, \
            application/vnd.docker.distribution.manifest.v1+json, application/vnd.docker.distribution.manifest.v1+prettyjws, */*";
        let scope = Scope::Pull(name.to_owned());
        let doing = format!("look for manifest `{reference}` in `{name}`");
        let path = self.path(name, &format!("manifests/{reference}"));
        let look = || client.http().head(client.url(&path)).header("Accept", ANY);
        let answer = self
            .send(client, &scope, &doing, ANSWER_TIMEOUT, look)
            .await?;
        match answer.status() {
            StatusCode::OK => {
                let digest = answer.headers().get("Docker-Content-Digest");
                Ok(digest
                    .and_then(|digest| digest.to_str().ok())
                    .map(str::to_owned))
            }
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(refused(&doing, answer).await),
        }
    }

    /// Where the bytes of a blob are got without a login, for an hour or so; none if this name does not have it.
    pub(super) async fn blob_url(
        &self,
        client: &Client,
        name: &str,
        digest: &Digest,
    ) -> Result<Option<Url>, PulpError> {
        let scope = Scope::Pull(name.to_owned());
        let doing = format!("find blob {digest} in `{name}`");
        let path = self.path(name, &format!("blobs/{digest}"));
        let look = || client.http().request(Method::GET, client.url(&path));
        let answer = self
            .send(client, &scope, &doing, ANSWER_TIMEOUT, look)
            .await?;
        if !answer.status().is_redirection() {
            return match refused(&doing, answer).await {
                error if error.is_unknown_to_registry() => Ok(None),
                error => Err(error),
            };
        }
        let told = answer
            .headers()
            .get(LOCATION)
            .and_then(|told| told.to_str().ok())
            .unwrap_or_default();
        let unreadable = |why: String| PulpError::Unreadable {
            doing: doing.clone(),
            why,
        };
        let here = Url::parse(&client.origin).map_err(|error| unreadable(error.to_string()))?;
        let mut url = here
            .join(told)
            .map_err(|error| unreadable(error.to_string()))?;
        if let Some(content) = &self.content_url {
            let moved = url
                .set_scheme(content.scheme())
                .and_then(|()| url.set_host(content.host_str()).map_err(|_| ()))
                .and_then(|()| url.set_port(content.port()));
            moved.map_err(|()| unreadable(format!("{content} cannot stand for its host")))?;
        }
        Ok(Some(url))
    }

    /// The bytes of a blob, or a range of them.
    pub(super) async fn read(
        &self,
        client: &Client,
        url: Url,
        digest: &Digest,
        range: Option<Range<u64>>,
    ) -> Result<Option<Reading>, PulpError> {
        let doing = format!("give blob {digest}");
        let mut request = client.http().get(url);
        if let Some(range) = &range {
            request = request.header(
                RANGE,
                format!("bytes={}-{}", range.start, range.end.saturating_sub(1)),
            );
        }
        let answer = timeout(ANSWER_TIMEOUT, counted(request).send()).await;
        let answer = answer.map_err(|_| PulpError::Failed {
            doing: doing.clone(),
            status: StatusCode::GATEWAY_TIMEOUT,
            said: "its content app did not answer in time".to_owned(),
        })?;
        let answer = answer.map_err(|error| client.unreachable(&doing, error))?;
        match answer.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(Some(Reading(answer))),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(refused(&doing, answer).await),
        }
    }

    /// Sends a request with a token; once more with a new one where that is refused.
    async fn send(
        &self,
        client: &Client,
        scope: &Scope,
        doing: &str,
        limit: Duration,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Response, PulpError> {
        for again in [true, false] {
            let token = self.token(client, scope).await?;
            let request = request()
                .header(AUTHORIZATION, bearer(&token)?)
                .timeout(limit);
            let answer = counted(request).send().await;
            let answer = answer.map_err(|error| client.unreachable(doing, error))?;
            if answer.status() == StatusCode::UNAUTHORIZED && again {
                // Of a session that has ended it gives tokens, too, but those of nobody.
                self.tokens().remove(scope);
                client.forget_session().await;
                continue;
            }
            return Ok(answer);
        }
        unreachable!("the second answer is the answer")
    }

    async fn token(&self, client: &Client, scope: &Scope) -> Result<SecretString, PulpError> {
        let now = Instant::now();
        if let Some(token) = self.tokens().get(scope)
            && token.until > now
        {
            return Ok(token.text.clone());
        }
        let (text, lives) = client.registry_token(&scope.texts(&self.prefix)).await?;
        let lives = Duration::from_secs(lives);
        let mut tokens = self.tokens();
        tokens.retain(|_, token| token.until > now);
        tokens.insert(
            scope.clone(),
            Token {
                text: text.clone(),
                until: now + lives.saturating_sub(TOKEN_MARGIN.min(lives / 2)),
            },
        );
        Ok(text)
    }

    fn tokens(&self) -> std::sync::MutexGuard<'_, HashMap<Scope, Token>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn counted(request: RequestBuilder) -> RequestBuilder {
    metrics::counter!("wharfinger_pulp_requests_total", "api" => "registry").increment(1);
    request
}

fn bearer(token: &SecretString) -> Result<HeaderValue, PulpError> {
    let header = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
    let mut header = header.map_err(|error| PulpError::Unreadable {
        doing: "get a token for its registry".to_owned(),
        why: error.to_string(),
    })?;
    header.set_sensitive(true);
    Ok(header)
}

/// The path of an upload session, whichever host Pulp believes to have.
fn location(answer: &Response, doing: &str) -> Result<String, PulpError> {
    let told = answer.headers().get(LOCATION);
    let told = told.and_then(|told| told.to_str().ok()).unwrap_or_default();
    let path = match Url::parse(told) {
        Ok(url) => url.path().to_owned(),
        Err(_) => told.to_owned(),
    };
    if path.starts_with("/v2/") || answer.status() != StatusCode::ACCEPTED {
        return Ok(path);
    }
    Err(PulpError::Unreadable {
        doing: doing.to_owned(),
        why: format!("its session is at `{told}`"),
    })
}

/// Of an upload, which may begin anew: its session is forgotten, say.
async fn broken(doing: &str, answer: Response) -> PulpError {
    let error = refused(doing, answer).await;
    if let PulpError::Refused {
        doing,
        status,
        said,
    } = error
    {
        return PulpError::Failed {
            doing,
            status,
            said,
        };
    }
    error
}

async fn refused(doing: &str, answer: Response) -> PulpError {
    let status = answer.status();
    // The beginning is enough, and it may be long.
    let mut body = Vec::new();
    let mut stream = answer.bytes_stream();
    while let Some(Ok(piece)) = stream.next().await {
        body.extend_from_slice(&piece);
        if body.len() > 8 * 1024 {
            break;
        }
    }
    PulpError::of_answer(doing, status, &body)
}
