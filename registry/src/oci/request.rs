//! Everything the OCI API answers, as one enum.
//!
//! Names hold slashes, so a path is read from its end. It is not percent-decoded: no part of a name, tag or digest needs
//! it, and what is not decoded cannot be smuggled.

use axum::extract::Query;
use http::{Method, Uri};
use storage::content::UploadId;
use storage::{Digest, Tag};
use workflows::destination::PushName;

use super::error::OciError;

/// One request to `/v2/`, as far as its method, path and query say what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OciRequest {
    /// `GET /v2/`: is this a registry, and am I known to it?
    Version,
    /// `GET /v2/token`: a token for these scopes at this service.
    Token {
        service: Option<String>,
        scopes: Option<Vec<String>>,
    },
    /// `HEAD /v2/<name>/blobs/<digest>`
    HeadBlob { name: PushName, digest: Digest },
    /// `GET /v2/<name>/blobs/<digest>`
    GetBlob { name: PushName, digest: Digest },
    /// `POST /v2/<name>/blobs/uploads/`: a new upload session, or a whole blob at once, or none by a mount.
    StartUpload { name: PushName, start: Start },
    /// `GET /v2/<name>/blobs/uploads/<id>`: how far is it?
    UploadStatus { name: PushName, upload: UploadId },
    /// `PATCH /v2/<name>/blobs/uploads/<id>`: some bytes.
    AppendUpload { name: PushName, upload: UploadId },
    /// `PUT /v2/<name>/blobs/uploads/<id>?digest=`: the last bytes, if any, and what it all must be.
    FinishUpload {
        name: PushName,
        upload: UploadId,
        digest: Digest,
    },
    /// `DELETE /v2/<name>/blobs/uploads/<id>`
    CancelUpload { name: PushName, upload: UploadId },
    /// `HEAD /v2/<name>/manifests/<reference>`
    HeadManifest {
        name: PushName,
        reference: Reference,
    },
    /// `GET /v2/<name>/manifests/<reference>`
    GetManifest {
        name: PushName,
        reference: Reference,
    },
    /// `PUT /v2/<name>/manifests/<reference>`: the commit record of a push.
    PutManifest {
        name: PushName,
        reference: Reference,
    },
    /// `GET /v2/<name>/tags/list`
    ListTags { name: PushName, page: TagPage },
}

/// How an upload is to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// With a session.
    Session,
    /// `?digest=`: with the whole blob in this request.
    Whole(Digest),
    /// `?mount=&from=`: not at all, if the other repository has the blob and may be pulled from; else with a session.
    Mount {
        digest: Digest,
        from: Option<String>,
    },
}

/// What names a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// What Library publishes under this tag.
    Tag(Tag),
    /// Just this one.
    Digest(Digest),
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// A page of a list of tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TagPage {
    /// At most so many; none: as many as a page may have.
    pub(super) n: Option<usize>,
    /// Only those after this one.
    pub(super) last: Option<String>,
}

impl OciRequest {
    /// The request, or what is wrong with it.
    pub(super) fn parse(method: &Method, uri: &Uri) -> Result<Self, OciError> {
        let path = uri.path().strip_prefix("/v2").unwrap_or_default();
        let parameters = Parameters::of(uri)?;
        let parts: Vec<&str> = path
            .strip_prefix('/')
            .unwrap_or_default()
            .split('/')
            .collect();
        match parts[..] {
            [""] => route(method, "GET, HEAD", &[Method::GET, Method::HEAD], |_| {
                Ok(Self::Version)
            }),
            ["token"] => route(method, "GET", &[Method::GET], |_| {
                Ok(Self::Token {
                    service: parameters.get("service"),
                    scopes: parameters.all("scope"),
                })
            }),
            [ref name @ .., "manifests", reference] if !name.is_empty() => {
                manifest(method, name, reference)
            }
            [ref name @ .., "tags", "list"] if !name.is_empty() => {
                let name = parse_name(name)?;
                route(method, "GET", &[Method::GET], |_| {
                    Ok(Self::ListTags {
                        name,
                        page: tag_page(&parameters)?,
                    })
                })
            }
            [ref name @ .., "blobs", "uploads"] | [ref name @ .., "blobs", "uploads", ""]
                if !name.is_empty() =>
            {
                let name = parse_name(name)?;
                route(method, "POST", &[Method::POST], |_| {
                    Ok(Self::StartUpload {
                        name,
                        start: start(&parameters)?,
                    })
                })
            }
            [ref name @ .., "blobs", "uploads", upload] if !name.is_empty() => {
                Self::upload(method, name, upload, &parameters)
            }
            [ref name @ .., "blobs", digest] if !name.is_empty() => blob(method, name, digest),
            _ => Err(OciError::NoSuchRoute {
                path: uri.path().to_owned(),
            }),
        }
    }

