//! What is asked of the oracle: filter everything, sort it, cut the page.

use std::sync::Arc;

use super::tables::Tables;
use crate::limits;
use crate::model::{
    AttributeValue, Entry, EntryId, EntryKind, EntryStatus, Event, EventId, Failure, FunctionId, Key, Loaded, Messages,
    ObjectKey, ObjectLock, ObjectValue, Outcome, Payload, RunHead, RunId, RunStatus, ScheduleKey, Signal, StateKey,
    StateRow, StoredRun, Text, Timestamp, Wait,
};
use crate::store::{
    ChannelView, Dump, EventFilter, EventView, HeldKey, Journal, MessagesPage, ObjectView, ObjectsPage, RunCounts,
    RunFilter, RunView, ScheduleRow, SchedulesPage, SettledPage, StoreError, TickRun, TicksPage, Timer, TimerKey,
    UpdateView, channel_head,
};

impl Tables {
    fn head(&self, id: RunId) -> Option<RunHead> {
        Some((**self.runs.get(self.run_ids.get(&id)?)?).clone())
    }

    fn entries_of(&self, run_no: i64) -> Vec<Entry> {
        self.entries.range((run_no, 0)..=(run_no, u32::MAX)).map(|(_, entry)| (**entry).clone()).collect()
    }

    /// The newest settled entries below a `seq`, by `seq`.
    pub(super) fn settled_before(&self, page: &SettledPage) -> Vec<Entry> {
        let Some(head) = self.head(page.run) else { return Vec::new() };
        let bytes = |entry: &Entry| entry.outcome.as_ref().and_then(Outcome::payload).map_or(0, Payload::len);
        let mut settled: Vec<Entry> = self.entries_of(head.run_no);
        settled.retain(|entry| entry.seq.is_some_and(|seq| seq < page.before));
        settled.sort_by_key(|entry| std::cmp::Reverse((entry.seq, entry.idx)));
        settled.truncate(page.limit);
        let mut chosen = page.cut(settled, bytes);
        chosen.reverse();
        for entry in chosen.iter_mut().filter(|entry| bytes(entry) > page.outcome_bytes_max) {
            entry.outcome = None;
        }
        chosen
    }

    /// One entry of a run by its id.
    pub(super) fn entry(&self, run: RunId, id: &EntryId) -> Option<Entry> {
        let head = self.head(run)?;
        self.entries_of(head.run_no).into_iter().find(|entry| entry.id == *id)
    }

    fn signals_of(&self, run_no: i64) -> Vec<Signal> {
        self.signals.range((run_no, 0)..=(run_no, u32::MAX)).map(|(_, signal)| (**signal).clone()).collect()
    }

    fn waits_where(&self, wanted: impl Fn(&Wait) -> bool) -> Vec<Wait> {
        self.waits.values().filter(|wait| wanted(wait)).map(|wait| (**wait).clone()).collect()
    }

    fn runs_where(&self, wanted: impl Fn(&RunHead) -> bool) -> impl DoubleEndedIterator<Item = RunHead> {
        self.runs.values().filter(move |run| wanted(run)).map(|run| (**run).clone())
    }

    fn events_where(&self, wanted: impl Fn(&Event) -> bool) -> impl DoubleEndedIterator<Item = Event> {
        self.events.values().filter(move |event| wanted(event)).map(|event| (**event).clone())
    }

    /// The newest run of the chain that begins with this run.
    pub(super) fn newest_of_chain(&self, first: RunId) -> Option<RunId> {
        self.runs_where(|run| run.chain == Some(first)).next_back().map(|run| run.id)
    }

    /// Messages of a channel behind a number.
    pub(super) fn messages_page(&self, page: &MessagesPage) -> Result<ChannelView, StoreError> {
        let wanted = |it: &&Arc<Messages>| it.channel == page.channel && it.no > page.after && it.cut_by.is_none();
        let messages = self.messages.values().filter(wanted).take(page.limit).map(|it| (**it).clone()).collect();
        Ok(ChannelView { head: channel_head(self.state.get(&page.channel.state_key()))?, messages })
    }

