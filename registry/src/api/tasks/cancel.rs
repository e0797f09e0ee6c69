//! `POST /tasks/{id}/cancel`: ends it; what is done stays done.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use engine::journal::Action;

use super::{Why, act, id, operable};
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

pub(in crate::api) async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<String>,
    Body(why): Body<Why>,
) -> Result<Response, Problem> {
    let plan = operable(&app, &caller, id(&task)?).await?.id;
    act(&app, &caller, plan, Action::Cancel, why.reason).await
}
