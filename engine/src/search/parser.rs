//! The grammar: `or` binds loosest, then `and` (which may be left out), then `not`.

use super::lexer::{Operator, Token, tokens};
use super::{Expr, Kind, Pattern, Range, SearchError, SearchField, Term, Test, value};
use crate::clock::Timestamp;

/// Longer than anything typed; what is longer is refused before it is read.
const MAX_BYTES: usize = 4 * 1024;
/// Parentheses and `not` within each other: each is a frame of the stack here and in the database.
const MAX_LEVELS: usize = 64;
/// Values in one search: each is work for every row that is looked at.
const MAX_VALUES: usize = 100;
/// Words without a field and values behind `~`, which no index finds: a list of many thousands takes some ten milliseconds
/// for each.
const MAX_PATTERNS: usize = 10;

/// What the text asks for; `None` if it is empty.
pub(super) fn parse<F: SearchField>(
    text: &str,
    now: Timestamp,
) -> Result<Option<Expr<F>>, SearchError> {
    if text.len() > MAX_BYTES {
        let expected = format!("its end, because a search has at most {MAX_BYTES} bytes");
        let position = text
            .char_indices()
            .take_while(|(byte, _)| *byte < MAX_BYTES)
            .count();
        return Err(SearchError::new(position, "more text", expected));
    }
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Ok(None);
    }
    let mut parser = Parser {
        end: text.chars().count(),
        next: 0,
        levels: 0,
        values: 0,
        patterns: 0,
        tokens,
        now,
    };
    let wanted = parser.any()?;
    if parser.peek().is_some() {
        return Err(parser.unexpected("`and`, `or`, a field or the end"));
    }
    Ok(Some(wanted))
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    end: usize,
    levels: usize,
    values: usize,
    patterns: usize,
    now: Timestamp,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn position(&self) -> usize {
        self.tokens
            .get(self.next)
            .map_or(self.end, |(position, _)| *position)
    }

    /// The error that what stands here is not what was expected.
    fn unexpected(&self, expected: impl Into<String>) -> SearchError {
        let found = self
            .peek()
            .map_or_else(|| "its end".to_owned(), ToString::to_string);
        SearchError::new(self.position(), found, expected)
    }

    /// Steps over the token if it is this one.
    fn take(&mut self, wanted: &Token) -> bool {
        let is_it = self.peek() == Some(wanted);
        self.next += usize::from(is_it);
        is_it
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let is_it = self.peek().is_some_and(|token| token.is_keyword(keyword));
        self.next += usize::from(is_it);
        is_it
    }

    fn any<F: SearchField>(&mut self) -> Result<Expr<F>, SearchError> {
        let mut parts = vec![self.all()?];
        while self.take_keyword("or") {
            parts.push(self.all()?);
        }
        Ok(alone_or(parts, Expr::Any))
    }

    fn all<F: SearchField>(&mut self) -> Result<Expr<F>, SearchError> {
        let mut parts = vec![self.unless()?];
        loop {
            let over = match self.peek() {
                None | Some(Token::Close) => true,
                Some(token) => token.is_keyword("or"),
            };
            if over {
                return Ok(alone_or(parts, Expr::All));
            }
            self.take_keyword("and");
            parts.push(self.unless()?);
        }
    }

    fn unless<F: SearchField>(&mut self) -> Result<Expr<F>, SearchError> {
        let negated = self.peek().is_some_and(|token| token.is_keyword("not"));
        if !negated && self.peek() != Some(&Token::Open) {
            return self.term();
        }
        if self.levels == MAX_LEVELS {
            let expected = format!("at most {MAX_LEVELS} parentheses and `not` within each other");
            return Err(self.unexpected(expected));
        }
        self.levels += 1;
        self.next += 1;
        let read = if negated {
            Expr::Not(Box::new(self.unless()?))
        } else {
            let inside = self.any()?;
            if !self.take(&Token::Close) {
                return Err(self.unexpected("`and`, `or`, a field or `)`"));
            }
            inside
        };
        self.levels -= 1;
        Ok(read)
    }

    fn term<F: SearchField>(&mut self) -> Result<Expr<F>, SearchError> {
        let start = self.next;
        let (word, quoted) = match self.peek() {
            Some(Token::Quoted(text)) => (text.clone(), true),
            Some(Token::Word(word)) if !is_reserved(word) => (word.clone(), false),
            _ => return Err(self.unexpected(format!("{} or a word", fields::<F>()))),
        };
        self.next += 1;
        let field = if quoted {
            None
        } else {
            word.to_ascii_lowercase().parse::<F>().ok()
        };
        match (self.peek(), field) {
            (Some(&Token::Operator(operator)), Some(field)) => {
                self.next += 1;
                self.comparison(field, operator)
            }
            (Some(Token::Operator(_)), None) => {
                self.next = start;
                Err(self.unexpected(fields::<F>()))
            }
            (_, Some(field)) => {
                let operators = operators(&field.kind());
                Err(self.unexpected(format!("{operators} (or put `{field}` in quotes)")))
            }
            (_, None) => {
                self.count_value(start)?;
                self.count_pattern(start)?;
                Ok(bare(&word, self.now))
            }
        }
    }

    fn comparison<F: SearchField>(
        &mut self,
        field: F,
        operator: Operator,
    ) -> Result<Expr<F>, SearchError> {
        use Operator::{AtLeast, AtMost, Differs, Equals, Greater, In, Less, Like, NotIn, Unlike};
        let kind = field.kind();
        let fits = match operator {
            Equals | Differs | In | NotIn => true,
            Like | Unlike => has_words(&kind),
            Greater | AtLeast | Less | AtMost => is_counted(&kind),
        };
        if !fits {
            self.next -= 1;
            return Err(self.unexpected(format!("{} behind `{field}`", operators(&kind))));
        }
        let test = match operator {
            Equals | Differs => self.equal(&kind)?,
            In | NotIn => self.one_of(&kind)?,
            Like | Unlike => {
                let place = self.next;
                let (_, text) = self.value("a text, in which `*` stands for anything")?;
                self.count_pattern(place)?;
                like(&kind, &text)
            }
            Greater | AtLeast | Less | AtMost => Test::Within(vec![self.side(&kind, operator)?]),
        };
        let negated = matches!(operator, Differs | Unlike | NotIn);
        Ok(match (kind, test) {
            // Exactly one of the words is there, so that an index finds the others.
            (Kind::State(words), Test::Is(named)) if negated => {
                let others = words.into_iter().filter(|word| !named.contains(word));
                Expr::Term(Term {
                    field,
                    test: Test::Is(others.collect()),
                })
            }
            (_, test) if negated => Expr::Not(Box::new(Expr::Term(Term { field, test }))),
            (_, test) => Expr::Term(Term { field, test }),
        })
    }

    /// The numbers on one side of a value.
    fn side(&mut self, kind: &Kind, operator: Operator) -> Result<Range, SearchError> {
        let (position, text) = self.value("a value")?;
        let range = value::range(kind, &text, self.now)
            .map_err(|expected| wrong(position, &text, expected))?;
        self.refuse_second_half(kind, &text)?;
        Ok(match operator {
            Operator::Greater => Range::from(range.high.saturating_add(1)),
            Operator::AtLeast => Range::from(range.low),
            Operator::Less => Range::up_to(range.low.saturating_sub(1)),
            Operator::AtMost
            | Operator::Equals
            | Operator::Differs
            | Operator::Like
            | Operator::Unlike
            | Operator::In
            | Operator::NotIn => Range::up_to(range.high),
        })
    }

    fn equal(&mut self, kind: &Kind) -> Result<Test, SearchError> {
        let (position, text) = self.value("a value")?;
        let read = read(kind, vec![(position, text.clone())], self.now)?;
        self.refuse_second_half(kind, &text)?;
        Ok(read)
    }

    /// Refuses `1 KiB` without quotes: it would mean the size 1, and the word KiB anywhere.
    fn refuse_second_half(&self, kind: &Kind, half: &str) -> Result<(), SearchError> {
        let quoted = matches!(self.tokens.get(self.next - 1), Some((_, Token::Quoted(_))));
        let Some(Token::Word(next)) = self.peek() else {
            return Ok(());
        };
        let whole = format!("{half} {next}");
        if quoted || !is_counted(kind) || value::range(kind, &whole, self.now).is_err() {
            return Ok(());
        }
        let expected = format!("`and`, `or`, a field or the end (or quotes: `\"{whole}\"`)");
        Err(self.unexpected(expected))
    }

    /// `(a, b)`, also without the parentheses.
    fn one_of(&mut self, kind: &Kind) -> Result<Test, SearchError> {
        let enclosed = self.take(&Token::Open);
        let mut values = vec![self.value("a list of values such as (a, b)")?];
        while self.take(&Token::Comma) {
            values.push(self.value("a value")?);
        }
        if enclosed && !self.take(&Token::Close) {
            return Err(self.unexpected("`,` or `)`"));
        }
        if let Some((_, last)) = values.last().filter(|_| !enclosed) {
            self.refuse_second_half(kind, last)?;
        }
        read(kind, values, self.now)
    }

    fn value(&mut self, expected: &str) -> Result<(usize, String), SearchError> {
        let text = match self.peek() {
            Some(Token::Quoted(text)) => text.clone(),
            Some(Token::Word(word)) if !is_reserved(word) => word.clone(),
            _ => return Err(self.unexpected(expected)),
        };
        self.count_value(self.next)?;
        let position = self.position();
        self.next += 1;
        Ok((position, text))
    }

    fn count_value(&mut self, at: usize) -> Result<(), SearchError> {
        self.values += 1;
        self.refuse_past(self.values, MAX_VALUES, "values", at)
    }

    fn count_pattern(&mut self, at: usize) -> Result<(), SearchError> {
        self.patterns += 1;
        let what = "words without a field and values behind `~`";
        self.refuse_past(self.patterns, MAX_PATTERNS, what, at)
    }

    fn refuse_past(
        &mut self,
        count: usize,
        most: usize,
        what: &str,
        at: usize,
    ) -> Result<(), SearchError> {
        if count <= most {
            return Ok(());
        }
        self.next = at;
        Err(self.unexpected(format!(
            "its end, because a search has at most {most} {what}"
        )))
    }
}

