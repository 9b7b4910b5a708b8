//! What a run has created, what has settled, what the handler has been given.
//!
//! A plain state machine: the futures of `call` register entries and ask for outcomes, the driver delivers them, `merge`
//! takes in what the server says meanwhile. It knows neither the handler nor any task beyond the wakers that it is given.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::error::{Error, Failure, StepError};
use crate::raw::Raw;
use crate::replay::notes::Notes;
use crate::replay::undo::Undo;
use crate::replay::voice::Voice;
use crate::wire::{self, Answer, Due, EntryOp, EntryState, Invocation, Op, OpKind, Outcome, Report, Terminal};

/// Parameters of no more bytes are kept as they were sent.
const PARAMS_KEPT_BYTES_MAX: usize = 256;

/// The state of one invocation.
pub(crate) struct Core {
    pub(super) token: String,
    /// The greatest `seq` that is known.
    pub(super) seen: u64,
    pub(super) entries: HashMap<String, Known>,
    pub(super) slots: Vec<Slot>,
    /// The slots that are neither delivered nor forgotten.
    pub(super) open: BTreeSet<usize>,
    /// Settled and not yet delivered, by `seq`.
    pub(super) deliverable: BTreeMap<u64, Delivery>,
    /// The greatest `seq` that has been delivered.
    pub(super) delivered: u64,
    /// Up to this `seq` an earlier invocation has been here already.
    pub(super) handled: u64,
    pub(super) started_at: SystemTime,
    pub(super) now: SystemTime,
    pub(super) ops: Vec<Op>,
    pub(super) mismatch: Option<Terminal>,
    pub(super) bodies: Bodies,
    /// The steps that the server wants to be run again in this invocation, and when.
    pub(super) retries: BTreeMap<String, Instant>,
    pub(super) cancelled: Option<(u64, SystemTime)>,
    /// The cancellation has had its turn.
    pub(super) was_cancelled: bool,
    /// How many parts of the handler are open that a cancellation must not tear.
    pub(super) shields: usize,
    /// The run has failed for good, with this.
    pub(super) failure: Option<(u64, SystemTime, Failure)>,
    /// The handler is over: neither cancellation nor failure has a turn any more.
    pub(super) sealed: bool,
    /// The children that must have settled before the run ends.
    pub(super) holding: Vec<usize>,
    /// How the steps are undone that can be.
    pub(super) undos: BTreeMap<usize, Undo>,
    /// The entry whose outcome is needed to undo it, and has to be fetched first.
    pub(super) wanted: Option<String>,
    pub(super) notes: Notes,
    pub(super) voice: Voice,
    /// How many groups of entries are awaited together.
    groups: usize,
}

/// An entry of the journal, or one that the handler has created.
pub(super) struct Known {
    pub(super) op: Cow<'static, str>,
    /// Entries of the server's own have none.
    pub(super) params: Option<Params>,
    /// `None`: the server has not heard of it.
    pub(super) state: Option<EntryState>,
    /// Its place, once the handler has created it.
    pub(super) slot: Option<usize>,
    /// The handler has created it, and nobody waits for it.
    pub(super) silent: bool,
    /// The last attempt that was reported by this invocation.
    pub(super) reported: u32,
}

/// What is known of an entry's parameters.
pub(super) enum Params {
    /// What they hash to, by the journal.
    Digest(String),
    /// What this invocation has sent, if that is not much.
    Sent(Raw),
}

#[derive(Clone)]
pub(super) struct Delivery {
    pub(super) at: SystemTime,
    pub(super) what: Delivered,
}

#[derive(Clone)]
pub(super) enum Delivered {
    Cancel,
    Failure,
    Outcome(usize, Outcome),
}

/// The place of a created entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotKey(pub(super) usize);

