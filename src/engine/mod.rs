//! The engine: a deterministic state machine over plain data. It has no async, no I/O, no clock and no randomness; it
//! knows `model` and `limits`, and CEL. One [`Partition`] holds the state of one partition in memory; the processor
//! that owns it asks what follows from a command, and folds what was decided back in.
//!
//! `decide` changes nothing and `apply` decides nothing. What a decision touches must be resident; what is not, it
//! asks for. The tables are the truth: after every commit, loading them gives what is resident.

mod aftermath;
mod cancel;
mod chain;
mod checkpoint;
mod command;
mod draft;
mod end;
mod explain;
mod fetch;
mod fetches;
mod filter;
mod fork;
mod hold;
mod ingest;
mod invoke;
mod line;
mod moving;
mod object;
mod publish;
mod residence;
mod returned;
mod run;
mod run_draft;
mod saga;
mod schedule;
mod signal;
mod start;
mod state;
mod step;
mod trigger;
mod turns;
mod update;
mod wait;
mod wake;

use std::sync::Arc;

pub use command::{
    AcceptedEvent, Command, Decision, Explanation, Fork, ForkFrom, ForkPlan, PutSchedule, Refusal, Reply, RunTick,
    Start, Transition,
};
pub use filter::{Filter, FilterError, Variables, event_view};
pub use fork::fork_id;
pub use run::awakeable_signal;
pub use schedule::tick_id;
pub use turns::CallEnd;

use draft::{Draft, Part};
use fetches::Fetches;
use filter::Filters;
use residence::Residence;
use state::Tables;
use turns::Turns;

use crate::limits::{ADOPTION_MS, COALESCE_MS, LINE_PAGE, TIMER_PAGE};
use crate::model::{
    Answer, Change, Deployment, EntryKind, EntryStatus, FetchCall, FetchTarget, FetchToken, Key, Loaded, Moment,
    ObjectKey, Outcome, Registry, RunId, RunStatus, Snapshot, Span, StateKey, StoredRun, Stream, Timestamp, Token,
    Undelivered,
};

/// The state of one partition in memory.
pub struct Partition {
    tables: Tables,
    turns: Turns,
    fetches: Fetches,
    residence: Residence,
    filters: Filters,
}

/// What a partition wants next.
#[derive(Debug)]
pub enum Poll {
    /// Call this handler, once what the snapshot shows is durable.
    Invoke(Box<Snapshot>, Arc<Deployment>),
    /// Make this HTTP call, once the entry that it is for is durable.
    Fetch(FetchCall),
    /// Give up this HTTP call: nobody waits for it any more.
    Abandon(FetchToken),
    /// Load these runs, which are ready, and ask again.
    Load(Vec<Key>),
    /// Nothing for now.
    Idle,
}

impl Partition {
    /// A partition of which nothing is resident yet. The numbers are the greatest that the tables have.
    pub fn new(epoch: u32, last_run_no: i64, last_event_seq: i64, last_message_no: i64) -> Partition {
        Partition {
            tables: Tables::new(last_run_no, last_event_seq, last_message_no),
            turns: Turns::new(epoch),
            fetches: Fetches::default(),
            residence: Residence::default(),
            filters: Filters::default(),
        }
    }

    /// What follows from a command. Changes nothing. The same inputs give the same answer on every machine.
    pub fn decide(&self, at: Moment, registry: &Registry, command: &Command) -> Decision {
        let mut draft = Draft::new(self, at, registry);
        let outcome = self.decide_into(&mut draft, command);
        draft.finish(outcome)
    }

