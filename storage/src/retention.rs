//! Rules of retention: what of a repository stays, as its product says, and what goes.
//!
//! Pure: the rules, what a repository holds, and the time make the judgement, so that a dry run and a run cannot differ.

mod judge;
mod rules;

pub use judge::{Going, Manifest, Shelf, Tagged, Why};
#[cfg(feature = "schema")]
pub(crate) use rules::{MOST_GLOBS, MOST_RULES};
pub use rules::{Newest, Retention, RuleError, TagRule, Within};
