//! Reads for the owner of the partition: what its decisions ask for, what is due, what it takes up after a start.

use rusqlite::{Connection, params};

use super::rows::{self, Read, all, first};
use super::sql;
use crate::limits;
use crate::model::{
    Channel, Key, Loaded, ObjectKey, ObjectValue, RunHead, RunId, StateKey, StateRow, StoredRun, Text, Timestamp, Wait,
};
use crate::store::{StoreError, Timer, TimerKey};

/// What is under each key, in the order of the keys. The caller holds a snapshot.
pub(super) fn load(connection: &Connection, keys: &[Key]) -> Read<Vec<Loaded>> {
    keys.iter().map(|key| loaded(connection, key)).collect()
}

fn loaded(connection: &Connection, key: &Key) -> Read<Loaded> {
    Ok(match key {
        Key::Run(id) => Loaded::Run(stored_run(connection, *id)?.map(Box::new)),
        Key::RunName(function, name) => {
            let row = params![function.app, function.function, name];
            Loaded::RunName(first(connection, sql::RUN_BY_NAME, row, |row| row.next())?)
        }
        Key::Chain(run) => Loaded::Chain(super::query::newest_of_chain(connection, *run)?),
        Key::Mark(mark) => {
            let (kind, key) = StateKey::Mark(mark.clone()).columns();
            Loaded::State(first(connection, sql::STATE_BY_KEY, params![kind, key], rows::state)?)
        }
        Key::Channel(channel) => Loaded::State(channel_head(connection, channel)?),
        Key::EventName(name) => Loaded::EventName {
            last_seq: first(connection, sql::EVENT_LAST_SEQ, params![name], |row| row.next())?.unwrap_or(0),
            paths: all(connection, sql::WAIT_PATHS, params![name], |row| Ok((row.next()?, row.next()?)))?,
        },
        Key::Waits(index) => {
            let row = params![index.event, index.path, index.value];
            Loaded::Waits(all(connection, sql::WAITS_OF_INDEX, row, rows::wait)?)
        }
        Key::Event(id) => {
            Loaded::Event(first(connection, sql::EVENT_BY_ID, [id.to_string()], rows::event)?.map(Box::new))
        }
        Key::Events { name, after, until } => {
            let row = params![name, after, until, count(limits::EVENT_PAGE)];
            Loaded::Events(all(connection, sql::EVENTS_PAGE, row, rows::event)?)
        }
        Key::Object(object) => Loaded::Object(lock(connection, object)?, line(connection, object)?),
        Key::Schedule(schedule) => Loaded::State(of_state(connection, &StateKey::Schedule(schedule.clone()))?),
        Key::Line(object) => Loaded::Line(line(connection, object)?),
        Key::Values(object) => Loaded::Values(values(connection, object)?),
    })
}

/// What a channel holds.
pub(super) fn channel_head(connection: &Connection, channel: &Channel) -> Read<Option<StateRow>> {
    let (kind, key) = channel.state_key().columns();
    first(connection, sql::STATE_BY_KEY, params![kind, key], rows::state)
}

/// Who holds a key of an object.
pub(super) fn lock(connection: &Connection, object: &ObjectKey) -> Read<Option<StateRow>> {
    of_state(connection, &StateKey::Object(object.clone()))
}

fn of_state(connection: &Connection, key: &StateKey) -> Read<Option<StateRow>> {
    let (kind, key) = key.columns();
    first(connection, sql::STATE_BY_KEY, params![kind, key], rows::state)
}

fn line(connection: &Connection, object: &ObjectKey) -> Read<Vec<(i64, RunId)>> {
    all(connection, sql::LINE_OF_OBJECT, params![object.line(), count(limits::LINE_PAGE)], rows::place)
}

/// The state under a key of an object.
pub(super) fn values(connection: &Connection, object: &ObjectKey) -> Read<Vec<ObjectValue>> {
    all(connection, sql::VALUES_OF_OBJECT, params![object.app, object.object, object.key], rows::value)
}

fn stored_run(connection: &Connection, id: RunId) -> Read<Option<StoredRun>> {
    let Some(head) = first(connection, sql::RUN_BY_ID, [id.to_string()], rows::run)? else { return Ok(None) };
    Ok(Some(StoredRun {
        entries: all(connection, sql::ENTRIES_OF_RUN, [head.run_no], rows::entry)?,
        signals: all(connection, sql::SIGNALS_OF_RUN, [head.run_no], rows::signal)?,
        waits: all(connection, sql::WAITS_OF_RUN, [head.run_no], rows::wait)?,
        streams: all(connection, sql::STREAMS_OF_RUN, [head.run_no], rows::stream)?,
        head,
    }))
}

/// Timers up to a time, after a cursor, in order.
pub(super) fn due(connection: &Connection, after: Option<&Timer>, until: Timestamp, limit: usize) -> Read<Vec<Timer>> {
    // At one time runs come before other entities, and every run's id sorts before "~".
    let (at, run, (kind, key)) = match after {
        None => (i64::MIN, String::new(), ("", String::new())),
        Some(Timer { at, key: TimerKey::Run(id) }) => (at.0, id.to_string(), ("", String::new())),
        Some(Timer { at, key: TimerKey::State(key) }) => (at.0, "~".to_owned(), key.columns()),
    };
    let limit_rows = count(limit);
    let mut timers = all(connection, sql::RUNS_DUE, params![at, run, until.0, limit_rows], |row| {
        Ok(Timer { at: row.next()?, key: TimerKey::Run(row.next()?) })
    })?;
    timers.extend(all(connection, sql::STATE_DUE, params![at, kind, key, until.0, limit_rows], |row| {
        Ok(Timer { at: row.next()?, key: TimerKey::State(rows::state_key(row)?) })
    })?);
    timers.sort();
    timers.truncate(limit);
    Ok(timers)
}

/// Waits that look through older events.
pub(super) fn scanning_waits(connection: &Connection) -> Result<Vec<Wait>, StoreError> {
    all(connection, sql::WAITS_SCANNING, [], rows::wait)
}

/// Held runs of an app, one page.
pub(super) fn held_runs(connection: &Connection, app: &Text, after_run_no: i64, limit: usize) -> Read<Vec<RunHead>> {
    all(connection, sql::RUNS_HELD, params![app, after_run_no, count(limit)], rows::run)
}

/// A number of rows as SQLite takes it.
pub(super) fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
