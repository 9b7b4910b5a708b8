//! The book's page about objects, kept by naive means: who has which key, what each exclusive run found there, and what
//! was written, in the order of the runs. At most one exclusive run has a key, and they have it in the order of arrival.

use std::collections::BTreeMap;

use backstitch_server::model::{
    Change, EntryKind, ObjectKey, ObjectLock, ObjectValue, Origin, Payload, RunHead, RunStatus, StateKey, StateRow,
    Text,
};

use super::registry::is_exclusive;

type Values = BTreeMap<Text, Payload>;

/// Objects as runs have used them.
#[derive(Clone, Default)]
pub(super) struct Objects {
    /// The rows as they were decided.
    rows: BTreeMap<(ObjectKey, Text), ObjectValue>,
    /// What the entries of runs say was written.
    written: BTreeMap<ObjectKey, Values>,
    /// What that was in the course of the transition.
    course: Vec<(ObjectKey, Values)>,
    holders: BTreeMap<ObjectKey, i64>,
    /// Keys whose holder ends in the transition.
    leaving: Vec<ObjectKey>,
    /// What a run is shown, whenever it is invoked.
    shown: BTreeMap<i64, Values>,
}

fn read(json: &Payload) -> Values {
    json.read().expect("state is an object")
}

impl Objects {
    /// The rows in the order of a dump.
    pub(super) fn rows(&self) -> Vec<ObjectValue> {
        self.rows.values().cloned().collect()
    }

    /// An invocation of a run shows the state as of its beginning.
    pub(super) fn check_shown(&self, head: &RunHead, state: Option<&Payload>) {
        let expected = self.shown.get(&head.run_no);
        assert_eq!(state.map(read).as_ref(), expected, "the state that {} is shown", head.id);
        assert_eq!(state.is_some(), head.key.is_some());
    }

    /// Another transition begins.
    pub(super) fn begin(&mut self) {
        self.course.clear();
    }

    /// Takes one change; `runs` is what was before it.
    pub(super) fn see(&mut self, change: &Change, runs: &BTreeMap<i64, RunHead>) {
        match change {
            Change::RunCreated(head) | Change::RunChanged(head) => self.see_run(head, runs),
            Change::EntryAdded(entry) if entry.kind == EntryKind::State && !entry.copied => {
                let head = &runs[&entry.run_no];
                let object = ObjectKey::of(head).expect("only handlers of objects write state");
                assert_eq!(self.holders.get(&object), Some(&entry.run_no), "{} writes and has not the key", head.id);
                let values = self.written.entry(object.clone()).or_default();
                self.course.push((object, values.clone()));
                let params: BTreeMap<String, serde_json::Value> = entry.params.read().expect("JSON");
                match (params.get("set"), params.get("clear")) {
                    (Some(set), None) => values.extend(read(&Payload::trusted(set.to_string()))),
                    (None, Some(clear)) => {
                        let names: Vec<String> = serde_json::from_value(clear.clone()).expect("names");
                        values.retain(|name, _| !names.iter().any(|cleared| **cleared == **name));
                    }
                    other => panic!("{other:?}"),
                }
            }
            Change::EntryAdded(entry) if entry.kind == EntryKind::Input => {
                let head = &runs[&entry.run_no];
                let Some(object) = ObjectKey::of(head) else { return assert_eq!(entry.details, None) };
                assert_eq!(entry.details.is_some(), !is_exclusive(head), "{head:?}");
                let Some(view) = &entry.details else { return };
                let view = read(view);
                let now = self.written.get(&object).cloned().unwrap_or_default();
                let was = self.course.iter().any(|(of, values)| *of == object && *values == view);
                assert!(view == now || was, "{} is shown {view:?}, and there is {now:?}", head.id);
                self.shown.insert(head.run_no, view);
            }
            Change::ValuePut(value) => {
                self.rows.insert((value.object.clone(), value.name.clone()), value.clone());
            }
            Change::ValuesKept(object) => {
                self.rows.retain(|(of, _), row| of != object || row.value.is_some());
                self.rows.values_mut().filter(|row| row.object == *object).for_each(|row| row.before = None);
            }
            _ => {}
        }
    }

