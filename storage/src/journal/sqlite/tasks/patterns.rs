//! Patterns as the texts that fit them: each text of a field is kept once, so that a pattern is compared with few of them and
//! not with every plan.

use super::super::row::unreadable;
use crate::database::Tx;
use engine::search::{Expr, Field, Kind, Pattern, Search, SearchField as _, Term, Test};
use engine::store::StoreError;

/// A pattern that more texts fit than these is compared with every plan: so many lists of its plans would cost as much.
const MOST_TEXTS: usize = 500;

/// A pattern, and the texts of the field that fit it, if they are few.
struct Read {
    field: Field,
    pattern: Pattern,
    texts: Option<Vec<String>>,
}

/// The same search with its patterns as the texts that fit them, where those are few.
pub(super) async fn read(tx: &mut Tx, search: &Search) -> Result<Search, StoreError> {
    let Some(wanted) = &search.wanted else {
        return Ok(search.clone());
    };
    let mut asked = Vec::new();
    collect(wanted, &mut asked);
    let mut known = Vec::with_capacity(asked.len());
    for (field, pattern) in asked {
        let texts = fitting(tx, field, &pattern).await?;
        known.push(Read {
            field,
            pattern,
            texts,
        });
    }
    Ok(Search {
        wanted: Some(replaced(wanted, &known)),
        now: search.now,
    })
}

const FITTING: &str = "
    SELECT text FROM searched_texts WHERE field = $1 AND text LIKE $2 ESCAPE '\\' LIMIT $3";

async fn fitting(
    tx: &mut Tx,
    field: Field,
    pattern: &Pattern,
) -> Result<Option<Vec<String>>, StoreError> {
    let limit = i64::try_from(MOST_TEXTS + 1).unwrap_or(i64::MAX);
    let mut texts: Vec<String> = sqlx::query_scalar(FITTING)
        .bind(field.to_string())
        .bind(pattern.like())
        .bind(limit)
        .fetch_all(&mut *tx)
        .await
        .map_err(unreadable)?;
    if field.kind() == Kind::Label {
        for text in &mut texts {
            text.make_ascii_lowercase();
        }
        texts.sort_unstable();
        texts.dedup();
    }
    Ok((texts.len() <= MOST_TEXTS).then_some(texts))
}

/// The patterns of fields whose texts are kept.
fn collect(wanted: &Expr, into: &mut Vec<(Field, Pattern)>) {
    match wanted {
        Expr::All(parts) | Expr::Any(parts) => parts.iter().for_each(|part| collect(part, into)),
        Expr::Not(part) => collect(part, into),
        Expr::Term(Term {
            field,
            test: Test::Like(pattern),
        }) if !matches!(field, Field::Digest | Field::Parent) => {
            into.push((*field, pattern.clone()));
        }
        Expr::Term(_) => {}
    }
}

fn replaced(wanted: &Expr, known: &[Read]) -> Expr {
    let all = |parts: &[Expr]| parts.iter().map(|part| replaced(part, known)).collect();
    match wanted {
        Expr::All(parts) => Expr::All(all(parts)),
        Expr::Any(parts) => one_of(all(parts)),
        Expr::Not(part) => Expr::Not(Box::new(replaced(part, known))),
        Expr::Term(term) => Expr::Term(of_term(term, known)),
    }
}

/// What finds nothing is left out.
fn one_of(parts: Vec<Expr>) -> Expr {
    let mut parts: Vec<Expr> = parts.into_iter().filter(|part| !is_nothing(part)).collect();
    match parts.pop() {
        Some(alone) if parts.is_empty() => alone,
        last => {
            parts.extend(last);
            Expr::Any(parts)
        }
    }
}

fn is_nothing(part: &Expr) -> bool {
    match part {
        Expr::Term(Term {
            test: Test::Is(texts),
            ..
        }) => texts.is_empty(),
        Expr::Any(parts) => parts.is_empty(),
        Expr::All(_) | Expr::Not(_) | Expr::Term(_) => false,
    }
}

fn of_term(term: &Term, known: &[Read]) -> Term {
    let Test::Like(pattern) = &term.test else {
        return term.clone();
    };
    let read = known
        .iter()
        .find(|read| read.field == term.field && read.pattern == *pattern);
    match read.and_then(|read| read.texts.clone()) {
        Some(texts) => Term {
            field: term.field,
            test: Test::Is(texts),
        },
        None => term.clone(),
    }
}

#[cfg(test)]
mod tests {
    use crate::database::explain;

    #[tokio::test]
    async fn the_texts_of_one_field_are_read_along_their_key() {
        let told = explain(super::FITTING).await;

        assert_eq!(told, "SEARCH searched_texts USING PRIMARY KEY (field=?)");
    }
}
