//! The environment of this process, read once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::keys::KEYS;
use crate::first_start;

/// In front of every variable that this program reads.
pub(super) const PREFIX: &str = "WHARFINGER_";

/// Behind [`PREFIX`]: what is no setting of the server, but read at its start, by the command line or by the tests.
const READ_ELSEWHERE: [&str; 7] = [
    "CONFIG",
    first_start::PASSWORD_VARIABLE,
    "SERVER",
    "USER",
    "PASSWORD",
    "TOKEN",
    "BIN",
];

/// Where a user's programs keep their configuration; without it, in `.config` of their home.
const CONFIG_HOME: &str = "XDG_CONFIG_HOME";
const HOME: &str = "HOME";

/// The variables of this process that are meant for us.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The real one. Read here and nowhere else, so that a test can give another.
    pub(crate) fn of_this_process() -> Self {
        let ours = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| {
                name.starts_with(PREFIX) || [CONFIG_HOME, HOME].contains(&&**name)
            })?;
            Some((name, value.to_string_lossy().into_owned()))
        });
        Self(ours.collect())
    }

    /// The value of `WHARFINGER_<name>`; an empty one is a value too.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(&format!("{PREFIX}{name}")).map(String::as_str)
    }

    /// The variables that are named like ours and that nothing here reads; most often a slip of the pen.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = &str> {
        let names = self.0.keys().map(String::as_str);
        names.filter(|name| {
            name.strip_prefix(PREFIX).is_some_and(|rest| {
                !READ_ELSEWHERE.contains(&rest)
                    && !KEYS.iter().any(|key| key.variable_without_prefix() == rest)
            })
        })
    }

    /// Where this user's configuration of this program lies, whether or not there is any.
    pub(crate) fn config_folder(&self) -> Option<PathBuf> {
        // As the XDG base directory specification has it: a relative path does not count.
        let absolute = |name: &str| {
            self.0
                .get(name)
                .map(PathBuf::from)
                .filter(|it| it.is_absolute())
        };
        let base = absolute(CONFIG_HOME).or_else(|| Some(absolute(HOME)?.join(".config")))?;
        Some(base.join("wharfinger"))
    }

    /// The variables of a test.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        Self(
            variables
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_nothing_reads_is_known_as_such() {
        let environment = Environment::of(&[
            ("WHARFINGER_PUSH_WIAT", "20s"),
            ("WHARFINGER_PUSH_WAIT", "20s"),
            ("WHARFINGER_LOG__LEVEL", "info"),
            ("WHARFINGER_TOKEN", "wft_…"),
            ("WHARFINGER_ADMIN_PASSWORD", "…"),
            ("HOME", "/home/ana"),
        ]);

        let unknown: Vec<&str> = environment.unknown().collect();

        assert_eq!(unknown, ["WHARFINGER_PUSH_WIAT"]);
    }
}
