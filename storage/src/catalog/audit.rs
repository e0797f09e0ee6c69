//! The audit: who changed what, and who was refused. Entries are added; the database itself refuses to change one.

use engine::clock::Timestamp;
use engine::journal::PlanId;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::{AuditId, CatalogError, parsed, time};
use crate::Tx;

/// What was done, or tried.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Action {
    /// Something was made.
    Create,
    /// Something was changed.
    Change,
    /// Something was deleted, taken back or revoked.
    Delete,
    /// A task was resumed.
    Resume,
    /// A task was cancelled.
    Cancel,
    /// A step's next attempt was begun at once.
    RetryNow,
    /// Somebody tried to log in. Only refused logins are recorded.
    LogIn,
    /// Somebody asked for something. Only what was refused for want of a right is recorded.
    Ask,
}

/// How it went.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was refused.
    Refused,
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number: entries are numbered in the order in which they were written.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// What was done.
    pub what: NewEntry,
}

/// An entry to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// The login of who did it; empty: anonymous.
    pub actor: String,
    /// What was done.
    pub action: Action,
    /// To which thing: `user bob`.
    pub subject: String,
    /// The address the request came from.
    pub from: Option<String>,
    /// How it went.
    pub result: Outcome,
    /// The task that it was done to.
    pub task: Option<PlanId>,
    /// Why, in words: of whoever did it, or of the refusal.
    pub reason: Option<String>,
}

/// Which entries to list: all that fit every condition given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only by this login.
    pub actor: Option<String>,
    /// Only of this kind.
    pub action: Option<Action>,
    /// Only about this thing.
    pub subject: Option<String>,
    /// Only with this result.
    pub result: Option<Outcome>,
}

impl FromRow<'_, SqliteRow> for Entry {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let task: Option<Uuid> = row.try_get("task")?;
        Ok(Self {
            id: row.try_get("id")?,
            at: time(row, "at")?,
            what: NewEntry {
                actor: row.try_get("actor")?,
                action: parsed(row, "action")?,
                subject: row.try_get("subject")?,
                from: row.try_get("from_address")?,
                result: parsed(row, "result")?,
                task: task.map(PlanId),
                reason: row.try_get("reason")?,
            },
        })
    }
}

/// Adds an entry, in the transaction of the change it is about.
pub async fn record(tx: &mut Tx, entry: &NewEntry, at: Timestamp) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO audit (at, actor, action, subject, from_address, result, task, reason)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    sqlx::query(SQL)
        .bind(at.0)
        .bind(&entry.actor)
        .bind(entry.action.to_string())
        .bind(&entry.subject)
        .bind(&entry.from)
        .bind(entry.result.to_string())
        .bind(entry.task.map(|task| task.0))
        .bind(&entry.reason)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Up to `limit` entries, newest first, from the one before `before`.
pub async fn list(
    tx: &mut Tx,
    filter: &Filter,
    before: Option<AuditId>,
    limit: u32,
) -> Result<Vec<Entry>, CatalogError> {
    const SQL: &str = "
        SELECT id, at, actor, action, subject, from_address, result, task, reason FROM audit
        WHERE ($1 IS NULL OR actor = $1) AND ($2 IS NULL OR action = $2)
            AND ($3 IS NULL OR subject = $3) AND ($4 IS NULL OR result = $4) AND id < $5
        ORDER BY id DESC LIMIT $6";
    let page = sqlx::query_as(SQL)
        .bind(&filter.actor)
        .bind(filter.action.map(|action| action.to_string()))
        .bind(&filter.subject)
        .bind(filter.result.map(|result| result.to_string()))
        .bind(before.map_or(i64::MAX, |before| before.0))
        .bind(i64::from(limit));
    Ok(page.fetch_all(&mut *tx).await?)
}

/// How many entries fit the filter.
pub async fn count(tx: &mut Tx, filter: &Filter) -> Result<u64, CatalogError> {
    const SQL: &str = "
        SELECT count(*) AS n FROM audit
        WHERE ($1 IS NULL OR actor = $1) AND ($2 IS NULL OR action = $2)
            AND ($3 IS NULL OR subject = $3) AND ($4 IS NULL OR result = $4)";
    let row = sqlx::query(SQL)
        .bind(&filter.actor)
        .bind(filter.action.map(|action| action.to_string()))
        .bind(&filter.subject)
        .bind(filter.result.map(|result| result.to_string()))
        .fetch_one(&mut *tx)
        .await?;
    Ok(super::size(&row, "n")?)
}
