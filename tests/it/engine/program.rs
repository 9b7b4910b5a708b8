//! Random handlers: small programs, and the interpreter that answers an invocation as an SDK would. It replays the
//! journal strictly by `seq`, one outcome at a time, so a program asks for the same entries at every invocation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::voices::words;
use backstitch_server::engine::awakeable_signal;
use backstitch_server::limits::STATE_VALUE_BYTES_MAX;
use backstitch_server::model::{
    Answer, AttributeValue, Awaiting, Entry, EntryKind, EntryStatus, EventDraft, Failure, HandlerOp, Heartbeat,
    InvokeOp, Labels, Note, Number, Outcome, Payload, RetryPolicy, Snapshot, Span, StateOp, StepReport, StepResult,
    Terminal, WaitEventOp, WaitSignalOp, names,
};
use proptest::test_runner::{Config as ProptestConfig, RngAlgorithm, TestRng, TestRunner};

/// What a handler does with one entry, or with several at once.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// A step that throws so many times first.
    Step { throws: u32, fatal: bool },
    /// A step that can be undone, by a compensation that throws so many times first.
    Saga { undo_throws: u32 },
    /// A step that beats, throws so many times first, and has so much time in all and to be taken up.
    Timed { throws: u32, close: Option<u64>, start: Option<u64> },
    /// A step that says so many words, on the channel `news` or that of its run, and throws so many times first.
    Talk { throws: u32, words: u32, channel: bool },
    /// A fact, and so many words of the handler.
    Say(u32),
    /// A timer.
    Sleep(u64),
    /// A wait for the signal `s{0}`.
    Signal(u8, Option<u64>),
    /// A wait for the update `s{0}`, which is replied to.
    Update(u8, Option<u64>),
    /// A wait that a token settles.
    Awakeable(Option<u64>),
    /// A wait for the event `e{name}`.
    Event { name: u8, filter: WaitFilter, timeout: Option<u64>, since_run: bool },
    /// A run of `f{function}`.
    Child { function: u8, timeout: Option<u64>, detached: bool },
    /// A call of the server that fails so many times first, and has so much time in all.
    Fetch { fails: u32, fatal: bool, close: Option<u64> },
    /// The event `e{name}`.
    Send { name: u8, key: u8, client_id: Option<u8> },
    /// A fact.
    Marker,
    /// A call of a handler of the object, with the key `k{key}`, or from 3 on without one.
    Call { handler: u8, key: u8, timeout: Option<u64>, detached: bool },
    /// A write of the value `v{0}`, which may be more than is kept.
    Set(u8, bool),
    /// The value `v{0}` is taken away.
    Clear(u8),
    /// All of these side by side; goes on when all are done.
    All(Vec<Vec<Node>>),
    /// All of these side by side; goes on when one is done.
    Race(Vec<Vec<Node>>),
}

/// The filters that programs wait with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitFilter {
    /// Every event of the name.
    None,
    /// The event with the run's own key: looked up by the index.
    SameKey,
    /// Events with the run's key or a greater one: every such wait is evaluated.
    KeyAtLeast,
    /// Cannot be evaluated on any event.
    Broken,
    /// Cannot be compiled.
    Invalid,
}

impl WaitFilter {
    pub(super) fn source(self) -> Option<&'static str> {
        match self {
            WaitFilter::None => None,
            WaitFilter::SameKey => Some("async.data.key == event.data.key"),
            WaitFilter::KeyAtLeast => Some("async.data.key >= event.data.key"),
            WaitFilter::Broken => Some("async.data.nope.x > 1"),
            WaitFilter::Invalid => Some("async.data."),
        }
    }

    /// What the filter says, by this test's own lights.
    pub(super) fn says(source: Option<&str>, run_key: i64, event_key: i64) -> bool {
        match source {
            None => true,
            Some(source) if source.contains("==") => event_key == run_key,
            Some(source) if source.contains(">=") => event_key >= run_key,
            Some(_) => false,
        }
    }
}

