//! The SDK's one door to time: RFC 3339 in UTC with milliseconds on the wire, `SystemTime` in the surface.
//!
//! Handlers get their time from the journal. Only the bookkeeping around them (when a step's body began and ended, when a
//! signature expires) reads a clock, and gets it as an argument, so that the test kit can skip it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::Offset;
use tokio::time::Instant;

/// Where the present comes from.
#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub(crate) fn system() -> Clock {
        #[expect(clippy::disallowed_methods, reason = "the SDK's one door to the system's time")]
        Clock(Arc::new(SystemTime::now))
    }

    /// A clock that the caller owns.
    pub(crate) fn of(read: impl Fn() -> SystemTime + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(read))
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.0)()
    }
}

/// The moment on the runtime's clock, by which waits of an invocation are measured. Handlers never see it.
pub(crate) fn instant() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the SDK's one door to monotonic time")]
    Instant::now()
}

/// `2026-03-01T12:00:00.000Z`. A time beyond the year 9999 is written as the last one before it.
pub(crate) fn format(time: SystemTime) -> String {
    let time = Offset::UTC.to_datetime(Timestamp::try_from(time).unwrap_or(Timestamp::MAX));
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut write = |end: usize, mut value: u32| {
        let mut at = end;
        while value > 0 {
            text[at] = b'0' + (value % 10) as u8;
            (value, at) = (value / 10, at.saturating_sub(1));
        }
    };
    // Nothing that is timed here was before the year 0.
    write(3, u32::from(time.year().unsigned_abs()));
    write(6, u32::from(time.month().unsigned_abs()));
    write(9, u32::from(time.day().unsigned_abs()));
    write(12, u32::from(time.hour().unsigned_abs()));
    write(15, u32::from(time.minute().unsigned_abs()));
    write(18, u32::from(time.second().unsigned_abs()));
    write(22, u32::from(time.millisecond().unsigned_abs()));
    String::from_utf8_lossy(&text).into_owned()
}

/// Reads an RFC 3339 time.
pub(crate) fn parse(text: &str) -> Result<SystemTime, String> {
    text.parse::<Timestamp>()
        .map(SystemTime::from)
        .map_err(|error| format!("`{text}` is not an RFC 3339 time: {error}"))
}

/// Whole seconds since 1970, as signatures count them.
pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_milliseconds_always() {
        let time = parse("2026-03-01T12:00:00Z").unwrap();
        assert_eq!(format(time), "2026-03-01T12:00:00.000Z");
        assert_eq!(format(time + Duration::from_micros(1500)), "2026-03-01T12:00:00.001Z");
        assert_eq!(parse("2026-03-01T13:00:00+01:00").unwrap(), time);
        assert!(parse("yesterday").is_err());
    }
}
