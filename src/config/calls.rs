//! How handlers are called: which addresses are allowed, and with which key requests are signed.

use std::path::Path;

use super::ConfigError;
use super::layers::{Layers, parsed};
use super::settings::{EGRESS, KEY, KEY_FILE};
use crate::auth::SigningKey;
use crate::dispatch::Egress;
use crate::limits::KEY_FILE_BYTES_MAX;

/// How handlers are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    /// Which addresses may be called.
    pub egress: Egress,
    /// The key that signs requests, if there is one.
    pub key: Option<SigningKey>,
}

impl Calls {
    /// Reads the concern, and the file with the key.
    ///
    /// # Errors
    /// When a value cannot be read, or when the key is said twice.
    pub fn read(layers: &Layers) -> Result<Calls, ConfigError> {
        let egress = layers.read_or(&EGRESS, EGRESS.default, parsed)?.value;
        let key = layers.read(&KEY, signing_key)?;
        let key_file = layers.read(&KEY_FILE, |path| key_in(Path::new(path)))?;
        if let (Some(key), Some(file)) = (&key, &key_file) {
            let reason = "both give the key; keep one of them".to_owned();
            return Err(ConfigError::Together { one: key.source.clone(), other: file.source.clone(), reason });
        }
        Ok(Calls { egress, key: key.or(key_file).map(|found| found.value) })
    }
}

fn signing_key(text: &str) -> Result<SigningKey, String> {
    if text.contains(',') {
        return Err(
            "it holds several keys; the server signs with one, only apps hold two while keys are changed".to_owned()
        );
    }
    parsed(text)
}

fn key_in(path: &Path) -> Result<SigningKey, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    if std::fs::metadata(path).map_err(failed)?.len() > KEY_FILE_BYTES_MAX {
        return Err(format!(
            "{} has more than {KEY_FILE_BYTES_MAX} bytes; it should hold a key and nothing else",
            path.display()
        ));
    }
    signing_key(std::fs::read_to_string(path).map_err(failed)?.trim())
}
