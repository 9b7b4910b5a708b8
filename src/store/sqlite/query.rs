//! Reads for people: runs, journals and events by id, in pages, and whole. Each answer is one snapshot; its caller holds
//! that.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::load::{self, count};
use super::rows::{self, Read, all, first};
use super::sql;
use crate::limits::WAITS_LOOKED_AT_MAX;
use crate::model::{
    Entry, EntryId, EntryKind, Event, EventId, FunctionId, ObjectKey, ObjectLock, RunHead, RunId, ScheduleKey,
    StateKey, StateRow, Text,
};
use crate::store::{
    ChannelView, Dump, EventFilter, EventView, HeldKey, Journal, MessagesPage, ObjectView, ObjectsPage, RunView,
    ScheduleRow, SchedulesPage, SettledPage, StoreError, TickRun, TicksPage, UpdateView, channel_head,
};

fn head(connection: &Connection, id: RunId) -> Read<Option<RunHead>> {
    first(connection, sql::RUN_BY_ID, [id.to_string()], rows::run)
}

/// The last entry of a run that has ended.
pub(super) fn outcome(connection: &Connection, run_no: i64) -> Read<Option<Entry>> {
    let last = first(connection, sql::ENTRY_LAST, [run_no], rows::entry)?;
    Ok(last.filter(|entry| entry.kind == EntryKind::Outcome))
}

/// A run with its input and its outcome.
pub(super) fn run(connection: &Connection, id: RunId) -> Read<Option<RunView>> {
    let Some(head) = head(connection, id)? else { return Ok(None) };
    let input = first(connection, sql::ENTRY_FIRST, [head.run_no], rows::entry)?;
    let input = input.filter(|entry| entry.kind == EntryKind::Input);
    let input = input.ok_or_else(|| StoreError::Corrupt(format!("the run {id} has no input")))?;
    let outcome = outcome(connection, head.run_no)?;
    Ok(Some(RunView { head, input, outcome }))
}

/// The run that a client named so.
pub(super) fn run_named(connection: &Connection, function: &FunctionId, name: &Text) -> Read<Option<RunId>> {
    first(connection, sql::RUN_BY_NAME, params![function.app, function.function, name], |row| row.next())
}

/// The newest run of a chain, by its first.
pub(super) fn newest_of_chain(connection: &Connection, chain: RunId) -> Read<Option<RunId>> {
    first(connection, sql::RUN_OF_CHAIN, [chain.to_string()], |row| row.next())
}

/// A page of schedules.
pub(super) fn schedules(connection: &Connection, page: &SchedulesPage) -> Read<Vec<ScheduleRow>> {
    let (after, before) = page.keys();
    all(connection, sql::SCHEDULES_PAGE, params![after, before, count(page.limit)], rows::schedule)
}

/// One schedule.
pub(super) fn schedule(connection: &Connection, key: &ScheduleKey) -> Read<Option<ScheduleRow>> {
    let (kind, key) = StateKey::Schedule(key.clone()).columns();
    first(connection, sql::STATE_BY_KEY, params![kind, key], rows::schedule)
}

/// How many schedules there are.
pub(super) fn count_schedules(connection: &Connection) -> Read<u64> {
    Ok(first(connection, sql::SCHEDULES_COUNT, [], |row| row.next())?.unwrap_or(0))
}

/// Times of a schedule that have a run.
pub(super) fn ticks(connection: &Connection, page: &TicksPage) -> Read<Vec<TickRun>> {
    let row = params![page.schedule.to_string(), page.from.0, page.until.0, count(page.limit)];
    all(connection, sql::RUNS_OF_TICKS, row, rows::tick)
}

/// A run's whole journal.
pub(super) fn journal(connection: &Connection, id: RunId) -> Read<Option<Journal>> {
    let Some(head) = head(connection, id)? else { return Ok(None) };
    Ok(Some(Journal {
        entries: all(connection, sql::ENTRIES_OF_RUN, [head.run_no], rows::entry)?,
        attempts: all(connection, sql::ATTEMPTS_OF_RUN, [head.run_no], rows::attempt)?,
        signals: all(connection, sql::SIGNALS_OF_RUN, [head.run_no], rows::signal)?,
        head,
    }))
}

/// What has become of an update.
pub(super) fn update(connection: &Connection, run: RunId, id: &Text) -> Read<Option<UpdateView>> {
    first(connection, sql::UPDATE_OF_RUN, params![run.to_string(), id], rows::update)
}

/// The newest settled entries below a `seq`, by `seq`.
pub(super) fn settled_before(connection: &Connection, page: &SettledPage) -> Read<Vec<Entry>> {
    let run = page.run.to_string();
    let row = params![run, page.before, count(page.limit)];
    let sizes = all(connection, sql::ENTRIES_SETTLED_BEFORE, row, |row| Ok((row.next::<u32>()?, row.next::<u64>()?)))?;
    let chosen = page.cut(sizes, |(_, bytes)| usize::try_from(*bytes).unwrap_or(usize::MAX));
    let mut entries = Vec::with_capacity(chosen.len());
    for (idx, _) in chosen.into_iter().rev() {
        let row = params![run, idx, count(page.outcome_bytes_max)];
        entries.extend(first(connection, sql::ENTRY_AT, row, rows::entry)?);
    }
    Ok(entries)
}

/// One entry of a run by its id.
pub(super) fn entry(connection: &Connection, run: RunId, id: &EntryId) -> Read<Option<Entry>> {
    first(connection, sql::ENTRY_BY_ID, params![run.to_string(), id], rows::entry)
}

