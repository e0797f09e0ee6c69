//! Digests as OCI writes them.

use sha2::{Digest as _, Sha256, Sha512};

/// `sha256:…` of these bytes.
pub fn of(bytes: &[u8]) -> String {
    written(Sha256::new().chain_update(bytes))
}

/// `sha512:…` of these bytes.
pub fn of_sha512(bytes: &[u8]) -> String {
    format!("sha512:{}", hex::encode(Sha512::digest(bytes)))
}

/// A hash fed piece by piece, and how much it was fed.
#[derive(Clone, Default)]
pub struct Running {
    hash: Sha256,
    size: u64,
}

impl Running {
    /// Takes the next piece.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// The digest and the size of all that was fed.
    pub fn end(self) -> (String, u64) {
        (written(self.hash), self.size)
    }
}

fn written(hash: Sha256) -> String {
    format!("sha256:{}", hex::encode(hash.finalize()))
}