    fn decide_into(&self, draft: &mut Draft<'_>, command: &Command) -> Part<Reply> {
        match command {
            Command::Ingest(events) => ingest::ingest(draft, events),
            Command::Start(start) => start::start(draft, start),
            Command::Fork(fork) => fork::fork(draft, fork),
            Command::Returned { token, answer, started_at } => returned::returned(draft, *token, answer, *started_at),
            Command::Fetched { token, end, started_at } => fetch::fetched(draft, *token, end, *started_at),
            Command::Checkpoint { token, checkpoint } => checkpoint::checkpoint(draft, *token, checkpoint),
            Command::Note { token } => checkpoint::note(draft, *token),
            Command::Signal { run, name, id, settle } => signal::signal(draft, *run, name, id.as_ref(), settle),
            Command::Update { run, name, id, data } => update::update(draft, *run, name, id.as_ref(), data),
            Command::Cancel { run } => cancel::cancel(draft, *run),
            Command::Kill { run } => cancel::kill(draft, *run),
            Command::Pause { run } => hold::pause(draft, *run),
            Command::Resume { run } => hold::resume(draft, *run),
            Command::Move { run, to } => moving::move_to(draft, *run, *to),
            Command::SettleEntry { run, entry, value } => saga::settle(draft, *run, entry, value.as_ref()),
            Command::Explain { run } => explain::explain(draft, self, *run),
            Command::Wake { run } => wake::wake(draft, *run),
            Command::WakeState { key } => wake::wake_state(draft, key),
            Command::Fanout { event, after } => ingest::fanout(draft, *event, *after),
            Command::Scan { run, idx, page } => wait::scan(draft, *run, *idx, page),
            Command::Close { run, after } => cancel::close(draft, *run, *after),
            Command::PutSchedule(put) => schedule::put(draft, put),
            Command::EndSchedule { key, source } => schedule::end(draft, key, *source),
            Command::PauseSchedule { key, note } => schedule::pause(draft, key, note.as_ref()),
            Command::ResumeSchedule { key } => schedule::resume(draft, key),
            Command::RunTick(ask) => schedule::run_tick(draft, ask),
            Command::Quarantine { run, detail } => returned::quarantine(draft, *run, detail),
        }
    }

    /// Folds one change into memory. Never decides.
    pub fn apply(&mut self, change: &Change) {
        if let Change::RunChanged(head) = change
            && let Some(Some(run)) = self.tables.runs.get(&head.id)
            && run.head.deployment != head.deployment
        {
            self.turns.moved(head.id);
        }
        self.tables.apply(change);
        match change {
            Change::RunCreated(head) => self.touch_run(head.id),
            Change::RunChanged(head) => {
                // An open invocation of a run that is not ready any more comes too late.
                if head.status != RunStatus::Ready {
                    self.turns.revoke(head.id);
                }
                if head.status.is_terminal() {
                    self.fetches.leave_all(head.id);
                }
                self.touch_run(head.id);
            }
            Change::EntryAdded(entry) | Change::EntryChanged(entry) => {
                if let Some(run) = self.tables.id_of(entry.run_no) {
                    if entry.status == EntryStatus::Runnable {
                        self.turns.stir(run);
                    }
                    if entry.kind == EntryKind::Fetch && entry.is_settled() {
                        self.fetches.leave(run, entry.idx);
                    }
                    self.touch_run(run);
                }
            }
            Change::StatePut(row) => {
                self.residence.touch_state(&row.key, row.wake_at);
            }
            Change::StateDeleted(key) => self.residence.touch_state(key, None),
            Change::EventAdded(event) => self.residence.touch(Key::Event(event.id)),
            Change::SignalAdded(signal) | Change::SignalChanged(signal) => {
                if let Some(run) = self.tables.id_of(signal.run_no) {
                    self.touch_run(run);
                }
            }
            Change::WaitOpened(wait) | Change::WaitChanged(wait) | Change::WaitClosed(wait) => {
                self.residence.touch(Key::Waits(wait.index.clone()));
                self.residence.touch(Key::EventName(wait.index.event.clone()));
                self.touch_run(wait.run);
            }
            Change::ValuePut(value) => self.residence.touch(Key::Values(value.object.clone())),
            Change::ValuesKept(object) => self.residence.touch(Key::Values(object.clone())),
            Change::StreamPut(Stream { run_no, .. }) | Change::StreamDeleted(run_no, _) => {
                if let Some(run) = self.tables.id_of(*run_no) {
                    self.touch_run(run);
                }
            }
            Change::AttemptAdded(_)
            | Change::VerdictAdded(..)
            | Change::MessagesAdded(_)
            | Change::MessagesCut(_)
            | Change::MessagesDropped(..) => {}
        }
        if let Change::RunCreated(head) = change {
            if let Some(name) = &head.name {
                self.residence.touch(Key::RunName(head.function.clone(), name.clone()));
            }
            if let Some(first) = head.chain {
                self.residence.touch(Key::Chain(first));
            }
        }
        if let Change::EventAdded(event) = change {
            self.residence.touch(Key::EventName(event.name.clone()));
        }
    }

