//! Points in time, and the moment at which a decision is taken. Nothing here asks a clock: see `clock.rs`.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Span;

/// A point in time: milliseconds since the Unix epoch, UTC. On the wire it is RFC 3339 with milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// Why a text is not a point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read the time `{0}`: write RFC 3339, such as \"2026-11-22T09:30:00.000Z\"")]
pub struct TimeError(String);

impl Timestamp {
    /// Before everything: "now or being worked on" where a wake-up is meant.
    pub const ZERO: Timestamp = Timestamp(0);

    /// The point `span` later, saturating at the end of time.
    #[must_use]
    pub fn after(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(span.0).unwrap_or(i64::MAX)))
    }

    /// How long from `earlier` to `self`; nothing when `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Span {
        Span(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with milliseconds; what lies outside the calendar is shown as its nearest end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nearest = if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        let time = jiff::Timestamp::from_millisecond(self.0).unwrap_or(nearest);
        let civil = jiff::tz::Offset::UTC.to_datetime(time);
        let Ok(year) = u32::try_from(civil.year()) else { return write!(f, "{time:.3}") };
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let mut write = |end: usize, mut value: u32| {
            let mut at = end;
            while value > 0 {
                text[at] = b'0' + (value % 10) as u8;
                (value, at) = (value / 10, at.saturating_sub(1));
            }
        };
        write(YEAR.end - 1, year);
        write(MONTH.end - 1, u32::from(civil.month().unsigned_abs()));
        write(DAY.end - 1, u32::from(civil.day().unsigned_abs()));
        write(HOUR.end - 1, u32::from(civil.hour().unsigned_abs()));
        write(MINUTE.end - 1, u32::from(civil.minute().unsigned_abs()));
        write(SECOND.end - 1, u32::from(civil.second().unsigned_abs()));
        write(MILLISECOND.end - 1, u32::from(civil.millisecond().unsigned_abs()));
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Timestamp, TimeError> {
        if let Some(time) = read_canonical(text.as_bytes()) {
            return Ok(time);
        }
        let time: jiff::Timestamp = text.parse().map_err(|_| TimeError(text.chars().take(60).collect()))?;
        Ok(Timestamp(time.as_millisecond()))
    }
}

/// Where the numbers stand in a time as it is written here.
const YEAR: Range<usize> = 0..4;
const MONTH: Range<usize> = 5..7;
const DAY: Range<usize> = 8..10;
const HOUR: Range<usize> = 11..13;
const MINUTE: Range<usize> = 14..16;
const SECOND: Range<usize> = 17..19;
const MILLISECOND: Range<usize> = 20..23;

/// Reads a time that is written as ours are, `2026-11-22T09:30:00.000Z`: SDKs send two with every step. Nothing for any other,
/// and for a day that not every month has: those are read with more care.
fn read_canonical(text: &[u8]) -> Option<Timestamp> {
    let text: &[u8; 24] = text.try_into().ok()?;
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (23, b'Z')];
    if marks.iter().any(|(at, mark)| text[*at] != *mark) {
        return None;
    }
    let number = |range: Range<usize>| {
        text[range]
            .iter()
            .try_fold(0_i64, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
    };
    let (year, month, day) = (number(YEAR)?, number(MONTH)?, number(DAY)?);
    let (hour, minute, second) = (number(HOUR)?, number(MINUTE)?, number(SECOND)?);
    if year == 0 || !(1..=12).contains(&month) || !(1..=28).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Years that begin in March have their leap day last, and 153 days in every five months from there.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(Timestamp((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + number(MILLISECOND)?))
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        struct Written;

        impl Visitor<'_> for Written {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time in RFC 3339")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Written)
    }
}

/// When a decision is taken, and the chance it may use. Time and chance enter the engine only through this value.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The partition's time: never runs backwards.
    pub now: Timestamp,
    /// Entropy for ids and jitter of this one decision.
    pub seed: u128,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_with_milliseconds() {
        let time = Timestamp(1_700_000_000_007);
        assert_eq!(time.to_string(), "2023-11-14T22:13:20.007Z");
        assert_eq!("2023-11-14T22:13:20.007Z".parse(), Ok(time));
        assert_eq!("2023-11-14T23:13:20.007+01:00".parse(), Ok(time));
        assert!("yesterday".parse::<Timestamp>().is_err());
        assert!(Timestamp(i64::MAX).to_string().starts_with("9999-12-30"));
        assert!(Timestamp(i64::MAX).to_string().len() > 20);
        assert_eq!(Timestamp(i64::MIN).to_string(), "-009999-01-02T01:59:59.000Z");
    }

    /// Both ways of reading and writing agree, over ten thousand years.
    #[test]
    fn the_quick_way_agrees_with_the_careful_one() {
        let mut time = -62_135_596_800_000;
        let mut quick = 0;
        while time < 253_402_207_200_000 {
            let careful = jiff::Timestamp::from_millisecond(time).unwrap();
            let text = format!("{careful:.3}");
            assert_eq!(Timestamp(time).to_string(), text);
            if let Some(read) = read_canonical(text.as_bytes()) {
                assert_eq!(read, Timestamp(time), "{text}");
                quick += 1;
            }
            assert_eq!(text.parse(), Ok(Timestamp(time)));
            // Some five days, and always another time of the day.
            time += 432_119_713;
        }
        assert!(quick > 600_000, "{quick}");
        for text in [
            "2026-02-30T00:00:00.000Z",
            "2026-13-01T00:00:00.000Z",
            "2026-01-01T24:00:00.000Z",
            "2026-01-01T00:00:0a.000Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
