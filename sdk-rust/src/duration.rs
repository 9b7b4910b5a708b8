//! Durations as people write them: `2.minutes()` in code, `"1h30m"` on the wire.
//!
//! The wire takes integer parts with the units `ms s m h d w`, or integer milliseconds, up to ten years. Fractions are
//! refused there, and what is finer than a millisecond is rounded up here, so that a wait is never shorter than asked for.

use std::time::Duration;

/// The longest duration that the server takes, in milliseconds: ten years of 365 days.
pub(crate) const DURATION_MS_MAX: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

const UNITS: [(&str, u64); 6] = [
    ("w", 7 * 24 * 60 * 60 * 1000),
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// Durations from numbers.
///
/// ```
/// use backstitch::DurationExt;
/// use std::time::Duration;
///
/// assert_eq!(90.minutes(), Duration::from_secs(5400));
/// assert_eq!(2.days(), 48.hours());
/// ```
pub trait DurationExt: Sized {
    /// So many milliseconds.
    fn milliseconds(self) -> Duration;
    /// So many seconds.
    fn seconds(self) -> Duration;
    /// So many minutes.
    fn minutes(self) -> Duration;
    /// So many hours.
    fn hours(self) -> Duration;
    /// So many days of 24 hours.
    fn days(self) -> Duration;
    /// So many weeks of seven days.
    fn weeks(self) -> Duration;
}

// For `u64` alone: a second implementation would make the type of a bare literal ambiguous.
impl DurationExt for u64 {
    fn milliseconds(self) -> Duration {
        Duration::from_millis(self)
    }
    fn seconds(self) -> Duration {
        Duration::from_secs(self)
    }
    fn minutes(self) -> Duration {
        Duration::from_secs(self.saturating_mul(60))
    }
    fn hours(self) -> Duration {
        Duration::from_secs(self.saturating_mul(60 * 60))
    }
    fn days(self) -> Duration {
        Duration::from_secs(self.saturating_mul(24 * 60 * 60))
    }
    fn weeks(self) -> Duration {
        Duration::from_secs(self.saturating_mul(7 * 24 * 60 * 60))
    }
}

/// Whole milliseconds, rounded up.
pub(crate) fn to_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// The wire's form: `1h30m`, `250ms`, `0ms`.
pub(crate) fn format(duration: Duration) -> String {
    let mut rest = to_ms(duration);
    if rest == 0 {
        return "0ms".to_owned();
    }
    let mut text = String::new();
    for (unit, ms) in UNITS {
        if rest >= ms {
            text.push_str(&format!("{}{unit}", rest / ms));
            rest %= ms;
        }
    }
    text
}

/// Reads the wire's form, or says what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration: write integers with units, such as \"1h30m\" or \"250ms\"");
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_lowercase()).len();
        let (unit, tail) = tail.split_at(letters);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let (_, ms) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        total = number
            .checked_mul(*ms)
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= DURATION_MS_MAX)
            .ok_or_else(|| format!("`{text}` is longer than ten years"))?;
        rest = tail;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_millis(total)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_reads() {
        for text in ["1h30m", "250ms", "1w2d3h4m5s6ms", "0ms"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
        assert_eq!(format(parse("90m").unwrap()), "1h30m");
        assert_eq!(format(Duration::from_nanos(1)), "1ms");
    }

    #[test]
    fn refuses_what_the_server_refuses() {
        for text in ["", "1.5h", "1", "h", "1 h", "-1h", "1y", "99999999999999999999s", "3651d"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
