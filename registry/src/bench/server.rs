//! The server that is measured: this very program as a process of its own, so that its time and memory are its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::BenchError;

/// A start that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Clock ticks per second of `/proc/<pid>/stat`: the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// The password of its administrator.
pub(super) const PASSWORD: &str = "of a benchmark that lives for a minute";

/// A running server.
pub(super) struct Server {
    child: Child,
    data_dir: PathBuf,
    options: Vec<String>,
    address: String,
    /// From its start until it was ready.
    pub(super) ready_after: Duration,
}

impl Server {
    /// Starts it on this folder.
    pub(super) async fn start(data_dir: &Path, http: &reqwest::Client) -> Result<Self, BenchError> {
        Self::start_with(data_dir, Vec::new(), http).await
    }

    /// The same, with further options.
    pub(super) async fn start_with(
        data_dir: &Path,
        options: Vec<String>,
        http: &reqwest::Client,
    ) -> Result<Self, BenchError> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let address = format!("http://127.0.0.1:{port}");
        let started = Instant::now();
        let child = Command::new(std::env::current_exe()?)
            .args([
                "serve",
                "--listen",
                &format!("127.0.0.1:{port}"),
                "--data-dir",
            ])
            .arg(data_dir)
            .args(["--log-level", "error", "--allow-drills"])
            .args(&options)
            .env("WHARFINGER_ADMIN_PASSWORD", PASSWORD)
            .stdout(Stdio::null())
            .spawn()?;
        let mut server = Self {
            child,
            data_dir: data_dir.to_owned(),
            options,
            address,
            ready_after: Duration::ZERO,
        };
        while started.elapsed() < PATIENCE {
            let ready = http.get(format!("{}/readyz", server.address)).send().await;
            if ready.is_ok_and(|answer| answer.status().is_success()) {
                server.ready_after = started.elapsed();
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                return Err(BenchError::Server(format!(
                    "ended with {status} before it was ready"
                )));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Err(BenchError::Server(format!(
            "was not ready within {} s",
            PATIENCE.as_secs()
        )))
    }

    /// Where it listens.
    pub(super) fn url(&self) -> &str {
        &self.address
    }

    /// Kills it and starts it again on the same folder.
    pub(super) async fn kill_and_start(
        mut self,
        http: &reqwest::Client,
    ) -> Result<Self, BenchError> {
        self.child.kill()?;
        self.child.wait()?;
        let (data_dir, options) = (self.data_dir.clone(), std::mem::take(&mut self.options));
        Self::start_with(&data_dir, options, http).await
    }

    /// The processor time it has used, in seconds.
    pub(super) fn cpu_seconds(&self) -> Result<f64, BenchError> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name, in parentheses, may hold anything; what follows is numbers. Fields 14 and 15 are user and system time.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks = |at: usize| {
            fields
                .get(at)
                .and_then(|text| text.parse::<f64>().ok())
                .unwrap_or(0.0)
        };
        Ok((ticks(11) + ticks(12)) / TICKS_PER_SECOND)
    }

    /// A line of `/proc/<pid>/status` in MiB: `VmRSS` now, `VmHWM` at most so far.
    pub(super) fn memory_mib(&self, line: &str) -> Result<f64, BenchError> {
        memory_mib_of(&self.child.id().to_string(), line)
    }
}

/// The same line of any process.
pub(super) fn memory_mib_of(process: &str, line: &str) -> Result<f64, BenchError> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let found = status
        .lines()
        .find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    let kib = found.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0)
        .ok_or_else(|| BenchError::Server(format!("has no {line}")))
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}
