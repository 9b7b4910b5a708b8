//! Objects: whose turn it is with a key, and the state under it. The exclusive runs of a key have it one after the other,
//! in the order of their arrival, each from its first invocation to its end; who waits is a row and costs no memory. The
//! lock says who holds the key and how many wait. When the holder ends, the lock is without one and due, and passing it
//! on is a follow-up: so is what is left of it after a crash.
//!
//! A run writes state while it holds the key. What it found under a name is kept beside what it wrote until it ends, so
//! that every invocation is shown the state as of the first.

use std::collections::BTreeMap;

use super::command::{Command, Refusal};
use super::draft::{Draft, Part};
use super::run::Run;
use super::run_draft::RunDraft;
use super::state::Tables;
use super::turns::Turn;
use super::wait::add;
use crate::limits::{
    HELD_KEYS_MAX, NAME_BYTES_MAX, OBJECT_KEY_BYTES_MAX, STATE_BYTES_MAX, STATE_NAMES_MAX, STATE_VALUE_BYTES_MAX,
};
use crate::model::{
    Before, Change, EntryKind, Failure, FunctionId, Key, ObjectKey, ObjectLock, ObjectMode, ObjectValue, Outcome,
    Payload, QueuePlace, RunId, RunStatus, StateKey, StateOp, StateRow, Text, Timestamp, names, state_json,
};

/// The layout of locks that this version writes.
const FORMAT: u32 = 1;

/// Why a key cannot be used to start a run of a function, if it cannot.
pub(super) fn key_problem(mode: Option<ObjectMode>, function: &FunctionId, key: Option<&Text>) -> Option<String> {
    match (mode, key) {
        (None, None) => None,
        (None, Some(_)) => Some(format!("`{function}` is a function and takes no key; leave it out")),
        (Some(_), None) => Some(format!("`{function}` is a handler of an object; say the key of which one")),
        (Some(_), Some(key)) if key.is_empty() || key.len() > OBJECT_KEY_BYTES_MAX => {
            Some(format!("the key has {} bytes; keys have 1 to {OBJECT_KEY_BYTES_MAX}", key.len()))
        }
        (Some(_), Some(key)) => {
            key.chars().any(char::is_control).then(|| "the key holds a control character; leave it out".to_owned())
        }
    }
}

/// The state that the run of a shared handler is shown, as it stands now. Nothing for other runs.
pub(super) fn view(draft: &mut Draft<'_>, function: &FunctionId, key: Option<&Text>) -> Part<Option<Payload>> {
    let mode = draft.registry.function(function).and_then(|config| config.mode);
    let Some(object) = key.filter(|_| mode == Some(ObjectMode::Shared)).and_then(|key| ObjectKey::new(function, key))
    else {
        return Ok(None);
    };
    draft.require([Key::Values(object.clone())])?;
    let values = draft.values(&object);
    Ok(Some(state_json(values.iter().filter_map(|value| Some((&value.name, value.value.as_ref()?))))))
}

/// The key that a run has to itself, if its handler is an exclusive one. What a shared one is shown stands with its input.
pub(super) fn exclusive(run: &RunDraft<'_>) -> Option<ObjectKey> {
    ObjectKey::of(&run.head).filter(|_| run.entry(0).details.is_none())
}

/// A run that is to begin begins now, or gets in line for its key.
pub(super) fn arrive(draft: &mut Draft<'_>, id: RunId) -> Part<()> {
    let Some(object) = exclusive(draft.run(id)?) else {
        draft.run(id)?.make_ready();
        return Ok(());
    };
    let mut lock = lock(draft, &object)?;
    if lock.holder.is_none() && lock.waiting == 0 {
        lock.holder = Some(id);
        draft.run(id)?.make_ready();
    } else if lock.holder == Some(id) {
        draft.run(id)?.make_ready();
        return Ok(());
    } else {
        lock.next += 1;
        lock.waiting += 1;
        let run = draft.run(id)?;
        run.head.queue = Some(QueuePlace { key: object.line(), order: lock.next });
        run.rest(RunStatus::Queued);
    }
    put(draft, object, lock);
    Ok(())
}

