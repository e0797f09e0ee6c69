//! `POST /tasks/bulk_cancel`.

use std::sync::Arc;

use axum::extract::State;
use workflows::bulk::Verb;

use super::{Answer, Asked};
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::problem::Problem;
use crate::app::App;

pub(in crate::api) async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(asked): Body<Asked>,
) -> Result<Answer, Problem> {
    asked.run(app, &caller, Verb::Cancel).await
}
