//! `POST /tasks/{id}/hold`: it begins nothing new until it is released; what runs comes to its end.

use std::sync::Arc;

use axum::extract::State;
use engine::journal::{Action, PlanId};

use super::{Shown, Why, act, operable};
use crate::api::answer::Accepted;
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

pub(in crate::api) async fn hold(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<PlanId>,
    Body(why): Body<Why>,
) -> Result<Accepted<Shown>, Problem> {
    let plan = operable(&app, &caller, task).await?.id;
    act(&app, &caller, plan, Action::Hold, why).await
}
