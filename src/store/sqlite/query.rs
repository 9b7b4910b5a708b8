//! Reads for people: runs, journals and events by id, in pages, and whole. Each answer is one snapshot; its caller holds
//! that.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::load::{self, count};
use super::rows::{self, Read, all, first};
use super::sql;
use crate::model::{
    Entry, EntryId, EntryKind, Event, EventId, FunctionId, ObjectKey, ObjectLock, RunHead, RunId, RunStatus,
    ScheduleKey, StateKey, StateRow, Text, Timestamp,
};
use crate::store::{
    ChannelView, Dump, EventFilter, EventView, HeldKey, Journal, MessagesPage, ObjectView, ObjectsPage, RunFilter,
    RunView, ScheduleRow, SchedulesPage, SettledPage, StoreError, TickRun, TicksPage, UpdateView, channel_head,
};

fn head(connection: &Connection, id: RunId) -> Read<Option<RunHead>> {
    first(connection, sql::RUN_BY_ID, [id.to_string()], rows::run)
}

/// A run with its input and its outcome.
pub(super) fn run(connection: &Connection, id: RunId) -> Read<Option<RunView>> {
    let Some(head) = head(connection, id)? else { return Ok(None) };
    let of_kind = |statement, kind| -> Read<Option<Entry>> {
        let entry = first(connection, statement, [head.run_no], rows::entry)?;
        Ok(entry.filter(|entry| entry.kind == kind))
    };
    let input = of_kind(sql::ENTRY_FIRST, EntryKind::Input)?;
    let input = input.ok_or_else(|| StoreError::Corrupt(format!("the run {id} has no input")))?;
    let outcome = of_kind(sql::ENTRY_LAST, EntryKind::Outcome)?;
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

/// Runs that match, newest first. Statuses are asked for one by one, because each has its own stretch of an index.
pub(super) fn runs(connection: &Connection, filter: &RunFilter) -> Read<Vec<RunHead>> {
    let (from, before) = bounds(connection, filter)?;
    let (app, function, limit) = (&filter.app, &filter.function, count(filter.limit));
    let previous = filter.previous.map(|id| id.to_string());
    if let Some(schedule) = filter.schedule.as_ref().map(ToString::to_string) {
        let mut found = Vec::new();
        for status in statuses_or_any(filter) {
            let deployment = filter.deployment.map(|id| id.to_string());
            let row = params![before, app, function, from, limit, schedule, status, previous, deployment];
            found.extend(all(connection, sql::RUNS_NEWEST_OF_SCHEDULE, row, rows::run)?);
        }
        return Ok(newest(found, filter.limit));
    }
    if let Some(deployment) = filter.deployment.map(|id| id.to_string()) {
        let mut found = Vec::new();
        for status in statuses(filter) {
            let row = params![before, app, function, from, limit, deployment, status.as_str(), previous];
            found.extend(all(connection, sql::RUNS_NEWEST_OF_DEPLOYMENT, row, rows::run)?);
        }
        return Ok(newest(found, filter.limit));
    }
    if filter.statuses.is_empty() {
        if let Some(previous) = &previous {
            let row = params![before, app, function, from, limit, previous, None::<&str>];
            return all(connection, sql::RUNS_NEWEST_OF_PREVIOUS, row, rows::run);
        }
        let statement = match (app, function) {
            (Some(_), Some(_)) => sql::RUNS_NEWEST_OF_FUNCTION,
            _ => sql::RUNS_NEWEST,
        };
        return all(connection, statement, params![before, app, function, from, limit], rows::run);
    }
    let mut found = Vec::new();
    for status in distinct(&filter.statuses) {
        if let Some(previous) = &previous {
            let row = params![before, app, function, from, limit, previous, status.as_str()];
            found.extend(all(connection, sql::RUNS_NEWEST_OF_PREVIOUS, row, rows::run)?);
            continue;
        }
        let row = params![before, app, function, from, limit, status.as_str()];
        found.extend(all(connection, sql::RUNS_NEWEST_OF_STATUS, row, rows::run)?);
    }
    Ok(newest(found, filter.limit))
}

fn newest(mut found: Vec<RunHead>, limit: usize) -> Vec<RunHead> {
    found.sort_unstable_by_key(|run| std::cmp::Reverse(run.run_no));
    found.truncate(limit);
    found
}

/// How many runs match, status by status.
pub(super) fn count_runs(connection: &Connection, filter: &RunFilter) -> Read<u64> {
    let (from, before) = bounds(connection, filter)?;
    let (app, function, previous) = (&filter.app, &filter.function, filter.previous.map(|id| id.to_string()));
    let of = |statement, status: Option<&str>| -> Read<u64> {
        let counted = match status {
            Some(status) => {
                let row = params![before, app, function, from, previous, status];
                first(connection, statement, row, |row| row.next())?
            }
            None => first(connection, statement, params![before, app, function, from, previous], |row| row.next())?,
        };
        Ok(counted.unwrap_or(0))
    };
    if let Some(schedule) = filter.schedule.as_ref().map(ToString::to_string) {
        let deployment = filter.deployment.map(|id| id.to_string());
        let of = |status: Option<&str>| -> Read<u64> {
            let row = params![before, app, function, from, previous, schedule, status, deployment];
            Ok(first(connection, sql::RUNS_COUNT_OF_SCHEDULE, row, |row| row.next())?.unwrap_or(0))
        };
        return statuses_or_any(filter).into_iter().map(of).sum();
    }
    if let Some(deployment) = filter.deployment.map(|id| id.to_string()) {
        let of = |status: RunStatus| -> Read<u64> {
            let row = params![before, app, function, from, previous, deployment, status.as_str()];
            let counted = first(connection, sql::RUNS_COUNT_OF_DEPLOYMENT, row, |row| row.next())?;
            Ok(counted.unwrap_or(0))
        };
        return statuses(filter).into_iter().map(of).sum();
    }
    if filter.statuses.is_empty() {
        return of(sql::RUNS_COUNT, None);
    }
    distinct(&filter.statuses).into_iter().map(|status| of(sql::RUNS_COUNT_OF_STATUS, Some(status.as_str()))).sum()
}

/// The numbers of the runs that a filter can match: from the first on, and below the second.
fn bounds(connection: &Connection, filter: &RunFilter) -> Read<(i64, i64)> {
    let bound = |time: Option<Timestamp>| time.map(|time| first_run_at(connection, time)).transpose();
    let from = bound(filter.since)?.unwrap_or(i64::MIN);
    Ok((from, bound(filter.until)?.unwrap_or(i64::MAX).min(filter.before_run_no.unwrap_or(i64::MAX))))
}

/// The statuses that a filter names, or all.
fn statuses(filter: &RunFilter) -> Vec<RunStatus> {
    if filter.statuses.is_empty() { RunStatus::ALL.to_vec() } else { distinct(&filter.statuses) }
}

/// The statuses that a filter names, for statements that take none as all.
fn statuses_or_any(filter: &RunFilter) -> Vec<Option<&'static str>> {
    if filter.statuses.is_empty() {
        vec![None]
    } else {
        distinct(&filter.statuses).iter().map(|it| Some(it.as_str())).collect()
    }
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

fn distinct(statuses: &[RunStatus]) -> Vec<RunStatus> {
    let mut statuses = statuses.to_vec();
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

/// The least number from which on all runs were created at or after a time. Numbers are given in the order of creation,
/// by a clock that never runs backwards, so halving finds it without an index on times.
fn first_run_at(connection: &Connection, time: Timestamp) -> Read<i64> {
    let greatest = first(connection, sql::RUN_GREATEST, [], |row| row.next::<Option<i64>>())?.flatten();
    let (mut low, mut high) = (1, greatest.unwrap_or(0).saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        let nearest =
            first(connection, sql::RUN_NEAREST, [middle], |row| Ok((row.next::<i64>()?, row.next::<Timestamp>()?)))?;
        match nearest {
            Some((run_no, created_at)) if created_at < time => low = run_no + 1,
            _ => high = middle,
        }
    }
    Ok(low)
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
    Ok(Some(EventView {
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