    fn touch_run(&mut self, id: RunId) {
        self.residence.touch(Key::Run(id));
        self.index(id);
    }

    /// Brings timers and lines in step with what a resident run says now.
    fn index(&mut self, id: RunId) {
        let Some(Some(run)) = self.tables.runs.get(&id) else { return };
        self.residence.set_run_timer(id, run.next_due().filter(|due| *due > Timestamp::ZERO));
        if run.head.status == RunStatus::Ready {
            self.turns.enqueue(id);
        }
        if fetch::makes_calls(run.head.status) {
            for idx in run.calls() {
                if self.fetches.has(id, idx) {
                    continue;
                }
                let target = FetchTarget::of(&run.entries[idx as usize].params);
                self.fetches.ask(id, idx, target.host);
            }
        }
    }

    /// Makes resident what the store has under a key.
    pub fn install(&mut self, key: Key, loaded: Loaded) {
        self.residence.arrived(key.clone());
        self.tables.install(key.clone(), loaded);
        if let Key::Values(object) = &key
            && let Some(run) = self.residence.awaited_by(object)
        {
            self.turns.enqueue(run);
        }
        if let Key::Run(id) = key {
            self.index(id);
            self.fetches.arrived(id);
            if let Some(Some(run)) = self.tables.runs.get(&id)
                && run.head.status.is_terminal()
                && run.head.wake_at.is_some()
            {
                self.residence.set_run_timer(id, Some(Timestamp::ZERO));
            }
        }
    }

    /// The next command that is due by itself, as a hint.
    pub fn next_due(&mut self, now: Timestamp) -> Option<Command> {
        if let Some(token) = self.turns.pop_silent(now) {
            let reason = format!(
                "the server was restarted during this invocation, and its handler has said nothing for {} s since",
                ADOPTION_MS / 1_000
            );
            let answer = Answer::Undelivered(Undelivered::Lost { reason });
            return Some(Command::Returned { token, answer, started_at: now });
        }
        let noted = self.turns.pop_unnoted(now).map(|token| Command::Note { token });
        noted.or_else(|| self.residence.pop_due(now))
    }

    /// When something moves by itself, as far as it is known here.
    pub fn wake_at(&self) -> Option<Timestamp> {
        [self.residence.next_due(), self.turns.next_due()].into_iter().flatten().min()
    }

    /// What to do next with runs that are ready. Gives out tokens.
    pub fn poll(&mut self, now: Timestamp, registry: &Registry) -> Poll {
        if let Some(token) = self.fetches.pop_abandoned() {
            return Poll::Abandon(token);
        }
        if let Some(poll) = self.next_fetch(now) {
            return poll;
        }
        let mut cold = Vec::new();
        while self.turns.has_room() && cold.len() < TIMER_PAGE / 64 {
            let Some(id) = self.turns.next_ready(now) else { break };
            self.place(id, now, registry, &mut cold);
        }
        while let Some((id, deployment)) = self.turns.next_admitted(now) {
            match self.tables.runs.get(&id) {
                None => {
                    self.turns.leave(id);
                    cold.push(Key::Run(id));
                }
                Some(Some(run)) if run.head.status == RunStatus::Ready => {
                    if let Some(key) = self.missing_state(run) {
                        self.await_state(id, key, &mut cold);
                        continue;
                    }
                    if let Some(deployment) = registry.deployments.get(&deployment) {
                        let noted = registry.home.url_for(deployment).is_some();
                        return self.begin(id, deployment.clone(), now, noted, cold);
                    }
                    self.turns.no_home(id);
                }
                Some(_) => self.turns.leave(id),
            }
        }
        let keys = self.want(&cold);
        if keys.is_empty() { Poll::Idle } else { Poll::Load(keys) }
    }

    /// The next call to make, or the run of it to load first.
    fn next_fetch(&mut self, now: Timestamp) -> Option<Poll> {
        while let Some((id, idx)) = self.fetches.next() {
            match self.tables.runs.get(&id) {
                Some(Some(run)) if fetch::makes_calls(run.head.status) && run.has_call(idx) => {
                    let token = self.fetches.begin(id, idx, now);
                    return Some(Poll::Fetch(fetch::call(run, token)));
                }
                // It is asked for again when it is to be made.
                Some(_) => self.fetches.leave(id, idx),
                None => {
                    let keys = self.want(&[Key::Run(id)]);
                    if !keys.is_empty() {
                        return Some(Poll::Load(keys));
                    }
                }
            }
        }
        None
    }

