//! The search language as conditions of SQL.
//!
//! A condition may be null, where a field has no value; that counts as false. `AND` and `OR` keep to that by themselves,
//! `NOT` is written `IS NOT TRUE`.

use crate::sqlite::Sqlite;
use engine::search::{Expr, Pattern, Range, Term};
use sqlx::{Encode, QueryBuilder, Type};

/// A statement that is being written.
pub(crate) type Sql = QueryBuilder<Sqlite>;

/// Writes what must hold; `term` writes a single test.
pub(crate) fn push<F>(sql: &mut Sql, wanted: &Expr<F>, term: &impl Fn(&mut Sql, &Term<F>)) {
    match wanted {
        Expr::All(parts) => push_joined(sql, parts, " AND ", term),
        Expr::Any(parts) if parts.is_empty() => push_nothing(sql),
        Expr::Any(parts) => push_joined(sql, parts, " OR ", term),
        Expr::Not(part) => {
            sql.push("((");
            push(sql, part, term);
            sql.push(") IS NOT TRUE)");
        }
        Expr::Term(test) => term(sql, test),
    }
}

fn push_joined<F>(
    sql: &mut Sql,
    parts: &[Expr<F>],
    between: &str,
    term: &impl Fn(&mut Sql, &Term<F>),
) {
    sql.push("(");
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            sql.push(between);
        }
        push(sql, part, term);
    }
    sql.push(")");
}

/// Nothing fits.
pub(crate) fn push_nothing(sql: &mut Sql) {
    sql.push("(1 = 0)");
}

/// The expression equals one of the values.
pub(crate) fn push_is<T>(sql: &mut Sql, expression: &str, values: &[T])
where
    T: Clone + Type<Sqlite> + for<'q> Encode<'q, Sqlite> + Send + 'static,
{
    if let [value] = values {
        sql.push(expression).push(" = ").push_bind(value.clone());
        return;
    }
    // An empty list is in no standard.
    if values.is_empty() {
        return push_nothing(sql);
    }
    sql.push(expression).push(" IN (");
    for (n, value) in values.iter().enumerate() {
        if n > 0 {
            sql.push(", ");
        }
        sql.push_bind(value.clone());
    }
    sql.push(")");
}

/// The expression fits the pattern. SQLite's `LIKE` is without ASCII case, as patterns are; PostgreSQL's would be `ILIKE`.
pub(crate) fn push_like(sql: &mut Sql, expression: &str, pattern: &Pattern) {
    sql.push(expression)
        .push(" LIKE ")
        .push_bind(pattern.like())
        .push(" ESCAPE '\\'");
}

/// The number is in one of the ranges.
pub(crate) fn push_within(sql: &mut Sql, expression: &str, ranges: &[Range]) {
    sql.push("(");
    for (n, range) in ranges.iter().enumerate() {
        if n > 0 {
            sql.push(" OR ");
        }
        if range.low == range.high {
            sql.push(expression).push(" = ").push_bind(range.low);
            continue;
        }
        // Also with no bound the number must be there.
        sql.push(expression).push(" >= ").push_bind(range.low);
        if range.high < i64::MAX {
            sql.push(" AND ").push(expression);
            sql.push(" <= ").push_bind(range.high);
        }
    }
    sql.push(")");
}
