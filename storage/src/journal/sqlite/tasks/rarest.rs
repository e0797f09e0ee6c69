//! What of a search finds the fewest plans: those are found along its index, and the rest is asked of them alone.
//!
//! SQLite does not know how many plans are like this or that, and guesses wrongly where it matters most: `tag = latest` may
//! be half of all plans. So each part that has an index is tried, as far as a few.

use super::super::row::unreadable;
use super::{Access, is_link, push_linked, push_part, push_visible};
use crate::database::Tx;
use crate::search::Sql;
use engine::journal::PlanResult;
use engine::search::{Expr, Field, Search, Term, Test};
use engine::store::{StoreError, Visible};

/// So many plans are counted one by one in ten milliseconds; whatever finds more is counted as SQLite thinks best.
pub(super) const MANY: i64 = 10_000;
/// So many are sorted in two milliseconds; a page of more is found sooner in the order of the list.
const SORTED_SOON: i64 = 2_000;

/// What finds only a few plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rarest {
    /// This one of the parts that must all hold.
    Part(usize),
    /// What may be seen.
    Visible,
}

/// What finds the fewest plans, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) what: Rarest,
    plans: i64,
}

impl Found {
    /// True if a page is best read from these, whatever its order.
    pub(super) fn is_sorted_soon(&self) -> bool {
        self.plans < SORTED_SOON
    }
}

/// The parts of a search that must all hold.
pub(super) fn parts(search: &Search) -> &[Expr] {
    match &search.wanted {
        None => &[],
        Some(Expr::All(parts)) => parts,
        Some(one) => std::slice::from_ref(one),
    }
}

/// What finds the fewest plans; none if everything finds many.
pub(super) async fn of(
    tx: &mut Tx,
    search: &Search,
    visible: &Visible,
) -> Result<Option<Found>, StoreError> {
    let mut fewest: Option<Found> = None;
    let indexed = parts(search)
        .iter()
        .enumerate()
        .filter(|(_, part)| is_indexed(part));
    let mut tried: Vec<(Rarest, Sql)> = indexed
        .map(|(place, part)| (Rarest::Part(place), tried_part(part, search)))
        .collect();
    if matches!(visible, Visible::Some { .. }) {
        tried.push((Rarest::Visible, tried_visible(visible)));
    }
    for (what, mut sql) in tried {
        let plans: i64 = sql
            .build_query_scalar()
            .fetch_one(&mut *tx)
            .await
            .map_err(unreadable)?;
        if plans < MANY && fewest.is_none_or(|it| plans < it.plans) {
            fewest = Some(Found { what, plans });
        }
    }
    Ok(fewest)
}

pub(super) fn tried_part(part: &Expr, search: &Search) -> Sql {
    if let Expr::Term(term) = part
        && is_link(term.field)
    {
        // Its links are as many as its plans, and nearer.
        let mut sql = Sql::new("SELECT count(*) FROM (SELECT 1 FROM plan_link");
        push_linked(&mut sql, term);
        return ended(sql);
    }
    let mut sql = begun();
    push_part(&mut sql, part, search, Access::Some);
    ended(sql)
}

fn tried_visible(visible: &Visible) -> Sql {
    let mut sql = begun();
    push_visible(&mut sql, visible, Access::Some);
    ended(sql)
}

fn begun() -> Sql {
    Sql::new("SELECT count(*) FROM (SELECT 1 FROM plan WHERE ")
}

fn ended(mut sql: Sql) -> Sql {
    sql.push(" LIMIT ").push_bind(MANY).push(")");
    sql
}

/// True if an index finds what this part wants.
fn is_indexed(part: &Expr) -> bool {
    match part {
        Expr::Term(Term { field, test }) => match test {
            Test::Like(_) => false,
            Test::Is(words) => *field != Field::Result || is_rare_result(words),
            Test::Ids(_) => true,
            Test::Within(ranges) => match field {
                Field::CreatedAt | Field::StartedAt | Field::EndedAt => true,
                Field::Attempt => ranges.iter().all(|range| range.low > 1),
                Field::Id
                | Field::Label
                | Field::State
                | Field::Result
                | Field::Reason
                | Field::User
                | Field::Organization
                | Field::Repository
                | Field::Product
                | Field::Tag
                | Field::Digest
                | Field::Parent
                | Field::Duration
                | Field::Waiting => false,
            },
        },
        Expr::Any(parts) => parts.iter().all(is_indexed),
        Expr::All(parts) => parts.iter().any(is_indexed),
        Expr::Not(_) => false,
    }
}

/// Few plans end otherwise than well, and those have an index.
pub(super) fn is_rare_result(words: &[String]) -> bool {
    const COMMON: [PlanResult; 2] = [PlanResult::Pending, PlanResult::Success];
    COMMON
        .iter()
        .all(|common| !words.contains(&common.to_string()))
}
