//! `/v2/<name>/manifests/<reference>`: PUT is the commit record of a push.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use engine::journal::PlanId;
use engine::node::NodeError;
use engine::store::StoreError;
use futures_util::future::try_join_all;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION, USER_AGENT, WARNING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use storage::catalog::answers::Answered;
use storage::catalog::manifests::{self, Content, Manifest};
use storage::catalog::touched::Touched;
use storage::catalog::{pushed, versions};
use storage::database::Tx;
use storage::{Algorithm, Digest, Tag};
use tokio_util::sync::CancellationToken;
use workflows::destination::{PushName, Resolved};
use workflows::push::{self, Client, NewPush, PushError, Submitted};

use super::access::Caller;
use super::answer::{self, DOCKER_CONTENT_DIGEST};
use super::body::Body;
use super::error::OciError;
use super::manifest_memory::Held;
use super::outcome;
use super::request::Reference;
use crate::http::{Draining, Peer};

/// Name and version of a client are kept with each of its pushes up to so many characters.
const MAX_CLIENT: usize = 256;

/// The manifest that what was pushed is about: tells the client that it is listed among that one's referrers.
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// The tags that were pushed, where there were several.
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// `GET` and `HEAD`: the bytes as they came. A tag is what is published by this name; what only lies in the push repository is
/// shown by its digest alone, so that nobody skips the PUT that would publish it. By the name of an environment nothing is read
/// but what that publishes.
pub(super) async fn get(
    caller: &Caller<'_>,
    name: &PushName,
    reference: &Reference,
) -> Result<Response, OciError> {
    let unknown = || OciError::ManifestUnknown {
        name: name.to_string(),
        reference: reference.to_string(),
    };
    let mut tx = caller.app.services.database.look_up().await?;
    let found = caller.pull_from(&mut tx, name).await?;
    let Some(destination) = found.destination.as_ref().map(|it| it.id) else {
        return Err(OciError::NameUnknown {
            name: name.to_string(),
        });
    };
    let digest = find(&mut tx, &found, reference)
        .await?
        .ok_or_else(unknown)?;
    let pulled = match reference {
        Reference::Tag(tag) => Touched::Tag(tag.clone()),
        Reference::Digest(digest) => Touched::Manifest(*digest),
    };
    let (app, now) = (caller.app, caller.app.services.clock.now());
    if let Some(response) = answer::not_modified(&caller.head.headers, &digest) {
        app.pulls.note(destination, pulled, now);
        return Ok(response);
    }
    let Content { media_type, bytes } = manifests::content(&mut tx, destination, &digest)
        .await?
        .ok_or_else(unknown)?;
    app.pulls.note(destination, pulled, now);
    let headers = [
        (CONTENT_TYPE, answer::ascii(&media_type)),
        (CONTENT_LENGTH, HeaderValue::from(bytes.len())),
        (DOCKER_CONTENT_DIGEST, answer::ascii(&digest.to_string())),
        (ETAG, answer::etag(&digest)),
    ];
    Ok((headers, bytes).into_response())
}

/// The digest the reference means, if it may be pulled here.
async fn find(
    tx: &mut Tx,
    found: &Resolved,
    reference: &Reference,
) -> Result<Option<Digest>, OciError> {
    match reference {
        Reference::Tag(tag) => {
            let (Some(repository), Some(version)) = (found.repository, found.shown(tx).await?)
            else {
                return Ok(None);
            };
            Ok(versions::tag(tx, repository, version, tag).await?)
        }
        Reference::Digest(digest) => {
            let here = match (&found.environment, &found.destination) {
                (None, Some(destination)) => pushed::contains(tx, destination.id, digest).await?,
                (Some(_), _) => is_shown(tx, found, digest).await?,
                (None, None) => false,
            };
            Ok(here.then_some(*digest))
        }
    }
}

/// True if what the name shows has this manifest.
pub(super) async fn is_shown(
    tx: &mut Tx,
    found: &Resolved,
    digest: &Digest,
) -> Result<bool, OciError> {
    let (Some(repository), Some(version)) = (found.repository, found.shown(tx).await?) else {
        return Ok(false);
    };
    Ok(versions::has_manifest(tx, repository, version, digest).await?)
}

