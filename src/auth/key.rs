//! The key with which the server signs its requests to handlers. Its kind decides the algorithm: `bsk_…` is a secret that
//! both sides hold (HS256), `bssk_…` the private half of a pair (EdDSA) whose public half `bspk_…` handlers hold.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const SECRET: &str = "bsk_";
const PRIVATE: &str = "bssk_";
const PUBLIC: &str = "bspk_";

/// A signing key.
#[derive(Clone, PartialEq, Eq)]
pub enum SigningKey {
    /// A secret that the handler has, too.
    Shared([u8; 32]),
    /// The seed of an Ed25519 pair.
    Private([u8; 32]),
}

/// Why a text is not a signing key. The text itself is not repeated: it may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It begins with none of the known prefixes.
    #[error(
        "failed to read the signing key: it must begin with `bsk_` (shared secret) or `bssk_` (private Ed25519 key)"
    )]
    Prefix,
    /// It is the half that verifies.
    #[error("failed to read the signing key: a `bspk_` key only verifies; the server needs its private half, `bssk_…`")]
    Public,
    /// What follows the prefix is not 32 bytes.
    #[error("failed to read the signing key: after the prefix, 32 bytes in base64url without padding are expected")]
    Bytes,
}

impl SigningKey {
    /// A new shared secret from 32 bytes of entropy.
    pub fn shared(entropy: [u8; 32]) -> SigningKey {
        SigningKey::Shared(entropy)
    }

    /// A new pair from 32 bytes of entropy.
    pub fn private(entropy: [u8; 32]) -> SigningKey {
        SigningKey::Private(entropy)
    }

    /// The text that the server is configured with. A secret.
    pub fn reveal(&self) -> String {
        match self {
            SigningKey::Shared(secret) => format!("{SECRET}{}", URL_SAFE_NO_PAD.encode(secret)),
            SigningKey::Private(seed) => format!("{PRIVATE}{}", URL_SAFE_NO_PAD.encode(seed)),
        }
    }

    /// The text that handlers are configured with, as `BACKSTITCH_KEY`. A secret when the key is shared.
    pub fn for_handlers(&self) -> String {
        match self {
            SigningKey::Shared(_) => self.reveal(),
            SigningKey::Private(seed) => format!("{PUBLIC}{}", URL_SAFE_NO_PAD.encode(public_half(seed))),
        }
    }
}

fn public_half(seed: &[u8; 32]) -> Vec<u8> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("every 32 bytes are an Ed25519 seed");
    pair.public_key().as_ref().to_vec()
}

impl FromStr for SigningKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<SigningKey, KeyError> {
        let text = text.trim();
        if text.starts_with(PUBLIC) {
            return Err(KeyError::Public);
        }
        let (kind, encoded): (fn([u8; 32]) -> SigningKey, &str) =
            match (text.strip_prefix(SECRET), text.strip_prefix(PRIVATE)) {
                (Some(encoded), _) => (SigningKey::Shared, encoded),
                (_, Some(encoded)) => (SigningKey::Private, encoded),
                _ => return Err(KeyError::Prefix),
            };
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| KeyError::Bytes)?;
        Ok(kind(bytes.try_into().map_err(|_| KeyError::Bytes)?))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SigningKey::Shared(_) => "SigningKey(bsk_…)",
            SigningKey::Private(_) => "SigningKey(bssk_…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_printing_and_stay_out_of_logs() {
        for key in [SigningKey::shared([7; 32]), SigningKey::private([9; 32])] {
            assert_eq!(key.reveal().parse(), Ok(key.clone()));
            assert!(!format!("{key:?}").contains(&key.reveal()[6..]));
        }
    }

    #[test]
    fn handlers_get_the_half_that_they_need() {
        let seed: [u8; 32] = std::array::from_fn(|n| n as u8);
        assert_eq!(SigningKey::shared(seed).for_handlers(), "bsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
        assert_eq!(SigningKey::private(seed).for_handlers(), "bspk_A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg");
    }

    #[test]
    fn what_is_no_key_says_why() {
        for (text, error) in [
            ("", KeyError::Prefix),
            ("secret", KeyError::Prefix),
            ("bsk_", KeyError::Bytes),
            ("bsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg", KeyError::Bytes),
            ("bssk_not base64", KeyError::Bytes),
            ("bspk_A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg", KeyError::Public),
        ] {
            assert_eq!(text.parse::<SigningKey>(), Err(error), "{text}");
        }
    }
}
