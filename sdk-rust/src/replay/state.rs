//! What a run has created, what has settled, what the handler has been given.
//!
//! A plain state machine: the futures of `call` register entries and ask for outcomes, the driver delivers them. It knows
//! neither the handler nor any task beyond the wakers that it is given.

use std::collections::{BTreeMap, HashMap};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use crate::error::{Error, Failure, StepError};
use crate::raw::Raw;
use crate::wire::{self, Answer, EntryState, Invocation, Op, OpKind, Outcome, Report, Terminal};

/// The state of one invocation.
pub(crate) struct Core {
    token: String,
    seen: u64,
    known: HashMap<String, Known>,
    slots: Vec<Slot>,
    /// Settled and not yet delivered, by `seq`.
    deliverable: BTreeMap<u64, Delivery>,
    /// The greatest `seq` that has been delivered.
    delivered: u64,
    /// Up to this `seq` an earlier invocation has been here already.
    handled: u64,
    now: SystemTime,
    ops: Vec<Op>,
    mismatch: Option<Terminal>,
    bodies: Bodies,
}

/// A journal entry that the handler has not created yet.
struct Known {
    op: String,
    digest: Option<String>,
    state: EntryState,
}

struct Delivery {
    at: SystemTime,
    what: Delivered,
}

enum Delivered {
    Cancel,
    Outcome(SlotKey, Outcome),
}

/// The place of a created entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotKey(usize);

struct Slot {
    id: String,
    kind: OpKind,
    shielded: bool,
    progress: Progress,
    waker: Option<Waker>,
}

enum Progress {
    /// Open at the server, or settled and not delivered.
    Waiting,
    /// A body that may run: this attempt, after that failure.
    Startable { attempt: u32, error: Option<Failure> },
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
    Start { attempt: u32, error: Option<Failure> },
    Outcome(Result<Arrived, Error>),
}

/// The bodies of one invocation.
#[derive(Default)]
struct Bodies {
    /// Set when everything known has been delivered: before, a body could start that the next outcome makes pointless.
    released: bool,
    running: usize,
}

/// What a future brings when it registers its entry.
pub(crate) struct Registration<'a> {
    pub(crate) kind: OpKind,
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) params: &'a Raw,
    pub(crate) shielded: bool,
}

impl Core {
    /// Takes the journal apart. What else the invocation says stays with the caller.
    pub(crate) fn new(invocation: &mut Invocation) -> Core {
        let mut core = Core {
            token: std::mem::take(&mut invocation.token),
            seen: 0,
            known: HashMap::with_capacity(invocation.journal.len()),
            slots: Vec::with_capacity(invocation.journal.len() + 1),
            deliverable: BTreeMap::new(),
            delivered: 0,
            handled: 0,
            now: invocation.run.started_at,
            ops: Vec::new(),
            mismatch: None,
            bodies: Bodies::default(),
        };
        for entry in invocation.journal.drain(..) {
            if let EntryState::Settled { seq, at, .. } = entry.state {
                core.seen = core.seen.max(seq);
                if entry.id == wire::CANCEL_ID {
                    core.deliverable.insert(seq, Delivery { at, what: Delivered::Cancel });
                    continue;
                }
            }
            core.known.insert(entry.id, Known { op: entry.op, digest: entry.digest, state: entry.state });
        }
        core.handled = invocation.run.seen.unwrap_or(core.seen);
        core
    }

    /// An entry comes into being. Its op goes out unless the journal has it already; a step's goes out when its body ends.
    pub(crate) fn register(&mut self, registration: Registration<'_>) -> SlotKey {
        let key = SlotKey(self.slots.len());
        let progress = match self.known.remove(registration.id) {
            None if registration.kind == OpKind::Step => Progress::Startable { attempt: 1, error: None },
            None => {
                self.ops.push(registration.op(None));
                Progress::Waiting
            }
            Some(known) => self.replayed(key, known, &registration),
        };
        self.slots.push(Slot {
            id: registration.id.to_owned(),
            kind: registration.kind,
            shielded: registration.shielded,
            progress,
            waker: None,
        });
        key
    }

    fn replayed(&mut self, key: SlotKey, known: Known, registration: &Registration<'_>) -> Progress {
        if known.op != registration.kind.as_str() {
            let id = registration.id.to_owned();
            let mismatch = Terminal::Mismatch { id, journal: known.op, code: registration.kind };
            self.mismatch.get_or_insert(mismatch);
            return Progress::Waiting;
        }
        if known.digest.is_some_and(|digest| digest != wire::digest(registration.params.as_bytes())) {
            tracing::warn!(
                entry = registration.id,
                "the parameters differ from those in the journal, whose outcome is kept: use another id for another meaning"
            );
        }
        match known.state {
            EntryState::Settled { seq, at, outcome } => {
                self.deliverable.insert(seq, Delivery { at, what: Delivered::Outcome(key, outcome) });
                Progress::Waiting
            }
            EntryState::Run { attempt, error } if registration.kind == OpKind::Step => {
                Progress::Startable { attempt, error }
            }
            EntryState::Run { .. } | EntryState::Pending => Progress::Waiting,
        }
    }

