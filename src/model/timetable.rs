//! When the ticks of a schedule are: arithmetic on the calendar, which is the same on every machine. The time zones come
//! with the program, so that no machine's own files decide when something runs.
//!
//! A time zone cuts time into stretches of one offset. In each of them local times and points in time correspond one to one,
//! and a cron line is searched in it as if there were no time zones. What happens between two stretches is this module's rule:
//!
//! - A line that names its hours and minutes runs once for each local time that it names. If the clock goes over such a
//!   time, the tick is at the moment of the change; times that are gone over together are one tick. If the clock goes back
//!   over it, the first of the two counts.
//! - A line with a `*` for hours or minutes says how often, and goes by the time that passes: local times that do not exist
//!   are left out, and those that come twice are two ticks.

use std::sync::LazyLock;

use croner::Cron;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};

use super::{ScheduleKey, Span, Text, Timestamp, derive};
use crate::limits::{CRON_BYTES_MAX, EVERY_MS_MIN, TIME_ZONE_BYTES_MAX};

/// What says when ticks are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Timing {
    /// At the local times of a cron line.
    Cron {
        /// Five fields, or six with seconds first, or a nickname such as `@daily`.
        cron: Text,
        /// The name of a time zone, such as `Europe/Berlin`; UTC if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tz: Option<Text>,
    },
    /// At equal intervals, counted from the beginning of 1970 in UTC.
    Every {
        /// The interval.
        every: Span,
        /// How much later than the multiples of the interval.
        #[serde(default, skip_serializing_if = "is_nothing")]
        offset: Span,
    },
}

fn is_nothing(span: &Span) -> bool {
    span.0 == 0
}

/// Why something says no times, and in which of its fields. The message goes on from the field's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {message}")]
pub struct TimingProblem {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it, and what was expected.
    pub message: String,
}

/// Times that can be asked for.
#[derive(Clone, Debug)]
pub struct Timetable(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Every { every: i64, offset: i64 },
    Cron(Box<Line>),
}

#[derive(Clone, Debug)]
struct Line {
    cron: Cron,
    zone: TimeZone,
    /// Whether it names its hours and minutes.
    fixed: bool,
}

impl Timetable {
    /// Reads what says when ticks are.
    ///
    /// # Errors
    /// [`TimingProblem`], with the field.
    pub fn of(timing: &Timing) -> Result<Timetable, TimingProblem> {
        match timing {
            Timing::Cron { cron, tz } => Ok(Timetable(Kind::Cron(Box::new(line(cron, tz.as_deref())?)))),
            Timing::Every { every, offset } => {
                let problem = |field, message| Err(TimingProblem { field, message });
                if every.0 < EVERY_MS_MIN {
                    let message = format!("is {every}, and an interval has at least {}", Span(EVERY_MS_MIN));
                    return problem("every", message);
                }
                if offset >= every {
                    return problem("offset", format!("is {offset}, and must be less than the interval, {every}"));
                }
                let ms = |span: &Span| i64::try_from(span.0).unwrap_or(i64::MAX);
                Ok(Timetable(Kind::Every { every: ms(every), offset: ms(offset) }))
            }
        }
    }

    /// The first tick later than this time; nothing when there is none.
    pub fn after(&self, time: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Kind::Every { every, offset } => {
                let whole = time.0.checked_sub(*offset)?.div_euclid(*every);
                whole.checked_add(1)?.checked_mul(*every)?.checked_add(*offset).map(Timestamp)
            }
            Kind::Cron(line) => line.after(time),
        }
    }

    /// The last tick earlier than this time, at most ten years before it.
    pub fn before(&self, time: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Kind::Every { every, offset } => {
                let whole = time.0.checked_sub(offset.checked_add(1)?)?.div_euclid(*every);
                whole.checked_mul(*every)?.checked_add(*offset).map(Timestamp)
            }
            // Looks from points that lie further and further back, so that few ticks are gone through.
            Kind::Cron(line) => (0..)
                .map(|n| 1_000_i64 << (2 * n))
                .take_while(|back| *back < 2 * crate::limits::DURATION_MS_MAX as i64)
                .find_map(|back| {
                    let from = Timestamp(time.0.saturating_sub(back));
                    std::iter::successors(line.after(from), |tick| line.after(*tick))
                        .take_while(|tick| *tick < time)
                        .last()
                }),
        }
    }

    /// Ticks later than this time, in order.
    pub fn all_after(&self, time: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.after(time), |tick| self.after(*tick))
    }
}

/// By how much a tick is put off: a share of the schedule's jitter that is always the same for the same tick.
pub fn jitter_of(schedule: &ScheduleKey, tick: Timestamp, jitter: Span) -> Span {
    if jitter.0 == 0 {
        return jitter;
    }
    let chance = derive(&[b"jitter", schedule.to_string().as_bytes(), &tick.0.to_be_bytes()]);
    Span(chance % (jitter.0 + 1))
}

