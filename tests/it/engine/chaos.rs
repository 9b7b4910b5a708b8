//! Random programs, random commands and random faults, against every invariant; then the faults stop, and everything
//! must end or say why not. `BACKSTITCH_CASES` sets how many cases there are.

use backstitch_server::engine::{Command, Fork, ForkFrom, Start, awakeable_signal};
use backstitch_server::limits::MARK_MS;
use backstitch_server::model::{
    Answer, DeploymentId, EntryKind, EventDraft, Failure, HandlerOp, Key, Mismatch, MoveTo, Note, ObjectKey, Outcome,
    Payload, Problem, ProblemCode, RunId, RunStatus, Span, StateKey, Terminal, Undelivered,
};
use proptest::prelude::*;

use super::acts::{From, Scheduling, end_schedules, fork, schedule, scheduling};
use super::book::Book;
use super::harness::{Fate, World};
use super::program::{Node, OnCancel, Program, WaitFilter, labels_of, params_of, runner, step_report};
use super::registry::{FUNCTIONS, HANDLERS, function, handler, held, plain_start, redeployed};

/// What happens next.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Start { function: u8, key: u8, name: Option<u8>, idempotency: Option<u8>, delay: Option<u64> },
    Call { handler: u8, object: u8, key: u8, name: Option<u8>, delay: Option<u64> },
    Ingest(Vec<(u8, u8, Option<u8>)>),
    Signal { run: u8, name: u8, id: Option<u8> },
    Update { run: u8, name: u8, id: Option<u8> },
    SettleAwakeable { run: u8, err: bool },
    Cancel(u8),
    Kill(u8),
    Pause(u8),
    SettleUndo { run: u8, skip: bool },
    PauseFunction(u8, bool),
    Resume(u8),
    Move { run: u8, to: Option<u8> },
    Explain(u8),
    Quarantine(u8),
    Schedule(Scheduling),
    Fork { run: u8, from: From, edit: Option<(u8, bool)>, cause: Option<u8>, dry_run: bool },
    Advance(u64),
    Work(u8),
    Poll(u8),
    Load(bool),
    Commit,
    Committed(Fate),
    Answer(u8, How),
    Checkpoint(u8),
    Stale(u8),
    Crash,
    Rescan,
    Redeploy { immutable: bool },
    Withdraw,
    Hint(u8),
    Flow(u8),
}

/// How a handler answers.
#[derive(Clone, Debug)]
pub(super) enum How {
    Honestly,
    Lost,
    NotReached(Option<u64>),
    Problem(u8),
    Mismatch,
    /// The ops of the program, and one that contradicts the journal.
    Contradiction,
    /// Nothing finished and nothing new.
    Empty,
    /// Honestly, and the same answer once more.
    Twice,
    /// As if it had been given more than it was.
    Prophetic,
    /// With ops again that are in the journal.
    Again,
    /// A status and the heartbeats of the program, then a failure.
    Noisy,
}

/// One case: handlers, what happens, and how many runs rest in memory.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) programs: Vec<Program>,
    pub(super) acts: Vec<Act>,
    pub(super) idle: usize,
}