/// What a handler does when it is told to stop.
#[derive(Clone, Copy, Debug)]
pub(super) enum OnCancel {
    /// It stops.
    Stop,
    /// It runs one more step, then stops.
    Compensate,
    /// It goes on.
    Ignore,
}

/// A handler.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// What it does, in order.
    pub(super) nodes: Vec<Node>,
    /// How many invocations fail before one succeeds, after each progress.
    pub(super) flaky: u32,
    /// What it does when it is cancelled.
    pub(super) on_cancel: OnCancel,
    /// Whether errors of entries are caught.
    pub(super) catches: bool,
    /// Whether it says what it awaits.
    pub(super) hints: bool,
    /// How often it goes on in a new run when it is done.
    pub(super) rounds: u32,
}

/// What came of one invocation.
pub(super) struct Handled {
    pub(super) answer: Answer,
    /// Ids of the steps whose bodies ran.
    pub(super) ran: Vec<String>,
}

/// Executes a handler on one invocation.
pub(super) fn handle(program: &Program, snapshot: &Snapshot) -> Handled {
    let seen = seen(snapshot);
    if snapshot.attempt <= program.flaky {
        let end = Some(fail("Flaky", None));
        return Handled { answer: Answer::Ops { seen, ops: Vec::new(), end, awaiting: Vec::new() }, ran: Vec::new() };
    }
    let mut walk = Walk { program, snapshot, ..Walk::new(program, snapshot) };
    let state = walk.replay();
    let end = match state {
        State::Done => Some(next_round(program, snapshot).unwrap_or(Terminal::Done(Payload::trusted("\"done\"")))),
        State::Failed(name) => Some(fail(name, Some(false))),
        State::Blocked => None,
    };
    walk.label();
    let awaiting = if program.hints && end.is_none() { walk.groups.clone() } else { Vec::new() };
    Handled { answer: Answer::Ops { seen, ops: walk.ops, end, awaiting }, ran: walk.ran }
}

