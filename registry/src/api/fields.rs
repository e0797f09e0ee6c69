//! Texts that several bodies have, each a type that checks itself while the body is read.

use std::borrow::Cow;
use std::fmt::Display;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use storage::TagGlob;
use storage::catalog::roles::PermissionSet;
use workflows::naming_pattern::MAX_PATTERN_LENGTH;

use crate::auth::passwords::MAX_PASSWORD_BYTES;

/// What people call a thing is shown in one line of a table.
const MAX_NAME_CHARACTERS: usize = 255;
/// A few sentences.
const MAX_REASON_CHARACTERS: usize = 1000;
const MAX_LOGIN_CHARACTERS: usize = 128;
const MAX_WORD_CHARACTERS: usize = 64;
/// Each push of a tag is held against all of them.
const MAX_GLOBS: usize = 32;

/// `/users/me` is who asks, and clients take dots alone out of a path.
const NO_LOGINS: [&str; 3] = ["me", ".", ".."];

/// A text with a check of its own; the schema says the same to whoever reads the document.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $check:path, $schema:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize)]
        #[serde(try_from = "String")]
        pub(super) struct $name(String);

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                $check(text).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

text! {
    /// What people call a thing.
    Name, name, json_schema!({
        "type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARACTERS, "pattern": ONE_LINE,
    })
}
text! {
    /// What somebody logs in with: it must fit into `login:password`, into a log line and into a path.
    Login, login, json_schema!({
        "type": "string", "minLength": 1, "maxLength": MAX_LOGIN_CHARACTERS,
        "pattern": "^[A-Za-z0-9._@-]+$", "not": { "enum": NO_LOGINS },
    })
}
text! {
    /// What a robot is called behind the label of its organization: it must fit into a login.
    RobotName, robot, json_schema!({
        "type": "string", "minLength": 1, "maxLength": MAX_WORD_CHARACTERS, "pattern": "^[A-Za-z0-9._-]+$",
    })
}
text! {
    /// What a smart proxy is called: its gate has that name.
    ProxyName, robot, json_schema!({
        "type": "string", "minLength": 1, "maxLength": MAX_WORD_CHARACTERS, "pattern": "^[A-Za-z0-9._-]+$",
    })
}
text! {
    /// What grants call a role.
    RoleName, role, json_schema!({
        "type": "string", "minLength": 1, "maxLength": MAX_WORD_CHARACTERS, "pattern": "^[a-z0-9_-]+$",
    })
}
text! {
    /// Why somebody did it, for the history and the audit: shown in one line of a table.
    Reason, reason, json_schema!({
        "type": "string", "maxLength": MAX_REASON_CHARACTERS, "pattern": ONE_LINE_OR_NONE,
    })
}
text! {
    /// How an environment names what it publishes, as it was typed; empty: by none. Stands in one line of a table.
    Pattern, pattern, json_schema!({
        "type": "string", "maxLength": MAX_PATTERN_LENGTH, "pattern": ONE_LINE_OR_NONE,
    })
}

/// Which tags of a product cannot be moved.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Vec<TagGlob>")]
pub(super) struct Globs(Vec<TagGlob>);

impl TryFrom<Vec<TagGlob>> for Globs {
    type Error = String;

    fn try_from(globs: Vec<TagGlob>) -> Result<Self, String> {
        if globs.len() > MAX_GLOBS {
            let given = globs.len();
            return Err(format!("must be at most {MAX_GLOBS} globs, not {given}"));
        }
        Ok(Self(globs))
    }
}

impl From<Globs> for Vec<TagGlob> {
    fn from(globs: Globs) -> Self {
        globs.0
    }
}

impl JsonSchema for Globs {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Globs".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Vec::<TagGlob>::json_schema(generator);
        schema.insert("maxItems".to_owned(), MAX_GLOBS.into());
        schema
    }
}

/// What people call a thing; empty: nothing any more.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct NameOrNone(Option<String>);

impl TryFrom<String> for NameOrNone {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        name(text).map(Some).map(Self)
    }
}

impl From<NameOrNone> for Option<String> {
    fn from(name: NameOrNone) -> Self {
        name.0
    }
}

