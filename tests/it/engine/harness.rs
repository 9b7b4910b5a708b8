//! The engine with everything around it done by hand: a partition over the store in memory, with commits, loads, the
//! gate, calls, crashes and a clock that move only when a test says so. It does what the processor does, in every order
//! in which that could happen, and checks the book after each transition.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use backstitch_server::engine::{CallEnd, Command, Decision, Partition, Poll, Refusal, Reply, Transition};
use backstitch_server::limits::TIMER_HORIZON_MS;
use backstitch_server::model::{
    Answer, Batch, Change, Entry, EntryStatus, FetchCall, FetchToken, Key, Loaded, Moment, Payload, Registry, RunHead,
    RunId, RunStatus, Snapshot, Span, Timestamp, Token, Undelivered,
};
use backstitch_server::store::memory::MemoryStore;
use backstitch_server::store::{Commit, Store, Timer, TimerKey};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::acks::Acks;
use super::book::Book;
use super::calls::Out;
use super::handlers::Call;
use super::program::Program;
use super::registry::registry;
use crate::support::verified;

/// When the clock of these tests starts.
pub(super) const START: Timestamp = Timestamp(1_700_000_000_000);

/// A command on its way, and whether someone waits for the reply.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) command: Command,
    pub(super) caller: bool,
}

/// Something that leaves when its batch is durable.
#[expect(clippy::large_enum_variant, reason = "there are few of them at a time")]
enum Outgoing {
    Reply(Item, Result<Reply, Refusal>),
    Invoke(Box<Snapshot>),
    Fetch(FetchCall),
}

/// How a commit ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Done,
    Failed,
    UnknownDone,
    UnknownLost,
}

/// One partition, its store, its handlers.
pub(super) struct World {
    pub(super) store: MemoryStore,
    pub(super) partition: Partition,
    pub(super) programs: Vec<Program>,
    pub(super) registry: Registry,
    pub(super) now: Timestamp,
    /// Everything decided; `safe` is what of it is durable.
    pub(super) book: Book,
    pub(super) safe: Book,
    pub(super) acks: Acks,
    pub(super) calls: Vec<Call>,
    pub(super) stale: Vec<Token>,
    pub(super) fetches: Vec<Out>,
    pub(super) stale_fetches: Vec<FetchToken>,
    /// How many runs may rest in memory.
    idle: usize,
    pub(super) epoch: u32,
    durable: u64,
    horizon: Timestamp,
    seed: u128,
    inner: VecDeque<Item>,
    parked: Vec<(Item, BTreeSet<Key>)>,
    loads: VecDeque<(Vec<Key>, Vec<Loaded>)>,
    deferred: Vec<(u64, Vec<Key>)>,
    scans: VecDeque<Vec<Timer>>,
    filling: Vec<Change>,
    committing: Option<(Arc<Batch>, Book)>,
    gate: Vec<(u64, Outgoing)>,
    pub(super) newest_token: BTreeMap<RunId, Token>,
}

fn now_or_never<T>(future: BoxFuture<'_, T>) -> T {
    future.now_or_never().expect("the store in memory answers at once")
}

impl World {
    /// An empty partition. At most `idle` runs rest in memory.
    pub(super) fn new(programs: Vec<Program>, idle: usize) -> World {
        let mut world = World {
            store: MemoryStore::new(),
            partition: Partition::new(0, 0, 0, 0),
            programs,
            registry: registry(1, false),
            now: START,
            book: Book::default(),
            safe: Book::default(),
            acks: Acks::default(),
            calls: Vec::new(),
            stale: Vec::new(),
            fetches: Vec::new(),
            stale_fetches: Vec::new(),
            idle,
            epoch: 0,
            durable: 0,
            horizon: Timestamp::ZERO,
            seed: 1,
            inner: VecDeque::new(),
            parked: Vec::new(),
            loads: VecDeque::new(),
            deferred: Vec::new(),
            scans: VecDeque::new(),
            filling: Vec::new(),
            committing: None,
            gate: Vec::new(),
            newest_token: BTreeMap::new(),
        };
        world.crash();
        world
    }

