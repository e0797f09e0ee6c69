//! What clients that waited for a plan were told.

use std::collections::HashMap;

use engine::clock::Timestamp;
use engine::journal::PlanId;
use sqlx::Row as _;

use super::{CatalogError, plan, time};
use crate::Tx;
use crate::search::{Sql, push_is};

/// The last answer to a client that waited for a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The status of HTTP.
    pub status: u16,
    /// When it was given.
    pub at: Timestamp,
    /// What it warned of.
    pub warning: Option<String>,
}

/// Keeps it, in place of an earlier one; nothing where the plan was forgotten meanwhile.
pub async fn keep(tx: &mut Tx, plan: PlanId, answered: &Answered) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO answers (plan_id, status, at, warning) SELECT id, $2, $3, $4 FROM plan WHERE id = $1
        ON CONFLICT (plan_id) DO UPDATE SET
            status = excluded.status, at = excluded.at, warning = excluded.warning
        WHERE excluded.at >= answers.at";
    sqlx::query(SQL)
        .bind(plan.0)
        .bind(answered.status)
        .bind(answered.at.0)
        .bind(&answered.warning)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// The last answers about these plans; those that nobody was answered about are left out.
pub async fn of(tx: &mut Tx, plans: &[PlanId]) -> Result<HashMap<PlanId, Answered>, CatalogError> {
    let ids: Vec<_> = plans.iter().map(|plan| plan.0).collect();
    let mut sql = Sql::new("SELECT plan_id, status, at, warning FROM answers WHERE ");
    push_is(&mut sql, "plan_id", &ids);
    let rows = sql.build().fetch_all(&mut *tx).await?;
    let read = rows.iter().map(|row| {
        let answered = Answered {
            status: row.try_get("status")?,
            at: time(row, "at")?,
            warning: row.try_get("warning")?,
        };
        Ok((plan(row, "plan_id")?, answered))
    });
    Ok(read.collect::<Result<_, sqlx::Error>>()?)
}