    /// The outcome of an entry without a body.
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
        if self.bodies.released
            && let progress = &mut self.slots[key.0].progress
            && let Progress::Startable { attempt, error } = progress
        {
            let (attempt, error) = (*attempt, error.take());
            *progress = Progress::Running;
            self.bodies.running += 1;
            return StepPoll::Start { attempt, error };
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

    /// A body has ended: its outcome goes out with the answer and is delivered by a later invocation.
    pub(crate) fn report(&mut self, key: SlotKey, name: &str, params: &Raw, report: Report) {
        let slot = &mut self.slots[key.0];
        slot.progress = Progress::Waiting;
        self.bodies.running -= 1;
        let registration = Registration { kind: slot.kind, id: &slot.id, name, params, shielded: slot.shielded };
        let op = registration.op(Some(report));
        self.ops.push(op);
    }

    /// The future of an entry is no more. If its body was running, that goes unreported.
    pub(crate) fn abandon(&mut self, key: SlotKey) {
        let slot = &mut self.slots[key.0];
        if matches!(std::mem::replace(&mut slot.progress, Progress::Gone), Progress::Running) {
            self.bodies.running -= 1;
        }
        slot.waker = None;
    }

    /// Delivers the outcome with the lowest `seq` of those that are created. Gives the wakers that must know.
    pub(crate) fn deliver_next(&mut self) -> Option<Vec<Waker>> {
        let (seq, delivery) = self.deliverable.pop_first()?;
        self.now = delivery.at;
        self.delivered = self.delivered.max(seq);
        match delivery.what {
            Delivered::Cancel => Some(self.cancel()),
            Delivered::Outcome(key, outcome) => Some(self.arrive(key, outcome)),
        }
    }

    fn arrive(&mut self, key: SlotKey, outcome: Outcome) -> Vec<Waker> {
        let slot = &mut self.slots[key.0];
        if !matches!(slot.progress, Progress::Waiting) {
            return Vec::new();
        }
        slot.progress = Progress::Arrived(match outcome {
            Outcome::Ok(value) => Ok(Arrived::Value(value)),
            Outcome::Timeout => Ok(Arrived::Timeout),
            Outcome::Err(failure) => Err(failure),
        });
        slot.waker.take().into_iter().collect()
    }

    /// Everything created and undelivered at this moment ends, unless it is shielded. What this invocation has created
    /// never comes into being: bodies are not released before the cancellation's turn, and the ops are taken back.
    fn cancel(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        let shielded: Vec<&str> = self.slots.iter().filter(|slot| slot.shielded).map(|slot| slot.id.as_str()).collect();
        self.ops.retain(|op| shielded.contains(&op.id.as_str()));
        for slot in &mut self.slots {
            if !slot.shielded && matches!(slot.progress, Progress::Waiting | Progress::Startable { .. }) {
                slot.progress = Progress::Cancelled;
                wakers.extend(slot.waker.take());
            }
        }
        let slots = &self.slots;
        self.deliverable.retain(|_, delivery| match &delivery.what {
            Delivered::Outcome(key, _) => !matches!(slots[key.0].progress, Progress::Cancelled),
            Delivered::Cancel => true,
        });
        wakers
    }

    /// Lets bodies start, once. Gives the wakers of those that wait for it; `None` if none does.
    pub(crate) fn release_bodies(&mut self) -> Option<Vec<Waker>> {
        if std::mem::replace(&mut self.bodies.released, true) {
            return None;
        }
        let startable = self.slots.iter_mut().filter(|slot| matches!(slot.progress, Progress::Startable { .. }));
        let wakers: Vec<Waker> = startable.filter_map(|slot| slot.waker.take()).collect();
        (!wakers.is_empty()).then_some(wakers)
    }

    /// Whether a body is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.bodies.running > 0
    }

    /// Whether the handler waits for an entry that only the server can settle.
    pub(crate) fn is_waiting(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot.progress, Progress::Waiting))
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
        let open = |slot: &&Slot| matches!(slot.progress, Progress::Running | Progress::Waiting);
        self.slots.iter().filter(open).map(|slot| slot.id.clone()).collect()
    }

    /// The answer as it stands; a contradiction is answered alone. The core is spent afterwards.
    pub(crate) fn answer(&mut self, terminal: Option<Terminal>) -> Answer {
        let mut ops = std::mem::take(&mut self.ops);
        let mismatch = self.mismatch.take();
        if mismatch.is_some() {
            ops.clear();
        }
        Answer { token: self.token.clone(), seen: self.seen, ops, terminal: mismatch.or(terminal) }
    }
}

impl Registration<'_> {
    fn op(&self, report: Option<Report>) -> Op {
        Op { kind: self.kind, id: self.id.to_owned(), name: self.name.to_owned(), params: self.params.clone(), report }
    }
}
