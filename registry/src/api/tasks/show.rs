//! `GET /tasks/{id}`.

use std::sync::Arc;

use axum::extract::State;

use super::{Shown, id, visible};
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

pub(in crate::api) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<String>,
) -> Result<Shown, Problem> {
    Ok(visible(&app, &caller, id(&task)?).await?.into())
}
