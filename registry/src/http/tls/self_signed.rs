//! The certificate of a first day: made by this server, kept in its data folder, trusted by whom it is given to.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};

use crate::config::Config;
use crate::data_dir::{DataDir, DataDirError};

/// Before the names in the first line of the file, which no reader of PEM takes for a certificate.
const NAMES: &str = "Names: ";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SelfSignedError {
    /// A name that no certificate can hold.
    #[error(
        "no certificate can be made for {names}; set public_url to a name or an address, or give tls_cert"
    )]
    Names { names: String, source: rcgen::Error },
    /// It cannot be kept.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
}

/// The files of a certificate for every name of this server, and of its key: those made before, if they are for these names.
pub(crate) fn files(
    config: &Config,
    data_dir: &DataDir,
) -> Result<(PathBuf, PathBuf), SelfSignedError> {
    let (cert, key) = data_dir.certificate_files();
    let names = names(config);
    let first_line = format!("{NAMES}{}\n", names.join(", "));
    let kept = std::fs::read_to_string(&cert).is_ok_and(|text| text.starts_with(&first_line));
    // A crash between the two leaves a certificate without its key; then both are made anew.
    if !kept || super::Certificates::open(&cert, &key).is_err() {
        let (certificate, private) = make(&names).map_err(|source| SelfSignedError::Names {
            names: names.join(", "),
            source,
        })?;
        data_dir.keep_certificate(&format!("{first_line}{certificate}"), &private)?;
        tracing::info!(
            "made a certificate for {} in {}: clients that trusted another one must be given this",
            names.join(", "),
            cert.display()
        );
    }
    Ok((cert, key))
}

/// The names that clients may call this server by, as far as it knows them.
fn names(config: &Config) -> Vec<String> {
    let authority = config.host().parse::<http::uri::Authority>().ok();
    let host = authority.as_ref().map_or("", |authority| authority.host());
    let machine = rustix::system::uname();
    let machine = machine.nodename().to_string_lossy();
    let names: BTreeSet<String> = ["localhost", "127.0.0.1", "::1", host, &machine]
        .into_iter()
        .map(|name| name.trim_matches(['[', ']']).to_ascii_lowercase())
        .filter(|name| !name.is_empty())
        .collect();
    names.into_iter().collect()
}

/// A certificate for these names and its key, both PEM.
///
/// It has no end: whoever trusts it trusts this very certificate, and an end would only stop pushes some day.
pub(super) fn make(names: &[String]) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "wharfinger, self-signed");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// The commands after which podman, skopeo and buildah on this machine trust the certificate.
pub(crate) fn how_to_trust(config: &Config, certificate: &std::path::Path) -> String {
    let folder = format!("~/.config/containers/certs.d/{}", config.host());
    format!(
        "mkdir -p {folder} && cp {} {folder}/ca.crt",
        certificate.display()
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::{Environment, Settings};

    fn config(flags: &[&str]) -> Config {
        Config::read(&Settings::from_flags(flags), &Environment::of(&[])).unwrap()
    }

    #[test]
    fn it_is_kept_over_a_restart_and_made_anew_for_another_name() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = DataDir::take(folder.path()).unwrap();
        let made = |flags: &[&str]| {
            let (cert, _) = files(&config(flags), &data_dir).unwrap();
            fs::read_to_string(cert).unwrap()
        };

        let first = made(&[]);
        let again = made(&[]);
        let other = made(&["--public-url", "https://hub.example:8443"]);

        assert_eq!(first, again);
        assert_ne!(first, other);
        assert!(other.starts_with("Names: "), "{other}");
        assert!(other.lines().next().unwrap().contains("hub.example"));
    }

    #[test]
    fn a_certificate_without_its_key_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = DataDir::take(folder.path()).unwrap();
        let (_, key) = files(&config(&[]), &data_dir).unwrap();
        fs::remove_file(&key).unwrap();

        files(&config(&[]), &data_dir).unwrap();

        assert!(key.is_file());
    }

    #[test]
    fn its_names_are_those_that_clients_use() {
        let names = names(&config(&["--listen", "[::1]:5000"]));

        for name in ["localhost", "127.0.0.1", "::1"] {
            assert!(names.iter().any(|known| known == name), "{names:?}");
        }
    }
}
