//! The protocol's bodies: reads an invocation, writes an answer. `docs/reference/protocol.md` is the norm.
//!
//! User payloads are sliced out of the request and copied into the answer as they are; neither side of this file looks
//! into them. A body that breaks the protocol is refused with the reason, never repaired.

pub(crate) mod checkpoint;

use std::borrow::Cow;
use std::time::SystemTime;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::error::Failure;
use crate::raw::Raw;
use crate::time;

/// The protocol's version, as the header `backstitch-protocol` carries it.
pub(crate) const PROTOCOL: u32 = 1;

/// The id of the entry by which a run is cancelled.
pub(crate) const CANCEL_ID: &str = "$cancel";

/// One call of the server to a handler.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) run: Run,
    pub(crate) trigger: Trigger,
    pub(crate) input: Raw,
    pub(crate) journal: Vec<Entry>,
    pub(crate) links: Links,
    pub(crate) token: String,
}

/// Addresses at the server.
#[derive(Debug, Default, Clone)]
pub(crate) struct Links {
    /// Where the handler may report while it still runs.
    pub(crate) checkpoint: Option<String>,
    /// Where the entries are that had to be left out of the body.
    pub(crate) journal: Option<String>,
}

/// The facts of a run, equal in each of its invocations, except `attempt`.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) app: String,
    pub(crate) function: String,
    pub(crate) name: Option<String>,
    pub(crate) attempt: u32,
    pub(crate) started_at: SystemTime,
    pub(crate) secret: String,
    /// The `seen` of the last answer that the server took, where it says so.
    pub(crate) seen: Option<u64>,
}

/// What started a run.
#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    pub(crate) kind: String,
    pub(crate) events: Vec<EventRecord>,
}

/// An event as it travels to handlers.
#[derive(Debug, Clone)]
pub(crate) struct EventRecord {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: Raw,
    pub(crate) at: SystemTime,
}

/// One entry of the journal.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) op: String,
    /// What the parameters hashed to when the entry was created; entries of the server's own have none.
    pub(crate) digest: Option<String>,
    pub(crate) state: EntryState,
}

/// How far an entry is.
#[derive(Debug, Clone)]
pub(crate) enum EntryState {
    /// It has its one outcome.
    Settled { seq: u64, at: SystemTime, outcome: Outcome },
    /// Wait: the server will call again.
    Pending,
    /// A step that is to be run now.
    Run { attempt: u32, error: Option<Failure> },
}

/// What an entry has settled with.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Ok(Raw),
    Err(Failure),
    Timeout,
    /// Too large for the body: to be asked for by the entry's id.
    Elsewhere,
}

/// What kind of entry an op creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpKind {
    Step,
    Sleep,
    WaitSignal,
    WaitEvent,
    Invoke,
    Send,
}

impl OpKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            OpKind::Step => "step",
            OpKind::Sleep => "sleep",
            OpKind::WaitSignal => "waitSignal",
            OpKind::WaitEvent => "waitEvent",
            OpKind::Invoke => "invoke",
            OpKind::Send => "send",
        }
    }
}

/// One op of an answer that creates or moves an entry.
#[derive(Debug, Clone)]
pub(crate) struct Op {
    pub(crate) kind: OpKind,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) params: Raw,
    /// How a step's body ended; other ops have none.
    pub(crate) report: Option<Report>,
}

/// How one attempt of a step ended.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) outcome: Result<Raw, Failure>,
    pub(crate) attempt: u32,
    pub(crate) started_at: SystemTime,
    pub(crate) ended_at: SystemTime,
}

/// How a run, or this look at it, ended.
#[derive(Debug, Clone)]
pub(crate) enum Terminal {
    Done(Raw),
    Fail(Failure),
    /// The code asks for another kind of entry than the journal holds. Stands alone.
    Mismatch {
        id: String,
        journal: String,
        code: OpKind,
    },
    /// The handler was held back and would have gone on: invoke it again at once.
    Yield,
}

/// The answer to an invocation.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) token: String,
    pub(crate) seen: u64,
    pub(crate) ops: Vec<Op>,
    pub(crate) terminal: Option<Terminal>,
    /// Groups of ids: the run can go on when all of one group are settled. Empty: any settlement may matter.
    pub(crate) awaiting: Vec<Vec<String>>,
}

/// An answer as JSON.
pub(crate) struct Written {
    pub(crate) bytes: Bytes,
    /// Where the token ends: from here on it is what an answer without a connection says, too.
    #[cfg(feature = "axum")]
    after_token: usize,
}

impl Invocation {
    /// Reads a request's body; the error says what is wrong with it.
    pub(crate) fn parse(body: &Bytes) -> Result<Invocation, String> {
        let read: InvocationBody<'_> =
            serde_json::from_slice(body).map_err(|error| format!("the body is no invocation: {error}"))?;
        let links = read.links.unwrap_or_default();
        let links =
            Links { checkpoint: links.checkpoint.map(Cow::into_owned), journal: links.journal.map(Cow::into_owned) };
        Ok(Invocation {
            run: read.run.read()?,
            trigger: read.trigger.read(body)?,
            input: read.input.map_or_else(Raw::null, |input| Raw::slice_of(body, input)),
            journal: entries(read.journal, body)?,
            links,
            token: read.token.into_owned(),
        })
    }
}

