//! Nodes: who runs, and whose plans are nobody's.

use super::failed;
use super::row::{self, unreadable};
use crate::database::{Database, Tx};
use engine::clock::Timestamp;
use engine::journal::{NodeId, PlanId};
use engine::store::{Entered, NodeRow, Orphan, StoreError};
use std::time::Duration;
use uuid::Uuid;

/// Writes the node's row: it runs.
pub(super) async fn beat(
    database: &Database,
    node: NodeId,
    name: String,
    started_at: Timestamp,
    at: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str = "
        INSERT INTO node (id, name, version, started_at, beat_at, state) VALUES ($1, $2, $3, $4, $5, 'running')
        ON CONFLICT (id) DO UPDATE SET
            name = excluded.name, version = excluded.version, started_at = excluded.started_at,
            beat_at = excluded.beat_at, state = excluded.state";
    database
        .transact::<(), StoreError>(move |tx| {
            Box::pin(async move {
                sqlx::query(SQL)
                    .bind(node.0)
                    .bind(name)
                    .bind(env!("CARGO_PKG_VERSION"))
                    .bind(started_at.0)
                    .bind(at.0)
                    .execute(tx)
                    .await
                    .map_err(failed)?;
                Ok(())
            })
        })
        .await?
}

/// Writes the node's row: it has signed off.
pub(super) async fn leave(
    database: &Database,
    node: NodeId,
    started_at: Timestamp,
    at: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str =
        "UPDATE node SET started_at = $2, beat_at = $3, state = 'stopped' WHERE id = $1";
    database
        .transact::<(), StoreError>(move |tx| {
            Box::pin(async move {
                sqlx::query(SQL)
                    .bind(node.0)
                    .bind(started_at.0)
                    .bind(at.0)
                    .execute(tx)
                    .await
                    .map_err(failed)?;
                Ok(())
            })
        })
        .await?
}

const NODES: &str = "
    SELECT node.id, node.name, node.version, node.started_at, node.beat_at, node.state, coalesce(owned.plans, 0) AS plans
    FROM node LEFT JOIN (
        SELECT owner, count(*) AS plans FROM plan WHERE state <> 'stopped' AND owner IS NOT NULL GROUP BY owner
    ) AS owned ON owned.owner = node.id
    ORDER BY node.name, node.id";

/// Every node, by name, with how many open plans are its own.
pub(super) async fn list(tx: &mut Tx) -> Result<Vec<NodeRow>, StoreError> {
    let rows: Vec<(Uuid, String, String, i64, i64, String, i64)> = sqlx::query_as(NODES)
        .fetch_all(&mut *tx)
        .await
        .map_err(unreadable)?;
    let nodes =
        rows.into_iter().map(
            |(id, name, version, started_at, beat_at, state, plans)| NodeRow {
                id: row::node_id(id),
                name,
                version,
                started_at: Timestamp(started_at),
                beat_at: Timestamp(beat_at),
                runs: state == "running",
                plans: plans.unsigned_abs(),
            },
        );
    Ok(nodes.collect())
}

/// Writes that the node starts, and answers how the life before has ended.
pub(super) async fn enter(
    database: &Database,
    node: NodeId,
    name: String,
    at: Timestamp,
    window: Duration,
) -> Result<Entered, StoreError> {
    const BEFORE: &str = "SELECT started_at FROM node WHERE id = $1 AND state = 'stopped'";
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
        .transact::<Entered, StoreError>(move |tx| {
            Box::pin(async move {
                let signed_off: Option<i64> = sqlx::query_scalar(BEFORE)
                    .bind(node.0)
                    .fetch_optional(&mut *tx)
                    .await
                    .map_err(failed)?;
                let unclean_starts = sqlx::query_scalar(SQL)
                    .bind(node.0)
                    .bind(name)
                    .bind(env!("CARGO_PKG_VERSION"))
                    .bind(at.0)
                    .bind((at - window).0)
                    .fetch_one(tx)
                    .await
                    .map_err(failed)?;
                Ok(Entered {
                    unclean_starts,
                    signed_off: signed_off.map(Timestamp),
                })
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
) -> Result<Vec<Orphan>, StoreError> {
    const SQL: &str = "
        SELECT plan.id, CASE WHEN node.state = 'stopped' THEN node.started_at END
        FROM plan LEFT JOIN node ON node.id = plan.owner
        WHERE plan.state <> 'stopped' AND plan.owner IS NOT NULL
          AND (plan.owner = $1 OR node.id IS NULL OR node.state = 'stopped' OR node.beat_at <= $2)
        ORDER BY plan.id LIMIT $3";
    let plans: Vec<(Uuid, Option<i64>)> = sqlx::query_as(SQL)
        .bind(node.0)
        .bind(silent_since.0)
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await
        .map_err(unreadable)?;
    let orphan = |(plan, signed_off): (Uuid, Option<i64>)| Orphan {
        plan: row::plan_id(plan),
        signed_off: signed_off.map(Timestamp),
    };
    Ok(plans.into_iter().map(orphan).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::explain;

    #[tokio::test]
    async fn nodes_are_counted_along_the_index_of_open_plans() {
        let plan = explain(NODES).await;

        assert!(plan.contains("SCAN plan USING INDEX plan_open"), "{plan}");
    }
}
