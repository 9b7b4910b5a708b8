//! Reads an invocation: user payloads are slices of the request, never looked into.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error::Failure;
use crate::labels::Labels;
use crate::raw::Raw;
use crate::schedule::Tick;
use crate::time;

use super::{Due, Entry, EntryState, EventRecord, Invocation, Links, Outcome, Run, Trigger};

impl Invocation {
    /// Reads a request's body; the error says what is wrong with it.
    pub(crate) fn parse(body: &Bytes) -> Result<Invocation, String> {
        let read: InvocationBody<'_> =
            serde_json::from_slice(body).map_err(|error| format!("the body is no invocation: {error}"))?;
        let links = read.links.unwrap_or_default();
        let links = Links {
            checkpoint: links.checkpoint.map(Cow::into_owned),
            reports: links.reports.map(Cow::into_owned),
            journal: links.journal.map(Cow::into_owned),
        };
        let mut trigger = read.trigger;
        Ok(Invocation {
            run: read.run.read()?,
            labels: std::mem::take(&mut trigger.labels),
            trigger: trigger.read(body)?,
            input: read.input.map_or_else(Raw::null, |input| Raw::slice_of(body, input)),
            journal: entries(read.journal, body)?,
            state: read.state.into_iter().flatten().map(|(name, value)| (name, Raw::slice_of(body, value))).collect(),
            links,
            token: read.token.into_owned(),
        })
    }
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
    state: Option<BTreeMap<String, &'a RawValue>>,
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
    reports: Option<Cow<'a, str>>,
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
    #[serde(borrow, default)]
    deadline: Option<Cow<'a, str>>,
    #[serde(default)]
    key: Option<String>,
    secret: String,
    #[serde(default)]
    seed: Option<String>,
    #[serde(default)]
    seen: Option<u64>,
    #[serde(default)]
    published: BTreeMap<String, u32>,
}

#[derive(Deserialize)]
struct TriggerBody<'a> {
    kind: String,
    #[serde(borrow, default)]
    events: Vec<EventBody<'a>>,
    #[serde(default)]
    schedule: Option<String>,
    #[serde(borrow, default)]
    at: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    previous: Option<Cow<'a, str>>,
    #[serde(default)]
    labels: Labels,
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
pub(super) struct EntryBody<'a> {
    pub(super) id: String,
    pub(super) op: String,
    #[serde(default)]
    pub(super) digest: Option<String>,
    #[serde(default)]
    pub(super) seq: Option<u64>,
    #[serde(borrow, default)]
    pub(super) at: Option<Cow<'a, str>>,
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
    #[serde(borrow, default)]
    run: Option<RunNow<'a>>,
}

#[derive(Deserialize)]
struct RunNow<'a> {
    attempt: u32,
    #[serde(default)]
    error: Option<Failure>,
    #[serde(borrow, default, deserialize_with = "present")]
    details: Option<&'a RawValue>,
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
            deadline: self.deadline.map(|deadline| time::parse(&deadline)).transpose()?,
            key: self.key,
            secret: self.secret,
            seed: self.seed,
            seen: self.seen,
            published: self.published,
        })
    }
}

impl TriggerBody<'_> {
    fn read(self, body: &Bytes) -> Result<Trigger, String> {
        let events = self.events.into_iter().map(|event| event.read(body)).collect::<Result<_, _>>()?;
        let tick = match (self.kind.as_str(), self.schedule, self.at) {
            ("schedule", Some(schedule), Some(at)) => {
                let previous = self.previous.map(|previous| time::parse(&previous)).transpose()?;
                Some(Tick { schedule, at: time::parse(&at)?, previous })
            }
            ("schedule", ..) => return Err("the trigger names no schedule, or no time of it".to_owned()),
            _ => None,
        };
        Ok(Trigger { kind: self.kind, events, tick })
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
pub(super) fn entries(read: Vec<EntryBody<'_>>, body: &Bytes) -> Result<Vec<Entry>, String> {
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
    pub(super) fn outcome(&mut self, body: &Bytes) -> Result<Option<Outcome>, String> {
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
            (None, None, _, false, Some(now)) => {
                let details = now.details.map(|details| Raw::slice_of(body, details));
                EntryState::Run(Due { attempt: now.attempt, error: now.error, details })
            }
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
pub(crate) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}