impl Answer {
    /// The answer's JSON, within `bytes_max`. What does not fit at all becomes an error; what does not fit beside the
    /// others is left out, and done again by the next invocation.
    pub(crate) fn write(mut self, bytes_max: usize) -> Written {
        let mut out = Vec::with_capacity(256);
        field(&mut out, "{\"token\":", &self.token);
        #[cfg(feature = "axum")]
        let after_token = out.len();
        out.extend_from_slice(format!(",\"seen\":{},\"ops\":[", self.seen).as_bytes());
        // For the bracket, the brace and a comma.
        let room = bytes_max.saturating_sub(out.len() + 3);
        let mut part = Vec::new();
        let mut first = true;
        for op in &mut self.ops {
            op.write(&mut part);
            if part.len() > room {
                part.clear();
                if !op.shrink(room) {
                    self.terminal = Some(Terminal::Fail(too_large(&op.id, room)));
                    continue;
                }
                op.write(&mut part);
            }
            if !append(&mut out, &mut part, &mut first, bytes_max) {
                (self.terminal, self.awaiting) = (None, Vec::new());
                break;
            }
        }
        if let Some(mut terminal) = self.terminal {
            terminal.write(&mut part);
            if part.len() > room {
                terminal = Terminal::Fail(too_large("the function's result", room));
                part.clear();
                terminal.write(&mut part);
            }
            append(&mut out, &mut part, &mut first, bytes_max);
        }
        out.push(b']');
        // A hint: better none than an answer that is too long.
        field(&mut part, ",\"awaiting\":", &self.awaiting);
        if !self.awaiting.is_empty() && out.len() + part.len() < bytes_max {
            out.append(&mut part);
        }
        out.push(b'}');
        Written {
            bytes: Bytes::from(out),
            #[cfg(feature = "axum")]
            after_token,
        }
    }
}

#[cfg(feature = "axum")]
impl Written {
    /// The same for the link, where the bearer says whose answer it is.
    pub(crate) fn late(&self) -> Bytes {
        let rest = &self.bytes[self.after_token..];
        Bytes::from([b"{\"final\":true".as_slice(), rest].concat())
    }
}

/// Moves `part` to `out` unless that would make the answer too long; `part` is empty afterwards.
fn append(out: &mut Vec<u8>, part: &mut Vec<u8>, first: &mut bool, bytes_max: usize) -> bool {
    if out.len() + part.len() + 3 > bytes_max {
        part.clear();
        return false;
    }
    if !std::mem::replace(first, false) {
        out.push(b',');
    }
    out.append(part);
    true
}

fn too_large(what: &str, bytes_max: usize) -> Failure {
    let message = format!(
        "{what} is larger than an answer may be ({bytes_max} bytes): store it elsewhere and return a reference"
    );
    Failure::new("TooLarge".to_owned(), message, false)
}

impl Op {
    /// Replaces a step's outcome by an error that says it is too large; false where there is none to replace.
    fn shrink(&mut self, bytes_max: usize) -> bool {
        let Some(report) = &mut self.report else { return false };
        let small = self.params.len() < bytes_max / 2;
        report.outcome = Err(too_large(&format!("the outcome of step `{}`", self.id), bytes_max));
        small
    }

    fn write(&self, out: &mut Vec<u8>) {
        field(out, "{\"op\":", self.kind.as_str());
        field(out, ",\"id\":", &self.id);
        field(out, ",\"name\":", &self.name);
        raw(out, ",\"params\":", &self.params);
        if let Some(report) = &self.report {
            match &report.outcome {
                Ok(value) => raw(out, ",\"ok\":", value),
                Err(failure) => field(out, ",\"err\":", failure),
            }
            field(out, ",\"attempt\":", &report.attempt);
            field(out, ",\"startedAt\":", &time::format(report.started_at));
            field(out, ",\"endedAt\":", &time::format(report.ended_at));
        }
        out.push(b'}');
    }
}

impl Terminal {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Terminal::Done(value) => raw(out, "{\"op\":\"done\",\"ok\":", value),
            Terminal::Fail(failure) => field(out, "{\"op\":\"fail\",\"err\":", failure),
            Terminal::Mismatch { id, journal, code } => {
                field(out, "{\"op\":\"mismatch\",\"id\":", id);
                field(out, ",\"journal\":", journal);
                field(out, ",\"code\":", code.as_str());
            }
            Terminal::Yield => out.extend_from_slice(b"{\"op\":\"yield\""),
        }
        out.push(b'}');
    }
}

/// The first 16 hex digits of SHA-256 over an op's parameters, by which the journal knows them again.
pub(crate) fn digest(params: &[u8]) -> String {
    hex(&Sha256::digest(params)[..8])
}

