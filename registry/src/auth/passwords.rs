//! Passwords, kept as argon2id hashes.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::failed_logins::Attempt;
use super::turns::Turns;

/// At most this many hashes are computed at once in this process: each takes 19 MiB and a core for some 20 ms.
static AT_WORK: LazyLock<Turns> = LazyLock::new(|| Turns::new(2));

/// Longer passwords are not hashed at all, so that nobody keeps the cores busy with them.
pub(crate) const MAX_PASSWORD_BYTES: usize = 1024;

/// So long a right password is remembered.
const REMEMBERED_FOR: Duration = Duration::from_mins(1);

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
    /// Too many have failed from there: this one was not even looked at.
    #[error("too many logins have failed; try again in {} s", .0.as_secs_f64().ceil())]
    NotYet(Duration),
}

/// The hash of a new password, as the table of users keeps it.
pub(crate) async fn hash(password: SecretString) -> Result<String, PasswordError> {
    if password.expose_secret().len() > MAX_PASSWORD_BYTES {
        return Err(PasswordError::TooLong);
    }
    let _turn = AT_WORK.take(None).await;
    computed(move || {
        Argon2::default()
            .hash_password(password.expose_secret().as_bytes())
            .map(|hash| hash.to_string())
            .map_err(|error| PasswordError::Failed(error.to_string()))
    })
    .await?
}

/// True if `stored` is the hash of `password`. Without a stored one it is false, after the same time.
///
/// [`PasswordError::NotYet`] if too many attempts have failed; whoever logged in just now is not slowed down by them.
pub(super) async fn verify(
    password: SecretString,
    stored: Option<String>,
    attempt: &Attempt<'_>,
) -> Result<bool, PasswordError> {
    if let Some(stored) = &stored
        && REMEMBERED.knows(stored, &password)
    {
        return Ok(true);
    }
    if let Some(wait) = attempt.must_wait() {
        return Err(PasswordError::NotYet(wait));
    }
    // Asked again when it is their turn: of many that come at once only two are computed before the first has failed.
    let _turn = AT_WORK.take(attempt.address()).await;
    if let Some(wait) = attempt.must_wait() {
        return Err(PasswordError::NotYet(wait));
    }
    let right = if password.expose_secret().len() > MAX_PASSWORD_BYTES {
        false
    } else {
        computed(move || is_right(&password, stored)).await?
    };
    if right {
        attempt.succeeded();
    } else {
        attempt.failed();
    }
    Ok(right)
}

fn is_right(password: &SecretString, stored: Option<String>) -> bool {
    let Some(stored) = stored else {
        let _ = matches(password, NOBODYS_HASH);
        return false;
    };
    let right = matches(password, &stored);
    if right {
        REMEMBERED.remember(stored, password);
    }
    right
}

fn matches(password: &SecretString, stored: &str) -> bool {
    PasswordHash::new(stored).is_ok_and(|stored| {
        Argon2::default()
            .verify_password(password.expose_secret().as_bytes(), &stored)
            .is_ok()
    })
}

/// Runs `work` on a thread for such work.
async fn computed<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PasswordError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| PasswordError::Failed(error.to_string()))
}

/// The passwords last found right, so that a script that sends its password with every request costs one hash.
static REMEMBERED: LazyLock<Remembered> = LazyLock::new(Remembered::new);

/// By stored hash, a MAC of the password under a key of this process, and since when; a changed password has another hash.
struct Remembered {
    key: hmac::Key,
    by_hash: Mutex<HashMap<String, (hmac::Tag, Instant)>>,
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
        by_hash.get(stored).is_some_and(|(tag, since)| {
            since.elapsed() < REMEMBERED_FOR
                && hmac::verify(&self.key, password.expose_secret().as_bytes(), tag.as_ref())
                    .is_ok()
        })
    }

    fn remember(&self, stored: String, password: &SecretString) {
        let tag = hmac::sign(&self.key, password.expose_secret().as_bytes());
        let mut by_hash = self.by_hash.lock().unwrap_or_else(PoisonError::into_inner);
        if by_hash.len() >= MAX_REMEMBERED {
            by_hash.clear();
        }
        by_hash.insert(stored, (tag, Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use engine::clock::Timestamp;

    use super::*;
    use crate::auth::failed_logins::FailedLogins;

    async fn check(password: &str, stored: Option<&str>) -> bool {
        let logins = FailedLogins::default();
        let attempt = logins.attempt("ann", None, Timestamp(0));
        verify(password.into(), stored.map(str::to_owned), &attempt)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn only_the_right_password_fits_its_hash_also_the_second_time() {
        let stored = hash("open sesame".into()).await.unwrap();

        for _ in 0..2 {
            assert!(check("open sesame", Some(&stored)).await);
            assert!(!check("open  sesame", Some(&stored)).await);
        }
    }

    #[tokio::test]
    async fn a_changed_password_is_forgotten_with_its_hash() {
        let old = hash("first".into()).await.unwrap();
        assert!(check("first", Some(&old)).await);

        let new = hash("second".into()).await.unwrap();

        assert!(!check("first", Some(&new)).await);
        assert!(check("second", Some(&new)).await);
    }

    #[tokio::test]
    async fn an_unknown_login_a_broken_hash_and_an_endless_password_fit_nothing() {
        assert!(
            PasswordHash::new(NOBODYS_HASH).is_ok(),
            "or no time is spent"
        );
        assert!(!check("x", None).await);
        assert!(!check("x", Some("no hash")).await);
        let endless = "x".repeat(MAX_PASSWORD_BYTES + 1);
        assert!(!check(&endless, None).await);
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

    #[tokio::test]
    async fn after_too_many_failures_nothing_is_computed_but_a_right_password_of_just_now_counts() {
        let stored = hash("open sesame".into()).await.unwrap();
        let logins = FailedLogins::default();
        let attempt = logins.attempt("ann", None, Timestamp(0));
        for _ in 0..5 {
            attempt.failed();
        }

        let unseen = verify("open sesame".into(), Some(stored.clone()), &attempt).await;
        assert!(check("open sesame", Some(&stored)).await);
        let known = verify("open sesame".into(), Some(stored), &attempt).await;

        assert!(matches!(unseen, Err(PasswordError::NotYet(_))));
        assert!(known.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_right_password_is_remembered_for_a_minute() {
        let stored = hash("one minute".into()).await.unwrap();
        assert!(check("one minute", Some(&stored)).await);
        let password = SecretString::from("one minute");

        tokio::time::advance(Duration::from_secs(59)).await;
        let shortly = REMEMBERED.knows(&stored, &password);
        tokio::time::advance(Duration::from_secs(1)).await;

        assert!(shortly);
        assert!(!REMEMBERED.knows(&stored, &password));
    }
}
