//! Where the content is kept: beside the catalog, or in a Pulp 3.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use engine::clock::Clock;
use secrecy::SecretString;
use storage::content::pulp::{Login, PulpOptions};

use super::ConfigError;
use super::effective::Effective;
use super::value::{self, PublicUrl};

/// Where the content is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContentBackend {
    /// In the content folder.
    Embedded,
    /// In a Pulp.
    Pulp(Box<Pulp>),
}

/// A Pulp, as the settings name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pulp {
    url: PublicUrl,
    content_url: Option<PublicUrl>,
    domain: Option<String>,
    prefix: String,
    credentials: Credentials,
    ca_file: Option<PathBuf>,
    spool_bytes: u64,
    /// Clients get blobs there, not through us.
    pub(crate) redirects: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Credentials {
    Password { username: String, file: PathBuf },
    Certificate { cert: PathBuf, key: PathBuf },
}

/// Why what the settings name cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PulpSettingError {
    #[error("{key} = \"{}\" cannot be read; it must be a file that this user may read", path.display())]
    Unreadable {
        key: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{key} = \"{url}\" is no URL that can be asked")]
    Url { key: &'static str, url: String },
}

impl ContentBackend {
    pub(super) fn of(effective: &Effective) -> Result<Self, ConfigError> {
        let in_pulp = effective.get("content.backend", |text| match text {
            "embedded" => Ok(false),
            "pulp" => Ok(true),
            _ => Err("is neither embedded nor pulp".to_owned()),
        })?;
        let url = effective.get_unless_empty("content.url", PublicUrl::parse)?;
        let refuse = |name, wrong: &str| effective.get(name, |_| Err(wrong.to_owned()));
        match (in_pulp, url) {
            (false, None) => Ok(Self::Embedded),
            (false, Some(_)) => refuse(
                "content.url",
                "is of no use without content.backend = \"pulp\"",
            ),
            (true, None) => refuse("content.url", "is missing: the backend is a Pulp"),
            (true, Some(url)) => Ok(Self::Pulp(Box::new(Pulp::of(effective, url)?))),
        }
    }
}

impl Pulp {
    fn of(effective: &Effective, url: PublicUrl) -> Result<Self, ConfigError> {
        let text = |text: &str| Ok(text.to_owned());
        let word = |text: &str| {
            if !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            {
                Ok(text.to_owned())
            } else {
                Err("is no name of a domain: letters, digits, - and _".to_owned())
            }
        };
        let username = effective.get_unless_empty("content.username", text)?;
        let password = effective.get_unless_empty("content.password_file", value::path)?;
        let cert = effective.get_unless_empty("content.client_cert", value::path)?;
        let key = effective.get_unless_empty("content.client_key", value::path)?;
        let refuse = |name, wrong: &str| effective.get(name, |_| Err(wrong.to_owned()));
        let credentials = match (username, password, cert, key) {
            (Some(username), Some(file), None, None) => Credentials::Password { username, file },
            (None, None, Some(cert), Some(key)) => Credentials::Certificate { cert, key },
            (Some(_), None, None, None) => refuse(
                "content.password_file",
                "is missing: content.username has a password",
            )?,
            (None, None, Some(_), None) => refuse(
                "content.client_key",
                "is missing: content.client_cert has a key",
            )?,
            (None, None, None, None) => refuse(
                "content.username",
                "is missing: Pulp lets nobody in without content.username and content.password_file, or content.client_cert and content.client_key",
            )?,
            _ => refuse(
                "content.username",
                "goes with content.password_file alone; content.client_cert and content.client_key stand for both",
            )?,
        };
        Ok(Self {
            url,
            content_url: effective.get_unless_empty("content.content_url", PublicUrl::parse)?,
            domain: effective.get_unless_empty("content.domain", word)?,
            prefix: effective.get("content.prefix", |text| {
                let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
                let ends = text.bytes().next().is_some_and(fits)
                    && text.bytes().next_back().is_some_and(fits);
                if ends && text.bytes().all(|byte| fits(byte) || byte == b'-') {
                    Ok(text.to_owned())
                } else {
                    Err("is no beginning of a path: a-z, 0-9, and - between them".to_owned())
                }
            })?,
            credentials,
            ca_file: effective.get_unless_empty("content.ca_file", value::path)?,
            spool_bytes: effective
                .get("content.spool_bytes", |text| Ok(value::size(text)? as u64))?,
            redirects: effective.get("content.blobs", |text| match text {
                "stream" => Ok(false),
                "redirect" => Ok(true),
                _ => Err("is neither stream nor redirect".to_owned()),
            })?,
        })
    }

