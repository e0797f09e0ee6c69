//! `POST /gates/{name}/open`: at once, whoever or whatever closed it.

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

pub(in crate::api) async fn open(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    Body(why): Body<Why>,
) -> Result<Json<Shown>, Problem> {
    let gate = found(&app, name)?;
    let seen = by_hand(&app, caller, gate, Action::Open, why).await?;
    Ok(Json(seen.into()))
}
