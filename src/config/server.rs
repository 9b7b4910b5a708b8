//! All that a server is told, concern by concern.

use super::layers::Layers;
use super::settings::{CORS_ORIGIN, ENVIRONMENT};
use super::{Calls, ConfigError, Listen, Log, ServerFlags, Storage};
use crate::limits::{CORS_ORIGINS_MAX, NAME_BYTES_MAX};
use crate::model::Text;

/// What kind of server it is. Some defaults follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// On a developer's machine.
    Dev,
    /// Where it matters.
    Start,
}

/// All that a server is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// What kind of server.
    pub mode: Mode,
    /// The environment's name.
    pub environment: Text,
    /// Where it is reached.
    pub listen: Listen,
    /// The origins whose web pages may read streams and results, with a token; `*` for all.
    pub cors_origins: Vec<String>,
    /// Where the data are.
    pub storage: Storage,
    /// How handlers are called.
    pub calls: Calls,
    /// What is logged.
    pub log: Log,
    /// Variables that look like settings and are none.
    pub unknown_variables: Vec<String>,
}

impl Server {
    /// Reads the settings from all places.
    ///
    /// # Errors
    /// When one of them cannot be used; the message names the place.
    pub fn load(flags: ServerFlags, mode: Mode) -> Result<Server, ConfigError> {
        Server::read(&Layers::load(flags.0)?, mode)
    }

    /// Says what was said means.
    ///
    /// # Errors
    /// When something cannot be used; the message names the place.
    pub fn read(layers: &Layers, mode: Mode) -> Result<Server, ConfigError> {
        let usual = match mode {
            Mode::Dev => "dev",
            Mode::Start => "production",
        };
        Ok(Server {
            mode,
            environment: layers.read_or(&ENVIRONMENT, usual, environment)?.value,
            listen: Listen::read(layers)?,
            cors_origins: layers.read(&CORS_ORIGIN, origins)?.map(|found| found.value).unwrap_or_default(),
            storage: Storage::read(layers, mode)?,
            calls: Calls::read(layers)?,
            log: Log::read(layers, mode)?,
            unknown_variables: layers.unknown_variables(),
        })
    }
}

fn environment(text: &str) -> Result<Text, String> {
    let fits = !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control);
    if fits {
        Ok(text.into())
    } else {
        Err(format!("a name has 1 to {NAME_BYTES_MAX} bytes and no control characters"))
    }
}

/// Reads a list of origins. What a browser sends is a scheme, a host and perhaps a port, and nothing behind them.
fn origins(text: &str) -> Result<Vec<String>, String> {
    let origins: Vec<String> = text
        .split(',')
        .map(|origin| origin.trim().trim_end_matches('/').to_owned())
        .filter(|it| !it.is_empty())
        .collect();
    if origins.len() > CORS_ORIGINS_MAX {
        return Err(format!("more than {CORS_ORIGINS_MAX} origins"));
    }
    let fits = |origin: &str| {
        let Some((scheme, host)) = origin.split_once("://") else { return origin == "*" };
        matches!(scheme, "http" | "https")
            && !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
    };
    match origins.iter().find(|origin| !fits(origin)) {
        Some(origin) => Err(format!(
            "`{origin}` is no origin; write a scheme, a host and, if it has one, the port, such as `https://app.example.com`; or `*`"
        )),
        None => Ok(origins),
    }
}
