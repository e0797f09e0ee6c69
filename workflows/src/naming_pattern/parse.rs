//! Reading a pattern: literal text, and tags that name one variable each.

use super::{MAX_PATTERN_LENGTH, Variable};

const ANY_OPEN: &str = "<%";
const OPEN: &str = "<%=";
/// Code without output in another spelling, a comment, a `<%` that means itself.
const OTHER_OPEN: [&str; 3] = ["<%-", "<%#", "<%%"];
const CLOSE: &str = "%>";

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Variable(Variable),
}

/// Why a text is not a naming pattern. Columns are counted in characters, from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing but blanks.
    #[error(
        "a blank text is not a naming pattern; leave it out for the default names, or write for example \
         `<%= organization.label %>/<%= repository.label %>`"
    )]
    Blank,
    /// More than is kept.
    #[error(
        "a naming pattern has at most {MAX_PATTERN_LENGTH} characters, this one has {characters}; shorten it"
    )]
    TooLong {
        /// How many there are.
        characters: usize,
    },
    /// A tag of ERB that runs something, says nothing, or stands for itself.
    #[error(
        "column {column}: expected `<%=`, found `{tag}`; the only tags are `<%= noun.attribute %>` with one of: {}",
        Variable::list()
    )]
    OtherTag {
        /// Where it begins.
        column: usize,
        /// How it begins.
        tag: &'static str,
    },
    /// A tag without an end.
    #[error(
        "column {column}: this `<%=` is never closed; expected `%>` after one of: {}",
        Variable::list()
    )]
    Unclosed {
        /// Where it begins.
        column: usize,
    },
    /// Something else stands where the variable should.
    #[error(
        "column {column}: found `{found}`; expected one of: {}",
        Variable::list()
    )]
    NotAVariable {
        /// Where it begins.
        column: usize,
        /// What stands there.
        found: String,
    },
    /// A variable, and then more: a method of Ruby, an operator.
    #[error(
        "column {column}: expected `%>` after `{}`, found `{found}`; Ruby is not run, a tag is nothing but one of: {}",
        .variable.as_str(),
        Variable::list()
    )]
    MoreThanAVariable {
        /// Where the rest begins.
        column: usize,
        /// The variable before it.
        variable: Variable,
        /// The rest.
        found: String,
    },
}

impl PatternError {
    /// Where the pattern stops being one; none when it is the whole of it.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        match self {
            Self::Blank | Self::TooLong { .. } => None,
            Self::OtherTag { column, .. }
            | Self::Unclosed { column }
            | Self::NotAVariable { column, .. }
            | Self::MoreThanAVariable { column, .. } => Some(*column),
        }
    }
}

/// The pieces of a pattern, in their order.
pub(super) fn parts(pattern: &str) -> Result<Vec<Part>, PatternError> {
    if pattern.trim().is_empty() {
        return Err(PatternError::Blank);
    }
    let characters = pattern.chars().count();
    if characters > MAX_PATTERN_LENGTH {
        return Err(PatternError::TooLong { characters });
    }
    let mut parts = Vec::new();
    let mut rest = 0;
    while let Some(open) = find(pattern, rest, ANY_OPEN) {
        if rest < open {
            parts.push(Part::Text(pattern[rest..open].to_owned()));
        }
        let column = column(pattern, open);
        if !pattern[open..].starts_with(OPEN) {
            let tag = other_tag(&pattern[open..]);
            return Err(PatternError::OtherTag { column, tag });
        }
        let inside = open + OPEN.len();
        let close = find(pattern, inside, CLOSE).ok_or(PatternError::Unclosed { column })?;
        parts.push(Part::Variable(variable(pattern, inside, close)?));
        rest = close + CLOSE.len();
    }
    // A `%>` that closes nothing is text, as in ERB.
    if rest < pattern.len() {
        parts.push(Part::Text(pattern[rest..].to_owned()));
    }
    Ok(parts)
}

/// The variable between the two ends of a tag; blanks may stand around it.
fn variable(pattern: &str, inside: usize, close: usize) -> Result<Variable, PatternError> {
    let written = pattern[inside..close].trim_ascii_start();
    let known = Variable::ALL.into_iter().find_map(|variable| {
        let more = written.strip_prefix(variable.as_str())?;
        (!more.starts_with(is_of_a_word)).then_some((variable, more.trim_ascii_start()))
    });
    match known {
        Some((variable, "")) => Ok(variable),
        Some((variable, more)) => Err(PatternError::MoreThanAVariable {
            column: column(pattern, close - more.len()),
            variable,
            found: more.trim_ascii_end().to_owned(),
        }),
        None => Err(PatternError::NotAVariable {
            column: column(pattern, close - written.len()),
            found: if written.is_empty() {
                CLOSE.to_owned()
            } else {
                written.trim_ascii_end().to_owned()
            },
        }),
    }
}

/// How a tag begins that is not one of ours.
fn other_tag(text: &str) -> &'static str {
    OTHER_OPEN
        .into_iter()
        .find(|open| text.starts_with(open))
        .unwrap_or(ANY_OPEN)
}

fn is_of_a_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Where `what` is in `text`, in bytes, at `from` or after it.
fn find(text: &str, from: usize, what: &str) -> Option<usize> {
    text[from..].find(what).map(|at| from + at)
}

