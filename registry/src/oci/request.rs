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
use storage::{Algorithm, Digest, Tag};
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
    /// `GET /v2/token/keys`: what tokens are checked with, for everyone who checks them.
    TokenKeys,
    /// `GET /v2/_catalog`: the names there are.
    Catalog(Page),
    /// `/v2/<name>/…`
    Repository { name: PushName, wanted: Wanted },
}

/// What is wanted of one repository.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(prefix = "oci.", serialize_all = "snake_case")]
pub(super) enum Wanted {
    /// `DELETE …/blobs/<digest>`: out of this repository, unless a manifest needs it.
    DeleteBlob(Digest),
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
    /// `PUT …/manifests/<digest>?tag=…&tag=…`: the same, for several tags at once.
    TagManifest(Digest, Vec<Tag>),
    /// `DELETE …/manifests/<reference>`: the tag, or the manifest with all its tags.
    DeleteManifest(Reference),
    /// `GET …/tags/list`
    ListTags(Page),
    /// `GET …/referrers/<digest>`: what is about this manifest.
    ListReferrers(Digest, Box<Referrers>),
}

/// How an upload is to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// With a session, whose blob will be called by a digest of this algorithm.
    Session(Algorithm),
    /// `?digest=`: with the whole blob in this request.
    Whole(Digest),
    /// `?mount=&from=`: not at all, if the other repository has the blob and may be pulled from; else with a session.
    /// Without `from`, whichever other repository that is.
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

/// Which referrers are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Referrers {
    /// Only those of this type.
    pub(super) artifact_type: Option<String>,
    /// At most so many; none: as many as a page may have.
    pub(super) n: Option<usize>,
    /// Only those after this one.
    pub(super) last: Option<Digest>,
}

/// A page of a list of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
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
    Referred(&'a str),
}

/// More tags than anybody gives one image; each is a push of its own.
const MAX_TAGS: usize = 32;

