//! The server as one run sees it, in memory: a journal, a queue of signals, a clock that skips.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::app::App;
use crate::duration;
use crate::error::{Delay, Error, Failure};
use crate::event::Outgoing;
use crate::function::Retry;
use crate::port::{Outbound, Response};
use crate::raw::{ObjectWriter, Raw};
use crate::replay::call::{Host, Replay};
use crate::replay::drive::{Course, Drive};
use crate::replay::ids;
use crate::replay::link::Link;
use crate::testing::line::{self, Checkpoint, Line};
use crate::testing::{Outcome, Record, Recorded, Stubs, child_failed};
use crate::time::{self, Clock};
use crate::wire::{
    Answer, CANCEL_ID, Entry, EntryState, EventRecord, Invocation, Links, Op, OpKind, Outcome as Settled, Report, Run,
    Terminal, Trigger, digest,
};

/// The id of every test's run.
pub(super) const RUN_ID: &str = "run_00000000000000000000000001";

/// When tests begin: 2026-01-01T00:00:00Z.
const BEGINNING: Duration = Duration::from_secs(1_767_225_600);

/// No test waits for longer than this.
const INVOCATION_MAX: Duration = Duration::from_secs(3600);

/// More invocations than this mean that a test goes in circles.
const INVOCATIONS_MAX: u32 = 10_000;

/// One run's server.
pub(super) struct Server {
    app: App,
    pub(super) run: Run,
    pub(super) input: Raw,
    trigger: Trigger,
    entries: Vec<Open>,
    /// The `seq` of the last settlement.
    seq: u64,
    seen: u64,
    signals: VecDeque<(String, Raw)>,
    time: Arc<Mutex<SystemTime>>,
    stubs: Stubs,
    pub(super) children: HashMap<String, Settled>,
    pub(super) crashes: Vec<String>,
    pub(super) executions: HashMap<String, u32>,
    pub(super) sent: Vec<(String, Value)>,
    pub(super) started: Vec<(String, Value)>,
    ended: Option<Result<Raw, Failure>>,
    /// The handler itself is in back-off until then.
    backoff: Option<SystemTime>,
    /// Whether something has happened that the handler does not know.
    ready: bool,
    pub(super) invocations: u32,
    /// Whether the handler can report while it works.
    pub(super) checkpoints: bool,
    /// Whether it has, in this invocation.
    reported: bool,
    /// Whether this invocation was lost: nothing counts that it still says.
    lost: bool,
}

/// An entry and what it waits for.
struct Open {
    entry: Entry,
    params: Value,
    /// When it settles, times out, or is tried again.
    due: Option<SystemTime>,
}

/// How far an advance came.
pub(super) enum Advance {
    Ended(Result<Raw, Failure>),
    Waiting,
}

impl Server {
    pub(super) fn new(app: App, function: &str) -> Server {
        let beginning = SystemTime::UNIX_EPOCH + BEGINNING;
        let run = Run {
            id: RUN_ID.to_owned(),
            app: app.id.clone(),
            function: function.to_owned(),
            name: None,
            attempt: 1,
            started_at: beginning,
            secret: "00112233445566778899aabbccddeeff".to_owned(),
            seen: None,
        };
        Server {
            app,
            run,
            input: Raw::null(),
            trigger: Trigger { kind: "call".to_owned(), events: Vec::new() },
            entries: Vec::new(),
            seq: 0,
            seen: 0,
            signals: VecDeque::new(),
            time: Arc::new(Mutex::new(beginning)),
            stubs: Stubs::new(),
            children: HashMap::new(),
            crashes: Vec::new(),
            executions: HashMap::new(),
            sent: Vec::new(),
            started: Vec::new(),
            ended: None,
            backoff: None,
            ready: true,
            invocations: 0,
            checkpoints: false,
            reported: false,
            lost: false,
        }
    }

    pub(super) fn trigger_by(&mut self, event: Outgoing) {
        let record = self.record(&event);
        self.input = record.data.clone();
        self.trigger = Trigger { kind: "event".to_owned(), events: vec![record] };
    }

    pub(super) fn stub(&mut self, id: &str, outcome: Result<Raw, Failure>) {
        self.stubs.insert(id.to_owned(), outcome);
    }

