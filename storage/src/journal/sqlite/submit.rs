//! New plans and messages, inside the application's own transaction.

use super::append::append_batch;
use super::{failed, lock, row};
use crate::database::Tx;
use engine::clock::Timestamp;
use engine::journal::{Entry, Message, PlanId};
use engine::store::{Accepted, Head, OpenPlan, StoreError, Submission};
use uuid::Uuid;

/// Records the plan with its place in the queues of its locks; which of its two first rows depends on whether those are free.
pub(super) async fn submit(tx: &mut Tx, submission: Submission) -> Result<Accepted, StoreError> {
    let Submission {
        queued,
        granted,
        open_key,
    } = submission;
    let plan = queued.plan;
    let (Some(Entry::Submitted(submitted)), Some(_)) =
        (queued.row.entries.first(), queued.head.as_ref())
    else {
        return Err(StoreError::Corrupt(format!(
            "the submission of plan {plan} does not begin with `submitted`"
        )));
    };
    let (locks, links, at) = (
        submitted.locks.clone(),
        submitted.links.clone(),
        queued.row.at,
    );
    if let Some(open) = insert_plan(tx, plan, queued.head.as_ref(), open_key.as_deref()).await? {
        return Ok(Accepted::OpenAlready(open));
    }
    lock::ask(tx, plan, &locks, at).await.map_err(failed)?;
    let at_once = locks.is_empty() || lock::holds_all(tx, plan).await.map_err(failed)?;
    let first = if at_once { &granted } else { &queued };
    let verdicts = append_batch(tx, &[first]).await.map_err(failed)?;
    if !matches!(verdicts.as_slice(), [Some(_)]) {
        return Err(StoreError::Fenced {
            plan,
            seq: first.row.seq,
        });
    }
    insert_links(tx, plan, &links).await?;
    Ok(Accepted::Recorded { granted: at_once })
}

/// Inserts the plan row, or answers with the open plan that has its key.
async fn insert_plan(
    tx: &mut Tx,
    plan: PlanId,
    head: Option<&Head>,
    open_key: Option<&str>,
) -> Result<Option<PlanId>, StoreError> {
    const SQL: &str = "
        INSERT INTO plan (id, workflow, state, result, organization, actor, owner, open_key, created_at)
        VALUES ($1, $2, 'pending', 'pending', $3, $4, $5, $6, $7)
        ON CONFLICT (open_key) WHERE open_key IS NOT NULL DO NOTHING";
    const OPEN: &str = "SELECT id FROM plan WHERE open_key = $1";
    let Some(head) = head else { return Ok(None) };
    let inserted = sqlx::query(SQL)
        .bind(plan.0)
        .bind(&head.workflow)
        .bind(&head.organization)
        .bind(&head.actor)
        .bind(head.owner.map(|owner| owner.0))
        .bind(open_key)
        .bind(head.created_at.0)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    if inserted.rows_affected() == 1 {
        return Ok(None);
    }
    let open: Uuid = sqlx::query_scalar(OPEN)
        .bind(open_key)
        .fetch_one(&mut *tx)
        .await
        .map_err(failed)?;
    Ok(Some(PlanId(open)))
}

/// All links are one statement, whatever their number, with one text.
async fn insert_links(
    tx: &mut Tx,
    plan: PlanId,
    links: &[(String, String)],
) -> Result<(), StoreError> {
    const SQL: &str = "
        INSERT INTO plan_link (plan_id, name, value)
        SELECT $1, json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each($2) WHERE true
        ON CONFLICT (name, value, plan_id) DO NOTHING";
    if links.is_empty() {
        return Ok(());
    }
    let texts = serde_json::to_string(links)
        .map_err(|error| StoreError::Corrupt(format!("links cannot be written: {error}")))?;
    sqlx::query(SQL)
        .bind(plan.0)
        .bind(texts)
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Puts a message into a mailbox.
pub(super) async fn deliver(
    tx: &mut Tx,
    plan: PlanId,
    message: &Message,
    at: Timestamp,
) -> Result<i64, StoreError> {
    const SQL: &str = "INSERT INTO mailbox (plan_id, at, message) VALUES ($1, $2, $3) RETURNING n";
    let text = serde_json::to_string(message)
        .map_err(|error| StoreError::Corrupt(format!("a message cannot be written: {error}")))?;
    sqlx::query_scalar(SQL)
        .bind(plan.0)
        .bind(at.0)
        .bind(text)
        .fetch_one(tx)
        .await
        .map_err(failed)
}

/// The open plans whose key begins so.
pub(super) async fn open(tx: &mut Tx, prefix: &str) -> Result<Vec<OpenPlan>, StoreError> {
    const SQL: &str = "
        SELECT id, open_key, state, paused_at FROM plan
        WHERE open_key >= $1 AND open_key < $2 ORDER BY id";
    let past = format!("{prefix}\u{10FFFF}");
    let rows: Vec<(Uuid, String, String, Option<i64>)> = sqlx::query_as(SQL)
        .bind(prefix)
        .bind(past)
        .fetch_all(&mut *tx)
        .await
        .map_err(failed)?;
    let mut open = Vec::with_capacity(rows.len());
    for (id, key, state, paused_at) in rows {
        let (id, state) = (
            PlanId(id),
            row::word::<engine::state::PlanState>(&state, "plan.state")?,
        );
        let at_work = state.is_driven() && lock::holds_all(tx, id).await.map_err(failed)?;
        open.push(OpenPlan {
            id,
            key,
            state,
            paused_at: paused_at.map(Timestamp),
            at_work,
        });
    }
    Ok(open)
}

/// Frees the open key of a plan that another one supersedes.
pub(super) async fn take_key(tx: &mut Tx, plan: PlanId) -> Result<(), sqlx::Error> {
    const SQL: &str = "UPDATE plan SET open_key = NULL WHERE id = $1";
    sqlx::query(SQL).bind(plan.0).execute(tx).await?;
    Ok(())
}

/// Gives a plan that goes on after its end its open key again.
pub(super) async fn give_key(tx: &mut Tx, plan: PlanId, key: &str) -> Result<(), sqlx::Error> {
    const SQL: &str = "UPDATE plan SET open_key = $2 WHERE id = $1";
    sqlx::query(SQL).bind(plan.0).bind(key).execute(tx).await?;
    Ok(())
}
