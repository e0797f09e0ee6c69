//! A schedule runs in the name of who saved it: as long as they may make schedules at all.

use crate::Services;
use engine::node::MayRun;
use engine::schedule::Schedule;
use engine::step::{BoxFuture, StepError};
use storage::catalog::grants;
use storage::catalog::roles::Permission;
use storage::catalog::users;
use storage::database::Tx;

/// Asks the catalog for the rights of who saved the schedule, before each of its runs.
pub(crate) struct OwnersMayRun;

impl MayRun<Services> for OwnersMayRun {
    fn may_run<'a>(
        &'a self,
        services: &'a Services,
        schedule: &'a Schedule,
    ) -> BoxFuture<'a, Result<(), StepError>> {
        Box::pin(async move {
            let mut tx = services
                .database
                .look_up()
                .await
                .map_err(StepError::transient)?;
            match missing_right(&mut tx, schedule).await? {
                None => Ok(()),
                Some(missing) => Err(StepError::permanent(missing)),
            }
        })
    }
}

/// Why whoever saved the schedule may not let it run any more; none: they may, or it is the program's own.
pub async fn missing_right(tx: &mut Tx, schedule: &Schedule) -> Result<Option<String>, StepError> {
    let Some(login) = schedule.actor.as_deref().filter(|_| !schedule.built_in) else {
        return Ok(None);
    };
    let user = users::find(tx, login).await.map_err(StepError::transient)?;
    let Some(user) = user else {
        return Ok(Some(format!(
            "user `{login}`, who saved it, does not exist any more; whoever saves it again lets it run in their name"
        )));
    };
    if !user.enabled {
        return Ok(Some(format!(
            "user `{login}`, who saved it, is disabled; whoever saves it again lets it run in their name"
        )));
    }
    let granted = grants::of(tx, user.id)
        .await
        .map_err(StepError::transient)?;
    if grants::permissions_everywhere(&granted).contains(Permission::ManageSchedules) {
        return Ok(None);
    }
    Ok(Some(format!(
        "user `{login}`, who saved it, lacks the permission `{}`; grant it again, or whoever saves it again lets it run in their name",
        Permission::ManageSchedules
    )))
}
