//! The table of settings, and the flags made from it.

use std::collections::BTreeMap;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::environment::PREFIX;

/// One setting, with the one name it has everywhere.
#[derive(Debug)]
pub(crate) struct Key {
    /// As in the TOML file; a dot stands before a key of a table.
    pub(crate) name: &'static str,
    /// The flag, without its dashes.
    long: &'static str,
    /// What holds if nobody says anything; empty: see `about`.
    pub(crate) default: &'static str,
    /// A value that works, shown in every error about this key.
    pub(crate) example: &'static str,
    /// For `--help`.
    pub(crate) about: &'static str,
}

/// Every setting of `wharfinger serve`.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key("listen", "listen", "127.0.0.1:5000", "127.0.0.1:5000", "Address and port to listen on"),
    key("public_url", "public-url", "", "https://registry.example.org", "URL by which clients know this registry [default: the address listened on]"),
    key("data_dir", "data-dir", "./wharfinger-data", "/var/lib/wharfinger", "Folder of this node's database, id and lock; never shared"),
    key("content_dir", "content-dir", "", "/var/lib/wharfinger/content", "Folder of the blobs [default: <data-dir>/content]"),
    key("database_url", "database-url", "", "sqlite:/var/lib/wharfinger/wharfinger.db", "Database [default: sqlite:<data-dir>/wharfinger.db]"),
    key("push_wait", "push-wait", "20s", "20s", "How long a push waits to be published before it is answered with a warning"),
    key("token_lifetime", "token-lifetime", "900s", "900s", "How long a token is accepted"),
    key("shutdown_grace", "shutdown-grace", "30s", "30s", "How long running work may take after SIGTERM"),
    key("body_idle_timeout", "body-idle-timeout", "60s", "60s", "How long an upload may stand still"),
    key("max_manifest_bytes", "max-manifest-bytes", "4MiB", "4MiB", "The largest manifest that is taken"),
    key("lease_ttl", "lease-ttl", "10s", "10s", "How long a node may be silent before its plans are taken over"),
    key("log.format", "log-format", "text", "json", "Form of the log: text or json"),
    key("log.level", "log-level", "info", "info,engine=debug", "What is logged: error, warn, info, debug, trace, or levels by module"),
    key("allow_drills", "allow-drills", "false", "true", "Let administrators make steps fail on purpose"),
];

const fn key(
    name: &'static str,
    long: &'static str,
    default: &'static str,
    example: &'static str,
    about: &'static str,
) -> Key {
    Key {
        name,
        long,
        default,
        example,
        about,
    }
}

impl Key {
    /// `--push-wait`, `--log-format`.
    pub(crate) fn flag(&self) -> String {
        format!("--{}", self.long)
    }

    /// `WHARFINGER_PUSH_WAIT`, `WHARFINGER_LOG__FORMAT`.
    pub(crate) fn variable(&self) -> String {
        format!("{PREFIX}{}", self.variable_without_prefix())
    }

    pub(super) fn variable_without_prefix(&self) -> String {
        self.name.replace('.', "__").to_uppercase()
    }

    fn is_switch(&self) -> bool {
        self.default == "false"
    }
}

/// The flags of a command that reads the configuration, as they were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// `--config`.
    pub(super) config: Option<String>,
    /// Key name to text.
    pub(super) flags: BTreeMap<&'static str, String>,
}

const CONFIG: &str = "config";

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE")
            .help("TOML file with any of these settings");
        KEYS.iter().fold(command.arg(config), |command, key| {
            let arg = Arg::new(key.name).long(key.long).help(help(key));
            command.arg(if key.is_switch() {
                arg.num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true")
                    .value_name("true|false")
            } else {
                arg.value_name("VALUE")
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn help(key: &Key) -> String {
    if key.default.is_empty() {
        key.about.to_owned()
    } else {
        format!("{} [default: {}]", key.about, key.default)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut settings = Self::default();
        settings.update_from_arg_matches(matches)?;
        Ok(settings)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.config = matches.get_one::<String>(CONFIG).cloned();
        self.flags = KEYS
            .iter()
            .filter_map(|key| Some((key.name, matches.get_one::<String>(key.name)?.clone())))
            .collect();
        Ok(())
    }
}

impl Settings {
    /// The settings with one flag more, which wins over all that was given: `demo` chooses its own folder and port.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        if let Some(key) = KEYS.iter().find(|key| key.name == name) {
            self.flags.insert(key.name, value.into());
        }
        self
    }

    /// What a command line with these flags gives.
    #[cfg(test)]
    pub(crate) fn from_flags(flags: &[&str]) -> Self {
        let command = Self::augment_args(Command::new("wharfinger"));
        let matches =
            command.get_matches_from(std::iter::once("wharfinger").chain(flags.iter().copied()));
        Self::from_arg_matches(&matches).unwrap()
    }
}
