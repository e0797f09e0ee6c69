//! A real `wharfinger serve` on a free loopback port and a folder of its own.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::command::{self, Finished};
use crate::metrics::Metrics;
use crate::oci_client::OciClient;
use crate::rest::Rest;
use crate::wait::{self, SOON};
use crate::wall_clock;

/// The login of the administrator that the first start makes.
pub const ADMIN: &str = "admin";
/// The administrator's password, given to the first start.
pub const ADMIN_PASSWORD: &str = "a-lighter-at-the-quay-7";

/// Below the range from which the system takes ports for outgoing connections, so that a server that was
/// killed finds its port free again.
const FIRST_PORT: u16 = 20_000;
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// How much of its log a server shows when its test fails.
const LOG_SHOWN: usize = 16_000;

/// A server process, its folder and its port. Dropping it kills the process and removes the folder.
pub struct Server {
    home: TempDir,
    ip: Ipv4Addr,
    port: u16,
    /// The port of `--metrics-listen`, if it has one.
    watched_port: Option<u16>,
    through: Vec<String>,
    options: Vec<String>,
    process: Option<Child>,
}

impl Server {
    /// A server with the settings that users get.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A server with further options of `serve`.
    pub async fn start_with(options: &[&str]) -> Self {
        Self::start_through(&[], options).await
    }

    /// A server that the program `through` starts: its words stand before those of the server.
    pub async fn start_through(through: &[String], options: &[&str]) -> Self {
        let mut server = Self::prepared(through, options);
        server.restart().await;
        server
    }

    /// A server with `--metrics-listen` too, by which it also says that it is ready: for servers that speak TLS.
    pub async fn start_watched(options: &[&str]) -> Self {
        let mut server = Self::prepared(&[], options);
        server.watched_port = Some(free_port());
        server.restart().await;
        server
    }

    /// A server that the program `through` starts, and that listens on another address than loopback.
    pub async fn start_at(ip: Ipv4Addr, through: &[String], options: &[&str]) -> Self {
        let mut server = Self::prepared(through, options);
        server.ip = ip;
        server.restart().await;
        server
    }

