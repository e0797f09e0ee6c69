//! `POST /nodes/{id}/hold`: it takes tasks and begins nothing of them until it is released; what runs comes to its end.

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

pub(in crate::api) async fn hold(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<NodeId>,
    Body(why): Body<Why>,
) -> Result<Json<Shown>, Problem> {
    act(&app, caller, id, Action::Hold, why).await
}
