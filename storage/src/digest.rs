//! Digests: what content is called by what it is.

mod running;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

pub use running::Running;

/// The algorithms a digest may be made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum Algorithm {
    /// SHA-256: 64 hexadecimal digits.
    Sha256,
    /// SHA-512: 128 hexadecimal digits.
    Sha512,
}

/// A digest as `algorithm:hex`, in lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Digest {
    /// The 32 bytes of a SHA-256.
    Sha256([u8; 32]),
    /// The 64 bytes of a SHA-512.
    Sha512([u8; 64]),
}

impl Digest {
    /// The SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::Sha256(Sha256::digest(bytes).into())
    }

    /// The digest of `bytes` by that algorithm.
    #[must_use]
    pub fn with(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut running = Running::new(algorithm);
        running.update(bytes);
        running.digest()
    }

    /// What it was made with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The part after the colon.
    #[must_use]
    pub fn hex(&self) -> String {
        match self {
            Self::Sha256(bytes) => hex::encode(bytes),
            Self::Sha512(bytes) => hex::encode(bytes),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is wrong with a text that should be a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// No colon.
    #[error("`{text}` is not a digest: write `sha256:` and 64 hexadecimal digits")]
    Form {
        /// The text.
        text: String,
    },
    /// An algorithm that is not known here.
    #[error("digest `{text}` uses `{algorithm}`; this registry takes sha256 and sha512")]
    Algorithm {
        /// The text.
        text: String,
        /// The part before the colon.
        algorithm: String,
    },
    /// Not the right digits.
    #[error("digest `{text}` must have {digits} digits of 0-9 and a-f after `{algorithm}:`")]
    Hex {
        /// The text.
        text: String,
        /// The part before the colon.
        algorithm: Algorithm,
        /// How many there must be.
        digits: usize,
    },
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let shown = || text.chars().take(200).collect();
        let (algorithm, digits) = text
            .split_once(':')
            .ok_or_else(|| DigestError::Form { text: shown() })?;
        let algorithm = algorithm.parse().map_err(|_| DigestError::Algorithm {
            text: shown(),
            algorithm: algorithm.chars().take(50).collect(),
        })?;
        let wrong = |digits| DigestError::Hex {
            text: shown(),
            algorithm,
            digits,
        };
        match algorithm {
            Algorithm::Sha256 => read_hex(digits).map(Self::Sha256).map_err(wrong),
            Algorithm::Sha512 => read_hex(digits).map(Self::Sha512).map_err(wrong),
        }
    }
}

/// The bytes of these lower-case digits, or how many digits there must be.
fn read_hex<const N: usize>(digits: &str) -> Result<[u8; N], usize> {
    let mut bytes = [0; N];
    let upper = digits.bytes().any(|digit| digit.is_ascii_uppercase());
    match hex::decode_to_slice(digits, &mut bytes) {
        Ok(()) if !upper => Ok(bytes),
        Ok(()) | Err(_) => Err(2 * N),
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_as_it_was_written() {
        let digest = Digest::of(b"");

        let text = digest.to_string();

        assert_eq!(
            text,
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(text.parse(), Ok(digest));
        assert_eq!(
            serde_json::from_str::<Digest>(&format!("\"{text}\"")).unwrap(),
            digest
        );
    }

    #[test]
    fn a_sha512_reads_back_too() {
        let digest = Digest::with(Algorithm::Sha512, b"abc");

        let text = digest.to_string();

        assert!(text.starts_with("sha512:ddaf35a193617aba"), "{text}");
        assert_eq!(text.len(), "sha512:".len() + 128);
        assert_eq!(text.parse(), Ok(digest));
    }

    #[test]
    fn what_is_wrong_with_a_digest_is_said() {
        let upper = format!("sha256:{}", "A".repeat(64));
        for (text, wanted) in [
            (
                "latest",
                "`latest` is not a digest: write `sha256:` and 64 hexadecimal digits",
            ),
            (
                "md5:00",
                "digest `md5:00` uses `md5`; this registry takes sha256 and sha512",
            ),
            (
                "sha256:00",
                "digest `sha256:00` must have 64 digits of 0-9 and a-f after `sha256:`",
            ),
            (
                "sha512:00",
                "digest `sha512:00` must have 128 digits of 0-9 and a-f after `sha512:`",
            ),
            (
                &upper,
                &*format!("digest `{upper}` must have 64 digits of 0-9 and a-f after `sha256:`"),
            ),
        ] {
            assert_eq!(text.parse::<Digest>().unwrap_err().to_string(), wanted);
        }
    }
}
