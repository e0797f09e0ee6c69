//! The configuration: flags, then the environment, then a TOML file, then the defaults.
//!
//! One table of keys ([`keys::KEYS`]) makes the flags, the variables, the TOML keys and `wharfinger config`.
//! Nothing else in the program reads the environment.

mod content;
mod effective;
mod environment;
mod keys;
mod limits;
mod private_targets;
mod proxies;
mod reference;
mod role;
mod tls;
mod value;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::cli::{exit, terminal};

pub(crate) use content::{ContentBackend, PulpSettingError};
pub(crate) use effective::Source;
pub(crate) use environment::Environment;
pub(crate) use keys::Settings;
pub(crate) use limits::Limits;
pub(crate) use private_targets::PrivateTargets;
pub(crate) use proxies::{ForwardedHeader, TrustedProxies};
pub(crate) use role::{ProxySettingError, Role};
pub(crate) use tls::Tls;
pub(crate) use value::{LogFormat, PublicUrl};

use effective::Effective;

/// How this process runs, checked as a whole before anything is opened.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The address and port of the OCI API and of REST.
    pub(crate) listen: SocketAddr,
    /// A main server, or the smart proxy of one.
    pub(crate) role: Role,
    /// The address by which clients know this registry, when that is not `listen`.
    pub(crate) public_url: Option<PublicUrl>,
    /// Whether clients speak TLS to `listen`.
    pub(crate) tls: Tls,
    /// The address and port that show metrics and health without a login.
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// The proxies that may say for whom they ask.
    pub(crate) trusted_proxies: TrustedProxies,
    /// Whether webhooks and smart proxies may be on private addresses.
    pub(crate) private_targets: PrivateTargets,
    /// Database, node id, lock and the first password; never shared by two processes.
    pub(crate) data_dir: PathBuf,
    /// The blobs.
    pub(crate) content_dir: PathBuf,
    /// Where blobs and versions are kept.
    pub(crate) content: ContentBackend,
    /// The file of the SQLite database.
    pub(crate) database: PathBuf,
    /// How long a manifest PUT waits for its push to be published before it answers with a `Warning`.
    pub(crate) push_wait: Duration,
    /// How long a token of `/v2/token` is accepted.
    pub(crate) token_lifetime: Duration,
    /// How long running steps and requests may still take after SIGTERM.
    pub(crate) shutdown_grace: Duration,
    /// How long a request's body may stand still before the request ends.
    pub(crate) body_idle_timeout: Duration,
    /// How long an upload session is kept that nobody goes on with.
    pub(crate) upload_expiry: Duration,
    /// The largest manifest that is taken.
    pub(crate) max_manifest_bytes: usize,
    /// What clients may ask at once, and how long they may take.
    pub(crate) limits: Limits,
    /// How long a node may be silent before others take over its plans.
    pub(crate) lease_ttl: Duration,
    /// How many plans are at work at once.
    pub(crate) tasks_at_once: usize,
    /// Text for people or JSON for machines.
    pub(crate) log_format: LogFormat,
    /// What is logged: a level, or levels by module.
    pub(crate) log_level: String,
    /// The collector that traces are sent to.
    pub(crate) otlp_endpoint: Option<String>,
    /// The folder that tasks are written to before they are deleted.
    pub(crate) task_export_dir: Option<PathBuf>,
    /// Whether the node starts held.
    pub(crate) hold: bool,
    /// Whether administrators may make steps fail on purpose.
    pub(crate) allow_drills: bool,
}

impl Config {
    /// The configuration these sources give, or the first thing wrong with it.
    pub(crate) fn read(
        settings: &Settings,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        Self::from_effective(&Effective::gather(settings, environment)?)
    }