    fn see_run(&mut self, head: &RunHead, runs: &BTreeMap<i64, RunHead>) {
        let Some(object) = ObjectKey::of(head).filter(|_| is_exclusive(head)) else {
            return assert_eq!(head.queue, None, "only exclusive runs wait in line");
        };
        let others = runs.values().filter(|run| run.run_no != head.run_no);
        let line: Vec<i64> = others.filter_map(|run| place(run, &object)).collect();
        let before = runs.get(&head.run_no).and_then(|old| place(old, &object));
        match (before, place(head, &object)) {
            (None, Some(order)) => {
                assert_eq!(head.status, RunStatus::Queued);
                assert!(line.iter().all(|other| *other < order), "{} got in line before others", head.id);
                assert!(self.holders.contains_key(&object) || !line.is_empty(), "{} waits for nobody", head.id);
            }
            (Some(before), Some(after)) => assert_eq!(before, after, "{} changed its place", head.id),
            _ => {}
        }
        // A run that goes on in a new one gives it the key.
        let before_it =
            head.previous.filter(|previous| previous.origin == Origin::Continue && !runs.contains_key(&head.run_no));
        let old = before_it.and_then(|previous| runs.values().find(|run| run.id == previous.run));
        if let Some(old) = old.filter(|old| self.holders.get(&object) == Some(&old.run_no)) {
            assert_eq!(old.status, RunStatus::Continued);
            self.leaving.retain(|left| *left != object);
            self.holders.insert(object.clone(), head.run_no);
            self.shown.insert(head.run_no, self.written.get(&object).cloned().unwrap_or_default());
        }
        let holds = self.holders.get(&object) == Some(&head.run_no);
        match head.status {
            RunStatus::Ready if !holds => {
                assert_eq!(self.holders.get(&object), None, "two runs have {object:?}: {head:?}");
                let next = before.map_or(line.is_empty(), |own| line.iter().all(|other| own < *other));
                assert!(next, "{} was let in before others", head.id);
                self.holders.insert(object.clone(), head.run_no);
                self.shown.insert(head.run_no, self.written.get(&object).cloned().unwrap_or_default());
            }
            RunStatus::Suspended | RunStatus::Backoff => assert!(holds, "{head:?} has not the key"),
            // Its last entries come after its row.
            status if status.is_terminal() && holds => self.leaving.push(object),
            _ => {}
        }
    }

    /// Locks and rows say what the runs have done.
    pub(super) fn check(&mut self, runs: &BTreeMap<i64, RunHead>, state: &BTreeMap<StateKey, StateRow>) {
        for object in self.leaving.drain(..) {
            self.holders.remove(&object);
        }
        let locked = state.keys().filter_map(|key| match key {
            StateKey::Object(object) => Some(object),
            _ => None,
        });
        for object in locked.chain(self.holders.keys()).chain(self.written.keys()) {
            let row = state.get(&StateKey::Object(object.clone()));
            let lock = row.map(|row| row.value.read::<ObjectLock>().expect("a lock")).unwrap_or_default();
            let holder = self.holders.get(object).map(|run_no| &runs[run_no]);
            let waiting = runs.values().filter(|run| place(run, object).is_some()).count() as u64;
            assert_eq!((lock.holder, lock.waiting), (holder.map(|run| run.id), waiting), "the lock of {object:?}");
            let needed = lock.holder.is_some() || waiting > 0;
            assert_eq!(row.is_some(), needed, "the lock of {object:?} is there exactly when somebody needs it");
            let due = row.is_some_and(|row| row.wake_at.is_some());
            assert_eq!(due, needed && lock.holder.is_none(), "a key without a holder is passed on: {object:?}");
            let rows = || self.rows.values().filter(|row| row.object == *object);
            let now: Values = rows().filter_map(|row| Some((row.name.clone(), row.value.clone()?))).collect();
            assert_eq!(now, self.written.get(object).cloned().unwrap_or_default(), "the state of {object:?}");
            match holder {
                Some(run) => {
                    let first = rows().filter_map(|row| Some((row.name.clone(), row.at_first()?.clone())));
                    assert_eq!(first.collect::<Values>(), self.shown[&run.run_no], "what {} found", run.id);
                }
                None => assert!(rows().all(|row| row.before.is_none()), "what a run found outlives it: {object:?}"),
            }
        }
    }
}

fn place(run: &RunHead, object: &ObjectKey) -> Option<i64> {
    let place = run.queue.as_ref().filter(|place| place.key == object.line())?;
    Some(place.order)
}
