//! The SDK's one door to time: RFC 3339 in UTC with milliseconds on the wire, `SystemTime` in the surface.
//!
//! Handlers get their time from the journal. Only the bookkeeping around them (when a step's body began and ended, when a
//! signature expires) reads a clock, and gets it as an argument, so that the test kit can skip it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
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
    let timestamp = Timestamp::try_from(time).unwrap_or(Timestamp::MAX);
    format!("{timestamp:.3}")
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