    fn from_effective(effective: &Effective) -> Result<Self, ConfigError> {
        let data_dir: PathBuf = effective.get("data_dir", value::path)?;
        let content_dir = effective.get_unless_empty("content_dir", value::path)?;
        let database = effective.get_unless_empty("database_url", value::sqlite_file)?;
        let content = ContentBackend::of(effective)?;
        Ok(Self {
            listen: effective.get("listen", value::address)?,
            public_url: effective.get_unless_empty("public_url", PublicUrl::parse)?,
            tls: Tls::of(effective)?,
            metrics_listen: effective.get_unless_empty("metrics_listen", value::address)?,
            trusted_proxies: effective
                .get_unless_empty("trusted_proxies", TrustedProxies::parse)?
                .unwrap_or_default()
                .that_write(effective.get("forwarded_header", ForwardedHeader::parse)?),
            private_targets: effective.get("private_targets", PrivateTargets::parse)?,
            role: Role::of(effective, &content)?,
            content,
            content_dir: content_dir.unwrap_or_else(|| data_dir.join("content")),
            database: database.unwrap_or_else(|| data_dir.join("wharfinger.db")),
            data_dir,
            push_wait: effective.get("push_wait", value::duration)?,
            token_lifetime: effective.get("token_lifetime", value::at_least_a_second)?,
            shutdown_grace: effective.get("shutdown_grace", value::duration)?,
            body_idle_timeout: effective.get("body_idle_timeout", value::at_least_a_second)?,
            upload_expiry: effective.get("upload_expiry", value::at_least_a_second)?,
            max_manifest_bytes: effective.get("max_manifest_bytes", value::size)?,
            limits: Limits {
                connections: effective.get("max_connections", value::count)?,
                connections_per_address: effective
                    .get("max_connections_per_address", value::count)?,
                requests: effective.get("max_requests", value::count)?,
                requests_per_address: effective.get("max_requests_per_address", value::count)?,
                header_bytes: effective.get("max_header_bytes", value::header_size)?,
                header_time: effective.get("header_timeout", value::at_least_a_second)?,
                request_time: effective.get("request_timeout", value::at_least_a_second)?,
                answer_idle: effective.get("answer_idle_timeout", value::at_least_a_second)?,
            },
            lease_ttl: effective.get("lease_ttl", value::at_least_a_second)?,
            tasks_at_once: effective.get("tasks_at_once", value::count)?,
            log_format: effective.get("log.format", value::log_format)?,
            log_level: effective.get("log.level", value::log_level)?,
            otlp_endpoint: effective.get_unless_empty("otlp_endpoint", value::http_url)?,
            task_export_dir: effective.get_unless_empty("task_export_dir", value::path)?,
            hold: effective.get("hold", value::yes_or_no)?,
            allow_drills: effective.get("allow_drills", value::yes_or_no)?,
        })
    }

    /// `http`, or `https` where clients speak TLS to this server itself.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_on() { "https" } else { "http" }
    }

    /// The URL in front of every path that is shown to people, without a slash at its end.
    pub(crate) fn base_url(&self) -> String {
        self.public_url.as_ref().map_or_else(
            || format!("{}://{}", self.scheme(), self.reachable()),
            ToString::to_string,
        )
    }

    /// The host and port to write before an image's name in `podman push`.
    pub(crate) fn host(&self) -> String {
        self.public_url.as_ref().map_or_else(
            || self.reachable().to_string(),
            |url| url.authority().to_owned(),
        )
    }

    /// `listen`, with the loopback address in place of "every address", which nobody can connect to.
    fn reachable(&self) -> SocketAddr {
        let ip = match self.listen.ip() {
            // `[::]` takes IPv4 too, and the name of an image cannot hold an IPv6 address.
            every if every.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            one => one,
        };
        SocketAddr::new(ip, self.listen.port())
    }
}

/// What is wrong with the configuration. Start fails on it with exit code 2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// A value that its key cannot have.
    #[error("{key} = {value:?} (from {from}) {wrong}; write for example {example:?}")]
    Value {
        key: &'static str,
        value: String,
        from: Source,
        wrong: String,
        example: &'static str,
    },
    /// A key in the file that no version of this program reads; most often a slip of the pen.
    #[error(
        "{key} = {value} (from {from}) is not a setting of wharfinger; the nearest is {nearest}, \
         for example {nearest} = {example:?}"
    )]
    UnknownKey {
        key: String,
        value: String,
        from: Source,
        nearest: &'static str,
        example: &'static str,
    },
    /// The file is there no more, or not for us.
    #[error(
        "config = {path:?} (from {from}) cannot be read: {cause}; write for example \"/etc/wharfinger.toml\""
    )]
    Unreadable {
        path: PathBuf,
        from: Source,
        cause: std::io::Error,
    },
    /// The file is no TOML.
    #[error(
        "config = {path:?} (from {from}) is not TOML: {cause}; write for example `push_wait = \"20s\"`"
    )]
    Syntax {
        path: PathBuf,
        from: Source,
        cause: String,
    },
}

