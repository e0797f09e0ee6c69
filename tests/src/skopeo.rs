//! skopeo between an OCI layout on disk and a registry, without TLS unless it trusts that.

use std::path::{Path, PathBuf};

use crate::command::{self, Finished};
use crate::server;

/// skopeo with the credentials of one user.
pub struct Skopeo {
    credentials: String,
    /// The folder with the authority to trust; without it there is no TLS.
    trusted: Option<PathBuf>,
}

impl Skopeo {
    /// skopeo as this user.
    pub fn with_login(login: &str, password: &str) -> Self {
        Self {
            credentials: format!("{login}:{password}"),
            trusted: None,
        }
    }

    /// The same over TLS, trusting the authorities in a folder.
    #[must_use]
    pub fn trusting(self, folder: &Path) -> Self {
        Self {
            trusted: Some(folder.to_owned()),
            ..self
        }
    }

    /// `skopeo copy` of a layout to a name in a registry, byte for byte.
    pub async fn push(&self, layout: &Path, name: &str) -> Finished {
        let from = format!("oci:{}", layout.display());
        self.copy(&["--preserve-digests"], &from, &format!("docker://{name}"))
            .await
    }

    /// `skopeo copy --all` of a layout to a name in a registry: an index with all it lists.
    pub async fn push_all(&self, layout: &Path, name: &str) -> Finished {
        let from = format!("oci:{}", layout.display());
        self.copy(
            &["--all", "--preserve-digests"],
            &from,
            &format!("docker://{name}"),
        )
        .await
    }

    /// `skopeo copy --all` of a name in a registry into a layout.
    pub async fn pull_all(&self, name: &str, layout: &Path) -> Finished {
        let to = format!("oci:{}", layout.display());
        self.copy(
            &["--all", "--preserve-digests"],
            &format!("docker://{name}"),
            &to,
        )
        .await
    }

    /// `skopeo copy --all` from one name in a registry to another.
    pub async fn copy_all(&self, from: &str, to: &str) -> Finished {
        let (from, to) = (format!("docker://{from}"), format!("docker://{to}"));
        self.copy(&["--all", "--preserve-digests"], &from, &to)
            .await
    }

    /// `skopeo list-tags` of a name's repository.
    pub async fn list_tags(&self, repository: &str) -> Finished {
        self.look("list-tags", repository).await
    }

    /// `skopeo inspect` of a name in a registry.
    pub async fn inspect(&self, name: &str) -> Finished {
        self.look("inspect", name).await
    }

    /// `skopeo delete` of a name in a registry.
    pub async fn delete(&self, name: &str) -> Finished {
        self.look("delete", name).await
    }

    /// The option about TLS for one side of a copy.
    fn tls(&self, side: &str) -> String {
        match &self.trusted {
            Some(folder) => format!("--{side}cert-dir={}", folder.display()),
            None => format!("--{side}tls-verify=false"),
        }
    }

    async fn look(&self, word: &str, name: &str) -> Finished {
        let mut skopeo = server::bare("skopeo");
        skopeo
            .args([word, &self.tls("")])
            .arg(format!("--creds={}", self.credentials))
            .arg(format!("docker://{name}"));
        command::run(skopeo).await
    }

    async fn copy(&self, options: &[&str], from: &str, to: &str) -> Finished {
        let mut skopeo = server::bare("skopeo");
        skopeo.arg("copy").args(options);
        for (side, place) in [("src", from), ("dest", to)] {
            if place.starts_with("docker:") {
                skopeo.arg(self.tls(&format!("{side}-")));
                skopeo.arg(format!("--{side}-creds={}", self.credentials));
            }
        }
        skopeo.args([from, to]);
        command::run(skopeo).await
    }
}