fn leaf(index: u8) -> BoxedStrategy<Node> {
    let timeout = || prop_oneof![2 => Just(None), 2 => (1u64..5_000).prop_map(Some), 1 => Just(Some(2_000_000))];
    let filter = || {
        prop_oneof![
            3 => Just(WaitFilter::None),
            4 => Just(WaitFilter::SameKey),
            3 => Just(WaitFilter::KeyAtLeast),
            1 => Just(WaitFilter::Broken),
            1 => Just(WaitFilter::Invalid),
        ]
    };
    let mut choices = vec![
        (8, (0u32..4, proptest::bool::weighted(0.1)).prop_map(|(throws, fatal)| Node::Step { throws, fatal }).boxed()),
        (4, (0u32..5).prop_map(|undo_throws| Node::Saga { undo_throws }).boxed()),
        (3, {
            let time = || proptest::option::of(prop_oneof![3 => 0u64..6_000, 1 => Just(800_000)]);
            (0u32..4, time(), time()).prop_map(|(throws, close, start)| Node::Timed { throws, close, start }).boxed()
        }),
        (3, prop_oneof![4 => 1u64..3_000, 1 => Just(900_000u64)].prop_map(Node::Sleep).boxed()),
        (4, (0u8..2, timeout()).prop_map(|(name, timeout)| Node::Signal(name, timeout)).boxed()),
        (3, (0u8..2, timeout()).prop_map(|(name, timeout)| Node::Update(name, timeout)).boxed()),
        (2, timeout().prop_map(Node::Awakeable).boxed()),
        (1, Just(Node::Marker).boxed()),
        (5, super::calls::node().boxed()),
        (5, {
            let parts = (0u8..3, filter(), timeout(), proptest::bool::weighted(0.7));
            parts
                .prop_map(|(name, filter, timeout, since_run)| Node::Event { name, filter, timeout, since_run })
                .boxed()
        }),
    ];
    choices.extend(super::voices::nodes());
    if index + 1 < FUNCTIONS {
        let parts = (index + 1..FUNCTIONS + 1, timeout(), proptest::bool::weighted(0.2));
        let child = parts.prop_map(|(function, timeout, detached)| Node::Child { function, timeout, detached });
        choices.push((4, child.boxed()));
    }
    // The last function is started whenever a run fails: were it to call a handler that fails, that would have no end.
    if index + 1 != FUNCTIONS && index + 1 < FUNCTIONS + HANDLERS.len() as u8 {
        let first = (index + 1).max(FUNCTIONS) - FUNCTIONS;
        // Handlers that hold different keys and call each other's would wait for ever: they give up after a while.
        let patience = if index < FUNCTIONS { timeout().boxed() } else { (1u64..500_000).prop_map(Some).boxed() };
        let parts = (first..HANDLERS.len() as u8, 0u8..4, patience, proptest::bool::weighted(0.3));
        let call = parts.prop_map(|(handler, key, timeout, detached)| Node::Call { handler, key, timeout, detached });
        choices.push((3, call.boxed()));
    }
    if index >= FUNCTIONS && HANDLERS[usize::from(index - FUNCTIONS)].1 {
        choices
            .push((8, (0u8..3, proptest::bool::weighted(0.05)).prop_map(|(name, big)| Node::Set(name, big)).boxed()));
        choices.push((3, (0u8..3).prop_map(Node::Clear).boxed()));
    }
    if index < 2 {
        let parts = (0u8..3, 0u8..5, proptest::option::weighted(0.3, 0u8..3));
        let send = parts.prop_map(|(name, key, client_id)| Node::Send { name, key, client_id });
        choices.push((4, send.boxed()));
    }
    proptest::strategy::Union::new_weighted(choices).boxed()
}

fn node(index: u8) -> impl Strategy<Value = Node> {
    let branches = || proptest::collection::vec(proptest::collection::vec(leaf(index), 1..3), 2..4);
    prop_oneof![6 => leaf(index), 2 => branches().prop_map(Node::All), 1 => branches().prop_map(Node::Race)]
}

fn program(index: u8) -> impl Strategy<Value = Program> {
    let on_cancel = prop_oneof![Just(OnCancel::Stop), Just(OnCancel::Compensate), Just(OnCancel::Ignore)];
    let flaky = prop_oneof![6 => Just(0u32), 1 => 1u32..4];
    // Of those in the middle each round would start all their children again.
    let most = if index == 0 || index + 1 == FUNCTIONS { 3u32 } else { 1 };
    let rounds = prop_oneof![3 => Just(0), 1 => 0..most];
    (proptest::collection::vec(node(index), 0..6), flaky, on_cancel, any::<bool>(), any::<bool>(), rounds).prop_map(
        |(nodes, flaky, on_cancel, catches, hints, rounds)| Program { nodes, flaky, on_cancel, catches, hints, rounds },
    )
}

