//! The protocol's bodies: reads an invocation, writes an answer. `docs/reference/protocol.md` is the norm.
//!
//! User payloads are sliced out of the request and copied into the answer as they are; neither side of this file looks
//! into them. A body that breaks the protocol is refused with the reason, never repaired.

mod answer;
pub(crate) mod checkpoint;
mod invocation;

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::error::Failure;
use crate::labels::Labels;
use crate::raw::Raw;
use crate::replay::voice::Said;
use crate::schedule::Tick;

pub(crate) use invocation::present;

/// The protocol's version, as the header `backstitch-protocol` carries it.
pub(crate) const PROTOCOL: u32 = 1;

/// The id of the entry by which a run is cancelled.
pub(crate) const CANCEL_ID: &str = "$cancel";

/// The id of the entry by which a run has failed for good.
pub(crate) const FAILURE_ID: &str = "$failure";

/// What the ids of compensations begin with; the rest is the id of the step that they undo.
pub(crate) const UNDO: &str = "$undo/";

/// The largest status, and the largest details of a heartbeat, in bytes: the server's bound.
pub(crate) const NOTE_BYTES_MAX: usize = 64 * 1024;

/// One call of the server to a handler.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) run: Run,
    pub(crate) trigger: Trigger,
    /// What the run was started to be found by.
    pub(crate) labels: Labels,
    pub(crate) input: Raw,
    pub(crate) journal: Vec<Entry>,
    /// The state of the object that the run belongs to, as of its first invocation.
    pub(crate) state: BTreeMap<String, Raw>,
    pub(crate) links: Links,
    pub(crate) token: String,
}

/// Addresses at the server.
#[derive(Debug, Default, Clone)]
pub(crate) struct Links {
    /// Where the handler may report while it still runs.
    pub(crate) checkpoint: Option<String>,
    /// Where reports of several invocations may go in one request.
    pub(crate) reports: Option<String>,
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
    /// When it fails if it has not ended.
    pub(crate) deadline: Option<SystemTime>,
    /// The key of the object that it belongs to.
    pub(crate) key: Option<String>,
    pub(crate) secret: String,
    /// What chance follows from in the place of the run's id: a fork goes the way of the run that it copied.
    pub(crate) seed: Option<String>,
    /// The `seen` of the last answer that the server took, where it says so.
    pub(crate) seen: Option<u64>,
    /// How many messages its handler has published outside of bodies, by the place in its code.
    pub(crate) published: BTreeMap<String, u32>,
}

/// What started a run.
#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    pub(crate) kind: String,
    pub(crate) events: Vec<EventRecord>,
    pub(crate) tick: Option<Tick>,
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
    Run(Due),
}

/// The next attempt of a step.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    pub(crate) attempt: u32,
    /// Why the attempt before failed.
    pub(crate) error: Option<Failure>,
    /// What the last heartbeat before it said.
    pub(crate) details: Option<Raw>,
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
    /// A call that the server makes.
    Fetch,
    Send,
    /// A patch that the run goes along with.
    Marker,
    /// A write to the object's state.
    State,
}

impl OpKind {
    /// Every kind, for who reads ops.
    pub(crate) const ALL: [OpKind; 9] = [
        OpKind::Step,
        OpKind::Sleep,
        OpKind::WaitSignal,
        OpKind::WaitEvent,
        OpKind::Invoke,
        OpKind::Fetch,
        OpKind::Send,
        OpKind::Marker,
        OpKind::State,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            OpKind::Step => "step",
            OpKind::Sleep => "sleep",
            OpKind::WaitSignal => "waitSignal",
            OpKind::WaitEvent => "waitEvent",
            OpKind::Invoke => "invoke",
            OpKind::Fetch => "fetch",
            OpKind::Send => "send",
            OpKind::Marker => "marker",
            OpKind::State => "state",
        }
    }
}

/// One op of an answer or a checkpoint that ends nothing.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// Creates or moves an entry.
    Entry(EntryOp),
    /// A sign of life of a step's body.
    Heartbeat(HeartbeatOp),
    /// The reply to an update.
    Reply { update: String, outcome: Result<Raw, Failure> },
    /// What the run shows of itself.
    Status(Raw),
    /// Messages for whoever reads.
    Publish(PublishOp),
    /// What people find the run by: all of it.
    Labels(Labels),
}

impl Op {
    /// The op, if it is about an entry's own life.
    pub(crate) fn entry(&self) -> Option<&EntryOp> {
        match self {
            Op::Entry(op) => Some(op),
            Op::Heartbeat(_) | Op::Reply { .. } | Op::Status(_) | Op::Publish(_) | Op::Labels(_) => None,
        }
    }

    /// Whether it settles at once and nobody waits for it.
    pub(crate) fn is_silent(&self) -> bool {
        self.entry().is_some_and(|op| matches!(op.kind, OpKind::Marker | OpKind::State))
    }
}

/// Messages that one place of the code has published, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct PublishOp {
    /// The step; of the handler outside of bodies `$publish`, with its scopes before it.
    pub(crate) id: String,
    pub(crate) attempt: Option<u32>,
    pub(crate) channel: Option<String>,
    pub(crate) topic: String,
    /// The ordinal of the first at its place.
    pub(crate) index: u32,
    pub(crate) count: u32,
    /// All of them, with commas between them.
    pub(crate) data: Vec<u8>,
}

impl PublishOp {
    /// One message.
    pub(crate) fn new(id: String, attempt: Option<u32>, index: u32, said: Said) -> PublishOp {
        let Said { channel, topic, data } = said;
        PublishOp { id, attempt, channel, topic, index, count: 1, data: data.as_bytes().to_vec() }
    }

    /// Whether the other one follows directly, and there is room.
    pub(crate) fn takes(&self, next: &PublishOp, count_max: u32, bytes_max: usize) -> bool {
        let same = self.id == next.id && self.attempt == next.attempt;
        let there = self.channel == next.channel && self.topic == next.topic;
        let follows = self.index + self.count == next.index;
        same && there && follows && self.count < count_max && self.data.len() + next.data.len() < bytes_max
    }

    /// Takes the other one in.
    pub(crate) fn gather(&mut self, mut next: PublishOp) {
        self.data.push(b',');
        self.data.append(&mut next.data);
        self.count += next.count;
    }
}

/// A sign of life, with how far the body has come.
#[derive(Debug, Clone)]
pub(crate) struct HeartbeatOp {
    pub(crate) id: String,
    pub(crate) params: Raw,
    pub(crate) attempt: u32,
    pub(crate) details: Raw,
}

/// An op that creates or moves an entry.
#[derive(Debug, Clone)]
pub(crate) struct EntryOp {
    pub(crate) kind: OpKind,
    pub(crate) id: String,
    /// Empty for what has none.
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
    /// The run goes on in a new one, with this input.
    ContinueAsNew(Raw),
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