/// The runs that a run invoked.
pub(super) fn children(connection: &Connection, id: RunId, limit: usize) -> Read<Vec<RunHead>> {
    all(connection, sql::RUNS_OF_PARENT, params![id.to_string(), count(limit)], rows::run)
}

/// An event and what came of it.
pub(super) fn event(connection: &Connection, id: EventId) -> Read<Option<EventView>> {
    let Some(event) = first(connection, sql::EVENT_BY_ID, [id.to_string()], rows::event)? else { return Ok(None) };
    let (since, mark) = EventView::marks(&event);
    let row = params![since.0, mark, count(WAITS_LOOKED_AT_MAX)];
    let mut waits = all(connection, sql::WAITS_WOKEN, row, |row| Ok((row.next::<i64>()?, row.next::<EntryId>()?)))?;
    waits.sort_unstable();
    let mut woken = Vec::with_capacity(waits.len());
    for (run_no, id) in waits {
        woken.extend(first(connection, sql::RUN_BY_NUMBER, [run_no], rows::run)?.map(|run| (run, id)));
    }
    Ok(Some(EventView {
        woken,
        runs: all(connection, sql::RUNS_OF_EVENT, [id.to_string()], rows::run)?,
        verdicts: all(connection, sql::VERDICTS_OF_EVENT, [event.seq], rows::verdict)?,
        event,
    }))
}

/// Events that match, newest first.
pub(super) fn events(connection: &Connection, filter: &EventFilter) -> Read<Vec<Event>> {
    let (before, limit) = (filter.before_seq.unwrap_or(i64::MAX), count(filter.limit));
    match &filter.name {
        Some(name) => all(connection, sql::EVENTS_NEWEST_OF_NAME, params![before, limit, name], rows::event),
        None => all(connection, sql::EVENTS_NEWEST, params![before, limit], rows::event),
    }
}

/// The state under a key, and who holds it.
pub(super) fn object(connection: &Connection, object: &ObjectKey) -> Read<ObjectView> {
    let lock = load::lock(connection, object)?.map(|row| read_lock(&row)).transpose()?;
    Ok(ObjectView { lock: lock.unwrap_or_default(), values: load::values(connection, object)? })
}

/// Keys that have state or are held, in order: the first of both kinds, merged.
pub(super) fn objects(connection: &Connection, page: &ObjectsPage) -> Read<Vec<HeldKey>> {
    let (after, limit) = (page.after.as_deref().unwrap_or_default(), count(page.limit));
    let row = params![page.app, page.object, after, limit];
    let with_state = all(connection, sql::KEYS_WITH_STATE, row, |row| row.next::<Text>())?;
    let (from, to) = page.lines();
    let locks = all(connection, sql::LOCKS_OF_OBJECT, params![from, to, limit], rows::state)?;
    let mut keys: BTreeMap<Text, ObjectLock> = with_state.into_iter().map(|key| (key, ObjectLock::default())).collect();
    for row in locks {
        if let StateKey::Object(object) = &row.key {
            keys.insert(object.key.clone(), read_lock(&row)?);
        }
    }
    Ok(keys.into_iter().take(page.limit).map(|(key, lock)| HeldKey { key, lock }).collect())
}

/// Messages of a channel behind a number.
pub(super) fn messages(connection: &Connection, page: &MessagesPage) -> Read<ChannelView> {
    let head = load::channel_head(connection, &page.channel)?;
    let row = params![page.channel.as_str(), page.after, count(page.limit)];
    let messages = all(connection, sql::MESSAGES_AFTER, row, rows::messages)?;
    Ok(ChannelView { head: channel_head(head.as_ref())?, messages })
}

fn read_lock(row: &StateRow) -> Read<ObjectLock> {
    row.value.read().map_err(|error| StoreError::Corrupt(format!("the lock {:?}: {error}", row.key)))
}

/// Whether the database answers.
pub(super) fn ping(connection: &Connection) -> Read<()> {
    first(connection, sql::PING, [], |row| row.next::<i64>()).map(drop)
}

/// Everything.
pub(super) fn dump(connection: &Connection) -> Read<Dump> {
    Ok(Dump {
        commit_no: first(connection, sql::PARTITION_PROGRESS, [0], |row| row.next())?.unwrap_or(0),
        runs: all(connection, sql::DUMP_RUNS, [], rows::run)?,
        entries: all(connection, sql::DUMP_ENTRIES, [], rows::entry)?,
        attempts: all(connection, sql::DUMP_ATTEMPTS, [], rows::attempt)?,
        events: all(connection, sql::DUMP_EVENTS, [], rows::event)?,
        verdicts: all(connection, sql::DUMP_VERDICTS, [], |row| {
            let event = row.next()?;
            let (function, verdict) = rows::verdict(row)?;
            Ok((event, function, verdict))
        })?,
        waits: all(connection, sql::DUMP_WAITS, [], rows::wait)?,
        signals: all(connection, sql::DUMP_SIGNALS, [], rows::signal)?,
        state: all(connection, sql::DUMP_STATE, [], rows::state)?,
        values: all(connection, sql::DUMP_VALUES, [], rows::value)?,
        messages: all(connection, sql::DUMP_MESSAGES, [], rows::messages)?,
        streams: all(connection, sql::DUMP_STREAMS, [], rows::stream)?,
    })
}