fn act() -> impl Strategy<Value = Act> {
    let some = |max: u8| proptest::option::weighted(0.4, 0..max);
    let delay = proptest::option::weighted(0.2, prop_oneof![1u64..3_000, Just(1_200_000)]);
    let start = (0..FUNCTIONS + 1, 0u8..3, some(3), some(3), delay)
        .prop_map(|(function, key, name, idempotency, delay)| Act::Start { function, key, name, idempotency, delay });
    let delay = proptest::option::weighted(0.2, prop_oneof![1u64..3_000, Just(1_200_000)]);
    let call = (0..HANDLERS.len() as u8, 0u8..4, 0u8..3, some(3), delay)
        .prop_map(|(handler, object, key, name, delay)| Act::Call { handler, object, key, name, delay });
    let fate = prop_oneof![
        12 => Just(Fate::Done), 1 => Just(Fate::Failed), 1 => Just(Fate::UnknownDone), 1 => Just(Fate::UnknownLost)
    ];
    let how = prop_oneof![
        12 => Just(How::Honestly),
        2 => Just(How::Lost),
        1 => proptest::option::of(0u64..100_000).prop_map(How::NotReached),
        1 => (0u8..6).prop_map(How::Problem),
        1 => Just(How::Mismatch),
        1 => Just(How::Contradiction),
        1 => Just(How::Empty),
        1 => Just(How::Twice),
        1 => Just(How::Prophetic),
        1 => Just(How::Again),
        1 => Just(How::Noisy),
    ];
    let length = prop_oneof![6 => 1u64..4_000, 2 => Just(60_000u64), 1 => Just(700_000), 1 => Just(86_400_000)];
    prop_oneof![
        8 => start,
        8 => call,
        6 => proptest::collection::vec((0u8..3, 0u8..5, some(3)), 1..3).prop_map(Act::Ingest),
        6 => (any::<u8>(), 0u8..2, some(4)).prop_map(|(run, name, id)| Act::Signal { run, name, id }),
        5 => (any::<u8>(), 0u8..2, some(4)).prop_map(|(run, name, id)| Act::Update { run, name, id }),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(run, err)| Act::SettleAwakeable { run, err }),
        2 => any::<u8>().prop_map(Act::Cancel),
        1 => any::<u8>().prop_map(Act::Kill),
        1 => any::<u8>().prop_map(Act::Pause),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(run, skip)| Act::SettleUndo { run, skip }),
        1 => (0..FUNCTIONS + HANDLERS.len() as u8, any::<bool>()).prop_map(|(function, paused)| Act::PauseFunction(function, paused)),
        2 => any::<u8>().prop_map(Act::Resume),
        3 => (any::<u8>(), proptest::option::of(any::<u8>())).prop_map(|(run, to)| Act::Move { run, to }),
        1 => any::<u8>().prop_map(Act::Explain),
        1 => any::<u8>().prop_map(Act::Quarantine),
        3 => fork(),
        6 => scheduling().prop_map(Act::Schedule),
        6 => length.prop_map(Act::Advance),
        8 => (1u8..5).prop_map(Act::Work),
        8 => (1u8..4).prop_map(Act::Poll),
        8 => any::<bool>().prop_map(Act::Load),
        8 => Just(Act::Commit),
        8 => fate.prop_map(Act::Committed),
        10 => any::<u8>().prop_map(Act::Checkpoint),
        12 => (any::<u8>(), how).prop_map(|(call, how)| Act::Answer(call, how)),
        2 => any::<u8>().prop_map(Act::Stale),
        2 => Just(Act::Crash),
        1 => Just(Act::Rescan),
        1 => any::<bool>().prop_map(|immutable| Act::Redeploy { immutable }),
        1 => Just(Act::Withdraw),
        2 => any::<u8>().prop_map(Act::Hint),
        10 => (1u8..8).prop_map(Act::Flow),
    ]
}

pub(super) fn case() -> impl Strategy<Value = Case> {
    let functions = (program(0), program(1), program(2), program(3)).prop_map(|(a, b, c, d)| vec![a, b, c, d]);
    let handlers = (program(4), program(5), program(6)).prop_map(|(a, b, c)| vec![a, b, c]);
    let programs = (functions, handlers).prop_map(|(functions, handlers)| [functions, handlers].concat());
    let idle = prop_oneof![1 => Just(0usize), 1 => Just(2), 1 => Just(4_096)];
    (programs, proptest::collection::vec(act(), 1..120), idle).prop_map(|(programs, acts, idle)| Case {
        programs,
        acts,
        idle,
    })
}

