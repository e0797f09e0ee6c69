//! Searches for one link: its index holds the plans in the order of their ids, so that the first of very many are found
//! without looking at the others.

use crate::search::Sql;
use engine::search::{Expr, Field, Search, Term, Test};

/// A link that everything found has, and what else is looked for.
pub(super) struct Linked {
    name: Field,
    value: String,
    /// The search without it.
    pub(super) rest: Search,
}

impl Linked {
    /// The rarest link that this search asks for.
    pub(super) fn of(search: &Search) -> Option<Self> {
        const RAREST_FIRST: [Field; 4] =
            [Field::Digest, Field::Parent, Field::Repository, Field::Tag];
        let mut parts = match search.wanted.as_ref()? {
            Expr::All(parts) => parts.clone(),
            one @ (Expr::Any(_) | Expr::Not(_) | Expr::Term(_)) => vec![one.clone()],
        };
        let (place, name, value) = RAREST_FIRST.into_iter().find_map(|name| {
            let mut values = parts.iter().map(|part| alone(part, name));
            let place = values.position(|value| value.is_some())?;
            Some((place, name, alone(&parts[place], name)?.to_owned()))
        })?;
        parts.remove(place);
        let wanted = (!parts.is_empty()).then_some(Expr::All(parts));
        let now = search.now;
        Some(Self {
            name,
            value,
            rest: Search { wanted, now },
        })
    }

    /// Narrows `plan_link`, under whatever name it has here, to this link.
    pub(super) fn push(&self, sql: &mut Sql, table: &str) {
        sql.push(table).push(".name = '");
        sql.push(self.name).push("' AND ");
        sql.push(table).push(".value = ");
        sql.push_bind(self.value.clone());
    }
}

/// The only value that this part lets the field have.
fn alone(part: &Expr, name: Field) -> Option<&str> {
    match part {
        Expr::Term(Term {
            field,
            test: Test::Is(values),
        }) if *field == name => match values.as_slice() {
            [value] => Some(value),
            _ => None,
        },
        Expr::Term(_) | Expr::All(_) | Expr::Any(_) | Expr::Not(_) => None,
    }
}