impl OciRequest {
    /// The request, or what is wrong with it.
    pub(super) fn parse(method: &Method, uri: &Uri) -> Result<Self, OciError> {
        use Resource::{Blob, Manifest, Referred, Tags, Upload, Uploads};
        let parameters = Parameters::of(uri)?;
        let path = uri.path().strip_prefix("/v2").unwrap_or_default();
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let (name, resource) = match parts[..] {
            [] | [""] => return version(method),
            ["token"] => return token(method, &parameters),
            ["token", "keys"] => return token_keys(method),
            ["_catalog"] => return catalog(method, &parameters),
            [ref name @ .., "manifests", reference] => (name, Manifest(reference)),
            [ref name @ .., "tags", "list"] => (name, Tags),
            [ref name @ .., "referrers", digest] => (name, Referred(digest)),
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

    /// True if it goes on with an upload session that was opened before.
    pub(super) fn is_of_an_upload_session(&self) -> bool {
        match self {
            Self::Version | Self::Token { .. } | Self::TokenKeys | Self::Catalog(_) => false,
            Self::Repository { wanted, .. } => match wanted {
                Wanted::UploadStatus(_)
                | Wanted::AppendUpload(_)
                | Wanted::FinishUpload(..)
                | Wanted::CancelUpload(_) => true,
                Wanted::DeleteBlob(_)
                | Wanted::DeleteManifest(_)
                | Wanted::HeadBlob(_)
                | Wanted::GetBlob(_)
                | Wanted::StartUpload(_)
                | Wanted::HeadManifest(_)
                | Wanted::GetManifest(_)
                | Wanted::PutManifest(_)
                | Wanted::TagManifest(..)
                | Wanted::ListTags(_)
                | Wanted::ListReferrers(..) => false,
            },
        }
    }

    /// The name of the repository that it is about.
    pub(super) fn repository(&self) -> Option<&PushName> {
        match self {
            Self::Version | Self::Token { .. } | Self::TokenKeys | Self::Catalog(_) => None,
            Self::Repository { name, .. } => Some(name),
        }
    }

    /// What the log calls it.
    pub(super) fn route(&self) -> &'static str {
        match self {
            Self::Version => "oci.version",
            Self::Token { .. } => "oci.token",
            Self::TokenKeys => "oci.token_keys",
            Self::Catalog(_) => "oci.catalog",
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
        use Resource::{Blob, Manifest, Referred, Tags, Upload, Uploads};
        match (resource, method.as_str()) {
            (Blob(digest), "HEAD") => Ok(Self::HeadBlob(digest.parse()?)),
            (Blob(digest), "GET") => Ok(Self::GetBlob(digest.parse()?)),
            (Blob(digest), "DELETE") => Ok(Self::DeleteBlob(digest.parse()?)),
            (Blob(_), _) => Err(unsupported(method, "GET, HEAD, DELETE")),

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
            (Manifest(reference), "PUT") => put_manifest(reference.parse()?, parameters),
            (Manifest(reference), "DELETE") => Ok(Self::DeleteManifest(to_read(name, reference)?)),
            (Manifest(_), _) => Err(unsupported(method, "GET, HEAD, PUT, DELETE")),

            (Tags, "GET") => Ok(Self::ListTags(Page::of(parameters)?)),
            (Referred(subject), "GET") => {
                let wanted = Box::new(Referrers::of(parameters)?);
                Ok(Self::ListReferrers(subject.parse()?, wanted))
            }
            (Tags | Referred(_), _) => Err(unsupported(method, "GET")),
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

fn token_keys(method: &Method) -> Result<OciRequest, OciError> {
    match method.as_str() {
        "GET" | "HEAD" => Ok(OciRequest::TokenKeys),
        _ => Err(unsupported(method, "GET, HEAD")),
    }
}

fn catalog(method: &Method, parameters: &Parameters) -> Result<OciRequest, OciError> {
    match method.as_str() {
        "GET" => Ok(OciRequest::Catalog(Page::of(parameters)?)),
        _ => Err(unsupported(method, "GET")),
    }
}

/// Tags in the query go with a digest only: a tag in the path is the one that is pushed.
fn put_manifest(reference: Reference, parameters: &Parameters) -> Result<Wanted, OciError> {
    match (reference, parameters.all("tag")) {
        (Reference::Digest(digest), Some(asked)) => {
            let mut tags: Vec<Tag> = Vec::new();
            for tag in asked {
                let tag = tag.parse()?;
                if !tags.contains(&tag) {
                    tags.push(tag);
                }
            }
            if tags.len() > MAX_TAGS {
                return Err(OciError::TooManyTags { limit: MAX_TAGS });
            }
            Ok(Wanted::TagManifest(digest, tags))
        }
        (reference, _) => Ok(Wanted::PutManifest(reference)),
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
        } else if let Some(algorithm) = parameters.get("digest-algorithm") {
            let known = algorithm.parse();
            Ok(Self::Session(
                known.map_err(|_| OciError::AlgorithmUnknown { algorithm })?,
            ))
        } else {
            Ok(Self::Session(Algorithm::Sha256))
        }
    }

    /// What the blob's digest will be made with.
    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Session(algorithm) => *algorithm,
            Self::Whole(digest) | Self::Mount { digest, .. } => digest.algorithm(),
        }
    }
}

impl Page {
    fn of(parameters: &Parameters) -> Result<Self, OciError> {
        Ok(Self {
            n: page_size(parameters)?,
            last: parameters.get("last"),
        })
    }
}

impl Referrers {
    fn of(parameters: &Parameters) -> Result<Self, OciError> {
        let last = parameters.get("last").map(|last| last.parse());
        Ok(Self {
            // No media type holds a blank: it is the plus of one that was not percent-encoded.
            artifact_type: parameters
                .get("artifactType")
                .filter(|wanted| !wanted.is_empty())
                .map(|wanted| wanted.replace(' ', "+")),
            n: page_size(parameters)?,
            last: last.transpose()?,
        })
    }
}

fn page_size(parameters: &Parameters) -> Result<Option<usize>, OciError> {
    let n = parameters.get("n");
    n.map(|n| n.parse().map_err(|_| OciError::PageSize { n }))
        .transpose()
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
