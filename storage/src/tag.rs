//! Tags: names of manifests inside a repository.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

/// A text that cannot be a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a tag: 1 to 128 of letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`"
)]
pub struct TagError {
    text: String,
}

impl Tag {
    pub(crate) const LONGEST: usize = 128;

    /// The tag's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let begins_well = text.as_bytes().first().is_some_and(word);
        let goes_on_well = text
            .bytes()
            .all(|byte| word(&byte) || b".-".contains(&byte));
        if begins_well && goes_on_well && text.len() <= Self::LONGEST {
            Ok(Self(text.to_owned()))
        } else {
            Err(TagError {
                text: text.chars().take(Self::LONGEST + 1).collect(),
            })
        }
    }
}

impl TryFrom<String> for Tag {
    type Error = TagError;

    fn try_from(text: String) -> Result<Self, TagError> {
        text.parse()
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_of_the_distribution_spec_is_kept() {
        let longest = "a".repeat(128);
        for good in ["latest", "1.0", "_", "A-b.c_d", longest.as_str()] {
            assert_eq!(good.parse::<Tag>().unwrap().as_str(), good);
        }
        let too_long = "a".repeat(129);
        for bad in ["", ".", "-a", "a/b", "ä", "a b", "a:b", too_long.as_str()] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
    }
}