    /// What is under a key.
    pub(super) fn loaded(&self, key: &Key) -> Loaded {
        match key {
            Key::Run(id) => Loaded::Run(self.stored_run(*id).map(Box::new)),
            Key::RunName(function, name) => Loaded::RunName(self.run_named(function, name)),
            Key::Chain(run) => Loaded::Chain(self.newest_of_chain(*run)),
            Key::Mark(mark) => Loaded::State(self.state.get(&StateKey::Mark(mark.clone())).cloned()),
            Key::Channel(channel) => Loaded::State(self.state.get(&channel.state_key()).cloned()),
            Key::EventName(name) => self.event_name(name),
            Key::Waits(index) => Loaded::Waits(self.waits_where(|wait| wait.index == *index)),
            Key::Event(id) => Loaded::Event(self.events_where(|event| event.id == *id).next().map(Box::new)),
            Key::Events { name, after, until } => {
                let wanted = |event: &Event| event.name == *name && event.seq > *after && event.seq <= *until;
                Loaded::Events(self.events_where(wanted).take(limits::EVENT_PAGE).collect())
            }
            Key::Object(object) => Loaded::Object(self.lock(object), self.line(object)),
            Key::Schedule(key) => Loaded::State(self.state.get(&StateKey::Schedule(key.clone())).cloned()),
            Key::Line(object) => Loaded::Line(self.line(object)),
            Key::Values(object) => Loaded::Values(self.values_of(object)),
        }
    }

    fn lock(&self, object: &ObjectKey) -> Option<StateRow> {
        self.state.get(&StateKey::Object(object.clone())).cloned()
    }

    fn line(&self, object: &ObjectKey) -> Vec<(i64, RunId)> {
        let line = object.line();
        let place = |run: &RunHead| Some((run.queue.as_ref().filter(|place| place.key == line)?.order, run.id));
        let mut places: Vec<(i64, RunId)> = self.runs.values().filter_map(|run| place(run)).collect();
        places.sort_unstable();
        places.truncate(limits::LINE_PAGE);
        places
    }

    fn values_of(&self, object: &ObjectKey) -> Vec<ObjectValue> {
        self.values.values().filter(|value| value.object == *object).cloned().collect()
    }

    /// The state under a key, and who holds it.
    pub(super) fn object_view(&self, object: &ObjectKey) -> ObjectView {
        let lock = self.lock(object).and_then(|row| row.value.read().ok());
        ObjectView { lock: lock.unwrap_or_default(), values: self.values_of(object) }
    }

    /// Keys that have state or are held.
    pub(super) fn objects(&self, page: &ObjectsPage) -> Vec<HeldKey> {
        let with_state = self.values.keys().map(|(object, _)| (object, ObjectLock::default()));
        let held = self.state.iter().filter_map(|(key, row)| match key {
            StateKey::Object(object) => Some((object, row.value.read().ok()?)),
            _ => None,
        });
        let wanted = |object: &ObjectKey| {
            object.app == page.app
                && object.object == page.object
                && page.after.as_ref().is_none_or(|after| object.key > *after)
        };
        let keys: std::collections::BTreeMap<&Text, ObjectLock> = with_state
            .chain(held)
            .filter(|(object, _)| wanted(object))
            .map(|(object, lock)| (&object.key, lock))
            .collect();
        keys.into_iter().take(page.limit).map(|(key, lock)| HeldKey { key: key.clone(), lock }).collect()
    }

    fn stored_run(&self, id: RunId) -> Option<StoredRun> {
        let head = self.head(id)?;
        Some(StoredRun {
            entries: self.entries_of(head.run_no),
            signals: self.signals_of(head.run_no),
            waits: self.waits_where(|wait| wait.run_no == head.run_no),
            streams: self.streams.values().filter(|stream| stream.run_no == head.run_no).cloned().collect(),
            head,
        })
    }

    fn event_name(&self, name: &Text) -> Loaded {
        let last_seq = self.events_where(|event| event.name == *name).next_back().map_or(0, |event| event.seq);
        let mut paths = std::collections::BTreeMap::<Text, u64>::new();
        for wait in self.waits_where(|wait| wait.index.event == *name) {
            *paths.entry(wait.index.path).or_default() += 1;
        }
        Loaded::EventName { last_seq, paths: paths.into_iter().collect() }
    }

    /// Timers in order.
    pub(super) fn due(&self, after: Option<&Timer>, until: Timestamp, limit: usize) -> Vec<Timer> {
        let runs = self.runs.values().filter_map(|run| Some(Timer { at: run.wake_at?, key: TimerKey::Run(run.id) }));
        let state = self
            .state
            .values()
            .filter_map(|row| Some(Timer { at: row.wake_at?, key: TimerKey::State(row.key.clone()) }));
        let mut timers: Vec<Timer> = runs.chain(state).filter(|timer| timer.at <= until).collect();
        timers.retain(|timer| after.is_none_or(|after| timer > after));
        timers.sort();
        timers.truncate(limit);
        timers
    }