fn alone_or<F>(mut parts: Vec<Expr<F>>, join: impl Fn(Vec<Expr<F>>) -> Expr<F>) -> Expr<F> {
    match parts.pop() {
        Some(alone) if parts.is_empty() => alone,
        last => {
            parts.extend(last);
            join(parts)
        }
    }
}

fn is_reserved(word: &str) -> bool {
    ["and", "or", "not"]
        .iter()
        .any(|reserved| word.eq_ignore_ascii_case(reserved))
}

fn fields<F: SearchField>() -> String {
    format!("one of the fields {}", F::VARIANTS.join(", "))
}

fn has_words(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Text | Kind::Label | Kind::State(_) | Kind::Word(_)
    )
}

fn is_counted(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Time | Kind::Duration | Kind::Number | Kind::Size
    )
}

fn operators(kind: &Kind) -> &'static str {
    if is_counted(kind) {
        "one of `=`, `!=`, `^`, `!^`, `>`, `>=`, `<`, `<=`"
    } else if has_words(kind) {
        "one of `=`, `!=`, `~`, `!~`, `^`, `!^`"
    } else {
        "one of `=`, `!=`, `^`, `!^`"
    }
}

fn wrong(position: usize, text: &str, expected: impl Into<String>) -> SearchError {
    SearchError::new(position, format!("`{text}`"), expected)
}

