//! Nodes: who runs, and whose plans are nobody's.

use super::failed;
use super::row::{self, unreadable};
use crate::database::{Database, Tx};
use engine::clock::Timestamp;
use engine::journal::{NodeId, PlanId};
use engine::store::StoreError;
use std::time::Duration;
use uuid::Uuid;

/// Writes the node's row.
pub(super) async fn beat(
    database: &Database,
    node: NodeId,
    name: String,
    at: Timestamp,
    state: &'static str,
) -> Result<(), StoreError> {
    const SQL: &str = "
        INSERT INTO node (id, name, version, started_at, beat_at, state) VALUES ($1, $2, $3, $4, $4, $5)
        ON CONFLICT (id) DO UPDATE SET
            name = CASE WHEN excluded.name = '' THEN node.name ELSE excluded.name END,
            started_at = CASE WHEN node.state = 'running' THEN node.started_at ELSE excluded.started_at END,
            version = excluded.version, beat_at = excluded.beat_at, state = excluded.state";
    database
        .transact::<(), StoreError>(move |tx| {
            Box::pin(async move {
                sqlx::query(SQL)
                    .bind(node.0)
                    .bind(name)
                    .bind(env!("CARGO_PKG_VERSION"))
                    .bind(at.0)
                    .bind(state)
                    .execute(tx)
                    .await
                    .map_err(failed)?;
                Ok(())
            })
        })
        .await?
}

/// Writes that the node starts, and answers how often it has done so in a row without having signed off before.
pub(super) async fn enter(
    database: &Database,
    node: NodeId,
    name: String,
    at: Timestamp,
    window: Duration,
) -> Result<u32, StoreError> {
    const SQL: &str = "
        INSERT INTO node (id, name, version, started_at, beat_at, state) VALUES ($1, $2, $3, $4, $4, 'running')
        ON CONFLICT (id) DO UPDATE SET
            unclean_starts = CASE
                WHEN node.state <> 'running' THEN 0
                WHEN node.started_at >= $5 THEN node.unclean_starts + 1
                ELSE 1 END,
            name = excluded.name, version = excluded.version, started_at = excluded.started_at,
            beat_at = excluded.beat_at, state = excluded.state
        RETURNING unclean_starts";
    database
        .transact::<u32, StoreError>(move |tx| {
            Box::pin(async move {
                sqlx::query_scalar(SQL)
                    .bind(node.0)
                    .bind(name)
                    .bind(env!("CARGO_PKG_VERSION"))
                    .bind(at.0)
                    .bind((at - window).0)
                    .fetch_one(tx)
                    .await
                    .map_err(failed)
            })
        })
        .await?
}

/// Plans with unread mail that are this node's or nobody's.
pub(super) async fn unread(tx: &mut Tx, node: NodeId) -> Result<Vec<PlanId>, StoreError> {
    const SQL: &str = "
        SELECT DISTINCT plan.id FROM mailbox JOIN plan ON plan.id = mailbox.plan_id
        WHERE plan.owner IS NULL OR plan.owner = $1 ORDER BY plan.id";
    let plans: Vec<Uuid> = sqlx::query_scalar(SQL)
        .bind(node.0)
        .fetch_all(&mut *tx)
        .await
        .map_err(unreadable)?;
    Ok(plans.into_iter().map(row::plan_id).collect())
}

/// Open plans of this node, and of nodes that stopped or have not beaten since `silent_since`.
pub(super) async fn orphans(
    tx: &mut Tx,
    node: NodeId,
    silent_since: Timestamp,
    limit: u32,
) -> Result<Vec<PlanId>, StoreError> {
    const SQL: &str = "
        SELECT plan.id FROM plan LEFT JOIN node ON node.id = plan.owner
        WHERE plan.state <> 'stopped' AND plan.owner IS NOT NULL
          AND (plan.owner = $1 OR node.id IS NULL OR node.state = 'stopped' OR node.beat_at <= $2)
        ORDER BY plan.id LIMIT $3";
    let plans: Vec<Uuid> = sqlx::query_scalar(SQL)
        .bind(node.0)
        .bind(silent_since.0)
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await
        .map_err(unreadable)?;
    Ok(plans.into_iter().map(row::plan_id).collect())
}
