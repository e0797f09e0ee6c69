//! `DELETE /v2/<name>/manifests/<reference>`: answered once it cannot be pulled any more.

use axum::response::{IntoResponse, Response};
use engine::journal::PlanResult;
use engine::node::NodeError;
use engine::state::PlanState;
use engine::store::StoreError;
use http::StatusCode;
use http::header::WARNING;
use storage::catalog::audit::{Action, NewEntry, Outcome};
use workflows::delete_image::{self, DeleteError, DeleteImage, Image};
use workflows::destination::PushName;

use super::access::Caller;
use super::answer;
use super::error::OciError;
use super::outcome;
use super::request::Reference;

/// 202 once it is gone. What takes longer than `push_wait` is 202 with a warning, and what waits for a person 424.
pub(super) async fn delete(
    caller: &Caller<'_>,
    name: &PushName,
    reference: Reference,
) -> Result<Response, OciError> {
    let app = caller.app;
    let found = {
        let mut tx = app.services.database.look_up().await?;
        caller.delete_from(&mut tx, name).await?
    };
    let user = caller.user()?;
    let from = found.destination.ok_or_else(|| OciError::NameUnknown {
        name: name.to_string(),
    })?;
    let delete = DeleteImage {
        user: user.id,
        login: user.login.clone(),
        from,
        image: match reference {
            Reference::Tag(tag) => Image::Tag(tag),
            Reference::Digest(digest) => Image::Digest(digest),
        },
    };
    let audited = NewEntry {
        actor: caller.login().to_owned(),
        action: Action::Delete,
        subject: format!("{}{}", delete.from, delete.image),
        from: caller.address().map(|it| it.to_string()),
        result: Outcome::Done,
        task: None,
        reason: None,
    };
    let plan = delete_image::submit(&app.node, delete, audited).await;
    let plan = plan.map_err(|error| refused(name, error))?;
    let published = Some(outcome::PUBLISHING_STEP);
    let settled = app
        .node
        .wait_for_step(plan, published, app.config.push_wait)
        .await;
    let settled = settled.map_err(OciError::internal)?;
    let task = app.node.explained(&settled).await;
    let headline = task.map_err(OciError::internal)?.headline;
    let (task, url) = (settled.id, app.task_url(settled.id));
    if outcome::is_published(&settled) {
        return Ok(StatusCode::ACCEPTED.into_response());
    }
    match (settled.state, settled.result) {
        (PlanState::Stopped, PlanResult::Success | PlanResult::Warning) => {
            Ok(StatusCode::ACCEPTED.into_response())
        }
        (PlanState::Paused | PlanState::Stopped, _) => Err(OciError::PausedDelete {
            headline,
            task,
            url,
        }),
        (PlanState::Pending | PlanState::Running, _) => {
            let warning = format!("it is not deleted yet: {headline}; task {task}: {url}");
            let mut response = StatusCode::ACCEPTED.into_response();
            let warning = answer::warning(&warning);
            response.headers_mut().insert(WARNING, warning);
            Ok(response)
        }
    }
}

fn refused(name: &PushName, error: DeleteError) -> OciError {
    match error {
        DeleteError::Absent { image, .. } => OciError::ManifestUnknown {
            name: name.to_string(),
            reference: match *image {
                Image::Tag(tag) => tag.to_string(),
                Image::Digest(digest) => digest.to_string(),
            },
        },
        DeleteError::Immutable { .. } => OciError::Denied(error.to_string()),
        DeleteError::Catalog(error) => error.into(),
        DeleteError::Node(NodeError::Draining) => OciError::Stopping,
        DeleteError::Node(NodeError::Store(StoreError::Full)) => OciError::Full,
        DeleteError::Node(error) => OciError::internal(error),
    }
}
