//! `POST /tasks/cleanup`: what the schedule `cleanup` does each night, now; or a dry run of it.

use std::sync::Arc;

use axum::extract::State;
use engine::journal::Cause;
use engine::node::{NodeError, Placed};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use storage::catalog::audit::{self, Action};
use workflows::cleanup::Cleanup;

use super::{Shown, said};
use crate::api::answer::Accepted;
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::fields::Reason;
use crate::api::problem::Problem;
use crate::app::App;

/// The body.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[schemars(rename = "CleanupAsked", example = json!({"dry_run": true}))]
#[serde(default, deny_unknown_fields)]
pub(in crate::api) struct Asked {
    /// Only say what would be deleted.
    dry_run: bool,
    /// In words, for the audit.
    reason: Option<Reason>,
}

/// 202 with the task that does it; where one is open that deletes, with that.
pub(in crate::api) async fn cleanup(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(asked): Body<Asked>,
) -> Result<Accepted<Shown>, Problem> {
    let input = Cleanup {
        dry_run: asked.dry_run,
    };
    let offer = app.node.offer(&input, Some(caller.user.login.clone()))?;
    let offer = offer.caused_by(Cause::Client);
    let what = if asked.dry_run {
        "dry run of the cleanup"
    } else {
        "cleanup"
    };
    let mut entry = caller.does(Action::RunNow, what);
    entry.reason = said(asked.reason);
    let at = app.services.clock.now();
    let submitted = app.node.transact::<Placed, Problem, _>(move |tx, desk| {
        Box::pin(async move {
            let placed = desk.submit(tx, offer).await.map_err(NodeError::from)?;
            entry.task = Some(placed.plan());
            audit::record(tx, &entry, at).await?;
            Ok(placed)
        })
    });
    let task = app.node.task(submitted.await??.plan()).await?;
    Ok(Accepted(Shown::of(&app, task).await?))
}
