//! The tokens of `/v2/token`: short-lived JWTs, signed with Ed25519 by a key of the database.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use engine::clock::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use storage::catalog::TokenId;
use storage::catalog::signing_keys::SigningKey;
use storage::catalog::users::User;
use uuid::Uuid;

use super::scope::{Access, Scope};

/// Who signs; checked like the audience.
const ISSUER: &str = "wharfinger";

/// How far the clocks of those who sign and those who check may be apart.
const LEEWAY: Duration = Duration::from_secs(5);

/// Longer texts are no tokens of ours: 32 names of 255 bytes, in base64, with room to spare.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Why a token does not count, or why none can be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// The token's key is not one of ours, its algorithm not ours, its signature wrong, or it is no token at all.
    #[error("the token was not signed by this registry; log in again")]
    Foreign,
    /// Signed by us for another name of ours, or for the name of another registry.
    #[error("the token is for another service than {service}; get one there")]
    OtherService {
        /// The service it was shown to.
        service: String,
    },
    /// Its time is over.
    #[error("the token expired at {0}; get a new one")]
    Expired(Timestamp),
    /// Its time has not come: somebody's clock is wrong.
    #[error("the token is good from {0} on; is the clock right?")]
    NotYet(Timestamp),
    /// The database holds no key, or one that cannot be read.
    #[error("the registry has no signing key it can use: {0}")]
    NoKey(String),
}

/// Whom a token stands for, and what it was got with: it ends with that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder<'a> {
    login: &'a str,
    password_changes: i64,
    personal_token: Option<TokenId>,
}

impl<'a> Holder<'a> {
    /// Nobody who has logged in.
    pub(crate) const ANONYMOUS: Holder<'static> = Holder {
        login: "",
        password_changes: 0,
        personal_token: None,
    };

    /// This user, who has shown a personal token or, without one, the password.
    pub(crate) fn user(user: &'a User, personal_token: Option<TokenId>) -> Self {
        Self {
            login: &user.login,
            password_changes: user.password_changes,
            personal_token,
        }
    }

    /// Somebody who never changed the password.
    #[cfg(any(test, feature = "fuzz"))]
    pub(crate) fn named(login: &'a str) -> Self {
        Self {
            login,
            ..Holder::ANONYMOUS
        }
    }
}

/// What a token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    /// The login; empty for anonymous.
    pub(crate) sub: String,
    aud: String,
    exp: i64,
    nbf: i64,
    iat: i64,
    jti: Uuid,
    /// The personal token it was got with: revoked, it takes this one along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) personal_token: Option<TokenId>,
    /// How often the user's password had been changed: one more change takes along what was got with the password.
    #[serde(default)]
    password_changes: i64,
    /// What it is good for; absent if it was asked for without a scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access: Option<Vec<Access>>,
}

impl Claims {
    /// True if nobody logged in for it.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.sub.is_empty()
    }

    /// True unless it was got with a password that the user has no more.
    pub(crate) fn outlives_passwords_of(&self, user: &User) -> bool {
        self.personal_token.is_some() || self.password_changes == user.password_changes
    }

    /// When its time is over.
    pub(crate) fn expires_at(&self) -> Timestamp {
        timestamp(self.exp)
    }

    /// What it is good for.
    pub(crate) fn scope(&self) -> Scope {
        self.access.clone().map_or(Scope::Login, Scope::Only)
    }
}

/// A signed token, as the answer of `/v2/token` holds it.
#[derive(Debug)]
pub(crate) struct Signed {
    /// The JWT.
    pub(crate) token: String,
    /// How long it is good for.
    pub(crate) lifetime: Duration,
}

/// Signs and checks tokens.
pub(crate) struct Tokens {
    keys: RwLock<Arc<Keys>>,
    lifetime: Duration,
}

/// The newest of them signs, all of them check.
struct Keys {
    newest: String,
    /// None at a smart proxy: its main server signs.
    signing: Option<EncodingKey>,
    checking: HashMap<String, DecodingKey>,
    public: Value,
}

