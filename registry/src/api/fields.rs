//! Checks of fields that several bodies have.

use secrecy::SecretString;
use storage::Label;

use super::problem::Problem;

/// What people call a thing is shown in one line of a table.
const MAX_NAME_CHARACTERS: usize = 255;
const MAX_LOGIN_CHARACTERS: usize = 128;
const MAX_WORD_CHARACTERS: usize = 64;

/// A label, or a 422 that says what is wrong with it.
pub(super) fn label(field: &str, text: &str) -> Result<Label, Problem> {
    Label::parse(text).map_err(|error| Problem::invalid_field(field, error.to_string()))
}

/// What people call a thing.
pub(super) fn name(field: &str, text: String) -> Result<String, Problem> {
    let characters = text.chars().count();
    if characters == 0 || characters > MAX_NAME_CHARACTERS || text.chars().any(char::is_control) {
        let message = format!(
            "must have 1 to {MAX_NAME_CHARACTERS} characters, none of them a control character"
        );
        return Err(Problem::invalid_field(field, message));
    }
    Ok(text)
}

/// What somebody logs in with: it must fit into `login:password`, into a log line and into a path.
pub(super) fn login(field: &str, text: String) -> Result<String, Problem> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    if text.is_empty()
        || text.len() > MAX_LOGIN_CHARACTERS
        || !text.chars().all(fits)
        || text == "me"
    {
        let message = format!(
            "must have 1 to {MAX_LOGIN_CHARACTERS} letters, digits, `.`, `_`, `-` or `@`, and not be `me`"
        );
        return Err(Problem::invalid_field(field, message));
    }
    Ok(text)
}

/// What a robot is called behind the label of its organization: it must fit into a login.
pub(super) fn robot(field: &str, text: String) -> Result<String, Problem> {
    word(field, text, "letters, digits, `.`, `_` or `-`", |c| {
        c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
    })
}

/// What grants call a role.
pub(super) fn role(field: &str, text: String) -> Result<String, Problem> {
    word(field, text, "lower-case letters, digits, `_` or `-`", |c| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-')
    })
}

fn word(
    field: &str,
    text: String,
    letters: &str,
    fits: impl Fn(char) -> bool,
) -> Result<String, Problem> {
    if text.is_empty() || text.len() > MAX_WORD_CHARACTERS || !text.chars().all(fits) {
        let message = format!("must have 1 to {MAX_WORD_CHARACTERS} {letters}");
        return Err(Problem::invalid_field(field, message));
    }
    Ok(text)
}

/// Which fields were changed, for the audit; `None`: none.
pub(super) fn changed(fields: &[(&str, bool)]) -> Option<String> {
    let changed = fields.iter().filter(|(_, given)| *given);
    let names: Vec<&str> = changed.map(|(name, _)| *name).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// A password that can be sent by every client.
pub(super) fn password(field: &str, text: String) -> Result<SecretString, Problem> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(Problem::invalid_field(
            field,
            "must not be empty nor hold control characters",
        ));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_fits_into_basic_credentials_and_a_path() {
        for good in ["ana", "Ana.Maria-2", "ana@example.org"] {
            assert!(login("login", good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "me", "a:b", "a/b", "a b", "ä", "acme+robot"] {
            assert!(login("login", bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn robots_and_roles_have_one_word_for_a_name() {
        assert!(robot("name", "CI-1".to_owned()).is_ok());
        assert!(role("name", "release_manager".to_owned()).is_ok());
        for bad in ["", "a+b", "a b", "a/b", "ä"] {
            assert!(robot("name", bad.to_owned()).is_err(), "{bad}");
            assert!(role("name", bad.to_owned()).is_err(), "{bad}");
        }
        assert!(role("name", "Admin".to_owned()).is_err());
    }

    #[test]
    fn a_name_is_one_line() {
        assert!(name("name", "Acme, Ltd.".to_owned()).is_ok());
        assert!(name("name", String::new()).is_err());
        assert!(name("name", "two\nlines".to_owned()).is_err());
    }
}
