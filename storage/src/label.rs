//! Labels: what organizations, products and environments are called in paths, for ever.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A label: 1 to 128 characters, lower-cased a path component of OCI, and not `id`.
///
/// Labels are unique without case: compare and store their [`key`](Self::key).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

/// What is wrong with a text that should be a label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Nothing, or too much.
    #[error("a label has 1 to 128 characters, this one has {characters}")]
    Length {
        /// How many there are.
        characters: usize,
    },
    /// A word that paths need for themselves.
    #[error("`{label}` is a reserved word; choose another label")]
    Reserved {
        /// The text.
        label: String,
    },
    /// Not a path component.
    #[error(
        "label `{label}` cannot be part of an image name: use letters and digits, joined by `.`, `_`, `__` or hyphens"
    )]
    Grammar {
        /// The text.
        label: String,
    },
}

impl Label {
    pub(crate) const LONGEST: usize = 128;
    /// The first part of names by number: `id/<organization>/<product>/<name>`.
    const RESERVED: &str = "id";

    /// Reads a label, and says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, LabelError> {
        let characters = text.chars().count();
        if !(1..=Self::LONGEST).contains(&characters) {
            return Err(LabelError::Length { characters });
        }
        let label = text.to_owned();
        let key = text.to_ascii_lowercase();
        if key == Self::RESERVED {
            return Err(LabelError::Reserved { label });
        }
        if !is_path_component(&key) {
            return Err(LabelError::Grammar { label });
        }
        Ok(Self(label))
    }

    /// The label as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The label in lower case: what must be unique, and how it stands in an image name.
    #[must_use]
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// True for `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, a part of an image name between slashes.
#[must_use]
pub fn is_path_component(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let separators: Vec<&str> = text
        .split(|character: char| u8::try_from(character).is_ok_and(word))
        .filter(|between| !between.is_empty())
        .collect();
    let ends_in_words =
        text.bytes().next().is_some_and(word) && text.bytes().last().is_some_and(word);
    let is_separator = |between: &str| {
        matches!(between, "." | "_" | "__") || between.bytes().all(|byte| byte == b'-')
    };
    ends_in_words && separators.into_iter().all(is_separator)
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Label {}

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Label {
    type Error = LabelError;

    fn try_from(text: String) -> Result<Self, LabelError> {
        Self::parse(&text)
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_lower_cases_to_a_path_component() {
        for good in [
            "Default_Organization",
            "acme",
            "a.b",
            "a__b",
            "a---b",
            "1",
            "ID2",
        ] {
            assert_eq!(Label::parse(good).unwrap().as_str(), good);
        }
        for bad in ["a/b", "_a", "a_", "a..b", "a___b", "a._b", "ä", "a b", "-"] {
            assert!(
                matches!(Label::parse(bad), Err(LabelError::Grammar { .. })),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_length_and_the_reserved_word_are_refused() {
        assert_eq!(Label::parse(""), Err(LabelError::Length { characters: 0 }));
        assert_eq!(
            Label::parse(&"a".repeat(129)),
            Err(LabelError::Length { characters: 129 })
        );
        assert!(matches!(
            Label::parse("Id"),
            Err(LabelError::Reserved { .. })
        ));
    }

    #[test]
    fn labels_are_equal_without_case() {
        assert_eq!(
            Label::parse("Tools").unwrap(),
            Label::parse("tools").unwrap()
        );
    }
}
