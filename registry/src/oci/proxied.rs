//! Which requests a smart proxy answers itself, and which it passes on to its main server: all that writes, and what only that can say.

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{AUTHORIZATION, LINK};
use http::request::Parts;
use serde_json::{Value, json};
use storage::catalog::repository_names;

use super::access::Caller;
use super::error::OciError;
use super::request::{OciRequest, Wanted};
use crate::app::App;
use crate::auth::scope::RepositoryAction;
use crate::mirror::Proxy;

/// A page of the catalog has at most a thousand names of 255 bytes.
const MOST_OF_A_CATALOG: usize = 1024 * 1024;

/// Where a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Here, from what is held.
    Here,
    /// Here, to say no more than that this is a registry.
    Nowhere,
    /// By the main server.
    On {
        /// It may have a body, or changes something.
        writes: bool,
    },
}

/// Where this one is answered. Whoever is about to push asks whether something is there already: of that the main server's word counts,
/// as long as it gives one.
pub(super) async fn way_of(
    app: &App,
    proxy: &Proxy,
    head: &Parts,
    wanted: &OciRequest,
) -> Result<Way, OciError> {
    let (name, of) = match wanted {
        // Who has shown nothing is sent for a token only where there is somebody to sign one: without that, what is open to everybody is
        // still pulled, and a push is told why not.
        OciRequest::Version if is_anonymous(head) && !proxy.main_answers().await => {
            return Ok(Way::Nowhere);
        }
        OciRequest::Version | OciRequest::TokenKeys => return Ok(Way::Here),
        OciRequest::Token { .. } | OciRequest::Catalog(_) => {
            return Ok(Way::On { writes: false });
        }
        OciRequest::Repository { name, wanted } => (name, wanted),
    };
    Ok(match of {
        Wanted::DeleteBlob(_)
        | Wanted::StartUpload(_)
        | Wanted::AppendUpload(_)
        | Wanted::FinishUpload(..)
        | Wanted::CancelUpload(_)
        | Wanted::PutManifest(_)
        | Wanted::TagManifest(..)
        | Wanted::DeleteManifest(_) => Way::On { writes: true },
        Wanted::UploadStatus(_) => Way::On { writes: false },
        Wanted::HeadBlob(_) | Wanted::HeadManifest(_) => {
            let caller = Caller::of(app, head, wanted).await?;
            let pushes = caller.shows_a_token_for(name, RepositoryAction::Push);
            if pushes && !proxy.main_is_down() {
                Way::On { writes: false }
            } else {
                Way::Here
            }
        }
        Wanted::GetBlob(_)
        | Wanted::GetManifest(_)
        | Wanted::ListTags(_)
        | Wanted::ListReferrers(..) => Way::Here,
    })
}

/// The body to pass on; and one to answer with here after all, of a question without a body that can be answered from what is held.
pub(super) fn parted(wanted: &OciRequest, body: Body) -> (Body, Option<Body>) {
    let can_be_answered = matches!(
        wanted,
        OciRequest::Repository {
            wanted: Wanted::HeadBlob(_) | Wanted::HeadManifest(_),
            ..
        }
    );
    (body, can_be_answered.then(Body::empty))
}

fn is_anonymous(head: &Parts) -> bool {
    !head.headers.contains_key(AUTHORIZATION)
}

/// Whoever begins a push without a token, because nobody signs one now, is told why not by the answer to its first upload: before that
/// nothing is here.
pub(super) fn begins_a_push(proxy: &Proxy, head: &Parts, wanted: &OciRequest) -> bool {
    let asks = matches!(
        wanted,
        OciRequest::Repository {
            wanted: Wanted::HeadBlob(_) | Wanted::HeadManifest(_),
            ..
        }
    );
    asks && is_anonymous(head) && proxy.main_is_down()
}

/// The same refusal, of what may well be at the main server: with the time up to which this proxy knows.
pub(super) async fn not_held(app: &App, proxy: &Proxy, error: OciError) -> OciError {
    let is_of_content = matches!(
        error,
        OciError::NameUnknown { .. }
            | OciError::ManifestUnknown { .. }
            | OciError::BlobUnknown { .. }
    );
    if !is_of_content {
        return error;
    }
    OciError::NotHeld {
        source: Box::new(error),
        synced_at: proxy.synced_at(app).await,
    }
}

/// Of the names that the main server lists those that are held here.
pub(super) async fn only_what_is_held(app: &App, answer: Response) -> Result<Response, OciError> {
    if answer.status() != StatusCode::OK {
        return Ok(answer);
    }
    let (head, body) = answer.into_parts();
    let bytes = to_bytes(body, MOST_OF_A_CATALOG).await;
    let listed: Value =
        serde_json::from_slice(&bytes.map_err(OciError::internal)?).map_err(OciError::internal)?;
    let mut names = Vec::new();
    let mut tx = app.services.database.look_up().await?;
    for name in listed["repositories"].as_array().into_iter().flatten() {
        if let Some(name) = name.as_str()
            && repository_names::find(&mut tx, name).await?.is_some()
        {
            names.push(name);
        }
    }
    let mut response = axum::Json(json!({ "repositories": names })).into_response();
    if let Some(link) = head.headers.get(LINK) {
        response.headers_mut().insert(LINK, link.clone());
    }
    Ok(response)
}
