//! `GET /tasks/{id}/graph.svg`, `.dot`, `.mmd` and `.txt`: the steps as a picture.

use std::sync::Arc;

use axum::extract::State;
use engine::draw;
use engine::journal::PlanId;

use super::visible;
use crate::api::caller::Caller;
use crate::api::drawn::{Drawn, Graphviz, Kept, Language, Lines, Mermaid, Svg};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

pub(in crate::api) async fn svg(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<PlanId>,
    kept: Kept,
) -> Result<Drawn<Svg>, Problem> {
    drawn(&app, &caller, task, &kept).await
}

pub(in crate::api) async fn dot(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<PlanId>,
    kept: Kept,
) -> Result<Drawn<Graphviz>, Problem> {
    drawn(&app, &caller, task, &kept).await
}

pub(in crate::api) async fn mermaid(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<PlanId>,
    kept: Kept,
) -> Result<Drawn<Mermaid>, Problem> {
    drawn(&app, &caller, task, &kept).await
}

pub(in crate::api) async fn text(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<PlanId>,
    kept: Kept,
) -> Result<Drawn<Lines>, Problem> {
    drawn(&app, &caller, task, &kept).await
}

async fn drawn<L: Language>(
    app: &App,
    caller: &Caller,
    task: PlanId,
    kept: &Kept,
) -> Result<Drawn<L>, Problem> {
    let task = visible(app, caller, task).await?;
    Ok(Drawn::of(&draw::task(&task), kept))
}
