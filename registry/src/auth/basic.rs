//! `Authorization: Basic`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::SecretString;

/// A login and a password, as a request shows them.
#[derive(Debug)]
pub(super) struct Basic {
    pub(super) login: String,
    pub(super) password: SecretString,
}

impl Basic {
    /// Reads base64 of `login:password`; the password may hold colons.
    pub(super) fn parse(encoded: &str) -> Option<Self> {
        let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
        let (login, password) = decoded.split_once(':')?;
        Some(Self {
            login: login.to_owned(),
            password: password.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_password_may_hold_colons_and_letters_of_any_script() {
        let basic = Basic::parse(&BASE64_STANDARD.encode("admin:a:ß")).unwrap();

        assert_eq!(basic.login, "admin");
        assert_eq!(basic.password.expose_secret(), "a:ß");
    }

    #[test]
    fn what_is_not_base64_of_text_with_a_colon_is_refused() {
        for encoded in [
            "",
            "%%%",
            &BASE64_STANDARD.encode("admin"),
            &BASE64_STANDARD.encode([0xff, b':']),
        ] {
            assert!(Basic::parse(encoded).is_none(), "{encoded}");
        }
    }
}
