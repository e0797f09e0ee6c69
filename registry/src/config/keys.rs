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
    /// Why it is so by default, for who wants to change it; empty where `about` says it all.
    pub(super) why: &'static str,
}

/// Every setting of `wharfinger serve`.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key("listen", "listen", "127.0.0.1:5000", "127.0.0.1:5000", "Address and port to listen on"),
    key("public_url", "public-url", "", "https://registry.example.org", "URL by which clients know this registry [default: the address listened on]"),
    key("role", "role", "main", "proxy", "What this server is: main, or proxy, which holds what its main server publishes and passes on what clients push"),
    key("upstream", "upstream", "", "https://registry.example.org", "Of a proxy: URL of its main server [default: none]"),
    key("mirror_secret_file", "mirror-secret-file", "", "/etc/wharfinger/mirror-secret", "Of a proxy: file of the secret that it and its main server show each other [default: none]")
        .because("One line, for example from openssl rand -hex 32; the main server is given the same when the proxy is added there."),
    key("upstream_ca_file", "upstream-ca-file", "", "/etc/wharfinger/main-ca.crt", "Of a proxy: PEM file of authorities that its main server's certificate may be of, besides the usual ones [default: none]"),
    key("tls", "tls", "off", "self-signed", "TLS on the address listened on: off, or self-signed with a certificate made and kept in <data-dir>/tls.crt")
        .because("With tls_cert and tls_key it need not be set. A self-signed certificate is for a first day: every client must be told to trust it."),
    key("tls_cert", "tls-cert", "", "/etc/wharfinger/tls.crt", "PEM file of the certificate, followed by those that link it to its authority")
        .because("Read again within ten seconds of a change, or on SIGHUP, without closing a connection."),
    key("tls_key", "tls-key", "", "/etc/wharfinger/tls.key", "PEM file of the certificate's private key"),
    key("metrics_listen", "metrics-listen", "", "127.0.0.1:9090", "Address and port of a second listener that shows /metrics and health without a login [default: none]")
        .because("On the address of the API, /metrics asks for a login with the right view_tasks."),
    key("trusted_proxies", "trusted-proxies", "", "10.0.0.0/8, 192.0.2.7", "Addresses and networks of proxies whose word on a client's address, scheme and host counts [default: none]")
        .because("From anybody else Forwarded and X-Forwarded-For, -Proto and -Host are thrown away. The limit per address does not count connections of these. In the file it may be a list of texts."),
    key("forwarded_header", "forwarded-header", "x-forwarded-for", "forwarded", "The one header by which trusted proxies say for whom they ask: x-forwarded-for, with -Proto and -Host beside it, or forwarded")
        .because("The other is thrown away: a proxy that does not write it passes on what the client wrote, who could choose an address."),
    key("private_targets", "private-targets", "auto", "allow", "Whether webhooks and smart proxies may be on loopback and private addresses: allow, refuse, or auto, as long as this server itself listens on such an address")
        .because("Whoever may save a URL chooses what this server connects to from inside its network. Link-local addresses, where clouds give their machines keys, are always refused."),
    key("data_dir", "data-dir", "./wharfinger-data", "/var/lib/wharfinger", "Folder of this node's database, id and lock; never shared"),
    key("content_dir", "content-dir", "", "/var/lib/wharfinger/content", "Folder of the blobs [default: <data-dir>/content]"),
    key("content.backend", "content-backend", "embedded", "pulp", "Where content is kept: embedded, in the content folder, or pulp, in a Pulp 3")
        .because("With pulp the folder holds only what is on its way there."),
    key("content.url", "content-url", "", "https://pulp.example.org", "URL of Pulp's API and registry [default: none]"),
    key("content.username", "content-username", "", "wharfinger", "User of Pulp whose account this registry has for itself [default: none]"),
    key("content.password_file", "content-password-file", "", "/etc/wharfinger/pulp-password", "File of his password [default: none]")
        .because("The password is sent once for a session: each check of it costs Pulp a third of a second."),
    key("content.client_cert", "content-client-cert", "", "/etc/wharfinger/pulp.crt", "PEM file of a certificate in place of user and password [default: none]")
        .because("For a Pulp behind a web server that checks certificates, as Katello sets it up."),
    key("content.client_key", "content-client-key", "", "/etc/wharfinger/pulp.key", "PEM file of that certificate's private key [default: none]"),
    key("content.ca_file", "content-ca-file", "", "/etc/wharfinger/pulp-ca.crt", "PEM file of authorities that Pulp's certificate may be of, besides the usual ones [default: none]"),
    key("content.domain", "content-domain", "", "images", "Domain of Pulp that everything is kept in, where Pulp has domains [default: none]"),
    key("content.prefix", "content-prefix", "wharfinger", "wharfinger", "What the names of all repositories and distributions of this registry in Pulp begin with")
        .because("Two registries on one Pulp need two. Never changed later: what is there would not be found."),
    key("content.content_url", "content-content-url", "", "https://pulp.example.org", "URL of Pulp's content app, where Pulp names another than can be reached [default: where Pulp says]"),
    key("content.blobs", "content-blobs", "stream", "redirect", "How a blob that Pulp keeps is given: stream, through this registry, or redirect, to Pulp's content app")
        .because("A redirect needs a content app that every client can reach, and saves the way through here."),
    key("content.spool_bytes", "content-spool-bytes", "64GiB", "64GiB", "How much of the content folder may be taken by what is on its way to Pulp: uploads that go on, and blobs that Pulp does not have yet")
        .because("Who uploads more waits up to 20 s and is answered 507 then. No blob may be larger."),
    key("database_url", "database-url", "", "sqlite:/var/lib/wharfinger/wharfinger.db", "Database [default: sqlite:<data-dir>/wharfinger.db]"),
    key("push_wait", "push-wait", "20s", "20s", "How long a push waits to be published before it is answered with a warning"),
    key("token_lifetime", "token-lifetime", "900s", "900s", "How long a token is accepted"),
    key("shutdown_grace", "shutdown-grace", "30s", "30s", "How long running work may take after SIGTERM"),
    key("body_idle_timeout", "body-idle-timeout", "60s", "60s", "How long an upload may stand still"),
    key("upload_expiry", "upload-expiry", "24h", "24h", "How long an upload is kept that nobody goes on with, until the workflow cleanup deletes it")
        .because("A client that was cut off comes back within minutes, a build that failed the next day."),
    key("max_manifest_bytes", "max-manifest-bytes", "4MiB", "4MiB", "The largest manifest that is taken"),
    key("max_connections", "max-connections", "4000", "4000", "How many connections are open at once; further ones wait")
        .because("Each may hold two open files, so it is lowered to what the system's limit of open files allows, and the log says so."),
    key("max_connections_per_address", "max-connections-per-address", "512", "512", "How many connections one address may have open; further ones are closed at once")
        .because("A tenth of all, so that one address cannot keep everybody else out; many runners behind one address still fit. An IPv6 address counts with its /64."),
    key("max_requests", "max-requests", "2000", "2000", "How many requests are answered at once; a further GET or HEAD is answered 429, all others wait")
        .because("One costs up to 1.5 MiB while it moves a blob. What uploads is never answered 429: clients would send the whole layer again."),
    key("max_requests_per_address", "max-requests-per-address", "500", "500", "How many of these may be of one address; a further GET or HEAD is answered 429, all others wait")
        .because("A quarter of all, so that one address cannot take the places of everybody. An IPv6 address counts with its /64; what a trusted proxy passes on counts for the client it names."),
    key("max_header_bytes", "max-header-bytes", "64KiB", "64KiB", "How large the head of a request may be")
        .because("The longest in use are tokens with many scopes, a few KiB each."),
    key("header_timeout", "header-timeout", "75s", "75s", "How long the head of a request, or a TLS handshake, may take; also how long a connection may idle")
        .because("As long as the usual proxies keep an idle connection, so that it is not this side that breaks one just being used again."),
    key("request_timeout", "request-timeout", "120s", "120s", "How long a request without a body may take until its answer begins")
        .because("The longest that is meant to take long is to wait for a task, 50 s."),
    key("answer_idle_timeout", "answer-idle-timeout", "60s", "60s", "How long a client may stop reading an answer before its connection is closed")
        .because("A download that stands still holds a megabyte and two open files. It moves by pieces of 512 KiB, so that less than 9 KB/s counts as not reading."),
    key("lease_ttl", "lease-ttl", "10s", "10s", "How long a node may be silent before its plans are taken over"),
    key("tasks_at_once", "tasks-at-once", "128", "128", "How many tasks are at work at once; further ones wait for a place")
        .because("More than two cores and one disk can serve, and few enough that each still ends within seconds. What waits (for a lock, an attempt, a proxy) does not count."),
    key("log.format", "log-format", "text", "json", "Form of the log: text or json"),
    key("log.level", "log-level", "info", "info,engine=debug", "What is logged: error, warn, info, debug, trace, or levels by module"),
    key("otlp_endpoint", "otlp-endpoint", "", "http://127.0.0.1:4318", "Address of a collector that traces are sent to, by OTLP over HTTP [default: none]")
        .because("Requests and attempts of steps become spans; what they carry is what the log shows."),
    key("task_export_dir", "task-export-dir", "", "/var/lib/wharfinger/deleted-tasks", "Folder that tasks are written to, as lines of JSON, before the cleanup deletes them [default: none]")
        .because("What cannot be written is not deleted. The folder grows; what becomes of its files is yours to decide."),
    key("hold", "hold", "false", "true", "Start held: serve pulls and REST, take pushes, and begin no step until the node is released")
        .because("For a look at what is there before anything goes on: wharfinger node release lets it. The hold outlives a restart without it."),
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
        why: "",
    }
}

impl Key {
    /// The same key with the reason for its default.
    const fn because(mut self, why: &'static str) -> Self {
        self.why = why;
        self
    }

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
