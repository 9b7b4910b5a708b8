//! Whose turn it is: outcomes by `seq`, one at a time, and between them the cancellation and the failure of the run.
//!
//! Both count as created from the start, and are delivered as soon as something is open that they can end. What they end
//! was never begun: bodies wait until everything known is delivered, and ops that have not gone out are taken back.

use std::task::Waker;
use std::time::SystemTime;

use crate::error::{Error, Failure};
use crate::replay::state::{Arrived, Core, Delivered, Delivery, Known, Next, Progress};
use crate::wire::{self, EntryState, Outcome, Terminal};

impl Core {
    /// Takes in an entry of the server's own; false if it is none.
    pub(super) fn take_own(&mut self, id: &str, seq: u64, at: SystemTime, outcome: &Outcome) -> bool {
        match (id, outcome) {
            (wire::CANCEL_ID, _) => {
                self.cancelled = Some((seq, at));
                if !self.sealed && !self.was_cancelled {
                    self.deliverable.insert(seq, Delivery { at, what: Delivered::Cancel });
                }
                true
            }
            (wire::FAILURE_ID, Outcome::Err(failure)) => {
                self.take_failure(seq, at, failure.clone());
                true
            }
            _ => false,
        }
    }

    pub(super) fn take_failure(&mut self, seq: u64, at: SystemTime, failure: Failure) {
        self.failure = Some((seq, at, failure));
        if !self.sealed {
            self.deliverable.insert(seq, Delivery { at, what: Delivered::Failure });
        }
    }

    /// Delivers the outcome with the lowest `seq` of those that are created.
    pub(crate) fn deliver_next(&mut self) -> Next {
        let awaited = self.open().any(|slot| slot.is_awaited());
        let due = |delivery: &Delivery| match delivery.what {
            Delivered::Cancel => awaited && self.shields == 0,
            Delivered::Failure => awaited,
            Delivered::Outcome(..) => true,
        };
        let Some((&seq, delivery)) = self.deliverable.iter().find(|(_, delivery)| due(delivery)) else {
            return Next::Nothing;
        };
        match &delivery.what {
            Delivered::Outcome(place, Outcome::Elsewhere) if self.slots[*place].is_awaited() => {
                return Next::Fetch(self.slots[*place].id.clone());
            }
            Delivered::Failure => return Next::Failure,
            Delivered::Cancel | Delivered::Outcome(..) => {}
        }
        let Some(delivery) = self.deliverable.remove(&seq) else { return Next::Nothing };
        // A shield that the cancellation waited for may have come further: time does not run backwards.
        if seq > self.delivered || matches!(delivery.what, Delivered::Outcome(..)) {
            self.now = delivery.at;
        }
        self.delivered = self.delivered.max(seq);
        Next::Wake(match delivery.what {
            Delivered::Cancel | Delivered::Failure => self.cancel(),
            Delivered::Outcome(place, outcome) => self.arrive(place, outcome),
        })
    }

    fn arrive(&mut self, place: usize, outcome: Outcome) -> Vec<Waker> {
        let slot = &mut self.slots[place];
        if !slot.is_awaited() {
            return Vec::new();
        }
        let arrived = Progress::Arrived(match outcome {
            Outcome::Ok(value) => Ok(Arrived::Value(value)),
            // Nobody delivers what has not been fetched.
            Outcome::Timeout | Outcome::Elsewhere => Ok(Arrived::Timeout),
            Outcome::Err(failure) => Err(failure),
        });
        if matches!(std::mem::replace(&mut slot.progress, arrived), Progress::Running) {
            self.bodies.running -= 1;
        }
        self.open.remove(&place);
        slot.waker.take().into_iter().collect()
    }

    /// Everything created and undelivered at this moment ends; bodies that run are interrupted. What has not begun never
    /// comes into being: bodies are not released before the cancellation's turn, and the ops are taken back. Only what a body
    /// has come to already is still reported.
    fn cancel(&mut self) -> Vec<Waker> {
        self.was_cancelled = true;
        self.take_back();
        let (mut wakers, mut silenced) = (Vec::new(), Vec::new());
        for place in std::mem::take(&mut self.open) {
            let slot = &mut self.slots[place];
            if !slot.is_awaited() {
                self.open.insert(place);
                continue;
            }
            if matches!(std::mem::replace(&mut slot.progress, Progress::Cancelled), Progress::Running) {
                self.bodies.running -= 1;
                self.notes.heartbeats.remove(&place);
                silenced.push(slot.id.clone());
            }
            wakers.extend(slot.waker.take());
        }
        silenced.iter().for_each(|id| self.unsay(Some(id)));
        wakers
    }

    /// Takes back the ops of what has not begun. What a body has come to is told, and so is what nobody waits for.
    fn take_back(&mut self) {
        let (entries, holding) = (&self.entries, &mut self.holding);
        self.ops.retain(|op| {
            let Some(entry) = op.entry().filter(|entry| entry.report.is_none() && !op.is_silent()) else { return true };
            let place = entries.get(&entry.id).and_then(|known| known.slot);
            // A child that was never begun holds back nothing.
            holding.retain(|held| Some(*held) != place);
            false
        });
    }

    /// A part of the handler begins during which a cancellation has no turn.
    pub(crate) fn open_shield(&mut self) {
        self.shields += 1;
    }

    /// Such a part has ended.
    pub(crate) fn close_shield(&mut self) {
        self.shields = self.shields.saturating_sub(1);
    }

    /// The failure's turn: the handler is to be dropped, and ends so.
    pub(crate) fn fail(&mut self) -> Terminal {
        match &self.failure {
            Some((seq, at, failure)) => {
                (self.now, self.delivered) = (*at, self.delivered.max(*seq));
                Terminal::Fail(failure.clone())
            }
            None => Terminal::Fail(Failure::new("ProtocolError".to_owned(), "no failure".to_owned(), true)),
        }
    }

    /// Whether the run has failed for good, as far as is known.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Whether steps settled before the failure that the code has not created, so that it could not undo them.
    pub(crate) fn lacks_steps(&self) -> bool {
        let until = self.failure.as_ref().map_or(0, |(seq, ..)| *seq);
        let lacks = |(id, known): (&String, &Known)| {
            let settled = matches!(known.state, Some(EntryState::Settled { seq, .. }) if seq < until);
            settled && known.op == "step" && known.slot.is_none() && !id.starts_with(wire::UNDO)
        };
        self.entries.iter().any(lacks)
    }

    /// The handler is over, and nothing that settles is for it any more. What is left of its futures is nobody's.
    pub(crate) fn seal(&mut self) {
        self.sealed = true;
        self.deliverable.clear();
        for place in std::mem::take(&mut self.open) {
            self.slots[place].progress = Progress::Gone;
        }
        self.bodies.running = 0;
        self.notes.heartbeats.clear();
        self.unsay(None);
    }

    /// The error that the run ends with once what it did is undone; `None` if nothing is to be undone.
    pub(crate) fn undoes_after(&mut self, end: &Terminal) -> Option<Failure> {
        let error = match (&self.failure, end) {
            (Some((_, _, failure)), _) => failure.clone(),
            (None, Terminal::Fail(failure)) if self.was_cancelled && failure.name == Error::CANCELLED => {
                failure.clone()
            }
            (None, _) => return None,
        };
        if self.has_failed() {
            self.take_back();
        }
        self.holding.clear();
        Some(error)
    }
}