    /// Of these keys the ones to load now: they are neither resident nor being loaded already.
    pub fn want(&mut self, keys: &[Key]) -> Vec<Key> {
        keys.iter().filter(|key| !self.tables.has(key) && self.residence.want(key)).cloned().collect()
    }

    /// A key will not be loaded after all.
    pub fn unwant(&mut self, key: &Key) {
        self.residence.unwant(key);
    }

    fn place(&mut self, id: RunId, now: Timestamp, registry: &Registry, cold: &mut Vec<Key>) {
        // Its handler has said a word since it got in line.
        if self.turns.turn(id).is_some() {
            return self.turns.leave(id);
        }
        let run = match self.tables.runs.get(&id) {
            None => {
                self.turns.leave(id);
                cold.push(Key::Run(id));
                return;
            }
            Some(Some(run)) if run.head.status == RunStatus::Ready => run,
            Some(_) => return self.turns.leave(id),
        };
        if let Some(object) = self.missing_state(run) {
            return self.await_state(id, object, cold);
        }
        if let Some(token) = run.head.open_token.filter(|token| self.turns.is_older(*token)) {
            return self.turns.adopt(token, run.head.deployment, now, run.last_seq);
        }
        if registry.is_paused(&run.head.function) {
            return self.turns.no_home(id);
        }
        // Children tend to end in bursts: a run that was woken by one is invoked for several at once.
        let gathers = run.open().any(|idx| run.entries[idx as usize].kind == EntryKind::Invoke);
        if gathers && self.residence.first_look(id) {
            return self.turns.delay(id, now.after(Span(COALESCE_MS)));
        }
        match registry.deployment_of(&run.head.function, run.head.deployment) {
            Some(deployment) => self.turns.route(id, deployment.id),
            None => self.turns.no_home(id),
        }
    }

    /// The key whose state an invocation of a run would be shown, while that is not resident.
    fn missing_state(&self, run: &run::Run) -> Option<ObjectKey> {
        object::needed(run).filter(|object| !self.tables.has(&Key::Values(object.clone())))
    }

    /// A run gets in line again when the state that it is to be shown is there.
    fn await_state(&mut self, id: RunId, object: ObjectKey, cold: &mut Vec<Key>) {
        self.turns.leave(id);
        self.residence.await_state(object.clone(), id);
        cold.push(Key::Values(object));
    }

    fn begin(&mut self, id: RunId, deployment: Arc<Deployment>, now: Timestamp, noted: bool, cold: Vec<Key>) -> Poll {
        for key in cold {
            // Cold runs that were met on the way get back in line: they are asked for by the next poll.
            let run = match &key {
                Key::Run(run) => Some(*run),
                Key::Values(object) => self.residence.awaited_by(object),
                _ => None,
            };
            run.into_iter().for_each(|run| self.turns.enqueue(run));
        }
        let run = self.tables.runs.get(&id).and_then(Option::as_ref).expect("a run that gets its turn is resident");
        let seen = self.turns.take_seen(id).unwrap_or(0).max(run.head.seen);
        let token = self.turns.begin(id, deployment.id, now, run.last_seq, noted);
        let snapshot = Snapshot {
            token,
            head: run.head.clone(),
            attempt: run.head.failures + run.head.losses + 1,
            seen,
            entries: run.entries.clone(),
            state: object::shown(&self.tables, run),
            published: run.published(),
        };
        Poll::Invoke(Box::new(snapshot), deployment)
    }

    /// Whether an invocation is still the current one of its run.
    pub fn is_current(&self, token: Token) -> bool {
        self.turns.turn(token.run).is_some_and(|turn| turn.token == token)
    }

    /// A call ended, and what followed from its answer was decided and applied, or refused.
    pub fn call_ended(&mut self, token: Token, end: CallEnd, now: Timestamp) {
        self.turns.end(token, end, now);
        self.residence.look_again(token.run);
        self.index(token.run);
    }

    /// Whether an HTTP call is to be made: its entry waits for it, and for no later one.
    pub fn is_fetching(&self, token: FetchToken) -> bool {
        self.fetches.is_current(token)
    }

