//! What comes to a run of the kit from outside: signals, updates, events, awakeables, a cancellation; and the state of
//! objects, which runs share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::error::Failure;
use crate::event::Outgoing;
use crate::function::Mode;
use crate::raw::{ObjectWriter, Raw};
use crate::replay::ids;
use crate::schedule::Tick;
use crate::testing::server::{Open, Server};
use crate::time;
use crate::wire::{CANCEL_ID, EventRecord, Outcome as Settled, Run, Trigger, UNDO};

/// An update that was sent.
pub(super) struct Sent {
    id: String,
    name: String,
    data: Raw,
    taken: bool,
    pub(super) reply: Option<Result<Raw, Failure>>,
}

/// The objects of a test, and those that the callers of a run hold.
#[derive(Default, Clone)]
pub(super) struct Objects {
    all: Arc<Mutex<BTreeMap<Place, BTreeMap<String, Raw>>>>,
    held: Vec<Place>,
}

/// An object and its key.
type Place = (String, String);

fn place(run: &Run) -> Option<Place> {
    Some((run.function.split_once('/')?.0.to_owned(), run.key.clone()?))
}

impl Objects {
    pub(super) fn state(&self, run: &Run) -> BTreeMap<String, Raw> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        place(run).and_then(|place| all.get(&place).cloned()).unwrap_or_default()
    }

    pub(super) fn fill(&self, run: &Run, state: BTreeMap<String, Raw>) {
        if let Some(place) = place(run) {
            self.all.lock().unwrap_or_else(PoisonError::into_inner).insert(place, state);
        }
    }

    /// Does what an op of the kind `state` says.
    pub(super) fn write(&self, run: &Run, params: &Value) {
        let mut state = self.state(run);
        for (name, value) in params.get("set").and_then(Value::as_object).into_iter().flatten() {
            state.insert(name.clone(), Raw::written(value.to_string().into_bytes()));
        }
        for name in params.get("clear").and_then(Value::as_array).into_iter().flatten() {
            state.remove(name.as_str().unwrap_or_default());
        }
        self.fill(run, state);
    }

    /// The same objects for a child of this run.
    pub(super) fn beside(&self, run: &Run, mode: Option<Mode>) -> Objects {
        let mut objects = self.clone();
        objects.held.extend(place(run).filter(|_| mode == Some(Mode::Exclusive)));
        objects
    }

    /// Whether a caller of this run holds its key.
    pub(super) fn is_held(&self, run: &Run) -> bool {
        place(run).is_some_and(|place| self.held.contains(&place))
    }
}

impl Server {
    pub(super) fn trigger_by(&mut self, event: &Outgoing) {
        let record = self.record(event);
        self.input = record.data.clone();
        self.trigger = Trigger { kind: "event".to_owned(), events: vec![record], tick: None };
    }

    pub(super) fn scheduled(&mut self, tick: Tick) {
        self.trigger = Trigger { kind: "schedule".to_owned(), events: Vec::new(), tick: Some(tick) };
    }

    /// Gives the update's id.
    pub(super) fn update(&mut self, name: &str, data: Raw) -> String {
        let id = format!("up_{}", self.updates.len() + 1);
        self.updates.push(Sent { id: id.clone(), name: name.to_owned(), data, taken: false, reply: None });
        self.match_signals();
        id
    }

    /// The first reply counts.
    pub(super) fn answer_update(&mut self, id: &str, outcome: Result<Raw, Failure>) {
        if let Some(sent) = self.updates.iter_mut().find(|sent| sent.id == id) {
            sent.reply.get_or_insert(outcome);
        }
    }

    pub(super) fn reply(&self, id: &str) -> Option<Result<Raw, Failure>> {
        self.updates.iter().find(|sent| sent.id == id)?.reply.clone()
    }

    pub(super) fn signal(&mut self, name: &str, payload: Raw) {
        self.signals.push_back((name.to_owned(), payload));
        self.match_signals();
    }

    pub(super) fn match_signals(&mut self) {
        for index in 0..self.entries.len() {
            let open = &self.entries[index];
            let Some(name) = open.params.get("signal").filter(|_| open.is_waiting()).and_then(Value::as_str) else {
                continue;
            };
            if open.params.get("update").is_some() {
                if let Some(sent) = self.updates.iter_mut().find(|sent| sent.name == name && !sent.taken) {
                    sent.taken = true;
                    let came = ObjectWriter::new().text("id", &sent.id).raw("data", &sent.data).finish();
                    self.settle(index, Settled::Ok(came));
                }
                continue;
            }
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

    pub(super) fn settle_by_hand(&mut self, id: &str, value: Raw) -> bool {
        let wanted = |open: &Open| open.entry.id == id && open.is_waiting() && id.starts_with(UNDO);
        let Some(index) = self.entries.iter().position(wanted) else { return false };
        self.settle(index, Settled::Ok(value));
        true
    }

    pub(super) fn cancel(&mut self) {
        self.append(CANCEL_ID, "cancel");
        self.settle(self.entries.len() - 1, Settled::Ok(Raw::null()));
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
