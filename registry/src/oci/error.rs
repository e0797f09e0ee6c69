//! What the OCI API refuses, and the one table that says how.

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use engine::clock::Timestamp;
use engine::journal::PlanId;
use http::header::{ALLOW, CONNECTION, CONTENT_RANGE, RETRY_AFTER, WARNING, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};
use storage::TagError;
use storage::catalog::CatalogError;
use storage::content::{ContentError, UploadId};
use storage::database::DatabaseError;
use storage::{Digest, DigestError};
use tracing::error;
use workflows::destination::{NameError, ResolveError};

use super::answer;
use crate::auth::challenge::Challenge;
use crate::http::request_id;
use crate::mirror::passed_on::NotOurs;

/// No name, tag, digest or address of a task is longer.
const MAX_WORD: usize = 300;
/// Clients print a message in a line.
const MAX_MESSAGE: usize = 4096;

/// What a request is refused for. Its text is the `message` clients print: one line that stands alone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OciError {
    /// Nobody known asks, or what was shown does not count here.
    #[error("{why}")]
    Unauthorized { why: String, challenge: Challenge },
    /// Too many logins have failed from there. Only for requests without a body.
    #[error("too many logins have failed; try again in {} s", .wait.as_secs_f64().ceil())]
    TooManyFailures { wait: Duration },
    /// The user may not, whatever the token says.
    #[error("{0}")]
    Denied(String),
    /// There is no such repository, or none this user may know of.
    #[error("there is no repository `{name}` here that you may pull")]
    NameUnknown { name: String },
    /// There is no such organization or product to push to.
    #[error("{0}")]
    PlaceUnknown(String),
    /// Not the name of a repository.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A name nobody may push to.
    #[error("{0}")]
    NameTaken(String),
    /// A name by which another repository is pulled.
    #[error("{0}")]
    NamePublished(String),
    /// Not a tag.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// Not a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// An upload by an algorithm that is not known here.
    #[error(
        "`digest-algorithm={algorithm}` is not known here; this registry takes sha256 and sha512"
    )]
    AlgorithmUnknown { algorithm: String },
    /// A PUT that ends an upload without saying what it must be.
    #[error("the upload must be finished with `?digest=` and the digest of the whole blob")]
    DigestMissing,
    /// The bytes are not what the digest says.
    #[error("the bytes have digest {found}, not {expected} as the request says")]
    DigestMismatch {
        expected: Box<Digest>,
        found: Box<Digest>,
    },
    /// `Content-Range` and body differ. Nothing of the body counts.
    #[error("Content-Range is for {ranged} bytes, and {sent} were sent")]
    SizeMismatch { ranged: u64, sent: u64 },
    /// A manifest past the limit.
    #[error("a manifest has at most {limit} bytes here")]
    ManifestTooLarge { limit: usize },
    /// More tags in one request than are taken.
    #[error("a manifest is pushed with at most {limit} tags at once; push it again for the others")]
    TooManyTags { limit: usize },
    /// Not a manifest at all.
    #[error("the manifest cannot be read: {why}")]
    ManifestUnreadable { why: String },
    /// The manifest names a blob or a manifest that is not in this repository.
    #[error("the manifest names {digest}, which is not in `{name}`; push that first")]
    ManifestPartUnknown { name: String, digest: Digest },
    /// No such manifest or tag in this repository.
    #[error("there is no manifest `{reference}` in `{name}`")]
    ManifestUnknown { name: String, reference: String },
    /// No such blob in this repository.
    #[error("there is no blob {digest} in `{name}`")]
    BlobUnknown { name: String, digest: Digest },
    /// No such upload session of this user in this repository.
    #[error(
        "there is no upload session `{upload}` here; it was finished, cancelled or never begun"
    )]
    UploadUnknown { upload: String },
    /// Another request writes to the session.
    #[error("another request writes to upload session `{upload}`; wait for its end")]
    UploadBusy { upload: UploadId },
    /// Bytes that do not follow those already there.
    #[error("the upload has {offset} bytes, so the next one is byte {offset}, not {start}")]
    OutOfOrder {
        upload: UploadId,
        location: String,
        offset: u64,
        start: u64,
    },
    /// A `Content-Range` that cannot be read.
    #[error("Content-Range `{range}` is not `<first>-<last>`")]
    ContentRange { range: String },
    /// The client stopped sending.
    #[error(
        "no bytes came for {seconds} s; what came before is kept, ask the upload session how much"
    )]
    BodyIdle { seconds: u64 },
    /// The client stopped sending a manifest.
    #[error("no bytes of the manifest came for {seconds} s; nothing of it is kept, push it again")]
    ManifestIdle { seconds: u64 },
    /// The body broke off.
    #[error("the body broke off before its end")]
    BodyBroken,
    /// A `Range` beyond the blob.
    #[error("the blob has {size} bytes; the range asked for begins after its end")]
    RangeUnsatisfiable { size: u64 },
    /// `?n=` is not a number.
    #[error("`n={n}` is not a number of tags")]
    PageSize { n: String },
    /// The query is not one.
    #[error("the query of the URL cannot be read; percent-encode its values")]
    Query,
    /// The path does not take this method.
    #[error("{method} is not possible here; this path takes {allow}")]
    Unsupported { method: Method, allow: &'static str },
    /// A blob that a manifest consists of.
    #[error("blob {digest} is a part of manifest {manifest} in `{name}`; delete that first")]
    BlobNeeded {
        name: String,
        digest: Digest,
        manifest: Box<Digest>,
    },
    /// No route of the OCI API.
    #[error("`{path}` is no route of this registry's OCI API")]
    NoSuchRoute { path: String },
    /// A delete or the like waits for a person.
    #[error(
        "nothing is published of it yet: {headline}; task {task}: an operator can resume it: {url}"
    )]
    PausedDelete {
        headline: String,
        task: PlanId,
        url: String,
    },
    /// The push is paused: everything is stored, and publishing waits for a person.
    #[error(
        "the image is stored, but not published: {headline}; task {task}: an operator can resume it, or push again: {url}"
    )]
    Paused {
        headline: String,
        task: PlanId,
        step: Option<String>,
        url: String,
    },
    /// The push was ended without publishing.
    #[error(
        "the image is stored, but its push ended unpublished: {headline}; task {task}, push again to publish it: {url}"
    )]
    Ended {
        headline: String,
        task: PlanId,
        url: String,
    },
    /// The registry is being stopped, and takes no new work.
    #[error("the registry is being stopped; push again once it runs")]
    Stopping,
    /// The disk is full.
    #[error(
        "the registry's disk is full; nothing that was acknowledged is lost, and pushes go on once there is space"
    )]
    Full,
    /// Too much is on its way to Pulp.
    #[error(
        "{most_bytes} bytes wait here for Pulp, and no more may (content.spool_bytes); push again once Pulp has taken them"
    )]
    SpoolFull { most_bytes: u64 },
    /// A blob that could never go on to Pulp.
    #[error(
        "the blob is larger than the {most_bytes} bytes that may wait here for Pulp; an operator can set content.spool_bytes higher"
    )]
    BlobTooLarge { most_bytes: u64 },
    /// A smart proxy passes it on, and nobody takes it.
    #[error(
        "this is a smart proxy, which passes this on to its main server: {why}; try again once that is back{}",
        held_till_then(*.synced_at)
    )]
    MainServerDown {
        why: String,
        synced_at: Option<Timestamp>,
        /// The request may have a body.
        writes: bool,
    },
    /// A smart proxy does not hold it.
    #[error("{source}: this is a smart proxy, and it holds what its main server published{}", as_of(*.synced_at))]
    NotHeld {
        source: Box<OciError>,
        synced_at: Option<Timestamp>,
    },
    /// A smart proxy that serves nobody, because it is none of a main server's.
    #[error("this smart proxy serves nobody now: {why}")]
    NotServing { why: String },
    /// Something here is broken; what, is in the log.
    #[error(
        "the registry failed to answer; its log says why{}",
        under_request_id()
    )]
    Internal(#[source] Box<dyn Error + Send + Sync>),
}