impl Keys {
    fn read(keys: &[SigningKey]) -> Result<Self, TokenError> {
        let newest = keys
            .iter()
            .max_by_key(|key| key.created_at)
            .ok_or_else(|| TokenError::NoKey("the database holds none".to_owned()))?;
        Ed25519KeyPair::from_pkcs8(&newest.private_key)
            .map_err(|error| TokenError::NoKey(format!("key {}: {error}", newest.id)))?;
        let public: Vec<Value> = keys.iter().map(json_web_key).collect();
        Ok(Self {
            newest: newest.id.clone(),
            signing: Some(EncodingKey::from_ed_der(&newest.private_key)),
            checking: keys
                .iter()
                .map(|key| (key.id.clone(), DecodingKey::from_ed_der(&key.public_key)))
                .collect(),
            public: json!({ "keys": public }),
        })
    }

    /// Those of another server, as it tells them; what is none of ours in form is left out.
    fn of_another(public: &Value) -> Self {
        let keys = public["keys"].as_array().map_or(&[][..], Vec::as_slice);
        let checking = keys.iter().filter_map(|key| {
            let kid = key["kid"].as_str()?.to_owned();
            let x = BASE64_URL_SAFE_NO_PAD.decode(key["x"].as_str()?).ok()?;
            (key["crv"] == "Ed25519").then(|| (kid, DecodingKey::from_ed_der(&x)))
        });
        Self {
            newest: String::new(),
            signing: None,
            checking: checking.collect(),
            public: public.clone(),
        }
    }
}

/// The public half as RFC 8037 writes it.
fn json_web_key(key: &SigningKey) -> Value {
    json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "x": BASE64_URL_SAFE_NO_PAD.encode(&key.public_key),
        "kid": key.id,
        "alg": "EdDSA",
        "use": "sig",
    })
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("newest", &self.keys().newest)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

impl Tokens {
    /// A new key, to be stored at the first start.
    pub(crate) fn new_key(at: Timestamp) -> Result<SigningKey, TokenError> {
        let unusable = |error: aws_lc_rs::error::Unspecified| TokenError::NoKey(error.to_string());
        let pair = Ed25519KeyPair::generate().map_err(unusable)?;
        let public_key = pair.public_key().as_ref().to_vec();
        Ok(SigningKey {
            id: hex::encode(&Sha256::digest(&public_key)[..8]),
            private_key: pair.to_pkcs8().map_err(unusable)?.as_ref().to_vec(),
            public_key,
            created_at: at,
        })
    }

    /// Signs with the newest of these keys, and checks with all of them.
    pub(crate) fn new(keys: &[SigningKey], lifetime: Duration) -> Result<Self, TokenError> {
        Ok(Self {
            keys: RwLock::new(Arc::new(Keys::read(keys)?)),
            lifetime,
        })
    }

    /// Only checks, with the keys that another server tells (a JSON Web Key Set).
    pub(crate) fn of_another(keys: &Value, lifetime: Duration) -> Self {
        Self {
            keys: RwLock::new(Arc::new(Keys::of_another(keys))),
            lifetime,
        }
    }

