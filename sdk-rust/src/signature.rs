//! Verifies that a request comes from the server that holds our key.
//!
//! The kind of key decides the algorithm, never the token: `bsk_` is a shared secret (HS256), `bspk_` an Ed25519 public
//! key (EdDSA). A token is a JWT in compact form whose claims bind it to the app, the run, the invocation and the exact
//! bytes of the body. Two keys may be configured for rotation. Written on the primitives rather than on a JWT library:
//! the protocol fixes header, algorithm and claims, and no part of such a library's choice is wanted here.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::time;
use crate::wire::hex;

/// The longest time a token may be valid for, in seconds.
const LIFETIME_S_MAX: u64 = 300;

/// How far the clocks of server and handler may be apart, in seconds.
const SKEW_S_MAX: u64 = 60;

/// The `sub` of a discovery's token.
pub(crate) const DISCOVER: &str = "discover";

/// A key that requests are verified with.
#[derive(Clone)]
pub(crate) enum Key {
    Secret(Vec<u8>),
    Public(Box<VerifyingKey>),
}

/// What a token must say, as far as that is known before the body is parsed.
pub(crate) struct Expected<'a> {
    pub(crate) app: &'a str,
    pub(crate) body: &'a [u8],
    pub(crate) now: SystemTime,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// What a verified token says.
#[derive(Deserialize)]
pub(crate) struct Claims {
    aud: String,
    sub: String,
    #[serde(default)]
    inv: Option<String>,
    bod: String,
    iat: u64,
    exp: u64,
}

/// Reads `BACKSTITCH_KEY`: keys separated by commas. The error names what is wrong, never the key.
pub(crate) fn parse_keys(text: &str) -> Result<Vec<Key>, String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(parse_key).collect()
}

fn parse_key(text: &str) -> Result<Key, String> {
    let (secret, encoded) = match (text.strip_prefix("bsk_"), text.strip_prefix("bspk_")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err("a key in BACKSTITCH_KEY begins with neither `bsk_` nor `bspk_`".to_owned()),
    };
    let bytes: [u8; 32] = URL_SAFE_NO_PAD
        .decode(encoded)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or("a key in BACKSTITCH_KEY is not 32 bytes in base64url: was it cut while copying?")?;
    if secret {
        return Ok(Key::Secret(bytes.to_vec()));
    }
    let key = VerifyingKey::from_bytes(&bytes).map_err(|_| "the bspk_ key in BACKSTITCH_KEY is no Ed25519 key")?;
    Ok(Key::Public(Box::new(key)))
}

/// Checks the `authorization` header of a request; the error says what does not hold. Whom the token is for is left to
/// [`Claims::check_subject`], since only the body says it.
pub(crate) fn verify(keys: &[Key], authorization: Option<&str>, expected: &Expected<'_>) -> Result<Claims, String> {
    let header = authorization.ok_or("the request is not signed")?;
    let token = header.strip_prefix("Bearer ").ok_or("the authorization header is no bearer token")?;
    let (signed, signature) = token.rsplit_once('.').ok_or("the bearer token is no JWT")?;
    let (head, payload) = signed.split_once('.').ok_or("the bearer token is no JWT")?;
    let head: Header = decode(head)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "the signature is not base64url")?;
    if !keys.iter().any(|key| key.has_signed(&head.alg, signed.as_bytes(), &signature)) {
        return Err(
            "the signature does not match BACKSTITCH_KEY: is it the key of this app and environment?".to_owned()
        );
    }
    let claims: Claims = decode(payload)?;
    claims.check(expected)?;
    Ok(claims)
}

impl Key {
    fn has_signed(&self, algorithm: &str, signed: &[u8], signature: &[u8]) -> bool {
        match self {
            Key::Secret(secret) => {
                let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return false };
                mac.update(signed);
                // Compares in constant time.
                algorithm == "HS256" && mac.verify_slice(signature).is_ok()
            }
            Key::Public(key) => {
                let Ok(signature) = Signature::from_slice(signature) else { return false };
                algorithm == "EdDSA" && key.verify_strict(signed, &signature).is_ok()
            }
        }
    }
}

impl Claims {
    /// Whether the token was made for this run (or [`DISCOVER`]) and this invocation.
    pub(crate) fn check_subject(&self, subject: &str, invocation: Option<&str>) -> Result<(), String> {
        if self.sub != subject {
            return Err(format!("the token is for `{}`, the request is for `{subject}`", self.sub));
        }
        if self.inv.as_deref() != invocation {
            return Err("the token is for another invocation than the body".to_owned());
        }
        Ok(())
    }

    fn check(&self, expected: &Expected<'_>) -> Result<(), String> {
        let now = time::unix_seconds(expected.now);
        if self.aud != expected.app {
            return Err(format!("the token is for the app `{}`, this is `{}`", self.aud, expected.app));
        }
        if self.exp < self.iat || self.exp - self.iat > LIFETIME_S_MAX {
            return Err(format!("the token is valid for longer than {LIFETIME_S_MAX} s"));
        }
        if self.exp.saturating_add(SKEW_S_MAX) < now {
            return Err(format!("the token expired {} s ago: are the clocks right?", now - self.exp));
        }
        if self.iat > now.saturating_add(SKEW_S_MAX) {
            return Err(format!("the token comes from {} s in the future: are the clocks right?", self.iat - now));
        }
        if self.bod != hex(&Sha256::digest(expected.body)) {
            return Err("the body is not the one that was signed: does something between rewrite it?".to_owned());
        }
        Ok(())
    }
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, String> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| "the bearer token is no JWT")?;
    serde_json::from_slice(&bytes).map_err(|error| format!("the bearer token lacks a claim: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_keys_and_says_what_is_wrong() {
        let good = format!("bsk_{}, bsk_{}", URL_SAFE_NO_PAD.encode([7; 32]), URL_SAFE_NO_PAD.encode([8; 32]));
        assert_eq!(parse_keys(&good).unwrap().len(), 2);
        assert_eq!(parse_keys("").unwrap().len(), 0);
        for bad in ["hello", "bsk_", "bsk_AAAA", "bspk_!!"] {
            let error = parse_keys(bad).err().unwrap();
            assert!(error.contains("BACKSTITCH_KEY"), "{error}");
        }
    }
}
