//! The environment of this process, read once.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// In front of every variable that this program reads.
pub(super) const PREFIX: &str = "WHARFINGER_";

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