    /// From now on checks with these keys of another server.
    pub(crate) fn replace_keys_of_another(&self, keys: &Value) {
        let keys = Arc::new(Keys::of_another(keys));
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// From now on signs and checks with these keys; refused, and nothing changed, if they cannot be used.
    pub(crate) fn replace_keys(&self, keys: &[SigningKey]) -> Result<(), TokenError> {
        let keys = Arc::new(Keys::read(keys)?);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// The public halves of all keys, as a JSON Web Key Set.
    pub(crate) fn public_keys(&self) -> Value {
        self.keys().public.clone()
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A token for `holder`, good for `scope` at `service` from now on, as long as what it was got with counts.
    pub(crate) fn sign(
        &self,
        holder: Holder<'_>,
        service: &str,
        scope: Scope,
        now: Timestamp,
    ) -> Result<Signed, TokenError> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: holder.login.to_owned(),
            aud: service.to_owned(),
            exp: seconds(now + self.lifetime),
            nbf: seconds(now),
            iat: seconds(now),
            jti: Uuid::new_v4(),
            personal_token: holder.personal_token,
            password_changes: holder.password_changes,
            access: match scope {
                Scope::Login => None,
                Scope::Only(accesses) => Some(accesses),
            },
        };
        let keys = self.keys();
        let header = Header {
            kid: Some(keys.newest.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        let signing = keys.signing.as_ref().ok_or_else(|| {
            TokenError::NoKey("a smart proxy signs nothing; its main server does".to_owned())
        })?;
        let token = jsonwebtoken::encode(&header, &claims, signing)
            .map_err(|error| TokenError::NoKey(error.to_string()))?;
        Ok(Signed {
            token,
            lifetime: self.lifetime,
        })
    }

    /// What the token says, if this registry signed it, for this service, and its time is now.
    ///
    /// The algorithm is never taken from the token: there is one, and its key is looked up among ours.
    pub(crate) fn check(
        &self,
        token: &str,
        service: &str,
        now: Timestamp,
    ) -> Result<Claims, TokenError> {
        let claims = self.check_but_for_its_end(token, service, now)?;
        if now >= claims.expires_at() + LEEWAY {
            return Err(TokenError::Expired(claims.expires_at()));
        }
        Ok(claims)
    }

    /// As [`check`](Self::check), but its time may be over.
    pub(crate) fn check_but_for_its_end(
        &self,
        token: &str,
        service: &str,
        now: Timestamp,
    ) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Foreign);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Foreign)?;
        let keys = self.keys();
        let key = header.kid.and_then(|kid| keys.checking.get(&kid));
        let mut checks = Validation::new(Algorithm::EdDSA);
        checks.set_issuer(&[ISSUER]);
        checks.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        // Time and audience are checked below: by our clock, and with an answer that says which of them is wrong.
        checks.validate_exp = false;
        checks.validate_aud = false;
        let claims =
            jsonwebtoken::decode::<Claims>(token, key.ok_or(TokenError::Foreign)?, &checks)
                .map_err(|_| TokenError::Foreign)?
                .claims;
        if claims.aud != service {
            return Err(TokenError::OtherService {
                service: service.to_owned(),
            });
        }
        if now < timestamp(claims.nbf) - LEEWAY {
            return Err(TokenError::NotYet(timestamp(claims.nbf)));
        }
        Ok(claims)
    }
}

fn seconds(at: Timestamp) -> i64 {
    at.0.div_euclid(1000)
}

