//! `/v2/<name>/blobs/uploads/`: a blob on its way in.

use std::pin::pin;

use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use http::StatusCode;
use http::header::{CONTENT_RANGE, LOCATION};
use storage::Digest;
use storage::content::{Blob, Upload, UploadError, UploadId, find_upload};
use workflows::destination::PushName;

use super::access::Caller;
use super::answer::{self, DOCKER_CONTENT_DIGEST};
use super::body::{Body, BodyError};
use super::error::OciError;
use super::mounts;
use super::range;
use super::request::Start;

/// `POST`: a session; or the whole blob in one request; or no upload at all, if another repository has the blob and the
/// caller may pull from there.
///
/// Makes no product and no repository, but judges all that the push will need, before a byte is sent.
pub(super) async fn start(
    caller: &Caller<'_>,
    name: &PushName,
    start: Start,
    body: Body,
) -> Result<Response, OciError> {
    let to = {
        let mut tx = caller.app.services.database.look_up().await?;
        caller.push_to(&mut tx, name).await?
    };
    let to = caller.make_destination(to).await?;
    if let Start::Mount { digest, from } = &start
        && mounts::mount(caller, from.as_deref(), &to, digest).await?
    {
        return Ok(created(name, digest));
    }
    let services = &caller.app.services;
    let user = caller.user()?.id;
    let upload = services
        .content
        .open_upload_by(to.id, user, start.algorithm(), services.clock.now())
        .await?;
    match start {
        Start::Whole(digest) => {
            take_in(caller, name, &upload, body).await?;
            seal(caller, name, &upload, &digest).await?;
            Ok(created(name, &digest))
        }
        Start::Session(_) | Start::Mount { .. } => Ok(session(StatusCode::ACCEPTED, name, &upload)),
    }
}

/// `GET`: how many bytes are durable. Who asks wants to go on: a request that has fallen silent is ended, so that the answer
/// stays true.
pub(super) async fn status(
    caller: &Caller<'_>,
    name: &PushName,
    upload: UploadId,
) -> Result<Response, OciError> {
    let mut found = find(caller, name, upload).await?;
    if caller.app.services.content.settle(upload).await {
        found = find(caller, name, upload).await?;
    }
    Ok(session(StatusCode::NO_CONTENT, name, &found))
}

/// `PATCH`: adds the body, as far as it comes.
pub(super) async fn append(
    caller: &Caller<'_>,
    name: &PushName,
    upload: UploadId,
    body: Body,
) -> Result<Response, OciError> {
    let upload = find(caller, name, upload).await?;
    let offset = take_in(caller, name, &upload, body).await?;
    Ok(session(
        StatusCode::ACCEPTED,
        name,
        &Upload { offset, ..upload },
    ))
}

/// `PUT`: adds the body, if there is one, and makes a blob of it all. The blob is durable before this is answered.
///
/// Repeated, because the answer was lost, it is answered as it was: the session is gone, and the blob is here.
pub(super) async fn finish(
    caller: &Caller<'_>,
    name: &PushName,
    upload: UploadId,
    digest: &Digest,
    body: Body,
) -> Result<Response, OciError> {
    let (rest, done) = match find(caller, name, upload).await {
        Ok(found) => (
            None,
            finish_session(caller, name, &found, digest, body).await,
        ),
        Err(error) => (Some(body), Err(error)),
    };
    match done {
        Err(unknown @ OciError::UploadUnknown { .. }) => {
            if !was_finished(caller, name, upload, digest).await? {
                return Err(unknown);
            }
            if let Some(rest) = rest {
                // A client that is still sending would miss the answer.
                let mut rest = pin!(rest.into_stream());
                while let Some(Ok(_)) = rest.next().await {}
            }
            Ok(created(name, digest))
        }
        Ok(()) => Ok(created(name, digest)),
        Err(error) => Err(error),
    }
}

async fn finish_session(
    caller: &Caller<'_>,
    name: &PushName,
    upload: &Upload,
    digest: &Digest,
    body: Body,
) -> Result<(), OciError> {
    if !body.is_empty() {
        take_in(caller, name, upload, body).await?;
    }
    seal(caller, name, upload, digest).await.map(drop)
}

/// True if no session has this id any more, and what it was to make is in this repository, to which the caller may push.
async fn was_finished(
    caller: &Caller<'_>,
    name: &PushName,
    id: UploadId,
    digest: &Digest,
) -> Result<bool, OciError> {
    let to = {
        let mut tx = caller.app.services.database.look_up().await?;
        let to = caller.push_to(&mut tx, name).await?;
        if find_upload(&mut tx, id).await?.is_some() {
            return Ok(false);
        }
        to.destination
    };
    let Some(to) = to else { return Ok(false) };
    let content = &caller.app.services.content;
    Ok(content.blob(to.id, digest).await?.is_some())
}

