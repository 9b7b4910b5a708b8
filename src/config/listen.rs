//! Where the server is reached. Addresses that other machines reach need a consent that says what it means.

use std::net::SocketAddr;

use super::ConfigError;
use super::layers::{Layers, Source, parsed, switch};
use super::settings::{ALLOW_NETWORK, LISTEN, PUBLIC_URL};

/// Where the server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Where it listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// The address under which clients know it.
    pub public_url: Option<String>,
}

impl Listen {
    /// Reads the concern.
    ///
    /// # Errors
    /// When a value cannot be read, or when the address is not loopback and nobody consented.
    pub fn read(layers: &Layers) -> Result<Listen, ConfigError> {
        let address = layers.read_or(&LISTEN, LISTEN.default, socket_address)?;
        let allowed = layers.read_or(&ALLOW_NETWORK, ALLOW_NETWORK.default, switch)?;
        if !address.value.ip().to_canonical().is_loopback() && !allowed.value {
            return Err(unprotected(address.value, address.source));
        }
        let public_url = layers.read(&PUBLIC_URL, http_url)?;
        Ok(Listen { address: address.value, public_url: public_url.map(|found| found.value) })
    }
}

fn unprotected(address: SocketAddr, source: Source) -> ConfigError {
    let reason = format!(
        "{address} can be reached by other machines, and the API has no keys yet: whoever reaches the port could start, \
         read and cancel every run. Listen on 127.0.0.1 and put a proxy that checks who is asking in front of it, or say \
         --allow-unauthenticated-network where only friends reach the port"
    );
    ConfigError::Value { source_of: source, reason }
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let with_host = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    parsed(with_host.as_deref().unwrap_or(text))
        .map_err(|_| format!("`{text}` is no address with a port; write it like 127.0.0.1:8484 or [::1]:8484"))
}

/// An address of the web, without what would be shown or never used.
pub(super) fn http_url(text: &str) -> Result<String, String> {
    let url: url::Url =
        text.parse().map_err(|error| format!("`{text}` is no URL ({error}); write it like http://127.0.0.1:8484"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(format!("`{text}` is no http or https address; write it like http://127.0.0.1:8484"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("it may have neither user and password nor query and fragment".to_owned());
    }
    Ok(url.to_string())
}
