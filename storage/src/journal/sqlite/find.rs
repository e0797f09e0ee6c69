//! Reads: rows, mail, counts.

use super::row::{self, unreadable};
use super::tasks;
use crate::database::Tx;
use crate::sqlite::Sqlite;
use engine::clock::Timestamp;
use engine::journal::{Action, ENGINE, Entry, Message, PlanId, Row};
use engine::search::Search;
use engine::store::{Count, Mail, StoreError, Visible};
use sqlx::QueryBuilder;
use uuid::Uuid;

/// All rows of a plan, in order. Entries that this program cannot read are told in the row.
pub(super) async fn rows(tx: &mut Tx, plan: PlanId) -> Result<Vec<Row>, StoreError> {
    const SQL: &str =
        "SELECT seq, nonce, node, at, entries FROM journal WHERE plan_id = $1 ORDER BY seq";
    let rows: Vec<(i64, i64, Uuid, i64, String)> = sqlx::query_as(SQL)
        .bind(plan.0)
        .fetch_all(&mut *tx)
        .await
        .map_err(unreadable)?;
    let rows = rows.into_iter().map(|(seq, nonce, node, at, text)| {
        let (entries, unreadable) = match serde_json::from_str::<Vec<Entry>>(&text) {
            Ok(entries) => (entries, None),
            Err(error) => (
                Vec::new(),
                Some(format!("its entries are not understood: {error}")),
            ),
        };
        Row {
            seq,
            nonce,
            node: row::node_id(node),
            at: Timestamp(at),
            entries,
            unreadable,
        }
    });
    Ok(rows.collect())
}

/// The unread messages of a plan, in order. One that cannot be read says so, and holds up none that follows.
pub(super) async fn mail(tx: &mut Tx, plan: PlanId) -> Result<Vec<Mail>, StoreError> {
    const SQL: &str = "SELECT n, message FROM mailbox WHERE plan_id = $1 ORDER BY n";
    let rows: Vec<(i64, String)> = sqlx::query_as(SQL)
        .bind(plan.0)
        .fetch_all(&mut *tx)
        .await
        .map_err(unreadable)?;
    let mail = rows.into_iter().map(|(n, text)| {
        let message = serde_json::from_str(&text).unwrap_or_else(|error| Message {
            action: Action::Unreadable {
                why: error.to_string(),
            },
            by: ENGINE.to_owned(),
            reason: None,
        });
        Mail { n, message }
    });
    Ok(mail.collect())
}

/// How many plans there are by state, result and reason.
pub(super) async fn count(tx: &mut Tx, visible: &Visible) -> Result<Vec<Count>, StoreError> {
    let mut query =
        QueryBuilder::<Sqlite>::new("SELECT state, result, reason, count(*) FROM plan WHERE true");
    tasks::narrow(&mut query, &Search::default(), visible);
    query.push(" GROUP BY state, result, reason ORDER BY state, result, reason");
    let rows = query
        .build_query_as()
        .fetch_all(&mut *tx)
        .await
        .map_err(unreadable)?;
    counted(rows)
}

/// How many sub-tasks a plan has.
pub(super) async fn children(tx: &mut Tx, parent: PlanId) -> Result<Vec<Count>, StoreError> {
    const SQL: &str = "
        SELECT state, result, reason, count(*) FROM plan_link JOIN plan ON plan.id = plan_link.plan_id
        WHERE plan_link.name = 'parent' AND plan_link.value = $1
        GROUP BY state, result, reason ORDER BY state, result, reason";
    let rows = sqlx::query_as(SQL)
        .bind(parent.to_string())
        .fetch_all(tx)
        .await
        .map_err(unreadable)?;
    counted(rows)
}

fn counted(rows: Vec<(String, String, Option<String>, i64)>) -> Result<Vec<Count>, StoreError> {
    let counts = rows.into_iter().map(|(state, result, reason, count)| {
        Ok(Count {
            state: row::word(&state, "plan.state")?,
            result: row::word(&result, "plan.result")?,
            reason: reason
                .map(|reason| row::word(&reason, "plan.reason"))
                .transpose()?,
            plans: u64::try_from(count).unwrap_or(0),
        })
    });
    counts.collect()
}
