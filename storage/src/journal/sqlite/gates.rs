//! Gates.

use super::failed;
use super::row::{unreadable, word};
use crate::database::Tx;
use engine::clock::Timestamp;
use engine::gate::{Gate, GateId};
use engine::store::StoreError;

#[derive(sqlx::FromRow)]
struct Row {
    kind: String,
    name: String,
    state: String,
    actor: Option<String>,
    reason: Option<String>,
    since: i64,
    at_once: u32,
    failures: u32,
    probe_at: Option<i64>,
    revision: i64,
}

impl Row {
    fn gate(self) -> Result<Gate, StoreError> {
        let id = GateId::kept_as(&self.kind, &self.name).ok_or_else(|| {
            StoreError::Corrupt(format!("`{}` is no gate of a {}", self.name, self.kind))
        })?;
        Ok(Gate {
            id,
            state: word(&self.state, "gate.state")?,
            by: self.actor,
            reason: self.reason,
            since: Timestamp(self.since),
            at_once: self.at_once,
            failures: self.failures,
            probe_at: self.probe_at.map(Timestamp),
            revision: self.revision,
        })
    }
}

/// Every gate that was ever closed: a handful of rows.
pub(super) async fn list(tx: &mut Tx) -> Result<Vec<Gate>, StoreError> {
    const SQL: &str = "SELECT * FROM gate ORDER BY kind, name";
    let rows: Vec<Row> = sqlx::query_as(SQL)
        .fetch_all(tx)
        .await
        .map_err(unreadable)?;
    rows.into_iter().map(Row::gate).collect()
}

/// Inserts the gate, or replaces the one that is kept, if that has its revision or a person wants it.
pub(super) async fn put(
    tx: &mut Tx,
    mut gate: Gate,
    by_hand: bool,
) -> Result<Option<Gate>, StoreError> {
    const SQL: &str = "
        INSERT INTO gate (kind, name, state, actor, reason, since, at_once, failures, probe_at, revision)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10 + 1)
        ON CONFLICT (kind, name) DO UPDATE SET
            state = excluded.state, actor = excluded.actor, reason = excluded.reason, since = excluded.since,
            at_once = excluded.at_once, failures = excluded.failures, probe_at = excluded.probe_at,
            revision = gate.revision + 1
        WHERE gate.revision = $10 OR $11
        RETURNING revision";
    let state: &'static str = gate.state.into();
    let revision: Option<i64> = sqlx::query_scalar(SQL)
        .bind(gate.id.kind())
        .bind(gate.id.name())
        .bind(state)
        .bind(&gate.by)
        .bind(&gate.reason)
        .bind(gate.since.0)
        .bind(gate.at_once)
        .bind(gate.failures)
        .bind(gate.probe_at.map(|at| at.0))
        .bind(gate.revision)
        .bind(by_hand)
        .fetch_optional(tx)
        .await
        .map_err(failed)?;
    Ok(revision.map(|revision| {
        gate.revision = revision;
        gate
    }))
}
