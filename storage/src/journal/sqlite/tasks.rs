//! The lists of plans: what a search means in the tables, and in which order it is read.

mod linked;
mod patterns;
mod rarest;

use super::row::{self, unreadable};
use crate::database::Tx;
use crate::search::{self, Sql};
use crate::sqlite::SqliteRow;
use engine::search::{Cursor, Expr, Field, Order, Search, SortKey, Term, Test, Wait, Waits};
use engine::store::{Listing, Page, StoreError, Visible};
use linked::Linked;
use rarest::Rarest;
use sqlx::Row as _;
use uuid::Uuid;

/// A page of plans. Those with a value for its order are read first, along its index, then those without, by id.
pub(super) async fn list(tx: &mut Tx, search: &Search, page: &Page) -> Result<Listing, StoreError> {
    let search = &patterns::read(tx, search).await?;
    let fewest = rarest::of(tx, search, &page.visible).await?;
    let total: i64 = counted(search, &page.visible, fewest.map(|it| it.what))
        .build_query_scalar()
        .fetch_one(&mut *tx)
        .await
        .map_err(unreadable)?;
    let rarest = fewest
        .filter(rarest::Found::is_sorted_soon)
        .map(|it| it.what);
    let wanted = page.limit as usize + 1;
    let mut found: Vec<(Option<SortKey>, Uuid)> = Vec::with_capacity(wanted);
    let past_keys = page.after.as_ref().is_some_and(|after| after.key.is_none());
    if page.sort.by != Order::CreatedAt && !past_keys {
        found.extend(read(tx, &mut with_key(search, page, rarest, wanted)).await?);
    }
    if found.len() < wanted && page.sort.by != Order::Label {
        let rest = wanted - found.len();
        found.extend(read(tx, &mut without_key(search, page, rarest, rest)).await?);
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

/// How the rows for a test are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Along its index.
    Index,
    /// Along its index, but only a few of them: enough to know that there are many.
    Some,
    /// It is asked of rows that something else has found.
    Row,
}

impl Access {
    /// What is written before a column: SQLite uses no index for a term that begins with `+`.
    fn sign(self) -> &'static str {
        match self {
            Self::Index | Self::Some => "",
            Self::Row => "+",
        }
    }
}

