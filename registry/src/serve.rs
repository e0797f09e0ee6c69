//! `wharfinger serve`: the only place where everything is put together.
//!
//! data folder -> database -> content -> first start -> node -> listener; and back in the opposite order.

mod role;

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::clock::Clock;
use engine::node::NodeOptions;
use rustix::fs::Mode;
use secrecy::SecretString;
use storage::catalog::sizes::Sizes;
use storage::catalog::{CatalogError, instance};
use storage::content::pulp::{Lacking, PulpError};
use storage::content::{Content, ContentError};
use storage::{Database, DatabaseError};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::answers::Answers;
use crate::app::App;
use crate::audit::Refusals;
use crate::auth::failed_logins::FailedLogins;
use crate::auth::key_rotation::RotationError;
use crate::auth::tokens::TokenError;
use crate::cli::{exit, terminal};
use crate::config::{
    Config, ContentBackend, Environment, Limits, ProxySettingError, PulpSettingError, Settings, Tls,
};
use crate::data_dir::{DataDir, DataDirError};
use crate::first_start::{self, ADMIN, AdminPassword, DEFAULT_ORGANIZATION, FirstStartError};
use crate::full_disk::FullDisk;
use crate::http::tls::{Certificates, TlsError, self_signed};
use crate::http::{self, Manners};
use crate::pulls::Pulls;
use crate::telemetry::{self, TelemetryError};
use crate::{api, oci};