/// A run goes out of line, or gives its key back: it has ended, or is held before its turn came.
pub(super) fn leave(draft: &mut Draft<'_>, id: RunId) -> Part<()> {
    let run = draft.run(id)?;
    let Some(object) = exclusive(run) else { return Ok(()) };
    let in_line = run.head.queue.is_some();
    let mut lock = lock(draft, &object)?;
    if in_line {
        // While more of the line is being read, nobody leaves it: what is read would be wrong.
        draft.require([Key::Line(object.clone())])?;
        lock.waiting -= 1;
        draft.run(id)?.head.queue = None;
        put(draft, object, lock);
    } else if lock.holder == Some(id) {
        keep(draft, &object)?;
        lock.holder = None;
        put(draft, object, lock);
    }
    Ok(())
}

/// A run goes on in a new one, which has the key from then on. What the old one wrote is what the new one finds.
pub(super) fn hand_over(draft: &mut Draft<'_>, id: RunId, next: RunId) -> Part<()> {
    let Some(object) = exclusive(draft.run(id)?) else { return Ok(()) };
    let mut lock = lock(draft, &object)?;
    if lock.holder == Some(id) {
        keep(draft, &object)?;
        lock.holder = Some(next);
        put(draft, object, lock);
    }
    Ok(())
}

/// Forgets what the run that held a key found there.
fn keep(draft: &mut Draft<'_>, object: &ObjectKey) -> Part<()> {
    draft.require([Key::Values(object.clone())])?;
    if draft.values(object).iter().any(|value| value.before.is_some()) {
        draft.keep_values(object);
    }
    Ok(())
}

/// Gives a key that nobody holds to the first in line.
pub(super) fn pass_on(draft: &mut Draft<'_>, object: &ObjectKey) -> Part<()> {
    let mut lock = lock(draft, object)?;
    if lock.holder.is_some() || lock.waiting == 0 {
        return Ok(());
    }
    draft.require([Key::Line(object.clone())])?;
    let first = draft.first_in_line(object).expect("whoever waits stands in line");
    let run = draft.run(first)?;
    run.head.queue = None;
    run.make_ready();
    lock.holder = Some(first);
    lock.waiting -= 1;
    put(draft, object.clone(), lock);
    Ok(())
}

fn lock(draft: &Draft<'_>, object: &ObjectKey) -> Part<ObjectLock> {
    draft.require([Key::Object(object.clone())])?;
    let row = draft.state(&StateKey::Object(object.clone()));
    let read = row.map(|row| row.value.read::<ObjectLock>());
    read.transpose()
        .map(Option::unwrap_or_default)
        .map_err(|error| Refusal::Internal(format!("the lock of {object} cannot be read: {error}")).into())
}

/// Writes a lock. One that nobody needs is gone; one without a holder is passed on.
fn put(draft: &mut Draft<'_>, object: ObjectKey, lock: ObjectLock) {
    let key = StateKey::Object(object);
    if lock.holder.is_none() && lock.waiting == 0 {
        return draft.delete_state(key);
    }
    let due = lock.holder.is_none();
    if due {
        draft.follow_up(Command::WakeState { key: key.clone() });
    }
    let value = Payload::of(&ObjectLock { format: FORMAT, ..lock }).expect("a lock prints to memory");
    draft.put_state(StateRow { key, wake_at: due.then_some(Timestamp::ZERO), value });
}

/// Why a run may not write state, if it may not.
pub(super) fn write_problem(run: &RunDraft<'_>, op: &StateOp) -> Option<String> {
    let why = match ObjectKey::of(&run.head) {
        None => "only handlers of objects have state; this is a function",
        Some(_) if run.entry(0).details.is_some() => "a shared handler only reads; make it exclusive to write",
        Some(_) => return None,
    };
    Some(format!("the handler wrote state with `{}`, and {why}", op.id))
}

