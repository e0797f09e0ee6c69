//! buildah with a store and a login file of its own.

use std::fs;

use tempfile::TempDir;

use crate::command::{self, Finished};
use crate::{noise, server};

/// A buildah that shares nothing with the machine's own, nor with that of another test.
pub struct Buildah {
    home: TempDir,
}

impl Buildah {
    /// A buildah with an empty store, not logged in anywhere.
    pub fn new() -> Self {
        Self {
            home: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    /// `buildah login` to a registry without TLS.
    pub async fn login(&self, host: &str, login: &str, password: &str) -> Finished {
        let user = ["--username", login, "--password", password];
        let words = [&["login", "--tls-verify=false"], &user[..], &[host]].concat();
        self.run(&words).await
    }

    /// Builds an image from nothing, with a file of noise in it, and commits it under a name.
    pub async fn build(&self, name: &str, seed: u64) {
        let cargo = self.home.path().join(format!("cargo-{seed}"));
        fs::write(&cargo, noise::bytes(seed, 20_000)).expect("a file of ours");
        let cargo = cargo.display().to_string();
        let begun = self.run(&["from", "scratch"]).await.expect_code(0);
        let container = begun.stdout.trim();
        for words in [
            &["copy", "--quiet", container, &cargo, "/cargo"][..],
            &["config", "--label", "made.by=buildah", container],
            &["commit", "--quiet", container, name],
        ] {
            self.run(words).await.expect_code(0);
        }
    }

    /// Makes a list of images, for `push_list`.
    pub async fn make_list(&self, list: &str, images: &[&str]) {
        self.run(&["manifest", "create", list]).await.expect_code(0);
        for image in images {
            let image = format!("containers-storage:{image}");
            self.run(&["manifest", "add", list, &image])
                .await
                .expect_code(0);
        }
    }

    /// `buildah push` of an image to a registry without TLS.
    pub async fn push(&self, name: &str) -> Finished {
        self.run(&["push", "--quiet", "--tls-verify=false", name])
            .await
    }

    /// `buildah manifest push --all`: a list and every image in it.
    pub async fn push_list(&self, list: &str, name: &str) -> Finished {
        let to = format!("docker://{name}");
        let push = ["manifest", "push", "--all", "--tls-verify=false", list, &to];
        self.run(&push).await
    }

    /// `buildah pull` from a registry without TLS.
    pub async fn pull(&self, name: &str) -> Finished {
        self.run(&["pull", "--quiet", "--tls-verify=false", name])
            .await
    }

    async fn run(&self, words: &[&str]) -> Finished {
        let place = |name: &str| self.home.path().join(name);
        let mut buildah = server::bare("buildah");
        buildah
            .arg("--root")
            .arg(place("store"))
            .arg("--runroot")
            .arg(place("run"))
            .args(["--storage-driver", "vfs"])
            .args(words)
            .env("REGISTRY_AUTH_FILE", place("auth.json"))
            .env("BUILDAH_ISOLATION", "chroot");
        command::run(buildah).await
    }
}

impl Default for Buildah {
    fn default() -> Self {
        Self::new()
    }
}