fn counted(search: &Search, visible: &Visible, rarest: Option<Rarest>) -> Sql {
    if search.wanted.is_none() && matches!(visible, Visible::All) {
        // Without a condition, be it `true`, SQLite adds up what the pages of an index hold, and looks at no row.
        return Sql::new("SELECT count(*) FROM plan");
    }
    if let (None, Visible::All, Some(linked)) = (rarest, visible, Linked::of(search))
        && linked.rest.wanted.is_none()
    {
        let mut sql = Sql::new("SELECT count(*) FROM plan_link WHERE ");
        linked.push(&mut sql, "plan_link");
        return sql;
    }
    let mut sql = Sql::new("SELECT count(*) FROM plan WHERE true");
    match rarest {
        Some(rarest) => narrow_by(&mut sql, search, visible, Some(rarest)),
        None => narrow(&mut sql, search, visible),
    }
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

fn with_key(search: &Search, page: &Page, rarest: Option<Rarest>, limit: usize) -> Sql {
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
    let sign = by(rarest).sign();
    sql.push(" FROM plan WHERE ").push(sign).push(expression);
    if is_time {
        sql.push(" <= ").push_bind(search.now.0);
    } else {
        sql.push(" IS NOT NULL");
    }
    let (past, order) = direction(page);
    if let Some(after) = &page.after {
        sql.push(" AND (").push(sign).push(expression);
        sql.push(", id)").push(past);
        match &after.key {
            Some(SortKey::Text(text)) => sql.push("(").push_bind(text.clone()),
            Some(SortKey::Number(number)) => sql.push("(").push_bind(*number),
            None => sql.push("(NULL"),
        };
        sql.push(", ").push_bind(after.id.0).push(")");
    }
    narrow_by(&mut sql, search, &page.visible, rarest);
    sql.push(" ORDER BY ")
        .push(sign)
        .push(expression)
        .push(order);
    ended(sql.push(", id"), order, limit);
    sql
}

fn without_key(search: &Search, page: &Page, rarest: Option<Rarest>, limit: usize) -> Sql {
    let Keys {
        expression,
        is_time,
        absent,
    } = keys(page.sort.by);
    let linked =
        Linked::of(search).filter(|_| page.sort.by == Order::CreatedAt && rarest.is_none());
    let mut sql = Sql::new("SELECT id, NULL AS text, NULL AS number FROM ");
    let (id, rest) = if let Some(linked) = &linked {
        sql.push("plan_link AS linked JOIN plan ON plan.id = linked.plan_id WHERE ");
        linked.push(&mut sql, "linked");
        sql.push(" AND (");
        ("linked.plan_id", &linked.rest)
    } else {
        sql.push("plan WHERE (");
        (if rarest.is_some() { "+id" } else { "id" }, search)
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
    narrow_by(&mut sql, rest, &page.visible, rarest);
    ended(sql.push(" ORDER BY ").push(id), order, limit);
    sql
}

/// How the rows of a page are read: in its order, unless something finds only a few of them.
fn by(rarest: Option<Rarest>) -> Access {
    if rarest.is_some() {
        Access::Row
    } else {
        Access::Index
    }
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

/// Adds what must hold of a row of `plan`: the search, and that it may be seen. Along which index is left to SQLite.
pub(super) fn narrow(sql: &mut Sql, search: &Search, visible: &Visible) {
    for part in rarest::parts(search) {
        push_part(sql.push(" AND "), part, search, Access::Index);
    }
    if matches!(visible, Visible::Some { .. }) {
        push_visible(sql.push(" AND "), visible, Access::Index);
    }
}

/// The same along the index of what is rarest; if nothing is rare, along none of these.
fn narrow_by(sql: &mut Sql, search: &Search, visible: &Visible, rarest: Option<Rarest>) {
    let access = |what: Rarest| {
        if rarest == Some(what) {
            Access::Index
        } else {
            Access::Row
        }
    };
    for (place, part) in rarest::parts(search).iter().enumerate() {
        push_part(sql.push(" AND "), part, search, access(Rarest::Part(place)));
    }
    if matches!(visible, Visible::Some { .. }) {
        push_visible(sql.push(" AND "), visible, access(Rarest::Visible));
    }
}

fn push_part(sql: &mut Sql, part: &Expr, search: &Search, access: Access) {
    search::push(sql, part, &|sql, term| push_term(sql, term, search, access));
}

fn push_visible(sql: &mut Sql, visible: &Visible, access: Access) {
    let Visible::Some {
        organizations,
        actor,
    } = visible
    else {
        sql.push("true");
        return;
    };
    let labels: Vec<String> = organizations
        .iter()
        .map(|label| label.to_ascii_lowercase())
        .collect();
    let sign = access.sign();
    sql.push("(").push(sign).push("lower(actor) = ");
    sql.push_bind(actor.to_ascii_lowercase()).push(" OR ");
    search::push_is(sql, &format!("{sign}lower(organization)"), &labels);
    sql.push(")");
}

fn push_term(sql: &mut Sql, term: &Term, search: &Search, access: Access) {
    let column = |name: &str| format!("{}{name}", access.sign());
    match term.field {
        Field::Id => push_test(sql, &column("id"), &term.test),
        Field::Label => push_test(sql, &column("workflow"), &term.test),
        Field::State => push_test(sql, &column("state"), &term.test),
        Field::Result => push_result(sql, &column("result"), &term.test),
        Field::Reason => push_test(sql, &column("reason"), &term.test),
        Field::User => push_test(sql, &column("lower(actor)"), &term.test),
        Field::Organization => push_test(sql, &column("lower(organization)"), &term.test),
        Field::Repository | Field::Product | Field::Tag | Field::Digest | Field::Parent => {
            push_link(sql, term, access);
        }
        Field::CreatedAt => push_test(sql, &column("created_at"), &term.test),
        Field::StartedAt => push_test(sql, &column("started_at"), &term.test),
        Field::EndedAt => push_test(sql, &column("ended_at"), &term.test),
        Field::Duration => {
            let now = search.now.0;
            let duration = format!("(coalesce(ended_at, {now}) - started_at)");
            push_test(sql, &duration, &term.test);
        }
        Field::Waiting => push_waiting(sql, &column("waiting"), &term.test),
        Field::Attempt => push_attempt(sql, &column("attempt"), &term.test),
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

fn is_link(field: Field) -> bool {
    matches!(
        field,
        Field::Repository | Field::Product | Field::Tag | Field::Digest | Field::Parent
    )
}

fn push_link(sql: &mut Sql, term: &Term, access: Access) {
    match access {
        Access::Index | Access::Some => {
            sql.push("id IN (SELECT plan_id FROM plan_link");
            push_linked(sql, term);
        }
        Access::Row => {
            sql.push("EXISTS (SELECT 1 FROM plan_link INDEXED BY plan_link_plan");
            push_linked_test(sql, term);
            sql.push(" AND plan_id = plan.id");
        }
    }
    if access == Access::Some {
        sql.push(" LIMIT ").push_bind(rarest::MANY);
    }
    sql.push(")");
}

/// The links behind `FROM plan_link`. SQLite is told the index, because with another one it reads those of all plans.
fn push_linked(sql: &mut Sql, term: &Term) {
    sql.push(if term.field == Field::Product {
        " INDEXED BY plan_link_product"
    } else {
        " INDEXED BY sqlite_autoindex_plan_link_1"
    });
    push_linked_test(sql, term);
}

/// The name is written out: the index of products is only of theirs.
fn push_linked_test(sql: &mut Sql, term: &Term) {
    let is_product = term.field == Field::Product;
    sql.push(" WHERE name = '").push(term.field).push("' AND ");
    push_test(
        sql,
        if is_product { "lower(value)" } else { "value" },
        &term.test,
    );
}

/// Few plans end otherwise than well, and those have an index.
fn push_result(sql: &mut Sql, column: &str, test: &Test) {
    if let Test::Is(words) = test
        && rarest::is_rare_result(words)
    {
        sql.push("result <> 'pending' AND result <> 'success' AND ");
    }
    push_test(sql, column, test);
}

/// The column holds all words: several can be there together.
fn push_waiting(sql: &mut Sql, column: &str, test: &Test) {
    let words: &[String] = match test {
        Test::Is(words) => words,
        Test::Like(_) | Test::Within(_) | Test::Ids(_) => &[],
    };
    let waits = words.iter().filter_map(|word| word.parse::<Wait>().ok());
    let all = waits.flat_map(Waits::all_with);
    let mut held: Vec<String> = all.filter_map(|all| all.to_words()).collect();
    held.sort_unstable();
    held.dedup();
    search::push_is(sql, column, &held);
}

/// Few plans have more than one attempt, and those have an index.
fn push_attempt(sql: &mut Sql, column: &str, test: &Test) {
    if let Test::Within(ranges) = test
        && ranges.iter().all(|range| range.low > 1)
    {
        sql.push("attempt > 1 AND ");
    }
    push_test(sql, column, test);
}

#[cfg(test)]
mod tests;
