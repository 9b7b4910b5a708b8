//! The proof that a database is in order: checks in SQL, each with a sentence that says what it promises. It reads and never
//! writes, beside a running server or without one, a bounded range of runs at a time, so that no reader stands in the way
//! of the write-ahead log for long.

use std::path::Path;

use rusqlite::Connection;

use super::error::sorted;
use super::rows::{Read, all, first};
use super::{files, schema, sql};
use crate::limits::{VERIFY_EXAMPLES, VERIFY_RUNS};
use crate::model::{RunId, ScheduleKey, StateKey};
use crate::store::StoreError;

/// What one check found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Its name.
    pub name: &'static str,
    /// What is so, if it finds nothing.
    pub promise: &'static str,
    /// What to do, if it finds something.
    pub remedy: &'static str,
    /// How much it found.
    pub found: u64,
    /// The first of it.
    pub examples: Vec<Example>,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The run that it is about, if it is about one.
    pub run: Option<String>,
    /// What is wrong.
    pub what: String,
}

/// What all checks found.
#[derive(Clone, Debug)]
pub struct Verified {
    /// How many runs there are, give or take those that were created meanwhile.
    pub runs: u64,
    /// Every check.
    pub checks: Vec<Checked>,
}

/// Over what a check's statement goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// Runs between two numbers: `?1` and `?2`.
    Runs,
    /// Everything at once.
    All,
}

/// A check: its statement names what it finds, `(run id or null, what is wrong)`. A new one is a file in `sql/`, a row here,
/// and a planted fault in `tests/it/store/verify.rs`.
struct Check {
    name: &'static str,
    promise: &'static str,
    remedy: &'static str,
    over: Over,
    statement: &'static str,
}

const REPORT: &str = "this is a defect of the server: please report it, with `backstitch run RUN --json` of an example";

const STUCK: &str = "a running server finds such runs and looks at them again; one that stays is made again with `backstitch fork RUN` \
    and ended with `backstitch kill RUN`. It is a defect of the server: please report it";

const STUCK_SCHEDULE: &str = "a running server finds such schedules and looks at them again; one that stays is mended by `backstitch schedules pause` \
    and `resume`. It is a defect of the server: please report it";

const fn of_runs(name: &'static str, promise: &'static str, remedy: &'static str, statement: &'static str) -> Check {
    Check { name, promise, remedy, over: Over::Runs, statement }
}

const fn of_all(name: &'static str, promise: &'static str, remedy: &'static str, statement: &'static str) -> Check {
    Check { name, promise, remedy, over: Over::All, statement }
}

const CHECKS: &[Check] = &[
    of_runs("stuck", "every run that has not ended has a reason to move", STUCK, sql::RUNS_STUCK),
    of_runs("timers", "no run wakes later than something of its own is due", STUCK, sql::VERIFY_TIMERS),
    of_runs("awaiting", "no handler waits for what has settled", STUCK, sql::VERIFY_AWAITING),
    of_runs("waits", "every wait for an event is found by that event, and ends with its run", STUCK, sql::VERIFY_WAITS),
    of_runs("signals", "every signal that came early is kept, or was taken once", STUCK, sql::VERIFY_SIGNALS),
    of_runs("children", "parents and children agree", STUCK, sql::VERIFY_CHILDREN),
    of_runs("labels", "every run is found by each of its tags and attributes", REPORT, sql::VERIFY_LABELS),
    of_runs(
        "statuses",
        "every run's row agrees with itself and with the end of its journal",
        REPORT,
        sql::VERIFY_STATUSES,
    ),
    of_runs(
        "journals",
        "every journal is without gaps, and so is the order of its settlements",
        REPORT,
        sql::VERIFY_JOURNALS,
    ),
    of_runs(
        "pins",
        "every deployment that a run is pinned to is known",
        "move the runs to another deployment with `backstitch move RUN`",
        sql::VERIFY_PINS,
    ),
    of_all(
        "apps",
        "every app's newest deployment is known",
        "fetch the app with `backstitch apps sync APP`",
        sql::VERIFY_APPS,
    ),
    of_all("locks", "every key of an object is held by a run that lives, or passed on", STUCK, sql::VERIFY_LOCKS),
    of_all(
        "schedules",
        "every schedule that goes on has a time at which it wakes, or a run that it waits for",
        STUCK_SCHEDULE,
        sql::VERIFY_SCHEDULES,
    ),
    of_all(
        "stray labels",
        "no tag and no attribute leads to a run that does not have it",
        REPORT,
        sql::VERIFY_STRAY_LABELS,
    ),
    of_all("payloads", "every large payload is used as often as it says", REPORT, sql::VERIFY_PAYLOADS),
    of_all("numbers", "no number of a run or an event is given twice", REPORT, sql::VERIFY_NUMBERS),
];

