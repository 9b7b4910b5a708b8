//! From rows to the model. A row that this version did not write is an error that names its column; it never panics.

use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params, Row};

use super::error::sorted;
use crate::model::{
    Attempt, Before, Channel, DeploymentId, DeploymentState, Entry, EntryKind, EntryStatus, Event, EventId, FunctionId,
    JobAction, JobId, JobStatus, Labels, Messages, ObjectKey, ObjectValue, Origin, Outcome, ParentLink, Payload,
    Previous, QueuePlace, RunHead, RunId, RunStatus, ScheduleKey, Signal, StateKey, StateRow, Stream, Text, Tick,
    Timestamp, Token, TriggerKind, Verdict, Wait, WaitIndex,
};
use crate::store::{ScheduleRow, StoreError, TickRun, UpdateView};

/// What a read answers.
pub(super) type Read<T> = Result<T, StoreError>;

/// Every row of a statement.
pub(super) fn all<T>(
    connection: &Connection,
    statement: &str,
    params: impl Params,
    read: impl Fn(&mut Columns<'_>) -> Read<T>,
) -> Read<Vec<T>> {
    let mut statement = connection.prepare_cached(statement).map_err(sorted)?;
    let mut rows = statement.query(params).map_err(sorted)?;
    let mut out = Vec::new();
    while let Some(row) = rows.next().map_err(sorted)? {
        out.push(read(&mut Columns { row, at: 0 })?);
    }
    Ok(out)
}

/// The first row of a statement.
pub(super) fn first<T>(
    connection: &Connection,
    statement: &str,
    params: impl Params,
    read: impl Fn(&mut Columns<'_>) -> Read<T>,
) -> Read<Option<T>> {
    let mut statement = connection.prepare_cached(statement).map_err(sorted)?;
    let mut rows = statement.query(params).map_err(sorted)?;
    let row = rows.next().map_err(sorted)?;
    row.map(|row| read(&mut Columns { row, at: 0 })).transpose()
}

/// One row, read column by column.
pub(super) struct Columns<'r> {
    row: &'r Row<'r>,
    at: usize,
}

impl Columns<'_> {
    /// The next column.
    pub(super) fn next<T: Column>(&mut self) -> Read<T> {
        let value = self.row.get_ref(self.at).map_err(sorted)?;
        let read = T::read(value);
        self.at += 1;
        read.ok_or_else(|| self.strange(&format!("{value:?}")))
    }

    /// A JSON column.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&mut self) -> Read<Option<T>> {
        let Some(payload) = self.next::<Option<Payload>>()? else { return Ok(None) };
        payload.read().map(Some).map_err(|error| self.strange(&error.to_string()))
    }

    /// A column of JSON that is text, for the database reads it as well.
    fn text<T: serde::de::DeserializeOwned>(&mut self) -> Read<Option<T>> {
        let Some(text) = self.next::<Option<Text>>()? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| self.strange(&error.to_string()))
    }

    /// An outcome from its two columns.
    fn outcome(&mut self) -> Read<Option<Outcome>> {
        let result = self.next::<Option<String>>()?;
        let payload = self.next::<Option<Payload>>()?;
        match (result.as_deref(), payload) {
            (None, None) => Ok(None),
            (Some("ok"), Some(payload)) => Ok(Some(Outcome::Ok(payload))),
            (Some("err"), Some(payload)) => Ok(Some(Outcome::Err(payload))),
            (Some("timeout"), None) => Ok(Some(Outcome::Timeout)),
            (word, _) => Err(self.strange(&format!("{word:?}"))),
        }
    }

    fn strange(&self, what: &str) -> StoreError {
        let statement: &rusqlite::Statement<'_> = self.row.as_ref();
        let column = self.at.checked_sub(1).and_then(|at| statement.column_name(at).ok()).unwrap_or("?");
        let shown: String = what.chars().take(100).collect();
        StoreError::Corrupt(format!("the column `{column}` holds {shown}, which this version does not write"))
    }
}

