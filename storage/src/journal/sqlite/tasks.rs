//! The lists of plans: what a search means in the tables, and in which order it is read.

mod linked;

use super::row::{self, unreadable};
use crate::database::Tx;
use crate::search::{self, Sql};
use engine::journal::PlanResult;
use engine::search::{Cursor, Field, Order, Search, SortKey, Term, Test};
use engine::store::{Listing, Page, StoreError, Visible};
use linked::Linked;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

/// A page of plans. Those with a value for its order are read first, along its index, then those without, by id.
pub(super) async fn list(tx: &mut Tx, search: &Search, page: &Page) -> Result<Listing, StoreError> {
    let total: i64 = counted(search, &page.visible)
        .build_query_scalar()
        .fetch_one(&mut *tx)
        .await
        .map_err(unreadable)?;
    let wanted = page.limit as usize + 1;
    let mut found: Vec<(Option<SortKey>, Uuid)> = Vec::with_capacity(wanted);
    let past_keys = page.after.as_ref().is_some_and(|after| after.key.is_none());
    if page.sort.by != Order::CreatedAt && !past_keys {
        found.extend(read(tx, &mut with_key(search, page, wanted)).await?);
    }
    if found.len() < wanted && page.sort.by != Order::Label {
        let rest = wanted - found.len();
        found.extend(read(tx, &mut without_key(search, page, rest)).await?);
    }
    let more = found.len() == wanted;
    found.truncate(page.limit as usize);
    let last = found.last().filter(|_| more).cloned();
    Ok(Listing {
        plans: found.into_iter().map(|(_, id)| row::plan_id(id)).collect(),
        total: u64::try_from(total).unwrap_or(0),
        next: last.map(|(key, id)| Cursor {
            sort: page.sort,
            as_of: search.now,
            key,
            id: row::plan_id(id),
        }),
    })
}

async fn read(tx: &mut Tx, sql: &mut Sql) -> Result<Vec<(Option<SortKey>, Uuid)>, StoreError> {
    let rows = sql.build().fetch_all(tx).await.map_err(unreadable)?;
    let read = |row: &SqliteRow| {
        let (number, text): (Option<i64>, Option<String>) =
            (row.try_get("number")?, row.try_get("text")?);
        let key = number.map(SortKey::Number).or(text.map(SortKey::Text));
        Ok((key, row.try_get("id")?))
    };
    rows.iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map_err(unreadable)
}

fn counted(search: &Search, visible: &Visible) -> Sql {
    if let (Visible::All, Some(linked)) = (visible, Linked::of(search))
        && linked.rest.wanted.is_none()
    {
        let mut sql = Sql::new("SELECT count(*) FROM plan_link WHERE ");
        linked.push(&mut sql, "plan_link");
        return sql;
    }
    let mut sql = Sql::new("SELECT count(*) FROM plan WHERE true");
    narrow(&mut sql, search, visible);
    sql
}

/// Where an order's values lie.
struct Keys {
    /// The value, as an index has it.
    expression: &'static str,
    /// It is a time: what lies after the first page was asked for does not count yet.
    is_time: bool,
    /// The plans without a value.
    absent: &'static str,
}

const fn keys(order: Order) -> Keys {
    let (expression, is_time, absent) = match order {
        Order::CreatedAt => ("id", false, "true"),
        Order::StartedAt => ("started_at", true, "started_at IS NULL"),
        // What has ended is stopped, and the index of open plans finds the others.
        Order::EndedAt => ("ended_at", true, "state <> 'stopped'"),
        Order::Label => ("workflow", false, "false"),
        Order::User => ("lower(actor)", false, "lower(actor) IS NULL"),
        Order::Organization => ("lower(organization)", false, "lower(organization) IS NULL"),
    };
    Keys {
        expression,
        is_time,
        absent,
    }
}

fn with_key(search: &Search, page: &Page, limit: usize) -> Sql {
    let Keys {
        expression,
        is_time,
        ..
    } = keys(page.sort.by);
    let mut sql = Sql::new(if is_time {
        "SELECT id, NULL AS text, "
    } else {
        "SELECT id, NULL AS number, "
    });
    sql.push(expression);
    sql.push(if is_time { " AS number" } else { " AS text" });
    sql.push(" FROM plan WHERE ").push(expression);
    if is_time {
        sql.push(" <= ").push_bind(search.now.0);
    } else {
        sql.push(" IS NOT NULL");
    }
    let (past, order) = direction(page);
    if let Some(after) = &page.after {
        sql.push(" AND (").push(expression).push(", id)").push(past);
        match &after.key {
            Some(SortKey::Text(text)) => sql.push("(").push_bind(text.clone()),
            Some(SortKey::Number(number)) => sql.push("(").push_bind(*number),
            None => sql.push("(NULL"),
        };
        sql.push(", ").push_bind(after.id.0).push(")");
    }
    narrow(&mut sql, search, &page.visible);
    sql.push(" ORDER BY ").push(expression).push(order);
    ended(sql.push(", id"), order, limit);
    sql
}