    /// Sends a command to the partition; its reply is waited for.
    pub(super) fn submit(&mut self, command: Command) {
        self.decide(Item { command, caller: true });
    }

    /// What a command would lead to, with everything loaded that it needs. Nothing comes of it.
    pub(super) fn ask(&mut self, command: &Command) -> Result<Transition, Refusal> {
        let at = self.moment();
        loop {
            match self.partition.decide(at, &self.registry, command) {
                Decision::Decided(transition) => return Ok(transition),
                Decision::Refused(refusal) => return Err(refusal),
                Decision::Need(keys) => {
                    let loaded = now_or_never(self.store.load(0, keys.clone())).expect("loads");
                    keys.into_iter().zip(loaded).for_each(|(key, loaded)| self.partition.install(key, loaded));
                }
            }
        }
    }

    fn newest(&self) -> u64 {
        let filling = self.durable + 1 + u64::from(self.committing.is_some());
        if self.filling.is_empty() { filling - 1 } else { filling }
    }

    pub(super) fn moment(&mut self) -> Moment {
        self.seed = self.seed.wrapping_mul(0x2545_f491_4f6c_dd1d_9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5679);
        Moment { now: self.now, seed: self.seed }
    }

    /// Decides a command, and tells the lane of a call that ended.
    pub(super) fn decide(&mut self, item: Item) {
        let ended = match &item.command {
            Command::Returned { token, answer, .. } => Some((*token, call_end(answer))),
            _ => None,
        };
        let fetched = if let Command::Fetched { token, .. } = &item.command { Some(*token) } else { None };
        let done = self.decide_or_park(item);
        if let Some((token, end)) = ended.filter(|_| done) {
            self.partition.call_ended(token, end, self.now);
        }
        fetched.into_iter().filter(|_| done).for_each(|token| self.partition.fetch_ended(token));
    }

    fn decide_or_park(&mut self, item: Item) -> bool {
        let at = self.moment();
        let decision = self.partition.decide(at, &self.registry, &item.command);
        let again = self.partition.decide(at, &self.registry, &item.command);
        assert_eq!(format!("{decision:?}"), format!("{again:?}"), "the same inputs lead to the same decision");
        match decision {
            Decision::Decided(transition) => self.take(item, transition),
            Decision::Refused(refusal) => self.say(item, Err(refusal)),
            Decision::Need(keys) => {
                let missing: Vec<&Key> = keys.iter().filter(|key| !self.partition.is_resident(key)).collect();
                assert_eq!(missing.len(), keys.len(), "asked for what is there: {keys:?}");
                assert!(!keys.is_empty(), "asked for nothing");
                self.load(&keys);
                self.parked.push((item, keys.into_iter().collect()));
                return false;
            }
        }
        true
    }

    fn take(&mut self, item: Item, transition: Transition) {
        self.book.take(self.now, &item.command, &transition, &self.registry);
        if let (Command::Checkpoint { token, checkpoint }, Reply::News(news)) = (&item.command, &transition.reply) {
            self.check_news(*token, checkpoint, news);
        }
        if let Command::Returned { token, answer, .. } = &item.command {
            self.acks.check_returned(&self.book, *token, answer, &transition);
        }
        for change in &transition.changes {
            self.partition.apply(change);
        }
        for change in &transition.changes {
            if let Change::RunCreated(head) | Change::RunChanged(head) = change {
                assert_eq!(self.partition.stored(head.id), self.book.stored(head.id), "memory is what was decided");
            }
        }
        if let (Command::Checkpoint { token, checkpoint }, Reply::News(news)) = (&item.command, &transition.reply)
            && news.stop.is_none()
        {
            let shown = news.settled.last().and_then(|told| told.entry.seq).unwrap_or(0).max(checkpoint.seen);
            self.partition.heard(*token, checkpoint.n, shown, self.now);
        }
        let Transition { changes, follow_ups, reply } = transition;
        self.filling.extend(changes);
        let items = follow_ups.into_iter().map(|command| Item { command, caller: false });
        self.inner.extend(items);
        self.say(item, Ok(reply));
    }

