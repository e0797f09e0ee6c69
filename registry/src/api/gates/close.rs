//! `POST /gates/{name}/close`: no step passes it until somebody opens it; what runs behind it comes to its end.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use storage::catalog::audit::Action;

use super::{Shown, Why, by_hand, found};
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

pub(in crate::api) async fn close(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    Body(why): Body<Why>,
) -> Result<Json<Shown>, Problem> {
    let gate = found(&app, name)?;
    let seen = by_hand(&app, caller, gate, Action::Close, why).await?;
    Ok(Json(seen.into()))
}