/// Writes state. What cannot be kept is not written at all, and is why the run fails.
pub(super) fn write(draft: &mut Draft<'_>, turn: &Turn, op: &StateOp) -> Part<Option<Failure>> {
    let run = turn.token.run;
    let Some(object) = exclusive(draft.run(run)?) else { return Ok(None) };
    draft.require([Key::Values(object.clone())])?;
    let values = draft.values(&object);
    if let Some((name, message)) = refused(&values, op) {
        let mut failure = Failure::new(name, message);
        failure.retryable = Some(false);
        return Ok(Some(failure));
    }
    for (name, value) in &op.writes {
        let old = values.iter().find(|old| old.name == *name);
        if old.is_none() && value.is_none() {
            continue;
        }
        let found = |old: &ObjectValue| old.value.clone().map_or(Before::Absent, Before::Was);
        let before = old.map_or(Before::Absent, |old| old.before.clone().unwrap_or_else(|| found(old)));
        let (object, name, value) = (object.clone(), name.clone(), value.clone());
        draft.put_value(ObjectValue { object, name, value, before: Some(before) });
    }
    let idx = add(draft, turn, EntryKind::State, &op.id, op.name.clone(), &op.params, None)?;
    draft.settle(run, idx, Outcome::Ok(Payload::null()))?;
    Ok(None)
}

/// What a write asks for that cannot be kept, if anything: the name of the error, and what to say.
fn refused(values: &[ObjectValue], op: &StateOp) -> Option<(&'static str, String)> {
    for (name, value) in &op.writes {
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            let shown: String = name.chars().take(60).collect();
            let message = format!(
                "`{shown}` cannot be the name of a value: names have 1 to {NAME_BYTES_MAX} bytes and no control characters"
            );
            return Some((names::INVALID_NAME, message));
        }
        let bytes = value.as_ref().map_or(0, Payload::len);
        if bytes > STATE_VALUE_BYTES_MAX {
            let message = format!(
                "the value of `{name}` has {bytes} bytes, at most {STATE_VALUE_BYTES_MAX} are kept; split it over several names, or \
                 store it elsewhere"
            );
            return Some((names::TOO_LARGE, message));
        }
    }
    let written = |name: &Text| op.writes.iter().find(|(other, _)| other == name);
    let kept = values.iter().filter(|old| written(&old.name).is_none());
    let kept = kept.filter_map(|old| Some(old.name.len() + old.value.as_ref()?.len()));
    let new = op.writes.iter().filter_map(|(name, value)| Some(name.len() + value.as_ref()?.len()));
    let (count, bytes) = kept.chain(new).fold((0, 0), |(count, bytes), one| (count + 1, bytes + one));
    if count > STATE_NAMES_MAX {
        let message = format!("the state would have {count} values, at most {STATE_NAMES_MAX} are kept under one key");
        return Some((names::TOO_LARGE, message));
    }
    (bytes > STATE_BYTES_MAX).then(|| {
        let message = format!(
            "all values of the key would have {bytes} bytes, at most {STATE_BYTES_MAX} are kept; what grows without end belongs \
             into a database"
        );
        (names::TOO_LARGE, message)
    })
}

impl Draft<'_> {
    /// The state under a key of an object, with what this decision wrote; its [`Key::Values`] must be resident.
    pub(super) fn values(&self, object: &ObjectKey) -> Vec<ObjectValue> {
        let values = self.values.get(object).or_else(|| self.partition.tables.values.get(object));
        values.into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    fn values_mut(&mut self, object: &ObjectKey) -> &mut BTreeMap<Text, ObjectValue> {
        let durable = self.partition.tables.values.get(object);
        self.values.entry(object.clone()).or_insert_with(|| durable.cloned().unwrap_or_default())
    }

    /// Writes a value of an object's state.
    pub(super) fn put_value(&mut self, value: ObjectValue) {
        self.values_mut(&value.object).insert(value.name.clone(), value.clone());
        self.others.push(Change::ValuePut(value));
    }

    /// Forgets what the run that held a key found under it.
    pub(super) fn keep_values(&mut self, object: &ObjectKey) {
        let values = self.values_mut(object);
        values.retain(|_, value| value.value.is_some());
        values.values_mut().for_each(|value| value.before = None);
        self.others.push(Change::ValuesKept(object.clone()));
    }

    /// The first run that waits for a key. Its [`Key::Line`] must be resident.
    pub(super) fn first_in_line(&self, object: &ObjectKey) -> Option<RunId> {
        self.partition.tables.lines.get(&object.line())?.first()
    }

    /// Which place in line, from 1, has this number; nothing if it is far behind.
    pub(super) fn place_in_line(&self, object: &ObjectKey, order: i64) -> Option<u64> {
        self.partition.tables.lines.get(&object.line())?.place(order)
    }
}

