//! The body of an invocation, from a snapshot. Payloads are concatenated as they were stored; nothing of a user's is
//! parsed. Settled entries come in the order of their settlement, then those that have none.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::reader::present;
use super::writer::{Body, Form, is_shown, outcome_bytes, sizes};
use crate::limits::{BIGGEST_ENTRIES_SHOWN, REFERENCE_BYTES_MIN};
use crate::model::{Entry, EntryKind, Outcome, Payload, Snapshot, Text, TriggerKind};

/// What an entry costs besides its payload, roughly: field names, digest, time.
const ENTRY_BYTES: usize = 160;

/// An invocation as it goes out.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The request's body.
    pub body: Bytes,
    /// The greatest `seq` of the run: what the answer must have seen at least.
    pub seen: u32,
}

/// Why a snapshot cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The body does not fit into one request to this deployment.
    #[error(
        "failed to send the run's journal: it has {bytes} bytes, and the deployment takes {limit} in one request. The \
         biggest: {}. Store large values elsewhere and keep references in the journal, raise the deployment's \
         `limits.requestBytes`, or let the handler fetch the rest: give the server a --public-url that it can reach", list(.biggest)
    )]
    TooLarge {
        /// What the body has at least.
        bytes: usize,
        /// What the deployment allows.
        limit: u64,
        /// The biggest entries, biggest first; the input is `$input`.
        biggest: Vec<(Text, usize)>,
    },
    /// The run's first entry is not what this server writes.
    #[error("failed to read entry 0 of the run's journal: {0}; this is a defect of the server, please report it")]
    Corrupt(String),
}

/// What a handler is given to speak with the server.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The run's own secret.
    pub secret: &'a str,
    /// The invocation's token.
    pub token: &'a str,
    /// The server's address, if the handler can reach it: without a slash at the end.
    pub home: Option<&'a str>,
}

/// Where a handler reports, at the server's address.
pub const REPORT_PATH: &str = "/v1/invocations";

/// Where a process reports for many invocations at once, at the server's address.
pub const REPORTS_PATH: &str = "/v1/invocations/reports";

/// Where the rest of a journal is, at the server's address.
pub const JOURNAL_PATH: &str = "/v1/invocations/journal";

/// Builds the body, of at most `request_bytes`. What does not fit stays out if the handler can fetch it: large outcomes
/// first, then the oldest entries.
///
/// # Errors
/// [`EncodeError`], when it cannot be made to fit.
pub fn encode(snapshot: &Snapshot, access: Access<'_>, request_bytes: u64) -> Result<Invocation, EncodeError> {
    let input = snapshot.entries.first().filter(|entry| entry.kind == EntryKind::Input);
    let input = input.ok_or_else(|| EncodeError::Corrupt("it is not the input".to_owned()))?;
    let shown = snapshot.entries.iter().map(|entry| &**entry).filter(|entry| is_shown(entry));
    let (mut settled, open): (Vec<&Entry>, Vec<&Entry>) = shown.partition(|entry| entry.is_settled());
    settled.sort_unstable_by_key(|entry| entry.seq);
    let seen = settled.last().and_then(|entry| entry.seq).unwrap_or(0);
    let limit = usize::try_from(request_bytes).unwrap_or(usize::MAX);
    let draft = Draft { snapshot, access, input, open: &open };
    let state = snapshot.state.as_ref().map_or(0, Payload::len);
    let mut bytes: usize = state + snapshot.entries.iter().map(|entry| outcome_bytes(entry)).sum::<usize>();
    if bytes <= limit {
        let whole: Vec<_> = settled.iter().map(|entry| (*entry, Form::Whole)).collect();
        let body = draft.print(&whole, false, bytes)?;
        if body.len() <= limit {
            return Ok(Invocation { body, seen });
        }
        bytes = body.len();
    }
    if access.home.is_some() {
        let frame = draft.print(&[], true, 0)?;
        if let Some(chosen) = limit.checked_sub(frame.len()).and_then(|room| fitting(&settled, room)) {
            return Ok(Invocation { body: draft.print(&chosen, true, limit)?, seen });
        }
    }
    Err(too_large(snapshot, bytes, request_bytes))
}

/// The newest of these entries that fit, and how: at least one, or nothing.
fn fitting<'e>(settled: &[&'e Entry], room: usize) -> Option<Vec<(&'e Entry, Form)>> {
    // Each with its bytes as a reference and as it is written; a comma is counted with each.
    let mut plan: Vec<(Form, usize, usize)> = settled
        .iter()
        .map(|entry| {
            let (reference, whole) = sizes(entry);
            (Form::Whole, reference + 1, whole + 1)
        })
        .collect();
    let mut total: usize = plan.iter().map(|(_, _, bytes)| bytes).sum();
    let shorten = |(form, reference, bytes): &mut (Form, usize, usize), total: &mut usize| {
        *total = *total - *bytes + *reference;
        (*form, *bytes) = (Form::Reference, *reference);
    };
    for (entry, planned) in settled.iter().zip(&mut plan) {
        if total > room && outcome_bytes(entry) >= REFERENCE_BYTES_MIN {
            shorten(planned, &mut total);
        }
    }
    let newest = plan.len().checked_sub(1)?;
    let mut first = 0;
    while total > room && first < newest {
        total -= plan[first].2;
        first += 1;
    }
    // The last resort: the one entry that has to be there.
    if total > room && plan[newest].1 < plan[newest].2 {
        shorten(&mut plan[newest], &mut total);
    }
    let chosen = settled.iter().zip(plan).skip(first).map(|(entry, (form, ..))| (*entry, form));
    (total <= room).then(|| chosen.collect())
}

