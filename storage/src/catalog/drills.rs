//! Drills: failures on purpose, so that recovery can be practised.

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row as _};

use super::{CatalogError, DrillId, parsed, size, stored_size, time};
use crate::Tx;

/// What a drill does to a step.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Effect {
    /// It fails for good.
    Fail,
    /// It fails as if trying again might help.
    FailTransient,
    /// The process aborts.
    Crash,
    /// It hangs.
    Stall,
}

/// On which side of the step's record a crash happens.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum CrashWhen {
    /// Before it is durable.
    #[default]
    Before,
    /// After it is durable.
    After,
}

/// A drill to be begun.
#[derive(Clone, Debug)]
pub struct NewDrill {
    /// The workflow it waits for.
    pub workflow: String,
    /// The step of that workflow.
    pub step: String,
    /// It befalls what undoes the step, not the step.
    pub undo: bool,
    /// Only in tasks of this repository.
    pub repository: Option<String>,
    /// Only in tasks of this tag.
    pub tag: Option<String>,
    /// What it does.
    pub effect: Effect,
    /// When it crashes, if it does.
    pub crash_when: CrashWhen,
    /// How often; none: until it is deleted.
    pub times: Option<u64>,
    /// How long it hangs, if it does.
    pub stall_seconds: u64,
    /// The login of who began it.
    pub created_by: String,
}

/// A drill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drill {
    /// Its number.
    pub id: DrillId,
    /// The workflow it waits for.
    pub workflow: String,
    /// The step of that workflow.
    pub step: String,
    /// It befalls what undoes the step, not the step.
    pub undo: bool,
    /// Only in tasks of this repository.
    pub repository: Option<String>,
    /// Only in tasks of this tag.
    pub tag: Option<String>,
    /// What it does.
    pub effect: Effect,
    /// When it crashes, if it does.
    pub crash_when: CrashWhen,
    /// How often it will still happen; none: until it is deleted.
    pub times_left: Option<u64>,
    /// How long it hangs, if it does.
    pub stall_seconds: u64,
    /// The login of who began it.
    pub created_by: String,
    /// When it was begun.
    pub created_at: Timestamp,
}

impl FromRow<'_, SqliteRow> for Drill {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let times_left: Option<i64> = row.try_get("times_left")?;
        Ok(Self {
            id: row.try_get("id")?,
            workflow: row.try_get("workflow")?,
            step: row.try_get("step")?,
            undo: row.try_get::<i64, _>("undo")? == 1,
            repository: row.try_get("repository")?,
            tag: row.try_get("tag")?,
            effect: parsed(row, "effect")?,
            crash_when: parsed(row, "crash_when")?,
            times_left: times_left.map(|_| size(row, "times_left")).transpose()?,
            stall_seconds: size(row, "stall_seconds")?,
            created_by: row.try_get("created_by")?,
            created_at: time(row, "created_at")?,
        })
    }
}

/// Begins a drill.
pub async fn create(tx: &mut Tx, new: &NewDrill, at: Timestamp) -> Result<Drill, CatalogError> {
    const SQL: &str = "
        INSERT INTO drill (workflow, step, repository, tag, effect, crash_when, times_left,
            stall_seconds, created_by, created_at, undo)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        RETURNING id, workflow, step, undo, repository, tag, effect, crash_when, times_left,
            stall_seconds, created_by, created_at";
    let created = sqlx::query_as(SQL)
        .bind(&new.workflow)
        .bind(&new.step)
        .bind(&new.repository)
        .bind(&new.tag)
        .bind(new.effect.to_string())
        .bind(new.crash_when.to_string())
        .bind(new.times.map(stored_size))
        .bind(stored_size(new.stall_seconds))
        .bind(&new.created_by)
        .bind(at.0)
        .bind(i64::from(new.undo));
    Ok(created.fetch_one(&mut *tx).await?)
}

/// All drills, in the order in which they were begun.
pub async fn list(tx: &mut Tx) -> Result<Vec<Drill>, CatalogError> {
    const SQL: &str = "
        SELECT id, workflow, step, undo, repository, tag, effect, crash_when, times_left,
            stall_seconds, created_by, created_at
        FROM drill ORDER BY id";
    Ok(sqlx::query_as(SQL).fetch_all(&mut *tx).await?)
}

/// Ends a drill; false if there was none.
pub async fn delete(tx: &mut Tx, id: DrillId) -> Result<bool, CatalogError> {
    const SQL: &str = "DELETE FROM drill WHERE id = $1";
    let deleted = sqlx::query(SQL).bind(id).execute(&mut *tx).await?;
    Ok(deleted.rows_affected() == 1)
}

/// Takes one run from the first drill that fits this step of this task, or what undoes it, and answers it.
///
/// What it has left is counted down in the same transaction, so that it happens at most as often as was asked.
pub async fn take(
    tx: &mut Tx,
    workflow: &str,
    step: &str,
    undo: bool,
    repository: Option<&str>,
    tag: Option<&str>,
) -> Result<Option<Drill>, CatalogError> {
    const SQL: &str = "
        UPDATE drill SET times_left = times_left - 1
        WHERE id = (SELECT min(id) FROM drill
            WHERE workflow = $1 AND step = $2 AND undo = $5
              AND (repository IS NULL OR repository = $3) AND (tag IS NULL OR tag = $4)
              AND (times_left IS NULL OR times_left > 0))
        RETURNING id, workflow, step, undo, repository, tag, effect, crash_when, times_left,
            stall_seconds, created_by, created_at";
    let taken = sqlx::query_as(SQL)
        .bind(workflow)
        .bind(step)
        .bind(repository)
        .bind(tag)
        .bind(i64::from(undo));
    Ok(taken.fetch_optional(&mut *tx).await?)
}
