//! Secrets that this registry shares with others, and those that it gives to users and robots in place of a password.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};

/// In front of every token, so that people and scanners of secrets know one when they see it.
const PREFIX: &str = "wft_";

/// 256 bits: nobody guesses one, so a fast hash is enough to keep it by.
const RANDOM_BYTES: usize = 32;

/// A new token of a user or a robot: shown once, and kept as its SHA-256.
pub struct Secret {
    /// What its user writes in place of a password.
    pub shown: SecretString,
    /// What is kept.
    pub sha256: [u8; 32],
}

impl Secret {
    /// A new one, unless the system has no random bytes.
    pub fn generate() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut bytes = [0; RANDOM_BYTES];
        SystemRandom::new().fill(&mut bytes)?;
        let shown = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
        Ok(Self {
            sha256: sha256(&shown),
            shown: shown.into(),
        })
    }
}

/// True if the text is meant to be such a token.
#[must_use]
pub fn is_token(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// What a token is kept as.
#[must_use]
pub fn sha256(token: &str) -> [u8; 32] {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    sha256
}

/// True if what was given is the secret. Takes as long wherever they differ, so that nobody can guess it piece by piece.
#[must_use]
pub fn is_same(given: &str, secret: &SecretString) -> bool {
    verify_slices_are_equal(given.as_bytes(), secret.expose_secret().as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_what_it_is_and_no_two_are_the_same() {
        let (first, second) = (Secret::generate().unwrap(), Secret::generate().unwrap());

        assert!(is_token(first.shown.expose_secret()));
        assert_eq!(first.shown.expose_secret().len(), "wft_".len() + 43);
        assert_ne!(first.sha256, second.sha256);
        assert_eq!(first.sha256, sha256(first.shown.expose_secret()));
    }

    #[test]
    fn a_secret_is_the_same_only_as_a_whole() {
        let secret = SecretString::from("sesame");

        assert!(is_same("sesame", &secret));
        for other in ["", "sesam", "sesame ", "Sesame"] {
            assert!(!is_same(other, &secret), "{other}");
        }
    }
}