impl JsonSchema for NameOrNone {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "NameOrNone".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "maxLength": MAX_NAME_CHARACTERS, "pattern": ONE_LINE_OR_NONE,
        })
    }
}

/// Without control characters.
const PRINTABLE: &str = r"^[^\x00-\x1f\x7f-\x9f]+$";
/// And without those that [`leaves_its_line`] names.
const ONE_LINE: &str = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+$";
const ONE_LINE_OR_NONE: &str = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]*$";

fn name(text: String) -> Result<String, String> {
    let characters = text.chars().count();
    if characters == 0 || characters > MAX_NAME_CHARACTERS || text.chars().any(leaves_its_line) {
        return Err(format!(
            "must have 1 to {MAX_NAME_CHARACTERS} characters, none of which controls or reverses a line or ends it"
        ));
    }
    Ok(text)
}

fn reason(text: String) -> Result<String, String> {
    if text.chars().count() > MAX_REASON_CHARACTERS || text.chars().any(leaves_its_line) {
        return Err(format!(
            "must have at most {MAX_REASON_CHARACTERS} characters, none of which controls or reverses a line or ends it"
        ));
    }
    Ok(text)
}

fn pattern(text: String) -> Result<String, String> {
    if text.chars().count() > MAX_PATTERN_LENGTH || text.chars().any(leaves_its_line) {
        return Err(format!(
            "must have at most {MAX_PATTERN_LENGTH} characters, none of which controls or reverses a line or ends it"
        ));
    }
    Ok(text)
}

/// True for control characters, the ends of lines and paragraphs, and what overrides the direction of what follows: with
/// them a name could look like another, or like another line of a list.
fn leaves_its_line(character: char) -> bool {
    let separates = matches!(character, '\u{2028}' | '\u{2029}');
    let turns = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || separates || turns
}

fn login(text: String) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    if text.is_empty()
        || text.len() > MAX_LOGIN_CHARACTERS
        || !text.chars().all(fits)
        || NO_LOGINS.contains(&&*text)
    {
        return Err(format!(
            "must have 1 to {MAX_LOGIN_CHARACTERS} letters, digits, `.`, `_`, `-` or `@`, and not be `me`, `.` or `..`"
        ));
    }
    Ok(text)
}

fn robot(text: String) -> Result<String, String> {
    word(text, "letters, digits, `.`, `_` or `-`", |c| {
        c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
    })
}

fn role(text: String) -> Result<String, String> {
    word(text, "lower-case letters, digits, `_` or `-`", |c| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-')
    })
}

fn word(text: String, letters: &str, fits: impl Fn(char) -> bool) -> Result<String, String> {
    if text.is_empty() || text.len() > MAX_WORD_CHARACTERS || !text.chars().all(fits) {
        return Err(format!("must have 1 to {MAX_WORD_CHARACTERS} {letters}"));
    }
    Ok(text)
}

/// A password that can be sent by every client.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Password(SecretString);

impl TryFrom<String> for Password {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err("must not be empty nor hold control characters");
        }
        Ok(Self(text.into()))
    }
}

impl From<Password> for SecretString {
    fn from(password: Password) -> Self {
        password.0
    }
}

impl JsonSchema for Password {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Password".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "password",
            "minLength": 1,
            "maxLength": MAX_PASSWORD_BYTES,
            "pattern": PRINTABLE,
            "writeOnly": true,
        })
    }
}

/// What of a field stands in the audit, which never forgets.
pub(super) enum Told {
    /// The field was not given.
    NotGiven,
    /// It was given; what it holds is a secret, or personal.
    Given,
    /// It was given as this.
    As(String),
}

impl Told {
    /// Only that it was given, if it was.
    pub(super) fn that<T>(field: Option<&T>) -> Self {
        field.map_or(Self::NotGiven, |_| Self::Given)
    }

    /// What was given, if it was.
    pub(super) fn what<T: Display>(field: Option<T>) -> Self {
        field.map_or(Self::NotGiven, |value| Self::As(value.to_string()))
    }