/// A world with what the acts need to remember.
struct Chaos {
    world: World,
    signals: u64,
    deployments: u128,
}

impl Chaos {
    fn run_at(&self, index: u8) -> RunId {
        let runs: Vec<RunId> = self.world.book.runs.values().map(|head| head.id).collect();
        if runs.is_empty() { RunId(7) } else { runs[index as usize % runs.len()] }
    }

    fn act(&mut self, act: &Act) {
        match act.clone() {
            Act::Start { function: index, key, name, idempotency, delay } => {
                let input = Payload::trusted(format!(r#"{{"key":{key}}}"#));
                let start = Start {
                    name: name.map(|name| format!("n{name}").into()),
                    idempotency_key: idempotency.map(|key| format!("k{key}").into()),
                    delay: delay.map(Span),
                    labels: labels_of(key.into()),
                    ..plain_start(function(index), input)
                };
                self.world.submit(Command::Start(start));
            }
            Act::Call { handler: index, object, key, name, delay } => {
                let start = Start {
                    name: name.map(|name| format!("n{name}").into()),
                    delay: delay.map(Span),
                    key: (object < 3).then(|| format!("k{object}").into()),
                    labels: labels_of(key.into()),
                    ..plain_start(handler(index), Payload::trusted(format!(r#"{{"key":{key}}}"#)))
                };
                self.world.submit(Command::Start(start));
            }
            Act::Ingest(events) => {
                let draft = |(name, key, client_id): &(u8, u8, Option<u8>)| EventDraft {
                    name: format!("e{name}").into(),
                    data: Payload::trusted(format!(r#"{{"key":{key}}}"#)),
                    client_id: client_id.map(|id| format!("c{id}").into()),
                };
                self.world.submit(Command::Ingest(events.iter().map(draft).collect()));
            }
            Act::Signal { run, name, id } => {
                let run = self.run_at(run);
                let id = id.map(|id| format!("i{id}").into());
                self.signals += 1;
                let payload = match &id {
                    // What came to an older run of a chain is remembered for a day.
                    Some(id) => format!("\"{run} {id} {}\"", self.world.now.0 / MARK_MS as i64),
                    None => self.signals.to_string(),
                };
                let settle = Outcome::Ok(Payload::trusted(payload));
                self.world.submit(Command::Signal { run, name: format!("s{name}").into(), id, settle });
            }
            Act::Update { run, name, id } => {
                let run = self.run_at(run);
                let id = id.map(|id| format!("i{id}").into());
                self.signals += 1;
                let data = Payload::trusted(self.signals.to_string());
                self.world.submit(Command::Update { run, name: format!("s{name}").into(), id, data });
            }
            Act::SettleAwakeable { run, err } => {
                let run = self.run_at(run);
                self.signals += 1;
                let settle = if err {
                    let failure = Failure::new("Refused", self.signals.to_string());
                    Outcome::Err(failure.payload())
                } else {
                    Outcome::Ok(Payload::trusted(self.signals.to_string()))
                };
                let entries = self.world.book.entries_of(run).iter();
                let awakeable = entries.rev().find(|entry| entry.params.bytes().starts_with(b"{\"awakeable"));
                let name = awakeable.map_or("0".to_owned(), |entry| entry.id.to_string());
                self.world.submit(Command::Signal { run, name: awakeable_signal(&name), id: None, settle });
            }
            Act::Cancel(run) => self.world.submit(Command::Cancel { run: self.run_at(run) }),
            Act::Kill(run) => self.world.submit(Command::Kill { run: self.run_at(run) }),
            Act::Pause(run) => self.world.submit(Command::Pause { run: self.run_at(run) }),
            Act::SettleUndo { run, skip } => {
                let run = self.run_at(run);
                let steps = self.world.book.entries_of(run).iter();
                let step = steps.rev().find(|entry| params_of(entry)["compensate"] == true);
                let entry = step.map_or("0".into(), |step| format!("$undo/{}", step.id).into());
                let value = (!skip).then(|| Payload::trusted("\"by hand\""));
                self.world.submit(Command::SettleEntry { run, entry, value });
            }
            Act::PauseFunction(index, paused) => self.world.register(held(&self.world.registry, index, paused)),
            Act::Checkpoint(call) => {
                if !self.world.calls.is_empty() {
                    self.world.checkpoint(call as usize % self.world.calls.len());
                }
            }
            Act::Resume(run) => self.world.submit(Command::Resume { run: self.run_at(run) }),
            Act::Move { run, to } => {
                let run = self.run_at(run);
                let number = |to: u8| DeploymentId(u128::from(to) % (self.deployments + 2));
                let to = to.map_or(MoveTo::Current, |to| MoveTo::Deployment(number(to)));
                self.world.submit(Command::Move { run, to });
            }
            Act::Explain(run) => self.world.submit(Command::Explain { run: self.run_at(run) }),
            Act::Quarantine(run) => {
                self.world.submit(Command::Quarantine { run: self.run_at(run), detail: "planted".to_owned() });
            }
            Act::Schedule(act) => schedule(&mut self.world, &act),
            Act::Fork { run, from, edit, cause, dry_run } => self.fork(run, from, edit, cause, dry_run),
            Act::Advance(ms) => self.world.advance(ms),
            Act::Work(n) => drop(self.world.work(n.into())),
            Act::Poll(n) => drop(self.world.poll(n.into())),
            Act::Load(newest) => drop(self.world.finish_load(newest)),
            Act::Commit => drop(self.world.commit()),
            Act::Committed(fate) => drop(self.world.committed(fate)),
            Act::Answer(call, how) => self.answer(call, &how),
            Act::Stale(at) => {
                if !self.world.stale.is_empty() {
                    let token = self.world.stale[at as usize % self.world.stale.len()];
                    self.world.returned_stale(token);
                }
            }
            Act::Crash => self.world.crash(),
            Act::Rescan => self.world.rescan(),
            Act::Redeploy { immutable } => self.redeploy(immutable),
            Act::Withdraw => self.world.register(self.world.registry.without("shop")),
            Act::Hint(run) => self.hints(run),
            Act::Flow(rounds) => drop(self.world.flow(rounds.into())),
        }
    }

    fn fork(&mut self, run: u8, from: From, edit: Option<(u8, bool)>, cause: Option<u8>, dry_run: bool) {
        let run = self.run_at(run);
        let entries = self.world.book.entries_of(run);
        let id = |at: u8| match entries.len() {
            0 => "nothing".into(),
            some => entries[at as usize % some].id.clone(),
        };
        let edit = edit.map(|(at, ok)| {
            let value = Payload::trusted("\"edited\"");
            (id(at), if ok { Outcome::Ok(value) } else { Outcome::Err(Failure::new("Edited", "so").payload()) })
        });
        let fork = Fork {
            run,
            from: match from {
                From::Entry(at) => ForkFrom::Entry(id(at)),
                From::Edits => ForkFrom::Edits,
                From::Failure => ForkFrom::Failure,
            },
            edits: edit.into_iter().collect(),
            input: None,
            cause: cause.map(|cause| format!("{cause}").into()),
            dry_run,
        };
        self.world.submit(Command::Fork(Box::new(fork)));
    }

    fn redeploy(&mut self, immutable: bool) {
        self.deployments += 1;
        self.world.register(redeployed(&self.world.registry, self.deployments, immutable));
    }

    /// Hints that nobody asked for: they change nothing that is not due.
    fn hints(&mut self, run: u8) {
        let run = self.run_at(run);
        self.world.submit(Command::Wake { run });
        self.world.submit(Command::Close { run, after: 0 });
        for wait in self.world.book.stored(run).map(|stored| stored.waits).unwrap_or_default() {
            let (name, after) = (wait.index.event, wait.scanned_to.unwrap_or(wait.after_seq));
            let page = Key::Events { name, after, until: wait.scan_end };
            self.world.submit(Command::Scan { run, idx: wait.idx, page });
        }
        if let Some(object) = self.world.book.head(run).and_then(ObjectKey::of) {
            self.world.submit(Command::WakeState { key: StateKey::Object(object) });
        }
        if let Some(event) = self.world.book.events.values().next_back().map(|event| event.id) {
            self.world.submit(Command::WakeState { key: StateKey::Fanout(event) });
        }
    }

    fn answer(&mut self, call: u8, how: &How) {
        if self.world.some_fetch(call, how) || self.world.calls.is_empty() {
            return;
        }
        let at = call as usize % self.world.calls.len();
        if let How::Honestly = how {
            return self.world.answer(at);
        }
        let call = self.world.calls.swap_remove(at);
        let seen = super::program::seen(&call.snapshot);
        let problem = |code| Answer::Problem(Problem { code, detail: "planted".to_owned() });
        let reason = "planted".to_owned();
        let answer = match how {
            How::Lost => Answer::Undelivered(Undelivered::Lost { reason }),
            How::NotReached(after) => {
                Answer::Undelivered(Undelivered::NotReached { reason, retry_after: after.map(Span) })
            }
            How::Problem(0) => problem(ProblemCode::Signature),
            How::Problem(1) => problem(ProblemCode::UnknownFunction),
            How::Problem(2) => problem(ProblemCode::Protocol),
            How::Problem(3) => problem(ProblemCode::TooLarge),
            How::Problem(4) => problem(ProblemCode::RawBodyUnavailable),
            How::Problem(_) => problem(ProblemCode::Sdk),
            How::Mismatch => Answer::Mismatch(Mismatch {
                id: call.snapshot.entries.last().expect("has its input").id.clone(),
                journal: "step".to_owned(),
                code: "sleep".to_owned(),
            }),
            How::Empty => Answer::Ops { seen, ops: Vec::new(), end: None, awaiting: Vec::new() },
            How::Noisy => {
                let failure = Failure::new("Noisy", "planted");
                let end = Some(Terminal::Fail(Box::new(failure.clone()), failure.payload()));
                let Answer::Ops { mut ops, .. } = self.world.handle(&call.snapshot) else { return };
                ops.retain(|op| matches!(op, HandlerOp::Heartbeat(_) | HandlerOp::Publish(_)));
                ops.push(HandlerOp::Note(Note::Status(Payload::null())));
                Answer::Ops { seen, ops, end, awaiting: Vec::new() }
            }
            How::Contradiction | How::Twice | How::Prophetic | How::Again | How::Honestly => {
                let mut answer = self.world.handle(&call.snapshot);
                let wrong = call.snapshot.entries.iter().find(|entry| entry.seq.is_some());
                if let (How::Contradiction, Answer::Ops { ops, .. }, Some(entry)) = (how, &mut answer, wrong) {
                    let params = Payload::trusted("{}");
                    let (id, name) = (entry.id.clone(), None);
                    ops.push(if params == entry.params {
                        HandlerOp::Sleep { id, name, params, length: Some(Span(1)), until: None }
                    } else {
                        HandlerOp::Marker { id, name, params }
                    });
                }
                if let (How::Again, Answer::Ops { ops, .. }) = (how, &mut answer) {
                    let again = call.snapshot.entries.iter().filter_map(|entry| {
                        let (id, name, params) = (entry.id.clone(), None, entry.params.clone());
                        match entry.kind {
                            EntryKind::Marker => Some(HandlerOp::Marker { id, name, params }),
                            EntryKind::Sleep => {
                                Some(HandlerOp::Sleep { id, name, params, length: Some(Span(1)), until: None })
                            }
                            EntryKind::Step if entry.is_settled() => {
                                Some(HandlerOp::Step(step_report(&id, 1, 0, false)))
                            }
                            _ => None,
                        }
                    });
                    ops.splice(0..0, again);
                }
                // While a reply is on its way, the handler may rightly know one more than it was given here.
                let told = call.asked.is_none();
                if let (How::Prophetic, Answer::Ops { seen, .. }, true) = (how, &mut answer, told) {
                    *seen += 1;
                }
                if let How::Twice = how {
                    self.world.returned(&call, answer.clone());
                }
                return self.world.returned(&call, answer);
            }
        };
        self.world.returned(&call, answer);
    }

    /// The faults stop. Everything that can end, ends; held runs are let go; the clock moves on.
    fn heal(&mut self) {
        if self.world.registry.current("shop").is_none() {
            self.redeploy(false);
        }
        self.world.register(held(&self.world.registry, 0, false));
        end_schedules(&mut self.world);
        let mut spins = 0;
        for _ in 0..3_000 {
            let moved = self.world.flow(10_000);
            self.world.check_overdue();
            let held = self.world.safe.runs.values().find(|head| head.status == RunStatus::Paused);
            if let Some(run) = held.map(|head| head.id) {
                self.world.submit(Command::Resume { run });
                continue;
            }
            match self.world.next_at() {
                Some(at) => {
                    spins = if moved || at > self.world.now { 0 } else { spins + 1 };
                    assert!(spins < 20, "something is due at {at} and does not move at {}", self.world.now);
                    self.world.advance(at.since(self.world.now).0);
                }
                None => return,
            }
        }
        let open: Vec<_> = self.world.safe.runs.values().filter(|head| !head.status.is_terminal()).collect();
        panic!("the world never comes to rest: {} runs, open are {open:#?}", self.world.safe.runs.len());
    }

    /// Every run that has not ended says why.
    fn check_rest(&mut self) {
        self.world.check_reload();
        let book = &self.world.safe;
        book.check_nothing_missed();
        book.check_attempts();
        for head in book.runs.values().filter(|head| head.status.is_terminal()) {
            let open = book.entries_of(head.id).iter().filter(|entry| !entry.is_settled());
            for child in open.filter_map(|entry| book.head(entry.child?)) {
                let told = book.entries_of(child.id).iter().any(|entry| entry.kind == EntryKind::Cancel);
                assert!(told || child.status.is_terminal(), "a child goes on after its parent's end: {child:#?}");
            }
        }
        for head in book.runs.values().filter(|head| !head.status.is_terminal()) {
            if head.queue.is_some() {
                let held =
                    book.state.keys().any(|key| *key == StateKey::Object(ObjectKey::of(head).expect("has a key")));
                assert!(held, "a run waits for nobody: {head:#?}");
                continue;
            }
            assert_eq!(head.status, RunStatus::Suspended, "a run does not move: {head:#?}");
            let open: Vec<_> = book.entries_of(head.id).iter().filter(|entry| !entry.is_settled()).collect();
            let timers = open.iter().any(|entry| entry.due_at.is_some());
            assert!(!timers, "a timer is left: {open:#?}");
            for child in open.iter().filter_map(|entry| entry.child) {
                let status = book.head(child).expect("exists").status;
                assert!(!status.is_terminal(), "the child {child} is {status} and its parent waits");
            }
        }
    }
}

/// The book after the acts of a case, when nothing has healed yet.
pub(super) fn played(case: &Case) -> Book {
    play(case).world.book
}

fn play(case: &Case) -> Chaos {
    let mut chaos = Chaos { world: World::new(case.programs.clone(), case.idle), signals: 0, deployments: 1 };
    for act in &case.acts {
        chaos.act(act);
    }
    chaos
}

/// Executes a case from its beginning to its rest.
pub(super) fn execute(case: &Case) -> Book {
    let mut chaos = play(case);
    chaos.world.commit();
    chaos.world.committed(Fate::Done);
    chaos.world.check_reload();
    chaos.heal();
    chaos.check_rest();
    let rest = chaos.world.safe.dump(0);
    chaos.world.crash();
    chaos.heal();
    assert_eq!(rest, chaos.world.safe.dump(0), "a restart changed a world at rest");
    chaos.world.safe
}

#[test]
fn invariants_hold_through_chaos_and_everything_heals() {
    let mut runner = runner(150);
    if let Err(error) = runner.run(&case(), |case| {
        execute(&case);
        Ok(())
    }) {
        panic!("{error}");
    }
}
