//! What a handler reports while it still runs, and what it is told: checkpoints, replies, pages of a journal.
//!
//! As strict as its parent: a reply that breaks the protocol is an error of text, never guessed at.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::Failure;
use crate::raw::Raw;
use crate::time;

use super::answer::{Shrunk, append};
use super::invocation::{EntryBody, entries, present};
use super::{Due, Entry, EntryState, Op, Outcome};

/// The largest checkpoint of more than one op, in bytes.
pub(crate) const CHECKPOINT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The reply to a checkpoint.
#[derive(Debug)]
pub(crate) struct Reply {
    /// What has settled after the `seen` of the request, by `seq`.
    pub(crate) settled: Vec<Settled>,
    /// The steps that are to run again.
    pub(crate) retry: Vec<Again>,
    /// The server is about to stop.
    pub(crate) drain: bool,
}

/// An entry that has settled.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) id: String,
    pub(crate) op: String,
    pub(crate) digest: Option<String>,
    pub(crate) seq: u64,
    pub(crate) at: SystemTime,
    /// `None`: exactly what the request has reported.
    pub(crate) outcome: Option<Outcome>,
}

/// A step that is to run again.
#[derive(Debug)]
pub(crate) struct Again {
    pub(crate) id: String,
    pub(crate) due_in: Duration,
    pub(crate) due: Due,
}

/// A part of a journal.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) journal: Vec<Entry>,
    /// Where the page before it ends; `None` for the first.
    pub(crate) before: Option<u64>,
    /// Its own size.
    pub(crate) bytes: usize,
}

/// The body of a checkpoint with as many of the ops as fit, and how many that are. None fits if the first is larger than
/// `bytes_max` even with an error in the place of its outcome.
pub(crate) fn write(n: u64, seen: u64, ops: &mut [Op], bytes_max: usize) -> (Bytes, usize) {
    let mut out = format!("{{\"n\":{n},\"seen\":{seen},\"ops\":[").into_bytes();
    let room = bytes_max.saturating_sub(out.len() + 3);
    let together_max = bytes_max.min(CHECKPOINT_BYTES_MAX);
    let (mut part, mut first, mut count) = (Vec::new(), true, 0);
    for op in ops {
        op.write(&mut part);
        if part.len() > room {
            part.clear();
            match op.shrink(room) {
                Shrunk::Fits => op.write(&mut part),
                Shrunk::Gone => {
                    count += 1;
                    continue;
                }
                Shrunk::Not(_) => break,
            }
        }
        let alone_max = if first { bytes_max } else { together_max };
        if !append(&mut out, &mut part, &mut first, alone_max) {
            break;
        }
        count += 1;
    }
    out.extend_from_slice(b"]}");
    (Bytes::from(out), count)
}

/// The body of a request without ops, to be replied to when something has settled, or after `wait`.
pub(crate) fn write_beat(n: u64, seen: u64, wait: Duration) -> Bytes {
    Bytes::from(format!("{{\"n\":{n},\"seen\":{seen},\"ops\":[],\"wait\":{}}}", wait.as_millis()))
}

impl Reply {
    /// Reads a reply; the error says what is wrong with it.
    pub(crate) fn parse(body: &Bytes) -> Result<Reply, String> {
        let read: ReplyBody<'_> =
            serde_json::from_slice(body).map_err(|error| format!("the reply to a checkpoint is none: {error}"))?;
        let mut settled = Vec::with_capacity(read.settled.len());
        for mut entry in read.settled {
            let outcome = entry.outcome(body)?;
            let (Some(seq), Some(at)) = (entry.seq, &entry.at) else {
                return Err(format!("entry `{}` of a reply has no seq or no time", entry.id));
            };
            let at = time::parse(at)?;
            settled.push(Settled { id: entry.id, op: entry.op, digest: entry.digest, seq, at, outcome });
        }
        let again = |again: AgainBody<'_>| {
            let details = again.details.map(|details| Raw::slice_of(body, details));
            let due = Due { attempt: again.attempt, error: again.error, details };
            Again { id: again.id, due_in: Duration::from_millis(again.due_in), due }
        };
        let drain = read.stop.is_some_and(|stop| stop == "drain");
        Ok(Reply { settled, retry: read.retry.into_iter().map(again).collect(), drain })
    }
}

impl Page {
    /// Reads a page; the error says what is wrong with it.
    pub(crate) fn parse(body: &Bytes) -> Result<Page, String> {
        let read: PageBody<'_> =
            serde_json::from_slice(body).map_err(|error| format!("the page of the journal is none: {error}"))?;
        let journal = entries(read.journal, body)?;
        if let Some(open) = journal.iter().find(|entry| !matches!(entry.state, EntryState::Settled { .. })) {
            return Err(format!("entry `{}` of a page has not settled", open.id));
        }
        Ok(Page { journal, before: read.before, bytes: body.len() })
    }
}

#[derive(Deserialize)]
struct ReplyBody<'a> {
    #[serde(borrow)]
    settled: Vec<EntryBody<'a>>,
    #[serde(borrow, default)]
    retry: Vec<AgainBody<'a>>,
    #[serde(default)]
    stop: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AgainBody<'a> {
    id: String,
    attempt: u32,
    due_in: u64,
    #[serde(default)]
    error: Option<Failure>,
    #[serde(borrow, default, deserialize_with = "present")]
    details: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct PageBody<'a> {
    #[serde(borrow)]
    journal: Vec<EntryBody<'a>>,
    #[serde(default)]
    before: Option<u64>,
}