/// Why the registry does not start. All of it ends with exit code 2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    Pulp(#[from] PulpSettingError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    FirstStart(#[from] FirstStartError),
    #[error(transparent)]
    Keys(#[from] RotationError),
    #[error(transparent)]
    Tokens(#[from] TokenError),
    #[error(transparent)]
    Node(#[from] workflows::StartError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("{key} = \"{listen}\" cannot be listened on; is another server running there?")]
    Listen {
        key: &'static str,
        listen: SocketAddr,
        source: io::Error,
    },
    #[error(transparent)]
    ProxySetting(#[from] ProxySettingError),
    #[error("the client that calls the main server cannot be made")]
    Client(#[source] reqwest::Error),
    #[error(
        "this data folder is that of a {kept} server, and role = \"{wanted}\" asks for another; choose another data_dir, or start it as what it is"
    )]
    OtherRole {
        kept: instance::Role,
        wanted: instance::Role,
    },
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error("the client for calls to webhooks and smart proxies cannot be made")]
    Outbound(#[from] reqwest::Error),
    #[error("the signals that stop a server cannot be received")]
    Signals(#[source] io::Error),
}

/// A registry that listens.
pub(crate) struct Serving {
    app: Arc<App>,
    password: Option<AdminPassword>,
    shutdown: CancellationToken,
    listener: JoinSet<()>,
    /// Given up last: until then no other process may touch what lies in it.
    data_dir: DataDir,
}

/// Runs the registry until SIGTERM or SIGINT, then lets what is under way come to its end.
pub(crate) async fn command(settings: &Settings, environment: &Environment) -> ExitCode {
    let config = match Config::read(settings, environment) {
        Ok(config) => config,
        Err(error) => return exit::usage(&error),
    };
    let password = environment
        .get(first_start::PASSWORD_VARIABLE)
        .map(SecretString::from);
    match run(config, environment, password).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::could_not_start(&error),
    }
}

async fn run(
    config: Config,
    environment: &Environment,
    password: Option<SecretString>,
) -> Result<(), StartError> {
    let traces = telemetry::start(&config)?;
    for name in environment.unknown() {
        warn!(
            "{name} is no setting of wharfinger and is not read; `wharfinger config` prints all that are"
        );
    }
    // Database and content hold password hashes, the signing key and private images, in a folder that others may enter.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signals)?;
    let serving = Serving::start(config, password).await?;
    serving.announce();
    let signal = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    info!(
        "{signal}: no new connections; what is under way may take {:?}",
        serving.app.config.shutdown_grace
    );
    serving.stop().await;
    info!("stopped");
    if let Some(traces) = traces {
        traces.end().await;
    }
    Ok(())
}

/// Without a certificate there is nothing to read again; but SIGHUP left alone would end the process.
async fn overhear(mut hangup: Signal, stop: CancellationToken) {
    while let Some(Some(())) = stop.run_until_cancelled(hangup.recv()).await {
        info!("SIGHUP: this server has no certificate to read again");
    }
}

/// Listens; afterwards the port is known also where the system chose it.
async fn listen(
    key: &'static str,
    listen: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let refused = |source| StartError::Listen {
        key,
        listen,
        source,
    };
    let socket = TcpListener::bind(listen).await.map_err(refused)?;
    let address = socket.local_addr().map_err(refused)?;
    Ok((socket, address))
}

/// The limits that this process can hold.
fn bearable(limits: Limits) -> Limits {
    let files = http::allow_as_many_open_files_as_possible();
    let bearable = limits.within_open_files(files);
    if bearable.connections < limits.connections {
        warn!(
            "max_connections is lowered from {} to {}: the system allows {files} open files; raise that, for example \
             with LimitNOFILE in the unit of systemd",
            limits.connections, bearable.connections
        );
    }
    bearable
}

/// A Pulp that does not answer at the start is waited for by the pushes, not by everybody else.
const PULP_CHECKED_WITHIN: Duration = Duration::from_secs(5);

/// Opens the content. A Pulp that does not answer now may later; one that refuses us is told at once.
async fn open_content(
    config: &Config,
    database: &Database,
    clock: Clock,
) -> Result<Content, StartError> {
    let pulp = match &config.content {
        ContentBackend::Embedded => None,
        ContentBackend::Pulp(pulp) => Some(pulp.options(clock)?),
    };
    let content = Content::open(database.clone(), &config.content_dir, pulp, clock.now()).await?;
    if let Some(pulp) = content.pulp() {
        let checked = tokio::time::timeout(PULP_CHECKED_WITHIN, pulp.check()).await;
        match checked {
            Ok(Ok(())) => {}
            Ok(Err(Lacking::Pulp(
                error @ (PulpError::Login { .. }
                | PulpError::Refused { .. }
                | PulpError::Unreadable { .. }),
            ))) => return Err(ContentError::from(error).into()),
            Ok(Err(error)) => warn!(%error, "{error}; pushes wait until that is mended"),
            Err(_) => warn!("{pulp:?} does not answer; pushes wait until it does"),
        }
    }
    Ok(content)
}

impl Serving {
    /// Opens everything and listens. `password` counts only if this is the first start on this database.
    pub(crate) async fn start(
        mut config: Config,
        password: Option<SecretString>,
    ) -> Result<Self, StartError> {
        telemetry::metrics::start();
        let data_dir = DataDir::take(&config.data_dir)?;
        let node_id = data_dir.node_id()?;
        let clock = Clock::system();
        let database = Database::open(&config.database).await?;
        let password = role::first_start(&config, &database, &data_dir, password, clock).await?;
        let content = open_content(&config, &database, clock).await?;
        let proxy = role::proxy(&config, &database, &content, clock).await?;
        let tokens = role::tokens(&config, &database, proxy.as_ref(), clock).await?;
        let services = workflows::Services {
            database,
            content,
            clock,
            task_export_dir: config.task_export_dir.as_deref().map(Into::into),
            upload_expiry: config.upload_expiry,
            outbound: config.outbound()?,
            public_url: Some(config.base_url()),
            progresses: workflows::proxy::Progresses::default(),
        };
        // Before the node begins to work: a port that is taken is the commonest reason for which a start fails.
        let (socket, address) = listen("listen", config.listen).await?;
        config.listen = address;
        let watchers = match config.metrics_listen {
            Some(address) => Some(listen("metrics_listen", address).await?.0),
            None => None,
        };
        let certificates = Certificates::of(&config, &data_dir)?;
        config.limits = bearable(config.limits);
        let options = NodeOptions {
            lease_ttl: config.lease_ttl,
            held_by: config.hold.then(|| "serve --hold".to_owned()),
            at_once: config.tasks_at_once,
            ..NodeOptions::new(node_id, config.host())
        };
        let node = workflows::start(options, services.clone(), config.allow_drills).await?;
        if let Err(error) = node.make_built_in(role::schedules(proxy.as_ref())).await {
            warn!(%error, "the built-in schedules could not be made; the next start tries again");
        }

        let manners = Manners {
            limits: config.limits,
            grace: config.shutdown_grace,
            proxies: config.trusted_proxies.clone(),
            certificates: certificates.clone(),
        };
        let app = Arc::new(App {
            full_disk: FullDisk::new(&config.content_dir, services.database.path()),
            manifest_memory: oci::ManifestMemory::new(
                config.max_manifest_bytes,
                config.data_dir.clone(),
            ),
            config,
            services,
            node,
            tokens,
            failed_logins: FailedLogins::default(),
            refusals: Refusals::default(),
            answers: Answers::default(),
            pulls: Pulls::default(),
            sizes: Sizes::default(),
            proxy,
        });
        let router = role::router(&app);
        let shutdown = CancellationToken::new();
        let mut listener = JoinSet::new();
        listener.spawn(http::serve(
            socket,
            router,
            shutdown.clone(),
            manners.clone(),
        ));
        listener.spawn(telemetry::metrics::tidy(shutdown.clone()));
        if let Some(watchers) = watchers {
            let router = api::router_for_watchers(Arc::clone(&app));
            let plain = Manners {
                certificates: None,
                ..manners
            };
            listener.spawn(http::serve(watchers, router, shutdown.clone(), plain));
        }
        let hangup = signal(SignalKind::hangup()).map_err(StartError::Signals)?;
        let stop = shutdown.clone();
        if let Some(certificates) = certificates {
            listener.spawn(async move { certificates.keep_current(hangup, stop).await });
        } else {
            listener.spawn(overhear(hangup, stop));
        }
        role::begin_duties(&mut listener, &app, &shutdown);
        info!(listen = %app.config.listen, node.id = %node_id, "listening on {}", app.config.listen);
        Ok(Self {
            app,
            password,
            shutdown,
            listener,
            data_dir,
        })
    }

    /// What the handlers work with.
    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// Stops taking requests, answers those that wait, lets running steps end within the grace, and closes the rest.
    ///
    /// Plans that have not ended stay this node's: its next start goes on with them.
    pub(crate) async fn stop(mut self) {
        let deadline = Instant::now() + self.app.config.shutdown_grace;
        self.shutdown.cancel();
        while let Some(ended) = self.listener.join_next().await {
            if let Err(panic) = ended {
                warn!("the listener panicked: {panic}");
            }
        }
        if let Err(error) = self.app.answers.write(&self.app.services.database).await {
            warn!(%error, "what the last clients were told is not written down");
        }
        if let Err(error) = self.app.pulls.write(&self.app.services.database).await {
            warn!(%error, "when images were pulled in the last minute is not written down");
        }
        self.app
            .node
            .drain(deadline.saturating_duration_since(Instant::now()))
            .await;
        self.app.services.content.clone().close().await;
        self.app.services.database.clone().close().await;
        drop(self.data_dir);
    }

    /// Says where to go from here: the address, the tasks, and a first push to copy.
    fn announce(&self) {
        let config = &self.app.config;
        if config.public_url.is_none() && !config.listen.ip().is_loopback() {
            warn!(
                "public_url is not set: clients that use a name of this machine get tokens for {}; \
                 write for example public_url = \"https://registry.example.org\"",
                config.host()
            );
        }
        if config.trusted_proxies.are_everybody() {
            warn!(
                "trusted_proxies holds every address: each client can say that it is another, which the audit believes; \
                 name the proxies alone"
            );
        }
        if config.hold {
            warn!(
                "this node is held: no step begins until `wharfinger node release` lets it go on"
            );
        }
        if config.allow_drills {
            warn!("drills are allowed: administrators can make steps fail on purpose");
        }
        terminal::print(self.welcome());
    }

    fn welcome(&self) -> String {
        if let Some(proxy) = &self.app.proxy {
            return role::welcome_of_a_proxy(&self.app, proxy);
        }
        let (host, url) = (self.app.config.host(), self.app.config.base_url());
        let password = self
            .password
            .as_ref()
            .map_or_else(String::new, |password| format!("\n{password}"));
        let tls = if url.starts_with("https:") {
            ""
        } else {
            " --tls-verify=false"
        };
        let trust = match &self.app.config.tls {
            Tls::SelfSigned => {
                let (certificate, _) = self.data_dir.certificate_files();
                let commands = self_signed::how_to_trust(&self.app.config, &certificate);
                format!(
                    "\nOnce on each client, so that podman trusts the certificate (copy {} there first):\n  {commands}\n",
                    certificate.display()
                )
            }
            Tls::Off | Tls::Files { .. } => String::new(),
        };
        let organization = DEFAULT_ORGANIZATION.to_lowercase();
        format!(
            "wharfinger {version} on {url}
Tasks: {url}/api/v1/tasks{password}
{trust}
A first push:
  podman login{tls} -u {ADMIN} {host}
  podman pull docker.io/library/busybox:latest
  podman push{tls} docker.io/library/busybox:latest {host}/{organization}/busybox:latest
  wharfinger task list --server {url} --user {ADMIN} --password …
",
            version = env!("CARGO_PKG_VERSION"),
        )
    }
}
