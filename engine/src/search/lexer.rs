//! A search as the tokens it consists of, each with its position in characters.

use super::SearchError;
use std::fmt;
use std::iter::{Enumerate, Peekable};
use std::str::Chars;

/// What stands between a field and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
pub(super) enum Operator {
    #[strum(to_string = "=")]
    Equals,
    #[strum(to_string = "!=")]
    Differs,
    #[strum(to_string = "~")]
    Like,
    #[strum(to_string = "!~")]
    Unlike,
    #[strum(to_string = "^")]
    In,
    #[strum(to_string = "!^")]
    NotIn,
    #[strum(to_string = ">")]
    Greater,
    #[strum(to_string = ">=")]
    AtLeast,
    #[strum(to_string = "<")]
    Less,
    #[strum(to_string = "<=")]
    AtMost,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    Quoted(String),
    Operator(Operator),
    Open,
    Close,
    Comma,
}

impl Token {
    /// It is this word, unquoted and in whatever case.
    pub(super) fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Quoted(text) => write!(f, "\"{text}\""),
            Self::Operator(operator) => write!(f, "`{operator}`"),
            Self::Open => f.write_str("`(`"),
            Self::Close => f.write_str("`)`"),
            Self::Comma => f.write_str("`,`"),
        }
    }
}

type Rest<'a> = Peekable<Enumerate<Chars<'a>>>;

pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, SearchError> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().enumerate().peekable();
    while let Some((position, char)) = rest.next() {
        let token = match char {
            char if char.is_whitespace() => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            ',' => Token::Comma,
            '"' => Token::Quoted(quoted(&mut rest, text)?),
            '=' => Token::Operator(Operator::Equals),
            '~' => Token::Operator(Operator::Like),
            '^' => Token::Operator(Operator::In),
            '>' if follows(&mut rest, '=') => Token::Operator(Operator::AtLeast),
            '>' => Token::Operator(Operator::Greater),
            '<' if follows(&mut rest, '=') => Token::Operator(Operator::AtMost),
            '<' => Token::Operator(Operator::Less),
            '!' if follows(&mut rest, '=') => Token::Operator(Operator::Differs),
            '!' if follows(&mut rest, '~') => Token::Operator(Operator::Unlike),
            '!' if follows(&mut rest, '^') => Token::Operator(Operator::NotIn),
            char if in_word(char) => {
                let mut word = String::from(char);
                while let Some((_, char)) = rest.next_if(|(_, char)| in_word(*char)) {
                    word.push(char);
                }
                Token::Word(word)
            }
            '!' => return Err(odd(position, '!', "`!=`, `!~`, `!^` or `not`")),
            char => return Err(odd(position, char, "a field, an operator or a value")),
        };
        tokens.push((position, token));
    }
    Ok(tokens)
}

fn follows(rest: &mut Rest<'_>, wanted: char) -> bool {
    rest.next_if(|(_, char)| *char == wanted).is_some()
}

/// The text up to the closing quote, in which `\"` is a quote and `\\` a backslash.
fn quoted(rest: &mut Rest<'_>, text: &str) -> Result<String, SearchError> {
    let mut quoted = String::new();
    while let Some((position, char)) = rest.next() {
        match char {
            '"' => return Ok(quoted),
            '\\' => {
                let escaped = rest.next_if(|(_, char)| matches!(char, '"' | '\\'));
                quoted.push(escaped.map_or('\\', |(_, char)| char));
            }
            char if char.is_control() => {
                return Err(odd(position, char, "text without control characters"));
            }
            char => quoted.push(char),
        }
    }
    let end = text.chars().count();
    Err(SearchError::new(end, "its end", "a closing quote"))
}

fn odd(position: usize, char: char, expected: &str) -> SearchError {
    SearchError::new(position, format!("`{}`", char.escape_debug()), expected)
}

fn in_word(char: char) -> bool {
    !char.is_whitespace() && !char.is_control() && !"\"()=!<>~^,".contains(char)
}
