//! A repository that one check has for itself, with the requests that checks send.

use bytes::Bytes;
use reqwest::{Body, Method, RequestBuilder};
use serde_json::{Value, json};
use tests::answer::Answer;
use tests::image::{self, Image, described};
use tests::oci_client::{OciClient, location};
use tests::server::Server;
use tests::{digest, noise};

/// What a descriptor of nothing points to, as the image specification has it.
pub(super) const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The type of the artifacts that checks push.
pub(super) const SBOM: &str = "application/vnd.example.sbom.v1";

/// A name nobody has pushed to before.
pub(super) struct Repository {
    /// Where the registry listens.
    pub(super) host: String,
    /// The name.
    pub(super) name: String,
    oci: OciClient,
}

impl Repository {
    pub(super) fn new(server: &Server, name: &str) -> Self {
        Self {
            host: server.host(),
            name: format!("default_organization/conformance/{name}"),
            oci: server.oci(),
        }
    }

    /// Another one beside it.
    pub(super) fn other(&self) -> Self {
        Self {
            host: self.host.clone(),
            name: format!("{}-other", self.name),
            oci: self.oci.clone(),
        }
    }

    /// Sends a request to a path below it, as `with` makes it.
    pub(super) async fn send(
        &self,
        method: Method,
        rest: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Answer {
        let request = self.oci.of(method, &self.name, rest).await;
        self.oci.send(with(request)).await
    }

    pub(super) async fn get(&self, rest: &str) -> Answer {
        self.send(Method::GET, rest, |request| request).await
    }

    pub(super) async fn head(&self, rest: &str) -> Answer {
        self.send(Method::HEAD, rest, |request| request).await
    }

    pub(super) async fn delete(&self, rest: &str) -> Answer {
        self.oci.delete(&self.name, rest).await
    }

    /// GET with a header.
    pub(super) async fn get_with(&self, rest: &str, header: &str, value: &str) -> Answer {
        self.send(Method::GET, rest, |request| request.header(header, value))
            .await
    }

    /// Sends a request to any path, with the token of this repository.
    pub(super) async fn at(
        &self,
        method: Method,
        path: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Answer {
        let request = self.oci.at(method, &self.name, path).await;
        self.oci.send(with(request)).await
    }

    /// POST to begin an upload, with a query and a body.
    pub(super) async fn post(&self, query: &str, body: impl Into<Body>) -> Answer {
        let rest = format!("blobs/uploads/{query}");
        self.send(Method::POST, &rest, |request| request.body(body))
            .await
    }

    /// Where a fresh upload session goes on.
    pub(super) async fn open(&self) -> String {
        location(&self.post("", "").await.expect_status(202))
    }

    /// PATCH with a chunk.
    pub(super) async fn patch(&self, session: &str, range: &str, chunk: impl Into<Body>) -> Answer {
        let with = |request: RequestBuilder| request.header("content-range", range).body(chunk);
        self.at(Method::PATCH, session, with).await
    }

    /// PUT that ends a session.
    pub(super) async fn finish(
        &self,
        session: &str,
        digest: &str,
        rest: impl Into<Body>,
    ) -> Answer {
        let with = |request: RequestBuilder| request.query(&[("digest", digest)]).body(rest);
        self.at(Method::PUT, session, with).await
    }

    /// Pushes a blob; answers its digest.
    pub(super) async fn blob(&self, bytes: impl Into<Bytes>) -> String {
        let bytes = bytes.into();
        let digest = digest::of(&bytes);
        self.post(&format!("?digest={digest}"), bytes)
            .await
            .expect_status(201);
        digest
    }

    /// PUT of a manifest.
    pub(super) async fn put(&self, reference: &str, media_type: &str, bytes: &Bytes) -> Answer {
        let rest = format!("manifests/{reference}");
        let with = |request: RequestBuilder| {
            request
                .header("content-type", media_type)
                .body(bytes.clone())
        };
        self.send(Method::PUT, &rest, with).await
    }

    /// An image whose blobs are pushed and whose manifest is not.
    pub(super) async fn blobs_of_an_image(&self) -> Image {
        let seed = self.name.bytes().fold(7, |seed: u64, byte| {
            seed.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        let image = Image::with_layers(vec![noise::bytes(seed, 300)], "amd64");
        for blob in image.blobs() {
            self.blob(blob.clone()).await;
        }
        image
    }

    /// Pushes an image under a tag.
    pub(super) async fn image(&self, tag: &str) -> Image {
        let image = self.blobs_of_an_image().await;
        let put = self.put(tag, image::MANIFEST, &image.manifest).await;
        put.expect_status(201);
        image
    }

    /// Pushes an artifact by its digest: an OCI manifest of these fields beside its empty config and layer.
    pub(super) async fn artifact(&self, fields: Value) -> (String, Answer) {
        self.blob("{}").await;
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": image::MANIFEST,
            "config": described(EMPTY, b"{}"),
            "layers": [described(EMPTY, b"{}")],
        });
        let all = manifest.as_object_mut().expect("made above");
        all.extend(fields.as_object().cloned().unwrap_or_default());
        let bytes = Bytes::from(manifest.to_string());
        let digest = digest::of(&bytes);
        let answer = self.put(&digest, image::MANIFEST, &bytes).await;
        (digest, answer)
    }

    /// Pushes an artifact about a manifest of this digest; answers its own digest.
    pub(super) async fn referrer(&self, subject: &str, artifact_type: &str) -> String {
        let subject = json!({ "mediaType": image::MANIFEST, "digest": subject, "size": 1 });
        let fields = json!({ "artifactType": artifact_type, "subject": subject });
        let (digest, answer) = self.artifact(fields).await;
        answer.expect_status(201);
        digest
    }

    /// The referrers of a digest, as their index says.
    pub(super) async fn referrers(&self, subject: &str, query: &str) -> Vec<Value> {
        let answer = self.get(&format!("referrers/{subject}{query}")).await;
        let index = answer.expect_status(200).json();
        index["manifests"].as_array().cloned().expect("an index")
    }
}

/// The next page of a list, as a path; `None` on the last one.
pub(super) fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link");
    let (target, relation) = link.split_once(';')?;
    assert_eq!(relation.trim(), "rel=\"next\"", "{answer}");
    let target = target.trim().strip_prefix('<')?.strip_suffix('>')?;
    Some(target.to_owned())
}
