//! An authority that signs certificates for servers of the tests.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};

/// An authority of its own, which nobody trusts unless told.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a random key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// Its own certificate, to be trusted.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Signs a fresh certificate for servers on loopback; answers with certificate and key.
    pub fn sign(&self) -> (String, String) {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        self.signed(&CertificateParams::new(names).expect("names of a server"))
    }

    /// Signs a fresh certificate for a client of that name; answers with certificate and key.
    pub fn sign_client(&self, name: &str) -> (String, String) {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        self.signed(&params)
    }

    fn signed(&self, params: &CertificateParams) -> (String, String) {
        let key = KeyPair::generate().expect("a random key");
        let signed = params.signed_by(&key, &self.0).expect("a certificate");
        (signed.pem(), key.serialize_pem())
    }

    /// Writes a fresh certificate and its key over those in a folder, one after the other, as an administrator does.
    pub fn renew_in(&self, folder: &Path) {
        let (certificate, key) = self.sign();
        std::fs::write(folder.join("tls.crt"), certificate).expect("a file of ours");
        std::fs::write(folder.join("tls.key"), key).expect("a file of ours");
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