fn as_of(synced_at: Option<Timestamp>) -> String {
    match synced_at {
        Some(at) => format!(" when it last synced, at {at}"),
        None => ", which is nothing so far, because it has never synced".to_owned(),
    }
}

fn held_till_then(synced_at: Option<Timestamp>) -> String {
    match synced_at {
        Some(at) => format!(" (pulls of what it held at {at} go on)"),
        None => String::new(),
    }
}

fn under_request_id() -> String {
    request_id().map_or_else(String::new, |id| format!(", under request {id}"))
}

impl OciError {
    /// Something here is broken.
    pub(super) fn internal(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(error.into())
    }

    /// The table: the status and the code of each refusal.
    ///
    /// Never 429 or 503 on a request with a body, and never `MANIFEST_INVALID` for what is not an unreadable manifest:
    /// clients answer those by sending everything again, or in another format.
    #[rustfmt::skip]
    pub(crate) fn wire(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Name(_) | Self::NameTaken(_) | Self::Tag(_)
                                            => (StatusCode::BAD_REQUEST, "NAME_INVALID"),
            Self::NamePublished(_)          => (StatusCode::CONFLICT, "NAME_INVALID"),
            Self::Digest(_) | Self::AlgorithmUnknown { .. } | Self::DigestMissing | Self::DigestMismatch { .. }
                                            => (StatusCode::BAD_REQUEST, "DIGEST_INVALID"),
            Self::SizeMismatch { .. }       => (StatusCode::BAD_REQUEST, "SIZE_INVALID"),
            Self::ManifestUnreadable { .. } => (StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
            Self::ContentRange { .. } | Self::BodyBroken
                                            => (StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID"),
            Self::PageSize { .. }           => (StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID"),
            Self::Query                     => (StatusCode::BAD_REQUEST, "UNSUPPORTED"),
            Self::Unauthorized { .. }       => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
            Self::TooManyFailures { .. }    => (StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"),
            Self::Denied(_)                 => (StatusCode::FORBIDDEN, "DENIED"),
            Self::NameUnknown { .. } | Self::PlaceUnknown(_)
                                            => (StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
            Self::ManifestPartUnknown { .. } => (StatusCode::NOT_FOUND, "MANIFEST_BLOB_UNKNOWN"),
            Self::ManifestUnknown { .. }    => (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            Self::BlobUnknown { .. }        => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            Self::UploadUnknown { .. }      => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            Self::NoSuchRoute { .. }        => (StatusCode::NOT_FOUND, "UNSUPPORTED"),
            Self::Unsupported { .. } | Self::BlobNeeded { .. }
                                            => (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
            Self::BodyIdle { .. }           => (StatusCode::REQUEST_TIMEOUT, "BLOB_UPLOAD_INVALID"),
            Self::ManifestIdle { .. }       => (StatusCode::REQUEST_TIMEOUT, "UNKNOWN"),
            Self::UploadBusy { .. }         => (StatusCode::CONFLICT, "BLOB_UPLOAD_INVALID"),
            Self::ManifestTooLarge { .. } | Self::BlobTooLarge { .. }
                                            => (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID"),
            Self::TooManyTags { .. }        => (StatusCode::URI_TOO_LONG, "SIZE_INVALID"),
            Self::OutOfOrder { .. }         => (StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
            Self::RangeUnsatisfiable { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_INVALID"),
            // Clients throw the body of every 5xx away.
            Self::Paused { .. } | Self::PausedDelete { .. } | Self::Ended { .. }
            | Self::MainServerDown { writes: true, .. }
                                            => (StatusCode::FAILED_DEPENDENCY, "UNKNOWN"),
            Self::MainServerDown { writes: false, .. } | Self::NotServing { .. }
                                            => (StatusCode::SERVICE_UNAVAILABLE, "UNKNOWN"),
            Self::NotHeld { source, .. }    => source.wire(),
            Self::Internal(_) | Self::Stopping
                                            => (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"),
            Self::Full | Self::SpoolFull { .. }
                                            => (StatusCode::INSUFFICIENT_STORAGE, "UNKNOWN"),
        }
    }

    /// What programs may want to know beside the message.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "most refusals say all in their message"
    )]
    fn detail(&self) -> Value {
        match self {
            Self::Paused {
                task, step, url, ..
            } => {
                json!({ "task": task.to_string(), "step": step, "help": url })
            }
            Self::Ended { task, url, .. } => json!({ "task": task.to_string(), "help": url }),
            Self::ManifestPartUnknown { digest, .. } | Self::BlobUnknown { digest, .. } => {
                json!({ "digest": digest })
            }
            Self::OutOfOrder { offset, .. } => json!({ "offset": offset }),
            _ => Value::Null,
        }
    }

    /// What the refusal warns of, in the same words as its message.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only what is stored and not published is more than refused"
    )]
    pub(super) fn warning(&self) -> Option<String> {
        match self {
            Self::Paused { .. } | Self::Ended { .. } => Some(self.to_string()),
            _ => None,
        }
    }

    /// What the refusal says in headers.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "most refusals have no header of their own"
    )]
    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        match self {
            Self::Unauthorized { challenge, .. } => vec![(WWW_AUTHENTICATE, challenge.header())],
            Self::TooManyFailures { wait } => {
                let seconds = wait.as_millis().div_ceil(1000);
                vec![(RETRY_AFTER, answer::ascii(&seconds.to_string()))]
            }
            Self::Unsupported { allow, .. } => vec![(ALLOW, HeaderValue::from_static(allow))],
            Self::BlobNeeded { .. } => vec![(ALLOW, HeaderValue::from_static("GET, HEAD"))],
            Self::OutOfOrder {
                upload,
                location,
                offset,
                ..
            } => answer::session(*upload, location, *offset),
            Self::RangeUnsatisfiable { size } => {
                vec![(CONTENT_RANGE, answer::ascii(&format!("bytes */{size}")))]
            }
            Self::Paused { .. } | Self::Ended { .. } => {
                vec![(WARNING, answer::warning(&self.to_string()))]
            }
            // The rest of the body is not wanted, and the next request could not be told from it.
            Self::BodyIdle { .. }
            | Self::ManifestIdle { .. }
            | Self::SizeMismatch { .. }
            | Self::BodyBroken
            | Self::ManifestTooLarge { .. }
            | Self::BlobTooLarge { .. }
            | Self::SpoolFull { .. }
            | Self::Full => {
                vec![(CONNECTION, HeaderValue::from_static("close"))]
            }
            _ => Vec::new(),
        }
    }
}

impl From<NotOurs> for OciError {
    fn from(error: NotOurs) -> Self {
        match error {
            NotOurs::Stranger => Self::Denied(error.to_string()),
            NotOurs::Catalog(error) => error.into(),
        }
    }
}

impl From<CatalogError> for OciError {
    fn from(error: CatalogError) -> Self {
        if error.is_full() {
            Self::Full
        } else {
            Self::internal(error)
        }
    }
}

impl From<DatabaseError> for OciError {
    fn from(error: DatabaseError) -> Self {
        CatalogError::from(error).into()
    }
}

impl From<ContentError> for OciError {
    fn from(error: ContentError) -> Self {
        if error.is_full() {
            Self::Full
        } else {
            Self::internal(error)
        }
    }
}

impl From<ResolveError> for OciError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::UnknownOrganization { .. } | ResolveError::UnknownProduct { .. } => {
                Self::PlaceUnknown(error.to_string())
            }
            ResolveError::LabelOfEnvironment { .. } => Self::NameTaken(error.to_string()),
            ResolveError::PublishedName { .. } => Self::NamePublished(error.to_string()),
            ResolveError::Name(error) => error.into(),
            ResolveError::Catalog(error) => error.into(),
        }
    }
}

