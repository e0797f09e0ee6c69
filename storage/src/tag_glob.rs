//! Globs over tags: which tags of a product cannot be moved once they are pushed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::tag::Tag;

/// A tag in which `*` stands for any characters, none as well, and `?` for one.
///
/// Letters differ by case, as they do in tags.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TagGlob(String);

/// A text that cannot be such a glob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no glob of tags: 1 to 128 of letters, digits, `_`, `.`, `-`, `*` for any characters and `?` for one"
)]
pub struct TagGlobError {
    text: String,
}

impl TagGlob {
    pub(crate) const LONGEST: usize = Tag::LONGEST;

    /// The glob's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if the whole tag is as the glob says.
    #[must_use]
    pub fn matches(&self, tag: &Tag) -> bool {
        matches(self.0.as_bytes(), tag.as_str().as_bytes())
    }
}

/// Goes back to the last `*` only: what an earlier one took can stay as it is, so that no glob takes long.
fn matches(glob: &[u8], tag: &[u8]) -> bool {
    let (mut in_glob, mut in_tag) = (0, 0);
    // Behind the last `*`, and the first character that it has not taken.
    let mut star = None;
    while in_tag < tag.len() {
        match glob.get(in_glob) {
            Some(b'*') => {
                in_glob += 1;
                star = Some((in_glob, in_tag));
            }
            Some(&wanted) if wanted == b'?' || wanted == tag[in_tag] => {
                in_glob += 1;
                in_tag += 1;
            }
            Some(_) | None => match star {
                Some((behind, taken)) => {
                    star = Some((behind, taken + 1));
                    (in_glob, in_tag) = (behind, taken + 1);
                }
                None => return false,
            },
        }
    }
    glob[in_glob..].iter().all(|rest| *rest == b'*')
}

impl FromStr for TagGlob {
    type Err = TagGlobError;

    fn from_str(text: &str) -> Result<Self, TagGlobError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-*?".contains(&byte);
        if (1..=Self::LONGEST).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(TagGlobError {
                text: text.chars().take(Self::LONGEST + 1).collect(),
            })
        }
    }
}

impl TryFrom<String> for TagGlob {
    type Error = TagGlobError;

    fn try_from(text: String) -> Result<Self, TagGlobError> {
        text.parse()
    }
}

impl From<TagGlob> for String {
    fn from(glob: TagGlob) -> Self {
        glob.0
    }
}

impl fmt::Display for TagGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(glob: &str, tag: &str) -> bool {
        let glob: TagGlob = glob.parse().unwrap();
        glob.matches(&tag.parse().unwrap())
    }

    #[test]
    fn a_star_stands_for_any_characters_and_a_question_mark_for_one() {
        for (glob, tag) in [
            ("latest", "latest"),
            ("*", "anything"),
            ("v*", "v"),
            ("v*", "v1.2.3"),
            ("v?.?", "v1.2"),
            ("*.0", "1.0.0"),
            ("*-rc*", "2.0-rc-1-rc2"),
            ("v*.*.*", "v1.2.3.4"),
            ("**a", "ba"),
            ("a**", "a"),
            ("?*?", "ab"),
        ] {
            assert!(holds(glob, tag), "{glob} and {tag}");
        }
        for (glob, tag) in [
            ("latest", "latest1"),
            ("latest", "late"),
            ("v*", "1v"),
            ("v?.?", "v1.23"),
            ("*.0", "1.0.1"),
            ("*-rc?", "2.0-rc"),
            ("v*.*.*", "v1.2"),
            ("?*?", "a"),
        ] {
            assert!(!holds(glob, tag), "{glob} and {tag}");
        }
    }

    #[test]
    fn a_point_is_a_point_and_letters_differ_by_case() {
        assert!(!holds("1.0", "1a0"));
        assert!(!holds("V*", "v1"));
    }

    #[test]
    fn the_longest_globs_do_not_take_long() {
        let glob = "*a".repeat(64);
        let tag = format!("{}b", "a".repeat(127));

        assert!(!holds(&glob, &tag));
    }

    #[test]
    fn a_glob_has_the_characters_of_tags_and_its_own_two() {
        let longest = "*".repeat(128);
        for good in ["1.0", "v*", "???", "A-b.c_d", "-*", longest.as_str()] {
            assert_eq!(good.parse::<TagGlob>().unwrap().as_str(), good);
        }
        let too_long = "a".repeat(129);
        for bad in ["", "[0-9]", "a b", "a/b", "ä*", "!a", too_long.as_str()] {
            assert!(bad.parse::<TagGlob>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_glob_is_one_text_in_json() {
        let globs: Vec<TagGlob> = serde_json::from_str(r#"["v*", "1.0"]"#).unwrap();

        assert_eq!(serde_json::to_string(&globs).unwrap(), r#"["v*","1.0"]"#);
        assert!(serde_json::from_str::<TagGlob>(r#""a b""#).is_err());
    }
}
