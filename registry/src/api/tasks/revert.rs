//! `POST /tasks/{id}/revert`: what it did is undone, as far as its steps can be.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine::decide;
use engine::explain::RevertPreview;
use engine::journal::{Action, PlanId};
use engine::node::NodeError;
use engine::plan::Plan;
use engine::state::PlanState;
use engine::step::{Declared as _, StepError, Work};
use engine::store::StoreError;
use engine::workflow::Workflow;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use storage::Tx;
use storage::catalog::tombstones;
use workflows::delete_organization::DeleteOrganization;
use workflows::delete_product::{DeleteProduct, RemoveProduct, RemovedProduct};
use workflows::delete_repository::{DeleteRepository, InTheWay, in_the_way};
use workflows::destination::PushName;

use super::{Shown, Why, act_and, operable};
use crate::api::answer::Accepted;
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::fields::Reason;
use crate::api::openapi::{Answers, Operation};
use crate::api::path::Path;
use crate::api::problem::{Kind, Problem};
use crate::api::products::delete::unavailable;
use crate::app::App;

/// The body.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[schemars(example = json!({"reason": "the wrong image", "dry_run": true}))]
#[serde(default, deny_unknown_fields)]
pub(in crate::api) struct Revert {
    /// In words, for the task's history and the audit.
    reason: Option<Reason>,
    /// Only say what would be undone.
    dry_run: bool,
    /// Of the delete of a repository: bring it back under this name in its product, because its old one is taken.
    #[serde(rename = "as")]
    under: Option<String>,
}

/// 200 with what would be undone, or 202 with the task that is being reverted.
pub(in crate::api) enum Reverted {
    Preview(RevertPreview),
    Task(Box<Accepted<Shown>>),
}

impl IntoResponse for Reverted {
    fn into_response(self) -> Response {
        match self {
            Self::Preview(preview) => Json(preview).into_response(),
            Self::Task(task) => (*task).into_response(),
        }
    }
}

impl Answers for Reverted {
    fn answer(operation: &mut Operation) {
        operation.answers_json::<RevertPreview>(200, "For a `dry_run`: what would be undone.");
        Accepted::<Shown>::answer(operation);
    }
}

/// What undoes the task. Of the delete of a repository: refused where its name is taken, or the one that it shall have instead, which
/// is written down with the wish. One that waits because its name was taken under way goes on so under another one.
async fn named(
    app: &App,
    plan: &Plan,
    under: Option<String>,
) -> Result<(Action, Work<Tx, (), StoreError>), Problem> {
    let has_parent = plan
        .submitted
        .as_ref()
        .is_some_and(|it| it.parent.is_some());
    if has_parent && plan.state == PlanState::Stopped {
        // It is undone through its parent, as the engine says.
        return Ok((Action::Revert, Box::new(|_| Box::pin(async { Ok(()) }))));
    }
    let Some(delete) = input_of::<DeleteRepository>(plan) else {
        if under.is_some() {
            let text = "is for the delete of a repository, which this task is not";
            return Err(Problem::invalid_field("as", text));
        }
        nothing_in_the_way(app, plan).await?;
        return Ok((Action::Revert, Box::new(|_| Box::pin(async { Ok(()) }))));
    };
    let repository = &delete.repository;
    if let Some(name) = &under {
        let (organization, product) = (&repository.organization_label, &repository.product_label);
        let path = format!("{organization}/{product}").to_ascii_lowercase();
        format!("{path}/{name}")
            .parse::<PushName>()
            .map_err(|why| Problem::invalid_field("as", why.to_string()))?;
    }
    let in_the_way = {
        let name = under.as_ref().unwrap_or(&repository.name);
        let mut tx = app.services.database.read().await?;
        in_the_way(&mut tx, &delete, name).await
    };
    refuse(in_the_way, InTheWay::of_one)?;
    let goes_on = plan.reverting && plan.state == PlanState::Paused && under.is_some();
    let action = if goes_on {
        Action::Resume
    } else {
        Action::Revert
    };
    let id = plan.id;
    let also: Work<Tx, (), StoreError> = Box::new(move |tx| {
        Box::pin(async move {
            let wished = tombstones::restore_as(tx, id, under.as_deref()).await;
            wished.map_err(|error| StoreError::Unavailable(error.to_string()))
        })
    });
    Ok((action, also))
}

/// What the plan was given, if it is of this workflow.
fn input_of<W: Workflow>(plan: &Plan) -> Option<W> {
    let submitted = plan.submitted.as_ref();
    let submitted = submitted.filter(|it| it.workflow == W::NAME)?;
    submitted.input.decode().ok()
}

/// Of the delete of a product or an organization: refused where its label or the name of one of its repositories is taken.
async fn nothing_in_the_way(app: &App, plan: &Plan) -> Result<(), Problem> {
    let mut tx = app.services.database.read().await?;
    let in_the_way = if let Some(delete) = input_of::<DeleteProduct>(plan) {
        let removed = plan.output_of(RemoveProduct::NAME);
        let removed = removed.and_then(|it| it.decode::<RemovedProduct>().ok());
        let removed = removed.is_some_and(|it| it.removed);
        delete.in_the_way(&mut tx, removed).await
    } else if let Some(delete) = input_of::<DeleteOrganization>(plan) {
        delete.in_the_way(&mut tx).await
    } else {
        return Ok(());
    };
    refuse(in_the_way, InTheWay::to_string)
}

fn refuse(
    in_the_way: Result<Option<InTheWay>, StepError>,
    told: impl FnOnce(&InTheWay) -> String,
) -> Result<(), Problem> {
    match in_the_way {
        Ok(None) => Ok(()),
        Ok(Some(taken)) => {
            let kind = match taken {
                InTheWay::Name { .. } | InTheWay::Label { .. } => Kind::Duplicate,
                InTheWay::Product { .. } | InTheWay::Organization { .. } => Kind::DoesNotFit,
            };
            Err(Problem::new(kind, told(&taken)))
        }
        Err(error) => Err(unavailable(error)),
    }
}

pub(in crate::api) async fn revert(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<PlanId>,
    Body(body): Body<Revert>,
) -> Result<Reverted, Problem> {
    let id = operable(&app, &caller, task).await?.id;
    if body.dry_run {
        let plan = app.node.plan(id).await?;
        let now = app.services.clock.now();
        decide::fits(&plan, &Action::Revert, now).map_err(NodeError::from)?;
        drop(named(&app, &plan, body.under).await?); // refused as the revert would be
        return Ok(Reverted::Preview(RevertPreview::of(&plan)));
    }
    let why = Why {
        reason: body.reason,
    };
    let plan = app.node.plan(id).await?;
    let (action, also) = named(&app, &plan, body.under).await?;
    let task = act_and(&app, &caller, id, (action, why), also).await?;
    Ok(Reverted::Task(Box::new(task)))
}
