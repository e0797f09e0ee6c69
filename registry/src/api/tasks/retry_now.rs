//! `POST /tasks/{id}/steps/{step}/retry_now`: the next attempt begins without waiting.

use std::sync::Arc;

use axum::extract::State;
use engine::journal::{Action, PlanId};

use super::{Shown, Why, act, operable_step};
use crate::api::answer::Accepted;
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

pub(in crate::api) async fn retry_now(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((task, step)): Path<(PlanId, String)>,
    Body(why): Body<Why>,
) -> Result<Accepted<Shown>, Problem> {
    let task = operable_step(&app, &caller, task, &step).await?;
    act(&app, &caller, task.id, Action::RetryNow { step }, why).await
}
