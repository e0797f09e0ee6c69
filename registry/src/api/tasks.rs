//! `/tasks`: what people see of plans, and what operators do with them.

pub(super) mod cancel;
pub(super) mod events;
pub(super) mod graph;
pub(super) mod history;
pub(super) mod list;
pub(super) mod resume;
pub(super) mod retry_now;
pub(super) mod show;
pub(super) mod summary;
pub(super) mod wait;

use axum::Json;
use axum::response::{IntoResponse, Response};
use engine::explain::Task;
use engine::journal::{Action, Message, PlanId};
use engine::node::NodeError;
use engine::store::{StoreError, Visible};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use storage::Tx;
use storage::catalog::audit::{self, NewEntry};
use storage::catalog::organizations;
use storage::catalog::roles::Permission;

use super::caller::{Caller, in_organization};
use super::problem::{Kind, Problem};
use crate::app::App;

/// A task as REST shows it: the engine's, and what a push is about.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    task: Task,
    repository: Option<String>,
    tag: Option<String>,
    digest: Option<String>,
    /// Who sent the push: name, version, address. Lists leave it out, as they do the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Value>,
}

/// What of a push's input is shown beside it.
#[derive(Deserialize)]
struct PushInput {
    client: Option<Value>,
}

impl From<Task> for Shown {
    fn from(task: Task) -> Self {
        let link = |name| task.link(name).map(str::to_owned);
        let input = task
            .input
            .as_ref()
            .and_then(|input| input.decode::<PushInput>().ok());
        Self {
            repository: link("repository"),
            tag: link("tag"),
            digest: link("digest"),
            client: input.and_then(|input| input.client),
            task,
        }
    }
}

impl IntoResponse for Shown {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

impl From<NodeError> for Problem {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::NotFound(plan) => Self::not_found(format!("task {plan}")),
            NodeError::Refused(refused) => Self::new(Kind::DoesNotFit, refused.to_string())
                .with("state", json!(refused.state))
                .with("can", json!(refused.can)),
            NodeError::Store(StoreError::Full) => Self::new(Kind::Full, error.to_string()),
            NodeError::Unanswered(_)
            | NodeError::Draining
            | NodeError::Store(StoreError::Unavailable(_)) => {
                Self::new(Kind::Unavailable, error.to_string())
            }
            NodeError::Store(
                StoreError::Fenced { .. } | StoreError::Unknown(_) | StoreError::Corrupt(_),
            )
            | NodeError::UnknownWorkflow(_)
            | NodeError::Input(_) => Self::internal(&error),
        }
    }
}

/// The id in a path; a text that is none is the id of no task.
fn id(text: &str) -> Result<PlanId, Problem> {
    text.parse()
        .map_err(|_| Problem::not_found(format!("task {text}")))
}

/// The task, if it is the caller's own or in an organization whose tasks they may view.
async fn visible(app: &App, caller: &Caller, plan: PlanId) -> Result<Task, Problem> {
    let task = app.node.task(plan).await?;
    let own = task.user.as_deref() == Some(caller.user.login.as_str());
    if own || may(app, caller, Permission::ViewTasks, &task).await? {
        Ok(task)
    } else {
        Err(Problem::not_found(format!("task {plan}")))
    }
}

/// The task, if the caller may operate it; 403 for one they can only see.
async fn operable(app: &App, caller: &Caller, plan: PlanId) -> Result<Task, Problem> {
    let task = visible(app, caller, plan).await?;
    let named = task.organization.as_ref().map_or_else(
        || "everywhere".to_owned(),
        |label| format!("in organization {label}"),
    );
    let organization = match &task.organization {
        Some(label) => organizations::find(&mut app.services.database.read().await?, label).await?,
        None => None,
    };
    let place = organization.map(|found| in_organization(found.id));
    caller.must_here(place.as_ref(), named)?;
    Ok(task)
}

async fn may(
    app: &App,
    caller: &Caller,
    permission: Permission,
    task: &Task,
) -> Result<bool, Problem> {
    if caller.may_everywhere(permission) {
        return Ok(true);
    }
    let Some(label) = &task.organization else {
        return Ok(false);
    };
    let mut tx = app.services.database.read().await?;
    let organization = organizations::find(&mut tx, label).await?;
    Ok(organization
        .is_some_and(|organization| caller.may(permission, &in_organization(organization.id))))
}

/// Which tasks the caller sees in lists: their own, and those of organizations whose tasks they may view.
async fn sight(tx: &mut Tx, caller: &Caller) -> Result<Visible, Problem> {
    if caller.may_everywhere(Permission::ViewTasks) {
        return Ok(Visible::All);
    }
    let mut labels = Vec::new();
    for id in caller
        .grants
        .iter()
        .filter_map(|grant| grant.scope.organization)
    {
        if caller.may(Permission::ViewTasks, &in_organization(id)) {
            labels.extend(
                organizations::get(tx, id)
                    .await?
                    .map(|organization| organization.label),
            );
        }
    }
    labels.sort_unstable();
    labels.dedup();
    Ok(Visible::Some {
        organizations: labels,
        actor: caller.user.login.clone(),
    })
}

/// The body of an action: why, for the task's history.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    reason: Option<String>,
}

/// Does it, and answers 202 with the task as it is then.
async fn act(
    app: &App,
    caller: &Caller,
    plan: PlanId,
    action: Action,
    reason: Option<String>,
) -> Result<Response, Problem> {
    let done = match &action {
        Action::RetryNow { .. } => audit::Action::RetryNow,
        Action::Cancel | Action::Supersede { .. } => audit::Action::Cancel,
        Action::Resume => audit::Action::Resume,
    };
    let entry = about_task(caller, done, plan, reason.clone());
    let message = Message {
        action,
        by: caller.user.login.clone(),
        reason,
    };
    let after = app.node.act(plan, message).await?;
    write_down(app, entry).await?;
    let task = app.node.explained(&after).await?;
    Ok((StatusCode::ACCEPTED, Shown::from(task)).into_response())
}

/// The entry of the audit about what the caller did to a task.
fn about_task(
    caller: &Caller,
    action: audit::Action,
    plan: PlanId,
    reason: Option<String>,
) -> NewEntry {
    NewEntry {
        task: Some(plan),
        reason,
        ..caller.does(action, format!("task {plan}"))
    }
}

/// Writes it into the audit. The task's own history, written by the engine with the action, says the same.
async fn write_down(app: &App, entry: NewEntry) -> Result<(), Problem> {
    let at = app.services.clock.now();
    let written = app
        .services
        .database
        .transact(move |tx| Box::pin(async move { audit::record(tx, &entry, at).await }));
    Ok(written.await??)
}