pub(super) struct Slot {
    pub(super) id: String,
    pub(super) kind: OpKind,
    pub(super) progress: Progress,
    pub(super) waker: Option<Waker>,
    /// The body has begun: it is used up.
    pub(super) spent: bool,
    /// The body has given a value, whether the server knows it or not.
    pub(super) succeeded: bool,
    /// When the body gave its last sign of life.
    pub(super) alive_at: Option<Instant>,
    /// When the server settles it, where that is known.
    pub(super) due: Option<Instant>,
    group: Option<usize>,
}

pub(super) enum Progress {
    /// Open at the server, or settled and not delivered.
    Waiting,
    /// A body that may run, as this attempt.
    Startable(Due),
    /// The body is being polled.
    Running,
    /// Delivered, not yet taken by its future.
    Arrived(Result<Arrived, Failure>),
    /// Cancelled, not yet taken by its future.
    Cancelled,
    /// Nobody asks any more: taken, or its future was dropped.
    Gone,
}

/// An outcome as a future gets it.
#[derive(Debug)]
pub(crate) enum Arrived {
    Value(Raw),
    Timeout,
}

/// What a step's future is told.
pub(crate) enum StepPoll {
    Pending,
    Start(Due),
    Outcome(Result<Arrived, Error>),
}

/// What comes next for the handler.
pub(crate) enum Next {
    /// Nothing, as far as is known.
    Nothing,
    /// An outcome has been delivered: these must know.
    Wake(Vec<Waker>),
    /// The outcome of this entry, which has to be fetched first.
    Fetch(String),
    /// The handler is over: the run has failed.
    Failure,
}

/// The bodies of one invocation.
#[derive(Default)]
pub(super) struct Bodies {
    /// Set while bodies may start, when everything known has been delivered: before, a body could start that the next
    /// outcome makes pointless.
    released: bool,
    pub(super) running: usize,
    /// How many have begun.
    begun: usize,
    /// How long the longest has taken.
    longest: Duration,
}

/// What a future brings when it registers its entry.
pub(crate) struct Registration<'a> {
    pub(crate) kind: OpKind,
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) params: &'a Raw,
    /// A child that must have settled before the run ends.
    pub(crate) holds_end: bool,
}

impl Core {
    /// Takes the journal apart. What else the invocation says stays with the caller.
    pub(crate) fn new(invocation: &mut Invocation) -> Core {
        let journal = std::mem::take(&mut invocation.journal);
        let mut core = Core::empty(std::mem::take(&mut invocation.token), invocation.run.started_at, journal.len());
        for entry in journal {
            if let EntryState::Settled { seq, at, outcome } = &entry.state {
                core.seen = core.seen.max(*seq);
                if core.take_own(&entry.id, *seq, *at, outcome) {
                    continue;
                }
            }
            core.entries.insert(entry.id, Known::new(entry.op, entry.digest.map(Params::Digest), Some(entry.state)));
        }
        core.handled = invocation.run.seen.unwrap_or(core.seen);
        core.notes = Notes::of(std::mem::take(&mut invocation.labels));
        core
    }

    pub(super) fn empty(token: String, started_at: SystemTime, size: usize) -> Core {
        Core {
            token,
            seen: 0,
            entries: HashMap::with_capacity(size + 1),
            slots: Vec::with_capacity(size + 1),
            open: BTreeSet::new(),
            deliverable: BTreeMap::new(),
            delivered: 0,
            handled: 0,
            started_at,
            now: started_at,
            ops: Vec::new(),
            mismatch: None,
            bodies: Bodies::default(),
            retries: BTreeMap::new(),
            cancelled: None,
            was_cancelled: false,
            shields: 0,
            failure: None,
            sealed: false,
            holding: Vec::new(),
            undos: BTreeMap::new(),
            wanted: None,
            notes: Notes::default(),
            voice: Voice::default(),
            groups: 0,
        }
    }