    fn say(&mut self, item: Item, answer: Result<Reply, Refusal>) {
        self.gate.push((self.newest(), Outgoing::Reply(item, answer)));
        self.open_gate();
    }

    fn load(&mut self, keys: &[Key]) {
        let wanted = self.partition.want(keys);
        let (pages, keys): (Vec<Key>, Vec<Key>) =
            wanted.into_iter().partition(|key| matches!(key, Key::Events { .. } | Key::Line(_)));
        if !pages.is_empty() {
            self.deferred.push((self.newest(), pages));
            self.start_deferred();
        }
        self.start_load(keys);
    }

    fn start_load(&mut self, keys: Vec<Key>) {
        if !keys.is_empty() {
            let loaded = now_or_never(self.store.load(0, keys.clone())).expect("loads");
            self.loads.push_back((keys, loaded));
        }
    }

    fn start_deferred(&mut self) {
        let durable = self.durable;
        let (now, later) = std::mem::take(&mut self.deferred).into_iter().partition(|(batch, _)| *batch <= durable);
        self.deferred = later;
        let ready: Vec<(u64, Vec<Key>)> = now;
        for (_, keys) in ready {
            self.start_load(keys);
        }
    }

    /// One load comes back, the newest, or the oldest after what a scan of timers read; what waits only for it is decided again.
    pub(super) fn finish_load(&mut self, newest: bool) -> bool {
        if !newest && let Some(timers) = self.scans.pop_front() {
            timers.into_iter().for_each(|timer| self.add_timer(timer));
        }
        let load = if newest { self.loads.pop_back() } else { self.loads.pop_front() };
        let Some((keys, loaded)) = load else { return false };
        for (key, loaded) in keys.iter().cloned().zip(loaded) {
            self.partition.install(key, loaded);
        }
        let mut free = Vec::new();
        for (_, missing) in &mut self.parked {
            missing.retain(|key| !keys.contains(key));
        }
        self.parked.retain(|(item, missing)| {
            if missing.is_empty() {
                free.push(item.clone());
            }
            !missing.is_empty()
        });
        free.into_iter().for_each(|item| self.decide(item));
        true
    }

    /// Decides at most `n` of what follows or is due. Says whether there was anything.
    pub(super) fn work(&mut self, n: usize) -> bool {
        for done in 0..n {
            let due = |world: &mut World| {
                let command = world.partition.next_due(world.now)?;
                Some(Item { command, caller: false })
            };
            let Some(item) = self.inner.pop_front().or_else(|| due(self)) else { return done > 0 };
            self.decide(item);
        }
        n > 0
    }

    /// Asks for invocations, at most `n`. Says whether there were any.
    pub(super) fn poll(&mut self, n: usize) -> bool {
        let mut any = false;
        for _ in 0..n {
            match self.partition.poll(self.now, &self.registry) {
                Poll::Invoke(snapshot, asked) => {
                    let head = &snapshot.head;
                    let home = self.registry.deployment_of(&head.function, head.deployment).map(|found| found.id);
                    assert_eq!(
                        home,
                        Some(asked.id),
                        "another deployment is asked than the one that run {} is on",
                        head.id
                    );
                    let batch = self.partition.batch_of(snapshot.token.run).unwrap_or(self.durable);
                    self.gate.push((batch, Outgoing::Invoke(snapshot)));
                }
                Poll::Fetch(call) => {
                    let batch = self.partition.batch_of(call.token.run).unwrap_or(self.durable);
                    self.gate.push((batch, Outgoing::Fetch(call)));
                }
                Poll::Abandon(token) => self.abandon(token),
                Poll::Load(keys) => self.start_load(keys),
                Poll::Idle => break,
            }
            any = true;
        }
        self.open_gate();
        any
    }

