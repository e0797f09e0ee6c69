//! A small OCI client: tokens, uploads, manifests and pulls, each request visible to the test.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use reqwest::{Body, Certificate, Client, ClientBuilder, Method, RequestBuilder};

use crate::answer::Answer;
use crate::digest;
use crate::image::{self, Image, Index};
use crate::noise::Long;

/// Longer than the largest transfer of the tests takes on a slow disk.
const LIMIT: Duration = Duration::from_mins(5);

/// What was pulled: its digest and its size as they arrived.
pub type Pulled = (String, u64);

/// A token, and when it ends.
type Token = (String, Instant);

/// A client of one user, with that user's tokens.
#[derive(Clone)]
pub struct OciClient {
    http: Client,
    /// Scheme and host.
    origin: String,
    login: Option<(String, String)>,
    tokens: Arc<Mutex<HashMap<String, Token>>>,
}

impl OciClient {
    /// A client that logs in with a password.
    pub fn with_login(host: &str, login: &str, password: &str) -> Self {
        Self {
            login: Some((login.to_owned(), password.to_owned())),
            ..Self::anonymous(host)
        }
    }

    /// A client without credentials.
    pub fn anonymous(host: &str) -> Self {
        Self {
            http: http(),
            origin: format!("http://{host}"),
            login: None,
            tokens: Arc::default(),
        }
    }

    /// The same client over TLS, which trusts these certificates (PEM) and no others.
    #[must_use]
    pub fn over_tls(self, trusted: &[&str]) -> Self {
        Self {
            origin: self.origin.replacen("http:", "https:", 1),
            ..self.with_http(http_builder().tls_certs_only(certificates(trusted)))
        }
    }

    /// The same client with its connections made in another way.
    #[must_use]
    pub fn with_http(self, http: ClientBuilder) -> Self {
        Self {
            http: http.build().expect("certificates in PEM"),
            ..self
        }
    }

