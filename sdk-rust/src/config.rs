//! What an app takes from its environment. The only file that reads variables.
//!
//! `BACKSTITCH_KEY` holds the keys that the server's requests are verified with; `BACKSTITCH_DEV=1` accepts unsigned
//! requests where no key is configured; `BACKSTITCH_VERSION` names the deployment; `BACKSTITCH_URL` is where the client
//! finds the server.

#![expect(clippy::disallowed_methods, reason = "the SDK's one door to environment variables")]

use std::env;

use crate::signature::{self, Key};

/// How an app knows that a request comes from its server, and what it calls its deployment.
#[derive(Clone)]
pub(crate) struct Config {
    /// The keys, or why they could not be read: then every request is refused with that reason.
    pub(crate) keys: Result<Vec<Key>, String>,
    pub(crate) dev: bool,
    pub(crate) version: Option<String>,
}

impl Config {
    pub(crate) fn from_environment() -> Config {
        Config {
            keys: signature::parse_keys(&env::var("BACKSTITCH_KEY").unwrap_or_default()),
            dev: env::var("BACKSTITCH_DEV").is_ok_and(|value| value == "1"),
            version: env::var("BACKSTITCH_VERSION").ok().filter(|version| !version.is_empty()),
        }
    }
}

/// The server's address and the key that the client shows it.
#[cfg(feature = "client")]
pub(crate) fn client() -> (Option<String>, Option<String>) {
    let url = env::var("BACKSTITCH_URL").ok().filter(|url| !url.is_empty());
    let keys = env::var("BACKSTITCH_KEY").unwrap_or_default();
    // Only a shared secret proves who asks; a public key is public.
    let key = keys.split(',').map(str::trim).find(|key| key.starts_with("bsk_")).map(str::to_owned);
    (url, key)
}