/// The column of the character at a byte.
fn column(text: &str, byte: usize) -> usize {
    text[..byte].chars().count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How every message about a tag ends.
    const ALL: &str = "organization.name, organization.label, repository.name, repository.label, \
                       repository.docker_upstream_name, content_view.name, content_view.label, \
                       content_view_version.version, product.name, product.label, lifecycle_environment.name, \
                       lifecycle_environment.label";

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    #[test]
    fn a_pattern_is_text_and_variables_in_their_order() {
        assert_eq!(
            parts("a/<%=product.label%><%= \n\trepository.name  %>-ü"),
            Ok(vec![
                text("a/"),
                Part::Variable(Variable::ProductLabel),
                Part::Variable(Variable::RepositoryName),
                text("-ü"),
            ])
        );
    }

    #[test]
    fn what_only_looks_like_a_tag_is_text() {
        for pattern in ["a %> b", "< %= x", "%", "<", "<=repository.label=>", "#{x}"] {
            assert_eq!(parts(pattern), Ok(vec![text(pattern)]));
        }
    }

    #[test]
    fn the_other_tags_of_erb_are_refused_where_they_begin() {
        for (pattern, column, tag) in [
            ("<% repository.label %>", 1, "<%"),
            ("ä/<%# a comment %>", 3, "<%#"),
            ("<%= product.label %>/<%- x -%>", 22, "<%-"),
            ("x<%%= repository.label %>", 2, "<%%"),
            ("<%", 1, "<%"),
        ] {
            assert_eq!(
                parts(pattern).unwrap_err().to_string(),
                format!(
                    "column {column}: expected `<%=`, found `{tag}`; \
                     the only tags are `<%= noun.attribute %>` with one of: {ALL}"
                )
            );
        }
    }

    #[test]
    fn a_tag_that_is_never_closed_is_refused_where_it_begins() {
        for (pattern, column) in [
            ("<%=", 1),
            ("<%= repository.label", 1),
            ("<%= product.label %>/äö/<%= repository.label >", 25),
            ("<%= repository.label %", 1),
            ("<%= nothing", 1),
        ] {
            assert_eq!(
                parts(pattern).unwrap_err().to_string(),
                format!(
                    "column {column}: this `<%=` is never closed; expected `%>` after one of: {ALL}"
                )
            );
        }
    }

    #[test]
    fn what_is_no_variable_is_refused_where_it_stands() {
        for (pattern, column, found) in [
            ("<%= repository.id %>", 5, "repository.id"),
            ("äö<%=  Repository.label%>", 8, "Repository.label"),
            ("<%= repository.labels %>", 5, "repository.labels"),
            ("<%= repository.name_x.y %>", 5, "repository.name_x.y"),
            ("<%= repository %>", 5, "repository"),
            ("<%= repository . label %>", 5, "repository . label"),
            ("<%= 'x' + repository.label %>", 5, "'x' + repository.label"),
            ("<%== repository.label %>", 4, "= repository.label"),
            ("<%=- repository.label %>", 4, "- repository.label"),
            ("<%= \u{a0}repository.label %>", 5, "\u{a0}repository.label"),
            ("<%= product.label %><%=  %>", 26, "%>"),
            ("<%=%>", 4, "%>"),
        ] {
            assert_eq!(
                parts(pattern).unwrap_err().to_string(),
                format!("column {column}: found `{found}`; expected one of: {ALL}")
            );
        }
    }

    #[test]
    fn methods_and_other_ruby_are_refused_where_they_begin() {
        for (pattern, column, found) in [
            ("<%= repository.label.upcase %>", 21, ".upcase"),
            ("ä<%=repository.label  .size%>", 23, ".size"),
            ("<%= repository.label -%>", 22, "-"),
            ("<%= repository.label %%>", 22, "%"),
            ("<%= repository.label[0..3] %>", 21, "[0..3]"),
            ("<%= repository.label? %>", 21, "?"),
            ("<%= repository.label || 'x' %>", 22, "|| 'x'"),
            (
                "<%= repository.label /<%= product.label %>",
                22,
                "/<%= product.label",
            ),
        ] {
            assert_eq!(
                parts(pattern).unwrap_err().to_string(),
                format!(
                    "column {column}: expected `%>` after `repository.label`, found `{found}`; \
                     Ruby is not run, a tag is nothing but one of: {ALL}"
                )
            );
        }
    }

    #[test]
    fn a_pattern_has_at_most_255_characters() {
        assert!(parts(&"ä".repeat(255)).is_ok());

        assert_eq!(
            parts(&"ä".repeat(256)).unwrap_err().to_string(),
            "a naming pattern has at most 255 characters, this one has 256; shorten it"
        );
    }

    #[test]
    fn a_blank_text_is_not_a_pattern() {
        assert_eq!(
            parts(" \n").unwrap_err().to_string(),
            "a blank text is not a naming pattern; leave it out for the default names, or write for example \
             `<%= organization.label %>/<%= repository.label %>`"
        );
    }

    #[test]
    fn errors_of_a_place_know_their_column() {
        assert_eq!(parts("ä<%").unwrap_err().column(), Some(2));
        assert_eq!(parts("ä<%=").unwrap_err().column(), Some(2));
        assert_eq!(parts("<%= x %>").unwrap_err().column(), Some(5));
        assert_eq!(
            parts("<%= product.name! %>").unwrap_err().column(),
            Some(17)
        );
        assert_eq!(parts("").unwrap_err().column(), None);
        assert_eq!(parts(&"x".repeat(256)).unwrap_err().column(), None);
    }
}