    fn upload(
        method: &Method,
        name: &[&str],
        upload: &str,
        parameters: &Parameters,
    ) -> Result<Self, OciError> {
        let name = parse_name(name)?;
        let upload = upload.parse().map_err(|_| OciError::UploadUnknown {
            upload: upload.to_owned(),
        })?;
        let methods = [Method::GET, Method::PATCH, Method::PUT, Method::DELETE];
        route(method, "GET, PATCH, PUT, DELETE", &methods, |method| {
            Ok(match *method {
                Method::PATCH => Self::AppendUpload { name, upload },
                Method::PUT => {
                    let digest = parameters
                        .get("digest")
                        .ok_or(OciError::DigestMissing)?
                        .parse()?;
                    Self::FinishUpload {
                        name,
                        upload,
                        digest,
                    }
                }
                Method::DELETE => Self::CancelUpload { name, upload },
                _ => Self::UploadStatus { name, upload },
            })
        })
    }

    /// What the log calls it.
    pub(super) fn route(&self) -> &'static str {
        match self {
            Self::Version => "oci.version",
            Self::Token { .. } => "oci.token",
            Self::HeadBlob { .. } => "oci.head_blob",
            Self::GetBlob { .. } => "oci.get_blob",
            Self::StartUpload { .. } => "oci.start_upload",
            Self::UploadStatus { .. } => "oci.upload_status",
            Self::AppendUpload { .. } => "oci.append_upload",
            Self::FinishUpload { .. } => "oci.finish_upload",
            Self::CancelUpload { .. } => "oci.cancel_upload",
            Self::HeadManifest { .. } => "oci.head_manifest",
            Self::GetManifest { .. } => "oci.get_manifest",
            Self::PutManifest { .. } => "oci.put_manifest",
            Self::ListTags { .. } => "oci.list_tags",
        }
    }

    /// The repository it is about.
    pub(super) fn name(&self) -> Option<&PushName> {
        match self {
            Self::Version | Self::Token { .. } => None,
            Self::HeadBlob { name, .. }
            | Self::GetBlob { name, .. }
            | Self::StartUpload { name, .. }
            | Self::UploadStatus { name, .. }
            | Self::AppendUpload { name, .. }
            | Self::FinishUpload { name, .. }
            | Self::CancelUpload { name, .. }
            | Self::HeadManifest { name, .. }
            | Self::GetManifest { name, .. }
            | Self::PutManifest { name, .. }
            | Self::ListTags { name, .. } => Some(name),
        }
    }
}

fn manifest(method: &Method, name: &[&str], reference: &str) -> Result<OciRequest, OciError> {
    let name = parse_name(name)?;
    let methods = [Method::GET, Method::HEAD, Method::PUT];
    route(method, "GET, HEAD, PUT", &methods, |method| {
        let parsed = parse_reference(reference);
        if method == Method::PUT {
            return Ok(OciRequest::PutManifest {
                name,
                reference: parsed?,
            });
        }
        // Reading what cannot exist finds nothing; only who writes it must be told what is wrong with the tag.
        if let Err(OciError::Tag(_)) = parsed {
            let (name, reference) = (name.to_string(), reference.to_owned());
            return Err(OciError::ManifestUnknown { name, reference });
        }
        let reference = parsed?;
        Ok(if method == Method::HEAD {
            OciRequest::HeadManifest { name, reference }
        } else {
            OciRequest::GetManifest { name, reference }
        })
    })
}

fn blob(method: &Method, name: &[&str], digest: &str) -> Result<OciRequest, OciError> {
    let name = parse_name(name)?;
    route(
        method,
        "GET, HEAD",
        &[Method::GET, Method::HEAD],
        |method| {
            let digest = digest.parse()?;
            Ok(if method == Method::HEAD {
                OciRequest::HeadBlob { name, digest }
            } else {
                OciRequest::GetBlob { name, digest }
            })
        },
    )
}

/// What `request` makes of the method, if it is one of those this path has.
fn route(
    method: &Method,
    allow: &'static str,
    methods: &[Method],
    request: impl FnOnce(&Method) -> Result<OciRequest, OciError>,
) -> Result<OciRequest, OciError> {
    if methods.contains(method) {
        request(method)
    } else {
        Err(OciError::Unsupported {
            method: method.clone(),
            allow,
        })
    }
}

fn parse_name(parts: &[&str]) -> Result<PushName, OciError> {
    Ok(parts.join("/").parse()?)
}

fn parse_reference(text: &str) -> Result<Reference, OciError> {
    if text.contains(':') {
        Ok(Reference::Digest(text.parse()?))
    } else {
        Ok(Reference::Tag(text.parse()?))
    }
}

