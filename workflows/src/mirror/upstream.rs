//! The main server, as its smart proxy calls it.

use super::wire::{Counts, Lead, ROOT, Shown, Told};
use crate::outbound::innermost;
use reqwest::{
    Certificate, Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode, Url,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use std::time::Duration;
use storage::Digest;
use storage::catalog::RepositoryId;
use storage::catalog::smart_proxies::contents::Place;
use storage::mirror::Held;

/// The main server answers small questions within milliseconds; one that takes longer is treated as down.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// A question on which somebody waits to pull.
pub const ANSWERS_A_PULL_WITHIN: Duration = Duration::from_secs(3);
/// A server that does not even accept within this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection on which nothing is acknowledged for so long is dead; also when it was cut without a word.
const STALLED_AT_MOST: Duration = Duration::from_secs(30);

/// Why the main server gave no answer that can be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unreachable {
    /// It does not answer.
    #[error("the main server at {url} does not answer: {why}")]
    Silent {
        /// Where it is looked for.
        url: String,
        /// What the connection says.
        why: String,
    },
    /// It answers that it cannot now.
    #[error("the main server at {url} answers {status}")]
    NotNow {
        /// Where it is.
        url: String,
        /// What it answers.
        status: StatusCode,
    },
    /// It does not know this proxy.
    #[error(
        "the main server at {url} does not know the secret of this smart proxy; add the proxy there, with what its --mirror-secret-file holds, or enable it"
    )]
    Stranger {
        /// Where it is.
        url: String,
    },
    /// It does not have what was asked for.
    #[error("the main server at {url} does not have {what} any more")]
    Gone {
        /// Where it is.
        url: String,
        /// What it does not have.
        what: String,
    },
    /// What it says cannot be read.
    #[error("what the main server at {url} answers cannot be read: {why}")]
    Unreadable {
        /// Where it is.
        url: String,
        /// Why not.
        why: String,
    },
}

/// The main server. Cheap to clone.
#[derive(Clone)]
pub struct Upstream {
    http: Client,
    /// The same without a limit from the request's beginning to its answer: between the two a client's body may take hours.
    patient: Client,
    url: Url,
    secret: SecretString,
}

