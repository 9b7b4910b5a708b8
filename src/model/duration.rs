//! Durations as people write them: `"1h30m"` or integer milliseconds.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::DURATION_MS_MAX;

/// A length of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub u64);

const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not of the form integer+unit, once or more.
    #[error(
        "failed to read the duration `{0}`: write integers with units w, d, h, m, s or ms, such as \"1h30m\", or integer milliseconds"
    )]
    Malformed(String),
    /// Longer than the server keeps a timer.
    #[error("failed to take the duration `{0}`: at most 10 years are allowed")]
    TooLong(String),
}

impl Span {
    /// A span of `n` seconds.
    pub const fn seconds(n: u64) -> Span {
        Span(n * 1_000)
    }

    /// A span of `n` minutes.
    pub const fn minutes(n: u64) -> Span {
        Span(n * 60_000)
    }

    /// The same length for `tokio` and `std`.
    pub const fn std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}

impl FromStr for Span {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Span, DurationError> {
        let malformed = || DurationError::Malformed(text.chars().take(40).collect());
        let mut rest = text;
        let mut total: u64 = 0;
        if rest.is_empty() {
            return Err(malformed());
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let letters = rest[digits..].bytes().take_while(u8::is_ascii_lowercase).count();
            if digits == 0 || digits > 15 {
                return Err(malformed());
            }
            let unit = &rest[digits..digits + letters];
            let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(malformed)?;
            let count: u64 = rest[..digits].parse().map_err(|_| malformed())?;
            total = total.saturating_add(count.saturating_mul(*scale));
            rest = &rest[digits + letters..];
        }
        Span::bounded(total)
    }
}

impl Span {
    /// Takes milliseconds from outside.
    pub fn bounded(ms: u64) -> Result<Span, DurationError> {
        if ms > DURATION_MS_MAX { Err(DurationError::TooLong(ms.to_string())) } else { Ok(Span(ms)) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, scale) in UNITS {
            if rest >= scale {
                write!(f, "{}{unit}", rest / scale)?;
                rest %= scale;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a duration such as \"1h30m\", or integer milliseconds")]
        enum Written {
            Ms(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Ms(ms) => Span::bounded(ms).map_err(D::Error::custom),
            Written::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_what_people_write() {
        for (text, ms) in [("1h30m", 5_400_000), ("250ms", 250), ("3d", 259_200_000), ("1m1ms", 60_001)] {
            let span: Span = text.parse().expect(text);
            assert_eq!(span.0, ms);
            assert_eq!(span.to_string(), text);
        }
        assert_eq!("90m".parse::<Span>().map(|s| s.to_string()), Ok("1h30m".to_owned()));
    }

    #[test]
    fn refuses_everything_else() {
        for text in ["", "h", "1", "1.5h", "-1s", "1 h", "1H", "9999999999999999s", "1µs", "１s"] {
            assert!(text.parse::<Span>().is_err(), "{text} was accepted");
        }
        assert!(matches!("20000d".parse::<Span>(), Err(DurationError::TooLong(_))));
    }
}