    /// Calls the handler as long as there is something that it does not know.
    pub(super) async fn advance(&mut self) -> Advance {
        loop {
            if let Some(ended) = &self.ended {
                return Advance::Ended(ended.clone());
            }
            if !self.ready || self.backoff.is_some() {
                return Advance::Waiting;
            }
            self.invocations += 1;
            if self.invocations > INVOCATIONS_MAX {
                let message = format!("the run was not over after {INVOCATIONS_MAX} invocations");
                return Advance::Ended(Err(Failure::new("EndlessTest".to_owned(), message, false)));
            }
            let answer = match self.invoke().await {
                Ok(answer) => answer,
                Err(failure) => return Advance::Ended(Err(failure)),
            };
            self.apply(answer).await;
        }
    }

    async fn invoke(&mut self) -> Result<Answer, Failure> {
        let Some(function) = self.app.functions.get(&self.run.function) else {
            let message = format!("the app has no function `{}`", self.run.function);
            return Err(Failure::new("UnknownFunction".to_owned(), message, false));
        };
        self.run.seen = Some(self.seen);
        let token = format!("inv_{}", self.invocations);
        let invocation = Invocation {
            run: self.run.clone(),
            trigger: self.trigger.clone(),
            input: self.input.clone(),
            journal: self.journal(),
            links: Links::default(),
            token: token.clone(),
        };
        let host = Host { clock: self.clock(), stubs: Arc::new(self.stubs.clone()), ..self.app.host() };
        let replay = Replay::new(invocation, host);
        let handler = Arc::clone(&function.handler);
        (self.ready, self.reported, self.lost) = (false, false, false);
        let (line, mut calls) = Line::new();
        let outbound = Arc::new(Outbound::new(Arc::new(line)));
        let link = self.checkpoints.then(|| Link::new(outbound, String::new(), &token, Duration::ZERO));
        let course = Course {
            link,
            journal: None,
            limit: INVOCATION_MAX,
            bytes_max: usize::MAX,
            drain: std::future::pending().boxed(),
        };
        let mut drive = Drive::new(replay, handler, self.input.clone(), course);
        // Nothing settles by itself while a handler runs: a beat waits to the end.
        let mut beats = Vec::new();
        loop {
            let call = tokio::select! {
                biased;
                answer = &mut drive => return Ok(answer),
                Some(call) = calls.recv() => call,
            };
            match Checkpoint::read(&call.body) {
                Ok(checkpoint) if checkpoint.ops.is_empty() => beats.push(call),
                Ok(checkpoint) => {
                    let response = self.checkpoint(checkpoint).await;
                    // A handler that does not wait for it any more has ended.
                    let _ = call.reply.send(response);
                }
                Err(reason) => return Err(Failure::new("ProtocolError".to_owned(), reason, false)),
            }
        }
    }