/// `wharfinger config`: what holds, or what could be set.
#[derive(Debug, Args)]
pub(crate) struct Command {
    /// Print the reference of all settings instead, as Markdown
    #[arg(long)]
    reference: bool,
    #[command(flatten)]
    settings: Settings,
}

/// `wharfinger config`: prints the effective configuration as a TOML file that names where each value comes from.
pub(crate) fn command(command: &Command, environment: &Environment) -> ExitCode {
    if command.reference {
        terminal::print(reference::markdown().trim_end());
        return ExitCode::SUCCESS;
    }
    let effective = match Effective::gather(&command.settings, environment) {
        Ok(effective) => effective,
        Err(error) => return exit::usage(&error),
    };
    match Config::from_effective(&effective) {
        Ok(config) => {
            terminal::print(effective.toml(&config));
            ExitCode::SUCCESS
        }
        Err(error) => exit::usage(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(flags: &[&str], variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::read(&Settings::from_flags(flags), &Environment::of(variables))
    }

    fn refusal(flags: &[&str], variables: &[(&str, &str)]) -> String {
        config(flags, variables)
            .expect_err("this configuration is wrong")
            .to_string()
    }

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wharfinger.toml");
        std::fs::write(&path, text).unwrap();
        (folder, path.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_defaults_need_no_flag() {
        let config = config(&[], &[]).unwrap();

        assert_eq!(config.listen, "127.0.0.1:5000".parse().unwrap());
        assert_eq!(
            config.content_dir,
            PathBuf::from("./wharfinger-data/content")
        );
        assert_eq!(
            config.database,
            PathBuf::from("./wharfinger-data/wharfinger.db")
        );
        assert_eq!(config.push_wait, Duration::from_secs(20));
        assert_eq!(config.token_lifetime, Duration::from_mins(15));
        assert_eq!(config.max_manifest_bytes, 4 << 20);
        assert!(!config.allow_drills);
        assert_eq!(config.base_url(), "http://127.0.0.1:5000");
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_file() {
        let (_folder, path) =
            file("push_wait = \"1s\"\ntoken_lifetime = \"2s\"\nshutdown_grace = \"3s\"\n");
        let variables = [
            ("WHARFINGER_PUSH_WAIT", "10s"),
            ("WHARFINGER_TOKEN_LIFETIME", "11s"),
        ];

        let config = config(&["--config", &path, "--push-wait", "100s"], &variables).unwrap();

        assert_eq!(config.push_wait, Duration::from_secs(100), "the flag");
        assert_eq!(
            config.token_lifetime,
            Duration::from_secs(11),
            "the variable"
        );
        assert_eq!(config.shutdown_grace, Duration::from_secs(3), "the file");
    }

    #[test]
    fn nested_keys_are_joined_by_two_underscores_in_a_variable_and_are_a_table_in_the_file() {
        let (_folder, path) = file("[log]\nformat = \"json\"\n");
        let variables = [
            ("WHARFINGER_LOG__LEVEL", "debug"),
            ("WHARFINGER_CONFIG", path.as_str()),
        ];

        let config = config(&[], &variables).unwrap();

        assert_eq!(config.log_format, LogFormat::Json);
        assert_eq!(config.log_level, "debug");
    }

    #[test]
    fn numbers_and_booleans_of_the_file_may_stand_without_quotes() {
        let (_folder, path) = file("allow_drills = true\nmax_manifest_bytes = 65536\n");

        let config = config(&["--config", &path], &[]).unwrap();

        assert!(config.allow_drills);
        assert_eq!(config.max_manifest_bytes, 65536);
    }

    #[test]
    fn the_proxies_may_be_a_list_of_the_file_and_no_other_setting_may() {
        let (_folder, path) = file("trusted_proxies = [\"10.0.0.0/8\", \"192.0.2.7\"]\n");
        let (_other, wrong) = file("push_wait = [\"20s\"]\n");

        let config = config(&["--config", &path], &[]).unwrap();

        let written = TrustedProxies::parse("10.0.0.0/8, 192.0.2.7").unwrap();
        assert_eq!(config.trusted_proxies, written);
        assert!(refusal(&["--config", &wrong], &[]).contains("is not a duration"));
    }

    #[test]
    fn the_drills_flag_needs_no_value() {
        assert!(config(&["--allow-drills"], &[]).unwrap().allow_drills);
    }

    #[test]
    fn an_error_names_key_value_source_and_an_example() {
        assert_eq!(
            refusal(&[], &[("WHARFINGER_PUSH_WAIT", "soon")]),
            "push_wait = \"soon\" (from WHARFINGER_PUSH_WAIT) is not a duration; write for example \"20s\""
        );
        assert_eq!(
            refusal(&["--listen", "5000"], &[]),
            "listen = \"5000\" (from --listen) is not an address with a port; write for example \"127.0.0.1:5000\""
        );
    }

    #[test]
    fn a_wrong_value_in_the_file_names_the_file() {
        let (_folder, path) = file("body_idle_timeout = \"0s\"\n");

        let text = refusal(&["--config", &path], &[]);

        assert_eq!(
            text,
            format!(
                "body_idle_timeout = \"0s\" (from {path}) is less than a second; write for example \"60s\""
            )
        );
    }

    #[test]
    fn an_unknown_key_of_the_file_is_refused_with_the_nearest_one() {
        let (_folder, path) = file("push_wiat = \"20s\"\n");

        let text = refusal(&["--config", &path], &[]);

        assert_eq!(
            text,
            format!(
                "push_wiat = \"20s\" (from {path}) is not a setting of wharfinger; the nearest is push_wait, \
                 for example push_wait = \"20s\""
            )
        );
    }

    #[test]
    fn a_file_that_is_missing_or_no_toml_is_refused_by_name() {
        let (_folder, path) = file("push_wait is long");

        assert!(
            refusal(&["--config", "/no/such/file.toml"], &[])
                .starts_with("config = \"/no/such/file.toml\" (from --config) cannot be read: ")
        );
        assert!(refusal(&["--config", &path], &[]).contains("is not TOML: "));
    }

    #[test]
    fn another_database_than_sqlite_is_refused_without_showing_its_password() {
        let text = refusal(&["--database-url", "postgres://wharf:secret@db/wharf"], &[]);

        assert!(
            text.contains("(from --database-url) is not a SQLite database"),
            "{text}"
        );
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn every_default_and_every_example_is_a_value_its_key_can_have() {
        config(&[], &[]).unwrap();
        for key in keys::KEYS {
            let flag = format!("{}={}", key.flag(), key.example);
            // Those without which this one is of no use.
            let pulp = ["--content-backend=pulp", "--content-url=https://pulp"];
            let user = ["--content-username=a", "--content-password-file=p"];
            let certificate = ["--content-client-cert=c", "--content-client-key=k"];
            let (proxy, upstream) = (["--role=proxy"], ["--upstream=https://main"]);
            let secret = ["--mirror-secret-file=s"];
            let mut flags = match key.name {
                "tls_cert" => vec!["--tls-key=tls.key"],
                "tls_key" => vec!["--tls-cert=tls.crt"],
                "content.client_cert" | "content.client_key" => [pulp, certificate].concat(),
                "role" => [upstream, secret].concat(),
                "upstream" => [proxy, secret].concat(),
                "mirror_secret_file" | "upstream_ca_file" => [proxy, upstream, secret].concat(),
                name if name.starts_with("content.") => [pulp, user].concat(),
                _ => Vec::new(),
            };
            let name = key.flag();
            flags.retain(|other| !other.starts_with(&format!("{name}=")));
            flags.push(&flag);
            config(&flags, &[]).unwrap();
        }
    }

    #[test]
    fn a_server_on_every_address_shows_one_that_can_be_reached() {
        for every in ["0.0.0.0:8080", "[::]:8080"] {
            let config = config(&["--listen", every], &[]).unwrap();

            assert_eq!(config.base_url(), "http://127.0.0.1:8080");
        }
    }

    #[test]
    fn what_config_prints_can_be_read_back_as_a_file() {
        let settings =
            Settings::from_flags(&["--push-wait", "7s", "--public-url", "https://hub.example"]);
        let effective = Effective::gather(&settings, &Environment::of(&[])).unwrap();
        let printed = effective.toml(&Config::from_effective(&effective).unwrap());
        let (_folder, path) = file(&printed);

        let again = config(&["--config", &path], &[]).unwrap();

        assert_eq!(again.push_wait, Duration::from_secs(7));
        assert_eq!(again.host(), "hub.example");
        assert!(printed.contains("push_wait = \"7s\""), "{printed}");
        assert!(printed.contains("# --push-wait"), "{printed}");
    }
}
