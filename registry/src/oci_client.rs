//! Pushes and pulls as podman does: token, POST, PATCH, PUT, manifest PUT.

use reqwest::header::{ACCEPT, CONTENT_TYPE, LOCATION, WARNING};
use reqwest::{Body, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::cli::client;
use crate::sample_image::{self, LargeBlob, MANIFEST_TYPE, Part};

/// What went otherwise than the distribution spec says.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OciClientError {
    #[error("no answer to {what}")]
    NoAnswer {
        what: String,
        #[source]
        cause: reqwest::Error,
    },
    #[error("{what} was answered {status}: {body}")]
    Status {
        what: String,
        status: StatusCode,
        body: String,
    },
    #[error("the answer to {what} has no {part}")]
    Incomplete { what: String, part: &'static str },
    #[error("the manifest was stored but not published in time: {0}")]
    Warned(String),
    #[error("{what} came back with digest {got} in place of {wanted}")]
    Changed {
        what: String,
        wanted: String,
        got: String,
    },
}

/// A client with a token for one repository.
pub(crate) struct OciClient {
    http: reqwest::Client,
    server: String,
    name: String,
    token: String,
}

impl OciClient {
    /// Gets a token to pull from and push to this repository.
    pub(crate) async fn log_in(
        server: &str,
        name: &str,
        user: &str,
        password: &str,
    ) -> Result<Self, OciClientError> {
        let what = "the request for a token";
        let no_answer = |cause| OciClientError::NoAnswer {
            what: what.to_owned(),
            cause,
        };
        let http = client::http().map_err(no_answer)?;
        let scope = format!("repository:{name}:pull,push");
        let service = server.split_once("://").map_or(server, |(_, host)| host);
        let request = http
            .get(format!("{server}/v2/token"))
            .query(&[("account", user), ("service", service), ("scope", &scope)])
            .basic_auth(user, Some(password));
        let answer = expect(what, StatusCode::OK, request).await?;
        let body: Value = answer.json().await.map_err(no_answer)?;
        let token = body["token"].as_str();
        let token = token
            .ok_or_else(|| OciClientError::Incomplete {
                what: what.to_owned(),
                part: "token",
            })?
            .to_owned();
        Ok(Self {
            http,
            server: server.to_owned(),
            name: name.to_owned(),
            token,
        })
    }

    /// POST, PATCH with the bytes, PUT with the digest.
    pub(crate) async fn push_blob(&self, blob: &Part) -> Result<(), OciClientError> {
        self.upload(&blob.digest, blob.bytes.clone().into()).await
    }

    /// The same for a blob that is streamed.
    pub(crate) async fn push_large_blob(&self, blob: &LargeBlob) -> Result<(), OciClientError> {
        let pieces = futures_util::stream::iter(blob.pieces().map(Ok::<_, std::io::Error>));
        self.upload(&blob.digest, Body::wrap_stream(pieces)).await
    }

    async fn upload(&self, digest: &str, body: Body) -> Result<(), OciClientError> {
        let opened = self.http.post(self.url("/blobs/uploads/"));
        let opened = self
            .send("POST of an upload", StatusCode::ACCEPTED, opened)
            .await?;
        let sent = self.http.patch(self.location(&opened)?).body(body);
        let sent = self
            .send("PATCH of an upload", StatusCode::ACCEPTED, sent)
            .await?;
        let done = self
            .http
            .put(self.location(&sent)?)
            .query(&[("digest", digest)]);
        self.send("PUT of an upload", StatusCode::CREATED, done)
            .await?;
        Ok(())
    }

    /// PUT by tag; answered when the tag is pullable.
    pub(crate) async fn push_manifest(
        &self,
        tag: &str,
        manifest: &Part,
    ) -> Result<(), OciClientError> {
        let request = self.http.put(self.url(&format!("/manifests/{tag}")));
        let request = request
            .header(CONTENT_TYPE, MANIFEST_TYPE)
            .body(manifest.bytes.clone());
        let answer = self
            .send("PUT of the manifest", StatusCode::CREATED, request)
            .await?;
        match answer.headers().get(WARNING) {
            Some(warning) => Err(OciClientError::Warned(
                String::from_utf8_lossy(warning.as_bytes()).into_owned(),
            )),
            None => Ok(()),
        }
    }

    /// The manifest that the tag names, which must have this digest.
    pub(crate) async fn pull_manifest(
        &self,
        tag: &str,
        digest: &str,
    ) -> Result<Vec<u8>, OciClientError> {
        let request = self
            .http
            .get(self.url(&format!("/manifests/{tag}")))
            .header(ACCEPT, MANIFEST_TYPE);
        self.verified("GET of the manifest", digest, request).await
    }

    /// The blob with this digest.
    pub(crate) async fn pull_blob(&self, digest: &str) -> Result<Vec<u8>, OciClientError> {
        let request = self.http.get(self.url(&format!("/blobs/{digest}")));
        self.verified("GET of a blob", digest, request).await
    }

    /// The bytes of a large blob, thrown away as they come; only their number is checked.
    pub(crate) async fn pull_large_blob(&self, blob: &LargeBlob) -> Result<(), OciClientError> {
        let what = "GET of a large blob";
        let request = self.http.get(self.url(&format!("/blobs/{}", blob.digest)));
        let mut answer = self.send(what, StatusCode::OK, request).await?;
        let mut left = blob.size_bytes;
        let broken = |cause| OciClientError::NoAnswer {
            what: what.to_owned(),
            cause,
        };
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            left = left.saturating_sub(chunk.len() as u64);
        }
        if left == 0 {
            return Ok(());
        }
        Err(OciClientError::Incomplete {
            what: what.to_owned(),
            part: "end",
        })
    }

    async fn verified(
        &self,
        what: &str,
        wanted: &str,
        request: RequestBuilder,
    ) -> Result<Vec<u8>, OciClientError> {
        let answer = self.send(what, StatusCode::OK, request).await?;
        let bytes = answer
            .bytes()
            .await
            .map_err(|cause| OciClientError::NoAnswer {
                what: what.to_owned(),
                cause,
            })?;
        let got = sample_image::digest(&bytes);
        if got == wanted {
            return Ok(bytes.to_vec());
        }
        Err(OciClientError::Changed {
            what: what.to_owned(),
            wanted: wanted.to_owned(),
            got,
        })
    }

    async fn send(
        &self,
        what: &str,
        wanted: StatusCode,
        request: RequestBuilder,
    ) -> Result<Response, OciClientError> {
        expect(what, wanted, request.bearer_auth(&self.token)).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v2/{}{path}", self.server, self.name)
    }

    /// Where to go on; relative to the server.
    fn location(&self, answer: &Response) -> Result<String, OciClientError> {
        let location = answer
            .headers()
            .get(LOCATION)
            .and_then(|location| location.to_str().ok());
        match location {
            Some(path) => Ok(format!("{}{path}", self.server)),
            None => Err(OciClientError::Incomplete {
                what: "an upload".to_owned(),
                part: "Location",
            }),
        }
    }
}

async fn expect(
    what: &str,
    wanted: StatusCode,
    request: RequestBuilder,
) -> Result<Response, OciClientError> {
    let answer = request
        .send()
        .await
        .map_err(|cause| OciClientError::NoAnswer {
            what: what.to_owned(),
            cause,
        })?;
    let status = answer.status();
    if status == wanted {
        return Ok(answer);
    }
    let body = answer.text().await.unwrap_or_default();
    Err(OciClientError::Status {
        what: what.to_owned(),
        status,
        body,
    })
}
