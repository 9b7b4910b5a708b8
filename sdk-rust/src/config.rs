//! What an app takes from its environment. The only file that reads variables.
//!
//! `BACKSTITCH_KEY` holds the keys that the server's requests are verified with; `BACKSTITCH_DEV=1` accepts unsigned
//! requests where no key is configured; `BACKSTITCH_VERSION` names the deployment, else a published version on AWS Lambda does;
//! `BACKSTITCH_DEPLOYMENT_URL` is its own address, if it has one; `BACKSTITCH_URL` is where the client finds the server. `BACKSTITCH_CHAOS` is set where
//! the server counts what is done to the world.

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
    /// The address at which this version is served for ever.
    pub(crate) deployment_url: Option<String>,
}

impl Config {
    pub(crate) fn from_environment() -> Config {
        Config {
            keys: signature::parse_keys(&env::var("BACKSTITCH_KEY").unwrap_or_default()),
            dev: env::var("BACKSTITCH_DEV").is_ok_and(|value| value == "1"),
            version: variable("BACKSTITCH_VERSION").or_else(lambda_version),
            deployment_url: variable("BACKSTITCH_DEPLOYMENT_URL"),
        }
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The published version of a function on AWS Lambda. Its address is an alias's or the newest version's, which leads
/// elsewhere tomorrow.
fn lambda_version() -> Option<String> {
    let version = variable("AWS_LAMBDA_FUNCTION_VERSION").filter(|version| version != "$LATEST")?;
    Some(format!("{}-{version}", variable("AWS_LAMBDA_FUNCTION_NAME").as_deref().unwrap_or("lambda")))
}

/// The server that counts what is done to the world, under `backstitch dev --chaos`.
#[cfg(feature = "client")]
pub(crate) fn chaos() -> Option<String> {
    variable("BACKSTITCH_CHAOS")?;
    variable("BACKSTITCH_URL")
}

/// The server's address and the key that the client shows it.
#[cfg(feature = "client")]
pub(crate) fn client() -> (Option<String>, Option<String>) {
    let url = variable("BACKSTITCH_URL");
    let keys = env::var("BACKSTITCH_KEY").unwrap_or_default();
    // Only a shared secret proves who asks; a public key is public.
    let key = keys.split(',').map(str::trim).find(|key| key.starts_with("bsk_")).map(str::to_owned);
    (url, key)
}