    /// A request without any credentials, for tests that choose their own.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.origin))
    }

    /// Sends a request and reads the answer; a connection that breaks is an error.
    pub async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let request = request.build()?;
        let asked = format!("{} {}", request.method(), request.url().path());
        Answer::read(asked, self.http.execute(request).await?).await
    }

    /// Sends a request and reads the answer; a connection that breaks fails the test.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.expect("the server answers")
    }

    /// The answer of `GET /v2/token` for these scopes.
    pub async fn try_ask_token(&self, service: &str, scopes: &[&str]) -> reqwest::Result<Answer> {
        let mut query = vec![("service", service)];
        query.extend(scopes.iter().map(|&scope| ("scope", scope)));
        let mut request = self.request(Method::GET, "/v2/token").query(&query);
        if let Some((login, password)) = &self.login {
            request = request.basic_auth(login, Some(password));
        }
        self.try_send(request).await
    }

    /// A token for these scopes, as the token service gave it.
    pub async fn token(&self, scopes: &[&str]) -> String {
        self.try_token(scopes).await.expect("the server answers").0
    }

    /// The service name that the challenge of `/v2/` asks tokens for.
    pub async fn service(&self) -> reqwest::Result<String> {
        let answer = self.try_send(self.request(Method::GET, "/v2/")).await?;
        let challenge = answer.header("www-authenticate").to_owned();
        let (_, rest) = challenge
            .split_once("service=\"")
            .unwrap_or_else(|| panic!("{answer} has no challenge with a service"));
        Ok(rest.split('"').next().unwrap_or_default().to_owned())
    }

    async fn try_token(&self, scopes: &[&str]) -> reqwest::Result<Token> {
        let asked_at = Instant::now();
        let service = self.service().await?;
        let answer = self
            .try_ask_token(&service, scopes)
            .await?
            .expect_status(200);
        let body = answer.json();
        let token = body["token"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer} holds no token"));
        let seconds = body["expires_in"]
            .as_u64()
            .unwrap_or_else(|| panic!("{answer} tells no end"));
        Ok((token.to_owned(), asked_at + Duration::from_secs(seconds)))
    }

    /// A request with a token to pull from and push to one repository, asked for once while it lasts.
    async fn authorized(
        &self,
        method: Method,
        path: &str,
        name: &str,
    ) -> reqwest::Result<RequestBuilder> {
        let known = self
            .tokens
            .lock()
            .expect("no test panics here")
            .get(name)
            .cloned();
        let lasts = known.filter(|(_, ends)| *ends > Instant::now());
        let token = if let Some((token, _)) = lasts {
            token
        } else {
            let scope = format!("repository:{name}:pull,push");
            let fresh = self.try_token(&[&scope]).await?;
            let mut tokens = self.tokens.lock().expect("no test panics here");
            tokens.insert(name.to_owned(), fresh.clone());
            fresh.0
        };
        Ok(self.request(method, path).bearer_auth(token))
    }

    /// A request to a path below a repository, with a token for it: `of(HEAD, "acme/app", "blobs/sha256:…")`.
    pub async fn of(&self, method: Method, name: &str, rest: &str) -> RequestBuilder {
        self.try_of(method, name, rest)
            .await
            .expect("the server answers")
    }

    async fn try_of(
        &self,
        method: Method,
        name: &str,
        rest: &str,
    ) -> reqwest::Result<RequestBuilder> {
        self.authorized(method, &format!("/v2/{name}/{rest}"), name)
            .await
    }

    /// Opens an upload session; answers with its location.
    pub async fn open_upload(&self, name: &str) -> String {
        let request = self.of(Method::POST, name, "blobs/uploads/").await;
        location(&self.send(request).await.expect_status(202))
    }

    /// A request to an upload session, with a token for its repository.
    pub async fn at(&self, method: Method, name: &str, location: &str) -> RequestBuilder {
        self.authorized(method, location, name)
            .await
            .expect("the server answers")
    }

    /// Uploads a blob as podman does: HEAD, and if it is missing POST, PATCH, PUT.
    pub async fn try_push_blob(&self, name: &str, bytes: &Bytes) -> reqwest::Result<()> {
        let digest = digest::of(bytes);
        let head = self
            .try_of(Method::HEAD, name, &format!("blobs/{digest}"))
            .await?;
        if self.try_send(head).await?.status == 200 {
            return Ok(());
        }
        let body = Body::from(bytes.clone());
        self.try_upload(name, body, &digest)
            .await?
            .expect_status(201);
        Ok(())
    }

    /// Uploads a blob of any size without holding it.
    pub async fn push_long_blob(&self, name: &str, blob: &Long, digest: &str) {
        let body = Body::wrap_stream(blob.stream());
        let put = self.try_upload(name, body, digest).await;
        put.expect("the server answers").expect_status(201);
    }

    /// POST, PATCH with the body, PUT; answers with the answer of the first that was refused, or of the PUT.
    pub async fn try_upload(
        &self,
        name: &str,
        body: Body,
        digest: &str,
    ) -> reqwest::Result<Answer> {
        let post = self.try_of(Method::POST, name, "blobs/uploads/").await?;
        let opened = self.try_send(post).await?;
        if opened.status != 202 {
            return Ok(opened);
        }
        let patch = self
            .authorized(Method::PATCH, &location(&opened), name)
            .await?;
        let patched = self.try_send(patch.body(body)).await?;
        if patched.status != 202 {
            return Ok(patched);
        }
        let put = self
            .authorized(Method::PUT, &location(&patched), name)
            .await?;
        self.try_send(put.query(&[("digest", digest)])).await
    }

    /// Uploads all blobs of an image.
    pub async fn push_blobs(&self, name: &str, image: &Image) {
        for blob in image.blobs() {
            self.try_push_blob(name, blob)
                .await
                .expect("the server answers");
        }
    }

    /// PUTs a manifest under a tag or digest.
    pub async fn put_manifest(
        &self,
        name: &str,
        reference: &str,
        media_type: &str,
        manifest: &Bytes,
    ) -> Answer {
        let answer = self
            .try_put_manifest(name, reference, media_type, manifest)
            .await;
        answer.expect("the server answers")
    }

    /// PUTs a manifest; a connection that breaks is an error.
    pub async fn try_put_manifest(
        &self,
        name: &str,
        reference: &str,
        media_type: &str,
        manifest: &Bytes,
    ) -> reqwest::Result<Answer> {
        let request = self
            .try_of(Method::PUT, name, &format!("manifests/{reference}"))
            .await?;
        let request = request
            .header("content-type", media_type)
            .body(manifest.clone());
        self.try_send(request).await
    }

    /// Pushes an image under a tag; answers with the answer to its manifest.
    pub async fn push(&self, name: &str, tag: &str, image: &Image) -> Answer {
        self.push_blobs(name, image).await;
        self.put_manifest(name, tag, image::MANIFEST, &image.manifest)
            .await
    }

    /// Pushes an index with all its images under a tag; answers with the answer to the index.
    pub async fn push_index(&self, name: &str, tag: &str, index: &Index) -> Answer {
        for image in &index.images {
            self.push(name, &image.digest, image)
                .await
                .expect_status(201);
        }
        self.put_manifest(name, tag, image::INDEX, &index.manifest)
            .await
    }

    /// Sends a DELETE to a path below a repository, with a token for it that is good for that.
    pub async fn delete(&self, name: &str, rest: &str) -> Answer {
        let scope = format!("repository:{name}:pull,delete");
        let token = self.token(&[&scope]).await;
        let request = self.request(Method::DELETE, &format!("/v2/{name}/{rest}"));
        self.send(request.bearer_auth(token)).await
    }

    /// GETs a manifest by tag or digest.
    pub async fn manifest(&self, name: &str, reference: &str) -> Answer {
        let request = self
            .of(Method::GET, name, &format!("manifests/{reference}"))
            .await;
        self.send(request).await
    }

    /// GETs a blob and hashes it on the way, without holding it.
    pub async fn pull_blob(&self, name: &str, digest: &str) -> Pulled {
        let request = self.of(Method::GET, name, &format!("blobs/{digest}")).await;
        let response = request.send().await.expect("the server answers");
        assert_eq!(
            response.status().as_u16(),
            200,
            "GET of blob {digest} of {name}"
        );
        let mut hash = digest::Running::default();
        let mut body = response.bytes_stream();
        while let Some(piece) = body.next().await {
            hash.feed(&piece.expect("a body that comes whole"));
        }
        hash.end()
    }

    /// Fails the test unless the image comes back whole, by tag and by digest, byte for byte.
    pub async fn assert_pullable(&self, name: &str, tag: &str, image: &Image) {
        for reference in [tag, &image.digest] {
            let answer = self.manifest(name, reference).await.expect_status(200);
            assert_eq!(answer.body, image.manifest, "{name}:{tag} by {reference}");
            assert_eq!(answer.header("docker-content-digest"), image.digest);
            assert_eq!(answer.header("content-type"), image::MANIFEST);
        }
        for blob in image.blobs() {
            let digest = digest::of(blob);
            let expected = (digest.clone(), blob.len() as u64);
            assert_eq!(
                self.pull_blob(name, &digest).await,
                expected,
                "{name}:{tag}"
            );
        }
    }

    /// All tags of a repository, page by page of `per_page`.
    pub async fn tags(&self, name: &str, per_page: usize) -> Vec<String> {
        let mut tags = Vec::new();
        let mut path = format!("/v2/{name}/tags/list?n={per_page}");
        loop {
            let request = self.authorized(Method::GET, &path, name).await;
            let page = self
                .send(request.expect("the server answers"))
                .await
                .expect_status(200);
            let shown = page.json()["tags"].as_array().cloned().unwrap_or_default();
            assert!(shown.len() <= per_page, "{page} is longer than asked for");
            tags.extend(
                shown
                    .iter()
                    .filter_map(|tag| tag.as_str().map(str::to_owned)),
            );
            let Some(next) = next_page(page.header("link")) else {
                return tags;
            };
            path = next;
        }
    }
}

