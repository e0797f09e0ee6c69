//! Whether something is what a search looks for: the meaning of the language, to which every database must agree.

use super::{Expr, Kind, Range, Search, SearchField, Test};
use std::borrow::Cow;
use uuid::Uuid;

/// What is known of a field of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known<'a> {
    /// Its texts: none, one, or as many as there are tags.
    Texts(Vec<Cow<'a, str>>),
    /// Its number, or its time or duration in milliseconds.
    Number(Option<i64>),
    /// Its id.
    Id(Uuid),
}

impl<'a> Known<'a> {
    /// The text, if there is one.
    pub fn text(text: Option<impl Into<Cow<'a, str>>>) -> Self {
        Self::Texts(text.map(Into::into).into_iter().collect())
    }
}

impl<F: SearchField> Search<F> {
    /// Something of which `known` tells every field is what is looked for.
    pub fn fits<'a>(&self, known: impl Fn(F) -> Known<'a>) -> bool {
        self.wanted
            .as_ref()
            .is_none_or(|wanted| fits(wanted, &known))
    }
}

fn fits<'a, F: SearchField>(wanted: &Expr<F>, known: &impl Fn(F) -> Known<'a>) -> bool {
    match wanted {
        Expr::All(parts) => parts.iter().all(|part| fits(part, known)),
        Expr::Any(parts) => parts.iter().any(|part| fits(part, known)),
        Expr::Not(part) => !fits(part, known),
        Expr::Term(term) => passes(&term.test, &term.field.kind(), &known(term.field)),
    }
}

fn passes(test: &Test, kind: &Kind, known: &Known<'_>) -> bool {
    match (test, known) {
        (Test::Is(values), Known::Texts(texts)) if *kind == Kind::Label => texts
            .iter()
            .any(|text| values.contains(&text.to_ascii_lowercase())),
        (Test::Is(values), Known::Texts(texts)) => texts
            .iter()
            .any(|text| values.iter().any(|value| value == text)),
        (Test::Like(pattern), Known::Texts(texts)) => texts.iter().any(|text| pattern.fits(text)),
        (Test::Within(ranges), Known::Number(Some(number))) => {
            ranges.iter().any(|range: &Range| range.holds(*number))
        }
        (Test::Ids(ids), Known::Id(id)) => ids.contains(id),
        (Test::Is(_) | Test::Like(_) | Test::Within(_) | Test::Ids(_), _) => false,
    }
}
