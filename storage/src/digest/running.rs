//! A digest on its way, which can be put aside and taken up again, by another process too.

use std::fmt;

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest as _, Sha256, Sha512};

use super::{Algorithm, Digest};

/// A digest of which not all bytes have come yet.
#[derive(Clone)]
pub struct Running(State);

#[derive(Clone)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

/// In front of the stored form, so that another algorithm's, and another library's, can be told from it.
const SHA256_FORM: u8 = 1;
const SHA512_FORM: u8 = 2;

impl Running {
    /// A digest of no bytes yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// What it is made with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(hash) => hash.update(bytes),
            State::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest of what has come so far.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match &self.0 {
            State::Sha256(hash) => Digest::Sha256(hash.clone().finalize().into()),
            State::Sha512(hash) => Digest::Sha512(hash.clone().finalize().into()),
        }
    }

    /// The form in which it is put aside.
    pub(crate) fn stored(&self) -> Vec<u8> {
        match &self.0 {
            State::Sha256(hash) => in_form(SHA256_FORM, hash),
            State::Sha512(hash) => in_form(SHA512_FORM, hash),
        }
    }

    /// What was put aside; `None` if it is not of a form that this program writes.
    pub(crate) fn read(stored: &[u8]) -> Option<Self> {
        let (form, state) = stored.split_first()?;
        Some(Self(match *form {
            SHA256_FORM => State::Sha256(taken_up(state)?),
            SHA512_FORM => State::Sha512(taken_up(state)?),
            _ => return None,
        }))
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Running")
            .field(&self.algorithm())
            .finish_non_exhaustive()
    }
}

fn in_form(form: u8, hash: &impl SerializableState) -> Vec<u8> {
    let mut stored = vec![form];
    stored.extend_from_slice(&hash.serialize());
    stored
}

fn taken_up<H: SerializableState>(state: &[u8]) -> Option<H> {
    let state = SerializedState::<H>::try_from(state).ok()?;
    H::deserialize(&state).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_put_aside_anywhere_goes_on_as_if_it_had_not_been() {
        let content: Vec<u8> = (0..=255).collect();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for at in [0, 1, 63, 64, 65, 127, 128, 129, 200] {
                let mut before = Running::new(algorithm);
                before.update(&content[..at]);

                let mut after = Running::read(&before.stored()).unwrap();
                after.update(&content[at..]);

                assert_eq!(
                    after.digest(),
                    Digest::with(algorithm, &content),
                    "put aside after {at} bytes"
                );
            }
        }
    }

    #[test]
    fn a_hash_in_another_form_is_not_taken_for_ours() {
        for form in [0, SHA512_FORM, 9] {
            let mut stored = Running::new(Algorithm::Sha256).stored();
            stored[0] = form;

            assert!(Running::read(&stored).is_none(), "form {form}");
        }
        assert!(Running::read(&[]).is_none());
    }
}
