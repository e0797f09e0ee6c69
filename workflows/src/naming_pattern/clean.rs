//! From what a pattern gives to the name of an image: Katello's five rules, then Katello's grammar.

use crate::destination::MAX_NAME_LENGTH;

/// What is wrong with a cleaned name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Cleaning has left nothing.
    #[error("nothing is left of it")]
    Empty,
    /// Longer than clients accept.
    #[error("a name has at most {MAX_NAME_LENGTH} characters, it has {length}")]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// A slash has no part before or after it.
    #[error("a `/` stands at its beginning, at its end or beside another one")]
    EmptyPart,
    /// One part between slashes breaks the grammar.
    #[error(
        "its part `{part}` is not lower-case letters and digits joined by single `-`, `_` or `.`"
    )]
    Part {
        /// The part.
        part: String,
    },
}

impl Fault {
    /// What to do about it in a pattern.
    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::Empty => "add a variable, for example `<%= repository.label %>`",
            Self::TooLong { .. } => "leave out a variable, or some of the text",
            Self::EmptyPart => {
                "take that `/` away, or put a text or a variable beside it that is not empty once cleaned"
            }
            Self::Part { .. } => "change the text or the variable that gives this part",
        }
    }
}

/// Katello's five rules, in their order.
pub(super) fn clean(raw: &str) -> String {
    let known = raw.replace(|character: char| !stays(character), "_");
    let short = shorten_underscores(&known);
    let tidy = remove_stray_underscores(&short);
    // The fifth finds nothing: blanks are underscores since the first.
    tidy.to_ascii_lowercase().trim().to_owned()
}

/// True for what the first rule lets be; neither dots nor letters with accents.
fn stays(character: char) -> bool {
    matches!(character, '-' | '/' | '_') || character.is_ascii_alphanumeric()
}

/// Makes three or more underscores one. Two stay.
fn shorten_underscores(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, run)) = rest.find("___").map(|at| rest.split_at(at)) {
        short.push_str(before);
        short.push('_');
        rest = run.trim_start_matches('_');
    }
    short.push_str(rest);
    short
}

/// Takes away `-_` anywhere, and underscores at both ends.
///
/// One walk from left to right: what comes to an end, or together, only by what is taken away beside it stays.
fn remove_stray_underscores(text: &str) -> String {
    let text = text.trim_start_matches('_');
    let body = text.trim_end_matches('_');
    let body = if body.len() < text.len() {
        // A hyphen before the last underscores goes with the first of them.
        body.strip_suffix('-').unwrap_or(body)
    } else {
        body
    };
    body.replace("-_", "")
}

/// Katello's grammar: `[a-z0-9]+([-_.][a-z0-9]+)*` for each part between slashes.
pub(super) fn check(name: &str) -> Result<(), Fault> {
    if name.is_empty() {
        return Err(Fault::Empty);
    }
    let length = name.chars().count();
    if length > MAX_NAME_LENGTH {
        return Err(Fault::TooLong { length });
    }
    match name.split('/').find(|part| !is_part(part)) {
        None => Ok(()),
        Some("") => Err(Fault::EmptyPart),
        Some(part) => Err(Fault::Part {
            part: part.to_owned(),
        }),
    }
}

/// True for words of lower-case letters and digits with one separator between each two.
fn is_part(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.split(['-', '_', '.']).all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_five_rules_apply_in_their_order() {
        for (raw, cleaned) in [
            // 1: what is not a letter, a digit, `-`, `/` or `_` becomes one `_` each
            ("a.b", "a_b"),
            ("a b!c", "a_b_c"),
            ("aäb", "a_b"),
            ("a €", "a"),
            ("a\nb", "a_b"),
            // 2: three or more become one, two stay
            ("a__b", "a__b"),
            ("a___b", "a_b"),
            ("a_______b", "a_b"),
            ("a . b", "a_b"),
            ("a___b__c____d", "a_b__c_d"),
            // 3: `-_` anywhere, `_` at the ends of the whole name
            ("a-_b", "ab"),
            ("a-_-_b", "ab"),
            ("a_-b", "a_-b"),
            ("_a_", "a"),
            ("__a__", "a"),
            ("_a_/_b_", "a_/_b"),
            ("-_a", "a"),
            ("a - b", "a_b"),
            // 4: lower case, of ASCII: the rest is gone
            ("ACME/Busy_Box", "acme/busy_box"),
            // 5: blanks at the ends were underscores before
            ("  a  ", "a"),
            ("", ""),
            ("___", ""),
            (" ! ", ""),
            ("-_", ""),
        ] {
            assert_eq!(clean(raw), cleaned, "{raw:?}");
        }
    }

    #[test]
    fn the_third_rule_does_not_look_at_its_own_result() {
        for (raw, cleaned) in [
            ("-__a", "_a"),
            ("a--__b", "a-_b"),
            ("a--_", "a-"),
            ("a-__", "a"),
            ("a_-_", "a_"),
            ("_-_a", "a"),
            ("--__", "-"),
        ] {
            assert_eq!(clean(raw), cleaned, "{raw:?}");
        }
    }

    #[test]
    fn a_name_is_words_joined_by_single_separators_between_slashes() {
        for good in ["a", "0", "a/b/c", "a-b_c.d", "1.0", "a/0-0/b"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, part) in [
            ("a__b", "a__b"),
            ("x/a--b", "a--b"),
            ("a.-b/x", "a.-b"),
            ("-a", "-a"),
            ("a/b-/c", "b-"),
            ("a/_b", "_b"),
            (".", "."),
            ("a/B", "B"),
            ("ä", "ä"),
            ("a b", "a b"),
        ] {
            let part = part.to_owned();
            assert_eq!(check(bad), Err(Fault::Part { part }), "{bad}");
        }
        for bad in ["/", "/a", "a/", "a//b"] {
            assert_eq!(check(bad), Err(Fault::EmptyPart), "{bad}");
        }
        assert_eq!(check(""), Err(Fault::Empty));
    }

    #[test]
    fn a_name_has_at_most_255_characters() {
        assert_eq!(check(&"a".repeat(255)), Ok(()));
        assert_eq!(check(&"a".repeat(256)), Err(Fault::TooLong { length: 256 }));
    }
}
