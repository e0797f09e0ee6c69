//! Reads: rows, mail, lists.

use super::row::{self, unreadable};
use crate::database::Tx;
use engine::clock::Timestamp;
use engine::journal::{Entry, Message, PlanId, Row};
use engine::search::{Field, Search};
use engine::store::{Count, Listing, Mail, Page, StoreError, Visible};
use sqlx::{QueryBuilder, Sqlite};
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

/// The unread messages of a plan, in order.
pub(super) async fn mail(tx: &mut Tx, plan: PlanId) -> Result<Vec<Mail>, StoreError> {
    const SQL: &str = "SELECT n, message FROM mailbox WHERE plan_id = $1 ORDER BY n";
    let rows: Vec<(i64, String)> = sqlx::query_as(SQL)
        .bind(plan.0)
        .fetch_all(&mut *tx)
        .await
        .map_err(unreadable)?;
    let mail = rows.into_iter().map(|(n, text)| {
        let message: Message = serde_json::from_str(&text)
            .map_err(|error| StoreError::Corrupt(format!("message {n} of plan {plan}: {error}")))?;
        Ok(Mail { n, message })
    });
    mail.collect()
}

/// A page of plans, newest first.
pub(super) async fn list(tx: &mut Tx, search: &Search, page: &Page) -> Result<Listing, StoreError> {
    let mut counted = QueryBuilder::<Sqlite>::new("SELECT count(*) FROM plan WHERE true");
    narrow(&mut counted, search, &page.visible);
    let total: i64 = counted
        .build_query_scalar()
        .fetch_one(&mut *tx)
        .await
        .map_err(unreadable)?;

    let mut paged = QueryBuilder::<Sqlite>::new("SELECT id FROM plan WHERE true");
    narrow(&mut paged, search, &page.visible);
    if let Some(before) = page.before {
        paged.push(" AND id < ").push_bind(before.0);
    }
    let limit = i64::from(page.limit);
    paged.push(" ORDER BY id DESC LIMIT ").push_bind(limit + 1);
    let ids: Vec<Uuid> = paged
        .build_query_scalar()
        .fetch_all(&mut *tx)
        .await
        .map_err(unreadable)?;
    let more = ids.len() > page.limit as usize;
    Ok(Listing {
        plans: ids
            .into_iter()
            .take(page.limit as usize)
            .map(row::plan_id)
            .collect(),
        total: u64::try_from(total).unwrap_or(0),
        more,
    })
}

/// How many plans there are by state, result and reason.
pub(super) async fn count(tx: &mut Tx, visible: &Visible) -> Result<Vec<Count>, StoreError> {
    let mut query =
        QueryBuilder::<Sqlite>::new("SELECT state, result, reason, count(*) FROM plan WHERE true");
    narrow(&mut query, &Search::default(), visible);
    query.push(" GROUP BY state, result, reason ORDER BY state, result, reason");
    let rows: Vec<(String, String, Option<String>, i64)> = query
        .build_query_as()
        .fetch_all(&mut *tx)
        .await
        .map_err(unreadable)?;
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

fn narrow(query: &mut QueryBuilder<Sqlite>, search: &Search, visible: &Visible) {
    for (field, value) in &search.terms {
        let value = value.clone();
        match field {
            // A text that is no id is the id of no plan.
            Field::Id => match value.parse::<PlanId>() {
                Ok(id) => query.push(" AND id = ").push_bind(id.0),
                Err(_) => query.push(" AND false"),
            },
            Field::Label => query.push(" AND workflow = ").push_bind(value),
            Field::State => query.push(" AND state = ").push_bind(value),
            Field::Result => query.push(" AND result = ").push_bind(value),
            Field::Reason => query.push(" AND reason = ").push_bind(value),
            Field::User => query.push(" AND actor = ").push_bind(value),
            Field::Organization => query.push(" AND organization = ").push_bind(value),
            Field::Repository | Field::Tag | Field::Digest => query
                .push(" AND id IN (SELECT plan_id FROM plan_link WHERE name = ")
                .push_bind(field.to_string())
                .push(" AND value = ")
                .push_bind(value)
                .push(")"),
        };
    }
    if let Visible::Some {
        organizations,
        actor,
    } = visible
    {
        query.push(" AND (actor = ").push_bind(actor.clone());
        for label in organizations {
            query.push(" OR organization = ").push_bind(label.clone());
        }
        query.push(")");
    }
}
