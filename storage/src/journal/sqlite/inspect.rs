//! Everything the database says of a plan beside its journal, for whoever checks that they agree.

use super::{find, lock, row};
use crate::database::Tx;
use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use engine::journal::{NodeId, PlanId, Row};
use engine::lock::{LockRequest, LockState, Seat};
use engine::plan::Plan;
use engine::store::{Head, StoreError};
use sqlx::Row as _;

/// A plan as all tables tell it.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its id.
    pub plan: PlanId,
    /// As its plan row says.
    pub head: Head,
    /// Its open key.
    pub open_key: Option<String>,
    /// Its journal.
    pub rows: Vec<Row>,
    /// Messages that nobody has read.
    pub unread_mail: usize,
    /// Its places in the queues of its locks.
    pub seats: Vec<Seat>,
}

/// Up to `limit` plans in the order of their ids, from the one that follows `after`.
pub async fn records(
    tx: &mut Tx,
    after: Option<PlanId>,
    limit: u32,
) -> Result<Vec<Record>, StoreError> {
    const SQL: &str = "
        SELECT id, workflow, state, result, reason, organization, actor, owner, open_key,
            created_at, started_at, ended_at, paused_at, waiting, attempt
        FROM plan WHERE id > $1 ORDER BY id LIMIT $2";
    let after = after.map_or(uuid::Uuid::nil(), |plan| plan.0);
    let rows = sqlx::query(SQL)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await
        .map_err(row::unreadable)?;
    let mut records = Vec::with_capacity(rows.len());
    for row in &rows {
        let plan = PlanId(row.try_get("id").map_err(row::unreadable)?);
        records.push(Record {
            plan,
            head: head(row)?,
            open_key: row.try_get("open_key").map_err(row::unreadable)?,
            rows: find::rows(tx, plan).await?,
            unread_mail: find::mail(tx, plan).await?.len(),
            seats: lock::seats(tx, plan).await?,
        });
    }
    Ok(records)
}

fn head(row: &SqliteRow) -> Result<Head, StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column).map_err(row::unreadable);
    let time = |column: &str| {
        row.try_get::<Option<i64>, _>(column)
            .map(|at| at.map(Timestamp))
            .map_err(row::unreadable)
    };
    let reason: Option<String> = row.try_get("reason").map_err(row::unreadable)?;
    let waiting: Option<String> = row.try_get("waiting").map_err(row::unreadable)?;
    let owner: Option<uuid::Uuid> = row.try_get("owner").map_err(row::unreadable)?;
    Ok(Head {
        workflow: text("workflow")?,
        state: row::word(&text("state")?, "plan.state")?,
        result: row::word(&text("result")?, "plan.result")?,
        reason: reason
            .map(|reason| row::word(&reason, "plan.reason"))
            .transpose()?,
        owner: owner.map(NodeId),
        organization: row.try_get("organization").map_err(row::unreadable)?,
        actor: row.try_get("actor").map_err(row::unreadable)?,
        created_at: time("created_at")?.unwrap_or_default(),
        started_at: time("started_at")?,
        ended_at: time("ended_at")?,
        paused_at: time("paused_at")?,
        waits: waiting
            .map(|words| row::word(&words, "plan.waiting"))
            .transpose()?
            .unwrap_or_default(),
        attempt: row.try_get("attempt").map_err(row::unreadable)?,
    })
}

/// Journals of no plan: whose, and how many rows. A plan is forgotten with its journal.
pub async fn lost_journals(tx: &mut Tx) -> Result<Vec<(PlanId, u64)>, StoreError> {
    const SQL: &str = "
        SELECT plan_id, count(*) FROM journal
        WHERE NOT EXISTS (SELECT 1 FROM plan WHERE plan.id = journal.plan_id) GROUP BY plan_id";
    let rows: Vec<(uuid::Uuid, i64)> = sqlx::query_as(SQL)
        .fetch_all(tx)
        .await
        .map_err(row::unreadable)?;
    let read = |(plan, rows): (_, i64)| (PlanId(plan), u64::try_from(rows).unwrap_or(0));
    Ok(rows.into_iter().map(read).collect())
}

/// Sub-tasks of no plan, with the parent that they name. They are forgotten together.
pub async fn lost_sub_tasks(tx: &mut Tx) -> Result<Vec<(PlanId, String)>, StoreError> {
    // Ids are bytes in the list of plans and text in the links.
    const SQL: &str = "
        SELECT plan_id, value FROM plan_link WHERE name = 'parent'
            AND NOT EXISTS (SELECT 1 FROM plan WHERE id = unhex(replace(value, '-', '')))";
    let rows: Vec<(uuid::Uuid, String)> = sqlx::query_as(SQL)
        .fetch_all(tx)
        .await
        .map_err(row::unreadable)?;
    let read = |(plan, parent)| (PlanId(plan), parent);
    Ok(rows.into_iter().map(read).collect())
}

/// A plan's journal, as this snapshot has it.
pub async fn rows(tx: &mut Tx, plan: PlanId) -> Result<Vec<Row>, StoreError> {
    find::rows(tx, plan).await
}

/// The locks that are held, as their journals say, by plans that stand with others in the queue of one; all of one moment.
pub async fn contended(tx: &mut Tx) -> Result<Vec<(PlanId, LockRequest)>, StoreError> {
    const SQL: &str = "
        SELECT DISTINCT plan_id FROM lock
        WHERE resource IN (SELECT resource FROM lock GROUP BY resource HAVING count(*) > 1)
        ORDER BY plan_id";
    let plans: Vec<uuid::Uuid> = sqlx::query_scalar(SQL)
        .fetch_all(&mut *tx)
        .await
        .map_err(row::unreadable)?;
    let mut held = Vec::new();
    for plan in plans.into_iter().map(PlanId) {
        let locks = Plan::fold(plan, &find::rows(tx, plan).await?).locks;
        let of_plan = locks.into_iter().filter(|it| it.state == LockState::Held);
        held.extend(of_plan.map(|lock| (plan, lock.request)));
    }
    Ok(held)
}

/// Locks of plans that are stopped, or of no plan: nobody would ever let them go.
pub async fn lost_locks(tx: &mut Tx) -> Result<Vec<(PlanId, String)>, StoreError> {
    const SQL: &str = "
        SELECT lock.plan_id, lock.resource FROM lock LEFT JOIN plan ON plan.id = lock.plan_id
        WHERE plan.id IS NULL OR plan.state = 'stopped' ORDER BY lock.n";
    let rows: Vec<(uuid::Uuid, String)> = sqlx::query_as(SQL)
        .fetch_all(tx)
        .await
        .map_err(row::unreadable)?;
    Ok(rows
        .into_iter()
        .map(|(plan, resource)| (PlanId(plan), resource))
        .collect())
}
