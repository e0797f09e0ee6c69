//! Everything the OCI API answers, as one enum.
//!
//! Names hold slashes, so a path is read from its end. It is not percent-decoded: no part of a name, tag or digest needs
//! it, and what is not decoded cannot be smuggled.

mod parameters;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use http::{Method, Uri};
use storage::content::UploadId;
use storage::{Digest, Tag};
use workflows::destination::PushName;

use super::error::OciError;
use parameters::Parameters;

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
    /// `/v2/<name>/…`
    Repository { name: PushName, wanted: Wanted },
}

/// What is wanted of one repository.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(prefix = "oci.", serialize_all = "snake_case")]
pub(super) enum Wanted {
    /// `HEAD …/blobs/<digest>`
    HeadBlob(Digest),
    /// `GET …/blobs/<digest>`
    GetBlob(Digest),
    /// `POST …/blobs/uploads/`: a new upload session, or a whole blob at once, or none by a mount.
    StartUpload(Start),
    /// `GET …/blobs/uploads/<id>`: how far is it?
    UploadStatus(UploadId),
    /// `PATCH …/blobs/uploads/<id>`: some bytes.
    AppendUpload(UploadId),
    /// `PUT …/blobs/uploads/<id>?digest=`: the last bytes, if any, and what it all must be.
    FinishUpload(UploadId, Digest),
    /// `DELETE …/blobs/uploads/<id>`
    CancelUpload(UploadId),
    /// `HEAD …/manifests/<reference>`
    HeadManifest(Reference),
    /// `GET …/manifests/<reference>`
    GetManifest(Reference),
    /// `PUT …/manifests/<reference>`: the commit record of a push.
    PutManifest(Reference),
    /// `GET …/tags/list`
    ListTags(TagPage),
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

/// A page of a list of tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TagPage {
    /// At most so many; none: as many as a page may have.
    pub(super) n: Option<usize>,
    /// Only those after this one.
    pub(super) last: Option<String>,
}

