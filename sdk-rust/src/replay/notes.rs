//! What a run says that makes no entry, or none that anybody waits for: its status, heartbeats, replies to updates, patches,
//! writes of state, and the input that it goes on with.
//!
//! Of status and heartbeats only the newest matters, so they are kept apart and go with the next report; a report of their
//! own they are worth once a second. The others are ops like any other, in the order in which the handler made them.

use std::collections::{BTreeMap, BTreeSet};
use std::task::Waker;

use tokio::time::Instant;

use crate::labels::Labels;
use crate::raw::Raw;
use crate::replay::state::{Core, Delivered, Known, Progress, SlotKey};
use crate::time;
use crate::wire::{self, EntryOp, EntryState, HeartbeatOp, Op, OpKind, Outcome};

/// What waits to be told.
#[derive(Default)]
pub(super) struct Notes {
    status: Option<Raw>,
    /// What the run is found by: as it was started, with what the handler has said since.
    labels: Labels,
    /// Whether the server has to hear of the labels.
    labelled: bool,
    /// By the place of the step.
    pub(super) heartbeats: BTreeMap<usize, HeartbeatOp>,
    /// What the patches were answered with in this invocation.
    patches: BTreeMap<String, bool>,
    /// How often the handler has written state.
    writes: u64,
    /// What the handler goes on with in a new run.
    next: Option<Raw>,
}

impl Notes {
    /// Nothing to tell yet of a run that was started with these labels.
    pub(super) fn of(labels: Labels) -> Notes {
        Notes { labels, ..Notes::default() }
    }
}

impl Core {
    /// What the run shows of itself from now on.
    pub(crate) fn set_status(&mut self, value: Raw) {
        if !self.sealed {
            self.notes.status = Some(value);
        }
    }

    /// What the run is found by.
    pub(crate) fn labels(&self) -> &Labels {
        &self.notes.labels
    }

    /// What the run is found by from now on.
    pub(crate) fn set_labels(&mut self, labels: Labels) {
        if !self.sealed {
            self.notes.labels = labels;
            self.notes.labelled = true;
        }
    }

    /// A sign of life of a body. Gives who is to be woken, so that it is sent in time; `None` if nobody wants to know.
    pub(crate) fn heartbeat(&mut self, key: SlotKey, params: Raw, attempt: u32, details: Raw) -> Option<Waker> {
        let slot = &mut self.slots[key.0];
        if !matches!(slot.progress, Progress::Running) {
            return None;
        }
        slot.alive_at = Some(time::instant());
        let heartbeat = HeartbeatOp { id: slot.id.clone(), params, attempt, details };
        self.notes.heartbeats.insert(key.0, heartbeat);
        slot.waker.clone()
    }

    /// When the body of this step gave its last sign of life.
    pub(crate) fn alive_at(&self, key: SlotKey) -> Option<Instant> {
        self.slots[key.0].alive_at
    }

    /// Whether there is something that is only worth its newest value.
    pub(crate) fn has_notes(&self) -> bool {
        self.notes.status.is_some() || self.notes.labelled || !self.notes.heartbeats.is_empty()
    }

    /// Puts what is only worth its newest value among the ops, which go out now.
    pub(crate) fn gather_notes(&mut self) {
        let notes = &mut self.notes;
        self.ops.extend(std::mem::take(&mut notes.heartbeats).into_values().map(Op::Heartbeat));
        self.ops.extend(notes.status.take().map(Op::Status));
        self.ops.extend(std::mem::take(&mut notes.labelled).then(|| Op::Labels(notes.labels.clone())));
    }

