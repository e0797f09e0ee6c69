//! Passwords, kept as argon2id hashes.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

/// At most this many hashes are computed at once in this process: each takes 19 MiB and a core for some 20 ms.
static AT_WORK: Semaphore = Semaphore::const_new(2);

/// Longer passwords are not hashed at all, so that nobody keeps the cores busy with them.
const MAX_PASSWORD_BYTES: usize = 1024;

/// How many right passwords are remembered; past it all are forgotten, which costs each user one hash.
const MAX_REMEMBERED: usize = 1024;

/// A hash that no password has, to compute something when the login is unknown.
const NOBODYS_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$d2hhcmZpbmdlcnNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a password could not be hashed or checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    /// Too long to be a password.
    #[error("a password has at most {MAX_PASSWORD_BYTES} bytes")]
    TooLong,
    /// The system gave no random bytes, or the thread that computed the hash is gone.
    #[error("the password could not be hashed: {0}")]
    Failed(String),
}

/// The hash of a new password, as the table of users keeps it.
pub(crate) async fn hash(password: SecretString) -> Result<String, PasswordError> {
    if password.expose_secret().len() > MAX_PASSWORD_BYTES {
        return Err(PasswordError::TooLong);
    }
    computed(move || {
        Argon2::default()
            .hash_password(password.expose_secret().as_bytes())
            .map(|hash| hash.to_string())
            .map_err(|error| PasswordError::Failed(error.to_string()))
    })
    .await?
}

/// True if `stored` is the hash of `password`. Without a stored one it is false, after the same time.
pub(crate) async fn verify(
    password: SecretString,
    stored: Option<String>,
) -> Result<bool, PasswordError> {
    if password.expose_secret().len() > MAX_PASSWORD_BYTES {
        return Ok(false);
    }
    let Some(stored) = stored else {
        computed(move || matches(&password, NOBODYS_HASH)).await?;
        return Ok(false);
    };
    if REMEMBERED.knows(&stored, &password) {
        return Ok(true);
    }
    computed(move || {
        let right = matches(&password, &stored);
        if right {
            REMEMBERED.remember(stored, &password);
        }
        right
    })
    .await
}

fn matches(password: &SecretString, stored: &str) -> bool {
    PasswordHash::new(stored).is_ok_and(|stored| {
        Argon2::default()
            .verify_password(password.expose_secret().as_bytes(), &stored)
            .is_ok()
    })
}

/// Runs `work` on a thread for such work, once there is a place for it.
async fn computed<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PasswordError> {
    let _place = AT_WORK
        .acquire()
        .await
        .expect("the semaphore is never closed");
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| PasswordError::Failed(error.to_string()))
}

/// The passwords last found right, so that a script that sends its password with every request costs one hash.
static REMEMBERED: LazyLock<Remembered> = LazyLock::new(Remembered::new);

/// By stored hash, a MAC of the password under a key of this process; a changed password has another hash.
struct Remembered {
    key: hmac::Key,
    by_hash: Mutex<HashMap<String, hmac::Tag>>,
}

impl Remembered {
    fn new() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).expect(
            "a system without random bytes has stopped us at the first TLS or token already",
        );
        Self {
            key,
            by_hash: Mutex::default(),
        }
    }

    fn knows(&self, stored: &str, password: &SecretString) -> bool {
        let by_hash = self.by_hash.lock().unwrap_or_else(PoisonError::into_inner);
        by_hash.get(stored).is_some_and(|tag| {
            hmac::verify(&self.key, password.expose_secret().as_bytes(), tag.as_ref()).is_ok()
        })
    }

    fn remember(&self, stored: String, password: &SecretString) {
        let tag = hmac::sign(&self.key, password.expose_secret().as_bytes());
        let mut by_hash = self.by_hash.lock().unwrap_or_else(PoisonError::into_inner);
        if by_hash.len() >= MAX_REMEMBERED {
            by_hash.clear();
        }
        by_hash.insert(stored, tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_fits_its_hash_also_the_second_time() {
        let stored = hash("open sesame".into()).await.unwrap();

        for _ in 0..2 {
            assert!(
                verify("open sesame".into(), Some(stored.clone()))
                    .await
                    .unwrap()
            );
            assert!(
                !verify("open  sesame".into(), Some(stored.clone()))
                    .await
                    .unwrap()
            );
        }
    }

    #[tokio::test]
    async fn a_changed_password_is_forgotten_with_its_hash() {
        let old = hash("first".into()).await.unwrap();
        assert!(verify("first".into(), Some(old)).await.unwrap());

        let new = hash("second".into()).await.unwrap();

        assert!(!verify("first".into(), Some(new.clone())).await.unwrap());
        assert!(verify("second".into(), Some(new)).await.unwrap());
    }

    #[tokio::test]
    async fn an_unknown_login_a_broken_hash_and_an_endless_password_fit_nothing() {
        assert!(
            PasswordHash::new(NOBODYS_HASH).is_ok(),
            "or no time is spent"
        );
        assert!(!verify("x".into(), None).await.unwrap());
        assert!(
            !verify("x".into(), Some("no hash".to_owned()))
                .await
                .unwrap()
        );
        let endless = "x".repeat(MAX_PASSWORD_BYTES + 1);
        assert!(!verify(endless.clone().into(), None).await.unwrap());
        assert!(matches!(
            hash(endless.into()).await,
            Err(PasswordError::TooLong)
        ));
    }

    #[tokio::test]
    async fn two_hashes_of_one_password_differ() {
        let (first, second) = (
            hash("same".into()).await.unwrap(),
            hash("same".into()).await.unwrap(),
        );

        assert_ne!(first, second);
        assert!(first.starts_with("$argon2id$"));
    }
}