    /// What the server replies to a checkpoint.
    async fn checkpoint(&mut self, checkpoint: Checkpoint) -> Response {
        if self.loses(&checkpoint.ops) {
            return Response { status: 409, body: Bytes::new() };
        }
        self.reported = true;
        let before = self.seq;
        let reported: HashSet<String> =
            checkpoint.ops.iter().filter(|op| op.report.is_some()).map(|op| op.id.clone()).collect();
        for op in checkpoint.ops {
            self.take(op).await;
        }
        // The reply tells all of it.
        self.ready = false;
        let journal = self.journal();
        let mut settled = Vec::new();
        for entry in &journal {
            if let EntryState::Settled { seq, .. } = entry.state
                && seq > checkpoint.seen
            {
                settled.extend(line::settled(entry, seq > before && reported.contains(&entry.id)));
            }
        }
        let retry: Vec<Raw> = self.entries.iter().filter_map(|open| open.again(self.now())).collect();
        let body = ObjectWriter::new().raw("settled", &line::list(&settled)).raw("retry", &line::list(&retry)).finish();
        Response { status: 200, body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    /// Whether a crash was ordered for one of these reports: then nothing of it is heard.
    fn loses(&mut self, ops: &[Op]) -> bool {
        for op in ops.iter().filter(|op| op.report.is_some()) {
            *self.executions.entry(op.id.clone()).or_insert(0) += 1;
        }
        let lost = |id: &String| ops.iter().any(|op| op.report.is_some() && op.id == *id);
        let Some(position) = self.crashes.iter().position(lost) else { return false };
        self.crashes.remove(position);
        (self.ready, self.lost) = (true, true);
        true
    }

    async fn apply(&mut self, answer: Answer) {
        if self.lost || self.loses(&answer.ops) {
            return;
        }
        self.seen = answer.seen;
        let progress = self.reported || !answer.ops.is_empty();
        for op in answer.ops {
            self.take(op).await;
        }
        self.ready |= self.seq > answer.seen;
        match answer.terminal {
            None => {}
            Some(Terminal::Done(value)) => self.ended = Some(Ok(value)),
            Some(Terminal::Fail(failure)) => self.fail(failure, progress),
            Some(Terminal::Yield) => self.ready = true,
            Some(Terminal::Mismatch { id, journal, code }) => {
                let message = format!("the journal has `{id}` as {journal}, the code as {}", code.as_str());
                self.ended = Some(Err(Failure::new("Mismatch".to_owned(), message, false)));
            }
        }
    }

    fn fail(&mut self, failure: Failure, progress: bool) {
        if progress {
            self.run.attempt = 1;
        }
        let policy = self.app.functions.get(&self.run.function).and_then(|function| function.manifest.retry.clone());
        match wait(&policy.unwrap_or_default(), self.run.attempt, &failure) {
            Some(wait) => {
                self.run.attempt += 1;
                self.backoff = Some(self.now() + wait);
                self.ready = true;
            }
            None => self.ended = Some(Err(failure)),
        }
    }

    async fn take(&mut self, op: Op) {
        let params: Value = serde_json::from_slice(op.params.as_bytes()).unwrap_or_default();
        let entry = Entry {
            id: op.id.clone(),
            op: op.kind.as_str().to_owned(),
            digest: Some(digest(op.params.as_bytes())),
            state: EntryState::Pending,
        };
        let index = match self.entries.iter().position(|open| open.entry.id == op.id) {
            Some(index) => index,
            None => {
                self.entries.push(Open { entry, params: params.clone(), due: None });
                self.entries.len() - 1
            }
        };
        let due = |key: &str| params.get(key).and_then(as_duration);
        match (op.kind, op.report) {
            (OpKind::Step, Some(report)) => self.step(index, report, &params),
            (OpKind::Sleep, _) => {
                let until = params.get("until").and_then(Value::as_str).and_then(|text| time::parse(text).ok());
                self.entries[index].due = until.or_else(|| Some(self.now() + due("for")?));
            }
            (OpKind::WaitSignal | OpKind::WaitEvent, _) => {
                self.entries[index].due = due("timeout").map(|timeout| self.now() + timeout);
                self.match_signals();
            }
            (OpKind::Invoke, _) => self.child(index, &params).await,
            (OpKind::Send, _) => self.send(index, &params),
            (OpKind::Step, None) => {}
        }
    }

    fn step(&mut self, index: usize, report: Report, params: &Value) {
        let failure = match report.outcome {
            Ok(value) => return self.settle(index, Settled::Ok(value)),
            Err(failure) => failure,
        };
        let policy: Retry =
            params.get("retry").and_then(|retry| serde_json::from_value(retry.clone()).ok()).unwrap_or_default();
        match wait(&policy, report.attempt, &failure) {
            None => self.settle(index, Settled::Err(failure)),
            Some(wait) => {
                let due = self.now() + wait;
                let open = &mut self.entries[index];
                open.entry.state = EntryState::Run { attempt: report.attempt + 1, error: Some(failure) };
                open.due = Some(due);
            }
        }
    }

    async fn child(&mut self, index: usize, params: &Value) {
        let input = params.get("input").cloned().unwrap_or_default();
        let function = params.get("function").and_then(Value::as_str).unwrap_or_default().to_owned();
        let app = params.get("app").and_then(Value::as_str);
        if params.get("detached").is_some() {
            self.started.push((function, input));
            return self.settle(index, Settled::Ok(ids_of(&[RUN_ID.to_owned()])));
        }
        if let Some(outcome) = self.children.get(&self.entries[index].entry.id).cloned() {
            return self.settle(index, outcome);
        }
        if app.is_none_or(|app| app == self.app.id) && self.app.functions.contains_key(&function) {
            let outcome = self.run_child(&function, &input).await;
            return self.settle(index, outcome);
        }
        self.entries[index].due = params.get("timeout").and_then(as_duration).map(|timeout| self.now() + timeout);
    }

    /// Runs a child to its end, with this run's stubs for steps of its ids.
    fn run_child(&self, function: &str, input: &Value) -> BoxFuture<'static, Settled> {
        let mut child = Server::new(self.app.clone(), function);
        child.stubs = self.stubs.clone();
        child.input = Raw::written(input.to_string().into_bytes());
        child.skip_to(self.now());
        child.trigger.kind = "invoke".to_owned();
        async move {
            loop {
                match child.advance().await {
                    Advance::Ended(Ok(value)) => return Settled::Ok(value),
                    Advance::Ended(Err(failure)) => return Settled::Err(child_failed(&failure)),
                    Advance::Waiting if child.skip() => {}
                    Advance::Waiting => {
                        let message =
                            format!("the child waits for {}: give it an outcome", child.open_ids().join(", "));
                        return Settled::Err(Failure::new("BlockedTest".to_owned(), message, false));
                    }
                }
            }
        }
        .boxed()
    }

    fn send(&mut self, index: usize, params: &Value) {
        let mut ids = Vec::new();
        for event in params.get("events").and_then(Value::as_array).into_iter().flatten() {
            let name = event.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            self.sent.push((name, event.get("data").cloned().unwrap_or_default()));
            ids.push(format!("evt_{:026}", self.sent.len()));
        }
        self.settle(index, Settled::Ok(ids_of(&ids)));
    }

    pub(super) fn signal(&mut self, name: &str, payload: Raw) {
        self.signals.push_back((name.to_owned(), payload));
        self.match_signals();
    }

    fn match_signals(&mut self) {
        for index in 0..self.entries.len() {
            let open = &self.entries[index];
            let Some(name) = open.params.get("signal").filter(|_| open.is_waiting()).and_then(Value::as_str) else {
                continue;
            };
            if let Some(position) = self.signals.iter().position(|(signal, _)| signal == name)
                && let Some((_, payload)) = self.signals.remove(position)
            {
                self.settle(index, Settled::Ok(payload));
            }
        }
    }

    pub(super) fn event(&mut self, event: &Outgoing) -> bool {
        let record = self.record(event);
        let wanted = |open: &Open| {
            open.is_waiting() && open.params.get("event").and_then(Value::as_str) == Some(record.name.as_str())
        };
        let Some(index) = self.entries.iter().position(wanted) else { return false };
        let body = ObjectWriter::new()
            .text("id", &record.id)
            .text("name", &record.name)
            .raw("data", &record.data)
            .text("at", &time::format(record.at));
        self.settle(index, Settled::Ok(body.finish()));
        true
    }

    pub(super) fn awake(&mut self, token: &str, outcome: Settled) -> bool {
        let run = &self.run;
        let wanted = |open: &Open| {
            open.is_waiting()
                && open.params.get("awakeable").is_some()
                && ids::awakeable_token(&run.id, &run.secret, &open.entry.id) == token
        };
        let Some(index) = self.entries.iter().position(wanted) else { return false };
        self.settle(index, outcome);
        true
    }

    pub(super) fn cancel(&mut self) {
        let entry =
            Entry { id: CANCEL_ID.to_owned(), op: "cancel".to_owned(), digest: None, state: EntryState::Pending };
        self.entries.push(Open { entry, params: Value::Null, due: None });
        self.settle(self.entries.len() - 1, Settled::Ok(Raw::null()));
    }

    fn settle(&mut self, index: usize, outcome: Settled) {
        self.seq += 1;
        let (seq, at) = (self.seq, self.now());
        let open = &mut self.entries[index];
        open.entry.state = EntryState::Settled { seq, at, outcome };
        open.due = None;
        self.ready = true;
    }

    /// Goes on to the earliest moment at which something is due; false if nothing ever is.
    pub(super) fn skip(&mut self) -> bool {
        let due = self.entries.iter().filter_map(|open| open.due).chain(self.backoff).min();
        if let Some(due) = due {
            self.skip_to(due);
        }
        due.is_some()
    }

    pub(super) fn skip_to(&mut self, time: SystemTime) {
        {
            let mut now = self.time.lock().unwrap_or_else(PoisonError::into_inner);
            *now = time.max(*now);
        }
        if self.backoff.is_some_and(|until| until <= time) {
            self.backoff = None;
        }
        while let Some(index) = self.earliest_due(time) {
            let open = &mut self.entries[index];
            match (&open.entry.state, open.entry.op.as_str()) {
                (EntryState::Run { .. }, _) => {
                    open.due = None;
                    self.ready = true;
                }
                (_, "sleep") => self.settle(index, Settled::Ok(Raw::null())),
                _ => self.settle(index, Settled::Timeout),
            }
        }
    }

    fn earliest_due(&self, time: SystemTime) -> Option<usize> {
        let due = self.entries.iter().enumerate().filter_map(|(index, open)| Some((open.due?, index)));
        due.filter(|(due, _)| *due <= time).min().map(|(_, index)| index)
    }

    fn journal(&self) -> Vec<Entry> {
        let mut journal: Vec<Entry> = self.entries.iter().map(Open::sent).collect();
        journal.sort_by_key(|entry| match entry.state {
            EntryState::Settled { seq, .. } => seq,
            EntryState::Pending | EntryState::Run { .. } => u64::MAX,
        });
        journal
    }

    pub(super) fn records(&self) -> Vec<Record> {
        self.entries.iter().map(Open::record).collect()
    }

    pub(super) fn open_ids(&self) -> Vec<String> {
        let open = self.entries.iter().filter(|open| !matches!(open.entry.state, EntryState::Settled { .. }));
        open.map(|open| open.entry.id.clone()).collect()
    }

    pub(super) fn outcome(&self, ended: Result<Raw, Failure>) -> Outcome {
        match ended {
            Ok(value) => Outcome::Completed(json(&value)),
            Err(failure) => Outcome::Failed(Error::own(failure)),
        }
    }

    pub(super) fn now(&self) -> SystemTime {
        *self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clock(&self) -> Clock {
        let time = Arc::clone(&self.time);
        Clock::of(move || *time.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn record(&self, event: &Outgoing) -> EventRecord {
        EventRecord {
            id: event.id.clone().unwrap_or_else(|| format!("evt_{:026}", 0)),
            name: event.name.clone(),
            data: event.data.as_ref().map_or_else(|_| Raw::null(), Raw::clone),
            at: event.at.unwrap_or_else(|| self.now()),
        }
    }
}

impl Open {
    /// The step as a reply names it that is to run again.
    fn again(&self, now: SystemTime) -> Option<Raw> {
        let EntryState::Run { attempt, error } = &self.entry.state else { return None };
        let due_in = self.due.and_then(|due| due.duration_since(now).ok()).unwrap_or_default();
        Some(line::again(&self.entry.id, *attempt, due_in.as_millis(), error.as_ref()))
    }

    fn is_waiting(&self) -> bool {
        matches!(self.entry.state, EntryState::Pending)
    }

    /// The entry as the handler is sent it: a step in back-off is not to be run.
    fn sent(&self) -> Entry {
        let mut entry = self.entry.clone();
        if self.due.is_some() {
            entry.state = EntryState::Pending;
        }
        entry
    }

    fn record(&self) -> Record {
        let outcome = match &self.entry.state {
            EntryState::Pending | EntryState::Run { .. } | EntryState::Settled { outcome: Settled::Elsewhere, .. } => {
                None
            }
            EntryState::Settled { outcome: Settled::Ok(value), .. } => Some(Recorded::Ok(json(value))),
            EntryState::Settled { outcome: Settled::Timeout, .. } => Some(Recorded::TimedOut),
            EntryState::Settled { outcome: Settled::Err(failure), .. } => {
                Some(Recorded::Err { name: failure.name.clone(), message: failure.message.clone() })
            }
        };
        Record { id: self.entry.id.clone(), op: self.entry.op.clone(), params: self.params.clone(), outcome }
    }
}

/// The wait before the next attempt; none if there is none.
fn wait(policy: &Retry, attempt: u32, failure: &Failure) -> Option<Duration> {
    if !failure.retryable || policy.is_final(&failure.name) {
        return None;
    }
    let wait = policy.wait_after(attempt)?;
    Some(failure.retry_after.as_ref().and_then(delay).unwrap_or(wait))
}

fn delay(delay: &Delay) -> Option<Duration> {
    match delay {
        Delay::Millis(ms) => Some(Duration::from_millis(*ms)),
        Delay::Text(text) => duration::parse(text).ok(),
    }
}

fn as_duration(value: &Value) -> Option<Duration> {
    serde_json::from_value(value.clone()).ok().as_ref().and_then(delay)
}

fn ids_of(ids: &[String]) -> Raw {
    Raw::written(serde_json::json!({ "ids": ids }).to_string().into_bytes())
}

fn json(value: &Raw) -> Value {
    serde_json::from_slice(value.as_bytes()).unwrap_or_default()
}
