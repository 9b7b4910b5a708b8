//! The kit's side of checkpoints: a way to the server that ends in this process, and what comes over it.
//!
//! Requests and replies are the bytes that would go over HTTP, so that a test runs all of the SDK but the socket.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use crate::error::Failure;
use crate::labels::{AttributeValue, Labels};
use crate::port::{Port, Request, Response};
use crate::raw::{ObjectWriter, Raw};
use crate::time;
use crate::wire::{Due, Entry, EntryOp, EntryState, HeartbeatOp, Op, OpKind, Outcome, PublishOp, Report, present};

/// The handler's end.
pub(super) struct Line(mpsc::UnboundedSender<Call>);

/// One request, and where its reply goes.
pub(super) struct Call {
    pub(super) body: Bytes,
    pub(super) reply: oneshot::Sender<Response>,
}

impl Line {
    pub(super) fn new() -> (Line, mpsc::UnboundedReceiver<Call>) {
        let (calls, called) = mpsc::unbounded_channel();
        (Line(calls), called)
    }
}

impl Port for Line {
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, String>> {
        let (reply, replied) = oneshot::channel();
        let sent = self.0.send(Call { body: request.body.unwrap_or_default(), reply }).is_ok();
        async move {
            match replied.await {
                Ok(response) if sent => Ok(response),
                _ => Err("the test has ended".to_owned()),
            }
        }
        .boxed()
    }
}

/// A checkpoint as the kit reads it.
pub(super) struct Checkpoint {
    pub(super) seen: u64,
    pub(super) ops: Vec<Op>,
}

impl Checkpoint {
    pub(super) fn read(body: &Bytes) -> Result<Checkpoint, String> {
        let read: CheckpointBody<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let ops = read.ops.into_iter().map(|op| op.read(body)).collect::<Result<_, _>>()?;
        Ok(Checkpoint { seen: read.seen, ops })
    }
}

/// A settled entry as a reply has it; without its outcome if the request has reported it.
pub(super) fn settled(entry: &Entry, reported: bool) -> Option<Raw> {
    let EntryState::Settled { seq, at, outcome } = &entry.state else { return None };
    let number = Raw::written(seq.to_string().into_bytes());
    let written = ObjectWriter::new()
        .text("id", &entry.id)
        .text("op", &entry.op)
        .raw("seq", &number)
        .text("at", &time::format(*at));
    Some(
        match outcome {
            _ if reported => written,
            Outcome::Ok(value) => written.raw("ok", value),
            Outcome::Err(failure) => written.raw("err", &of(failure)),
            Outcome::Timeout => written.yes("timeout"),
            Outcome::Elsewhere => written.yes("ref"),
        }
        .finish(),
    )
}

/// An element of a reply's `retry`.
pub(super) fn again(id: &str, due: &Due, due_in_ms: u128) -> Raw {
    let number = |number: u128| Raw::written(number.to_string().into_bytes());
    let written = ObjectWriter::new()
        .text("id", id)
        .raw("attempt", &number(u128::from(due.attempt)))
        .raw("dueIn", &number(due_in_ms));
    let written = match &due.details {
        Some(details) => written.raw("details", details),
        None => written,
    };
    match &due.error {
        Some(error) => written.raw("error", &of(error)),
        None => written,
    }
    .finish()
}

fn of(failure: &Failure) -> Raw {
    Raw::written(serde_json::to_vec(failure).expect("a failure is text and JSON"))
}

/// `[a,b]`.
pub(super) fn list(values: &[Raw]) -> Raw {
    let mut out = vec![b'['];
    for (position, value) in values.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b']');
    Raw::written(out)
}

#[derive(Deserialize)]
struct CheckpointBody<'a> {
    seen: u64,
    #[serde(borrow)]
    ops: Vec<OpBody<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OpBody<'a> {
    op: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    ok: Option<&'a RawValue>,
    #[serde(default)]
    err: Option<Failure>,
    #[serde(default)]
    attempt: u32,
    #[serde(default)]
    started_at: Option<String>,
    #[serde(default)]
    ended_at: Option<String>,
    #[serde(default)]
    update: String,
    #[serde(default)]
    tags: BTreeSet<String>,
    #[serde(default)]
    attributes: BTreeMap<String, AttributeValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    details: Option<&'a RawValue>,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    topic: String,
    #[serde(default)]
    index: u32,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

impl OpBody<'_> {
    fn read(self, body: &Bytes) -> Result<Op, String> {
        let raw = |value: Option<&RawValue>| value.map_or_else(Raw::null, |value| Raw::slice_of(body, value));
        let params = raw(self.params);
        let outcome = match self.err {
            Some(failure) => Err(failure),
            // A step that gives `null` is read as one without a value, which is the same.
            None => Ok(raw(self.ok)),
        };
        match self.op.as_str() {
            "status" => return Ok(Op::Status(raw(self.value))),
            "labels" => return Ok(Op::Labels(Labels { tags: self.tags, attributes: self.attributes })),
            "reply" => return Ok(Op::Reply { update: self.update, outcome }),
            "heartbeat" => {
                let (attempt, details) = (self.attempt, raw(self.details));
                return Ok(Op::Heartbeat(HeartbeatOp { id: self.id, params, attempt, details }));
            }
            "publish" => {
                let list = self.data.map_or("[]", RawValue::get).trim();
                let data = &list[1..list.len() - 1];
                let count = serde_json::from_str::<Vec<&RawValue>>(list).map_or(0, |list| list.len() as u32);
                return Ok(Op::Publish(PublishOp {
                    id: self.id,
                    attempt: (self.attempt > 0).then_some(self.attempt),
                    channel: self.channel,
                    topic: self.topic,
                    index: self.index,
                    count,
                    data: data.as_bytes().to_vec(),
                }));
            }
            _ => {}
        }
        let kind = OpKind::ALL.into_iter().find(|kind| kind.as_str() == self.op);
        let report = match (self.started_at, self.ended_at) {
            (Some(started_at), Some(ended_at)) => Some(Report {
                outcome,
                attempt: self.attempt,
                started_at: time::parse(&started_at)?,
                ended_at: time::parse(&ended_at)?,
            }),
            _ => None,
        };
        let kind = kind.ok_or_else(|| format!("`{}` is no op", self.op))?;
        Ok(Op::Entry(EntryOp { kind, id: self.id, name: self.name, params, report }))
    }
}