    fn open_gate(&mut self) {
        let durable = self.durable;
        let (open, shut) = std::mem::take(&mut self.gate).into_iter().partition(|(batch, _)| *batch <= durable);
        self.gate = shut;
        let open: Vec<(u64, Outgoing)> = open;
        for (_, outgoing) in open {
            match outgoing {
                Outgoing::Reply(item, answer) => {
                    self.acks.told(&item, &answer, self.now, &self.safe);
                    if let Command::Checkpoint { token, .. } = item.command {
                        self.reported(token, &answer);
                    }
                }
                Outgoing::Invoke(snapshot) => self.call(snapshot),
                Outgoing::Fetch(call) => self.fetch(call),
            }
        }
    }

    /// The filling batch goes to the store.
    pub(super) fn commit(&mut self) -> bool {
        if self.filling.is_empty() || self.committing.is_some() {
            return false;
        }
        let (commit_no, now) = (self.durable + 1, self.now);
        let changes = std::mem::take(&mut self.filling);
        let batch = Batch { partition: 0, epoch: self.epoch, commit_no, now, changes };
        self.committing = Some((Arc::new(batch), self.book.clone()));
        self.partition.begin_batch(commit_no + 1);
        true
    }

    /// The commit under way ends.
    pub(super) fn committed(&mut self, fate: Fate) -> bool {
        let Some((batch, book)) = self.committing.take() else { return false };
        if matches!(fate, Fate::Done | Fate::UnknownDone) {
            let commit_no = batch.commit_no;
            match now_or_never(self.store.commit(batch)) {
                Commit::Done => {}
                other => panic!("the store refused what the engine decided: {other:?}"),
            }
            self.durable = commit_no;
            self.safe = book;
        }
        match fate {
            Fate::Done => {
                self.partition.durable(self.durable);
                self.open_gate();
                self.start_deferred();
                self.check_tables();
            }
            // What the doubtful batch answered may leave before memory is dropped.
            Fate::UnknownDone => {
                self.gate.retain(|(_, outgoing)| matches!(outgoing, Outgoing::Reply(..)));
                self.open_gate();
                self.crash();
            }
            Fate::Failed | Fate::UnknownLost => self.crash(),
        }
        true
    }

    /// Memory is lost: the partition is taken again, from the tables alone. Handlers keep their old invocations.
    pub(super) fn crash(&mut self) {
        let owned = now_or_never(self.store.take_ownership(0)).expect("takes");
        assert_eq!(owned.commit_no, self.durable);
        // Handlers whose invocations were noted go on; what they asked they ask again, under the same number.
        let (kept, lost): (Vec<Call>, Vec<Call>) =
            std::mem::take(&mut self.calls).into_iter().partition(|call| self.is_noted(call.snapshot.token));
        self.stale.extend(lost.into_iter().map(|call| call.snapshot.token));
        self.calls = kept;
        for call in &mut self.calls {
            if call.asked.take().is_some() {
                call.n = call.n.saturating_sub(1);
            }
        }
        self.lose_fetches();
        self.inner.clear();
        self.parked.clear();
        self.loads.clear();
        self.deferred.clear();
        self.scans.clear();
        self.filling.clear();
        self.gate.clear();
        self.committing = None;
        self.book = self.safe.clone();
        self.epoch = owned.epoch;
        self.now = self.now.max(owned.now);
        self.horizon = self.now.after(Span(TIMER_HORIZON_MS));
        self.partition = Partition::new(owned.epoch, owned.run_no, owned.event_seq, owned.message_no);
        self.partition.keep_at_most(self.idle, self.idle);
        self.partition.set_horizon(self.horizon);
        let timers = self.timers(None, self.horizon);
        timers.into_iter().for_each(|timer| self.add_timer(timer));
        for wait in now_or_never(self.store.scanning_waits(0)).expect("reads") {
            let after = wait.scanned_to.unwrap_or(wait.after_seq);
            let page = Key::Events { name: wait.index.event.clone(), after, until: wait.scan_end };
            let command = Command::Scan { run: wait.run, idx: wait.idx, page };
            self.inner.push_back(Item { command, caller: false });
        }
        self.partition.begin_batch(self.durable + 1);
        self.acks.check(&self.safe);
    }