impl IntoResponse for OciError {
    fn into_response(self) -> Response {
        let (status, code) = self.wire();
        if let Self::Internal(cause) = &self {
            let cause = &**cause as &dyn Error;
            error!(cause = %chain(cause), "a request to the OCI API failed");
        }
        let body = json!({
            "errors": [{ "code": code, "message": shortened(&self.to_string()), "detail": self.detail() }]
        });
        let mut response = (status, Json(body)).into_response();
        for (name, value) in self.headers() {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// The message without what a client has sent at length: each word, such as a path, up to [`MAX_WORD`] characters, and all of it
/// up to [`MAX_MESSAGE`].
fn shortened(message: &str) -> String {
    let words = message.split(' ').map(|word| cut(word, MAX_WORD));
    cut(&words.collect::<Vec<_>>().join(" "), MAX_MESSAGE).into_owned()
}

fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    match text.char_indices().nth(limit) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// The error and what caused it, in one line.
fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sends_at_length_is_not_sent_back() {
        let path = format!("/v2/{}", "ä".repeat(60_000));
        let words = "x ".repeat(60_000);

        let of_path = shortened(&OciError::NoSuchRoute { path }.to_string());
        let of_words = shortened(&OciError::ContentRange { range: words }.to_string());

        assert!(of_path.chars().count() < 400, "{of_path}");
        assert!(
            of_path.ends_with("… is no route of this registry's OCI API"),
            "{of_path}"
        );
        assert_eq!(of_words.chars().count(), MAX_MESSAGE + 1);
        let short = OciError::DigestMissing.to_string();
        assert_eq!(shortened(&short), short);
    }
}