/// The program once more in a new run, with another key, if there is a round left.
fn next_round(program: &Program, snapshot: &Snapshot) -> Option<Terminal> {
    let input: serde_json::Value = snapshot.entries[0].outcome.as_ref()?.payload()?.read().ok()?;
    let (key, round) = (input["key"].as_i64().unwrap_or(0), input["round"].as_u64().unwrap_or(0));
    let next = format!(r#"{{"key":{},"round":{}}}"#, key + 1, round + 1);
    (round < u64::from(program.rounds)).then(|| Terminal::ContinueAsNew(Payload::trusted(next)))
}

/// Something to be found by.
pub(super) fn labels_of(n: usize) -> Labels {
    let number = Number::new(n as f64).map(AttributeValue::Number).expect("is small");
    Labels { tags: BTreeSet::from([format!("t{}", n % 3).into()]), attributes: BTreeMap::from([("n".into(), number)]) }
}

/// The greatest `seq` that an invocation shows.
pub(super) fn seen(snapshot: &Snapshot) -> u32 {
    snapshot.entries.iter().filter_map(|entry| entry.seq).max().unwrap_or(0)
}

fn fail(name: &str, retryable: Option<bool>) -> Terminal {
    let mut failure = Failure::new(name, "thrown by the program");
    failure.retryable = retryable;
    let raw = failure.payload();
    Terminal::Fail(Box::new(failure), raw)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Done,
    Blocked,
    Failed(&'static str),
}

struct Walk<'a> {
    program: &'a Program,
    snapshot: &'a Snapshot,
    by_id: BTreeMap<&'a str, usize>,
    delivered: BTreeSet<&'a str>,
    created: BTreeSet<String>,
    winners: BTreeSet<String>,
    cancelled: bool,
    ops: Vec<HandlerOp>,
    ran: Vec<String>,
    groups: Awaiting,
}

impl<'a> Walk<'a> {
    fn new(program: &'a Program, snapshot: &'a Snapshot) -> Walk<'a> {
        Walk {
            program,
            snapshot,
            by_id: snapshot.entries.iter().enumerate().map(|(at, entry)| (&*entry.id, at)).collect(),
            delivered: BTreeSet::new(),
            created: BTreeSet::new(),
            winners: BTreeSet::new(),
            cancelled: false,
            ops: Vec::new(),
            ran: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// A run is found by how far its handler has come; by nothing at all when it has done nothing.
    fn label(&mut self) {
        if !self.created.is_empty() {
            let (tags, attributes) = (labels_of(self.created.len()).tags, labels_of(self.delivered.len()).attributes);
            self.ops.push(HandlerOp::Note(Note::Labels { tags: Some(tags), attributes: Some(attributes) }));
        }
    }

    fn replay(&mut self) -> State {
        let mut settled: Vec<_> = self.snapshot.entries.iter().filter(|entry| entry.seq.is_some()).collect();
        settled.sort_by_key(|entry| entry.seq);
        let mut state = self.root();
        let failing = settled.iter().any(|entry| entry.kind == EntryKind::Failure);
        for entry in settled {
            if state != State::Blocked || entry.kind == EntryKind::Failure {
                break;
            }
            self.delivered.insert(&entry.id);
            self.cancelled |= entry.kind == EntryKind::Cancel;
            state = self.root();
        }
        // A handler that ends before it is told that its run has failed has things to undo all the same.
        if failing {
            self.ops.clear();
            self.ran.clear();
            return self.undo("Failed");
        }
        if self.cancelled && state == State::Failed(names::CANCELLED) {
            self.ops.retain(|op| op.kind() != Some(EntryKind::Step));
            return self.undo(names::CANCELLED);
        }
        state
    }

    /// Undoes what can be undone, the newest first, one after the other.
    fn undo(&mut self, name: &'static str) -> State {
        let compensable = |entry: &&Arc<Entry>| {
            let ok = matches!(entry.outcome, Some(Outcome::Ok(_)));
            ok && entry.kind == EntryKind::Step && params_of(entry)["compensate"] == true
        };
        let mut steps: Vec<_> = self.snapshot.entries.iter().filter(compensable).collect();
        steps.sort_by_key(|entry| std::cmp::Reverse(entry.seq));
        for step in steps {
            let id = format!("$undo/{}", step.id);
            let entry = self.by_id.get(&*id).map(|at| &self.snapshot.entries[*at]);
            if entry.is_some_and(|entry| entry.is_settled()) {
                continue;
            }
            self.groups = vec![vec![id.clone().into()]];
            if entry.is_none_or(|entry| entry.status == EntryStatus::Runnable) {
                let attempt = entry.map_or(0, |entry| entry.failures) + 1;
                let throws = params_of(step)["undoThrows"].as_u64().unwrap_or(0) as u32;
                let params = Payload::trusted(format!(r#"{{"compensates":"{}"}}"#, step.id));
                let retry = RetryPolicy { attempts: Some(UNDO_ATTEMPTS), ..RetryPolicy::default() };
                self.ran.push(id.clone());
                let report = step_report(&id, attempt, throws, false);
                self.ops.push(HandlerOp::Step(StepReport { params, retry, ..report }));
            }
            return State::Blocked;
        }
        State::Failed(name)
    }

    fn root(&mut self) -> State {
        let program = self.program;
        if self.cancelled {
            match program.on_cancel {
                OnCancel::Stop => return State::Failed(names::CANCELLED),
                OnCancel::Compensate => {
                    self.groups.clear();
                    return match self.leaf(&Node::Step { throws: 0, fatal: false }, "undo".to_owned()) {
                        State::Blocked => State::Blocked,
                        _ => State::Failed(names::CANCELLED),
                    };
                }
                OnCancel::Ignore => {}
            }
        }
        self.groups.clear();
        for (at, node) in program.nodes.iter().enumerate() {
            let state = self.node(node, at.to_string());
            if state != State::Done {
                return state;
            }
        }
        State::Done
    }

    fn node(&mut self, node: &Node, id: String) -> State {
        match node {
            Node::All(branches) => self.all(branches, &id),
            Node::Race(branches) => self.race(branches, &id),
            leaf => {
                let state = self.leaf(leaf, id.clone());
                if state == State::Blocked {
                    self.groups = vec![vec![id.into()]];
                }
                state
            }
        }
    }

    /// Walks one branch; says where it is blocked, and whether on its last node.
    fn branch(&mut self, nodes: &[Node], path: &str) -> (State, Option<(String, bool)>) {
        for (at, node) in nodes.iter().enumerate() {
            let id = format!("{path}.{at}");
            match self.leaf(node, id.clone()) {
                State::Done => {}
                state => return (state, Some((id, at + 1 == nodes.len()))),
            }
        }
        (State::Done, None)
    }

    fn all(&mut self, branches: &[Vec<Node>], path: &str) -> State {
        let mut together = Vec::new();
        let mut groups = Vec::new();
        let mut result = State::Done;
        for (at, nodes) in branches.iter().enumerate() {
            let (state, place) = self.branch(nodes, &format!("{path}.{at}"));
            match (state, place) {
                (State::Blocked, Some((id, last))) => {
                    if last {
                        together.push(id.into())
                    } else {
                        groups.push(vec![id.into()])
                    }
                    if result == State::Done {
                        result = State::Blocked;
                    }
                }
                (State::Failed(name), _) => result = State::Failed(name),
                _ => {}
            }
        }
        if !together.is_empty() {
            groups.push(together);
        }
        self.groups = groups;
        result
    }

    fn race(&mut self, branches: &[Vec<Node>], path: &str) -> State {
        if self.winners.contains(path) {
            return State::Done;
        }
        let mut groups = Vec::new();
        let mut result = State::Blocked;
        for (at, nodes) in branches.iter().enumerate() {
            let (state, place) = self.branch(nodes, &format!("{path}.{at}"));
            match (state, place) {
                (State::Done, _) => result = State::Done,
                (State::Failed(name), _) if result == State::Blocked => result = State::Failed(name),
                (_, Some((id, _))) => groups.push(vec![id.into()]),
                _ => {}
            }
        }
        if result == State::Done {
            self.winners.insert(path.to_owned());
        }
        self.groups = groups;
        result
    }

    fn leaf(&mut self, node: &Node, id: String) -> State {
        let entry = self.by_id.get(&*id).map(|at| &self.snapshot.entries[*at]);
        if let Node::Say(_) = node
            && self.created.insert(format!("say {id}"))
        {
            self.ops.extend(words(node, self.snapshot, &id, 0));
        }
        if self.delivered.contains(&*id) {
            let failed = entry.is_some_and(|entry| matches!(entry.outcome, Some(Outcome::Err(_))));
            if let (Node::Update(..), Some(Outcome::Ok(value))) = (node, entry.and_then(|entry| entry.outcome.as_ref()))
            {
                self.reply(&id, value);
            }
            return if failed && !self.program.catches { State::Failed("Thrown") } else { State::Done };
        }
        let failures = match entry {
            None => 0,
            Some(entry) if entry.status == EntryStatus::Runnable => entry.failures,
            Some(_) => return State::Blocked,
        };
        if self.created.insert(id.clone()) {
            if let Node::Timed { .. } = node {
                self.ops.push(heartbeat(node, &id, failures + 1));
            }
            if let Node::Talk { .. } = node {
                self.ops.extend(words(node, self.snapshot, &id, failures + 1));
            }
            let op = self.op(node, &id, failures);
            self.ops.push(op);
        }
        State::Blocked
    }

    /// Replies to an update, in each invocation that comes by.
    fn reply(&mut self, id: &str, value: &Payload) {
        if self.created.insert(format!("reply to {id}")) {
            let value: serde_json::Value = value.read().expect("an update is JSON");
            let update = value["id"].as_str().expect("an update has an id").into();
            let reply = Outcome::Ok(Payload::trusted(format!("\"{id}\"")));
            self.ops.push(HandlerOp::Note(Note::Reply { update, reply }));
        }
    }

    fn op(&mut self, node: &Node, id: &str, failures: u32) -> HandlerOp {
        let name = None;
        let no_params = || Payload::trusted("{}");
        match node {
            Node::Step { throws, fatal } => {
                self.ran.push(id.to_owned());
                HandlerOp::Step(step_report(id, failures + 1, *throws, *fatal))
            }
            Node::Talk { throws, .. } => {
                self.ran.push(id.to_owned());
                HandlerOp::Step(step_report(id, failures + 1, *throws, false))
            }
            Node::Saga { undo_throws } => {
                self.ran.push(id.to_owned());
                let params = Payload::trusted(format!(r#"{{"compensate":true,"undoThrows":{undo_throws}}}"#));
                HandlerOp::Step(StepReport { params, ..step_report(id, failures + 1, 0, false) })
            }
            Node::Timed { throws, .. } => {
                self.ran.push(id.to_owned());
                let report = step_report(id, failures + 1, *throws, false);
                HandlerOp::Step(StepReport { params: times(node), ..report })
            }
            Node::Sleep(ms) => {
                let params = Payload::trusted(format!(r#"{{"for":{ms}}}"#));
                HandlerOp::Sleep { id: id.into(), name, params, length: Some(Span(*ms)), until: None }
            }
            Node::Signal(signal, timeout) => {
                let signal = format!("s{signal}");
                let params = Payload::trusted(format!(r#"{{"signal":"{signal}"}}"#));
                let (signal, timeout) = (signal.into(), timeout.map(Span));
                HandlerOp::WaitSignal(WaitSignalOp { id: id.into(), name, params, signal, timeout })
            }
            Node::Update(update, timeout) => {
                let params = Payload::trusted(format!(r#"{{"signal":"s{update}","update":true}}"#));
                let (signal, timeout) = (format!("$update/s{update}").into(), timeout.map(Span));
                HandlerOp::WaitSignal(WaitSignalOp { id: id.into(), name, params, signal, timeout })
            }
            Node::Awakeable(timeout) => {
                let params = Payload::trusted(r#"{"awakeable":true}"#);
                let (signal, timeout) = (awakeable_signal(id), timeout.map(Span));
                HandlerOp::WaitSignal(WaitSignalOp { id: id.into(), name, params, signal, timeout })
            }
            Node::Event { name: event, filter, timeout, since_run } => HandlerOp::WaitEvent(WaitEventOp {
                id: id.into(),
                name,
                params: Payload::trusted(format!(r#"{{"event":"e{event}","sinceRun":{since_run}}}"#)),
                event: format!("e{event}").into(),
                filter: filter.source().map(Into::into),
                timeout: timeout.map(Span),
                since_run: *since_run,
            }),
            Node::Child { function, timeout, detached } => HandlerOp::Invoke(InvokeOp {
                id: id.into(),
                name,
                params: Payload::trusted(format!(r#"{{"function":"f{function}"}}"#)),
                app: None,
                function: format!("f{function}").into(),
                key: None,
                input: Payload::trusted(r#"{"key":1}"#),
                timeout: timeout.map(Span),
                detached: *detached,
                labels: Labels::default(),
            }),
            Node::Send { name: event, key, client_id } => {
                let data = Payload::trusted(format!(r#"{{"key":{key}}}"#));
                let client_id = client_id.map(|id| format!("c{id}").into());
                let events = vec![EventDraft { name: format!("e{event}").into(), data, client_id }];
                HandlerOp::Send { id: id.into(), name, params: no_params(), events }
            }
            Node::Call { handler, key, timeout, detached } => {
                let function = super::registry::handler(*handler).function;
                HandlerOp::Invoke(InvokeOp {
                    id: id.into(),
                    name,
                    params: Payload::trusted(format!(r#"{{"function":"{function}"}}"#)),
                    app: None,
                    function,
                    key: (*key < 3).then(|| format!("k{key}").into()),
                    input: Payload::trusted(r#"{"key":1}"#),
                    timeout: timeout.map(Span),
                    detached: *detached,
                    labels: Labels::default(),
                })
            }
            Node::Set(value, big) => {
                let bytes = if *big { STATE_VALUE_BYTES_MAX } else { 0 };
                let written = format!("\"{}/{id}{}\"", self.snapshot.head.id, "x".repeat(bytes));
                let params = Payload::trusted(format!(r#"{{"set":{{"v{value}":{written}}}}}"#));
                let writes = vec![(format!("v{value}").into(), Some(Payload::trusted(written)))];
                HandlerOp::State(StateOp { id: id.into(), name, params, writes })
            }
            Node::Clear(value) => {
                let params = Payload::trusted(format!(r#"{{"clear":["v{value}"]}}"#));
                HandlerOp::State(StateOp {
                    id: id.into(),
                    name,
                    params,
                    writes: vec![(format!("v{value}").into(), None)],
                })
            }
            Node::Fetch { .. } => super::calls::op(node, id),
            Node::Marker | Node::Say(_) => HandlerOp::Marker { id: id.into(), name, params: no_params() },
            Node::All(_) | Node::Race(_) => unreachable!("branches hold leaves only"),
        }
    }
}

/// How often a compensation is tried before its run is parked.
pub(super) const UNDO_ATTEMPTS: u32 = 2;

pub(super) fn params_of(entry: &Entry) -> serde_json::Value {
    entry.params.read().unwrap_or_default()
}

/// The parameters of a step with times.
fn times(node: &Node) -> Payload {
    let Node::Timed { close, start, .. } = node else { return Payload::trusted("{}") };
    let mut params = serde_json::Map::new();
    close.iter().for_each(|ms| drop(params.insert("scheduleToClose".to_owned(), (*ms).into())));
    start.iter().for_each(|ms| drop(params.insert("scheduleToStart".to_owned(), (*ms).into())));
    Payload::trusted(serde_json::Value::from(params).to_string())
}

fn heartbeat(node: &Node, id: &str, attempt: u32) -> HandlerOp {
    let details = Payload::trusted(attempt.to_string());
    HandlerOp::Heartbeat(Heartbeat { id: id.into(), name: None, params: times(node), attempt, details })
}

/// The result of one attempt of a step that throws so many times first.
pub(super) fn step_report(id: &str, attempt: u32, throws: u32, fatal: bool) -> StepReport {
    let result = if attempt <= throws {
        let mut failure = Failure::new("Thrown", format!("attempt {attempt}"));
        failure.retryable = fatal.then_some(false);
        let raw = failure.payload();
        StepResult::Err(Box::new(failure), raw)
    } else {
        StepResult::Ok(Payload::trusted(format!("\"{id}\"")))
    };
    let (params, retry) = (Payload::trusted("{}"), RetryPolicy::default());
    StepReport { id: id.into(), name: None, params, retry, result, attempt, started_at: None, ended_at: None }
}

/// What looks at random cases: at the same ones in every run of the tests, so that what a change breaks is seen with it; or, where
/// `BACKSTITCH_CASES` says how many, at others each time.
#[expect(clippy::disallowed_methods, reason = "how long to look is up to whoever runs the tests")]
pub(super) fn runner(default: u32) -> TestRunner {
    let asked = std::env::var("BACKSTITCH_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = ProptestConfig::with_cases(asked.unwrap_or(default));
    let config = ProptestConfig { max_shrink_iters: 4_000, failure_persistence: None, ..cases };
    match asked {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    }
}
