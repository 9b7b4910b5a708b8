//! The signature on a request: a short-lived JWT over the app, the environment, the run, the invocation and the body's
//! digest. Path and host are left out, because gateways rewrite them.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::key::SigningKey;
use crate::clock::Clock;
use crate::limits::SIGNATURE_SECONDS;
use crate::model::hex;

/// The subject of a request that asks an app what it is.
pub const DISCOVER: &str = "discover";

/// The header of an Ed25519 private key in PKCS #8 (RFC 8410): the seed follows.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// What one request is about.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'a> {
    /// The app that is called.
    pub app: &'a str,
    /// The run's id, or [`DISCOVER`].
    pub subject: &'a str,
    /// The invocation's token; nothing for discovery.
    pub invocation: Option<&'a str>,
    /// The raw body.
    pub body: &'a [u8],
}

/// Why a request could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("failed to sign a request: {0}")]
pub struct SignError(#[from] jsonwebtoken::errors::Error);

/// Signs requests, if the server has a key.
pub struct Signer {
    environment: String,
    key: Option<(Header, EncodingKey)>,
    clock: Arc<dyn Clock>,
}

impl Signer {
    /// A signer for one environment. Without a key requests go out unsigned, which handlers take in dev only. The clock
    /// must tell the real time: handlers compare it with theirs.
    pub fn new(environment: impl Into<String>, key: Option<&SigningKey>, clock: Arc<dyn Clock>) -> Signer {
        let key = key.map(|key| match key {
            SigningKey::Shared(secret) => (Header::new(Algorithm::HS256), EncodingKey::from_secret(secret)),
            SigningKey::Private(seed) => {
                let der = [PKCS8_PREFIX.as_slice(), seed].concat();
                (Header::new(Algorithm::EdDSA), EncodingKey::from_ed_der(&der))
            }
        });
        Signer { environment: environment.into(), key, clock }
    }

    /// Whether requests are signed at all.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The JWT for a request; nothing when there is no key.
    pub fn sign(&self, claims: Claims<'_>) -> Result<Option<String>, SignError> {
        let Some((header, key)) = &self.key else { return Ok(None) };
        let iat = self.clock.wall().0.max(0).unsigned_abs() / 1_000;
        let digest = hex(&Sha256::digest(claims.body));
        let payload = Payload {
            aud: claims.app,
            env: &self.environment,
            sub: claims.subject,
            inv: claims.invocation,
            bod: &digest,
            iat,
            exp: iat + SIGNATURE_SECONDS,
        };
        Ok(Some(jsonwebtoken::encode(header, &payload, key)?))
    }
}

#[derive(Serialize)]
struct Payload<'a> {
    aud: &'a str,
    env: &'a str,
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    inv: Option<&'a str>,
    bod: &'a str,
    iat: u64,
    exp: u64,
}
