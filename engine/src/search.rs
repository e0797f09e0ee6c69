//! The search language of lists: Foreman's scoped search, over fields of which each has a kind.
//!
//! A text is read once, into a [`Search`]; [`Search::fits`] says what it means, and stores that cannot look at everything
//! translate it.

mod fits;
mod lexer;
mod parser;
mod pattern;
mod sort;
mod tasks;
mod value;

#[cfg(test)]
mod tests;

use crate::clock::Timestamp;
use std::fmt::{Debug, Display};
use std::str::FromStr;
use strum::VariantNames;
use uuid::Uuid;

pub use fits::Known;
pub use pattern::Pattern;
pub use sort::{Cursor, Sort, SortError, SortKey};
pub use tasks::{Field, Order, TaskCursor, Wait, Waits, attempts};

/// The fields of what is listed, as an enum that reads and writes its own names.
pub trait SearchField:
    FromStr + VariantNames + Display + Debug + Copy + Eq + Send + Sync + 'static
{
    /// What values the field has.
    fn kind(self) -> Kind;

    /// The fields that a word without a field is looked for in.
    fn bare() -> &'static [Self];
}

/// What values a field has, and so which operators fit it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any number of texts, equal with their case.
    Text,
    /// A name that is unique without case, and equal so.
    Label,
    /// Always exactly one of these words.
    State(Vec<String>),
    /// Any number of these words.
    Word(Vec<String>),
    /// A time, in milliseconds since 1970.
    Time,
    /// How long, in milliseconds.
    Duration,
    /// A count.
    Number,
    /// How many bytes.
    Size,
    /// A UUID.
    Id,
}

/// What a list is narrowed to, read at a time: relative times and running durations count from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search<F = Field> {
    /// What must hold; none: everything is found.
    pub wanted: Option<Expr<F>>,
    /// When it was asked.
    pub now: Timestamp,
}

/// What must hold of something to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr<F = Field> {
    /// Each of these.
    All(Vec<Self>),
    /// One of these; of none, nothing.
    Any(Vec<Self>),
    /// Not this. What does not have a field is not equal, like or greater than anything, so that its negation holds.
    Not(Box<Self>),
    /// This.
    Term(Term<F>),
}

/// A test of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term<F = Field> {
    /// Of what.
    pub field: F,
    /// What it must pass.
    pub test: Test,
}

/// What a field must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// One of its texts is one of these; those of a label are in lower case.
    Is(Vec<String>),
    /// One of its texts fits.
    Like(Pattern),
    /// Its number is in one of these ranges.
    Within(Vec<Range>),
    /// Its id is one of these.
    Ids(Vec<Uuid>),
}

/// Numbers from `low` to `high`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The least; [`i64::MIN`]: there is none.
    pub low: i64,
    /// The greatest; [`i64::MAX`]: there is none.
    pub high: i64,
}

impl Range {
    const fn exactly(number: i64) -> Self {
        Self {
            low: number,
            high: number,
        }
    }

    /// So many from `low` on.
    const fn long(low: i64, count: i64) -> Self {
        Self {
            low,
            high: low.saturating_add(count - 1),
        }
    }

    const fn from(low: i64) -> Self {
        Self {
            low,
            high: i64::MAX,
        }
    }

    const fn up_to(high: i64) -> Self {
        Self {
            low: i64::MIN,
            high,
        }
    }

    /// The number is among them.
    #[must_use]
    pub const fn holds(&self, number: i64) -> bool {
        self.low <= number && number <= self.high
    }
}

/// A search that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at position {position} the search holds {found}, but {expected} was expected")]
pub struct SearchError {
    /// Characters before the place, counted from 0.
    pub position: usize,
    /// What stands there.
    pub found: String,
    /// What could stand there.
    pub expected: String,
}

impl SearchError {
    fn new(position: usize, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            position,
            found: found.into(),
            expected: expected.into(),
        }
    }
}

impl<F> Default for Search<F> {
    fn default() -> Self {
        Self::everything(Timestamp::default())
    }
}

impl<F> Search<F> {
    /// Finds everything.
    #[must_use]
    pub const fn everything(now: Timestamp) -> Self {
        Self { wanted: None, now }
    }
}

impl<F: SearchField> Search<F> {
    /// Reads `state = paused and not label ^ (push, cleanup)`; an empty text finds everything.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, SearchError> {
        let wanted = parser::parse(text, now)?;
        Ok(Self { wanted, now })
    }
}