fn line(text: &str, tz: Option<&str>) -> Result<Line, TimingProblem> {
    let problem = |field, message| TimingProblem { field, message };
    if text.len() > CRON_BYTES_MAX {
        return Err(problem("cron", format!("has {} bytes, and a line has at most {CRON_BYTES_MAX}", text.len())));
    }
    let cron = croner::parser::CronParser::new().parse(text);
    let cron = cron.map_err(|error| problem("cron", format!("is no cron line: {error}")))?;
    let zone = match tz {
        None => TimeZone::UTC,
        Some(name) => zone(name).ok_or_else(|| {
            let shown: String = name.chars().take(60).collect();
            problem("tz", format!("`{shown}` is no time zone; use a name of the IANA database, such as Europe/Berlin"))
        })?,
    };
    let line = Line { cron, zone, fixed: names_its_times(text) };
    // The calendar repeats itself within 400 years, but nobody waits longer than some of them for a leap day on a Monday.
    let never = || problem("cron", "never comes: no day of the calendar fits it".to_owned());
    line.search(DateTime::constant(2000, 1, 1, 0, 0, 0, 0), true).ok_or_else(never)?;
    Ok(line)
}

fn zone(name: &str) -> Option<TimeZone> {
    static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    if name.is_empty() || name.len() > TIME_ZONE_BYTES_MAX {
        return None;
    }
    ZONES.get(name).ok()
}

/// Whether a line names its hours and minutes, and does not say how often.
fn names_its_times(text: &str) -> bool {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let open = |field: &str| field.contains(['*', '?']);
    match fields.as_slice() {
        [nickname] => !nickname.eq_ignore_ascii_case("@hourly"),
        [minute, hour, _, _, _] => !open(minute) && !open(hour),
        [_, minute, hour, ..] => !open(minute) && !open(hour),
        _ => true,
    }
}

impl Line {
    /// The first local time that fits, as if there were no time zones.
    fn search(&self, from: DateTime, inclusive: bool) -> Option<DateTime> {
        self.cron.find_next_occurrence(&from, inclusive).ok()
    }

    fn after(&self, time: Timestamp) -> Option<Timestamp> {
        let time = jiff::Timestamp::from_millisecond(time.0).ok()?;
        let mut offset = self.zone.to_offset(time);
        let local = offset.to_datetime(time);
        let mut found = match self.told_up_to(time).filter(|told| self.fixed && *told > local) {
            // The clock has gone back, and these local times had their ticks before it did.
            Some(told) => self.search(told, true)?,
            None => self.search(local, false)?,
        };
        for change in self.zone.following(time) {
            if at(found, offset)? < change.timestamp() {
                break;
            }
            let (ends, begins) =
                (offset.to_datetime(change.timestamp()), change.offset().to_datetime(change.timestamp()));
            let gone_over = begins > ends && found < begins;
            if gone_over && self.fixed {
                return Some(Timestamp(change.timestamp().as_millisecond()));
            }
            if gone_over || begins < ends && !self.fixed {
                found = self.search(begins, true)?;
            }
            offset = change.offset();
        }
        Some(Timestamp(at(found, offset)?.as_millisecond()))
    }

    /// The local time at which the stretch before the one of this time ended.
    fn told_up_to(&self, time: jiff::Timestamp) -> Option<DateTime> {
        let next = time.checked_add(jiff::SignedDuration::from_millis(1)).ok()?;
        let change = self.zone.preceding(next).next()?;
        let before = change.timestamp().checked_sub(jiff::SignedDuration::from_millis(1)).ok()?;
        Some(self.zone.to_offset(before).to_datetime(change.timestamp()))
    }
}

