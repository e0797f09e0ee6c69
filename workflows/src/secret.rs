//! Secrets that this registry shares with others.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::{ExposeSecret as _, SecretString};

/// True if what was given is the secret. Takes as long wherever they differ, so that nobody can guess it piece by piece.
#[must_use]
pub fn is_same(given: &str, secret: &SecretString) -> bool {
    verify_slices_are_equal(given.as_bytes(), secret.expose_secret().as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_same_only_as_a_whole() {
        let secret = SecretString::from("sesame");

        assert!(is_same("sesame", &secret));
        for other in ["", "sesam", "sesame ", "Sesame"] {
            assert!(!is_same(other, &secret), "{other}");
        }
    }
}