/// What the end of a path names.
#[derive(Clone, Copy)]
enum Resource<'a> {
    Blob(&'a str),
    Uploads,
    Upload(&'a str),
    Manifest(&'a str),
    Tags,
}

impl OciRequest {
    /// The request, or what is wrong with it.
    pub(super) fn parse(method: &Method, uri: &Uri) -> Result<Self, OciError> {
        use Resource::{Blob, Manifest, Tags, Upload, Uploads};
        let parameters = Parameters::of(uri)?;
        let path = uri.path().strip_prefix("/v2").unwrap_or_default();
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let (name, resource) = match parts[..] {
            [] | [""] => return version(method),
            ["token"] => return token(method, &parameters),
            [ref name @ .., "manifests", reference] => (name, Manifest(reference)),
            [ref name @ .., "tags", "list"] => (name, Tags),
            [ref name @ .., "blobs", "uploads"] | [ref name @ .., "blobs", "uploads", ""] => {
                (name, Uploads)
            }
            [ref name @ .., "blobs", "uploads", upload] => (name, Upload(upload)),
            [ref name @ .., "blobs", digest] => (name, Blob(digest)),
            _ => (&parts[..0], Tags),
        };
        if name.is_empty() {
            return Err(OciError::NoSuchRoute {
                path: uri.path().to_owned(),
            });
        }
        let name = name.join("/").parse()?;
        let wanted = Wanted::parse(method, &name, resource, &parameters)?;
        Ok(Self::Repository { name, wanted })
    }

    /// What the log calls it.
    pub(super) fn route(&self) -> &'static str {
        match self {
            Self::Version => "oci.version",
            Self::Token { .. } => "oci.token",
            Self::Repository { wanted, .. } => wanted.into(),
        }
    }
}

impl Wanted {
    fn parse(
        method: &Method,
        name: &PushName,
        resource: Resource<'_>,
        parameters: &Parameters,
    ) -> Result<Self, OciError> {
        use Resource::{Blob, Manifest, Tags, Upload, Uploads};
        match (resource, method.as_str()) {
            (Blob(digest), "HEAD") => Ok(Self::HeadBlob(digest.parse()?)),
            (Blob(digest), "GET") => Ok(Self::GetBlob(digest.parse()?)),
            (Blob(_), _) => Err(unsupported(method, "GET, HEAD")),

            (Uploads, "POST") => Ok(Self::StartUpload(Start::of(parameters)?)),
            (Uploads, _) => Err(unsupported(method, "POST")),

            (Upload(id), "GET") => Ok(Self::UploadStatus(upload(id)?)),
            (Upload(id), "PATCH") => Ok(Self::AppendUpload(upload(id)?)),
            (Upload(id), "PUT") => {
                let digest = parameters.get("digest").ok_or(OciError::DigestMissing);
                Ok(Self::FinishUpload(upload(id)?, digest?.parse()?))
            }
            (Upload(id), "DELETE") => Ok(Self::CancelUpload(upload(id)?)),
            (Upload(_), _) => Err(unsupported(method, "GET, PATCH, PUT, DELETE")),

            (Manifest(reference), "HEAD") => Ok(Self::HeadManifest(to_read(name, reference)?)),
            (Manifest(reference), "GET") => Ok(Self::GetManifest(to_read(name, reference)?)),
            (Manifest(reference), "PUT") => Ok(Self::PutManifest(reference.parse()?)),
            (Manifest(_), _) => Err(unsupported(method, "GET, HEAD, PUT")),

            (Tags, "GET") => Ok(Self::ListTags(TagPage::of(parameters)?)),
            (Tags, _) => Err(unsupported(method, "GET")),
        }
    }
}

fn version(method: &Method) -> Result<OciRequest, OciError> {
    match method.as_str() {
        "GET" | "HEAD" => Ok(OciRequest::Version),
        _ => Err(unsupported(method, "GET, HEAD")),
    }
}

fn token(method: &Method, parameters: &Parameters) -> Result<OciRequest, OciError> {
    match method.as_str() {
        "GET" => Ok(OciRequest::Token {
            service: parameters.get("service"),
            scopes: parameters.all("scope"),
        }),
        _ => Err(unsupported(method, "GET")),
    }
}

fn unsupported(method: &Method, allow: &'static str) -> OciError {
    let method = method.clone();
    OciError::Unsupported { method, allow }
}

/// What is no UUID cannot be a session of ours.
fn upload(id: &str) -> Result<UploadId, OciError> {
    id.parse().map_err(|_| OciError::UploadUnknown {
        upload: id.to_owned(),
    })
}

/// Reading what cannot exist finds nothing; only who writes it must be told what is wrong with the tag.
fn to_read(name: &PushName, reference: &str) -> Result<Reference, OciError> {
    let parsed = reference.parse();
    if let Err(OciError::Tag(_)) = parsed {
        return Err(OciError::ManifestUnknown {
            name: name.to_string(),
            reference: reference.to_owned(),
        });
    }
    parsed
}

impl Start {
    fn of(parameters: &Parameters) -> Result<Self, OciError> {
        if let Some(digest) = parameters.get("mount") {
            Ok(Self::Mount {
                digest: digest.parse()?,
                from: parameters.get("from"),
            })
        } else if let Some(digest) = parameters.get("digest") {
            Ok(Self::Whole(digest.parse()?))
        } else {
            Ok(Self::Session)
        }
    }
}

impl TagPage {
    fn of(parameters: &Parameters) -> Result<Self, OciError> {
        let n = match parameters.get("n") {
            Some(n) => Some(n.parse().map_err(|_| OciError::PageSize { n })?),
            None => None,
        };
        Ok(Self {
            n,
            last: parameters.get("last"),
        })
    }
}

impl FromStr for Reference {
    type Err = OciError;

    fn from_str(text: &str) -> Result<Self, OciError> {
        if text.contains(':') {
            Ok(Self::Digest(text.parse()?))
        } else {
            Ok(Self::Tag(text.parse()?))
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}