/// `DELETE`: gives the session up.
pub(super) async fn cancel(
    caller: &Caller<'_>,
    name: &PushName,
    upload: UploadId,
) -> Result<Response, OciError> {
    let found = find(caller, name, upload).await?;
    let cancelled = caller.app.services.content.cancel(upload).await;
    if cancelled.map_err(|error| refused(name, &found, error))? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(OciError::UploadUnknown {
            upload: upload.to_string(),
        })
    }
}

/// The session, if it is the caller's own and to this repository.
async fn find(caller: &Caller<'_>, name: &PushName, id: UploadId) -> Result<Upload, OciError> {
    let (to, upload) = {
        let mut tx = caller.app.services.database.look_up().await?;
        let to = caller.push_to(&mut tx, name).await?;
        (to, find_upload(&mut tx, id).await?)
    };
    let user = caller.user()?.id;
    let found = upload
        .filter(|upload| upload.user == user)
        .filter(|upload| {
            to.destination
                .is_some_and(|destination| destination.id == upload.destination)
        });
    caller.may_go_on_with(found.as_ref())?;
    found.ok_or_else(|| OciError::UploadUnknown {
        upload: id.to_string(),
    })
}

/// Adds the body to the session, and answers how many bytes are durable now.
async fn take_in(
    caller: &Caller<'_>,
    name: &PushName,
    upload: &Upload,
    body: Body,
) -> Result<u64, OciError> {
    let (first, length) = match caller.head.headers.get(CONTENT_RANGE) {
        Some(value) => {
            let (first, length) = range::sent(&String::from_utf8_lossy(value.as_bytes()))?;
            match body.length() {
                Some(sent) if sent != length => {
                    return Err(OciError::SizeMismatch {
                        ranged: length,
                        sent,
                    });
                }
                Some(_) | None => (Some(first), Some(length)),
            }
        }
        None => (None, None),
    };
    let services = &caller.app.services;
    let appended = services
        .content
        .append_exactly(
            upload.id,
            first,
            length,
            body.into_stream(),
            services.clock.now(),
        )
        .await;
    appended.map_err(|error| refused(name, upload, error))
}

async fn seal(
    caller: &Caller<'_>,
    name: &PushName,
    upload: &Upload,
    digest: &Digest,
) -> Result<Blob, OciError> {
    let services = &caller.app.services;
    let finished = services
        .content
        .finish(upload.id, digest, services.clock.now())
        .await;
    finished.map_err(|error| refused(name, upload, error))
}

fn refused(name: &PushName, upload: &Upload, error: UploadError) -> OciError {
    match error {
        UploadError::Unknown { id } => OciError::UploadUnknown {
            upload: id.to_string(),
        },
        UploadError::Busy { id } => OciError::UploadBusy { upload: id },
        UploadError::OutOfOrder { id, offset, given } => OciError::OutOfOrder {
            upload: id,
            location: location(name, upload.id),
            offset,
            start: given,
        },
        UploadError::OtherLength { wanted, found, .. } => OciError::SizeMismatch {
            ranged: wanted,
            sent: found,
        },
        UploadError::BrokenOff { source, .. } => match source.downcast_ref::<BodyError>() {
            Some(broken) => (*broken).into(),
            None => OciError::BodyBroken,
        },
        UploadError::Mismatch { wanted, found, .. } => OciError::DigestMismatch {
            expected: Box::new(wanted),
            found: Box::new(found),
        },
        UploadError::TooLarge { most_bytes, .. } => OciError::BlobTooLarge { most_bytes },
        UploadError::NoRoom { most_bytes, .. } => OciError::SpoolFull { most_bytes },
        UploadError::Content(error) => error.into(),
    }
}

fn location(name: &PushName, upload: UploadId) -> String {
    format!("/v2/{name}/blobs/uploads/{upload}")
}

/// Where the session goes on. Relative, so that it fits whatever stands before us.
fn session(status: StatusCode, name: &PushName, upload: &Upload) -> Response {
    let mut response = status.into_response();
    let headers = answer::session(upload.id, &location(name, upload.id), upload.offset);
    response.headers_mut().extend(headers);
    response
}

fn created(name: &PushName, digest: &Digest) -> Response {
    let headers = [
        (
            LOCATION,
            answer::ascii(&format!("/v2/{name}/blobs/{digest}")),
        ),
        (DOCKER_CONTENT_DIGEST, answer::ascii(&digest.to_string())),
    ];
    (StatusCode::CREATED, headers).into_response()
}
