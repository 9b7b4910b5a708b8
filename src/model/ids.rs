//! Ids: a prefix and 128 bits in Crockford base32. 48 bits of milliseconds, 64 bits of chance or of a cause's digest,
//! 16 bits of partition key, so that ids sort by time and any node can route by the id alone.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::Timestamp;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

const NO_DIGIT: u8 = 0xff;

/// What each byte of a text is worth.
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < ALPHABET.len() {
        digits[ALPHABET[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
};

/// Why a text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read the id `{text}`: expected `{prefix}` and 26 characters of 0-9 a-z without i l o u")]
pub struct IdError {
    prefix: &'static str,
    text: String,
}

fn print(value: u128) -> [u8; 26] {
    let mut out = [b'0'; 26];
    for (i, slot) in out.iter_mut().enumerate() {
        // The first character carries 3 bits, the other 25 carry 5 each: 128 in all.
        let shift = 125 - 5 * i;
        *slot = ALPHABET[((value >> shift) & 31) as usize];
    }
    out
}

fn read(prefix: &'static str, text: &str) -> Result<u128, IdError> {
    let error = || IdError { prefix, text: text.chars().take(48).collect() };
    let tail = text.strip_prefix(prefix).ok_or_else(error)?;
    if tail.len() != 26 {
        return Err(error());
    }
    let mut value: u128 = 0;
    for (i, byte) in tail.bytes().enumerate() {
        let digit = DIGITS[usize::from(byte)];
        if digit == NO_DIGIT || i == 0 && digit > 7 {
            return Err(error());
        }
        value = (value << 5) | u128::from(digit);
    }
    Ok(value)
}

/// 64 bits that follow from a cause: the same cause always makes the same id.
pub fn derive(parts: &[&[u8]]) -> u64 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let digest = hasher.finalize();
    u64::from_be_bytes([digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7]])
}

/// The partition key that a text leads to, such as a client-chosen run id.
pub fn partition_key(parts: &[&[u8]]) -> u16 {
    (derive(parts) & 0xffff) as u16
}

fn compose(at: Timestamp, middle: u64, partition: u16) -> u128 {
    let ms = u128::from(at.0.max(0) as u64 & 0xffff_ffff_ffff);
    (ms << 80) | (u128::from(middle) << 16) | u128::from(partition)
}

/// Bytes of an id's text.
const ID_BYTES: usize = 30;

/// The text of an id.
#[derive(Clone, Copy)]
pub struct IdText([u8; ID_BYTES]);

impl Deref for IdText {
    type Target = str;

    fn deref(&self) -> &str {
        // Prefixes and digits are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl $name {
            /// What every id of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// Composes an id from its time, 64 bits of chance or of a cause, and its partition key.
            pub fn new(at: Timestamp, middle: u64, partition: u16) -> $name {
                $name(compose(at, middle, partition))
            }

            /// The time in the id.
            pub fn at(self) -> Timestamp {
                Timestamp((self.0 >> 80) as i64)
            }

            /// The partition key: the last 16 bits.
            pub fn partition_key(self) -> u16 {
                (self.0 & 0xffff) as u16
            }

            /// The 26 characters after the prefix.
            pub fn tail(self) -> String {
                String::from_utf8_lossy(&print(self.0)).into_owned()
            }

            /// Its text, without an allocation.
            pub fn text(self) -> IdText {
                const { assert!($prefix.len() + 26 == ID_BYTES) };
                let mut text = [0; ID_BYTES];
                text[..$prefix.len()].copy_from_slice($prefix.as_bytes());
                text[$prefix.len()..].copy_from_slice(&print(self.0));
                IdText(text)
            }

            /// The bytes stored in the database: big-endian, so that they sort as the id does.
            pub fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }

            /// Reads the 16 bytes of a database column.
            pub fn from_slice(bytes: &[u8]) -> Option<$name> {
                Some($name(u128::from_be_bytes(bytes.try_into().ok()?)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<$name, IdError> {
                read($prefix, text).map($name)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

id!(
    /// One durable execution of a function.
    RunId, "run_"
);
id!(
    /// One accepted event.
    EventId, "evt_"
);
id!(
    /// One version of an app at one URL.
    DeploymentId, "dep_"
);

id!(
    /// One action on many runs.
    JobId, "job_"
);

/// The fenced identity of one invocation: unique, and increasing across restarts, because a restart takes a new epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// The epoch of the partition's ownership under which the invocation was made.
    pub epoch: u32,
    /// Counts the invocations of that epoch.
    pub counter: u64,
    /// The run that was invoked.
    pub run: RunId,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inv_{:x}.{:x}.", self.epoch, self.counter)?;
        f.write_str(std::str::from_utf8(&print(self.run.0)).unwrap_or_default())
    }
}

impl FromStr for Token {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Token, IdError> {
        let error = || IdError { prefix: "inv_", text: text.chars().take(64).collect() };
        let mut parts = text.strip_prefix("inv_").ok_or_else(error)?.split('.');
        let mut next = || parts.next().ok_or_else(error);
        let epoch = u32::from_str_radix(next()?, 16).map_err(|_| error())?;
        let counter = u64::from_str_radix(next()?, 16).map_err(|_| error())?;
        let run = RunId(read("", next()?).map_err(|_| error())?);
        if parts.next().is_some() { Err(error()) } else { Ok(Token { epoch, counter, run }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_printing_and_sort_by_time() {
        let a = RunId::new(Timestamp(1_700_000_000_000), u64::MAX, 7);
        let b = RunId::new(Timestamp(1_700_000_000_001), 0, 7);
        assert_eq!(a.to_string().parse::<RunId>(), Ok(a));
        assert!(a < b && a.to_string() < b.to_string());
        assert_eq!((a.at().0, a.partition_key()), (1_700_000_000_000, 7));
        assert_eq!(RunId::from_slice(&a.to_bytes()), Some(a));
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        let run = RunId::new(Timestamp(5), 5, 5).to_string();
        for text in [
            "",
            "run_",
            &run.replace("run_", "evt_"),
            &run.to_uppercase(),
            &format!("{run}0"),
            "run_zzzzzzzzzzzzzzzzzzzzzzzzzz",
        ] {
            assert!(text.parse::<RunId>().is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn tokens_survive_printing() {
        let token = Token { epoch: 3, counter: 77, run: RunId::new(Timestamp(9), 1, 2) };
        assert_eq!(token.to_string().parse::<Token>(), Ok(token));
        for text in ["inv_", "inv_1.2", "inv_1.2.x", "inv_1.2.00000000000000000000000000.4"] {
            assert!(text.parse::<Token>().is_err(), "{text} was accepted");
        }
    }
}
