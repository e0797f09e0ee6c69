//! Each step of a rehearsal ran as it should: what it left behind agrees with what was recorded.

use engine::journal::PlanId;
use engine::plan::Plan;
use engine::workflow::Workflow as _;
use storage::Database;
use storage::catalog::rehearsals;
use storage::journal::{self, Record};
use workflows::rehearsal::{Part, Rehearsal, check};

use super::{DoctorError, Examination};

const REPORT: &str = "report this, unless somebody resolved its step `only_once` otherwise than it was: no version of wharfinger runs a step otherwise than it is recorded";

pub(super) async fn examine(
    database: &Database,
    record: &Record,
    whole: &mut Examination,
) -> Result<(), DoctorError> {
    if ![Rehearsal::NAME, Part::NAME].contains(&record.head.workflow.as_str()) {
        return Ok(());
    }
    for wrong in wrong_with(database, record.plan).await? {
        whole.find(format!("task {}: {wrong}", record.plan), REPORT);
    }
    Ok(())
}

/// Journal and marks are of one moment, also beside a running server.
async fn wrong_with(database: &Database, plan: PlanId) -> Result<Vec<String>, DoctorError> {
    let mut tx = database.read().await?;
    let now = Plan::fold(plan, &journal::rows(&mut tx, plan).await?);
    let marks = rehearsals::marks(&mut tx, plan).await?;
    Ok(check(&now, &marks))
}