    /// An HTTP call ended, and what followed from it was decided and applied; or it was not made. One that its entry still
    /// waits for is made again.
    pub fn fetch_ended(&mut self, token: FetchToken) {
        self.fetches.end(token);
        self.index(token.run);
    }

    /// A checkpoint was taken, and its handler is told what has settled up to `shown`.
    pub fn heard(&mut self, token: Token, taken: u32, shown: u32, now: Timestamp) {
        if self.turns.turn(token.run).is_none()
            && let Some(Some(run)) = self.tables.runs.get(&token.run)
            && run.head.open_token == Some(token)
        {
            self.turns.adopt(token, run.head.deployment, now, run.last_seq);
        }
        // Nobody can have seen more than there is.
        let last = self.tables.runs.get(&token.run).and_then(Option::as_ref).map_or(0, |run| run.last_seq);
        self.turns.heard(token, taken, shown.min(last), now);
    }

    /// The resident run with this number.
    pub fn run_at(&self, run_no: i64) -> Option<RunId> {
        self.tables.id_of(run_no)
    }

    /// The outcome of a resident run that has ended.
    pub fn outcome(&self, run: RunId) -> Option<Outcome> {
        let last = self.tables.runs.get(&run)?.as_ref()?.entries.last()?;
        last.outcome.as_ref().filter(|_| last.kind == EntryKind::Outcome).cloned()
    }

    /// The batch in which a run changed last, while that may not be durable yet.
    pub fn batch_of(&self, run: RunId) -> Option<u64> {
        self.residence.batch_of(&Key::Run(run))
    }

    /// The registry changed: runs that wait for a deployment look again.
    pub fn registry_changed(&mut self) {
        self.turns.reroute();
    }

    /// How many calls are under way, and how many runs wait for their turn.
    pub fn load(&self) -> (usize, usize) {
        (self.turns.in_flight(), self.turns.waiting())
    }

    /// Timers up to here are kept in memory from now on. Set before the tables are asked for them.
    pub fn set_horizon(&mut self, horizon: Timestamp) {
        self.residence.set_horizon(horizon);
        // The tables are asked for the others: of what is resident, memory knows better.
        let runs: Vec<RunId> = self.tables.runs.keys().copied().collect();
        runs.into_iter().for_each(|id| self.index(id));
        // What has work left has a follow-up under way, or the timer that recovery gave it: that one stays.
        for row in self.tables.states.values().flatten().filter(|row| row.wake_at != Some(Timestamp::ZERO)) {
            self.residence.set_state_timer(&row.key, row.wake_at);
        }
    }

    /// A run that the tables have, or had when they were asked, as due. Memory knows better.
    pub fn add_run_timer(&mut self, id: RunId, at: Timestamp) {
        if self.tables.runs.contains_key(&id) {
            return;
        }
        if at == Timestamp::ZERO {
            self.turns.enqueue(id);
        } else {
            self.residence.remind_run(id, at);
        }
    }

    /// An entity that the tables have as due.
    pub fn add_state_timer(&mut self, key: StateKey, at: Timestamp) {
        if !self.tables.states.contains_key(&key) {
            self.residence.set_state_timer(&key, Some(at));
        }
    }

    /// Whether a key is resident.
    pub fn is_resident(&self, key: &Key) -> bool {
        self.tables.has(key)
    }

    /// Everything that is decided from now on belongs to this batch.
    pub fn begin_batch(&mut self, batch: u64) {
        self.residence.begin_batch(batch);
    }

    /// Other bounds of what rests in memory than the usual ones: less forgets sooner, and changes no answer.
    pub fn keep_at_most(&mut self, idle_runs: usize, names: usize) {
        self.residence.keep_at_most(idle_runs, names);
        self.tables.line_page = names.clamp(1, LINE_PAGE);
    }

    /// Everything up to this batch is durable: what is not being worked on may be forgotten.
    pub fn durable(&mut self, batch: u64) {
        for key in self.residence.forgettable(batch, &self.tables, &self.turns) {
            self.tables.forget(&key);
        }
    }

    /// A resident run as the tables must have it.
    pub fn stored(&self, id: RunId) -> Option<StoredRun> {
        self.tables.runs.get(&id)?.as_ref().map(|run| run.stored())
    }

    /// Everything resident, as the tables must have it: for tests that compare both.
    pub fn resident(&self) -> Vec<(Key, Loaded)> {
        self.tables.resident()
    }
}