/// A value that a column can hold.
pub(super) trait Column: Sized {
    /// Reads it; nothing when the column holds something else.
    fn read(value: ValueRef<'_>) -> Option<Self>;
}

impl<T: Column> Column for Option<T> {
    fn read(value: ValueRef<'_>) -> Option<Option<T>> {
        if value == ValueRef::Null { Some(None) } else { T::read(value).map(Some) }
    }
}

impl Column for i64 {
    fn read(value: ValueRef<'_>) -> Option<i64> {
        value.as_i64().ok()
    }
}

impl Column for String {
    fn read(value: ValueRef<'_>) -> Option<String> {
        value.as_str().ok().map(str::to_owned)
    }
}

impl Column for Payload {
    fn read(value: ValueRef<'_>) -> Option<Payload> {
        value.as_blob().ok().map(|bytes| Payload::trusted(bytes.to_vec()))
    }
}

macro_rules! columns {
    ($($type:ty: $from:ident => $read:expr,)*) => {
        $(impl Column for $type {
            fn read(value: ValueRef<'_>) -> Option<$type> {
                let $from = value;
                $read
            }
        })*
    };
}

columns! {
    u32: value => u32::try_from(value.as_i64().ok()?).ok(),
    u64: value => u64::try_from(value.as_i64().ok()?).ok(),
    Timestamp: value => value.as_i64().ok().map(Timestamp),
    Text: value => value.as_str().ok().map(Arc::from),
    RunId: value => value.as_str().ok()?.parse().ok(),
    EventId: value => value.as_str().ok()?.parse().ok(),
    DeploymentId: value => value.as_str().ok()?.parse().ok(),
    DeploymentState: value => DeploymentState::parse(value.as_str().ok()?),
    RunStatus: value => RunStatus::parse(value.as_str().ok()?),
    JobId: value => value.as_str().ok()?.parse().ok(),
    JobAction: value => JobAction::parse(value.as_str().ok()?),
    ScheduleKey: value => value.as_str().ok()?.parse().ok(),
    JobStatus: value => JobStatus::parse(value.as_str().ok()?),
    Token: value => value.as_str().ok()?.parse().ok(),
    Origin: value => Origin::parse(value.as_str().ok()?),
    TriggerKind: value => TriggerKind::parse(value.as_str().ok()?),
    EntryKind: value => EntryKind::parse(value.as_str().ok()?),
    EntryStatus: value => EntryStatus::parse(value.as_str().ok()?),
}

/// A row of `runs`.
pub(super) fn run(row: &mut Columns<'_>) -> Read<RunHead> {
    let (run_no, id) = (row.next()?, row.next()?);
    let function = FunctionId { app: row.next()?, function: row.next()? };
    let (name, status, trigger, event, born_seq) = (row.next()?, row.next()?, row.next()?, row.next()?, row.next()?);
    let parent = match (row.next::<Option<RunId>>()?, row.next::<Option<u32>>()?) {
        (Some(run), Some(idx)) => Some(ParentLink { run, idx }),
        (None, None) => None,
        _ => return Err(row.strange("half a link to a parent")),
    };
    Ok(RunHead {
        run_no,
        id,
        function,
        name,
        status,
        trigger,
        event,
        born_seq,
        parent,
        root: row.next::<Option<RunId>>()?.unwrap_or(id),
        deployment: row.next()?,
        created_at: row.next()?,
        started_at: row.next()?,
        ended_at: row.next()?,
        failures: row.next()?,
        losses: row.next()?,
        last_error: row.next()?,
        awaiting: row.json()?.unwrap_or_default(),
        hold: row.json()?,
        wake_at: row.next()?,
        cancel_by: row.next()?,
        mismatch_since: row.next()?,
        seen: row.next()?,
        open_token: row.next()?,
        key: row.next()?,
        queue: match (row.next()?, row.next()?) {
            (Some(key), Some(order)) => Some(QueuePlace { key, order }),
            (None, None) => None,
            _ => return Err(row.strange("half a place in a line")),
        },
        start_by: row.next()?,
        deadline: row.next()?,
        previous: match (row.next()?, row.next()?) {
            (Some(run), Some(origin)) => Some(Previous { run, origin }),
            (None, None) => None,
            _ => return Err(row.strange("half a link to a previous run")),
        },
        chain: row.next()?,
        seed: row.next()?,
        value: row.next()?,
        tick: match (row.next()?, row.next()?) {
            (Some(schedule), Some(at)) => Some(Tick { schedule, at }),
            (None, None) => None,
            _ => return Err(row.strange("half a time of a schedule")),
        },
        labels: Labels { tags: row.text()?.unwrap_or_default(), attributes: row.text()?.unwrap_or_default() },
    })
}

/// A row of `entries`, its payloads in place.
pub(super) fn entry(row: &mut Columns<'_>) -> Read<Entry> {
    Ok(Entry {
        run_no: row.next()?,
        idx: row.next()?,
        id: row.next()?,
        kind: row.next()?,
        name: row.next()?,
        status: row.next()?,
        seq: row.next()?,
        params: row.next()?,
        outcome: row.outcome()?,
        due_at: row.next()?,
        failures: row.next()?,
        last_error: row.next()?,
        deployment: row.next()?,
        child: row.next()?,
        created_at: row.next()?,
        settled_at: row.next()?,
        details: row.next()?,
        copied: row.next::<i64>()? != 0,
    })
}

/// A row of `attempts`.
pub(super) fn attempt(row: &mut Columns<'_>) -> Read<Attempt> {
    Ok(Attempt {
        run_no: row.next()?,
        idx: row.next()?,
        number: row.next()?,
        started_at: row.next()?,
        ended_at: row.next()?,
        error: row.next()?,
    })
}

/// A row of `events`.
pub(super) fn event(row: &mut Columns<'_>) -> Read<Event> {
    Ok(Event {
        seq: row.next()?,
        id: row.next()?,
        name: row.next()?,
        data: row.next()?,
        at: row.next()?,
        client_id: row.next()?,
        source: row.next()?,
    })
}

/// The function and the verdict of a row of `verdicts`.
pub(super) fn verdict(row: &mut Columns<'_>) -> Read<(FunctionId, Verdict)> {
    let function = FunctionId { app: row.next()?, function: row.next()? };
    let (word, detail) = (row.next::<String>()?, row.next::<Option<String>>()?);
    match (word.as_str(), detail) {
        ("filtered", None) => Ok((function, Verdict::Filtered)),
        ("filterFailed", Some(detail)) => Ok((function, Verdict::FilterFailed(detail))),
        (word, _) => Err(row.strange(word)),
    }
}

/// A row of `waits`.
pub(super) fn wait(row: &mut Columns<'_>) -> Read<Wait> {
    Ok(Wait {
        run: row.next()?,
        run_no: row.next()?,
        idx: row.next()?,
        index: WaitIndex { event: row.next()?, path: row.next()?, value: row.next()? },
        after_seq: row.next()?,
        scanned_to: row.next()?,
        scan_end: row.next()?,
        filter: row.next()?,
    })
}

/// Where an update's run stands, and the reply.
pub(super) fn update(row: &mut Columns<'_>) -> Read<UpdateView> {
    Ok(UpdateView { status: row.next()?, consumed: row.next::<i64>()? != 0, reply: row.outcome()? })
}

/// A row of `signals`.
pub(super) fn signal(row: &mut Columns<'_>) -> Read<Signal> {
    Ok(Signal {
        run_no: row.next()?,
        order: row.next()?,
        name: row.next()?,
        id: row.next()?,
        settle: row.outcome()?.ok_or_else(|| row.strange("nothing"))?,
        at: row.next()?,
        consumed_by: row.next()?,
        wants_reply: row.next::<i64>()? != 0,
        reply: row.outcome()?,
    })
}

/// A row of `object_state`.
pub(super) fn value(row: &mut Columns<'_>) -> Read<ObjectValue> {
    let object = ObjectKey { app: row.next()?, object: row.next()?, key: row.next()? };
    let (name, value) = (row.next()?, row.next()?);
    let (changed, before) = (row.next::<i64>()? != 0, row.next::<Option<Payload>>()?);
    let before = match (changed, before) {
        (true, before) => Some(before.map_or(Before::Absent, Before::Was)),
        (false, None) => None,
        (false, Some(_)) => return Err(row.strange("what a run found that wrote nothing")),
    };
    Ok(ObjectValue { object, name, value, before })
}

/// A row of `state` that is a schedule.
pub(super) fn schedule(row: &mut Columns<'_>) -> Read<ScheduleRow> {
    let StateRow { key, wake_at, value } = state(row)?;
    match (key, value.read()) {
        (StateKey::Schedule(key), Ok(schedule)) => Ok(ScheduleRow { key, schedule, wake_at }),
        (_, Err(error)) => Err(row.strange(&error.to_string())),
        (key, Ok(_)) => Err(row.strange(&format!("{key:?}"))),
    }
}

/// A time of a schedule with its run.
pub(super) fn tick(row: &mut Columns<'_>) -> Read<TickRun> {
    Ok(TickRun { at: row.next()?, run: row.next()?, status: row.next()? })
}

/// A row of `messages`, with its run.
pub(super) fn messages(row: &mut Columns<'_>) -> Read<Messages> {
    Ok(Messages {
        no: row.next()?,
        first: row.next()?,
        channel: Channel::parse(row.next()?),
        run_no: row.next()?,
        run: row.next()?,
        source: row.next()?,
        attempt: row.next()?,
        topic: row.next()?,
        data: row.next()?,
        cut_by: row.next()?,
        at: row.next()?,
    })
}

/// A row of `streams`.
pub(super) fn stream(row: &mut Columns<'_>) -> Read<Stream> {
    Ok(Stream {
        run_no: row.next()?,
        source: row.next()?,
        attempt: row.next()?,
        token: row.next()?,
        next: row.next()?,
        channels: row.json()?.unwrap_or_default(),
    })
}

/// A place in line.
pub(super) fn place(row: &mut Columns<'_>) -> Read<(i64, RunId)> {
    Ok((row.next()?, row.next()?))
}

/// The two columns of an entity's key.
pub(super) fn state_key(row: &mut Columns<'_>) -> Read<StateKey> {
    let (kind, key) = (row.next::<String>()?, row.next::<String>()?);
    StateKey::parse(&kind, &key).ok_or_else(|| row.strange(&format!("`{kind}` `{key}`")))
}

/// A row of `state`.
pub(super) fn state(row: &mut Columns<'_>) -> Read<StateRow> {
    Ok(StateRow { key: state_key(row)?, wake_at: row.next()?, value: row.next()? })
}