/// Everything of a body but the settled entries.
struct Draft<'a> {
    snapshot: &'a Snapshot,
    access: Access<'a>,
    input: &'a Entry,
    open: &'a [&'a Entry],
}

impl Draft<'_> {
    /// The body with these settled entries; `partly` when there are more, or more of them.
    fn print(&self, settled: &[(&Entry, Form)], partly: bool, weight: usize) -> Result<Bytes, EncodeError> {
        let entries = settled.len() + self.open.len();
        let mut body = Body(Vec::with_capacity(weight + 512 + entries * ENTRY_BYTES));
        self.run(&mut body);
        self.trigger(&mut body)?;
        body.raw(",\"input\":").payload(outcome_payload(self.input));
        if let Some(state) = &self.snapshot.state {
            body.raw(",\"state\":").payload(state);
        }
        body.raw(",\"journal\":[");
        let open = self.open.iter().map(|entry| (*entry, Form::Whole));
        for (position, (entry, form)) in settled.iter().copied().chain(open).enumerate() {
            body.raw(if position == 0 { "" } else { "," }).entry(entry, form);
        }
        body.raw("],\"links\":{\"checkpoint\":");
        self.link(&mut body, REPORT_PATH, true);
        body.raw(",\"reports\":");
        self.link(&mut body, REPORTS_PATH, true);
        body.raw(",\"journal\":");
        self.link(&mut body, JOURNAL_PATH, partly);
        body.raw("},\"token\":").string(self.access.token).raw("}");
        Ok(body.0.into())
    }

    fn link(&self, body: &mut Body, path: &str, given: bool) {
        match self.access.home.filter(|_| given) {
            Some(home) => body.string(&format!("{home}{path}")),
            None => body.raw("null"),
        };
    }

    fn run(&self, body: &mut Body) {
        let (snapshot, head) = (self.snapshot, &self.snapshot.head);
        body.raw("{\"run\":{\"id\":\"").display(head.id).raw("\",\"function\":").string(&head.function.function);
        body.raw(",\"app\":").string(&head.function.app).raw(",\"name\":");
        match &head.name {
            Some(name) => body.string(name),
            None => body.raw("null"),
        };
        body.raw(",\"attempt\":").display(snapshot.attempt).raw(",\"startedAt\":\"").display(head.started_at);
        body.raw("\",\"deadline\":");
        match head.deadline {
            Some(deadline) => body.raw("\"").display(deadline).raw("\""),
            None => body.raw("null"),
        };
        body.raw(",\"key\":");
        match &head.key {
            Some(key) => body.string(key),
            None => body.raw("null"),
        };
        body.raw(",\"secret\":").string(self.access.secret);
        if let Some(seed) = head.seed {
            body.raw(",\"seed\":\"").display(seed).raw("\"");
        }
        if snapshot.seen > 0 {
            body.raw(",\"seen\":").display(snapshot.seen);
        }
        if !snapshot.published.is_empty() {
            body.raw(",\"published\":{");
            for (position, (source, count)) in snapshot.published.iter().enumerate() {
                body.raw(if position == 0 { "" } else { "," }).string(source).raw(":").display(count);
            }
            body.raw("}");
        }
        body.raw("}");
    }

    fn trigger(&self, body: &mut Body) -> Result<(), EncodeError> {
        body.raw(",\"trigger\":");
        if self.snapshot.head.trigger != TriggerKind::Event {
            body.payload(&self.input.params);
            return Ok(());
        }
        #[derive(Deserialize)]
        struct Facts<'a> {
            id: String,
            name: String,
            at: String,
            #[serde(borrow, default, deserialize_with = "present")]
            data: Option<&'a RawValue>,
            #[serde(borrow, default)]
            labels: Option<&'a RawValue>,
        }
        let facts: Facts<'_> = self.input.params.read().map_err(|error| EncodeError::Corrupt(error.to_string()))?;
        body.raw("{\"kind\":\"event\",\"events\":[{\"id\":").string(&facts.id).raw(",\"name\":").string(&facts.name);
        body.raw(",\"data\":");
        match facts.data {
            // What started the chain that this run belongs to; its own input is another.
            Some(data) => body.raw(data.get()),
            None => body.payload(outcome_payload(self.input)),
        };
        body.raw(",\"at\":").string(&facts.at).raw("}]");
        if let Some(labels) = facts.labels {
            body.raw(",\"labels\":").raw(labels.get());
        }
        body.raw("}");
        Ok(())
    }
}

fn outcome_payload(input: &Entry) -> &Payload {
    static NULL: std::sync::LazyLock<Payload> = std::sync::LazyLock::new(Payload::null);
    input.outcome.as_ref().and_then(Outcome::payload).unwrap_or(&NULL)
}

fn too_large(snapshot: &Snapshot, bytes: usize, limit: u64) -> EncodeError {
    let mut biggest: Vec<(Text, usize)> =
        snapshot.entries.iter().map(|entry| (entry.id.clone(), outcome_bytes(entry))).collect();
    biggest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    biggest.truncate(BIGGEST_ENTRIES_SHOWN);
    EncodeError::TooLarge { bytes, limit, biggest }
}

fn list(biggest: &[(Text, usize)]) -> String {
    biggest.iter().map(|(id, bytes)| format!("`{id}` ({bytes} bytes)")).collect::<Vec<_>>().join(", ")
}
