//! The server as one run sees it, in memory: a journal, a queue of signals, a clock that skips.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::FutureExt;
use serde_json::Value;

use crate::app::App;
use crate::error::{Error, Failure};
use crate::labels::Labels;
use crate::port::{Outbound, Response};
use crate::raw::{ObjectWriter, Raw};
use crate::replay::call::{Host, Replay};
use crate::replay::drive::{Course, Drive};
use crate::replay::link::{Addresses, Link};
use crate::testing::fetches::Answers;
use crate::testing::line::{self, Checkpoint, Line};
use crate::testing::outside::{Objects, Sent};
use crate::testing::voices::Voices;
use crate::testing::{Outcome, Record, Recorded, Stubs, ops};
use crate::time::Clock;
use crate::wire::{
    Answer, Entry, EntryOp, EntryState, FAILURE_ID, Invocation, Links, Op, Outcome as Settled, Run, Terminal, Trigger,
    UNDO,
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
    pub(super) app: App,
    pub(super) run: Run,
    pub(super) input: Raw,
    pub(super) trigger: Trigger,
    pub(super) entries: Vec<Open>,
    /// The `seq` of the last settlement.
    seq: u64,
    seen: u64,
    pub(super) signals: VecDeque<(String, Raw)>,
    pub(super) updates: Vec<Sent>,
    pub(super) voices: Voices,
    pub(super) status: Option<Value>,
    /// What the run is found by, and what it was started with.
    pub(super) labels: Labels,
    pub(super) labels_at_first: Labels,
    pub(super) objects: Objects,
    /// The object's state when the run began.
    state: Option<BTreeMap<String, Raw>>,
    time: Arc<Mutex<SystemTime>>,
    pub(super) stubs: Stubs,
    pub(super) children: HashMap<String, Settled>,
    pub(super) crashes: Vec<String>,
    /// The answer or report of this place is lost, once.
    pub(super) crash_at: Option<usize>,
    /// The entries of each that was taken.
    pub(super) told: Vec<Vec<String>>,
    pub(super) executions: HashMap<String, u32>,
    pub(super) fetches: Answers,
    /// What calls have come to that settle when they are due.
    pub(super) answers: HashMap<String, Settled>,
    pub(super) sent: Vec<(String, Value)>,
    pub(super) started: Vec<(String, Value)>,
    ended: Option<Result<Raw, Failure>>,
    /// The handler itself is in back-off until then.
    backoff: Option<SystemTime>,
    /// Whether something has happened that the handler does not know.
    ready: bool,
    pub(super) invocations: u32,
    /// How many runs there were: one goes on from another.
    pub(super) runs: u32,
    /// Whether the handler can report while it works.
    pub(super) checkpoints: bool,
    /// Whether it has, in this invocation.
    reported: bool,
    /// Whether this invocation was lost: nothing counts that it still says.
    lost: bool,
}