    fn timers(&self, after: Option<Timer>, until: Timestamp) -> Vec<Timer> {
        now_or_never(self.store.due(0, after, until, usize::MAX)).expect("reads")
    }

    fn add_timer(&mut self, timer: Timer) {
        match timer.key {
            TimerKey::Run(run) => self.partition.add_run_timer(run, timer.at),
            TimerKey::State(key) => self.partition.add_state_timer(key, timer.at),
        }
    }

    /// When timers are read again.
    pub(super) fn rescan_at(&self) -> Timestamp {
        Timestamp(self.horizon.0 - (TIMER_HORIZON_MS / 2) as i64)
    }

    /// Moves the horizon. What was read arrives with a later load.
    pub(super) fn rescan(&mut self) {
        let after = Timer { at: self.horizon, key: TimerKey::Run(RunId(0)) };
        self.horizon = self.now.after(Span(TIMER_HORIZON_MS));
        self.partition.set_horizon(self.horizon);
        let timers = self.timers(Some(after), self.horizon);
        self.scans.push_back(timers);
    }

    /// The clock moves; timers are read again in time.
    pub(super) fn advance(&mut self, ms: u64) {
        let target = self.now.after(Span(ms));
        while self.rescan_at() <= target {
            self.now = self.now.max(self.rescan_at());
            self.rescan();
            self.finish_load(false);
        }
        self.now = target;
    }

    /// Another registry counts from now on.
    pub(super) fn register(&mut self, registry: Registry) {
        self.registry = registry;
        self.partition.registry_changed();
    }

    /// Everything that can move without the clock moves, with honest handlers, until nothing does. Says whether
    /// anything did.
    pub(super) fn flow(&mut self, rounds: usize) -> bool {
        for round in 0..rounds {
            let mut moved = self.step();
            while !self.calls.is_empty() {
                self.answer(0);
                moved = true;
            }
            while !self.fetches.is_empty() {
                self.finish_fetch(0);
                moved = true;
            }
            if !moved {
                return round > 0;
            }
        }
        true
    }