    /// Waits that look through older events.
    pub(super) fn scanning_waits(&self) -> Vec<Wait> {
        self.waits_where(|wait| wait.scanned_to.is_some())
    }

    /// Held runs of an app.
    pub(super) fn held_runs(&self, app: &Text, after_run_no: i64, limit: usize) -> Vec<RunHead> {
        let held = |run: &RunHead| run.status == RunStatus::Paused && run.function.app == *app;
        self.runs_where(|run| held(run) && run.run_no > after_run_no).take(limit).collect()
    }

    /// Runs that nothing could make move.
    pub(super) fn stuck_runs(&self, from: i64, to: i64) -> Vec<RunId> {
        let moves = |run: &RunHead| {
            run.ended_at.is_some()
                || run.wake_at.is_some()
                || run.queue.is_some()
                || run.status == RunStatus::Paused && run.hold.is_some()
                || run.status == RunStatus::Suspended && self.waits_for_something(run)
        };
        self.runs_where(|run| (from..=to).contains(&run.run_no) && !moves(run)).map(|run| run.id).collect()
    }

    fn waits_for_something(&self, run: &RunHead) -> bool {
        let lives = |entry: &Entry| {
            let of_entry = |child: &RunHead| child.parent.is_some_and(|to| to.run == run.id && to.idx == entry.idx);
            self.runs_where(|child| of_entry(child) && child.ended_at.is_none()).next().is_some()
        };
        let open = self.entries_of(run.run_no).into_iter().filter(|entry| entry.status == EntryStatus::Waiting);
        open.into_iter().any(|entry| match entry.kind {
            EntryKind::WaitSignal => true,
            EntryKind::WaitEvent => self.waits.contains_key(&(run.run_no, entry.idx)),
            EntryKind::Invoke => lives(&entry),
            _ => false,
        })
    }

    /// A run, its first entry and its last.
    pub(super) fn run_view(&self, id: RunId) -> Result<Option<RunView>, StoreError> {
        let Some(head) = self.head(id) else { return Ok(None) };
        let entries = self.entries_of(head.run_no);
        let input = entries.first().filter(|entry| entry.kind == EntryKind::Input).cloned();
        let input = input.ok_or_else(|| StoreError::Corrupt(format!("the run {id} has no input")))?;
        let outcome = entries.last().filter(|entry| entry.kind == EntryKind::Outcome).cloned();
        Ok(Some(RunView { head, input, outcome }))
    }

    /// The run of a name.
    pub(super) fn run_named(&self, function: &FunctionId, name: &Text) -> Option<RunId> {
        let id = self.run_names.get(&(function.clone(), name.clone())).copied()?;
        self.head(id).filter(|run| run.status != RunStatus::Continued).map(|run| run.id)
    }

    /// Runs, newest first.
    pub(super) fn runs_page(&self, filter: &RunFilter) -> Vec<RunHead> {
        self.runs_where(|run| self.wanted(filter, run)).rev().take(filter.limit).collect()
    }

    /// What runs failed with, or are tried again for.
    pub(super) fn failures(&self, runs: &[i64]) -> Vec<Option<Failure>> {
        let brief = |run_no: &i64| Some(self.failure(self.runs.get(run_no)?)?.brief());
        runs.iter().map(brief).collect()
    }

    fn failure(&self, run: &RunHead) -> Option<Failure> {
        if let Some(error) = &run.last_error {
            return Some(Failure::from_payload(error));
        }
        let last = self.entries_of(run.run_no).pop().filter(|entry| entry.kind == EntryKind::Outcome);
        let outcome = last.filter(|_| run.status == RunStatus::Failed)?.outcome?;
        outcome.payload().map(Failure::from_payload)
    }

    /// Whether a run passes a filter. Of those that ended, only failed ones have a failure.
    fn wanted(&self, filter: &RunFilter, run: &RunHead) -> bool {
        let failed = |run: &RunHead| run.status == RunStatus::Failed || !run.status.is_terminal();
        wanted(filter, run)
            && (filter.failure.is_empty()
                || failed(run) && self.failure(run).is_some_and(|failure| filter.failure.matches(&failure)))
    }

    /// How many runs, by status.
    pub(super) fn count_runs(&self, filter: &RunFilter) -> RunCounts {
        let mut counts = RunCounts::default();
        self.runs_where(|run| self.wanted(filter, run)).for_each(|run| counts.add(run.status, 1));
        counts
    }

