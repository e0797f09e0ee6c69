//! What a product says of the tags and manifests of its repositories.

use std::fmt;
use std::time::Duration;

use engine::retention::Keep;
use serde::{Deserialize, Serialize};

use crate::{Tag, TagGlob};

/// Each tag is held against all of them.
pub(crate) const MOST_RULES: usize = 32;
/// And against all of theirs.
pub(crate) const MOST_GLOBS: usize = 32;

/// What of a product's repositories stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Retention {
    /// For each tag the first of these rules decides that has a glob for it. A tag that none has a glob for stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<TagRule>,
    /// Manifests that nothing needs go so long after they were pushed, pulled, or lost their last tag; left out: they stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untagged_within: Option<Within>,
}

/// What of some tags stays: each that any of the criteria keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedRule")]
pub struct TagRule {
    /// Which tags: globs, in which `*` stands for any characters and `?` for one.
    pub matching: Vec<TagGlob>,
    /// So many of them stay in each repository: those that were pushed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_newest: Option<Newest>,
    /// Those stay that were set within this time, as `30d` or `12h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_pushed_within: Option<Within>,
    /// Those stay that were pulled, or set, within this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_pulled_within: Option<Within>,
}

/// How many stay: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64")]
pub struct Newest(u32);

/// A time within which something stays: `30d` or `12h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Within(Duration);

/// Why these are no rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// They say nothing.
    #[error("must have `tags` or `untagged_within`; null takes all rules away")]
    Nothing,
    /// There are too many.
    #[error("must have at most {MOST_RULES} rules in `tags`, not {0}")]
    TooMany(usize),
    /// A rule is about no tag.
    #[error("must have at least one glob in `matching`, for example `pr-*`, or `*` for every tag")]
    NoGlob,
    /// A rule is about too many.
    #[error("must have at most {MOST_GLOBS} globs in `matching`, not {0}")]
    TooManyGlobs(usize),
    /// A rule keeps nothing.
    #[error(
        "must have at least one of `keep_newest`, `keep_pushed_within` and `keep_pulled_within`: without any, every such tag would go"
    )]
    NoCriterion,
    /// It is no number of tags.
    #[error("must be a whole number from 1 to {most}, not {0}", most = Newest::MOST)]
    Newest(i64),
    /// It is no time.
    #[error("`{0}` is not a time from 1h to 3650d, as `30d` or `12h`")]
    Within(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    #[serde(default)]
    tags: Vec<TagRule>,
    #[serde(default)]
    untagged_within: Option<Within>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UncheckedRule {
    matching: Vec<TagGlob>,
    #[serde(default)]
    keep_newest: Option<Newest>,
    #[serde(default)]
    keep_pushed_within: Option<Within>,
    #[serde(default)]
    keep_pulled_within: Option<Within>,
}

impl TryFrom<Unchecked> for Retention {
    type Error = RuleError;

    fn try_from(given: Unchecked) -> Result<Self, RuleError> {
        let Unchecked {
            tags,
            untagged_within,
        } = given;
        if tags.is_empty() && untagged_within.is_none() {
            return Err(RuleError::Nothing);
        }
        if tags.len() > MOST_RULES {
            return Err(RuleError::TooMany(tags.len()));
        }
        Ok(Self {
            tags,
            untagged_within,
        })
    }
}

impl TryFrom<UncheckedRule> for TagRule {
    type Error = RuleError;

    fn try_from(given: UncheckedRule) -> Result<Self, RuleError> {
        let rule = Self {
            matching: given.matching,
            keep_newest: given.keep_newest,
            keep_pushed_within: given.keep_pushed_within,
            keep_pulled_within: given.keep_pulled_within,
        };
        if rule.matching.is_empty() {
            return Err(RuleError::NoGlob);
        }
        if rule.matching.len() > MOST_GLOBS {
            return Err(RuleError::TooManyGlobs(rule.matching.len()));
        }
        if rule.keep_newest.is_none()
            && rule.keep_pushed_within.is_none()
            && rule.keep_pulled_within.is_none()
        {
            return Err(RuleError::NoCriterion);
        }
        Ok(rule)
    }
}

impl Retention {
    /// The rule that decides about the tag, and its number from 1; none: the tag stays.
    pub(super) fn of(&self, tag: &Tag) -> Option<(usize, &TagRule)> {
        let decides = |rule: &&TagRule| rule.matching.iter().any(|glob| glob.matches(tag));
        let found = self.tags.iter().position(|rule| decides(&rule))?;
        Some((found + 1, &self.tags[found]))
    }
}

impl fmt::Display for Retention {
    /// As JSON: that is how it was written, and is read again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Display for TagRule {
    /// `pr-*: keeps the 10 newest, what was set within 30d, and what was pulled within 14d`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let globs: Vec<&str> = self.matching.iter().map(TagGlob::as_str).collect();
        let mut keeps = Vec::new();
        keeps.extend(
            self.keep_newest
                .map(|newest| format!("the {newest} newest")),
        );
        let within = self.keep_pushed_within;
        keeps.extend(within.map(|within| format!("what was set within {within}")));
        let within = self.keep_pulled_within;
        keeps.extend(within.map(|within| format!("what was pulled or set within {within}")));
        write!(f, "{}: keeps {}", globs.join(" "), keeps.join(", "))
    }
}

