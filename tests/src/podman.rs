//! podman with a store and a login file of its own.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tokio::process::Command;

use crate::command::{self, Finished};
use crate::{noise, server, tarball};

/// Where a podman keeps its logins, in its home.
const LOGINS: &str = "auth.json";

/// A podman that shares nothing with the machine's own, nor with that of another test.
pub struct Podman {
    home: TempDir,
    /// It trusts the certificate of a registry, and needs no word to do without TLS.
    trusts: bool,
}

impl Podman {
    /// A podman with an empty store, not logged in anywhere.
    pub fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        // A login file that is named must be there, also for who never logs in.
        fs::write(home.path().join(LOGINS), "{}").expect("a file of ours");
        Self {
            home,
            trusts: false,
        }
    }

    /// A podman that was told to trust a registry's certificate, as that registry prints it: in `certs.d` of its home.
    pub fn trusting(host: &str, certificate: &Path) -> Self {
        let podman = Self {
            trusts: true,
            ..Self::new()
        };
        let place = format!(".config/containers/certs.d/{host}");
        let folder = podman.home.path().join(place);
        fs::create_dir_all(&folder).expect("a folder of ours");
        fs::copy(certificate, folder.join("ca.crt")).expect("the certificate is there");
        podman
    }

    fn tls(&self) -> &'static str {
        if self.trusts {
            "--tls-verify=true"
        } else {
            "--tls-verify=false"
        }
    }

    /// `podman login` to a registry, without TLS unless it trusts that.
    pub async fn login(&self, host: &str, login: &str, password: &str) -> Finished {
        self.run(&[
            "login",
            self.tls(),
            "--username",
            login,
            "--password",
            password,
            host,
        ])
        .await
    }

    /// Makes an image of one layer with a file of noise in it, without any network; answers with its id.
    pub async fn make_image(&self, name: &str, seed: u64) -> String {
        let tar = self.home.path().join(format!("layer-{seed}.tar"));
        let cargo = noise::bytes(seed, 20_000);
        fs::write(
            &tar,
            tarball::of(&[("cargo", &cargo), ("README", b"made by a test\n")]),
        )
        .expect("a file of ours");
        let tar = tar.display().to_string();
        self.run(&["import", "--quiet", &tar, name])
            .await
            .expect_code(0);
        self.image_id(name).await
    }

    /// Gives an image another name.
    pub async fn tag(&self, image: &str, name: &str) {
        self.run(&["tag", image, name]).await.expect_code(0);
    }

    /// `podman push` to a registry, without TLS unless it trusts that.
    pub async fn push(&self, name: &str) -> Finished {
        self.run(&["push", self.tls(), name]).await
    }

    /// `podman pull` from a registry, without TLS unless it trusts that.
    pub async fn pull(&self, name: &str) -> Finished {
        self.run(&["pull", "--quiet", self.tls(), name]).await
    }

    /// Removes every image, so that a pull really pulls.
    pub async fn remove_all_images(&self) {
        self.run(&["rmi", "--all", "--force"]).await.expect_code(0);
    }

    /// The id of an image in the store.
    pub async fn image_id(&self, name: &str) -> String {
        let shown = self
            .run(&["image", "inspect", "--format", "{{.Id}}", name])
            .await;
        shown.expect_code(0).stdout.trim().to_owned()
    }

    async fn run(&self, words: &[&str]) -> Finished {
        let place = |name: &str| self.home.path().join(name);
        let mut podman: Command = server::bare("podman");
        podman
            .arg("--root")
            .arg(place("store"))
            .arg("--runroot")
            .arg(place("run"))
            .arg("--tmpdir")
            .arg(place("tmp"))
            .args([
                "--storage-driver",
                "vfs",
                "--cgroup-manager",
                "cgroupfs",
                "--events-backend",
                "none",
            ])
            .args(words)
            .env("REGISTRY_AUTH_FILE", place(LOGINS));
        if self.trusts {
            podman.env("HOME", self.home.path());
        }
        command::run(podman).await
    }
}

impl Default for Podman {
    fn default() -> Self {
        Self::new()
    }
}
