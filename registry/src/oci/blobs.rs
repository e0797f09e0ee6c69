//! `/v2/<name>/blobs/<digest>`: a blob, if it belongs to this repository.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, LOCATION, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use storage::Digest;
use storage::catalog::DestinationId;
use storage::catalog::audit::{self, Action, NewEntry, Outcome};
use storage::content::ContentError;
use storage::content::blobs::{is_part_of, locate, needed_by, stat, unlink};
use storage::database::Tx;
use tracing::error;
use workflows::destination::{PushName, Resolved};

use super::access::Caller;
use super::answer::{self, DOCKER_CONTENT_DIGEST};
use super::error::OciError;
use super::range::{self, Wanted};
use crate::config::ContentBackend;

/// `HEAD`: is it here, and how large is it? What the disk has lost is not, so that a push brings it again. A yes is a promise: for a
/// while it stays here, so that the manifest that is pushed next finds it.
pub(super) async fn head(
    caller: &Caller<'_>,
    name: &PushName,
    digest: &Digest,
) -> Result<Response, OciError> {
    let mut tx = caller.app.services.database.look_up().await?;
    let found = caller.pull_before_push(&mut tx, name).await?;
    let (destination, size) = find(&mut tx, name, found, digest).await?;
    let located = locate(&mut tx, destination, digest).await?;
    drop(tx);
    if let Some(located) = located
        && !caller.app.services.content.is_whole(&located).await?
    {
        return Err(unknown(name, digest));
    }
    let services = &caller.app.services;
    let promised = services
        .content
        .promise(destination, digest, services.clock.now());
    if !promised.await? {
        return Err(unknown(name, digest));
    }
    if let Some(response) = answer::not_modified(&caller.head.headers, digest) {
        return Ok(response);
    }
    Ok((headers(digest), [(CONTENT_LENGTH, HeaderValue::from(size))]).into_response())
}

/// `DELETE`: the repository does not have it any more, until a version is brought back that needs it. What a manifest here consists
/// of stays.
pub(super) async fn delete(
    caller: &Caller<'_>,
    name: &PushName,
    digest: &Digest,
) -> Result<Response, OciError> {
    let app = caller.app;
    let found = {
        let mut tx = app.services.database.look_up().await?;
        let found = caller.delete_from(&mut tx, name).await?;
        find(&mut tx, name, found, digest).await?.0
    };
    let (at, digest) = (app.services.clock.now(), *digest);
    let entry = NewEntry {
        actor: caller.login().to_owned(),
        action: Action::Delete,
        subject: format!("blob {digest} in repository {name}"),
        from: caller.address().map(|it| it.to_string()),
        result: Outcome::Done,
        task: None,
        reason: None,
    };
    let deleted = app
        .services
        .database
        .transact::<Result<bool, Digest>, ContentError>(move |tx| {
            Box::pin(async move {
                if let Some(manifest) = needed_by(tx, found, &digest).await? {
                    return Ok(Err(manifest));
                }
                let unlinked = unlink(tx, found, &digest, at).await?;
                audit::record(tx, &entry, at).await?;
                Ok(Ok(unlinked))
            })
        });
    match deleted.await?? {
        Ok(true) => Ok(StatusCode::ACCEPTED.into_response()),
        Ok(false) => Err(unknown(name, &digest)),
        Err(manifest) => Err(OciError::BlobNeeded {
            name: name.to_string(),
            digest,
            manifest: Box::new(manifest),
        }),
    }
}

/// `GET`: all of it, or one range.
pub(super) async fn get(
    caller: &Caller<'_>,
    name: &PushName,
    digest: &Digest,
) -> Result<Response, OciError> {
    let mut tx = caller.app.services.database.look_up().await?;
    let found = caller.pull_from(&mut tx, name).await?;
    let (destination, size) = find(&mut tx, name, found, digest).await?;
    drop(tx);
    if let Some(response) = answer::not_modified(&caller.head.headers, digest) {
        return Ok(response);
    }
    let content = &caller.app.services.content;
    if let ContentBackend::Pulp(pulp) = &caller.app.config.content
        && pulp.redirects
        && let Some(url) = content.blob_url(destination, digest).await?
    {
        let to = [(LOCATION, answer::ascii(&url))];
        return Ok((StatusCode::TEMPORARY_REDIRECT, to, headers(digest)).into_response());
    }
    let wanted = match range::wanted(range_asked(&caller.head.headers, digest), size) {
        Wanted::Whole => None,
        Wanted::Part(part) => Some(part),
        Wanted::Beyond => return Err(OciError::RangeUnsatisfiable { size }),
    };
    let read = content
        .read_blob(destination, digest, wanted.clone())
        .await?;
    let read = read.ok_or_else(|| unknown(name, digest))?;
    let length = read.range.end - read.range.start;
    let (of, which) = (name.clone(), *digest);
    let body = Body::from_stream(read.chunks.inspect_err(move |broken| {
        error!(repository = %of, digest = %which, error = %broken, "a blob could not be read to its end");
    }));
    let length = [(CONTENT_LENGTH, HeaderValue::from(length))];
    Ok(match wanted {
        None => (StatusCode::OK, headers(digest), length, body).into_response(),
        Some(part) => {
            let range = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            let range = [(CONTENT_RANGE, answer::ascii(&range))];
            (
                StatusCode::PARTIAL_CONTENT,
                headers(digest),
                length,
                range,
                body,
            )
                .into_response()
        }
    })
}

/// False: the name is that of an environment, and the blob is no part of what that publishes of the destination.
pub(super) async fn is_shown(
    tx: &mut Tx,
    found: &Resolved,
    destination: DestinationId,
    digest: &Digest,
) -> Result<bool, OciError> {
    if found.environment.is_none() {
        return Ok(true);
    }
    Ok(match found.shown(tx).await? {
        Some(version) => is_part_of(tx, destination, version, digest).await?,
        None => false,
    })
}

/// Where the blob is linked, and its size; unknown if that is not this repository. By the name of an environment only parts of
/// what that publishes are read.
async fn find(
    tx: &mut Tx,
    name: &PushName,
    found: Resolved,
    digest: &Digest,
) -> Result<(DestinationId, u64), OciError> {
    let Some(destination) = found.destination.clone() else {
        return Err(OciError::NameUnknown {
            name: name.to_string(),
        });
    };
    if !is_shown(tx, &found, destination.id, digest).await? {
        return Err(unknown(name, digest));
    }
    let blob = stat(tx, destination.id, digest).await?;
    let blob = blob.ok_or_else(|| unknown(name, digest))?;
    Ok((destination.id, blob.size_bytes))
}

fn unknown(name: &PushName, digest: &Digest) -> OciError {
    OciError::BlobUnknown {
        name: name.to_string(),
        digest: *digest,
    }
}

fn headers(digest: &Digest) -> [(HeaderName, HeaderValue); 4] {
    [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        ),
        (DOCKER_CONTENT_DIGEST, answer::ascii(&digest.to_string())),
        (ETAG, answer::etag(digest)),
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
    ]
}

/// The range to answer with: none if it is only wanted of another blob.
fn range_asked<'a>(headers: &'a HeaderMap, digest: &Digest) -> Option<&'a str> {
    let of_this = headers
        .get(IF_RANGE)
        .is_none_or(|tag| *tag == answer::etag(digest));
    headers.get(RANGE).filter(|_| of_this)?.to_str().ok()
}
