//! `POST /tasks/{id}/cancel`: ends it; what is done stays done.

use std::sync::Arc;

use axum::extract::State;
use engine::journal::{Action, PlanId};

use super::{Shown, Why, act, operable};
use crate::api::answer::Accepted;
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::{Kind, Problem};
use crate::app::App;
use workflows::bulk::half_deleted;

pub(in crate::api) async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<PlanId>,
    Body(why): Body<Why>,
) -> Result<Accepted<Shown>, Problem> {
    let plan = operable(&app, &caller, task).await?.id;
    if let Some(why) = half_deleted(&*app.node.plan(plan).await?) {
        return Err(Problem::new(Kind::DoesNotFit, why));
    }
    act(&app, &caller, plan, Action::Cancel, why).await
}