    /// The same, while handlers stay at work.
    pub(super) fn flow_without_handlers(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.step();
        }
    }

    fn step(&mut self) -> bool {
        let mut moved = self.finish_load(false) || !self.scans.is_empty();
        moved |= self.work(64);
        moved |= self.poll(16);
        moved |= self.commit();
        moved | self.committed(Fate::Done)
    }

    /// Whether what came of a call waits for its run to be loaded.
    pub(super) fn is_parked(&self, fetched: &FetchToken) -> bool {
        let is = |command: &Command| matches!(command, Command::Fetched { token, .. } if token == fetched);
        self.parked.iter().any(|(item, _)| is(&item.command))
    }

    /// When the next thing happens by itself.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        let timers = self.timers(None, Timestamp(i64::MAX)).into_iter().map(|timer| timer.at);
        let first = timers.filter(|at| *at > Timestamp::ZERO).min();
        [self.partition.wake_at(), first].into_iter().flatten().min()
    }

    /// The memory is what the tables are: each resident key loads to what is resident.
    pub(super) fn check_tables(&self) {
        if !self.filling.is_empty() || self.committing.is_some() {
            return;
        }
        let stuck = now_or_never(self.store.stuck_runs(0, 0, i64::MAX)).expect("reads");
        let stuck: Vec<_> = stuck.into_iter().map(|run| self.safe.head(run)).collect();
        assert!(stuck.is_empty(), "nothing will wake {stuck:#?}");
        let stuck = now_or_never(self.store.stuck_schedules(0)).expect("reads");
        assert!(stuck.is_empty(), "nothing will wake {stuck:?}");
        for (key, resident) in self.partition.resident() {
            let loaded = now_or_never(self.store.load(0, vec![key.clone()])).expect("loads");
            if let Loaded::Run(Some(run)) = &resident {
                assert_eq!(run.flaw(), None, "a partition would refuse to load {key:?}");
            }
            let loaded: Vec<Loaded> = loaded.into_iter().map(|loaded| as_far_as(&resident, loaded)).collect();
            assert_eq!(loaded, [resident], "memory and tables differ at {key:?}");
        }
    }

    /// The tables are what the book says, and a partition that loads them afresh holds and decides the same.
    pub(super) fn check_reload(&mut self) {
        if !self.filling.is_empty() || self.committing.is_some() {
            return;
        }
        let dump = now_or_never(self.store.dump(0)).expect("dumps");
        assert_eq!(dump, self.safe.dump(self.durable), "the tables and the book differ");
        verified::check_tables(&dump, &self.registry);
        let last_event = self.safe.events.last_key_value().map_or(0, |(seq, _)| *seq);
        let last_run = self.safe.runs.last_key_value().map_or(0, |(no, _)| *no);
        let mut fresh = Partition::new(self.epoch, last_run, last_event, self.safe.voices.last());
        let keys: Vec<Key> = self.partition.resident().into_iter().map(|(key, _)| key).collect();
        let loaded = now_or_never(self.store.load(0, keys)).expect("loads");
        for ((key, resident), loaded) in self.partition.resident().into_iter().zip(loaded) {
            fresh.install(key, as_far_as(&resident, loaded));
        }
        assert_eq!(fresh.resident(), self.partition.resident(), "what is loaded afresh differs from what was resident");
        let at = self.moment();
        // Whether a run or a step was taken up in time depends on the open invocation, which a fresh partition does not have.
        let now = self.now;
        let late = |entry: &Entry| entry.status == EntryStatus::Runnable && entry.due_at.is_some_and(|at| at <= now);
        let certain = |head: &&RunHead| {
            head.start_by.is_none_or(|by| by > now) && !self.safe.entries_of(head.id).iter().any(late)
        };
        for head in self.safe.runs.values().filter(certain) {
            let run = head.id;
            let settle = backstitch_server::model::Outcome::Ok(Payload::null());
            let signal = |name: &str| Command::Signal { run, name: name.into(), id: None, settle: settle.clone() };
            let update = Command::Update { run, name: "s0".into(), id: None, data: Payload::null() };
            let others = [signal("s0"), signal("s1"), update];
            for command in [Command::Wake { run }, Command::Close { run, after: 0 }].into_iter().chain(others) {
                let ours = self.partition.decide(at, &self.registry, &command);
                let theirs = fresh.decide(at, &self.registry, &command);
                assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "decided otherwise after loading: {command:?}");
            }
        }
    }

    /// Nothing that is due is left, once everything has flowed.
    pub(super) fn check_overdue(&self) {
        for head in self.safe.runs.values() {
            let waits = matches!(head.status, RunStatus::Queued | RunStatus::Backoff | RunStatus::Suspended);
            let overdue = head.wake_at.is_some_and(|at| at <= self.now);
            assert!(!(waits && overdue), "a timer did not fire by {}: {head:#?}", self.now);
            assert!(!(head.status.is_terminal() && overdue), "a run that ended has work left: {head:#?}");
        }
    }
}

/// Of a line of runs, memory has as many as it has.
fn as_far_as(resident: &Loaded, loaded: Loaded) -> Loaded {
    match (resident, loaded) {
        (Loaded::Object(_, known), Loaded::Object(row, line)) => {
            Loaded::Object(row, line.into_iter().take(known.len()).collect())
        }
        (_, loaded) => loaded,
    }
}

fn call_end(answer: &Answer) -> CallEnd {
    match answer {
        Answer::Undelivered(Undelivered::NotReached { reason, retry_after }) => {
            CallEnd::NotReached { reason: reason.clone(), retry_after: *retry_after }
        }
        Answer::Ops { .. } => CallEnd::Answered,
        _ => CallEnd::Reached,
    }
}