/// `PUT`: answered once the tag is pullable, or the push has paused, or `push_wait` is over. By digest it is answered at
/// once: it is pullable by its digest then, and filed with the next tag.
pub(super) async fn put(
    caller: &Caller<'_>,
    name: &PushName,
    reference: Reference,
    body: Body,
) -> Result<Response, OciError> {
    match reference {
        Reference::Tag(tag) => take(caller, name, None, vec![tag], body).await,
        Reference::Digest(digest) => take(caller, name, Some(digest), Vec::new(), body).await,
    }
}

/// `PUT` by digest with tags: each tag is a push of its own, and all of them are waited for together.
pub(super) async fn put_with_tags(
    caller: &Caller<'_>,
    name: &PushName,
    digest: Digest,
    tags: Vec<Tag>,
    body: Body,
) -> Result<Response, OciError> {
    let accepted: Vec<_> = tags.iter().map(Tag::as_str).collect();
    let accepted = answer::ascii(&accepted.join(", "));
    let mut response = take(caller, name, Some(digest), tags, body).await?;
    response.headers_mut().insert(OCI_TAG, accepted);
    Ok(response)
}

/// Takes the manifest in the body, which must be that of `expected`, and publishes it under each of the tags.
async fn take(
    caller: &Caller<'_>,
    name: &PushName,
    expected: Option<Digest>,
    tags: Vec<Tag>,
    body: Body,
) -> Result<Response, OciError> {
    let app = caller.app;
    let to = {
        let mut tx = app.services.database.look_up().await?;
        caller.push_to(&mut tx, name).await?
    };
    let held = app.manifest_memory.take_in(body).await;
    let Held { bytes, place } = held.map_err(of_manifest)?;
    let algorithm = expected.map_or(Algorithm::Sha256, |expected| expected.algorithm());
    let digest = Digest::with(algorithm, &bytes);
    if let Some(expected) = expected.filter(|expected| *expected != digest) {
        return Err(OciError::DigestMismatch {
            expected: Box::new(expected),
            found: Box::new(digest),
        });
    }
    let media_type = media_type(&caller.head.headers, &bytes);
    let manifest = Manifest::read(digest, &media_type, bytes).map_err(|unreadable| {
        OciError::ManifestUnreadable {
            why: unreadable.to_string(),
        }
    })?;
    let subject = manifest.subject;
    let new = NewPush {
        user: caller.user()?.clone(),
        to: caller.make_destination(to).await?,
        tag: None,
        manifest: Arc::new(manifest),
        client: client(caller),
    };
    let warning = if tags.is_empty() {
        submit(caller, name, new).await?;
        None
    } else {
        let mut plans = Vec::new();
        for tag in tags {
            let tag = Some(tag);
            plans.extend(submit(caller, name, NewPush { tag, ..new.clone() }).await?);
        }
        // What follows may take long, and needs the manifest no more.
        drop((new, place));
        all_published(caller, plans).await?
    };
    let headers = [
        (
            LOCATION,
            answer::ascii(&format!("/v2/{name}/manifests/{digest}")),
        ),
        (DOCKER_CONTENT_DIGEST, answer::ascii(&digest.to_string())),
    ];
    let mut response = (StatusCode::CREATED, headers).into_response();
    if let Some(subject) = subject {
        response
            .headers_mut()
            .insert(OCI_SUBJECT, answer::ascii(&subject.to_string()));
    }
    if let Some(warning) = warning {
        let warning = answer::warning(&warning);
        response.headers_mut().insert(WARNING, warning);
    }
    Ok(response)
}

/// Submits the push, and answers its plan if there is one to wait for.
async fn submit(
    caller: &Caller<'_>,
    name: &PushName,
    new: NewPush,
) -> Result<Option<PlanId>, OciError> {
    let submitted = push::submit(&caller.app.node, new).await;
    match submitted.map_err(|error| refused(name, error))? {
        Submitted::Unchanged | Submitted::Kept => Ok(None),
        Submitted::Plan { id, .. } => Ok(Some(id)),
    }
}

/// Waits until each of the pushes is published or cannot be, and notes with their tasks what the client is told of it: the
/// warnings of all of them, or the first refusal.
async fn all_published(
    caller: &Caller<'_>,
    plans: Vec<PlanId>,
) -> Result<Option<String>, OciError> {
    let waited = plans.iter().map(|plan| published(caller, *plan));
    let told = try_join_all(waited).await.map(|warnings| {
        let warnings: Vec<String> = warnings.into_iter().flatten().collect();
        (!warnings.is_empty()).then(|| warnings.join("; "))
    });
    let (status, warning) = match &told {
        Ok(warning) => (StatusCode::CREATED, warning.clone()),
        Err(refusal) => (refusal.wire().0, refusal.warning()),
    };
    for plan in plans {
        let answered = Answered {
            status: status.as_u16(),
            at: caller.app.services.clock.now(),
            warning: warning.clone(),
        };
        caller.app.answers.note(plan, answered);
    }
    told
}

