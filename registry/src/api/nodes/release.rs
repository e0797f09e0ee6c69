//! `POST /nodes/{id}/release`: it goes on.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use engine::journal::NodeId;
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
    Path(id): Path<NodeId>,
    Body(why): Body<Why>,
) -> Result<Json<Shown>, Problem> {
    act(&app, caller, id, Action::Release, why).await
}