    /// Every schedule.
    pub(super) fn all_schedules(&self) -> Result<Vec<ScheduleRow>, StoreError> {
        let schedules = self.state.values().filter_map(|row| match &row.key {
            StateKey::Schedule(key) => Some((key.clone(), row)),
            _ => None,
        });
        let read = |(key, row): (ScheduleKey, &StateRow)| {
            let schedule = row.value.read().map_err(|error| StoreError::Corrupt(error.to_string()))?;
            Ok(ScheduleRow { key, schedule, wake_at: row.wake_at })
        };
        schedules.map(read).collect()
    }

    /// Schedules in order.
    pub(super) fn schedules(&self, page: &SchedulesPage) -> Result<Vec<ScheduleRow>, StoreError> {
        let wanted = |key: &ScheduleKey| {
            page.app.as_ref().is_none_or(|app| key.app == *app) && page.after.as_ref().is_none_or(|after| key > after)
        };
        Ok(self.all_schedules()?.into_iter().filter(|row| wanted(&row.key)).take(page.limit).collect())
    }

    /// Times of a schedule that have a run, each with its newest.
    pub(super) fn ticks(&self, page: &TicksPage) -> Vec<TickRun> {
        let mut ticks = std::collections::BTreeMap::new();
        for run in self.runs.values() {
            let tick = run.tick.as_ref().filter(|tick| tick.schedule == page.schedule);
            if let Some(at) = tick.map(|tick| tick.at).filter(|at| (page.from..page.until).contains(at)) {
                ticks.insert(at, TickRun { at, run: run.id, status: run.status });
            }
        }
        ticks.into_values().take(page.limit).collect()
    }

    /// Schedules that nothing will wake.
    pub(super) fn stuck_schedules(&self) -> Result<Vec<ScheduleKey>, StoreError> {
        let lives = |first: RunId| {
            let of_chain = |run: &RunHead| (run.id == first || run.chain == Some(first)) && run.ended_at.is_none();
            self.runs_where(of_chain).next().is_some()
        };
        let stuck = |row: &ScheduleRow| {
            let schedule = &row.schedule;
            let waits = !schedule.waiting.is_empty() && row.wake_at != Some(Timestamp::ZERO);
            let forgotten = schedule.next.is_some() && row.wake_at.is_none();
            schedule.paused.is_none() && (forgotten || waits && !schedule.running.is_some_and(lives))
        };
        Ok(self.all_schedules()?.into_iter().filter(stuck).map(|row| row.key).collect())
    }

    /// Everything about a run.
    pub(super) fn journal(&self, id: RunId) -> Option<Journal> {
        let head = self.head(id)?;
        let of_run = self.attempts.iter().filter(|attempt| attempt.run_no == head.run_no);
        Some(Journal {
            entries: self.entries_of(head.run_no),
            attempts: of_run.map(|attempt| (**attempt).clone()).collect(),
            signals: self.signals_of(head.run_no),
            head,
        })
    }

    /// What has become of an update.
    pub(super) fn update(&self, run: RunId, id: &Text) -> Option<UpdateView> {
        let head = self.head(run)?;
        let wanted = |signal: &Signal| signal.wants_reply && signal.id.as_ref() == Some(id);
        let signal = self.signals_of(head.run_no).into_iter().find(wanted)?;
        Some(UpdateView { status: head.status, consumed: signal.consumed_by.is_some(), reply: signal.reply })
    }

    /// Runs whose parent is this one, in order of creation.
    pub(super) fn children(&self, id: RunId, limit: usize) -> Vec<RunHead> {
        self.runs_where(|run| run.parent.is_some_and(|parent| parent.run == id)).take(limit).collect()
    }

    /// An event and what came of it.
    pub(super) fn event_view(&self, id: EventId) -> Option<EventView> {
        let event = self.events_where(|event| event.id == id).next()?;
        let of_event = self.verdicts.iter().filter(|((event, _), _)| *event == id);
        let (since, mark) = EventView::marks(&event);
        let was_woken = |entry: &Entry| {
            let settled = entry.kind == EntryKind::WaitEvent && entry.settled_at.is_some_and(|at| at >= since);
            let outcome = entry.outcome.as_ref().and_then(Outcome::payload);
            settled && !entry.copied && outcome.is_some_and(|outcome| outcome.bytes().starts_with(&mark))
        };
        let woken = self.entries.values().filter(|entry| was_woken(entry));
        let woken = woken.filter_map(|entry| Some(((**self.runs.get(&entry.run_no)?).clone(), entry.id.clone())));
        let mut woken: Vec<(RunHead, EntryId)> = woken.collect();
        woken.sort_unstable_by(|(a, one), (b, other)| (a.run_no, one).cmp(&(b.run_no, other)));
        Some(EventView {
            event,
            woken,
            runs: self.runs_where(|run| run.event == Some(id) && run.previous.is_none()).collect(),
            verdicts: of_event.map(|((_, function), verdict)| (function.clone(), verdict.clone())).collect(),
        })
    }