    fn prepared(through: &[String], options: &[&str]) -> Self {
        Self {
            home: tempfile::tempdir().expect("a temporary folder"),
            ip: Ipv4Addr::LOCALHOST,
            port: free_port(),
            watched_port: None,
            through: through.to_vec(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            process: None,
        }
    }

    /// Where it listens, as `host:port`.
    pub fn host(&self) -> String {
        format!("{}:{}", self.ip, self.port)
    }

    /// Where it shows metrics and health without a login, as `host:port`.
    pub fn watched_host(&self) -> String {
        let port = self.watched_port.expect("started with `start_watched`");
        format!("127.0.0.1:{port}")
    }

    /// What it shows as metrics.
    pub async fn metrics(&self) -> Metrics {
        let watcher = Rest::with_login(&self.watched_host(), ADMIN, ADMIN_PASSWORD);
        let shown = watcher.try_get("/metrics").await;
        let shown = shown.expect("the server answers").expect_status(200);
        Metrics::of(&shown.text())
    }

    /// Its data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The folder around its data folder, which holds its log and nothing else.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// An OCI client that logs in as the administrator.
    pub fn oci(&self) -> OciClient {
        OciClient::with_login(&self.host(), ADMIN, ADMIN_PASSWORD)
    }

    /// A REST client that logs in as the administrator.
    pub fn rest(&self) -> Rest {
        Rest::with_login(&self.host(), ADMIN, ADMIN_PASSWORD)
    }

    /// Starts the process again on the same folder and port, with the same options.
    pub async fn restart(&mut self) {
        assert!(
            self.try_restart().await,
            "the server ended before it was ready:\n{}",
            self.log()
        );
    }

    /// The same, for a server that may end before it is ready; whether it became ready.
    pub async fn try_restart(&mut self) -> bool {
        assert!(self.process.is_none(), "the server still runs");
        self.launch();
        let rest = match self.watched_port {
            Some(_) => Rest::with_login(&self.watched_host(), ADMIN, ADMIN_PASSWORD),
            None => self.rest(),
        };
        let ready = wait::until("the server is ready", SOON, async || {
            if !self.runs() {
                return Some(false);
            }
            let answer = rest.try_get("/readyz").await.ok()?;
            (answer.status == 200).then_some(true)
        })
        .await;
        if !ready {
            self.process = None;
        }
        ready
    }

    /// Ends the process at once, as `kill -9` does.
    pub async fn kill(&mut self) {
        let pid = self.pid();
        let mut process = self.process.take().expect("the server runs");
        process
            .kill()
            .await
            .expect("a process of ours can be killed");
        wall_clock::forget(pid);
    }

    /// Asks the process to end, as `systemctl stop` does; answers at once.
    pub async fn terminate(&self) {
        self.signal("TERM").await;
    }

    /// Sends the process a signal, by its name without `SIG`.
    pub async fn signal(&self, name: &str) {
        let ask = format!("kill -{name} {}", self.pid());
        let mut shell = Command::new("sh");
        shell.args(["-c", &ask]);
        command::run(shell).await.expect_code(0);
    }

    /// Waits for the process to end by itself; answers with its exit code.
    pub async fn ended(&mut self) -> i32 {
        let mut process = self.process.take().expect("the server runs");
        let pid = process.id();
        let status = tokio::time::timeout(SOON, process.wait())
            .await
            .unwrap_or_else(|_| panic!("the server did not end within {SOON:?}"))
            .expect("a child of ours can be waited for");
        pid.into_iter().for_each(wall_clock::forget);
        status.code().unwrap_or(-1)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        let process = self.process.as_ref().expect("the server runs");
        process.id().expect("the server has not ended by itself")
    }

    /// Whether the process runs.
    pub fn runs(&mut self) -> bool {
        let Some(process) = &mut self.process else {
            return false;
        };
        process.try_wait().expect("a child of ours").is_none()
    }

    /// The most memory the process has had resident so far, in MiB.
    pub fn peak_memory_mib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(&path).expect("Linux shows every process there");
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))
            .expect("Linux shows the peak of every process");
        kib.parse::<u64>().expect("a number of KiB") / 1024
    }

    /// The command line client, logged in as the administrator.
    pub async fn cli(&self, words: &[&str]) -> Finished {
        self.cli_as(ADMIN, ADMIN_PASSWORD, words).await
    }

    /// The command line client, logged in as someone.
    pub async fn cli_as(&self, login: &str, password: &str, words: &[&str]) -> Finished {
        let mut client = bare(binary());
        client
            .args(words)
            .env("WHARFINGER_SERVER", format!("http://{}", self.host()))
            .env("WHARFINGER_USER", login)
            .env("WHARFINGER_PASSWORD", password);
        command::run(client).await
    }

    /// `wharfinger doctor` over this server's folder.
    pub async fn doctor(&self) -> Finished {
        let mut doctor = bare(binary());
        doctor.arg("doctor").arg("--data-dir").arg(self.data_dir());
        if let Some(content) = self
            .options
            .iter()
            .find(|it| it.starts_with("--content-dir="))
        {
            doctor.arg(content);
        }
        command::run(doctor).await
    }

    /// One more `wharfinger serve` on this server's folder and another port, which must end by itself.
    pub async fn serve_to_its_end(&self, options: &[&str]) -> Finished {
        let mut serve = bare(binary());
        serve
            .args(["serve", "--listen", &format!("127.0.0.1:{}", free_port())])
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(options);
        command::run(serve).await
    }

    /// Everything that the processes of this server have said so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn launch(&mut self) {
        let binary = binary();
        let mut words = self.through.iter().map(PathBuf::from).chain([binary]);
        let mut serve = bare(words.next().expect("at least the binary"));
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("a log in a folder of ours");
        serve
            .args(words)
            .args(["serve", "--listen", &self.host(), "--data-dir"])
            .arg(self.data_dir())
            .args(&self.options)
            .args(
                self.watched_port
                    .map(|_| format!("--metrics-listen={}", self.watched_host())),
            )
            .env("WHARFINGER_ADMIN_PASSWORD", ADMIN_PASSWORD)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .kill_on_drop(true);
        let process = serve
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} could not be started: {error}", serve.as_std()));
        self.process = Some(process);
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("server.log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is killed as soon as this returns.
        let pid = self.process.as_ref().and_then(Child::id);
        pid.into_iter().for_each(wall_clock::forget);
        if std::thread::panicking() {
            let log = self.log();
            let mut from = log.len().saturating_sub(LOG_SHOWN);
            while !log.is_char_boundary(from) {
                from += 1;
            }
            eprintln!("the end of the server's log:\n{}", &log[from..]);
        }
    }
}

/// The program as `tests/run` built it, or the one that `WHARFINGER_BIN` names.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("WHARFINGER_BIN").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/wharfinger"),
        PathBuf::from,
    );
    assert!(
        path.is_file(),
        "{} is missing; `tests/run` builds it, or set WHARFINGER_BIN",
        path.display()
    );
    path
}

/// A command that inherits nothing from the tests' environment but the search path.
pub fn bare(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for key in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(key) {
            command.env(key, value);
        }
    }
    command
}

/// A loopback port that nobody listens on.
pub fn free_port() -> u16 {
    let offset = u16::try_from(std::process::id() % 10_000).expect("below 10,000");
    loop {
        let step = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST_PORT + (offset + step) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
