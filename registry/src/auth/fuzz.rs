//! What strangers show to say who they are.
//!
//! The first letter of an input says what the rest is: `h` an `Authorization` header, `b` a Bearer token, `f` which bit of
//! a good token is flipped, `s` a header and claims that our own key signs, `c` scopes.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use engine::clock::Timestamp;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use storage::catalog::signing_keys::SigningKey;

use super::scope::{Access, RepositoryAction, Scope};
use super::tokens::{Holder, Tokens};
use super::{AuthError, Shown};
use crate::fuzz::{Check, text};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const SERVICE: &str = "hub.example";
const KEY_ID: &str = "k";

pub(crate) fn start() -> Check {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("any 32 bytes are a seed");
    let private_key = pair.to_pkcs8v1().expect("a key can be written down");
    let key = SigningKey {
        id: KEY_ID.to_owned(),
        private_key: private_key.as_ref().to_vec(),
        public_key: pair.public_key().as_ref().to_vec(),
        created_at: NOW,
    };
    let tokens = Tokens::new(&[key], std::time::Duration::from_hours(1)).expect("a good key");
    let scope = Scope::Only(Access::parse_all(["repository:acme/busybox:pull,push"]));
    let signed = tokens.sign(Holder::named("bob"), SERVICE, scope, NOW);
    let token = signed.expect("a good key signs").token;
    let registry = Registry {
        pair,
        tokens,
        token,
    };
    Box::new(move |input| registry.check(input))
}

struct Registry {
    pair: Ed25519KeyPair,
    tokens: Tokens,
    token: String,
}

impl Registry {
    fn check(&self, input: &[u8]) {
        match input.split_first() {
            Some((b'h', rest)) => header(rest),
            Some((b'b', rest)) => self.refused(&text(rest)),
            Some((b'f', rest)) => self.flipped(rest),
            Some((b's', rest)) => self.signed(&text(rest)),
            Some((b'c', rest)) => scopes(&text(rest)),
            _ => {}
        }
    }

    fn refused(&self, token: &str) {
        let checked = self.tokens.check(token, SERVICE, NOW);
        assert_eq!(checked.is_ok(), token == self.token, "{token}");
    }

    fn flipped(&self, which: &[u8]) {
        let [high, low, bit, ..] = *which else { return };
        let mut token = self.token.clone().into_bytes();
        let place = usize::from(u16::from_be_bytes([high, low])) % token.len();
        token[place] ^= 1 << (bit % 8);
        self.refused(&text(&token));
    }

    /// Whatever we should ever sign: it is read, or refused in words.
    fn signed(&self, input: &str) {
        let input = input.replace("{header}", r#"{"typ":"JWT","alg":"EdDSA","kid":"k"}"#);
        let (header, claims) = input.split_once('\n').unwrap_or((&input, ""));
        let mut token = BASE64_URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.pair.sign(token.as_bytes());
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);

        let any_time = self.tokens.check_but_for_its_end(&token, SERVICE, NOW);
        match self.tokens.check(&token, SERVICE, NOW) {
            Ok(claims) => {
                assert!(any_time.is_ok());
                assert!(claims.expires_at() > Timestamp(NOW.0 - 60_000));
                let _ = (claims.is_anonymous(), claims.expires_at().to_rfc3339());
                let scope = claims.scope();
                let _ = (
                    scope.covers("acme/busybox", RepositoryAction::Pull),
                    scope.covers_catalog(),
                );
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn header(value: &[u8]) {
    let mut headers = HeaderMap::new();
    let Ok(value) = HeaderValue::from_bytes(value) else {
        return;
    };
    headers.insert(AUTHORIZATION, value);
    match Shown::of(&headers) {
        Ok(Shown::Nothing) => panic!("there is a header"),
        Ok(Shown::Password(_) | Shown::PersonalToken(_) | Shown::Token(_)) => {}
        Err(refusal) => assert!(matches!(refusal, AuthError::Unreadable), "{refusal}"),
    }
}

fn scopes(input: &str) {
    let read = Access::parse_all(input.split('\n'));
    assert!(read.len() <= 32, "a token has room for so many");
    let printed: Vec<String> = read.iter().map(printed).collect();
    assert_eq!(Access::parse_all(printed.iter().map(String::as_str)), read);
    let scope = Scope::Only(read.clone());
    for access in &read {
        if access.is_to_catalog() {
            assert!(scope.covers_catalog());
        }
        for action in &access.actions {
            assert!(access.is_to_catalog() || scope.covers(&access.name, *action));
        }
    }
}

fn printed(access: &Access) -> String {
    if access.is_to_catalog() {
        return "registry:catalog:*".to_owned();
    }
    let actions: Vec<String> = access.actions.iter().map(ToString::to_string).collect();
    format!("repository:{}:{}", access.name, actions.join(","))
}
