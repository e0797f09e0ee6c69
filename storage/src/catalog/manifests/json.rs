//! JSON of strangers, taken piece by piece: what is not looked at is skipped and never built in memory, where a few bytes
//! like `{"":0}` would become hundreds. What is not as it should be is not there.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A piece as it stands in the document.
pub(in crate::catalog) type Piece<'a> = &'a RawValue;

/// The piece is an object.
pub(in crate::catalog) fn is_object(piece: Piece<'_>) -> bool {
    piece.get().starts_with('{')
}

/// The first key of the object that readers which overlook case take for one of `known`, though it is not written so.
pub(in crate::catalog) fn miswritten(piece: &str, known: &[&str]) -> Option<String> {
    let mut piece = serde_json::Deserializer::from_str(piece);
    Miswritten(known).deserialize(&mut piece).ok()?
}

struct Miswritten<'k>(&'k [&'k str]);

impl<'de> DeserializeSeed<'de> for Miswritten<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Option<String>, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Miswritten<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Option<String>, A::Error> {
        let mut found = None;
        while let Some((key, IgnoredAny)) = members.next_entry::<String, IgnoredAny>()? {
            let is = |known: &&str| folded(&key).eq(folded(known));
            if found.is_none() && self.0.iter().any(is) && !self.0.contains(&key.as_str()) {
                found = Some(key);
            }
        }
        Ok(found)
    }
}

/// Its characters without case; two letters outside of ASCII fold into it.
fn folded(key: &str) -> impl Iterator<Item = char> {
    key.chars().map(|character| match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => character.to_ascii_lowercase(),
    })
}

/// The text, if it is one and not empty.
pub(in crate::catalog) fn text(piece: Option<Piece<'_>>) -> Option<String> {
    let text: String = serde_json::from_str(piece?.get()).ok()?;
    (!text.is_empty()).then_some(text)
}

/// The members of an object that are texts; nothing of what is not an object.
pub(in crate::catalog) fn texts(piece: Option<Piece<'_>>) -> BTreeMap<String, String> {
    let members: Option<BTreeMap<String, Piece<'_>>> =
        piece.and_then(|object| serde_json::from_str(object.get()).ok());
    members
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name, serde_json::from_str(value.get()).ok()?)))
        .collect()
}

/// What descriptors and image configs say of where an image runs.
#[derive(Deserialize)]
pub(in crate::catalog) struct Platform<'a> {
    #[serde(borrow)]
    os: Option<Piece<'a>>,
    #[serde(borrow)]
    architecture: Option<Piece<'a>>,
    #[serde(borrow)]
    variant: Option<Piece<'a>>,
}

impl Platform<'_> {
    /// `os/architecture[/variant]` of an object that has these fields.
    pub(in crate::catalog) fn of(piece: Piece<'_>) -> Option<String> {
        if !is_object(piece) {
            return None;
        }
        let read: Platform<'_> = serde_json::from_str(piece.get()).ok()?;
        let (os, architecture) = (text(read.os)?, text(read.architecture)?);
        Some(match text(read.variant) {
            Some(variant) => format!("{os}/{architecture}/{variant}"),
            None => format!("{os}/{architecture}"),
        })
    }
}
