//! Writes an answer, and what checkpoints have in common with it: ops as JSON, within the bytes that the host allows.

use bytes::Bytes;
use serde::Serialize;

use crate::error::Failure;
use crate::raw::Raw;
use crate::replay::ids;
use crate::time;

use super::{Answer, EntryOp, HeartbeatOp, Op, OpKind, PublishOp, Terminal, Written};

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
        let said: usize = self.ops.iter().map(|op| if let Op::Publish(op) = op { op.data.len() } else { 0 }).sum();
        if said > room / 2 {
            // What was only said on the way must not crowd out what counts.
            self.ops.retain(|op| !matches!(op, Op::Publish(_)));
        }
        for op in &mut self.ops {
            op.write(&mut part);
            if part.len() > room {
                part.clear();
                match op.shrink(room) {
                    Shrunk::Gone => continue,
                    Shrunk::Not(what) => {
                        self.terminal = Some(Terminal::Fail(too_large(&what, room)));
                        continue;
                    }
                    Shrunk::Fits => op.write(&mut part),
                }
            }
            if !append(&mut out, &mut part, &mut first, bytes_max) {
                (self.terminal, self.awaiting) = (None, Vec::new());
                break;
            }
        }
        if let Some(mut terminal) = self.terminal {
            terminal.write(&mut part);
            if part.len() > room {
                let what = match terminal {
                    Terminal::ContinueAsNew(_) => "the input to continue with",
                    _ => "the function's result",
                };
                terminal = Terminal::Fail(too_large(what, room));
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
pub(super) fn append(out: &mut Vec<u8>, part: &mut Vec<u8>, first: &mut bool, bytes_max: usize) -> bool {
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

/// What has become of an op that was too large.
pub(super) enum Shrunk {
    /// It is small now.
    Fits,
    /// It was only for people to look at, and is left out.
    Gone,
    /// Nothing helps: this is too large.
    Not(String),
}

impl Op {
    /// Replaces what is too large by an error that says so.
    pub(super) fn shrink(&mut self, bytes_max: usize) -> Shrunk {
        match self {
            Op::Entry(EntryOp { id, params, report: Some(report), .. }) if params.len() < bytes_max / 2 => {
                report.outcome = Err(too_large(&format!("the outcome of step `{id}`"), bytes_max));
                Shrunk::Fits
            }
            Op::Entry(op) => Shrunk::Not(op.id.clone()),
            Op::Reply { update, outcome } => {
                *outcome = Err(too_large(&format!("the reply to update `{update}`"), bytes_max));
                Shrunk::Fits
            }
            Op::Heartbeat(_) | Op::Status(_) | Op::Publish(_) | Op::Labels(_) => Shrunk::Gone,
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Op::Entry(op) => op.write(out),
            Op::Heartbeat(op) => op.write(out),
            Op::Reply { update, outcome } => {
                field(out, "{\"op\":\"reply\",\"update\":", update);
                write_outcome(out, outcome);
            }
            Op::Status(value) => raw(out, "{\"op\":\"status\",\"value\":", value),
            Op::Publish(op) => op.write(out),
            Op::Labels(labels) => {
                field(out, "{\"op\":\"labels\",\"tags\":", &labels.tags);
                field(out, ",\"attributes\":", &labels.attributes);
            }
        }
        out.push(b'}');
    }
}

impl EntryOp {
    fn write(&self, out: &mut Vec<u8>) {
        field(out, "{\"op\":", self.kind.as_str());
        field(out, ",\"id\":", &self.id);
        if self.kind != OpKind::State {
            field(out, ",\"name\":", &self.name);
        }
        raw(out, ",\"params\":", &self.params);
        if let Some(report) = &self.report {
            write_outcome(out, &report.outcome);
            field(out, ",\"attempt\":", &report.attempt);
            field(out, ",\"startedAt\":", &time::format(report.started_at));
            field(out, ",\"endedAt\":", &time::format(report.ended_at));
        }
    }
}

impl HeartbeatOp {
    fn write(&self, out: &mut Vec<u8>) {
        field(out, "{\"op\":\"heartbeat\",\"id\":", &self.id);
        field(out, ",\"name\":", &ids::name_of(&self.id));
        raw(out, ",\"params\":", &self.params);
        field(out, ",\"attempt\":", &self.attempt);
        raw(out, ",\"details\":", &self.details);
    }
}

impl PublishOp {
    fn write(&self, out: &mut Vec<u8>) {
        field(out, "{\"op\":\"publish\",\"id\":", &self.id);
        if let Some(attempt) = &self.attempt {
            field(out, ",\"attempt\":", attempt);
        }
        if let Some(channel) = &self.channel {
            field(out, ",\"channel\":", channel);
        }
        field(out, ",\"topic\":", &self.topic);
        field(out, ",\"index\":", &self.index);
        out.extend_from_slice(b",\"data\":[");
        out.extend_from_slice(&self.data);
        out.push(b']');
    }
}

fn write_outcome(out: &mut Vec<u8>, outcome: &Result<Raw, Failure>) {
    match outcome {
        Ok(value) => raw(out, ",\"ok\":", value),
        Err(failure) => field(out, ",\"err\":", failure),
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
            Terminal::ContinueAsNew(input) => raw(out, "{\"op\":\"continueAsNew\",\"input\":", input),
            Terminal::Yield => out.extend_from_slice(b"{\"op\":\"yield\""),
        }
        out.push(b'}');
    }
}

fn raw(out: &mut Vec<u8>, key: &str, value: &Raw) {
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(value.as_bytes());
}

fn field<T: Serialize + ?Sized>(out: &mut Vec<u8>, key: &str, value: &T) {
    out.extend_from_slice(key.as_bytes());
    serde_json::to_writer(out, value).expect("strings, numbers and failures are JSON, and a Vec takes every write");
}