    /// An entry comes into being. Its op goes out unless the journal has it already; a step's goes out when its body ends.
    pub(crate) fn register(&mut self, registration: Registration<'_>) -> SlotKey {
        let place = self.slots.len();
        let progress = match self.entries.get_mut(registration.id) {
            Some(known) => {
                known.slot = Some(place);
                // What the journal has was reported by an earlier invocation, and with it all replies that came before.
                self.forget_replies();
                self.replayed(place, &registration)
            }
            None => {
                let mut known = Known::new(registration.kind.as_str(), None, None);
                known.slot = Some(place);
                self.entries.insert(registration.id.to_owned(), known);
                if registration.kind == OpKind::Step {
                    Progress::Startable(Due { attempt: 1, error: None, details: None })
                } else {
                    self.ops.push(registration.op());
                    Progress::Waiting
                }
            }
        };
        self.slots.push(Slot {
            id: registration.id.to_owned(),
            kind: registration.kind,
            progress,
            waker: None,
            spent: false,
            succeeded: false,
            alive_at: None,
            due: None,
            group: None,
        });
        self.open.insert(place);
        if registration.holds_end {
            self.holding.push(place);
        }
        SlotKey(place)
    }

    fn replayed(&mut self, place: usize, registration: &Registration<'_>) -> Progress {
        let Some(known) = self.entries.get(registration.id) else { return Progress::Waiting };
        if known.op != registration.kind.as_str() {
            let id = registration.id.to_owned();
            let journal = known.op.to_string();
            self.contradict(id, journal, registration.kind);
            return Progress::Waiting;
        }
        if known.params.as_ref().is_some_and(|params| !params.are(registration.params)) {
            tracing::warn!(
                entry = registration.id,
                "the parameters differ from those in the journal, whose outcome is kept: use another id for another meaning"
            );
        }
        match &known.state {
            Some(EntryState::Settled { seq, at, outcome }) => {
                let delivery = Delivery { at: *at, what: Delivered::Outcome(place, outcome.clone()) };
                self.deliverable.insert(*seq, delivery);
                Progress::Waiting
            }
            Some(EntryState::Run(due))
                if registration.kind == OpKind::Step && !self.retries.contains_key(registration.id) =>
            {
                Progress::Startable(due.clone())
            }
            _ => Progress::Waiting,
        }
    }

    /// The code asks for another kind of entry than the journal has; the first such entry is told.
    pub(super) fn contradict(&mut self, id: String, journal: String, code: OpKind) {
        self.mismatch.get_or_insert(Terminal::Mismatch { id, journal, code });
    }

