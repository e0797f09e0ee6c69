//! The audit: who changed what, and who was refused. Entries are added; the database itself refuses to change one.

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use engine::journal::PlanId;
use engine::search::{Kind, Search, SearchField, Term, Test};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row as _};
use strum::IntoEnumIterator as _;
use uuid::Uuid;

use super::{AuditId, CatalogError, parsed, time};
use crate::Tx;
use crate::search::{self, Sql};

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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Action {
    /// Something was made.
    Create,
    /// Something was changed.
    Change,
    /// Something was deleted, taken back or revoked.
    Delete,
    /// A version was promoted to the next environment.
    Promote,
    /// An environment was rolled back to an earlier version.
    Rollback,
    /// A task was resumed.
    Resume,
    /// A task was cancelled.
    Cancel,
    /// A task was ended at once.
    Abort,
    /// What a task did was undone.
    Revert,
    /// A task, a workflow or a node was held.
    Hold,
    /// What was held was released.
    Release,
    /// A gate was closed.
    Close,
    /// A gate was opened.
    Open,
    /// A step was skipped, or left as it is where it could not be undone.
    Skip,
    /// Somebody said whether an interrupted step happened.
    Resolve,
    /// A task was told of an event.
    Event,
    /// A step's next attempt was begun at once.
    RetryNow,
    /// A schedule was run besides its times, or a webhook was sent an event of no meaning.
    RunNow,
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

/// What the audit can be searched by.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub enum Field {
    /// When.
    At,
    /// The login of who did it.
    Actor,
    /// What was done.
    Action,
    /// To which thing.
    Subject,
    /// The address the request came from.
    From,
    /// How it went.
    Result,
    /// The task that it was done to.
    Task,
    /// Why, in words.
    Reason,
}

impl SearchField for Field {
    fn kind(self) -> Kind {
        let words = |all: &mut dyn Iterator<Item = String>| Kind::State(all.collect());
        match self {
            Self::At => Kind::Time,
            Self::Actor => Kind::Label,
            Self::Subject | Self::From | Self::Reason => Kind::Text,
            Self::Action => words(&mut Action::iter().map(|word| word.to_string())),
            Self::Result => words(&mut Outcome::iter().map(|word| word.to_string())),
            Self::Task => Kind::Id,
        }
    }

    fn bare() -> &'static [Self] {
        &[Self::Actor, Self::Subject, Self::Reason]
    }
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

/// Adds the entry unless the same was recorded before, whenever that was: for whoever does his work once more after a crash.
pub async fn record_once(tx: &mut Tx, entry: &NewEntry, at: Timestamp) -> Result<(), CatalogError> {
    const SQL: &str = "
        SELECT count(*) FROM audit
        WHERE subject = $1 AND action = $2 AND actor = $3 AND result = $4 AND reason IS $5";
    let known: i64 = sqlx::query_scalar(SQL)
        .bind(&entry.subject)
        .bind(entry.action.to_string())
        .bind(&entry.actor)
        .bind(entry.result.to_string())
        .bind(&entry.reason)
        .fetch_one(&mut *tx)
        .await?;
    if known == 0 {
        record(tx, entry, at).await?;
    }
    Ok(())
}

/// Up to `limit` entries that the search finds, newest first, from the one before `before`.
pub async fn list(
    tx: &mut Tx,
    search: &Search<Field>,
    before: Option<AuditId>,
    limit: u32,
) -> Result<Vec<Entry>, CatalogError> {
    let mut sql = Sql::new(
        "SELECT id, at, actor, action, subject, from_address, result, task, reason FROM audit WHERE true",
    );
    narrow(&mut sql, search);
    if let Some(before) = before {
        sql.push(" AND id < ").push_bind(before);
    }
    sql.push(" ORDER BY id DESC LIMIT ")
        .push_bind(i64::from(limit));
    Ok(sql.build_query_as().fetch_all(&mut *tx).await?)
}

/// How many entries the search finds.
pub async fn count(tx: &mut Tx, search: &Search<Field>) -> Result<u64, CatalogError> {
    let mut sql = Sql::new("SELECT count(*) AS n FROM audit WHERE true");
    narrow(&mut sql, search);
    let row = sql.build().fetch_one(&mut *tx).await?;
    Ok(super::size(&row, "n")?)
}

fn narrow(sql: &mut Sql, search: &Search<Field>) {
    if let Some(wanted) = &search.wanted {
        sql.push(" AND ");
        search::push(sql, wanted, &push_term);
    }
}

fn push_term(sql: &mut Sql, term: &Term<Field>) {
    let column = match term.field {
        Field::At => "at",
        Field::Actor => "lower(actor)",
        Field::Action => "action",
        Field::Subject => "subject",
        Field::From => "from_address",
        Field::Result => "result",
        Field::Task => "task",
        Field::Reason => "reason",
    };
    match &term.test {
        Test::Is(values) => search::push_is(sql, column, values),
        Test::Like(pattern) => search::push_like(sql, column, pattern),
        Test::Within(ranges) => search::push_within(sql, column, ranges),
        Test::Ids(ids) => search::push_is(sql, column, ids),
    }
}
