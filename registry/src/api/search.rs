//! The search of lists other than tasks: `field = value` joined by `and`, as the engine reads it for tasks.

use std::iter::Peekable;
use std::str::{CharIndices, FromStr};

use serde_json::json;
use strum::VariantNames;

use super::problem::{Kind, Problem};

/// The terms of a search, all of which must hold; none for an empty text.
pub(super) fn terms<F: FromStr + VariantNames>(text: &str) -> Result<Vec<(F, String)>, Problem> {
    let mut terms = Vec::new();
    let mut words = Words {
        text,
        rest: text.char_indices().peekable(),
    };
    let Some(mut first) = words.next()? else {
        return Ok(terms);
    };
    loop {
        let (at, word) = &first;
        let fields = || format!("one of the fields {}", F::VARIANTS.join(", "));
        let field = word.parse().map_err(|_| unexpected(text, *at, &fields()))?;
        match words.next()? {
            Some((_, equals)) if equals == "=" => {}
            other => return Err(unexpected_word(text, other, "`=`")),
        }
        match words.next()? {
            Some((at, value)) if value != "=" || text[at..].starts_with('"') => {
                terms.push((field, value));
            }
            other => return Err(unexpected_word(text, other, "a value")),
        }
        match words.next()? {
            None => return Ok(terms),
            Some((_, and)) if and.eq_ignore_ascii_case("and") => {}
            other => return Err(unexpected_word(text, other, "`and` or the end")),
        }
        match words.next()? {
            Some(next) => first = next,
            None => return Err(unexpected(text, text.len(), &fields())),
        }
    }
}

/// Words, quoted texts and `=`, each with where it begins.
struct Words<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
}

impl Words<'_> {
    fn next(&mut self) -> Result<Option<(usize, String)>, Problem> {
        while self.rest.next_if(|(_, c)| c.is_whitespace()).is_some() {}
        let Some((at, first)) = self.rest.next() else {
            return Ok(None);
        };
        let mut word = String::new();
        match first {
            '=' => word.push('='),
            '"' => loop {
                match self.rest.next() {
                    Some((_, '"')) => break,
                    Some((_, c)) => word.push(c),
                    None => return Err(unexpected(self.text, self.text.len(), "a closing quote")),
                }
            },
            c if in_word(c) => {
                word.push(c);
                while let Some((_, c)) = self.rest.next_if(|(_, c)| in_word(*c)) {
                    word.push(c);
                }
            }
            _ => return Err(unexpected(self.text, at, "a field, `=`, a value or `and`")),
        }
        Ok(Some((at, word)))
    }
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || "_-./:+@".contains(c)
}

fn unexpected_word(text: &str, found: Option<(usize, String)>, expected: &str) -> Problem {
    unexpected(text, found.map_or(text.len(), |(at, _)| at), expected)
}

/// Positions count characters, as people do.
fn unexpected(text: &str, at: usize, expected: &str) -> Problem {
    let position = text[..at].chars().count();
    let found = match text[at..].split_whitespace().next() {
        Some(found) => format!("`{found}`"),
        None => "its end".to_owned(),
    };
    let detail =
        format!("at position {position} the search holds {found}, but {expected} was expected");
    Problem::new(Kind::BadSearch, detail)
        .with("position", json!(position))
        .with("expected", json!(expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, strum::EnumString, VariantNames)]
    #[strum(serialize_all = "snake_case")]
    enum Field {
        Name,
        PushedName,
    }

    fn refusal(text: &str) -> String {
        terms::<Field>(text).unwrap_err().to_string()
    }

    #[test]
    fn terms_are_joined_by_and() {
        let read = terms::<Field>(r#"name = busybox AND pushed_name="acme/busybox""#).unwrap();

        assert_eq!(
            read,
            [
                (Field::Name, "busybox".to_owned()),
                (Field::PushedName, "acme/busybox".to_owned())
            ]
        );
        assert_eq!(terms::<Field>("  ").unwrap(), []);
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_position() {
        let fields = "one of the fields name, pushed_name";
        for (text, position, expected) in [
            ("colour = red", 0, fields),
            ("name busybox", 5, "`=`"),
            ("name =", 6, "a value"),
            ("name = = x", 7, "a value"),
            ("name = a or name = b", 9, "`and` or the end"),
            ("name = a and", 12, fields),
            ("name = \"a", 9, "a closing quote"),
            ("name != a", 5, "a field, `=`, a value or `and`"),
            ("name = ä or", 9, "`and` or the end"),
        ] {
            let told = refusal(text);
            assert!(
                told.starts_with(&format!("at position {position} ")),
                "{text}: {told}"
            );
            assert!(
                told.ends_with(&format!("but {expected} was expected")),
                "{text}: {told}"
            );
        }
    }
}