    /// What was given instead of what was there, if it was; `none` where that is taken away.
    pub(super) fn or_none<T: Display>(field: Option<&Option<T>>) -> Self {
        field.map_or(Self::NotGiven, |value| {
            Self::As(value.as_ref().map_or("none".to_owned(), T::to_string))
        })
    }

    /// Which permissions were given, if they were.
    pub(super) fn permissions(field: Option<PermissionSet>) -> Self {
        field.map_or(Self::NotGiven, |set| {
            let names: Vec<String> = set
                .iter()
                .map(|permission| permission.to_string())
                .collect();
            Self::As(match &*names {
                [] => "none".to_owned(),
                _ => names.join(" "),
            })
        })
    }

    /// Which globs were given, if they were.
    pub(super) fn globs(field: Option<&Vec<TagGlob>>) -> Self {
        field.map_or(Self::NotGiven, |globs| {
            let globs: Vec<&str> = globs.iter().map(TagGlob::as_str).collect();
            Self::As(match &*globs {
                [] => "none".to_owned(),
                _ => globs.join(" "),
            })
        })
    }
}

/// What was given, for the audit: `name, anonymous_pull true`; `None`: nothing.
pub(super) fn given(fields: &[(&str, Told)]) -> Option<String> {
    let given = fields.iter().filter_map(|(name, told)| match told {
        Told::NotGiven => None,
        Told::Given => Some((*name).to_owned()),
        Told::As(value) => Some(format!("{name} {value}")),
    });
    let given: Vec<String> = given.collect();
    (!given.is_empty()).then(|| given.join(", "))
}

/// Reads a field that can be left out and not be null: who writes null may mean nothing, or everything.
pub(super) fn not_null<'de, D, T>(reader: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let value = Option::<T>::deserialize(reader)?;
    let null = || D::Error::custom("must not be null; leave it out, or give it a value");
    value.map(Some).ok_or_else(null)
}

/// Reads a field that can be left out, and be null: then the thing has none any more.
#[expect(clippy::option_option, reason = "left out, it stays; null, it goes")]
pub(super) fn or_null<'de, D, T>(reader: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(reader).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_fits_into_basic_credentials_and_a_path() {
        for good in ["ana", "Ana.Maria-2", "ana@example.org"] {
            assert!(login(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "me", ".", "..", "a:b", "a/b", "a b", "ä", "acme+robot"] {
            assert!(login(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn robots_and_roles_have_one_word_for_a_name() {
        assert!(robot("CI-1".to_owned()).is_ok());
        assert!(role("release_manager".to_owned()).is_ok());
        for bad in ["", "a+b", "a b", "a/b", "ä"] {
            assert!(robot(bad.to_owned()).is_err(), "{bad}");
            assert!(role(bad.to_owned()).is_err(), "{bad}");
        }
        assert!(role("Admin".to_owned()).is_err());
    }

    #[test]
    fn a_reason_is_one_line_and_may_be_empty() {
        assert!(reason(String::new()).is_ok());
        assert!(reason("the disk was full; Größe".to_owned()).is_ok());
        for bad in ["\u{1b}[31m", "ding\u{7}", "a\nb", "\u{9b}", "\u{202e}"] {
            assert!(reason(bad.to_owned()).is_err(), "{bad:?}");
        }
        assert!(reason("a".repeat(MAX_REASON_CHARACTERS + 1)).is_err());
    }

    #[test]
    fn a_product_keeps_at_most_32_globs() {
        let globs = |count: usize| vec!["v*".parse::<TagGlob>().unwrap(); count];

        assert!(Globs::try_from(globs(0)).is_ok());
        assert!(Globs::try_from(globs(32)).is_ok());
        assert_eq!(
            Globs::try_from(globs(33)).unwrap_err(),
            "must be at most 32 globs, not 33"
        );
    }

    #[test]
    fn a_name_is_one_line() {
        assert!(name("Acme, Ltd.".to_owned()).is_ok());
        assert!(name(String::new()).is_err());
        assert!(name("שלום".to_owned()).is_ok());
        for bad in [
            "two\nlines",
            "two\u{2028}lines",
            "gnp.\u{202e}exe",
            "\u{2066}in",
            "\u{9b}31m",
        ] {
            assert!(name(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
