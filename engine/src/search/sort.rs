//! In which order a list comes, and how one page goes on where the one before ended.

use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt::Display;
use std::str::FromStr;
use strum::VariantNames;

/// An order of a list. What has no value for it comes last in both directions; what is equal in it, by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sort<K> {
    /// By what.
    pub by: K,
    /// The greatest first.
    pub descending: bool,
}

/// A sort that the list does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no order of this list; write one of {orders}, with `desc` behind it for the reverse"
)]
pub struct SortError {
    /// What was asked for.
    pub text: String,
    /// What the list can be sorted by.
    pub orders: String,
}

impl<K: FromStr + VariantNames> Sort<K> {
    /// Reads `started_at`, `started_at asc`, `started_at DESC` or `-started_at`.
    pub fn parse(text: &str) -> Result<Self, SortError> {
        let wrong = || SortError {
            text: text.to_owned(),
            orders: K::VARIANTS.join(", "),
        };
        let lower = text.to_ascii_lowercase();
        let mut words = lower.split_whitespace();
        let first = words.next().ok_or_else(wrong)?;
        let descending = match (first.strip_prefix('-'), words.next()) {
            (Some(_), None) | (None, Some("desc")) => true,
            (None, None | Some("asc")) => false,
            (None | Some(_), Some(_)) => return Err(wrong()),
        };
        if words.next().is_some() {
            return Err(wrong());
        }
        let by = first.trim_start_matches('-').parse().map_err(|_| wrong())?;
        Ok(Self { by, descending })
    }
}

/// The value that something is sorted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SortKey {
    /// A time in milliseconds, or a number.
    Number(i64),
    /// A text, compared by its bytes.
    Text(String),
}

impl<K> Sort<K> {
    /// Which of two comes first: what has a key before what has none, equal ones by id.
    #[must_use]
    pub fn compare<I: Ord>(
        &self,
        one: &(Option<SortKey>, I),
        other: &(Option<SortKey>, I),
    ) -> Ordering {
        let upwards = match (&one.0, &other.0) {
            (Some(_), None) => return Ordering::Less,
            (None, Some(_)) => return Ordering::Greater,
            (Some(_), Some(_)) | (None, None) => one.cmp(other),
        };
        if self.descending {
            upwards.reverse()
        } else {
            upwards
        }
    }
}

/// Where a page ended: the next one begins behind it, whatever was written in between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor<K, I> {
    /// The order of the list.
    pub sort: Sort<K>,
    /// When its first page was asked for: what happened later does not move anything in the list.
    pub as_of: Timestamp,
    /// What the last one is sorted by; none: it is among those without it.
    pub key: Option<SortKey>,
    /// The id of the last one.
    pub id: I,
}

impl<K: Display> Display for Sort<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let direction = if self.descending { "desc" } else { "asc" };
        write!(f, "{} {direction}", self.by)
    }
}