/// Waits until the push is published, with a warning if it is not yet, or until it cannot be.
async fn published(caller: &Caller<'_>, plan: PlanId) -> Result<Option<String>, OciError> {
    let app = caller.app;
    let never = CancellationToken::new();
    let stopping = caller
        .head
        .extensions
        .get::<Draining>()
        .map_or(&never, |draining| &draining.0);
    let settled = tokio::select! {
        settled = app.node.wait_for_step(plan, Some(outcome::PUBLISHING_STEP), app.config.push_wait) => settled,
        () = stopping.cancelled() => app.node.plan(plan).await,
    };
    let plan = settled.map_err(OciError::internal)?;
    let task = app
        .node
        .explained(&plan)
        .await
        .map_err(OciError::internal)?;
    outcome::of(&plan, &task, app.task_url(plan.id))
}

/// Of a manifest nothing is kept before all of it is there.
fn of_manifest(error: OciError) -> OciError {
    if let OciError::BodyIdle { seconds } = error {
        OciError::ManifestIdle { seconds }
    } else {
        error
    }
}

fn refused(name: &PushName, error: PushError) -> OciError {
    let name = name.to_string();
    match error {
        PushError::MissingBlob { blob, .. } => OciError::ManifestPartUnknown { name, digest: blob },
        PushError::MissingManifest { child, .. } => OciError::ManifestPartUnknown {
            name,
            digest: child,
        },
        PushError::Immutable { .. } => OciError::Denied(error.to_string()),
        PushError::Retired(_) => OciError::PlaceUnknown(error.to_string()),
        PushError::Catalog(error) => error.into(),
        PushError::Content(error) => error.into(),
        PushError::Node(NodeError::Draining) => OciError::Stopping,
        PushError::Node(NodeError::Store(StoreError::Full)) => OciError::Full,
        PushError::Node(error) => OciError::internal(error),
    }
}

/// The media type the client names, or else the one the manifest names itself.
fn media_type(headers: &HeaderMap, bytes: &Bytes) -> String {
    #[derive(Deserialize)]
    struct Named {
        #[serde(rename = "mediaType")]
        media_type: String,
    }
    let named = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let named = named.map(|value| value.split(';').next().unwrap_or(value).trim());
    named
        .filter(|value| !value.is_empty())
        .map(ToOwned::to_owned)
        .or_else(|| Some(serde_json::from_slice::<Named>(bytes).ok()?.media_type))
        .filter(|value| HeaderValue::from_str(value).is_ok())
        .unwrap_or_else(|| "application/vnd.oci.image.manifest.v1+json".to_owned())
}

/// What pushes, by the first product of its `User-Agent`, and from where.
fn client(caller: &Caller<'_>) -> Client {
    let agent = caller
        .head
        .headers
        .get(USER_AGENT)
        .and_then(|agent| agent.to_str().ok());
    let (name, version) = product(agent.unwrap_or_default());
    Client {
        name,
        version,
        address: caller
            .head
            .extensions
            .get::<Peer>()
            .map(|peer| peer.0.ip().to_string()),
    }
}

/// Name and version of the first product of a `User-Agent`.
fn product(agent: &str) -> (Option<String>, Option<String>) {
    let first = agent.split(' ').next().unwrap_or_default();
    let (name, version) = first.split_once('/').unwrap_or((first, ""));
    let kept = |text: &str| (!text.is_empty()).then(|| text.chars().take(MAX_CLIENT).collect());
    (kept(name), kept(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_its_first_product_up_to_a_length() {
        let some = |text: &str| Some(text.to_owned());

        assert_eq!(product("skopeo/1.2 linux"), (some("skopeo"), some("1.2")));
        assert_eq!(product("curl"), (some("curl"), None));
        assert_eq!(product(""), (None, None));
        let long = format!("{}/{}", "n".repeat(50_000), "1".repeat(50_000));
        let cut = (some(&"n".repeat(256)), some(&"1".repeat(256)));
        assert_eq!(product(&long), cut);
    }
}