/// Lowercase hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn raw(out: &mut Vec<u8>, key: &str, value: &Raw) {
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(value.as_bytes());
}

fn field<T: Serialize + ?Sized>(out: &mut Vec<u8>, key: &str, value: &T) {
    out.extend_from_slice(key.as_bytes());
    serde_json::to_writer(out, value).expect("strings, numbers and failures are JSON, and a Vec takes every write");
}

#[derive(Deserialize)]
struct InvocationBody<'a> {
    #[serde(borrow)]
    run: RunBody<'a>,
    #[serde(borrow)]
    trigger: TriggerBody<'a>,
    #[serde(borrow, default, deserialize_with = "present")]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    journal: Vec<EntryBody<'a>>,
    #[serde(borrow, default)]
    links: Option<LinksBody<'a>>,
    #[serde(borrow)]
    token: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
struct LinksBody<'a> {
    #[serde(borrow, default)]
    checkpoint: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    journal: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunBody<'a> {
    id: String,
    app: String,
    function: String,
    #[serde(default)]
    name: Option<String>,
    attempt: u32,
    #[serde(borrow)]
    started_at: Cow<'a, str>,
    secret: String,
    #[serde(default)]
    seen: Option<u64>,
}

#[derive(Deserialize)]
struct TriggerBody<'a> {
    kind: String,
    #[serde(borrow, default)]
    events: Vec<EventBody<'a>>,
}

#[derive(Deserialize)]
struct EventBody<'a> {
    id: String,
    name: String,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    at: Cow<'a, str>,
}

#[derive(Deserialize)]
struct EntryBody<'a> {
    id: String,
    op: String,
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(borrow, default)]
    at: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    ok: Option<&'a RawValue>,
    #[serde(default)]
    err: Option<Failure>,
    #[serde(default)]
    timeout: bool,
    #[serde(default)]
    r#ref: bool,
    #[serde(default)]
    pending: bool,
    #[serde(default)]
    run: Option<RunNow>,
}

#[derive(Deserialize)]
struct RunNow {
    attempt: u32,
    #[serde(default)]
    error: Option<Failure>,
}

impl RunBody<'_> {
    fn read(self) -> Result<Run, String> {
        Ok(Run {
            id: self.id,
            app: self.app,
            function: self.function,
            name: self.name,
            attempt: self.attempt,
            started_at: time::parse(&self.started_at)?,
            secret: self.secret,
            seen: self.seen,
        })
    }
}

impl TriggerBody<'_> {
    fn read(self, body: &Bytes) -> Result<Trigger, String> {
        let events = self.events.into_iter().map(|event| event.read(body)).collect::<Result<_, _>>()?;
        Ok(Trigger { kind: self.kind, events })
    }
}

impl EventBody<'_> {
    fn read(self, body: &Bytes) -> Result<EventRecord, String> {
        Ok(EventRecord {
            id: self.id,
            name: self.name,
            data: self.data.map_or_else(Raw::null, |data| Raw::slice_of(body, data)),
            at: time::parse(&self.at)?,
        })
    }
}

/// Reads entries, the settled ones by `seq`.
fn entries(read: Vec<EntryBody<'_>>, body: &Bytes) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::with_capacity(read.len());
    let mut newest = 0;
    for entry in read {
        let entry = entry.read(body)?;
        if let EntryState::Settled { seq, .. } = entry.state {
            if seq <= newest {
                return Err(format!("entry `{}` has seq {seq}, which is not above {newest}", entry.id));
            }
            newest = seq;
        }
        entries.push(entry);
    }
    Ok(entries)
}

impl EntryBody<'_> {
    fn outcome(&mut self, body: &Bytes) -> Result<Option<Outcome>, String> {
        Ok(match (self.ok.take(), self.err.take(), self.timeout, self.r#ref) {
            (Some(value), None, false, false) => Some(Outcome::Ok(Raw::slice_of(body, value))),
            (None, Some(failure), false, false) => Some(Outcome::Err(failure)),
            (None, None, true, false) => Some(Outcome::Timeout),
            (None, None, false, true) => Some(Outcome::Elsewhere),
            (None, None, false, false) => None,
            _ => return Err(format!("entry `{}` has more than one outcome", self.id)),
        })
    }

    fn read(mut self, body: &Bytes) -> Result<Entry, String> {
        let outcome = self.outcome(body)?;
        let state = match (outcome, self.seq, self.at, self.pending, self.run) {
            (Some(outcome), Some(seq), Some(at), false, None) => {
                EntryState::Settled { seq, at: time::parse(&at)?, outcome }
            }
            (None, None, _, true, None) => EntryState::Pending,
            (None, None, _, false, Some(now)) => EntryState::Run { attempt: now.attempt, error: now.error },
            _ => {
                return Err(format!(
                    "entry `{}` is neither settled (seq, at and one of ok, err, timeout, ref) nor unsettled (pending or run)",
                    self.id
                ));
            }
        };
        Ok(Entry { id: self.id, op: self.op, digest: self.digest, state })
    }
}

/// A field that may be absent but whose `null` is a value.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}