fn at(local: DateTime, offset: Offset) -> Option<jiff::Timestamp> {
    offset.to_timestamp(local).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cron: &str, tz: &str, after: &str, expected: &[&str]) {
        let table = Timetable::of(&Timing::Cron { cron: cron.into(), tz: Some(tz.into()) }).unwrap();
        let after: Timestamp = after.parse().unwrap();
        let ticks: Vec<String> = table.all_after(after).take(expected.len()).map(|tick| tick.to_string()).collect();
        let expected: Vec<String> =
            expected.iter().map(|time| time.parse::<Timestamp>().unwrap().to_string()).collect();
        assert_eq!(ticks, expected, "{cron} in {tz}");
        // From wherever it is asked, the next is the next: also from within a repeated hour.
        for pair in expected.windows(2) {
            let (from, to): (Timestamp, Timestamp) = (pair[0].parse().unwrap(), pair[1].parse().unwrap());
            let quarters = (0..).map(|n| Timestamp(from.0 + n * 900_000)).take_while(|time| *time < to).take(200);
            quarters.for_each(|time| assert_eq!(table.after(time), Some(to), "{cron} in {tz} after {time}"));
            assert_eq!(table.before(to), Some(from), "{cron} in {tz} before {to}");
        }
    }

    // Berlin goes from 02:00 to 03:00 on 2026-03-29, and from 03:00 back to 02:00 on 2026-10-25.
    #[test]
    fn a_daily_tick_comes_once_a_day() {
        let (spring, autumn) = ("2026-03-28T00:00:00Z", "2026-10-24T00:00:00Z");
        check(
            "30 2 * * *",
            "Europe/Berlin",
            spring,
            &["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
        );
        check(
            "30 2 * * *",
            "Europe/Berlin",
            autumn,
            &["2026-10-24T02:30:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
        );
        // Gone over together, they are one tick; what is named right after the change is the same one.
        check(
            "0,30 2,3 * * *",
            "Europe/Berlin",
            "2026-03-29T00:00:00+01:00",
            &["2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00", "2026-03-30T02:00:00+02:00"],
        );
        check(
            "0 2,14 * * *",
            "Europe/Berlin",
            autumn,
            &[
                "2026-10-24T14:00:00+02:00",
                "2026-10-25T02:00:00+02:00",
                "2026-10-25T14:00:00+01:00",
                "2026-10-26T02:00:00+01:00",
            ],
        );
        check("@daily", "Europe/Berlin", spring, &["2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"]);
    }

    #[test]
    fn a_rhythm_goes_by_the_time_that_passes() {
        check(
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-03-29T01:15:00+01:00",
            &["2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"],
        );
        check(
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-10-25T02:15:00+02:00",
            &[
                "2026-10-25T02:30:00+02:00",
                "2026-10-25T02:00:00+01:00",
                "2026-10-25T02:30:00+01:00",
                "2026-10-25T03:00:00+01:00",
            ],
        );
        check(
            "0 * * * *",
            "Europe/Berlin",
            "2026-10-25T01:00:00+02:00",
            &["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"],
        );
        check("*/20 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", &["2026-03-30T02:00:00+02:00"]);
    }

    #[test]
    fn zones_with_other_changes_have_the_same_rules() {
        // Lord Howe Island changes by half an hour: 02:00 to 02:30.
        check(
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T00:00:00+10:30",
            &["2026-10-03T02:15:00+10:30", "2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"],
        );
        // In Santiago the change is at midnight, and one day begins at 01:00.
        check(
            "0 0 * * *",
            "America/Santiago",
            "2026-09-05T00:00:00-04:00",
            &["2026-09-06T01:00:00-03:00", "2026-09-07T00:00:00-03:00"],
        );
        // Samoa left out a whole day when it crossed the date line.
        check(
            "0 12 * * *",
            "Pacific/Apia",
            "2011-12-29T00:00:00-10:00",
            &["2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"],
        );
        check("0 12 * * *", "UTC", "2026-10-25T12:00:00Z", &["2026-10-26T12:00:00Z", "2026-10-27T12:00:00Z"]);
        check(
            "0 12 29 2 *",
            "Europe/Berlin",
            "2026-01-01T00:00:00Z",
            &["2028-02-29T12:00:00+01:00", "2032-02-29T12:00:00+01:00"],
        );
        check(
            "*/10 * * * * *",
            "Asia/Kolkata",
            "2026-01-01T00:00:05Z",
            &["2026-01-01T00:00:10Z", "2026-01-01T00:00:20Z"],
        );
    }

    #[test]
    fn intervals_are_counted_from_a_fixed_point() {
        let every = |every, offset| Timetable::of(&Timing::Every { every: Span(every), offset: Span(offset) });
        let table = every(900_000, 60_000).unwrap();
        assert_eq!(table.after(Timestamp(0)), Some(Timestamp(60_000)));
        assert_eq!(table.after(Timestamp(60_000)), Some(Timestamp(960_000)));
        assert_eq!(table.before(Timestamp(960_000)), Some(Timestamp(60_000)));
        assert_eq!(table.before(Timestamp(960_001)), Some(Timestamp(960_000)));
        assert_eq!(table.after(Timestamp(-1_000_000)), Some(Timestamp(-840_000)));
        assert_eq!(table.after(Timestamp(i64::MAX)), None);
        assert_eq!(every(999, 0).unwrap_err().field, "every");
        assert_eq!(every(1_000, 1_000).unwrap_err().field, "offset");
    }

    #[test]
    fn what_says_no_times_is_refused_by_field() {
        for (cron, tz, field, word) in [
            ("every day", None, "cron", "no cron line"),
            ("0 0 30 2 *", None, "cron", "never comes"),
            ("0 9 * * *", Some("Europe/Atlantis"), "tz", "Europe/Atlantis"),
            ("0 9 * * *", Some(""), "tz", "no time zone"),
            (&"0,".repeat(300), None, "cron", "bytes"),
        ] {
            let problem = Timetable::of(&Timing::Cron { cron: cron.into(), tz: tz.map(Into::into) }).unwrap_err();
            assert_eq!(problem.field, field, "{problem}");
            assert!(problem.message.contains(word), "{problem}");
        }
    }

    #[test]
    fn jitter_is_a_share_that_stays() {
        let key = ScheduleKey { app: "shop".into(), schedule: "nightly".into() };
        let shares: Vec<u64> = (0..200).map(|n| jitter_of(&key, Timestamp(n * 1_000), Span(9)).0).collect();
        assert!((0..=9).all(|share| shares.contains(&share)), "{shares:?}");
        assert_eq!(jitter_of(&key, Timestamp(5), Span(1_000_000)), jitter_of(&key, Timestamp(5), Span(1_000_000)));
        assert_eq!(jitter_of(&key, Timestamp(5), Span(0)), Span(0));
    }
}