fn start(parameters: &Parameters) -> Result<Start, OciError> {
    if let Some(digest) = parameters.get("mount") {
        Ok(Start::Mount {
            digest: digest.parse()?,
            from: parameters.get("from"),
        })
    } else if let Some(digest) = parameters.get("digest") {
        Ok(Start::Whole(digest.parse()?))
    } else {
        Ok(Start::Session)
    }
}

fn tag_page(parameters: &Parameters) -> Result<TagPage, OciError> {
    let n = match parameters.get("n") {
        Some(n) => Some(n.parse().map_err(|_| OciError::PageSize { n })?),
        None => None,
    };
    Ok(TagPage {
        n,
        last: parameters.get("last"),
    })
}

/// The query; what we do not know in it is not looked at.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn of(uri: &Uri) -> Result<Self, OciError> {
        let Query(pairs) = Query::try_from_uri(uri).map_err(|_| OciError::Query)?;
        Ok(Self(pairs))
    }

    fn get(&self, name: &str) -> Option<String> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    }

    fn all(&self, name: &str) -> Option<Vec<String>> {
        let found = self.0.iter().filter(|(known, _)| known == name);
        let values: Vec<String> = found.map(|(_, value)| value.clone()).collect();
        (!values.is_empty()).then_some(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const UPLOAD: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn parse(method: &Method, path: &str) -> Result<OciRequest, OciError> {
        OciRequest::parse(method, &path.parse().unwrap())
    }

    fn refusal(method: &Method, path: &str) -> (u16, &'static str) {
        let (status, code) = parse(method, path).unwrap_err().wire();
        (status.as_u16(), code)
    }

    fn name() -> PushName {
        "acme/tools/busybox".parse().unwrap()
    }

    fn digest() -> Digest {
        DIGEST.parse().unwrap()
    }

    fn tag(text: &str) -> Reference {
        Reference::Tag(text.parse().unwrap())
    }

    #[test]
    fn every_route_is_known_by_method_and_path() {
        let upload: UploadId = UPLOAD.parse().unwrap();
        let blob = format!("/v2/acme/tools/busybox/blobs/{DIGEST}");
        let session = format!("/v2/acme/tools/busybox/blobs/uploads/{UPLOAD}");
        let finish = format!("{session}?_state=x&digest={}", DIGEST.replace(':', "%3A"));
        let uploads = "/v2/acme/tools/busybox/blobs/uploads/";
        let latest = "/v2/acme/tools/busybox/manifests/latest";
        let by_digest = format!("/v2/acme/tools/busybox/manifests/{DIGEST}");
        let all_tags = TagPage {
            n: None,
            last: None,
        };
        let some_tags = TagPage {
            n: Some(2),
            last: Some("1.0".to_owned()),
        };
        let rows = [
            (Method::GET, "/v2/".to_owned(), OciRequest::Version),
            (Method::GET, "/v2".to_owned(), OciRequest::Version),
            (
                Method::HEAD,
                blob.clone(),
                OciRequest::HeadBlob {
                    name: name(),
                    digest: digest(),
                },
            ),
            (
                Method::GET,
                blob,
                OciRequest::GetBlob {
                    name: name(),
                    digest: digest(),
                },
            ),
            (
                Method::POST,
                uploads.to_owned(),
                OciRequest::StartUpload {
                    name: name(),
                    start: Start::Session,
                },
            ),
            (
                Method::POST,
                uploads.trim_end_matches('/').to_owned(),
                OciRequest::StartUpload {
                    name: name(),
                    start: Start::Session,
                },
            ),
            (
                Method::POST,
                format!("{uploads}?digest={DIGEST}"),
                OciRequest::StartUpload {
                    name: name(),
                    start: Start::Whole(digest()),
                },
            ),
            (
                Method::POST,
                format!("{uploads}?mount={DIGEST}&from=acme%2Fother"),
                OciRequest::StartUpload {
                    name: name(),
                    start: Start::Mount {
                        digest: digest(),
                        from: Some("acme/other".to_owned()),
                    },
                },
            ),
            (
                Method::GET,
                session.clone(),
                OciRequest::UploadStatus {
                    name: name(),
                    upload,
                },
            ),
            (
                Method::PATCH,
                session.clone(),
                OciRequest::AppendUpload {
                    name: name(),
                    upload,
                },
            ),
            (
                Method::PUT,
                finish,
                OciRequest::FinishUpload {
                    name: name(),
                    upload,
                    digest: digest(),
                },
            ),
            (
                Method::DELETE,
                session,
                OciRequest::CancelUpload {
                    name: name(),
                    upload,
                },
            ),
            (
                Method::HEAD,
                latest.to_owned(),
                OciRequest::HeadManifest {
                    name: name(),
                    reference: tag("latest"),
                },
            ),
            (
                Method::GET,
                latest.to_owned(),
                OciRequest::GetManifest {
                    name: name(),
                    reference: tag("latest"),
                },
            ),
            (
                Method::PUT,
                latest.to_owned(),
                OciRequest::PutManifest {
                    name: name(),
                    reference: tag("latest"),
                },
            ),
            (
                Method::PUT,
                by_digest,
                OciRequest::PutManifest {
                    name: name(),
                    reference: Reference::Digest(digest()),
                },
            ),
            (
                Method::GET,
                "/v2/acme/tools/busybox/tags/list".to_owned(),
                OciRequest::ListTags {
                    name: name(),
                    page: all_tags,
                },
            ),
            (
                Method::GET,
                "/v2/acme/tools/busybox/tags/list?n=2&last=1.0".to_owned(),
                OciRequest::ListTags {
                    name: name(),
                    page: some_tags,
                },
            ),
        ];
        for (method, path, expected) in rows {
            assert_eq!(parse(&method, &path).unwrap(), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_token_is_asked_for_with_several_scopes_or_none() {
        let none = parse(&Method::GET, "/v2/token?service=hub&account=bob").unwrap();
        let two = parse(
            &Method::GET,
            "/v2/token?scope=repository%3Aa%2Fb%3Apull&scope=c",
        )
        .unwrap();

        assert_eq!(
            none,
            OciRequest::Token {
                service: Some("hub".to_owned()),
                scopes: None
            }
        );
        let scopes = Some(vec!["repository:a/b:pull".to_owned(), "c".to_owned()]);
        assert_eq!(
            two,
            OciRequest::Token {
                service: None,
                scopes
            }
        );
    }

    #[test]
    fn a_name_may_hold_the_words_of_the_routes() {
        let request = parse(
            &Method::GET,
            "/v2/acme/blobs/uploads/manifests/manifests/list",
        )
        .unwrap();

        let name = "acme/blobs/uploads/manifests".parse().unwrap();
        assert_eq!(
            request,
            OciRequest::GetManifest {
                name,
                reference: tag("list")
            }
        );
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_code_of_its_kind() {
        let rows = [
            (
                Method::GET,
                "/v2/acme/Busybox/tags/list",
                400,
                "NAME_INVALID",
            ),
            (Method::GET, "/v2/busybox/tags/list", 400, "NAME_INVALID"),
            (
                Method::GET,
                "/v2/acme/../busybox/tags/list",
                400,
                "NAME_INVALID",
            ),
            (
                Method::GET,
                "/v2/acme/%2e%2e/busybox/tags/list",
                400,
                "NAME_INVALID",
            ),
            (
                Method::GET,
                "/v2/acme%2Fbusybox/tags/list",
                400,
                "NAME_INVALID",
            ),
            (
                Method::PUT,
                "/v2/acme/busybox/manifests/.tag",
                400,
                "NAME_INVALID",
            ),
            (
                Method::GET,
                "/v2/acme/busybox/manifests/.tag",
                404,
                "MANIFEST_UNKNOWN",
            ),
            (
                Method::GET,
                "/v2/acme/busybox/manifests/sha256:12",
                400,
                "DIGEST_INVALID",
            ),
            (
                Method::GET,
                "/v2/acme/busybox/blobs/sha256:12",
                400,
                "DIGEST_INVALID",
            ),
            (
                Method::GET,
                "/v2/acme/busybox/blobs/12",
                400,
                "DIGEST_INVALID",
            ),
            (
                Method::PATCH,
                "/v2/acme/busybox/blobs/uploads/nobody",
                404,
                "BLOB_UPLOAD_UNKNOWN",
            ),
            (
                Method::PUT,
                "/v2/acme/busybox/blobs/uploads/01890a5d-ac96-774b-bcce-b302099a8057",
                400,
                "DIGEST_INVALID",
            ),
            (
                Method::DELETE,
                "/v2/acme/busybox/manifests/latest",
                405,
                "UNSUPPORTED",
            ),
            (
                Method::DELETE,
                "/v2/acme/busybox/blobs/sha256:12",
                405,
                "UNSUPPORTED",
            ),
            (Method::POST, "/v2/token", 405, "UNSUPPORTED"),
            (Method::POST, "/v2/", 405, "UNSUPPORTED"),
            (
                Method::GET,
                "/v2/acme/busybox/tags/list?n=many",
                400,
                "PAGINATION_NUMBER_INVALID",
            ),
            (Method::GET, "/v2/acme/busybox", 404, "UNSUPPORTED"),
            (Method::GET, "/v2/tags/list", 404, "UNSUPPORTED"),
        ];
        for (method, path, status, code) in rows {
            assert_eq!(refusal(&method, path), (status, code), "{method} {path}");
        }
    }
}