/// What equals one of these values.
fn read(kind: &Kind, values: Vec<(usize, String)>, now: Timestamp) -> Result<Test, SearchError> {
    match kind {
        Kind::Text => Ok(Test::Is(values.into_iter().map(|(_, text)| text).collect())),
        Kind::Label => {
            let labels = values
                .into_iter()
                .map(|(_, text)| text.to_ascii_lowercase());
            Ok(Test::Is(labels.collect()))
        }
        Kind::State(words) | Kind::Word(words) => {
            let known = values.into_iter().map(|(position, text)| {
                let word = text.to_ascii_lowercase();
                if words.contains(&word) {
                    return Ok(word);
                }
                let expected = format!("one of {}", words.join(", "));
                Err(wrong(position, &text, expected))
            });
            known.collect::<Result<_, _>>().map(Test::Is)
        }
        Kind::Id => {
            let ids = values.into_iter().map(|(position, text)| {
                text.parse()
                    .map_err(|_| wrong(position, &text, "an id, which is a UUID"))
            });
            ids.collect::<Result<_, _>>().map(Test::Ids)
        }
        Kind::Time | Kind::Duration | Kind::Number | Kind::Size => {
            let ranges = values.into_iter().map(|(position, text)| {
                value::range(kind, &text, now).map_err(|expected| wrong(position, &text, expected))
            });
            ranges.collect::<Result<_, _>>().map(Test::Within)
        }
    }
}

/// What fits a pattern; of a closed set of words those that do.
fn like(kind: &Kind, text: &str) -> Test {
    let pattern = Pattern::new(text);
    match kind {
        Kind::State(words) | Kind::Word(words) => {
            let fitting = words.iter().filter(|word| pattern.fits(word)).cloned();
            Test::Is(fitting.collect())
        }
        Kind::Text
        | Kind::Label
        | Kind::Time
        | Kind::Duration
        | Kind::Number
        | Kind::Size
        | Kind::Id => Test::Like(pattern),
    }
}

/// A word without a field: it stands in one of the texts, or is the id.
fn bare<F: SearchField>(word: &str, now: Timestamp) -> Expr<F> {
    let terms = F::bare().iter().filter_map(|field| {
        let kind = field.kind();
        let test = if has_words(&kind) {
            like(&kind, word)
        } else {
            read(&kind, vec![(0, word.to_owned())], now).ok()?
        };
        Some(Expr::Term(Term {
            field: *field,
            test,
        }))
    });
    alone_or(terms.collect(), Expr::Any)
}
