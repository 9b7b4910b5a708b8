//! People's JSON, carried as the bytes it came in. The server copies these bytes; it does not parse and print them again.

use std::fmt;

use bytes::Bytes;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// One JSON value as bytes (UTF-8, no surrounding white space is promised). Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Payload(Bytes);

/// Why bytes are not a payload.
#[derive(Debug, thiserror::Error)]
#[error("failed to read JSON: {0}")]
pub struct PayloadError(#[from] serde_json::Error);

impl Payload {
    /// The JSON value `null`.
    pub fn null() -> Payload {
        Payload(Bytes::from_static(b"null"))
    }

    /// Takes bytes that come from outside: they must be exactly one JSON value.
    pub fn parse(bytes: Bytes) -> Result<Payload, PayloadError> {
        serde_json::from_slice::<&RawValue>(&bytes)?;
        Ok(Payload(bytes))
    }

    /// Takes bytes that this server wrote earlier (a column, a message) and that were JSON then.
    pub fn trusted(bytes: impl Into<Bytes>) -> Payload {
        Payload(bytes.into())
    }

    /// Prints a value as JSON.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Payload, PayloadError> {
        Ok(Payload(serde_json::to_vec(value)?.into()))
    }

    /// The JSON text as bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// How many bytes the JSON text has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the text has no bytes; a payload from outside never is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The JSON text as it goes into another document without being parsed.
    pub fn as_raw(&self) -> Result<&RawValue, PayloadError> {
        Ok(serde_json::from_slice(&self.0)?)
    }

    /// Reads the payload as a Rust value.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, PayloadError> {
        Ok(serde_json::from_slice(&self.0)?)
    }
}

impl From<&RawValue> for Payload {
    fn from(raw: &RawValue) -> Payload {
        Payload(Bytes::copy_from_slice(raw.get().as_bytes()))
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_raw().map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Payload, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer).map_err(D::Error::custom)?;
        Ok(Payload::from(&*raw))
    }
}

impl fmt::Debug for Payload {
    /// Shows at most 80 bytes, so that a failing assertion stays readable and a log line cannot spill a whole payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.0);
        if text.chars().count() <= 80 {
            return write!(f, "`{text}`");
        }
        let head: String = text.chars().take(80).collect();
        write!(f, "`{head}…` ({} bytes)", self.0.len())
    }
}
