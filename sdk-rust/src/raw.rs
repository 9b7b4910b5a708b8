//! JSON as bytes that nobody has looked into.
//!
//! Payloads pass through the SDK as slices of the request they came in, and are decoded only where a handler asks for a
//! value. A `Raw` always holds one complete JSON value: it is made by a parser or by a serializer, never from free text.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::duration;
use crate::error::Error;

/// One JSON value as bytes. Cloning is cheap and shares the memory.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Raw(Bytes);

impl Raw {
    pub(crate) fn null() -> Raw {
        Raw(Bytes::from_static(b"null"))
    }

    pub(crate) fn empty_object() -> Raw {
        Raw(Bytes::from_static(b"{}"))
    }

    /// The slice of `body` that `value` was parsed from; copies nothing.
    pub(crate) fn slice_of(body: &Bytes, value: &RawValue) -> Raw {
        Raw(body.slice_ref(value.get().as_bytes()))
    }

    /// The slice of this value that `part` was parsed from; copies nothing.
    pub(crate) fn part(&self, part: &RawValue) -> Raw {
        Raw::slice_of(&self.0, part)
    }

    /// What a writer of JSON has written. The caller vouches for it being one whole value.
    pub(crate) fn written(bytes: Vec<u8>) -> Raw {
        Raw(Bytes::from(bytes))
    }

    /// Encodes a value; `what` names it in the error, which is terminal because a value that JSON cannot hold today it
    /// cannot hold tomorrow either.
    pub(crate) fn encode<T: Serialize + ?Sized>(value: &T, what: &str) -> Result<Raw, Error> {
        if let Ok(bytes) = serde_json::to_vec(value) {
            return Ok(Raw(Bytes::from(bytes)));
        }
        // Only now is the path worth its cost.
        let mut sink = serde_json::Serializer::new(Vec::new());
        let message = match serde_path_to_error::serialize(value, &mut sink) {
            Err(error) => format!("{what} cannot be written as JSON at `{}`: {}", error.path(), error.inner()),
            Ok(()) => format!("{what} cannot be written as JSON"),
        };
        Err(Error::terminal("UnserializableError", message))
    }

    /// Decodes the value; `what` names it in the error, which is terminal because the bytes will not change.
    pub(crate) fn decode<T: DeserializeOwned>(&self, what: &str) -> Result<T, Error> {
        if let Ok(value) = serde_json::from_slice(&self.0) {
            return Ok(value);
        }
        let mut source = serde_json::Deserializer::from_slice(&self.0);
        let message = match serde_path_to_error::deserialize::<_, T>(&mut source) {
            Err(error) => format!("{what} is not what the code expects, at `{}`: {}", error.path(), error.inner()),
            Ok(value) => return Ok(value),
        };
        Err(Error::terminal("DeserializationError", message))
    }

    /// As [`Raw::encode`], with an error named `TooLarge` for more than `bytes_max`; `advice` says what to do then.
    pub(crate) fn bounded<T: Serialize + ?Sized>(
        value: &T,
        what: &str,
        bytes_max: usize,
        advice: &str,
    ) -> Result<Raw, Error> {
        let written = Raw::encode(value, what)?;
        if written.len() <= bytes_max {
            return Ok(written);
        }
        let message = format!("{what} has {} bytes, and may have {bytes_max}: {advice}", written.len());
        Err(Error::terminal("TooLarge", message))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes themselves.
    #[cfg(feature = "client")]
    pub(crate) fn into_bytes(self) -> Bytes {
        self.0
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Writes a JSON object field by field, in the order of the calls: digests are taken over the bytes.
pub(crate) struct ObjectWriter(Vec<u8>);

impl ObjectWriter {
    pub(crate) fn new() -> ObjectWriter {
        ObjectWriter(vec![b'{'])
    }

    pub(crate) fn raw(mut self, key: &str, value: &Raw) -> ObjectWriter {
        self.key(key);
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    pub(crate) fn text(mut self, key: &str, value: &str) -> ObjectWriter {
        self.key(key);
        serde_json::to_writer(&mut self.0, value).expect("text is JSON, and a Vec takes every write");
        self
    }

    pub(crate) fn optional_text(self, key: &str, value: Option<&str>) -> ObjectWriter {
        match value {
            Some(value) => self.text(key, value),
            None => self,
        }
    }

    pub(crate) fn duration(self, key: &str, value: Option<Duration>) -> ObjectWriter {
        self.optional_text(key, value.map(duration::format).as_deref())
    }

    pub(crate) fn yes(mut self, key: &str) -> ObjectWriter {
        self.key(key);
        self.0.extend_from_slice(b"true");
        self
    }

    pub(crate) fn finish(mut self) -> Raw {
        self.0.push(b'}');
        Raw(Bytes::from(self.0))
    }

    fn key(&mut self, key: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        serde_json::to_writer(&mut self.0, key).expect("text is JSON, and a Vec takes every write");
        self.0.push(b':');
    }
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}
