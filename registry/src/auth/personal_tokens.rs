//! Personal tokens and those of robots: what they look like, and whose they are.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use storage::catalog::CatalogError;
use storage::catalog::tokens::{self, Token};
use storage::catalog::users::{self, User};
use tracing::warn;

use crate::app::App;

/// In front of every token, so that people and scanners of secrets know one when they see it.
const PREFIX: &str = "wft_";

/// 256 bits: nobody guesses one, so a fast hash is enough to keep it by.
const RANDOM_BYTES: usize = 32;

/// A new token: shown once, and kept as its SHA-256.
pub(crate) struct Secret {
    /// What its user writes in place of a password.
    pub(crate) shown: SecretString,
    /// What is kept.
    pub(crate) sha256: [u8; 32],
}

impl Secret {
    /// A new one, unless the system has no random bytes.
    pub(crate) fn generate() -> Result<Self, aws_lc_rs::error::Unspecified> {
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
pub(crate) fn is_one(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// The token and its user, if both count now. Its use is noted.
pub(super) async fn find(
    app: &App,
    shown: &SecretString,
) -> Result<Option<(User, Token)>, CatalogError> {
    let now = app.services.clock.now();
    let mut tx = app.services.database.look_up().await?;
    let found = tokens::by_secret(&mut tx, &sha256(shown.expose_secret())).await?;
    let Some(token) = found.filter(|token| token.counts_at(now)) else {
        return Ok(None);
    };
    let user = users::get(&mut tx, token.user).await?;
    drop(tx);
    let Some(user) = user.filter(|user| user.enabled) else {
        return Ok(None);
    };
    if token.use_is_news(now) {
        let id = token.id;
        let noted = app
            .services
            .database
            .transact(move |tx| Box::pin(tokens::note_use(tx, id, now)))
            .await;
        // On a full disk one can still log in, to free space.
        if let Err(error) = noted.map_err(CatalogError::from).flatten() {
            warn!(%error, "the use of token {id} of {} was not noted", user.login);
        }
    }
    Ok(Some((user, token)))
}

fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_what_it_is_and_no_two_are_the_same() {
        let (first, second) = (Secret::generate().unwrap(), Secret::generate().unwrap());

        assert!(is_one(first.shown.expose_secret()));
        assert_eq!(first.shown.expose_secret().len(), "wft_".len() + 43);
        assert_ne!(first.sha256, second.sha256);
        assert_eq!(first.sha256, sha256(first.shown.expose_secret()));
    }
}
