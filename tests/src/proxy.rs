//! A real reverse proxy in front of a server, with the very configuration that `docs/operate/proxies` shows.
//!
//! Around that file stands what a distribution would bring, with one difference: where a proxy has time-outs of
//! its own for bodies and answers, they are [`DEFAULT_TIMEOUT`], so that a test sees soon whether the file sets others.

mod apache;
mod caddy;
mod haproxy;
mod nginx;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Child;

use crate::authority::Authority;
use crate::oci_client::{self, OciClient};
use crate::rest::Rest;
use crate::server::{ADMIN, ADMIN_PASSWORD};
use crate::wait::{self, SOON};

/// How long every proxy waits for bytes where its documented configuration does not say otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

/// Where in the proxy's folder clients find whom to trust.
const TRUSTED: &str = "trusted";

/// The programs that stand in front of a registry.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `nginx`.
    Nginx,
    /// `apache2`.
    Apache,
    /// `haproxy`.
    Haproxy,
    /// `caddy`.
    Caddy,
}

/// A proxy that ends TLS on loopback. Dropping it ends it and removes its folder.
pub struct Proxy {
    home: TempDir,
    port: u16,
    authority: Authority,
    process: Child,
}

/// What a proxy's configuration is made from.
struct Site<'a> {
    home: &'a Path,
    port: u16,
    /// The server behind, as `host:port`.
    behind: &'a str,
}

impl Site<'_> {
    /// The path of a file in the proxy's folder, as text.
    fn place(&self, name: &str) -> String {
        self.home.join(name).display().to_string()
    }

    /// Where the proxy listens, as `host:port`.
    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Writes the documented configuration into the folder, with these texts replaced; answers with its path.
    /// Each of them must be there, so that the documented file cannot change unnoticed.
    fn write_documented(&self, name: &str, replaced: &[(&str, &str)]) -> String {
        let documented = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../docs/operate/proxies")
            .join(name);
        let mut text = fs::read_to_string(&documented)
            .unwrap_or_else(|error| panic!("{}: {error}", documented.display()));
        for (documented, here) in [("127.0.0.1:5000", self.behind)].iter().chain(replaced) {
            assert!(text.contains(documented), "{name} has no `{documented}`");
            text = text.replace(documented, here);
        }
        self.write(name, &text)
    }

    /// Writes a file into the folder; answers with its path.
    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.home.join(name), text).expect("a file of ours");
        self.place(name)
    }
}

impl Proxy {
    /// A proxy on this port in front of the server that listens on `behind`.
    ///
    /// The port is chosen before, because the server behind must know its public address before.
    pub async fn start(kind: Kind, port: u16, behind: &str) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let authority = Authority::new();
        authority.renew_in(home.path());
        open_to_all(home.path()).expect("a folder of ours");
        fs::create_dir(home.path().join(TRUSTED)).expect("a folder of ours");
        fs::write(home.path().join(TRUSTED).join("ca.crt"), authority.pem())
            .expect("a file of ours");
        let site = Site {
            home: home.path(),
            port,
            behind,
        };
        let mut command = match kind {
            Kind::Nginx => nginx::command(&site),
            Kind::Apache => apache::command(&site),
            Kind::Haproxy => haproxy::command(&site),
            Kind::Caddy => caddy::command(&site),
        };
        let log = fs::File::create(home.path().join("proxy.log")).expect("a file of ours");
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .env("TMPDIR", home.path().join("tmp"))
            .process_group(0)
            .kill_on_drop(true);
        let process = command.spawn().unwrap_or_else(|error| {
            let program = command.as_std().get_program().display();
            panic!("{program} could not be started: {error}; `tests/run` installs it")
        });
        let mut proxy = Self {
            home,
            port,
            authority,
            process,
        };
        proxy.listens().await;
        proxy
    }

    async fn listens(&mut self) {
        wait::until("the proxy listens", SOON, async || {
            let ended = self.process.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "the proxy ended: {}", self.log());
            TcpStream::connect(("127.0.0.1", self.port)).await.ok()
        })
        .await;
    }

    /// Where clients find the registry, as `host:port`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The folder that holds, as `ca.crt`, the authority that clients must trust.
    pub fn trusted_dir(&self) -> PathBuf {
        self.home.path().join(TRUSTED)
    }

    /// That authority, as PEM.
    pub fn trusted_pem(&self) -> String {
        self.authority.pem()
    }

    /// An OCI client that comes through the proxy as the administrator.
    pub fn oci(&self) -> OciClient {
        OciClient::with_login(&self.host(), ADMIN, ADMIN_PASSWORD).over_tls(&[&self.trusted_pem()])
    }

    /// The same over HTTP/1.1, as podman speaks it; the others prefer HTTP/2.
    pub fn oci_over_http_1(&self) -> OciClient {
        let trusted = oci_client::certificates(&[&self.trusted_pem()]);
        let http = oci_client::http_builder().tls_certs_only(trusted);
        self.oci().with_http(http.http1_only())
    }

    /// A REST client that comes through the proxy as the administrator.
    pub fn rest(&self) -> Rest {
        Rest::with_login(&self.host(), ADMIN, ADMIN_PASSWORD).over_tls(&[&self.trusted_pem()])
    }

    /// How many bytes the proxy's processes have in open files of its folder, removed ones too, but its logs.
    pub fn bytes_on_disk(&self) -> u64 {
        let files = self.processes().into_iter().flat_map(|process| {
            let open = fs::read_dir(process.join("fd")).into_iter().flatten();
            open.flatten().map(|file| file.path())
        });
        files
            .filter(|file| {
                let target = fs::read_link(file).unwrap_or_default();
                let target = target.to_string_lossy();
                target.starts_with(&*self.home.path().to_string_lossy())
                    && !target.ends_with(".log")
            })
            .filter_map(|file| fs::metadata(file).ok())
            .map(|file| file.len())
            .sum()
    }

    /// The folders of the processes of the proxy's group.
    fn processes(&self) -> Vec<PathBuf> {
        let group = self.process.id().expect("the proxy runs").to_string();
        let all = fs::read_dir("/proc").expect("Linux shows every process there");
        all.flatten()
            .map(|process| process.path())
            .filter(|process| {
                let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
                // After the name in parentheses: state, parent, group.
                let after_name = stat.rsplit(')').next().unwrap_or_default();
                after_name.split_whitespace().nth(2) == Some(&group)
            })
            .collect()
    }

    /// What the proxy has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("proxy.log")).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the proxy's log:\n{}", self.log());
        }
        // Its workers too, which would stay when only the first process ends.
        if let Some(group) = self.process.id() {
            let _ = std::process::Command::new("kill")
                .args(["-KILL", "--", &format!("-{group}")])
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// Lets workers that run as nobody in particular use the folder, and a folder for temporary files in it.
fn open_to_all(home: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let tmp = home.join("tmp");
    fs::create_dir(&tmp)?;
    for (folder, mode) in [(home, 0o755), (&tmp, 0o777)] {
        fs::set_permissions(folder, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}