/// An entry and what it waits for.
pub(super) struct Open {
    pub(super) entry: Entry,
    pub(super) params: Value,
    /// When it was created.
    pub(super) at: SystemTime,
    /// When it settles, times out, or is tried again.
    pub(super) due: Option<SystemTime>,
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
            deadline: deadline(&app, function, beginning),
            key: None,
            secret: "00112233445566778899aabbccddeeff".to_owned(),
            seed: None,
            seen: None,
            published: BTreeMap::new(),
        };
        Server {
            app,
            run,
            input: Raw::null(),
            trigger: Trigger { kind: "call".to_owned(), events: Vec::new(), tick: None },
            entries: Vec::new(),
            seq: 0,
            seen: 0,
            signals: VecDeque::new(),
            updates: Vec::new(),
            status: None,
            voices: Voices::default(),
            labels: Labels::default(),
            labels_at_first: Labels::default(),
            objects: Objects::default(),
            state: None,
            time: Arc::new(Mutex::new(beginning)),
            stubs: Stubs::default(),
            children: HashMap::new(),
            crashes: Vec::new(),
            crash_at: None,
            told: Vec::new(),
            executions: HashMap::new(),
            fetches: Answers::new(),
            answers: HashMap::new(),
            sent: Vec::new(),
            started: Vec::new(),
            ended: None,
            backoff: None,
            ready: true,
            invocations: 0,
            runs: 1,
            checkpoints: false,
            reported: false,
            lost: false,
        }
    }

    pub(super) fn stub(&mut self, id: &str, outcome: Result<Raw, Failure>) {
        self.stubs.outcomes.insert(id.to_owned(), outcome);
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
            self.voices.hush();
        }
    }

    async fn invoke(&mut self) -> Result<Answer, Failure> {
        let Some(function) = self.app.functions.get(&self.run.function) else {
            let message = format!("the app has no function `{}`", self.run.function);
            return Err(Failure::new("UnknownFunction".to_owned(), message, false));
        };
        let handler = Arc::clone(&function.handler);
        self.run.seen = Some(self.seen);
        self.run.published = self.voices.published();
        let state = self.first_state();
        let token = format!("inv_{}", self.invocations);
        let invocation = Invocation {
            run: self.run.clone(),
            trigger: self.trigger.clone(),
            labels: self.labels_at_first.clone(),
            input: self.input.clone(),
            journal: self.journal(),
            state,
            links: Links::default(),
            token: token.clone(),
        };
        let host = Host { clock: self.clock(), stubs: Arc::new(self.stubs.clone()), ..self.app.host() };
        let replay = Replay::new(invocation, host);
        (self.ready, self.reported, self.lost) = (false, false, false);
        let (line, mut calls) = Line::new();
        let outbound = Arc::new(Outbound::new(Arc::new(line)));
        let nowhere = || Addresses { alone: Arc::from(""), together: None };
        let link = self.checkpoints.then(|| Link::new(outbound, nowhere(), &token, Duration::ZERO));
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
        let reported: HashMap<String, Option<Failure>> = reports(&checkpoint.ops)
            .map(|op| (op.id.clone(), op.report.as_ref().and_then(|report| report.outcome.clone().err())))
            .collect();
        for op in checkpoint.ops {
            self.take(op).await;
        }
        // The reply tells all of it.
        self.ready = false;
        let journal = self.journal();
        let mut settled = Vec::new();
        for entry in &journal {
            if let EntryState::Settled { seq, outcome, .. } = &entry.state
                && *seq > checkpoint.seen
            {
                // What this very request has reported the handler knows, unless it has come to something else.
                let own = match (outcome, reported.get(&entry.id)) {
                    (Settled::Ok(_), Some(None)) => *seq > before,
                    (Settled::Err(failure), Some(Some(reported))) => *seq > before && failure == reported,
                    _ => false,
                };
                settled.extend(line::settled(entry, own));
            }
        }
        let retry: Vec<Raw> = self.entries.iter().filter_map(|open| open.again(self.now())).collect();
        let body = ObjectWriter::new().raw("settled", &line::list(&settled)).raw("retry", &line::list(&retry)).finish();
        Response { status: 200, body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    /// Whether a crash was ordered for one of these reports: then nothing of it is heard.
    fn loses(&mut self, ops: &[Op]) -> bool {
        for op in reports(ops) {
            *self.executions.entry(op.id.clone()).or_insert(0) += 1;
        }
        let lost = |id: &String| reports(ops).any(|op| op.id == *id);
        if self.crash_at == Some(self.told.len()) {
            self.crash_at = None;
        } else if let Some(position) = self.crashes.iter().position(lost) {
            self.crashes.remove(position);
        } else {
            self.told.push(ops.iter().filter_map(Op::entry).map(|op| op.id.clone()).collect());
            return false;
        }
        (self.ready, self.lost) = (true, true);
        true
    }

    async fn apply(&mut self, answer: Answer) {
        if self.lost || self.loses(&answer.ops) {
            return;
        }
        self.seen = answer.seen;
        let progress = self.reported || answer.ops.iter().any(|op| op.entry().is_some());
        for op in answer.ops {
            self.take(op).await;
        }
        self.ready |= self.seq > answer.seen;
        match answer.terminal {
            None => {}
            Some(Terminal::Done(value)) => self.end(Ok(value)),
            Some(Terminal::ContinueAsNew(input)) => self.go_on(input),
            Some(Terminal::Fail(failure)) => self.fail(failure, progress),
            Some(Terminal::Yield) => self.ready = true,
            Some(Terminal::Mismatch { id, journal, code }) => {
                let message = format!("the journal has `{id}` as {journal}, the code as {}", code.as_str());
                self.end(Err(Failure::new("Mismatch".to_owned(), message, false)));
            }
        }
    }

    fn fail(&mut self, failure: Failure, progress: bool) {
        if progress {
            self.run.attempt = 1;
        }
        if self.has(FAILURE_ID) {
            return self.end(Err(failure));
        }
        let policy = self.app.functions.get(&self.run.function).and_then(|function| function.manifest.retry.clone());
        match ops::wait(&policy.unwrap_or_default(), self.run.attempt, &failure) {
            Some(wait) => {
                self.run.attempt += 1;
                self.backoff = Some(self.now() + wait);
                self.ready = true;
            }
            None if self.is_undoable() => {
                self.append(FAILURE_ID, "failure");
                self.settle(self.entries.len() - 1, Settled::Err(failure));
            }
            None => self.end(Err(failure)),
        }
    }

    /// Whether a step has succeeded that can be undone, and was not.
    fn is_undoable(&self) -> bool {
        let done = |open: &&Open| {
            let ok = matches!(open.entry.state, EntryState::Settled { outcome: Settled::Ok(_), .. });
            ok && open.params.get("compensate").is_some()
        };
        self.entries.iter().filter(done).any(|open| !self.has(&format!("{UNDO}{}", open.entry.id)))
    }

    fn has(&self, id: &str) -> bool {
        self.entries.iter().any(|open| open.entry.id == id)
    }

    /// Appends an entry of the server's own.
    pub(super) fn append(&mut self, id: &str, op: &str) {
        let entry = Entry { id: id.to_owned(), op: op.to_owned(), digest: None, state: EntryState::Pending };
        self.entries.push(Open { entry, params: Value::Null, at: self.now(), due: None });
    }

    fn end(&mut self, outcome: Result<Raw, Failure>) {
        self.ended = Some(outcome);
        for update in &mut self.updates {
            let ended = Failure::new("RunEnded".to_owned(), "the run ended before it replied".to_owned(), false);
            update.reply.get_or_insert(Err(ended));
        }
    }

    /// The run goes on in a new one. What was sent and not taken goes over to it.
    fn go_on(&mut self, input: Raw) {
        self.labels_at_first = self.labels.clone();
        (self.input, self.state) = (input, None);
        self.entries.clear();
        self.voices.restart();
        (self.seq, self.seen, self.ready) = (0, 0, true);
        self.runs += 1;
        let began = self.now();
        let deadline = deadline(&self.app, &self.run.function, began);
        let id = format!("run_{:026}", self.runs);
        self.run = Run { id, attempt: 1, started_at: began, deadline, ..self.run.clone() };
    }

    /// The object's state as of the run's first invocation.
    fn first_state(&mut self) -> BTreeMap<String, Raw> {
        let (objects, run) = (&self.objects, &self.run);
        self.state.get_or_insert_with(|| objects.state(run)).clone()
    }

    pub(super) fn settle(&mut self, index: usize, outcome: Settled) {
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
                (EntryState::Run(_), _) => {
                    open.due = None;
                    self.ready = true;
                }
                (_, "sleep") => self.settle(index, Settled::Ok(Raw::null())),
                _ => {
                    let answer = self.answers.remove(&open.entry.id);
                    self.settle(index, answer.unwrap_or(Settled::Timeout));
                }
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
            EntryState::Pending | EntryState::Run(_) => u64::MAX,
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
}

impl Open {
    /// The step as a reply names it that is to run again.
    fn again(&self, now: SystemTime) -> Option<Raw> {
        let EntryState::Run(due) = &self.entry.state else { return None };
        let due_in = self.due.and_then(|due| due.duration_since(now).ok()).unwrap_or_default();
        Some(line::again(&self.entry.id, due, due_in.as_millis()))
    }

    pub(super) fn is_waiting(&self) -> bool {
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
            EntryState::Pending | EntryState::Run(_) | EntryState::Settled { outcome: Settled::Elsewhere, .. } => None,
            EntryState::Settled { outcome: Settled::Ok(value), .. } => Some(Recorded::Ok(json(value))),
            EntryState::Settled { outcome: Settled::Timeout, .. } => Some(Recorded::TimedOut),
            EntryState::Settled { outcome: Settled::Err(failure), .. } => {
                Some(Recorded::Err { name: failure.name.clone(), message: failure.message.clone() })
            }
        };
        Record { id: self.entry.id.clone(), op: self.entry.op.clone(), params: self.params.clone(), outcome }
    }
}

fn reports(ops: &[Op]) -> impl Iterator<Item = &EntryOp> {
    ops.iter().filter_map(Op::entry).filter(|op| op.report.is_some())
}

/// When a run that begins now is to be over, if its function says so.
fn deadline(app: &App, function: &str, now: SystemTime) -> Option<SystemTime> {
    now.checked_add(app.functions.get(function)?.manifest.timeouts.run?)
}

pub(super) fn json(value: &Raw) -> Value {
    serde_json::from_slice(value.as_bytes()).unwrap_or_default()
}