    /// The outcome of an entry without a body, or of one whose body runs and may be interrupted.
    pub(crate) fn poll_outcome(&mut self, key: SlotKey, cx: &Context<'_>) -> Poll<Result<Arrived, Error>> {
        match self.take(key) {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                self.park(key, cx);
                Poll::Pending
            }
        }
    }

    /// The outcome of a step, or the word to run its body.
    pub(crate) fn poll_step(&mut self, key: SlotKey, cx: &Context<'_>) -> StepPoll {
        if let Some(outcome) = self.take(key) {
            return StepPoll::Outcome(outcome);
        }
        let slot = &mut self.slots[key.0];
        if self.bodies.released && matches!(slot.progress, Progress::Startable(_)) {
            slot.spent = true;
            let started = std::mem::replace(&mut slot.progress, Progress::Running);
            self.bodies.running += 1;
            self.bodies.begun += 1;
            // What the server or a cancellation says meanwhile interrupts the body.
            self.park(key, cx);
            if let Progress::Startable(due) = started {
                return StepPoll::Start(due);
            }
        }
        self.park(key, cx);
        StepPoll::Pending
    }

    fn park(&mut self, key: SlotKey, cx: &Context<'_>) {
        let slot = &mut self.slots[key.0];
        match &mut slot.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => slot.waker = Some(cx.waker().clone()),
        }
    }

    fn take(&mut self, key: SlotKey) -> Option<Result<Arrived, Error>> {
        let slot = &mut self.slots[key.0];
        if !matches!(slot.progress, Progress::Arrived(_) | Progress::Cancelled) {
            return None;
        }
        let step = || StepError { id: slot.id.clone(), op: slot.kind.as_str() };
        let outcome = match std::mem::replace(&mut slot.progress, Progress::Gone) {
            Progress::Arrived(outcome) => outcome.map_err(|failure| Error::recorded(failure, step())),
            _ => Err(Error::cancelled(step())),
        };
        Some(outcome)
    }

    /// A body has ended: its outcome goes out, and is delivered only when it is durable.
    pub(crate) fn report(&mut self, key: SlotKey, name: &str, params: &Raw, report: Report) {
        let slot = &mut self.slots[key.0];
        if !matches!(slot.progress, Progress::Running) {
            return;
        }
        slot.progress = Progress::Waiting;
        slot.succeeded = report.outcome.is_ok();
        self.bodies.running -= 1;
        let took = report.ended_at.duration_since(report.started_at).unwrap_or_default();
        self.bodies.longest = self.bodies.longest.max(took);
        if let Some(known) = self.entries.get_mut(&slot.id) {
            known.reported = report.attempt;
        }
        // How far a failed attempt had come must be known before its error.
        if let Some(heartbeat) = self.notes.heartbeats.remove(&key.0)
            && report.outcome.is_err()
        {
            self.ops.push(Op::Heartbeat(heartbeat));
        }
        let (id, name, params) = (slot.id.clone(), name.to_owned(), params.clone());
        // Nothing came of the attempt: what it said and nobody has heard need not be said.
        if report.outcome.is_err() {
            self.unsay(Some(&id));
        }
        let slot = &self.slots[key.0];
        self.ops.push(Op::Entry(EntryOp { kind: slot.kind, id, name, params, report: Some(report) }));
    }

    /// The future of an entry is no more. If its body was running, that goes unreported.
    pub(crate) fn abandon(&mut self, key: SlotKey) {
        let slot = &mut self.slots[key.0];
        if matches!(std::mem::replace(&mut slot.progress, Progress::Gone), Progress::Running) {
            self.bodies.running -= 1;
            self.notes.heartbeats.remove(&key.0);
            let id = slot.id.clone();
            self.unsay(Some(&id));
        }
        let slot = &mut self.slots[key.0];
        slot.waker = None;
        self.open.remove(&key.0);
    }

    /// Says that whoever waits for these entries goes on only when all of them have settled, or one with an error.
    pub(crate) fn group(&mut self, keys: &[SlotKey]) {
        self.groups += 1;
        for key in keys {
            self.slots[key.0].group = Some(self.groups);
        }
    }

    /// Lets bodies start, in the next poll of the handler. Gives the wakers of those that wait for it; `None` if none does.
    pub(crate) fn release_bodies(&mut self) -> Option<Vec<Waker>> {
        let mut wakers = Vec::new();
        for place in &self.open {
            let slot = &mut self.slots[*place];
            if matches!(slot.progress, Progress::Startable(_)) {
                wakers.extend(slot.waker.take());
            }
        }
        self.bodies.released = !wakers.is_empty();
        self.bodies.released.then_some(wakers)
    }

    /// Lets no further bodies start for now.
    pub(crate) fn hold_bodies(&mut self) {
        self.bodies.released = false;
    }

    /// Whether a body would start if it might.
    pub(crate) fn has_startable(&self) -> bool {
        self.open().any(|slot| matches!(slot.progress, Progress::Startable(_)) && slot.waker.is_some())
    }

    /// Whether a body has begun, and how long the longest has taken.
    pub(crate) fn longest_body(&self) -> Option<Duration> {
        (self.bodies.begun > 0).then_some(self.bodies.longest)
    }

    /// Whether a body is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.bodies.running > 0
    }

    /// Whether the handler waits for an entry that only the server can settle.
    pub(crate) fn is_waiting(&self) -> bool {
        self.open().any(|slot| matches!(slot.progress, Progress::Waiting)) || self.holds_end() || self.owes_undo()
    }

    /// Whether a child has not settled that must have before the run ends.
    pub(crate) fn holds_end(&self) -> bool {
        self.sealed && self.held().next().is_some()
    }

    /// The children that hold back the run's end.
    fn held(&self) -> impl Iterator<Item = &Slot> {
        let settled = |slot: &Slot| {
            let known = self.entries.get(&slot.id);
            known.is_some_and(|known| matches!(known.state, Some(EntryState::Settled { .. })))
        };
        self.holding.iter().map(|place| &self.slots[*place]).filter(move |slot| !settled(slot))
    }

    /// Whether an earlier invocation has already been where the handler is now.
    pub(crate) fn is_replaying(&self) -> bool {
        self.delivered < self.handled
    }

    /// Whether the code has contradicted the journal.
    pub(crate) fn is_contradicted(&self) -> bool {
        self.mismatch.is_some()
    }

    /// The time of the last delivered outcome, else the run's start.
    pub(crate) fn now(&self) -> SystemTime {
        self.now
    }

    /// What runs or is awaited, for an error that has to say why nothing moves.
    pub(crate) fn open_ids(&self) -> Vec<String> {
        self.open().filter(|slot| slot.is_awaited()).map(|slot| slot.id.clone()).collect()
    }

    pub(super) fn open(&self) -> impl Iterator<Item = &Slot> {
        self.open.iter().map(|place| &self.slots[*place])
    }

    /// The answer as it stands; a contradiction is answered alone. The core is spent afterwards.
    pub(crate) fn answer(&mut self, terminal: Option<Terminal>) -> Answer {
        let mut ops = self.take_last();
        let mismatch = self.mismatch.take();
        if mismatch.is_some() {
            ops.clear();
        }
        let terminal = mismatch.or(terminal);
        let awaiting = match terminal {
            None if self.holds_end() => {
                vec![self.held().map(|slot| slot.id.clone()).collect()]
            }
            // What settles at once and nobody waits for must not wake the run.
            None => self.awaiting(ops.iter().any(Op::is_silent)),
            Some(_) => Vec::new(),
        };
        Answer { token: self.token.clone(), seen: self.seen, ops, terminal, awaiting }
    }

    /// The open entries by group, if there is a group of more than one, or `always`; else every settlement matters, which
    /// goes without saying.
    fn awaiting(&self, always: bool) -> Vec<Vec<String>> {
        let mut together: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        let mut groups = Vec::new();
        for slot in self.open().filter(|slot| slot.is_awaited()) {
            match slot.group {
                Some(group) => together.entry(group).or_default().push(slot.id.clone()),
                None => groups.push(vec![slot.id.clone()]),
            }
        }
        if !always && together.values().all(|group| group.len() < 2) {
            return Vec::new();
        }
        groups.extend(together.into_values());
        groups
    }
}

impl Known {
    pub(super) fn new(op: impl Into<Cow<'static, str>>, params: Option<Params>, state: Option<EntryState>) -> Known {
        Known { op: op.into(), params, state, slot: None, silent: false, reported: 0 }
    }
}

impl Params {
    /// Short ones are kept as they are: that costs less than a hash of them.
    pub(super) fn of(params: &Raw) -> Params {
        match params.len() {
            ..=PARAMS_KEPT_BYTES_MAX => Params::Sent(params.clone()),
            _ => Params::Digest(wire::digest(params.as_bytes())),
        }
    }

    /// Whether they are these.
    fn are(&self, params: &Raw) -> bool {
        match self {
            Params::Digest(digest) => *digest == wire::digest(params.as_bytes()),
            Params::Sent(sent) => sent == params,
        }
    }
}

impl Slot {
    /// Whether an outcome would still be taken.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self.progress, Progress::Waiting | Progress::Startable(_) | Progress::Running)
    }
}

impl Registration<'_> {
    fn op(&self) -> Op {
        let (id, name) = (self.id.to_owned(), self.name.to_owned());
        Op::Entry(EntryOp { kind: self.kind, id, name, params: self.params.clone(), report: None })
    }
}
