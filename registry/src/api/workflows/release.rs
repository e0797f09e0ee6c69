//! `POST /workflows/{name}/release`: its tasks go on.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use storage::catalog::audit::Action;

use super::{Shown, act};
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::gates::Why;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

pub(in crate::api) async fn release(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    Body(why): Body<Why>,
) -> Result<Json<Shown>, Problem> {
    act(&app, caller, &name, Action::Release, why).await
}
