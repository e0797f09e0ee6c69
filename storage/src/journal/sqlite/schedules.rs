//! Schedules.

use super::failed;
use super::row::{unreadable, word};
use crate::database::Tx;
use engine::clock::Timestamp;
use engine::journal::{Json, PlanId};
use engine::schedule::{DueSchedules, Put, Schedule, ScheduleId};
use engine::store::StoreError;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

#[derive(FromRow)]
struct Row {
    id: i64,
    name: String,
    workflow: String,
    input: String,
    cron: String,
    time_zone: String,
    missed: String,
    end_at: Option<i64>,
    max_runs: Option<u32>,
    enabled: bool,
    built_in: bool,
    actor: Option<String>,
    created_at: i64,
    handled_until: i64,
    runs: u32,
    last_nominal: Option<i64>,
    last_plan: Option<Uuid>,
    revision: i64,
}

impl Row {
    fn schedule(self) -> Result<Schedule, StoreError> {
        let input: Json = serde_json::from_str(&self.input).map_err(|error| {
            StoreError::Corrupt(format!("the input of schedule {}: {error}", self.id))
        })?;
        Ok(Schedule {
            id: ScheduleId(self.id),
            name: self.name,
            workflow: self.workflow,
            input,
            cron: self.cron,
            time_zone: self.time_zone,
            missed: word(&self.missed, "schedule.missed")?,
            end_at: self.end_at.map(Timestamp),
            max_runs: self.max_runs,
            enabled: self.enabled,
            built_in: self.built_in,
            actor: self.actor,
            created_at: Timestamp(self.created_at),
            handled_until: Timestamp(self.handled_until),
            runs: self.runs,
            last_nominal: self.last_nominal.map(Timestamp),
            last_plan: self.last_plan.map(PlanId),
            revision: self.revision,
        })
    }
}

/// Every schedule, by name.
pub(super) async fn list(tx: &mut Tx) -> Result<Vec<Schedule>, StoreError> {
    const SQL: &str = "SELECT * FROM schedule ORDER BY name";
    let rows: Vec<Row> = sqlx::query_as(SQL)
        .fetch_all(tx)
        .await
        .map_err(unreadable)?;
    rows.into_iter().map(Row::schedule).collect()
}

/// Those whose time has come, and when the first of the others comes.
pub(super) async fn due(tx: &mut Tx, now: Timestamp) -> Result<DueSchedules, StoreError> {
    const DUE: &str = "SELECT * FROM schedule WHERE next_at <= $1 ORDER BY next_at, id";
    const NEXT: &str = "SELECT min(next_at) FROM schedule WHERE next_at > $1";
    let rows = sqlx::query(DUE)
        .bind(now.0)
        .fetch_all(&mut *tx)
        .await
        .map_err(unreadable)?;
    let next: Option<i64> = sqlx::query_scalar(NEXT)
        .bind(now.0)
        .fetch_one(&mut *tx)
        .await
        .map_err(unreadable)?;
    let mut found = DueSchedules {
        next: next.map(Timestamp),
        ..DueSchedules::default()
    };
    // One that cannot be read holds up no other.
    for row in rows {
        let read = Row::from_row(&row).map_err(unreadable);
        match read.and_then(Row::schedule) {
            Ok(schedule) => found.due.push(schedule),
            Err(error) => {
                let id = row.try_get("id").unwrap_or_default();
                found.unreadable.push((ScheduleId(id), error.to_string()));
            }
        }
    }
    Ok(found)
}

/// Inserts the schedule, or replaces the one with its number and revision.
pub(super) async fn put(tx: &mut Tx, mut schedule: Schedule) -> Result<Put, StoreError> {
    const INSERT: &str = "
        INSERT INTO schedule (name, workflow, input, cron, time_zone, missed, end_at, max_runs, enabled, built_in, actor,
            created_at, handled_until, runs, last_nominal, last_plan, next_at, revision)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18 + 1)
        RETURNING id, revision";
    const UPDATE: &str = "
        UPDATE schedule SET name = $1, workflow = $2, input = $3, cron = $4, time_zone = $5, missed = $6, end_at = $7,
            max_runs = $8, enabled = $9, built_in = $10, actor = $11, created_at = $12, handled_until = $13, runs = $14,
            last_nominal = $15, last_plan = $16, next_at = $17, revision = revision + 1
        WHERE revision = $18 AND id = $19
        RETURNING id, revision";
    if has_name(tx, &schedule).await? {
        return Ok(Put::NameTaken);
    }
    let is_new = schedule.id == ScheduleId::default();
    let missed: &'static str = schedule.missed.into();
    let query = sqlx::query_as(if is_new { INSERT } else { UPDATE })
        .bind(&schedule.name)
        .bind(&schedule.workflow)
        .bind(schedule.input.text())
        .bind(&schedule.cron)
        .bind(&schedule.time_zone)
        .bind(missed)
        .bind(schedule.end_at.map(|it| it.0))
        .bind(schedule.max_runs)
        .bind(schedule.enabled)
        .bind(schedule.built_in)
        .bind(&schedule.actor)
        .bind(schedule.created_at.0)
        .bind(schedule.handled_until.0)
        .bind(schedule.runs)
        .bind(schedule.last_nominal.map(|it| it.0))
        .bind(schedule.last_plan.map(|it| it.0))
        .bind(schedule.next_at().map(|it| it.0))
        .bind(schedule.revision);
    let query = if is_new {
        query
    } else {
        query.bind(schedule.id.0)
    };
    let written: Option<(i64, i64)> = query.fetch_optional(tx).await.map_err(failed)?;
    let Some((id, revision)) = written else {
        return Ok(Put::Stale);
    };
    (schedule.id, schedule.revision) = (ScheduleId(id), revision);
    Ok(Put::Kept(Box::new(schedule)))
}

/// Another schedule has its name; of one that is gone this is not asked.
async fn has_name(tx: &mut Tx, schedule: &Schedule) -> Result<bool, StoreError> {
    const SQL: &str = "
        SELECT EXISTS (SELECT 1 FROM schedule WHERE name = $1 AND id <> $2)
           AND ($2 = 0 OR EXISTS (SELECT 1 FROM schedule WHERE id = $2 AND revision = $3))";
    sqlx::query_scalar(SQL)
        .bind(&schedule.name)
        .bind(schedule.id.0)
        .bind(schedule.revision)
        .fetch_one(tx)
        .await
        .map_err(failed)
}

/// Removes the schedule, if there is one.
pub(super) async fn remove(tx: &mut Tx, id: ScheduleId) -> Result<bool, StoreError> {
    const SQL: &str = "DELETE FROM schedule WHERE id = $1";
    let removed = sqlx::query(SQL)
        .bind(id.0)
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(removed.rows_affected() == 1)
}
