//! `POST /schedules/{id}/run_now`: one run besides those of its times.

use std::sync::Arc;

use axum::extract::State;
use engine::node::Placed;
use engine::schedule::ScheduleId;
use storage::catalog::audit::{self, Action};

use super::{NotWritten, Why};
use crate::api::answer::{Accepted, BegunTask};
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::{Kind, Problem};
use crate::app::App;

pub(in crate::api) async fn run_now(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<ScheduleId>,
    Body(why): Body<Why>,
) -> Result<Accepted<BegunTask>, Problem> {
    let schedule = super::found(&app, id).await?;
    let actor = Some(caller.user.login.clone());
    let offer = app
        .node
        .offer_json(&schedule.workflow, &schedule.input, actor)
        .map_err(|error| {
            let text = format!("schedule `{}` cannot run: {error}", schedule.name);
            Problem::new(Kind::DoesNotFit, text)
        })?
        .scheduled_by(&schedule.name, None);
    let mut entry = caller.does(Action::RunNow, format!("schedule {}", schedule.name));
    entry.reason = why.reason.map(String::from);
    let at = app.services.clock.now();
    let placed = app
        .node
        .transact::<Placed, NotWritten, _>(move |tx, desk| {
            Box::pin(async move {
                let placed = desk.submit(tx, offer).await?;
                entry.task = Some(placed.plan());
                audit::record(tx, &entry, at).await?;
                Ok(placed)
            })
        })
        .await??;
    Ok(Accepted(BegunTask {
        task_id: placed.plan(),
    }))
}
