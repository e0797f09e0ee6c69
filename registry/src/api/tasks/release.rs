//! `POST /tasks/{id}/release`: a held task goes on, if whoever started it still may do what it does.

use std::sync::Arc;

use axum::extract::State;
use engine::journal::{Action, PlanId};

use super::{GoOn, Shown, go_on, operable};
use crate::api::answer::Accepted;
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

pub(in crate::api) async fn release(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<PlanId>,
    Body(why): Body<GoOn>,
) -> Result<Accepted<Shown>, Problem> {
    let plan = operable(&app, &caller, task).await?.id;
    let task = go_on(&app, caller, plan, Action::Release, why).await?;
    Ok(Accepted(task))
}