/// A key that a run holds while callers of it wait, as the input of the runs that it calls remembers it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Held {
    app: Text,
    object: Text,
    key: Text,
    run: RunId,
}

/// The keys that a run and those who wait for it hold, the first caller's first.
pub(super) fn held(run: &RunDraft<'_>) -> Vec<Held> {
    #[derive(Default, serde::Deserialize)]
    struct Facts {
        #[serde(default)]
        held: Vec<Held>,
    }
    // Of a fork the facts are those of the other run: nobody waits for it.
    let of_callers = run.head.parent.and_then(|_| run.entry(0).params.read::<Facts>().ok());
    let mut held = of_callers.unwrap_or_default().held;
    if let Some(ObjectKey { app, object, key }) = exclusive(run) {
        held.push(Held { app, object, key, run: run.head.id });
    }
    held
}

/// Why an awaited call would never end, if so: its key is held by a run that waits for the caller.
pub(super) fn deadlock(held: &[Held], caller: RunId, function: &FunctionId, key: Option<&Text>) -> Option<Failure> {
    let object = ObjectKey::new(function, key?)?;
    let holds = |held: &Held| (&held.app, &held.object, &held.key) == (&object.app, &object.object, &object.key);
    let message = match held.iter().position(holds) {
        Some(at) => {
            let name = |held: &Held| format!("{} holds `{}/{}` `{}`", held.run, held.app, held.object, held.key);
            let mut chain: Vec<String> = held[at..].iter().map(name).collect();
            if held.last().is_some_and(|last| last.run != caller) {
                chain.push(caller.to_string());
            }
            format!(
                "the call would wait for ever: {}, which calls `{function}` for `{}` and would wait for the first. Send it instead \
                 (a detached call), or do not call back",
                chain.join(", and waits for "),
                object.key
            )
        }
        None if held.len() >= HELD_KEYS_MAX => {
            format!("{} callers hold a key each and wait for this call; at most {HELD_KEYS_MAX} may", held.len())
        }
        None => return None,
    };
    let mut failure = Failure::new(names::DEADLOCK, message);
    failure.retryable = Some(false);
    Some(failure)
}

/// The run that holds a run's key, and the run's place in line: 1 is the next.
pub(super) fn place(draft: &mut Draft<'_>, id: RunId) -> Part<Option<(ObjectKey, Option<RunId>, u64)>> {
    let run = draft.run(id)?;
    let (Some(object), Some(place)) = (exclusive(run), run.head.queue.clone()) else { return Ok(None) };
    let lock = lock(draft, &object)?;
    draft.require([Key::Line(object.clone())])?;
    let place = draft.place_in_line(&object, place.order).unwrap_or(lock.waiting);
    Ok(Some((object, lock.holder, place)))
}

/// What an invocation of a run is shown of the state: nothing for a function.
pub(super) fn shown(tables: &Tables, run: &Run) -> Option<Payload> {
    let object = ObjectKey::of(&run.head)?;
    if let Some(view) = &run.entries[0].details {
        return Some(view.clone());
    }
    let values = tables.values.get(&object).into_iter().flat_map(|values| values.values());
    Some(state_json(values.filter_map(|value| Some((&value.name, value.at_first()?)))))
}

/// The key whose state an invocation of a run is shown, unless it stands with the run.
pub(super) fn needed(run: &Run) -> Option<ObjectKey> {
    ObjectKey::of(&run.head).filter(|_| run.entries[0].details.is_none())
}