    /// Events, newest first.
    pub(super) fn events_page(&self, filter: &EventFilter) -> Vec<Event> {
        let wanted = |event: &Event| {
            filter.name.as_ref().is_none_or(|name| event.name == *name)
                && filter.before_seq.is_none_or(|before| event.seq < before)
        };
        self.events_where(wanted).rev().take(filter.limit).collect()
    }

    /// Everything.
    pub(super) fn dump(&self) -> Dump {
        Dump {
            commit_no: self.commit_no,
            runs: self.runs_where(|_| true).collect(),
            entries: self.entries.values().map(|entry| (**entry).clone()).collect(),
            attempts: self.attempts.iter().map(|attempt| (**attempt).clone()).collect(),
            events: self.events_where(|_| true).collect(),
            verdicts: self
                .verdicts
                .iter()
                .map(|((event, function), verdict)| (*event, function.clone(), verdict.clone()))
                .collect(),
            waits: self.waits_where(|_| true),
            signals: self.signals.values().map(|signal| (**signal).clone()).collect(),
            state: self.state.values().cloned().collect(),
            values: self.values.values().cloned().collect(),
            messages: self.messages.values().map(|messages| (**messages).clone()).collect(),
            streams: self.streams.values().cloned().collect(),
        }
    }
}

/// Whether a run passes a filter's conditions on its row.
fn wanted(filter: &RunFilter, run: &RunHead) -> bool {
    let prefix = |prefix: &Text| {
        let end = format!("{prefix}{}", char::MAX);
        run.name.as_ref().is_some_and(|name| (&**prefix..=end.as_str()).contains(&&**name))
    };
    (filter.statuses.is_empty() || filter.statuses.contains(&run.status))
        && filter.app.as_ref().is_none_or(|app| run.function.app == *app)
        && filter.function.as_ref().is_none_or(|function| run.function.function == *function)
        && filter.deployment.is_none_or(|deployment| run.deployment == Some(deployment))
        && filter.previous.is_none_or(|previous| run.previous.is_some_and(|link| link.run == previous))
        && filter.schedule.as_ref().is_none_or(|key| run.tick.as_ref().is_some_and(|tick| tick.schedule == *key))
        && filter.parent.is_none_or(|parent| run.parent.is_some_and(|link| link.run == parent))
        && filter.root.is_none_or(|root| run.root == root)
        && filter.event.is_none_or(|event| run.event == Some(event))
        && filter.trigger.is_none_or(|trigger| run.trigger == trigger)
        && filter.key.as_ref().is_none_or(|key| run.key.as_ref() == Some(key))
        && filter.name_prefix.as_ref().is_none_or(prefix)
        && filter.tags.iter().all(|tag| run.labels.tags.contains(tag))
        && filter.attributes.iter().all(|test| test.matches(&run.labels.attributes))
        && filter.text.as_ref().is_none_or(|text| contains(run, text))
        && filter.since.is_none_or(|since| run.created_at >= since)
        && filter.until.is_none_or(|until| run.created_at < until)
        && filter.before_run_no.is_none_or(|before| run.run_no < before)
}

/// Whether a text is in one of those that people know a run by.
fn contains(run: &RunHead, text: &str) -> bool {
    let words = run.labels.attributes.values().filter_map(|value| match value {
        AttributeValue::Text(text) => Some(text.to_string()),
        AttributeValue::Number(number) if number.value().fract() == 0.0 => Some(value.to_string()),
        _ => None,
    });
    let own = [run.id.to_string(), run.function.to_string()];
    let texts = [&run.name, &run.key].into_iter().flatten().chain(&run.labels.tags).map(|text| text.to_string());
    let wanted = text.to_ascii_lowercase();
    own.into_iter().chain(texts).chain(words).any(|word| word.to_ascii_lowercase().contains(&wanted))
}