/// Where an answer says to go on, as a path with its query.
#[track_caller]
pub fn location(answer: &Answer) -> String {
    let location = answer.header("location");
    assert!(
        location.starts_with("/v2/"),
        "{answer} has no relative location"
    );
    location.to_owned()
}

/// Where the `Link` header of a page says to go on, as a path with its query; `None` on the last page.
pub fn next_page(link: &str) -> Option<String> {
    let (target, relation) = link.split_once(';')?;
    assert!(
        relation.contains("rel=\"next\""),
        "a link of another kind: {link}"
    );
    let target = target.trim().strip_prefix('<')?.strip_suffix('>')?;
    let from = target.find("/v2/")?;
    Some(target[from..].to_owned())
}

/// An HTTP client of the tests: loopback only, so no proxy, and no redirect is followed unseen.
pub(crate) fn http() -> Client {
    http_builder()
        .build()
        .expect("a client without TLS files of its own")
}

/// What every HTTP client of the tests has.
pub fn http_builder() -> ClientBuilder {
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .timeout(LIMIT)
}

/// Certificates to trust, from PEM.
pub fn certificates(pem: &[&str]) -> Vec<Certificate> {
    pem.iter()
        .map(|pem| Certificate::from_pem(pem.as_bytes()).expect("a certificate in PEM"))
        .collect()
}
