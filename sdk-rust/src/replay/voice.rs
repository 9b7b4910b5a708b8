//! What is published: it waits with what else is to be told, in its order, and goes out with it, or after a moment alone.
//!
//! What one place of the code says, one after the other, is gathered into one op. What a body has said that nobody has
//! heard when it comes to nothing is taken back.

use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

use crate::error::Error;
use crate::raw::Raw;
use crate::replay::state::{Core, Progress, SlotKey};
use crate::wire::{Op, PublishOp};

/// The largest message, in bytes, with the brackets of a list of one: the server's bound.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1024 - 2;

/// From so many bytes on, what is published goes out at once; one op holds no more, unless one message has more.
pub(crate) const TOGETHER_BYTES: usize = 16 * 1024;

/// Messages that one op holds.
const TOGETHER_MAX: u32 = 1_000;

/// From so many bytes on that wait, a pipe pauses.
const PAUSE_BYTES: usize = 256 * 1024;

/// Bytes that wait at most while they go out.
const WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes that wait at most where they can only go out with the answer: what comes then is not said.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// How far the places of the code have come.
#[derive(Default)]
pub(super) struct Voice {
    /// By the place of the step: its attempt, and how much that has said.
    steps: BTreeMap<usize, (u32, u32)>,
    /// By scope: how much the handler has said there.
    handler: BTreeMap<String, u32>,
    /// Bytes that wait.
    waiting: usize,
    /// Whether what is said goes out while bodies work.
    live: bool,
    /// Who waits for room.
    room: Vec<Waker>,
}

/// A message that was checked and written.
pub(crate) struct Said {
    pub(crate) channel: Option<String>,
    pub(crate) topic: String,
    pub(crate) data: Raw,
}

impl Core {
    /// Whether what is published goes out while bodies work.
    pub(crate) fn publishes_live(&mut self, live: bool) {
        self.voice.live = live;
        self.make_room();
    }

    /// A body publishes. Gives who is to be woken, so that it is sent in time; `None` if nobody wants to know.
    pub(crate) fn publish(&mut self, key: SlotKey, attempt: u32, said: Said) -> Result<Option<Waker>, Error> {
        if !matches!(self.slots[key.0].progress, Progress::Running) {
            return Ok(None);
        }
        let (of, next) = self.voice.steps.entry(key.0).or_insert((attempt, 0));
        if *of != attempt {
            (*of, *next) = (attempt, 0);
        }
        let index = *next;
        *next += 1;
        let slot = &self.slots[key.0];
        let (id, waker) = (slot.id.clone(), slot.waker.clone());
        self.say(PublishOp::new(id, Some(attempt), index, said))?;
        Ok(waker)
    }

    /// The handler publishes outside of bodies, in this scope. What an earlier invocation has said there, `before`, is not said
    /// again.
    pub(crate) fn speak(&mut self, id: String, before: u32, said: Said) -> Result<(), Error> {
        let next = self.voice.handler.entry(id.clone()).or_insert(0);
        let index = *next;
        *next += 1;
        if self.sealed || index < before {
            return Ok(());
        }
        self.say(PublishOp::new(id, None, index, said))
    }

    fn say(&mut self, op: PublishOp) -> Result<(), Error> {
        let bytes = op.data.len();
        let most = if self.voice.live { WAITING_BYTES_MAX } else { ANSWER_BYTES_MAX };
        if self.voice.waiting + bytes > most {
            if !self.voice.live {
                return Ok(());
            }
            let message = format!(
                "{most} bytes that were published wait for the server already: publish through `pipe`, which pauses, or less"
            );
            return Err(Error::new("PublishesTooFast", message));
        }
        self.voice.waiting += bytes;
        match self.ops.last_mut() {
            Some(Op::Publish(last)) if last.takes(&op, TOGETHER_MAX, TOGETHER_BYTES) => last.gather(op),
            _ => self.ops.push(Op::Publish(op)),
        }
        Ok(())
    }

    /// How many bytes that were published wait; `None` if nothing does.
    pub(crate) fn published(&self) -> Option<usize> {
        (self.voice.waiting > 0).then_some(self.voice.waiting)
    }

    /// Whether something else is to be told, which does not wait for company.
    pub(crate) fn presses(&self) -> bool {
        self.ops.iter().any(|op| !matches!(op, Op::Publish(_)))
    }

    /// Ready when little enough waits.
    pub(crate) fn poll_room(&mut self, cx: &Context<'_>) -> Poll<()> {
        if !self.voice.live || self.voice.waiting < PAUSE_BYTES {
            return Poll::Ready(());
        }
        self.voice.room.push(cx.waker().clone());
        Poll::Pending
    }

    /// Counts anew what waits, after ops have gone out, or were put back.
    pub(super) fn count_published(&mut self) {
        let bytes = |op: &Op| if let Op::Publish(op) = op { op.data.len() } else { 0 };
        self.voice.waiting = self.ops.iter().map(bytes).sum();
        self.make_room();
    }

    fn make_room(&mut self) {
        if !self.voice.live || self.voice.waiting < PAUSE_BYTES {
            self.voice.room.drain(..).for_each(Waker::wake);
        }
    }

    /// Takes back what bodies have said that nobody has heard: of this step, or of all.
    pub(super) fn unsay(&mut self, id: Option<&str>) {
        if self.voice.waiting == 0 {
            return;
        }
        let said = |op: &PublishOp| op.attempt.is_some() && id.is_none_or(|id| op.id == id);
        self.ops.retain(|op| !matches!(op, Op::Publish(op) if said(op)));
        self.count_published();
    }
}