fn timestamp(seconds: i64) -> Timestamp {
    Timestamp(seconds.saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::scope::RepositoryAction::Pull;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);
    const HOUR: Duration = Duration::from_hours(1);

    fn tokens() -> Tokens {
        Tokens::new(&[Tokens::new_key(NOW).unwrap()], HOUR).unwrap()
    }

    fn after(seconds: u64) -> Timestamp {
        NOW + Duration::from_secs(seconds)
    }

    fn forged(header: &str, token: &str) -> String {
        let (_, rest) = token.split_once('.').unwrap();
        format!("{}.{rest}", BASE64_URL_SAFE_NO_PAD.encode(header))
    }

    #[test]
    fn a_token_says_who_asked_and_for_what() {
        let tokens = tokens();
        let scope = Scope::Only(vec![Access::to_repository(
            "acme/busybox".to_owned(),
            vec![Pull],
        )]);

        let signed = tokens
            .sign(Holder::named("bob"), "hub.example", scope.clone(), NOW)
            .unwrap();
        let claims = tokens.check(&signed.token, "hub.example", NOW).unwrap();

        assert_eq!(claims.sub, "bob");
        assert_eq!(claims.scope(), scope);
        assert_eq!(signed.lifetime, HOUR);
    }

    #[test]
    fn a_token_cut_down_to_nothing_is_not_one_asked_for_without_a_scope() {
        let tokens = tokens();

        let nothing = tokens
            .sign(Holder::named("bob"), "hub", Scope::Only(Vec::new()), NOW)
            .unwrap();
        let login = tokens
            .sign(Holder::named(""), "hub", Scope::Login, NOW)
            .unwrap();

        assert_eq!(
            tokens.check(&nothing.token, "hub", NOW).unwrap().scope(),
            Scope::Only(Vec::new())
        );
        let login = tokens.check(&login.token, "hub", NOW).unwrap();
        assert!(login.is_anonymous());
        assert_eq!(login.scope(), Scope::Login);
    }

    #[test]
    fn its_time_has_five_seconds_of_leeway_at_both_ends() {
        let tokens = tokens();
        let token = tokens
            .sign(Holder::named("bob"), "hub", Scope::Login, after(100))
            .unwrap()
            .token;

        assert!(tokens.check(&token, "hub", after(95)).is_ok());
        assert!(matches!(
            tokens.check(&token, "hub", after(94)),
            Err(TokenError::NotYet(_))
        ));
        assert!(tokens.check(&token, "hub", after(100 + 3600 + 4)).is_ok());
        assert!(matches!(
            tokens.check(&token, "hub", after(100 + 3600 + 5)),
            Err(TokenError::Expired(_))
        ));
    }

    #[test]
    fn a_token_for_another_service_is_refused() {
        let tokens = tokens();
        let token = tokens
            .sign(Holder::named("bob"), "hub", Scope::Login, NOW)
            .unwrap()
            .token;

        assert!(matches!(
            tokens.check(&token, "hub2", NOW),
            Err(TokenError::OtherService { .. })
        ));
    }

    #[test]
    fn no_other_algorithm_and_no_other_key_is_believed() {
        let (ours, theirs) = (tokens(), tokens());
        let token = ours
            .sign(Holder::named("bob"), "hub", Scope::Login, NOW)
            .unwrap()
            .token;
        let unsigned = token.rsplit_once('.').unwrap().0;
        let keys = ours.keys();
        let kid = &keys.newest;
        let foreign = theirs
            .sign(Holder::named("bob"), "hub", Scope::Login, NOW)
            .unwrap()
            .token;
        let public_key_as_secret = {
            let header = Header {
                kid: Some(kid.clone()),
                ..Header::new(Algorithm::HS256)
            };
            let claims = ours.check(&token, "hub", NOW).unwrap();
            let secret = keys.checking[kid].try_get_as_bytes().unwrap();
            jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap()
        };

        for refused in [
            forged(
                &format!(r#"{{"alg":"none","kid":"{kid}"}}"#),
                &format!("{unsigned}."),
            ),
            forged(&format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#), &token),
            forged(r#"{"alg":"EdDSA"}"#, &token),
            forged(&format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#), &foreign),
            public_key_as_secret,
            foreign.clone(),
            unsigned.to_owned(),
            format!("{token}A"),
            String::new(),
            "a.b.c".to_owned(),
        ] {
            assert!(
                matches!(ours.check(&refused, "hub", NOW), Err(TokenError::Foreign)),
                "{refused}"
            );
        }
    }

    #[test]
    fn changed_claims_are_refused() {
        let tokens = tokens();
        let token = tokens
            .sign(Holder::named("bob"), "hub", Scope::Login, NOW)
            .unwrap()
            .token;
        let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            panic!("a JWT")
        };
        let claims = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();

        let admin = BASE64_URL_SAFE_NO_PAD.encode(claims.replace("bob", "admin"));

        let changed = format!("{header}.{admin}.{signature}");
        assert!(matches!(
            tokens.check(&changed, "hub", NOW),
            Err(TokenError::Foreign)
        ));
    }

    #[test]
    fn an_older_key_still_checks_and_the_newest_signs() {
        let old = Tokens::new_key(NOW).unwrap();
        let new = Tokens::new_key(after(1)).unwrap();
        let before = Tokens::new(std::slice::from_ref(&old), HOUR).unwrap();
        let token = before
            .sign(Holder::named("bob"), "hub", Scope::Login, NOW)
            .unwrap()
            .token;

        before.replace_keys(&[new.clone(), old.clone()]).unwrap();

        assert!(before.check(&token, "hub", NOW).is_ok());
        assert_eq!(before.keys().newest, new.id);
        let shown = before.public_keys();
        assert_eq!(
            (&shown["keys"][0]["kid"], &shown["keys"][1]["kid"]),
            (&json!(new.id), &json!(old.id))
        );
        assert!(!shown.to_string().contains(&hex::encode(&old.private_key)));
    }

    #[test]
    fn a_registry_without_a_key_says_so() {
        assert!(matches!(Tokens::new(&[], HOUR), Err(TokenError::NoKey(_))));
    }
}