impl Newest {
    pub(crate) const MOST: u32 = 1_000_000;

    /// As a number.
    #[must_use]
    pub fn get(self) -> usize {
        self.0 as usize
    }
}

impl TryFrom<i64> for Newest {
    type Error = RuleError;

    fn try_from(number: i64) -> Result<Self, RuleError> {
        match u32::try_from(number) {
            Ok(fits @ 1..=Self::MOST) => Ok(Self(fits)),
            Ok(_) | Err(_) => Err(RuleError::Newest(number)),
        }
    }
}

impl fmt::Display for Newest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Within {
    /// As a time.
    #[must_use]
    pub fn get(self) -> Duration {
        self.0
    }
}

impl TryFrom<String> for Within {
    type Error = RuleError;

    fn try_from(text: String) -> Result<Self, RuleError> {
        match text.parse() {
            Ok(Keep::For(time)) => Ok(Self(time)),
            Ok(Keep::Forever) | Err(_) => Err(RuleError::Within(text)),
        }
    }
}

impl From<Within> for String {
    fn from(within: Within) -> Self {
        within.to_string()
    }
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Keep::For(self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn rules_are_read_and_written_as_they_are_given() {
        for rules in [
            json!({"tags": [{"matching": ["pr-*", "?"], "keep_newest": 10, "keep_pushed_within": "30d", "keep_pulled_within": "12h"}]}),
            json!({"untagged_within": "7d"}),
        ] {
            let read: Retention = serde_json::from_value(rules.clone()).unwrap();

            assert_eq!(serde_json::to_value(read).unwrap(), rules);
        }
    }

    #[test]
    fn rules_that_say_nothing_or_nonsense_are_refused() {
        let rule = |rule: Value| json!({ "tags": [rule] });
        for (rules, why) in [
            (json!({}), "must have `tags` or `untagged_within`"),
            (json!({"tags": []}), "must have `tags` or `untagged_within`"),
            (json!({"tag": []}), "unknown field `tag`"),
            (rule(json!({"matching": []})), "at least one glob"),
            (rule(json!({"keep_newest": 1})), "missing field `matching`"),
            (
                rule(json!({"matching": ["[a]"], "keep_newest": 1})),
                "is no glob",
            ),
            (
                rule(json!({"matching": ["*"]})),
                "must have at least one of",
            ),
            (rule(json!({"matching": ["*"], "keep_newest": 0})), "not 0"),
            (
                rule(json!({"matching": ["*"], "keep_newest": -1})),
                "not -1",
            ),
            (
                rule(json!({"matching": ["*"], "keep_newest": 1, "than": 2})),
                "unknown field",
            ),
            (
                rule(json!({"matching": ["*"], "keep_pushed_within": "0d"})),
                "`0d` is not",
            ),
            (
                rule(json!({"matching": ["*"], "keep_pulled_within": "-1d"})),
                "`-1d` is not",
            ),
            (
                rule(json!({"matching": ["*"], "keep_pulled_within": "soon"})),
                "`soon` is not",
            ),
            (json!({"untagged_within": "forever"}), "`forever` is not"),
        ] {
            let refused = serde_json::from_value::<Retention>(rules.clone()).unwrap_err();

            assert!(refused.to_string().contains(why), "{rules}: {refused}");
        }
        let one = json!({"matching": ["*"], "keep_newest": 1});
        let many = json!({"tags": vec![one; 33]});
        assert!(serde_json::from_value::<Retention>(many).is_err());
    }

    #[test]
    fn a_rule_says_what_it_keeps() {
        let rule = json!({"matching": ["a*", "b"], "keep_newest": 3, "keep_pulled_within": "48h"});
        let rule: TagRule = serde_json::from_value(rule).unwrap();

        assert_eq!(
            rule.to_string(),
            "a* b: keeps the 3 newest, what was pulled or set within 2d"
        );
    }
}