/// Checks the database in a data directory. Blocks, for seconds when it is large. Nothing when there is no database.
///
/// # Errors
/// [`StoreError::Open`] when it is not one that this version can read; [`StoreError::Unavailable`] when it cannot be read.
pub fn verify(dir: &Path) -> Result<Option<Verified>, StoreError> {
    let path = dir.join(files::DATABASE);
    if schema::look(&path)?.is_none() {
        return Ok(None);
    }
    let connection = schema::open_reader(&path)?;
    schema::check_version(&connection, &path)?;
    let mut checks = vec![file(&connection)?];
    // A file that is broken can make every other answer wrong.
    if checks[0].found == 0 {
        let newest = newest(&connection)?;
        for check in CHECKS {
            checks.push(check.run(&connection, newest)?);
        }
    }
    let runs = first(&connection, sql::RUNS_COUNT, [], |row| row.next());
    Ok(Some(Verified { runs: runs?.unwrap_or(0), checks }))
}

/// Runs between two numbers that nothing will wake.
pub(super) fn stuck(connection: &Connection, from: i64, to: i64) -> Read<Vec<RunId>> {
    all(connection, sql::RUNS_STUCK, [from, to], |row| row.next())
}

/// Schedules that nothing will wake.
pub(super) fn stuck_schedules(connection: &Connection) -> Read<Vec<ScheduleKey>> {
    let keys = all(connection, sql::VERIFY_SCHEDULES, [], |row| {
        let _: (Option<RunId>, String) = (row.next()?, row.next()?);
        row.next::<String>()
    })?;
    let read = |key: &String| match StateKey::parse("schedule", key) {
        Some(StateKey::Schedule(key)) => Some(key),
        _ => None,
    };
    Ok(keys.iter().filter_map(read).collect())
}

fn newest(connection: &Connection) -> Read<i64> {
    Ok(first(connection, sql::RUN_GREATEST, [], |row| row.next::<Option<i64>>())?.flatten().unwrap_or(0))
}

/// What SQLite says of its own file.
fn file(connection: &Connection) -> Read<Checked> {
    let mut checked = Checked {
        name: "file",
        promise: "the database's file is whole",
        remedy: "restore the data directory from a backup; the disk may be failing",
        found: 0,
        examples: Vec::new(),
    };
    let read = connection.pragma_query(None, "quick_check", |row| {
        let what: String = row.get(0)?;
        if what != "ok" {
            checked.add(None, what);
        }
        Ok(())
    });
    read.map_err(sorted)?;
    Ok(checked)
}

impl Check {
    fn run(&self, connection: &Connection, newest: i64) -> Read<Checked> {
        let Check { name, promise, remedy, .. } = *self;
        let mut checked = Checked { name, promise, remedy, found: 0, examples: Vec::new() };
        match self.over {
            Over::All => self.look(connection, [].as_slice(), &mut checked)?,
            Over::Runs => {
                let mut from = 1;
                while from <= newest {
                    self.look(connection, [from, from + VERIFY_RUNS - 1].as_slice(), &mut checked)?;
                    from += VERIFY_RUNS;
                }
            }
        }
        Ok(checked)
    }

    fn look(&self, connection: &Connection, range: &[i64], checked: &mut Checked) -> Read<()> {
        let found = all(connection, self.statement, rusqlite::params_from_iter(range), |row| {
            Ok((row.next::<Option<String>>()?, row.next::<String>()?))
        })?;
        found.into_iter().for_each(|(run, what)| checked.add(run, what));
        Ok(())
    }
}

impl Checked {
    fn add(&mut self, run: Option<String>, what: String) {
        self.found += 1;
        if self.examples.len() < VERIFY_EXAMPLES {
            self.examples.push(Example { run, what });
        }
    }
}