impl Upstream {
    /// The main server at this URL, to which the proxy shows the secret.
    pub fn new(
        url: Url,
        secret: SecretString,
        authorities: &[Certificate],
    ) -> Result<Self, reqwest::Error> {
        let client = || {
            let client = Client::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_user_timeout(STALLED_AT_MOST)
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .user_agent(concat!("wharfinger/", env!("CARGO_PKG_VERSION")));
            let with = |client: ClientBuilder, authority: &Certificate| {
                client.add_root_certificate(authority.clone())
            };
            authorities.iter().fold(client, with)
        };
        Ok(Self {
            http: client().read_timeout(STALLED_AT_MOST).build()?,
            patient: client().build()?,
            url,
            secret,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// The secret that both sides show each other.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// What a proxy must know besides content.
    pub async fn told(&self) -> Result<Told, Unreachable> {
        let asked = self.ask(Method::GET, "/state").timeout(ANSWERS_WITHIN);
        self.json(asked, "its state").await
    }

    /// Whether it answers at all within this time.
    pub async fn answers(&self, within: Duration) -> bool {
        let asked = self.http.get(format!("{}/healthz", self.url()));
        let answer = asked.timeout(within).send().await;
        answer.is_ok_and(|answer| !is_of_a_gateway(answer.status()))
    }

    /// Whether the token counts still.
    pub async fn introspect(&self, token: &str) -> Result<Counts, Unreachable> {
        let shown = Shown {
            token: token.to_owned(),
        };
        let asked = self.ask(Method::POST, "/introspect").json(&shown);
        self.json(asked.timeout(ANSWERS_A_PULL_WITHIN), "that token")
            .await
    }

    /// What is published there now, and what leads to it from what is held; none: this proxy shall not hold it.
    pub(super) async fn lead(
        &self,
        place: Place,
        held: Option<&Held>,
    ) -> Result<Option<Lead>, Unreachable> {
        let Place {
            environment,
            repository,
        } = place;
        let mut path = format!("/environments/{environment}/repositories/{repository}");
        if let Some(Held {
            version, made_by, ..
        }) = held
        {
            path = format!("{path}?since={version}&made_by={made_by}");
        }
        let asked = self.ask(Method::GET, &path).timeout(ANSWERS_WITHIN * 6);
        match self.json(asked, "it").await {
            Ok(lead) => Ok(Some(lead)),
            Err(Unreachable::Gone { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The manifest as the main server sends it.
    pub(super) async fn manifest(
        &self,
        repository: RepositoryId,
        digest: &Digest,
    ) -> Result<Response, Unreachable> {
        let path = format!("/repositories/{repository}/manifests/{digest}");
        let asked = self.ask(Method::GET, &path).timeout(ANSWERS_WITHIN * 3);
        self.send(asked, &format!("manifest {digest}")).await
    }

    /// The blob as the main server sends it, from this byte on.
    pub(super) async fn blob(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        from: u64,
    ) -> Result<Response, Unreachable> {
        let path = format!("/repositories/{repository}/blobs/{digest}");
        let mut asked = self.ask(Method::GET, &path);
        if from > 0 {
            asked = asked.header(reqwest::header::RANGE, format!("bytes={from}-"));
        }
        self.send(asked, &format!("blob {digest}")).await
    }

    /// A request of somebody else that is passed on as it is: path and query after the host, to be given headers and body. How long it
    /// may take is the caller's matter.
    pub fn passed_on(&self, method: Method, path_and_query: &str) -> RequestBuilder {
        self.patient
            .request(method, format!("{}{path_and_query}", self.url()))
    }

    /// What went wrong with a request, in words that stand alone.
    #[must_use]
    pub fn silent(&self, error: reqwest::Error) -> Unreachable {
        self.silent_because(innermost(error))
    }

    /// It gave no answer, and this is why.
    #[must_use]
    pub fn silent_because(&self, why: String) -> Unreachable {
        Unreachable::Silent {
            url: self.url().to_owned(),
            why,
        }
    }

    /// It gave no answer: what stands before it says so.
    #[must_use]
    pub fn hidden(&self, status: StatusCode) -> Unreachable {
        self.silent_because(format!("what stands before it says {status}"))
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{ROOT}{path}", self.url()))
            .bearer_auth(self.secret.expose_secret())
    }

    async fn send(&self, asked: RequestBuilder, what: &str) -> Result<Response, Unreachable> {
        let answer = asked.send().await.map_err(|error| self.silent(error))?;
        let (url, status) = (self.url().to_owned(), answer.status());
        match status {
            _ if status.is_success() => Ok(answer),
            StatusCode::UNAUTHORIZED => Err(Unreachable::Stranger { url }),
            status if is_of_a_gateway(status) => Err(self.hidden(status)),
            // Not 404: that says a gateway, too, whose server is not there just now.
            StatusCode::GONE => Err(Unreachable::Gone {
                url,
                what: what.to_owned(),
            }),
            status => Err(Unreachable::NotNow { url, status }),
        }
    }

    async fn json<T: DeserializeOwned>(
        &self,
        asked: RequestBuilder,
        what: &str,
    ) -> Result<T, Unreachable> {
        let answer = self.send(asked, what).await?;
        let bytes = answer.bytes().await.map_err(|error| self.silent(error))?;
        serde_json::from_slice(&bytes).map_err(|error| Unreachable::Unreadable {
            url: self.url().to_owned(),
            why: error.to_string(),
        })
    }
}

/// What a gateway answers while nobody is behind it. The main server itself answers a proxy so only while it stops.
#[must_use]
pub fn is_of_a_gateway(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Upstream").field(&self.url()).finish()
    }
}
