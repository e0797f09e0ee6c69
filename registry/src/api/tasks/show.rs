//! `GET /tasks/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use engine::journal::PlanId;

use super::{Shown, visible};
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

pub(in crate::api) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<PlanId>,
) -> Result<Json<Shown>, Problem> {
    let task = visible(&app, &caller, task).await?;
    Ok(Json(Shown::of(&app, task).await?))
}
