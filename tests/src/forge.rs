//! Tokens as a forger makes them out of a real one.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// The parts of a signed token, as they came.
#[derive(Clone)]
pub struct Token {
    header: String,
    payload: String,
    signature: String,
}

impl Token {
    /// Takes a token apart.
    pub fn read(token: &str) -> Self {
        let parts: Vec<_> = token.split('.').map(str::to_owned).collect();
        let [header, payload, signature] = <[String; 3]>::try_from(parts)
            .unwrap_or_else(|_| panic!("not a signed token of three parts: {token}"));
        Self {
            header,
            payload,
            signature,
        }
    }

    /// What the token claims.
    pub fn claims(&self) -> Value {
        read(&self.payload)
    }

    /// The same claims, unsigned, with the algorithm `none`.
    pub fn unsigned(&self) -> String {
        let header = changed(&self.header, "alg", json!("none"));
        format!("{header}.{}.", self.payload)
    }

    /// The same header and claims, signed with a key of the forger.
    pub fn signed_by_a_foreign_key(&self) -> String {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a new key");
        let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key just made");
        let signed = format!("{}.{}", self.header, self.payload);
        let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// Another claim under the old signature.
    pub fn with_claim(&self, name: &str, value: Value) -> String {
        let payload = changed(&self.payload, name, value);
        format!("{}.{payload}.{}", self.header, self.signature)
    }

    /// The same claims under a key id that the server does not know.
    pub fn with_unknown_key_id(&self) -> String {
        let header = changed(&self.header, "kid", json!("of-another-house"));
        format!("{header}.{}.{}", self.payload, self.signature)
    }

    /// The same token without the end of its signature.
    pub fn cut_short(&self) -> String {
        format!("{}.{}.{}", self.header, self.payload, &self.signature[..20])
    }
}

fn read(part: &str) -> Value {
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .expect("a part of a token is base64");
    serde_json::from_slice(&bytes).expect("a part of a token is JSON")
}

fn changed(part: &str, name: &str, value: Value) -> String {
    let mut content = read(part);
    content[name] = value;
    URL_SAFE_NO_PAD.encode(content.to_string())
}
