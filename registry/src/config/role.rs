//! What `serve` is: a main server, or the smart proxy of one.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::{Certificate, Url};
use secrecy::SecretString;

use super::effective::Effective;
use super::value::{self, PublicUrl};
use super::{ConfigError, ContentBackend};

/// What this process is.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// It serves its own.
    Main,
    /// It holds what another server publishes.
    Proxy(Proxy),
}

/// How a smart proxy knows its main server.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    /// Where that is.
    pub(crate) upstream: PublicUrl,
    /// The file of the secret that both show each other.
    secret_file: PathBuf,
    /// Authorities that its certificate may be of, besides the usual ones.
    ca_file: Option<PathBuf>,
}

/// A file of the configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{key} = {path:?} {wrong}; write for example {example:?}")]
pub(crate) struct ProxySettingError {
    key: &'static str,
    path: PathBuf,
    wrong: String,
    example: &'static str,
}

const SECRET_FILE: &str = "mirror_secret_file";
const CA_FILE: &str = "upstream_ca_file";

impl Role {
    pub(super) fn of(effective: &Effective, content: &ContentBackend) -> Result<Self, ConfigError> {
        let is_proxy = effective.get("role", |text| match text {
            "main" => Ok(false),
            "proxy" => Ok(true),
            _ => Err("is neither main nor proxy".to_owned()),
        })?;
        let upstream = effective.get_unless_empty("upstream", PublicUrl::parse)?;
        let secret_file = effective.get_unless_empty(SECRET_FILE, value::path)?;
        let ca_file = effective.get_unless_empty(CA_FILE, value::path)?;
        let refuse = |name, wrong: &str| effective.get(name, |_| Err(wrong.to_owned()));
        match (is_proxy, upstream, secret_file) {
            (false, None, None) => Ok(Self::Main),
            (false, Some(_), _) => refuse("upstream", "is of no use without role = \"proxy\""),
            (false, None, Some(_)) => refuse(SECRET_FILE, "is of no use without role = \"proxy\""),
            (true, None, _) => refuse("upstream", "is missing: a proxy has a main server"),
            (true, Some(_), None) => refuse(
                SECRET_FILE,
                "is missing: a proxy and its main server show each other a secret",
            ),
            (true, Some(_), Some(_)) if matches!(content, ContentBackend::Pulp(_)) => refuse(
                "role",
                "keeps its content itself; leave content.backend out",
            ),
            (true, Some(upstream), Some(secret_file)) => Ok(Self::Proxy(Proxy {
                upstream,
                secret_file,
                ca_file,
            })),
        }
    }
}

impl Proxy {
    /// The URL of the main server.
    pub(crate) fn url(&self) -> Url {
        Url::parse(&self.upstream.to_string()).expect("it was read as a URL")
    }

    /// The secret, without the line's end.
    pub(crate) fn secret(&self) -> Result<SecretString, ProxySettingError> {
        let wrong = |wrong: String| ProxySettingError {
            key: SECRET_FILE,
            path: self.secret_file.clone(),
            wrong,
            example: "/etc/wharfinger/mirror-secret",
        };
        let text = read(&self.secret_file).map_err(&wrong)?;
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() || secret.chars().any(|c| c.is_control() || !c.is_ascii()) {
            return Err(wrong("holds no secret: one line of ASCII".to_owned()));
        }
        Ok(secret.into())
    }

    /// The authorities besides the usual ones.
    pub(crate) fn authorities(&self) -> Result<Vec<Certificate>, ProxySettingError> {
        let Some(path) = &self.ca_file else {
            return Ok(Vec::new());
        };
        let wrong = |wrong: String| ProxySettingError {
            key: CA_FILE,
            path: path.clone(),
            wrong,
            example: "/etc/wharfinger/main-ca.crt",
        };
        let pem = read(path).map_err(&wrong)?;
        Certificate::from_pem_bundle(pem.as_bytes())
            .map_err(|error| wrong(format!("is no PEM of certificates: {error}")))
    }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment, Settings};

    fn read(flags: &[&str]) -> Result<Role, String> {
        let config = Config::read(&Settings::from_flags(flags), &Environment::of(&[]));
        config
            .map(|config| config.role)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_proxy_needs_its_main_server_and_their_secret() {
        let proxy = ["--role", "proxy"];
        let upstream = ["--upstream", "https://hub.example"];
        let secret = ["--mirror-secret-file", "/etc/secret"];

        assert!(matches!(read(&[]), Ok(Role::Main)));
        assert!(read(&proxy).unwrap_err().contains("upstream"));
        assert!(
            read(&[proxy, upstream].concat())
                .unwrap_err()
                .contains("mirror_secret_file")
        );
        assert!(read(&upstream).unwrap_err().contains("role = \"proxy\""));
        let Ok(Role::Proxy(read)) = read(&[proxy, upstream, secret].concat()) else {
            panic!("it is a proxy");
        };
        assert_eq!(read.url().as_str(), "https://hub.example/");
    }

    #[test]
    fn a_secret_is_the_one_line_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let secret = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let proxy = Proxy {
                upstream: PublicUrl::parse("http://hub.example").unwrap(),
                secret_file: path.clone(),
                ca_file: None,
            };
            proxy.secret().map(|secret| {
                use secrecy::ExposeSecret as _;
                secret.expose_secret().to_owned()
            })
        };

        assert_eq!(secret("sesame\n").unwrap(), "sesame");
        for wrong in ["", "\n", "two\nlines\n", "sésame"] {
            assert!(secret(wrong).is_err(), "{wrong:?}");
        }
    }
}