    /// With the files that the settings name, read.
    pub(crate) fn options(&self, clock: Clock) -> Result<PulpOptions, PulpSettingError> {
        let url = |key, url: &PublicUrl| {
            let url = url.to_string();
            url.parse().map_err(|_| PulpSettingError::Url { key, url })
        };
        let login = match &self.credentials {
            Credentials::Password { username, file } => {
                let password = read("content.password_file", file)?;
                let password = password.trim_end_matches(['\r', '\n']);
                Login::Password {
                    username: username.clone(),
                    password: SecretString::from(password),
                }
            }
            Credentials::Certificate { cert, key } => {
                let cert = read("content.client_cert", cert)?;
                let key = read("content.client_key", key)?;
                Login::Certificate {
                    pem: SecretString::from(format!("{cert}\n{key}")),
                }
            }
        };
        let authorities = match &self.ca_file {
            Some(file) => read("content.ca_file", file)?.into_bytes(),
            None => Vec::new(),
        };
        let content_url = self.content_url.as_ref();
        Ok(PulpOptions {
            url: url("content.url", &self.url)?,
            content_url: content_url
                .map(|it| url("content.content_url", it))
                .transpose()?,
            domain: self.domain.clone(),
            prefix: self.prefix.clone(),
            login,
            authorities,
            spool_bytes: self.spool_bytes,
            clock,
        })
    }
}

fn read(key: &'static str, path: &Path) -> Result<String, PulpSettingError> {
    fs::read_to_string(path).map_err(|source| PulpSettingError::Unreadable {
        key,
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Environment, Settings};
    use super::*;

    fn backend(flags: &[&str]) -> Result<ContentBackend, String> {
        let config = Config::read(&Settings::from_flags(flags), &Environment::of(&[]));
        config
            .map(|config| config.content)
            .map_err(|error| error.to_string())
    }

    const PULP: [&str; 4] = [
        "--content-backend",
        "pulp",
        "--content-url",
        "http://127.0.0.1:24810",
    ];

    fn pulp(more: &[&str]) -> Result<ContentBackend, String> {
        backend(&[&PULP, more].concat())
    }

    #[test]
    fn a_pulp_has_a_url_and_one_way_in() {
        assert_eq!(backend(&[]), Ok(ContentBackend::Embedded));

        let password = pulp(&[
            "--content-username",
            "wharfinger",
            "--content-password-file",
            "p",
        ]);
        assert!(
            matches!(&password, Ok(ContentBackend::Pulp(pulp)) if !pulp.redirects),
            "{password:?}"
        );
        let certificate = pulp(&["--content-client-cert", "c", "--content-client-key", "k"]);
        assert!(certificate.is_ok(), "{certificate:?}");
    }

    #[test]
    fn what_is_missing_or_contradicts_is_named() {
        let refused = |more: &[&str]| pulp(more).unwrap_err();
        assert!(refused(&[]).starts_with("content.username = \"\" (from default) is missing"));
        let alone = refused(&["--content-username", "wharfinger"]);
        assert!(alone.starts_with("content.password_file = \"\""), "{alone}");
        let both = refused(&[
            "--content-username",
            "wharfinger",
            "--content-password-file",
            "p",
            "--content-client-cert",
            "c",
        ]);
        assert!(both.contains("stand for both"), "{both}");
        let no_url = backend(&["--content-backend", "pulp"]).unwrap_err();
        assert!(no_url.starts_with("content.url = \"\""), "{no_url}");
        let no_pulp = backend(&PULP[2..]).unwrap_err();
        assert!(
            no_pulp.contains("of no use without content.backend"),
            "{no_pulp}"
        );
        assert!(backend(&["--content-backend", "s3"]).is_err());
    }

    #[test]
    fn a_password_is_read_without_its_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        fs::write(&file, "secret \n").unwrap();
        let flags = [
            "--content-username",
            "wharfinger",
            "--content-password-file",
            file.to_str().unwrap(),
        ];
        let Ok(ContentBackend::Pulp(pulp)) = pulp(&flags) else {
            panic!("these settings are right");
        };

        let options = pulp.options(Clock::system()).unwrap();
        fs::remove_file(file).unwrap();
        let missing = pulp.options(Clock::system()).unwrap_err();

        let Login::Password { password, .. } = options.login else {
            panic!("it is a password");
        };
        assert_eq!(secrecy::ExposeSecret::expose_secret(&password), "secret ");
        assert!(missing.to_string().contains("content.password_file"));
    }
}