    /// All that the answer tells. Of a status and of labels only the newest, of heartbeats only those of steps that did not end well.
    pub(super) fn take_last(&mut self) -> Vec<Op> {
        self.gather_notes();
        let mut ops = std::mem::take(&mut self.ops);
        if !ops.iter().any(|op| matches!(op, Op::Status(_) | Op::Labels(_) | Op::Heartbeat(_))) {
            return ops;
        }
        let ended =
            ops.iter().filter_map(Op::entry).filter(|op| op.report.as_ref().is_some_and(|it| it.outcome.is_ok()));
        let mut silenced: BTreeSet<String> = ended.map(|op| op.id.clone()).collect();
        let (mut shown, mut labelled) = (false, false);
        ops.reverse();
        ops.retain(|op| match op {
            Op::Status(_) => !std::mem::replace(&mut shown, true),
            Op::Labels(_) => !std::mem::replace(&mut labelled, true),
            Op::Heartbeat(heartbeat) => silenced.insert(heartbeat.id.clone()),
            Op::Entry(_) | Op::Reply { .. } | Op::Publish(_) => true,
        });
        ops.reverse();
        ops
    }

    /// Replies to an update; the server takes the first reply.
    pub(crate) fn reply(&mut self, update: String, outcome: Result<Raw, crate::error::Failure>) {
        if !self.sealed {
            self.ops.push(Op::Reply { update, outcome });
        }
    }

    /// The code has come to an entry that an earlier invocation reported: its replies so far went out then.
    pub(super) fn forget_replies(&mut self) {
        self.ops.retain(|op| !matches!(op, Op::Reply { .. }));
    }

    /// Whether the code goes the new way: the journal says so, or no invocation has been here before.
    pub(crate) fn patched(&mut self, id: String, name: &str) -> bool {
        if let Some(answered) = self.notes.patches.get(&id) {
            return *answered;
        }
        let goes = self.entries.contains_key(&id) || self.is_on_new_ground();
        if goes {
            self.note(OpKind::Marker, id.clone(), name.to_owned(), Raw::empty_object());
        }
        self.notes.patches.insert(id, goes);
        goes
    }

    /// Whether everything known is delivered, and the code has created all that the journal has.
    fn is_on_new_ground(&self) -> bool {
        let waits = self.deliverable.values().any(|delivery| matches!(delivery.what, Delivered::Outcome(..)));
        let unmet = |(id, known): (&String, &Known)| {
            known.slot.is_none() && !known.silent && known.op != OpKind::Marker.as_str() && !id.starts_with(wire::UNDO)
        };
        !waits && !self.entries.iter().any(unmet)
    }

    /// Writes the object's state.
    pub(crate) fn write_state(&mut self, params: Raw) {
        let id = match self.notes.writes {
            0 => "$state".to_owned(),
            count => format!("$state:{count}"),
        };
        self.notes.writes += 1;
        self.note(OpKind::State, id, String::new(), params);
    }

    /// An entry that settles at once and that nobody waits for. It goes out unless the journal has it already.
    fn note(&mut self, kind: OpKind, id: String, name: String, params: Raw) {
        let known = self.entries.entry(id.clone()).or_insert_with(|| Known::new(kind.as_str(), None, None));
        known.silent = true;
        if known.op != kind.as_str() {
            let journal = known.op.to_string();
            self.contradict(id, journal, kind);
        } else if known.state.is_some() {
            self.forget_replies();
        } else {
            self.ops.push(Op::Entry(EntryOp { kind, id, name, params, report: None }));
        }
    }

    /// The run is to go on in a new one, with this input.
    pub(crate) fn go_on_with(&mut self, input: Raw) {
        self.notes.next.get_or_insert(input);
    }

    /// What the run is to go on with, if the handler has said so.
    pub(crate) fn takes_next(&mut self) -> Option<Raw> {
        self.notes.next.take()
    }

    /// What a step's entry has settled with, if that is known and well.
    pub(super) fn success_of(&self, place: usize) -> Option<(u64, &Outcome)> {
        match &self.entries.get(&self.slots[place].id)?.state {
            Some(EntryState::Settled { seq, outcome: outcome @ (Outcome::Ok(_) | Outcome::Elsewhere), .. }) => {
                Some((*seq, outcome))
            }
            _ => None,
        }
    }
}
