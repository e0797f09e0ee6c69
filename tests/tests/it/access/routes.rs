//! Every route of `/v2/` that works on a repository, as a request without credentials.

use reqwest::{Method, RequestBuilder};
use tests::digest;
use tests::image::{self, Image};
use tests::oci_client::OciClient;

/// Which right a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// The right to pull.
    Pull,
    /// The right to push.
    Push,
}

/// One route with a body that would succeed for who may.
pub(crate) struct Route {
    /// For the texts of failed assertions.
    pub(crate) what: &'static str,
    /// The method.
    pub(crate) method: Method,
    /// The right.
    pub(crate) needs: Needs,
    path: String,
    body: Vec<u8>,
}

impl Route {
    /// The request, without credentials.
    pub(crate) fn request(&self, oci: &OciClient) -> RequestBuilder {
        let request = oci.request(self.method.clone(), &self.path);
        if self.body.is_empty() {
            return request;
        }
        request
            .header("content-type", image::MANIFEST)
            .body(self.body.clone())
    }
}

/// The routes of a repository that holds this image under `latest` and has this upload session open.
pub(crate) fn routes(name: &str, image: &Image, upload: &str) -> Vec<Route> {
    let blob = digest::of(&image.layers[0]);
    let ware = digest::of(b"ware");
    let here = |rest: String| format!("/v2/{name}/{rest}");
    let pull = |what, method, rest| Route {
        what,
        method,
        needs: Needs::Pull,
        path: here(rest),
        body: Vec::new(),
    };
    let push = |what, method, path: String, body: &[u8]| Route {
        what,
        method,
        needs: Needs::Push,
        path,
        body: body.to_vec(),
    };
    let query = if upload.contains('?') { '&' } else { '?' };
    let finish = format!("{upload}{query}digest={ware}");
    let mount = here(format!("blobs/uploads/?mount={blob}&from={name}"));
    let manifest = &image.manifest[..];
    vec![
        pull("HEAD of a tag", Method::HEAD, "manifests/latest".into()),
        pull("GET of a tag", Method::GET, "manifests/latest".into()),
        pull(
            "HEAD of a digest",
            Method::HEAD,
            format!("manifests/{}", image.digest),
        ),
        pull(
            "GET of a digest",
            Method::GET,
            format!("manifests/{}", image.digest),
        ),
        pull("HEAD of a blob", Method::HEAD, format!("blobs/{blob}")),
        pull("GET of a blob", Method::GET, format!("blobs/{blob}")),
        pull("GET of the tags", Method::GET, "tags/list".into()),
        push(
            "POST of an upload",
            Method::POST,
            here("blobs/uploads/".into()),
            b"",
        ),
        push("POST of a mount", Method::POST, mount, b""),
        push("PATCH of an upload", Method::PATCH, upload.into(), b"ware"),
        push("PUT of an upload", Method::PUT, finish, b"ware"),
        push("GET of an upload", Method::GET, upload.into(), b""),
        push("DELETE of an upload", Method::DELETE, upload.into(), b""),
        push(
            "PUT of a tag",
            Method::PUT,
            here("manifests/sneaked".into()),
            manifest,
        ),
        push(
            "PUT of a digest",
            Method::PUT,
            here(format!("manifests/{}", image.digest)),
            manifest,
        ),
    ]
}
