//! The search language of task lists: `field = value` joined by `and`.

use std::fmt;
use std::str::FromStr;
use strum::VariantNames;

/// The fields that can be asked for.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub enum Field {
    /// The task's id.
    Id,
    /// The workflow's name.
    Label,
    /// Where it is.
    State,
    /// How it ended.
    Result,
    /// Why it is paused or was cancelled.
    Reason,
    /// The login of who wanted it.
    User,
    /// The organization's label.
    Organization,
    /// The repository it is about.
    Repository,
    /// The tag it is about.
    Tag,
    /// The digest it is about.
    Digest,
}

/// What a list is narrowed to: all terms hold.
///
/// `F` are the fields of what is listed, as an enum that reads and lists its own names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search<F = Field> {
    /// Field and the value it equals.
    pub terms: Vec<(F, String)>,
}

impl<F> Default for Search<F> {
    fn default() -> Self {
        Self { terms: Vec::new() }
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

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Equals,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Quoted(text) => write!(f, "\"{text}\""),
            Self::Equals => f.write_str("`=`"),
        }
    }
}

impl<F: FromStr + VariantNames> Search<F> {
    /// Reads `state = paused and label = "push"`; an empty text finds everything.
    pub fn parse(text: &str) -> Result<Self, SearchError> {
        let tokens = tokens(text)?;
        let end = text.chars().count();
        let mut terms = Vec::new();
        let mut rest = tokens.into_iter().peekable();
        if rest.peek().is_none() {
            return Ok(Self::default());
        }
        loop {
            terms.push(term::<F>(&mut rest, end)?);
            match rest.next() {
                None => return Ok(Self { terms }),
                Some((_, Token::Word(word))) if word.eq_ignore_ascii_case("and") => {}
                Some((position, found)) => {
                    return Err(unexpected(position, Some(&found), "`and` or the end"));
                }
            }
        }
    }
}

fn term<F: FromStr + VariantNames>(
    rest: &mut impl Iterator<Item = (usize, Token)>,
    end: usize,
) -> Result<(F, String), SearchError> {
    let fields = format!("one of the fields {}", F::VARIANTS.join(", "));
    let field = match rest.next() {
        Some((position, Token::Word(word))) => word
            .to_ascii_lowercase()
            .parse::<F>()
            .map_err(|_| unexpected(position, Some(&Token::Word(word)), &fields))?,
        other => return Err(not(other, end, &fields)),
    };
    match rest.next() {
        Some((_, Token::Equals)) => {}
        other => return Err(not(other, end, "`=`")),
    }
    match rest.next() {
        Some((_, Token::Word(value) | Token::Quoted(value))) => Ok((field, value)),
        other => Err(not(other, end, "a value")),
    }
}

fn not(found: Option<(usize, Token)>, end: usize, expected: &str) -> SearchError {
    match found {
        Some((position, token)) => unexpected(position, Some(&token), expected),
        None => unexpected(end, None, expected),
    }
}

fn unexpected(position: usize, found: Option<&Token>, expected: &str) -> SearchError {
    let found = found.map_or_else(|| "its end".to_owned(), ToString::to_string);
    SearchError {
        position,
        found,
        expected: expected.to_owned(),
    }
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, SearchError> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().enumerate().peekable();
    while let Some((position, char)) = chars.next() {
        match char {
            char if char.is_whitespace() => {}
            '=' => tokens.push((position, Token::Equals)),
            '"' => {
                let mut quoted = String::new();
                loop {
                    match chars.next() {
                        Some((_, '"')) => break,
                        Some((_, char)) => quoted.push(char),
                        None => {
                            return Err(unexpected(text.chars().count(), None, "a closing quote"));
                        }
                    }
                }
                tokens.push((position, Token::Quoted(quoted)));
            }
            char if in_word(char) => {
                let mut word = String::from(char);
                while let Some((_, char)) = chars.next_if(|(_, char)| in_word(*char)) {
                    word.push(char);
                }
                tokens.push((position, Token::Word(word)));
            }
            char => {
                let found = format!("`{char}`");
                let expected = "a field, `=`, a value or `and`".to_owned();
                return Err(SearchError {
                    position,
                    found,
                    expected,
                });
            }
        }
    }
    Ok(tokens)
}

fn in_word(char: char) -> bool {
    char.is_alphanumeric() || "_-./:+@".contains(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_joined_by_and() {
        let search =
            Search::parse(r#"state = paused AND repository="acme/busybox"and label = push"#)
                .unwrap();
        let terms = [
            (Field::State, "paused"),
            (Field::Repository, "acme/busybox"),
            (Field::Label, "push"),
        ];
        assert_eq!(
            search.terms,
            terms.map(|(field, value)| (field, value.to_owned()))
        );
        assert_eq!(<Search>::parse("  ").unwrap(), Search::default());
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_position() {
        let told = |text: &str| <Search>::parse(text).unwrap_err().to_string();
        assert_eq!(
            told("state != paused"),
            "at position 6 the search holds `!`, but a field, `=`, a value or `and` was expected"
        );
        assert_eq!(
            told("state paused"),
            "at position 6 the search holds `paused`, but `=` was expected"
        );
        assert_eq!(
            told("state ="),
            "at position 7 the search holds its end, but a value was expected"
        );
        assert_eq!(
            told("state = a or b"),
            "at position 10 the search holds `or`, but `and` or the end was expected"
        );
        assert_eq!(
            told("state = \"a"),
            "at position 10 the search holds its end, but a closing quote was expected"
        );
        assert!(told("colour = red").starts_with(
            "at position 0 the search holds `colour`, but one of the fields id, label,"
        ));
    }
}
