//! Where commands find the server.

use super::ConfigError;
use super::layers::Layers;
use super::listen::http_url;
use super::settings::URL;

/// Where commands find the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The server's address, printed in full.
    pub url: String,
}

impl Client {
    /// Reads the concern.
    ///
    /// # Errors
    /// When the address is none.
    pub fn read(layers: &Layers) -> Result<Client, ConfigError> {
        Ok(Client { url: layers.read_or(&URL, URL.default, http_url)?.value })
    }
}
