//! Each setting's text and where it comes from, before anything is parsed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::keys::{KEYS, Key, Settings};
use super::{Config, ConfigError, value};

/// Who said what a setting is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A flag, by its name.
    Flag(String),
    /// A variable, by its name.
    Variable(String),
    /// The TOML file.
    File(PathBuf),
    /// Nobody.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Every key with the text that counts for it.
#[derive(Debug)]
pub(super) struct Effective(BTreeMap<&'static str, (&'static Key, String, Source)>);

impl Effective {
    /// Flags before variables before the file before the defaults. An unknown key of the file is refused.
    pub(super) fn gather(
        settings: &Settings,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let file = match file_named(settings, environment) {
            Some((path, from)) => read_file(&path, from)?,
            None => BTreeMap::new(),
        };
        let effective = KEYS.iter().map(|key| {
            let said = None
                .or_else(|| {
                    Some((
                        settings.flags.get(key.name)?.clone(),
                        Source::Flag(key.flag()),
                    ))
                })
                .or_else(|| {
                    let text = environment.get(&key.variable_without_prefix())?;
                    Some((text.to_owned(), Source::Variable(key.variable())))
                })
                .or_else(|| file.get(key.name).cloned());
            let (text, source) = said.unwrap_or_else(|| (key.default.to_owned(), Source::Default));
            (key.name, (key, text, source))
        });
        Ok(Self(effective.collect()))
    }

    /// What `parse` makes of the key's text; its complaint becomes an error with key, value, source and example.
    pub(super) fn get<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let (key, text, source) = self
            .0
            .get(name)
            .expect("only keys of the table are asked for");
        parse(text).map_err(|wrong| ConfigError::Value {
            key: key.name,
            value: value::without_password(text),
            from: source.clone(),
            wrong,
            example: key.example,
        })
    }

    /// The same for a key whose default depends on others: nothing said is `None`.
    pub(super) fn get_unless_empty<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        match self.0.get(name) {
            Some((_, text, Source::Default)) if text.is_empty() => Ok(None),
            _ => self.get(name, parse).map(Some),
        }
    }

    /// A TOML file that says the same, with the source of each value behind it.
    pub(super) fn toml(&self, config: &Config) -> String {
        let mut lines = Vec::new();
        let mut table = "";
        for key in KEYS {
            let Some((_, text, source)) = self.0.get(key.name) else {
                continue;
            };
            let (key_table, name) = key.name.split_once('.').unwrap_or(("", key.name));
            lines.push((key_table, line(name, text, source, key, config)));
        }
        // Keys outside a table come first, else TOML would read them into it.
        lines.sort_by_key(|(key_table, _)| !key_table.is_empty());
        let mut printed = String::new();
        for (key_table, line) in lines {
            if key_table != table {
                printed.push_str("\n[");
                printed.push_str(key_table);
                printed.push_str("]\n");
                table = key_table;
            }
            printed += &line;
            printed.push('\n');
        }
        printed
    }
}

fn line(name: &str, text: &str, source: &Source, key: &Key, config: &Config) -> String {
    let derived = match key.name {
        "content_dir" => Some(config.content_dir.display().to_string()),
        "database_url" => Some(format!("sqlite:{}", config.database.display())),
        _ => None,
    };
    match derived {
        Some(derived) => format!("{name} = {derived:?} # {source}"),
        None if text.is_empty() && key.name == "public_url" => {
            format!("# {name} is not set: {}", config.base_url())
        }
        None if text.is_empty() => format!("# {name} is not set"),
        None => format!("{name} = {:?} # {source}", value::without_password(text)),
    }
}

fn file_named(settings: &Settings, environment: &Environment) -> Option<(PathBuf, Source)> {
    if let Some(path) = &settings.config {
        return Some((path.into(), Source::Flag("--config".to_owned())));
    }
    let path = environment.get("CONFIG")?;
    Some((
        path.into(),
        Source::Variable("WHARFINGER_CONFIG".to_owned()),
    ))
}

fn read_file(path: &Path, from: Source) -> Result<BTreeMap<String, (String, Source)>, ConfigError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(cause) => {
            return Err(ConfigError::Unreadable {
                path: path.to_owned(),
                from,
                cause,
            });
        }
    };
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(cause) => {
            let cause = one_line(&cause.to_string());
            return Err(ConfigError::Syntax {
                path: path.to_owned(),
                from,
                cause,
            });
        }
    };
    let mut values = Vec::new();
    flatten("", &table, &mut values);
    let known = |(name, value): (String, toml::Value)| {
        if KEYS.iter().any(|key| key.name == name) {
            let text = as_text(&name, &value);
            return Ok((name, (text, Source::File(path.to_owned()))));
        }
        let nearest = nearest(&name);
        Err(ConfigError::UnknownKey {
            key: name,
            value: value.to_string(),
            from: Source::File(path.to_owned()),
            nearest: nearest.name,
            example: nearest.example,
        })
    };
    values.into_iter().map(known).collect()
}

/// The one setting that is a list: in the file it may be written as one.
const LIST: &str = "trusted_proxies";

/// A value of the file as a flag would have it.
fn as_text(name: &str, value: &toml::Value) -> String {
    if let Some(text) = value.as_str() {
        return text.to_owned();
    }
    let parts = value.as_array().filter(|_| name == LIST);
    let parts: Option<Vec<&str>> = parts.and_then(|all| all.iter().map(|it| it.as_str()).collect());
    parts.map_or_else(|| value.to_string(), |parts| parts.join(", "))
}

/// `[log] format` becomes `log.format`.
fn flatten(prefix: &str, table: &toml::Table, values: &mut Vec<(String, toml::Value)>) {
    for (name, value) in table {
        if let toml::Value::Table(inner) = value {
            flatten(&format!("{prefix}{name}."), inner, values);
        } else {
            values.push((format!("{prefix}{name}"), value.clone()));
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The key that is the fewest keystrokes away.
fn nearest(name: &str) -> &'static Key {
    KEYS.iter()
        .min_by_key(|key| keystrokes(name, key.name))
        .expect("the table of keys is not empty")
}

/// The Levenshtein distance, in bytes.
fn keystrokes(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}