fn without_key(search: &Search, page: &Page, limit: usize) -> Sql {
    let Keys {
        expression,
        is_time,
        absent,
    } = keys(page.sort.by);
    let linked = Linked::of(search).filter(|_| page.sort.by == Order::CreatedAt);
    let mut sql = Sql::new("SELECT id, NULL AS text, NULL AS number FROM ");
    let (id, rest) = if let Some(linked) = &linked {
        sql.push("plan_link AS linked JOIN plan ON plan.id = linked.plan_id WHERE ");
        linked.push(&mut sql, "linked");
        sql.push(" AND (");
        ("linked.plan_id", &linked.rest)
    } else {
        sql.push("plan WHERE (");
        ("id", search)
    };
    sql.push(absent);
    if is_time {
        sql.push(" OR ").push(expression);
        sql.push(" > ").push_bind(search.now.0);
    }
    sql.push(")");
    let (past, order) = direction(page);
    if let Some(after) = page.after.as_ref().filter(|after| after.key.is_none()) {
        sql.push(" AND ").push(id);
        sql.push(past).push_bind(after.id.0);
    }
    narrow(&mut sql, rest, &page.visible);
    ended(sql.push(" ORDER BY ").push(id), order, limit);
    sql
}

/// How a later row compares, and how it is ordered.
fn direction(page: &Page) -> (&'static str, &'static str) {
    if page.sort.descending {
        (" < ", " DESC")
    } else {
        (" > ", " ASC")
    }
}

fn ended(sql: &mut Sql, order: &str, limit: usize) {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    sql.push(order).push(" LIMIT ").push_bind(limit);
}

/// Adds what must hold of a row of `plan`: the search, and that it may be seen.
pub(super) fn narrow(sql: &mut Sql, search: &Search, visible: &Visible) {
    if let Some(wanted) = &search.wanted {
        sql.push(" AND ");
        search::push(sql, wanted, &|sql, term| push_term(sql, term, search));
    }
    if let Visible::Some {
        organizations,
        actor,
    } = visible
    {
        let labels: Vec<String> = organizations
            .iter()
            .map(|label| label.to_ascii_lowercase())
            .collect();
        sql.push(" AND (lower(actor) = ")
            .push_bind(actor.to_ascii_lowercase())
            .push(" OR ");
        search::push_is(sql, "lower(organization)", &labels);
        sql.push(")");
    }
}

fn push_term(sql: &mut Sql, term: &Term, search: &Search) {
    match term.field {
        Field::Id => push_test(sql, "id", &term.test),
        Field::Label => push_test(sql, "workflow", &term.test),
        Field::State => push_test(sql, "state", &term.test),
        Field::Result => push_result(sql, &term.test),
        Field::Reason => push_test(sql, "reason", &term.test),
        Field::User => push_test(sql, "lower(actor)", &term.test),
        Field::Organization => push_test(sql, "lower(organization)", &term.test),
        Field::Repository => push_link(sql, "repository", "value", &term.test),
        Field::Product => push_link(sql, "product", "lower(value)", &term.test),
        Field::Tag => push_link(sql, "tag", "value", &term.test),
        Field::Digest => push_link(sql, "digest", "value", &term.test),
        Field::CreatedAt => push_test(sql, "created_at", &term.test),
        Field::StartedAt => push_test(sql, "started_at", &term.test),
        Field::EndedAt => push_test(sql, "ended_at", &term.test),
        Field::Duration => {
            let now = search.now.0;
            let duration = format!("(coalesce(ended_at, {now}) - started_at)");
            push_test(sql, &duration, &term.test);
        }
        Field::Waiting => push_waiting(sql, &term.test),
        Field::Attempt => push_attempt(sql, &term.test),
    }
}

fn push_test(sql: &mut Sql, expression: &str, test: &Test) {
    match test {
        Test::Is(values) => search::push_is(sql, expression, values),
        Test::Like(pattern) => search::push_like(sql, expression, pattern),
        Test::Within(ranges) => search::push_within(sql, expression, ranges),
        Test::Ids(ids) => search::push_is(sql, expression, ids),
    }
}

/// The name is written out: the index of products is only of theirs.
fn push_link(sql: &mut Sql, name: &str, value: &str, test: &Test) {
    sql.push("id IN (SELECT plan_id FROM plan_link WHERE name = '")
        .push(name)
        .push("' AND ");
    push_test(sql, value, test);
    sql.push(")");
}

/// Few plans end otherwise than well, and those have an index.
fn push_result(sql: &mut Sql, test: &Test) {
    const COMMON: [PlanResult; 2] = [PlanResult::Pending, PlanResult::Success];
    if let Test::Is(words) = test
        && COMMON
            .iter()
            .all(|common| !words.contains(&common.to_string()))
    {
        sql.push("result <> 'pending' AND result <> 'success' AND ");
    }
    push_test(sql, "result", test);
}

/// The column holds all words: retry and time can be there together.
fn push_waiting(sql: &mut Sql, test: &Test) {
    const BOTH: [&str; 2] = ["retry", "time"];
    let mut held = match test {
        Test::Is(words) => words.clone(),
        Test::Like(_) | Test::Within(_) | Test::Ids(_) => Vec::new(),
    };
    if held.iter().any(|word| BOTH.contains(&word.as_str())) {
        held.push(BOTH.join(" "));
    }
    search::push_is(sql, "waiting", &held);
}

/// Few plans have more than one attempt, and those have an index.
fn push_attempt(sql: &mut Sql, test: &Test) {
    if let Test::Within(ranges) = test
        && ranges.iter().all(|range| range.low > 1)
    {
        sql.push("attempt > 1 AND ");
    }
    push_test(sql, "attempt", test);
}

#[cfg(test)]
mod tests;
