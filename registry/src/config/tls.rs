//! Whether this server speaks TLS, and with which certificate.

use std::path::PathBuf;

use super::ConfigError;
use super::effective::Effective;
use super::value;

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    /// Nowhere: plain HTTP.
    Off,
    /// Made by this server, and kept in its data folder.
    SelfSigned,
    /// These files, both PEM.
    Files { cert: PathBuf, key: PathBuf },
}

impl Tls {
    pub(super) fn of(effective: &Effective) -> Result<Self, ConfigError> {
        let self_signed = effective.get("tls", |text| match text {
            "off" => Ok(false),
            "self-signed" => Ok(true),
            _ => Err("is neither off nor self-signed".to_owned()),
        })?;
        let cert = effective.get_unless_empty("tls_cert", value::path)?;
        let key = effective.get_unless_empty("tls_key", value::path)?;
        let refuse = |name, wrong: &str| effective.get(name, |_| Err(wrong.to_owned()));
        match (cert, key) {
            (None, None) if self_signed => Ok(Self::SelfSigned),
            (None, None) => Ok(Self::Off),
            (Some(_), Some(_)) if self_signed => refuse("tls", "contradicts tls_cert and tls_key"),
            (Some(cert), Some(key)) => Ok(Self::Files { cert, key }),
            (Some(_), None) => refuse("tls_cert", "is of no use without tls_key"),
            (None, Some(_)) => refuse("tls_key", "is of no use without tls_cert"),
        }
    }

    /// True if clients must speak TLS.
    pub(crate) fn is_on(&self) -> bool {
        *self != Self::Off
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Environment, Settings};
    use super::*;

    fn tls(flags: &[&str]) -> Result<Tls, String> {
        let config = Config::read(&Settings::from_flags(flags), &Environment::of(&[]));
        config
            .map(|config| config.tls)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_certificate_with_its_key_switches_tls_on() {
        let files = tls(&["--tls-cert", "a.crt", "--tls-key", "a.key"]);

        let (cert, key) = ("a.crt".into(), "a.key".into());
        assert_eq!(files, Ok(Tls::Files { cert, key }));
        assert_eq!(tls(&["--tls", "self-signed"]), Ok(Tls::SelfSigned));
        assert_eq!(tls(&[]), Ok(Tls::Off));
    }

    #[test]
    fn half_of_a_pair_and_a_contradiction_are_refused() {
        assert_eq!(
            tls(&["--tls-cert", "a.crt"]).unwrap_err(),
            "tls_cert = \"a.crt\" (from --tls-cert) is of no use without tls_key; \
             write for example \"/etc/wharfinger/tls.crt\""
        );
        assert!(tls(&["--tls-key", "a.key"]).is_err());
        let both = [
            "--tls",
            "self-signed",
            "--tls-cert",
            "a.crt",
            "--tls-key",
            "a.key",
        ];
        assert!(tls(&both).unwrap_err().contains("contradicts"));
        assert!(tls(&["--tls", "maybe"]).is_err());
    }
}
