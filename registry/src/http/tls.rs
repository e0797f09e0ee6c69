//! TLS: the certificate that clients are shown, read again when it changes.

pub(crate) mod self_signed;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::opening::Version;
use crate::config::{Config, Tls};
use crate::data_dir::DataDir;
use self_signed::SelfSignedError;

/// How often the files are looked at: whoever renews a certificate does so days before the old one ends.
const LOOK_EVERY: Duration = Duration::from_secs(10);

const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

/// Why a certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// One of the files is not there, or not for us.
    #[error("{} cannot be read; the user that wharfinger runs as must be able to", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// The file of the certificate holds none.
    #[error(
        "{} holds no certificate; it must begin with a block of PEM, -----BEGIN CERTIFICATE-----", path.display()
    )]
    NoCertificate { path: PathBuf },
    /// The file of the key holds none.
    #[error(
        "{} holds no private key that can be read; it must hold one block of PEM, -----BEGIN PRIVATE KEY-----, \
         without a passphrase", path.display()
    )]
    NoKey { path: PathBuf, source: pem::Error },
    /// Certificate and key are not a pair, or of a kind that is not known.
    #[error(
        "the certificate in {} and the key in {} cannot be used together: {source}", cert.display(), key.display()
    )]
    NotAPair {
        cert: PathBuf,
        key: PathBuf,
        source: rustls::Error,
    },
    /// The library has no cipher for a version of TLS.
    #[error("TLS cannot be spoken")]
    Protocol(#[source] rustls::Error),
    /// This server's own certificate cannot be made.
    #[error(transparent)]
    SelfSigned(#[from] SelfSignedError),
}

/// The certificate of a listener, and where it comes from.
pub(crate) struct Certificates {
    cert: PathBuf,
    key: PathBuf,
    acceptor: TlsAcceptor,
    shown: Arc<Shown>,
    /// What the files held when they were opened.
    opened: Texts,
}

/// What new connections are shown; those that are open keep what they were shown.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&shown))
    }
}

/// The text of both files.
#[derive(Clone, PartialEq, Eq)]
struct Texts {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Certificates {
    /// The certificate that the configuration wants; none: plain HTTP.
    pub(crate) fn of(config: &Config, data_dir: &DataDir) -> Result<Option<Arc<Self>>, TlsError> {
        let (cert, key) = match &config.tls {
            Tls::Off => return Ok(None),
            Tls::SelfSigned => self_signed::files(config, data_dir)?,
            Tls::Files { cert, key } => (cert.clone(), key.clone()),
        };
        Self::open(&cert, &key).map(|opened| Some(Arc::new(opened)))
    }

    /// The certificate in these files, to be shown to clients of HTTP/1.1 and HTTP/2.
    pub(crate) fn open(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let opened = read(cert, key)?;
        let certified = certified(cert, key, &opened)?;
        let shown = Arc::new(Shown(RwLock::new(Arc::new(certified))));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Protocol)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
        Ok(Self {
            cert: cert.to_owned(),
            key: key.to_owned(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
            shown,
            opened,
        })
    }

    /// The TLS stream on this one, after its handshake.
    pub(super) async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.acceptor.accept(stream).await
    }

    /// Shows what the files hold, whenever that changes or `hangup` comes, until `stop`.
    ///
    /// Files that are no pair are not shown: the one before stays until they are, as while both are being written.
    pub(crate) async fn keep_current(&self, mut hangup: Signal, stop: CancellationToken) {
        let mut seen = Some(self.opened.clone());
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                Some(()) = hangup.recv() => true,
                _ = looks.tick() => false,
            };
            let texts = read(&self.cert, &self.key).ok();
            if asked || texts != seen {
                seen = texts;
                self.show_again();
            }
        }
    }

    fn show_again(&self) {
        let loaded = read(&self.cert, &self.key)
            .and_then(|texts| certified(&self.cert, &self.key, &texts).map(Arc::new));
        match loaded {
            Ok(certified) => {
                let mut shown = self.shown.0.write().unwrap_or_else(PoisonError::into_inner);
                *shown = certified;
                info!(
                    "new connections are shown the certificate now in {}",
                    self.cert.display()
                );
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                warn!(cause, "the certificate before stays: {error}");
            }
        }
    }
}

/// The version of HTTP that client and server have agreed on.
pub(super) fn version<S>(stream: &TlsStream<S>) -> Version {
    match stream.get_ref().1.alpn_protocol() {
        Some(H2) => Version::Http2,
        Some(_) | None => Version::Http1,
    }
}

fn read(cert: &Path, key: &Path) -> Result<Texts, TlsError> {
    let read = |path: &Path| {
        fs::read(path).map_err(|source| TlsError::Unreadable {
            path: path.to_owned(),
            source,
        })
    };
    Ok(Texts {
        cert: read(cert)?,
        key: read(key)?,
    })
}

fn certified(cert: &Path, key: &Path, texts: &Texts) -> Result<CertifiedKey, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&texts.cert)
        .filter_map(Result::ok)
        .collect();
    if chain.is_empty() {
        return Err(TlsError::NoCertificate {
            path: cert.to_owned(),
        });
    }
    let private = PrivateKeyDer::from_pem_slice(&texts.key).map_err(|source| TlsError::NoKey {
        path: key.to_owned(),
        source,
    })?;
    CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()).map_err(|source| {
        TlsError::NotAPair {
            cert: cert.to_owned(),
            key: key.to_owned(),
            source,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files {
        folder: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let files = Self { folder };
            files.make("tls");
            files
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn make(&self, name: &str) {
            let (cert, key) = self_signed::make(&["localhost".to_owned()]).unwrap();
            fs::write(self.path(&format!("{name}.crt")), cert).unwrap();
            fs::write(self.path(&format!("{name}.key")), key).unwrap();
        }

        fn open(&self) -> Result<Certificates, TlsError> {
            Certificates::open(&self.path("tls.crt"), &self.path("tls.key"))
        }
    }

    fn shown(certificates: &Certificates) -> Vec<u8> {
        certificates.shown.0.read().unwrap().cert[0].to_vec()
    }

    #[test]
    fn a_new_pair_is_shown_and_a_torn_one_is_not() {
        let files = Files::new();
        let certificates = files.open().unwrap();
        let first = shown(&certificates);
        files.make("new");

        fs::copy(files.path("new.crt"), files.path("tls.crt")).unwrap();
        certificates.show_again();
        assert_eq!(shown(&certificates), first, "the key has yet to come");
        fs::copy(files.path("new.key"), files.path("tls.key")).unwrap();
        certificates.show_again();

        assert_ne!(shown(&certificates), first);
    }

    #[test]
    fn what_is_wrong_with_the_files_is_told_by_name() {
        let files = Files::new();
        files.make("other");
        let refusal = |files: &Files| files.open().err().unwrap().to_string();

        fs::copy(files.path("other.key"), files.path("tls.key")).unwrap();
        assert!(refusal(&files).contains("cannot be used together"));
        fs::write(files.path("tls.key"), "no key").unwrap();
        assert!(refusal(&files).contains("tls.key holds no private key"));
        fs::write(files.path("tls.crt"), "").unwrap();
        assert!(refusal(&files).contains("tls.crt holds no certificate"));
        fs::remove_file(files.path("tls.crt")).unwrap();
        assert!(refusal(&files).contains("tls.crt cannot be read"));
    }
}
