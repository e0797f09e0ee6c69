//! How a receiver knows that an event is ours, as Standard Webhooks has it.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret as _, SecretString};

/// In front of a secret that stands for the bytes behind it in base64.
const PREFIX: &str = "whsec_";

/// As many as the hash has: more make no signature safer.
const RANDOM_BYTES: usize = 32;

/// Shorter ones can be guessed by who has seen an event.
const SHORTEST: usize = 16;

/// Longer ones are a mistake.
const LONGEST: usize = 256;

/// What a webhook and this registry share.
#[derive(Clone, Debug)]
pub struct WebhookSecret(SecretString);

/// A text is no secret that events can be signed with. The text is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must have {SHORTEST} to {LONGEST} characters of ASCII without spaces, and base64 behind `{PREFIX}` where it begins so; \
     leave it out to be given one"
)]
pub struct SecretRefused;

impl WebhookSecret {
    /// A new one, unless the system has no random bytes.
    pub fn generate() -> Result<Self, Unspecified> {
        let mut bytes = [0; RANDOM_BYTES];
        SystemRandom::new().fill(&mut bytes)?;
        Ok(Self(
            format!("{PREFIX}{}", BASE64_STANDARD.encode(bytes)).into(),
        ))
    }

    /// One that somebody chose.
    pub fn parse(text: &str) -> Result<Self, SecretRefused> {
        let fits = (SHORTEST..=LONGEST).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        let secret = Self(text.into());
        if fits && secret.key_bytes().is_some() {
            Ok(secret)
        } else {
            Err(SecretRefused)
        }
    }

    /// As it is kept, and shown once.
    #[must_use]
    pub fn expose(&self) -> &SecretString {
        &self.0
    }

    /// The bytes that sign: behind the prefix in base64, else the text itself.
    fn key_bytes(&self) -> Option<Vec<u8>> {
        let text = self.0.expose_secret();
        match text.strip_prefix(PREFIX) {
            Some(encoded) => BASE64_STANDARD.decode(encoded).ok(),
            None => Some(text.as_bytes().to_vec()),
        }
    }

    /// What stands in the header `webhook-signature`.
    pub(super) fn sign(
        &self,
        id: &str,
        timestamp: &str,
        body: &[u8],
    ) -> Result<String, SecretRefused> {
        let key = Key::new(HMAC_SHA256, &self.key_bytes().ok_or(SecretRefused)?);
        let mut signed = format!("{id}.{timestamp}.").into_bytes();
        signed.extend_from_slice(body);
        let tag = sign(&key, &signed);
        Ok(format!("v1,{}", BASE64_STANDARD.encode(tag.as_ref())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn a_signature_is_the_one_that_libraries_of_standard_webhooks_make() {
        let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();

        let signature = secret.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            br#"{"test": 2432232314}"#,
        );

        assert_eq!(
            signature.unwrap(),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn a_secret_is_long_enough_and_none_is_ever_shown_by_a_refusal() {
        for text in [
            "short",
            "with a space in the middle",
            "whsec_not base64 at all",
            "whsec_????????????",
        ] {
            let refused = WebhookSecret::parse(text).unwrap_err().to_string();
            assert!(!refused.contains(text), "{refused}");
        }
        assert!(WebhookSecret::parse("correct-horse-battery").is_ok());
        assert!(!format!("{:?}", WebhookSecret::parse("correct-horse-battery")).contains("horse"));
    }

    #[test]
    fn no_two_made_secrets_are_the_same() {
        let [one, other] = [(); 2].map(|()| WebhookSecret::generate().unwrap());

        let text = one.expose().expose_secret();
        assert!(WebhookSecret::parse(text).is_ok());
        assert_ne!(text, other.expose().expose_secret());
    }
}
